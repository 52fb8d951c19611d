"""The same drive in other weather, exactly: drawn anew by what drew it first.

The road's world, traffic and vehicle never depend on light and weather, so that masks, depth and poses stay what they
were. CarRacing draws its colours from a seed of their own, and its track from another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from sciworld.domains.driving.road.conditions import RANGES, RoadConditions
from sciworld.domains.driving.road.generate import SOURCE
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.state import RoadState
from sciworld.domains.generated import generator_of, settings_of
from sciworld.errors import RecordingError
from sciworld.recording import Recording, covariate_table

SESSION = re.compile(r"road-\w+-(\d+)-(\d{5,})")


def is_drawn(ds: Recording) -> bool:
    """Whether the trusted simulator of a road drew these frames."""
    return str(ds.attrs["source"]).startswith(f"{SOURCE}, ")


def conditions_of(ds: Recording) -> RoadConditions | None:
    """What a recording says of its light and weather; None where it does not, or says only a part of it."""
    names = covariate_table(ds).names
    if not set(RANGES) <= set(names):
        return None
    values = dict(zip(names, ds["covariates"].values, strict=True))
    known = {name: float(values[name]) for name in RANGES}
    return RoadConditions(**known) if np.isfinite(list(known.values())).all() else None


def states_of(ds: Recording) -> tuple[RoadSimulator, list[RoadState]]:
    """The simulator, and the truth at every frame of a recording that `generate` made.

    Raises RecordingError where that is another drive: made by another version, or cut.
    """
    found = SESSION.fullmatch(str(ds.attrs["session"]))
    made = settings_of(str(ds.attrs["source"]), SOURCE)
    said = conditions_of(ds)
    if found is None or said is None or "states" not in ds or "controls" not in ds:
        raise RecordingError(f"'{ds.attrs['session']}': does not say which drive it is; generate the recordings anew")
    simulator = RoadSimulator(RoadSettings(**made))
    seed, episode = int(found[1]), int(found[2])
    state = simulator.start(1, generator_of(seed, episode)).under(said)
    states = [state]
    for controls in ds["controls"].values[:-1]:
        states.append(simulator.move(states[-1], controls[None]))
    own = ds["states"].values
    speed = np.array([one.motion[0, 0] for one in states])
    if len(own) != len(states) or not np.allclose(own[:, 0], speed, rtol=0.0, atol=1e-9):
        raise RecordingError(
            f"'{ds.attrs['session']}': is not the drive that its seed makes now; generate the recordings anew, or "
            "randomize them as video"
        )
    return simulator, states


def drawn(simulator: RoadSimulator, states: Sequence[RoadState], conditions: RoadConditions, seed: int) -> np.ndarray:
    """Frames (time, y, x, 3) uint8 of the same states under other conditions; the seed is of the camera's noise."""
    rng = np.random.default_rng([seed, 505])
    return np.concatenate([simulator.image(state.under(conditions), rng).frames for state in states])
