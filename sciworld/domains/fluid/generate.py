"""Recordings from the trusted simulator of a wake, under controls that wander, repeat, swing, or heed the flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import from_dict, to_dict, whole
from sciworld.controls import Column, ColumnTable
from sciworld.domains.fluid.controllers import LAGS, Feedback, Signals, probe_places
from sciworld.domains.fluid.developed import COEFFICIENTS
from sciworld.domains.fluid.scenarios import CHANNEL, MIDDLE
from sciworld.domains.fluid.simulator import CHANNELS, CylinderSettings, CylinderSimulator, CylinderState
from sciworld.domains.generated import Progress, batch_size, fill, generator_of, held, kinds_of
from sciworld.simulator import Observation
from sciworld.store import Store
from sciworld.together import join, streams

SOURCE = "sciworld.domains.fluid.generate"  # begins the source of every recording that is made here
CONTROLS = ("random", "smooth", "held", "expert")
KINDS = (*CONTROLS, "law")
ACTIONS = 100  # a recording, 25 D/U
WAVES = 3  # of a smooth signal
BAND = 2.0  # a smooth signal's frequencies are within this factor of that of the shedding
GAINS = (0.5, 0.4, 0.0)  # of the expert at each lag, in units of the control's bound over the speed
SPREAD, NOISE = 0.3, 0.15  # standard deviations of the expert's gains, in the same units, and of its noise, in bounds


@dataclass(frozen=True)
class Drawn:
    """What controls one episode: (action, 1) known beforehand, (WAVES, 4) `Signals`, (lag, 1) gains of `Feedback`."""

    table: np.ndarray
    waves: np.ndarray
    gains: np.ndarray


def generate(
    path: str | Path,
    seed: int,
    episodes: int = 200,
    actions: int = ACTIONS,
    controls: str | Sequence[str] = CONTROLS,
    first: int = 0,
    workers: int = 0,
    client: Any = None,
    progress: Progress | None = None,
    **settings: object,
) -> Store:
    """Write recordings of controlled wakes, a session each, into the store at `path`.

    Episode k has the k-th of the `controls` in turn: "random", a new value each action; "held", one for 2 to 12
    actions; "smooth", three sines within an octave of the shedding; "expert", `controllers.Feedback` with gains that
    are drawn about good ones, with noise; and, if asked for, "law", the same with gains drawn from all over the bounds,
    by who knows of no good ones. What the actuator did and the forces are `states`, which models never see;
    those of the first frame, which no action led to, are unknown. settings : fields of CylinderSettings.

    The seed and its number decide an episode: `first`, workers and client, see `generated.fill`, do not change it.
    """
    made = from_dict(CylinderSettings, dict(settings), "generate")
    actions, kinds = whole(actions, "actions", 1), kinds_of(controls, KINDS)
    generator_of(seed, first)
    make = partial(make_episodes, made, seed, actions, kinds)
    together = batch_size((actions + 1) * made.rows * made.columns * 8)
    return fill(path, make, episodes, first, partial(session_of, made, seed), together, workers, client, progress)


def session_of(settings: CylinderSettings, seed: int, episode: int) -> str:
    """The session of an episode."""
    return f"{settings.actuator}-{settings.reynolds:g}-{seed}-{episode:05d}"


def make_episodes(
    settings: CylinderSettings, seed: int, actions: int, kinds: tuple[str, ...], episodes: list[int]
) -> list[xr.Dataset]:
    """The recordings of the episodes with these numbers, simulated together."""
    simulator = simulator_of(settings)
    generators = [generator_of(seed, episode) for episode in episodes]
    names = [kinds[episode % len(kinds)] for episode in episodes]
    state = join([simulator.start(1, rng) for rng in generators])
    drawn = [draw(simulator, kind, actions, rng) for kind, rng in zip(names, generators, strict=True)]
    observations, states, controls = play(simulator, state, drawn, streams(generators))
    return [
        recording_of(simulator, session_of(settings, seed, episode), names[k], k, observations, states, controls)
        for k, episode in enumerate(episodes)
    ]


def draw(simulator: CylinderSimulator, kind: str, actions: int, rng: np.random.Generator) -> Drawn:
    """What controls an episode, of a kind in KINDS."""
    one, most = simulator.settings, simulator.settings.most
    table, waves, gains = np.zeros((actions, 1)), np.zeros((WAVES, 4)), np.zeros((len(LAGS), 1))
    waves[:, 3] = np.inf
    if kind == "smooth":
        waves[:, 0] = most * rng.uniform(0.1, 0.6, WAVES)
        shedding = simulator.baseline.strouhal * one.speed / one.length
        waves[:, 1] = shedding * BAND ** rng.uniform(-1.0, 1.0, WAVES)
        waves[:, 2] = rng.uniform(0.0, 2.0 * np.pi, WAVES)
    elif kind in ("expert", "law"):
        good = np.array(GAINS) + SPREAD * rng.standard_normal(len(GAINS))
        chosen = good if kind == "expert" else rng.uniform(-1.0, 1.0, len(GAINS))
        gains[:, 0] = chosen * most / one.speed
        table = NOISE * most * rng.standard_normal((actions, 1))
    else:
        table = rng.uniform(-most, most, (actions, 1))
        table = held(table, rng) if kind == "held" else table
    return Drawn(table, waves, gains)


def play(
    simulator: CylinderSimulator, state: CylinderState, drawn: Sequence[Drawn], rng: np.random.Generator
) -> tuple[list[Observation], list[CylinderState], np.ndarray]:
    """Observations and states from the start to after every action, and controls : (episode, action, 1).

    The states are without their flows, which would fill the memory.
    """
    one, most = simulator.settings, simulator.settings.most
    n, actions = len(drawn), len(drawn[0].table)
    waves = np.stack([d.waves for d in drawn])
    laws = [Signals(waves[:, k], simulator.action_seconds, most) for k in range(WAVES)]
    middle = (MIDDLE[0] * one.length, MIDDLE[1] * one.length)
    heeds = any(d.gains.any() for d in drawn)
    feedback = [Feedback(np.stack([d.gains for d in drawn]), most, probe_places(one.length, middle))] if heeds else []
    controllers: list[Signals | Feedback] = [*laws, *feedback]
    memories = [controller.start(n, rng) for controller in controllers]
    observations, states = [simulator.image(state, rng)], [state.without_flow()]
    controls = np.empty((n, actions, 1))
    for action in range(actions):
        chosen = np.stack([d.table[action] for d in drawn])
        for k, controller in enumerate(controllers):
            more, memories[k] = controller.act(memories[k], observations[-1])
            chosen = chosen + more
        controls[:, action] = simulator.space.clip(chosen)
        observation, state = simulator.step(state, controls[:, action], rng)
        observations.append(observation)
        states.append(state.without_flow())
    return observations, states, controls


def state_table(simulator: CylinderSimulator) -> ColumnTable:
    """The states of a recording: means over the action that led to a frame, and the actuator at its end."""
    told = {"role": "measured", "acts": "during"}
    columns = [Column(name, "1", **told) for name in (*COEFFICIENTS, "momentum")]  # type: ignore[arg-type]
    units = simulator.space.table.columns[0].units
    return ColumnTable((*columns, Column("amplitude", units, **told)))  # type: ignore[arg-type]


def recording_of(
    simulator: CylinderSimulator,
    session: str,
    kind: str,
    k: int,
    observations: list[Observation],
    states: list[CylinderState],
    controls: np.ndarray,
) -> xr.Dataset:
    """The recording of episode k of those that were simulated together.

    kind : of its controls, in words. observations, states : from the start to after every action, the states at least
    `without_flow`. controls : (episode, action, 1).
    """
    settings, baseline = simulator.settings, simulator.baseline
    means = np.stack([[*state.coefficients[k], state.momentum[k]] for state in states])
    means[0] = np.nan  # of no action
    units = simulator.space.table.columns[0].units
    facts = {
        "reynolds": (settings.reynolds, "1"),
        "blockage": (1.0 / CHANNEL[1], "1"),
        "limit": (settings.most, units),
        "baseline_drag": (baseline.drag, "1"),
        "baseline_lift_rms": (baseline.lift_rms, "1"),
    }
    return recording.make(
        np.stack([o.frames[k] for o in observations]),
        np.array([o.time[k] for o in observations]),
        channels=CHANNELS,
        controls=np.concatenate([controls[k], [[np.nan]]]),
        control_table=simulator.space.table,
        view=observations[0].view[k],
        view_units="m",
        row_direction="up",
        states=np.column_stack([means, [state.amplitude[k] for state in states]]),
        state_table=state_table(simulator),
        covariates={name: value for name, (value, _) in facts.items()},
        covariate_table=ColumnTable(tuple(Column(name, unit, low=0.0) for name, (_, unit) in facts.items())),
        session=session,
        source=f"{SOURCE}, {to_dict(settings)}",
        licence="CC0-1.0",
        citation="",
        history=f"simulated: the wake of a cylinder in a channel, {kind} controls",
    )


@lru_cache(maxsize=2)
def simulator_of(settings: CylinderSettings) -> CylinderSimulator:
    """The simulator of these settings, one a process, whose wake is made once."""
    return CylinderSimulator(settings)
