"""Recordings from the trusted simulator, with beams at random near the silicon: an operator who explores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import LARGEST, from_dict, path_of, to_dict, whole
from sciworld.controls import Column, ColumnTable
from sciworld.domains.generated import Progress, require_progress
from sciworld.domains.stem.constants import ELECTRONS_PER_NA
from sciworld.domains.stem.simulator import CHANNELS, StemSettings, StemSimulator, StemState
from sciworld.errors import StoreError
from sciworld.simulator import Observation
from sciworld.store import Store

SOURCE = "sciworld.domains.stem.generate"  # begins the source of every recording that is made here
STEPS = 22  # transitions a recording
REACH = 2.3  # A, half the side of the square in which beams fall
DWELL = (1.0, 10.0)  # s
STATES = ColumnTable(
    (
        Column("silicon_x", "A", group="silicon", axis="x", frame="lab", role="measured", acts="during"),
        Column("silicon_y", "A", group="silicon", axis="y", frame="lab", role="measured", acts="during"),
        Column("hops", "1", low=0, kind="integer", role="measured", acts="during"),
    )
)
ENERGY = 60.0  # kV
COVARIATES = ColumnTable((Column("current", "nA", low=0.0), Column("energy", "kV", low=0.0)))


def generate(
    path: str | Path,
    seed: int,
    transitions: int = 22_000,
    steps: int = STEPS,
    progress: Progress | None = None,
    **settings: object,
) -> Store:
    """Write recordings of at least `transitions` transitions, one atom and session each, into a new store at `path`.

    settings : fields of StemSettings. Every recording starts with an image; beams fall uniformly in a square of
    +-2.3 A around the silicon, cut to the field of view; dwells are uniform between 1 and 10 s. The truth that each
    frame shows is kept as `states`: models never see it. One generator draws for all atoms, so an atom's run depends on
    how many there are. Raises StoreError for a store that holds recordings, also such as came meanwhile.
    """
    path, seed = path_of(path, "path"), whole(seed, "seed", 0, LARGEST)
    transitions, steps = whole(transitions, "transitions", 1), whole(steps, "steps", 1)
    require_progress(progress)
    simulator = StemSimulator(from_dict(StemSettings, dict(settings), "generate"))
    store = Store.create(path)
    _require_empty(store)
    half = simulator.settings.half_field
    rng = np.random.default_rng(seed)
    atoms = -(-transitions // steps)
    recordings: list[xr.Dataset] = []
    # The truth of a frame is the state that it shows: taking it may make the silicon hop.
    states = [simulator.start(atoms, rng)]
    observation, state = simulator.expose(states[0], rng)
    observations, controls = [observation], []
    for step in range(steps):
        beam = state.silicon + rng.uniform(-REACH, REACH, (atoms, 2))
        beam = np.clip(beam, state.centre - half, state.centre + half)
        chosen = np.column_stack([beam, rng.uniform(*DWELL, atoms)])
        states.append(simulator.park(state, chosen, rng))
        observation, state = simulator.expose(states[-1], rng)
        observations.append(observation)
        controls.append(chosen)
        if progress is not None:
            progress(step + 1, steps)
    for atom in range(atoms):
        recordings.append(_recording(simulator, seed, atom, observations, states, controls))
    store.append(recordings, admit=_require_empty)
    return store


def _require_empty(store: Store) -> None:
    if len(store):
        raise StoreError(f"{store.path}: a store of {len(store)} recordings; generate into a new one")


def _recording(
    simulator: StemSimulator,
    seed: int,
    atom: int,
    observations: list[Observation],
    states: list[StemState],
    controls: list[np.ndarray],
) -> xr.Dataset:
    """One atom's run as a recording."""
    settings = simulator.settings
    time = np.array([o.time[atom] for o in observations])
    rows = np.full((len(time), 3), np.nan)
    rows[:-1] = [c[atom] for c in controls]
    electrons = ELECTRONS_PER_NA * settings.current
    dose = np.column_stack([np.full(len(time), electrons * settings.frame_time), electrons * rows[:, 2]])
    hops = np.diff([s.hops[atom] for s in states], prepend=0)
    truth = np.column_stack([[s.silicon[atom] for s in states], hops])
    return recording.make(
        np.stack([o.frames[atom] for o in observations]),
        time,
        channels=CHANNELS,
        controls=rows,
        control_table=simulator.space.table,
        time_bounds=np.column_stack([time, time + settings.frame_time]),
        view=np.stack([o.view[atom] for o in observations]),
        view_units="A",
        states=truth,
        state_table=STATES,
        covariates={"current": settings.current, "energy": ENERGY},
        covariate_table=COVARIATES,
        dose=dose,
        session=f"{settings.rates}-{seed}-{atom:05d}",
        source=f"{SOURCE}, seed {seed}, {to_dict(settings)}",
        licence="CC0-1.0",
        citation="",
        history="simulated: one silicon in graphene, beams at random near it",
    )
