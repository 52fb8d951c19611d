"""Recordings from the trusted simulator of a road: drives in many places and weathers, good ones and bad ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import from_dict, require, to_dict, whole
from sciworld.controls import Column, ColumnTable
from sciworld.domains.driving.road.checks import collided, off_road
from sciworld.domains.driving.road.conditions import PRESETS, RANGES, RoadConditions, preset, sample_conditions
from sciworld.domains.driving.road.expert import expert_controls
from sciworld.domains.driving.road.joined import join
from sciworld.domains.driving.road.manoeuvres import STATES as MORE
from sciworld.domains.driving.road.manoeuvres import Manoeuvres, gap_ahead
from sciworld.domains.driving.road.places import NAMES
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import CHANNELS, RoadSimulator
from sciworld.domains.driving.road.state import RoadState
from sciworld.domains.driving.road.truth import lane_of
from sciworld.domains.generated import Progress, batch_size, fill, generator_of, held, kinds_of, wandering
from sciworld.kernels import road_layout as layout
from sciworld.store import Store
from sciworld.together import streams

SOURCE = "sciworld.domains.driving.road.generate"  # begins the source of every recording that is made here
CONTROLS = ("random", "smooth", "held", "expert")
STEPS = 200  # a recording
LATERAL = 3.0  # m/s^2, that the steering of drives without an expert asks for at most, at the speed of their start
BLIND = 0.25  # a fifth of the drives have no share of the expert at all
AFTER = 1.0  # s, of a drive that has left the road
SMOOTH = 12.0  # steps over which smooth controls are correlated
WANDER, BREADTH = 40.0, 0.6  # steps and m: how the line that an expert follows wanders about the lane's middle
SHAKE = (0.01, 0.5)  # rad and m/s^2, standard deviations of the expert's noise
COMMANDED = "rate limits are the actuators', which follow faster commands late: see wheel_angle, acceleration_done"
_TOLD = {"role": "measured", "acts": "during"}
STATES = ColumnTable(
    (
        Column("speed", "m/s", **_TOLD),  # type: ignore[arg-type]
        Column("wheel_angle", "rad", **_TOLD),  # type: ignore[arg-type]
        Column("acceleration_done", "m/s^2", **_TOLD),  # type: ignore[arg-type]
        Column("lane_offset", "m", **_TOLD),  # type: ignore[arg-type]
        Column("heading_error", "rad", **_TOLD),  # type: ignore[arg-type]
        Column("collision", "1", 0.0, 1.0, kind="event", **_TOLD),  # type: ignore[arg-type]
        Column("departure", "1", 0.0, 1.0, kind="event", **_TOLD),  # type: ignore[arg-type]
    )
)
NONE = Manoeuvres()
_UNITS = {"sun_azimuth_angle": "deg", "sun_altitude_angle": "deg", "fog_distance": "m", "fog_falloff": "1"}
COVARIATES = ColumnTable(
    (
        *(Column(name, _UNITS.get(name, "%"), low, high) for name, (low, high) in RANGES.items()),
        Column("place", "1", kind="categorical", levels=tuple(NAMES)),
    )
)


@dataclass(frozen=True)
class Drawn:
    """What controls a drive: (step, 2) known beforehand, and a share of what an expert does, (step,) m aside of the
    nearest own lane, or of a line at n : (step,) m."""

    table: np.ndarray
    aside: np.ndarray
    share: float
    line: np.ndarray | None = None


@dataclass(frozen=True)
class Seen:
    """One moment of n drives: frames (drive, y, x, channel), time (drive,) s, states (drive, state), see STATES."""

    frames: np.ndarray
    time: np.ndarray
    states: np.ndarray


def generate(
    path: str | Path,
    seed: int,
    episodes: int = 200,
    steps: int = STEPS,
    controls: str | Sequence[str] = CONTROLS,
    conditions: str = "any",
    change: float = 0.0,
    nearest: float = 0.0,
    farthest: float = 0.0,
    first: int = 0,
    workers: int = 0,
    client: Any = None,
    progress: Progress | None = None,
    **settings: object,
) -> Store:
    """Write recordings of drives, a world and session each, into the store at `path`.

    Drive k has the k-th of the `controls` in turn: "expert", one who knows the truth, and wanders about the lane's
    middle; "random", new values each step, "held", values for 2 to 12 steps, or "smooth", values that wander, on top of
    a share of the expert's that is drawn for each drive: some are blind, some only stray. A drive ends with the frame
    of its first collision, or a second after it left the road. conditions : the name of a preset; "any", which draws
    one for each drive; or "sampled", which draws each number of them. change, nearest, farthest : of lanes, and to what
    stands in the way, see `Manoeuvres`; with any, drives begin at any speed, and the states have the place on the road
    and the gap, too. settings : fields of RoadSettings. The truth is kept as `states`: models never see it. Among it is
    what the vehicle did: controls are commands, which may change faster than the rate limits of their columns.

    The seed and its number decide a drive: `first`, workers and client, see `generated.fill`, do not change it.
    """
    made = from_dict(RoadSettings, dict(settings), "generate")
    manoeuvres = Manoeuvres(change, nearest, farthest)
    steps, kinds = whole(steps, "steps", 1), kinds_of(controls, CONTROLS)
    known = ("any", "sampled", *PRESETS)
    require(
        isinstance(conditions, str) and conditions in known,
        f"conditions are {conditions!r:.80}; use one of {', '.join(known)}",
    )
    generator_of(seed, first)
    make = partial(make_episodes, made, seed, steps, kinds, conditions, manoeuvres=manoeuvres)
    together = batch_size((steps + 1) * made.rows * made.columns * 3)
    return fill(path, make, episodes, first, partial(session_of, made, seed), together, workers, client, progress)


def session_of(settings: RoadSettings, seed: int, episode: int) -> str:
    """The session of a drive."""
    return f"road-{settings.place}-{seed}-{episode:05d}"


def make_episodes(
    settings: RoadSettings,
    seed: int,
    steps: int,
    kinds: tuple[str, ...],
    conditions: str,
    episodes: list[int],
    manoeuvres: Manoeuvres = NONE,
) -> list[xr.Dataset]:
    """The recordings of the drives with these numbers, simulated together."""
    simulator = RoadSimulator(settings)
    generators = [generator_of(seed, episode) for episode in episodes]
    names = [kinds[episode % len(kinds)] for episode in episodes]
    begun = [simulator.start(1, rng).under(draw_conditions(conditions, rng)) for rng in generators]
    drawn = [
        draw(settings, kind, float(one.speed[0]), steps, rng)
        for kind, one, rng in zip(names, begun, generators, strict=True)
    ]
    if manoeuvres.any:
        begun = [manoeuvres.begun(one, simulator, rng) for one, rng in zip(begun, generators, strict=True)]
        lines = [manoeuvres.line(one, steps, settings.step, rng) for one, rng in zip(begun, generators, strict=True)]
        drawn = [dataclasses.replace(how, line=line) for how, line in zip(drawn, lines, strict=True)]
    state = join(begun)
    seen, controls = play(simulator, state, drawn, streams(generators), manoeuvres.any)
    return [
        recording_of(simulator, session_of(settings, seed, episode), names[k], k, state, seen, controls)
        for k, episode in enumerate(episodes)
    ]


def draw_conditions(conditions: str, rng: np.random.Generator) -> RoadConditions:
    """Light and weather of a drive, see `generate`."""
    if conditions == "sampled":
        return sample_conditions(rng)
    return preset(list(PRESETS)[rng.integers(len(PRESETS))] if conditions == "any" else conditions)


def draw(settings: RoadSettings, kind: str, speed: float, steps: int, rng: np.random.Generator) -> Drawn:
    """What controls a drive that begins with `speed` m/s, of a kind in CONTROLS."""
    aside = BREADTH * wandering(steps, WANDER, 1, rng)[:, 0]
    if kind == "expert":
        return Drawn(np.array(SHAKE) * rng.standard_normal((steps, 2)), aside, 1.0)
    share = max(0.0, rng.uniform(-BLIND, 1.0))
    sharpest = np.arctan(settings.wheelbase * LATERAL / max(speed, 3.0) ** 2)
    most = np.array([min(sharpest, settings.max_steering), min(settings.high_acceleration, -settings.low_acceleration)])
    most *= rng.uniform(0.1, 1.0, 2)
    if kind == "smooth":
        return Drawn(0.6 * most * wandering(steps, SMOOTH, 2, rng), aside, share)
    table = rng.uniform(-most, most, (steps, 2))
    return Drawn(held(table, rng) if kind == "held" else table, aside, share)


def play(
    simulator: RoadSimulator, state: RoadState, drawn: Sequence[Drawn], rng: np.random.Generator, more: bool = False
) -> tuple[list[Seen], np.ndarray]:
    """What is seen from the start to after every step, and controls : (drive, step, 2); with `more` of the states."""
    n, steps = len(drawn), len(drawn[0].table)
    share = np.array([[one.share] for one in drawn])
    seen = [seen_of(simulator, state, simulator.image(state, rng).frames, more)]
    controls = np.empty((n, steps, 2))
    for step in range(steps):
        chosen = np.stack([one.table[step] for one in drawn])
        line = [lane if one.line is None else one.line[step] for lane, one in zip(state.lane, drawn, strict=True)]
        line = np.array(line) + np.array([one.aside[step] for one in drawn])
        controls[:, step] = simulator.space.clip(chosen + share * expert_controls(simulator, state, line))
        observation, state = simulator.step(state, controls[:, step], rng)
        seen.append(seen_of(simulator, state, observation.frames, more))
    return seen, controls


def seen_of(simulator: RoadSimulator, state: RoadState, frames: np.ndarray, more: bool) -> Seen:
    """A moment whose frames are known; with `more` of the states, see `manoeuvres.STATES`."""
    lane = lane_of(simulator, state)
    known = [*state.motion[:, :3].T, lane.offset, lane.heading_error, collided(simulator, state), off_road(state)]
    if more:
        known += [state.road[:, 1], gap_ahead(simulator, state)]
    return Seen(frames, state.seconds, np.column_stack(known))


def end_of(states: np.ndarray, seconds: float) -> tuple[int, str]:
    """How many frames are kept, two or more, of a drive with states (frame, state) `seconds` apart, and why."""
    hit, left = (np.flatnonzero(states[1:, STATES.index(name)]) + 1 for name in ("collision", "departure"))
    ends = {"all of it": len(states)}
    if len(left):
        ends["until it had left the road"] = int(left[0]) + 1 + round(AFTER / seconds)
    if len(hit):
        ends["until it hit something"] = int(hit[0]) + 1
    why = min(ends, key=lambda name: ends[name])
    return ends[why], why


def recording_of(
    simulator: RoadSimulator,
    session: str,
    kind: str,
    k: int,
    state: RoadState,
    seen: list[Seen],
    controls: np.ndarray,
) -> xr.Dataset:
    """The recording of drive k of those that were simulated together, up to its end, see `end_of`.

    kind : of its controls, in words. state : of the drives at their start. seen : from there to after every step.
    controls : (drive, step, 2).
    """
    states = np.stack([one.states[k] for one in seen])
    frames, ending = end_of(states, simulator.settings.step)
    rows = np.full((frames, 2), np.nan)
    rows[:-1] = controls[k, : frames - 1]
    facts = dict(zip(RANGES, state.conditions[k].tolist(), strict=True))
    place = float(state.section[k, layout.PLACE])
    return recording.make(
        np.stack([one.frames[k] for one in seen[:frames]]),
        np.array([one.time[k] for one in seen[:frames]]),
        channels=CHANNELS,
        controls=rows,
        control_table=simulator.space.table,
        states=states[:frames],
        state_table=STATES if states.shape[1] == len(STATES) else ColumnTable((*STATES, *MORE)),
        covariates={**facts, "place": place},
        covariate_table=COVARIATES,
        session=session,
        source=f"{SOURCE}, {to_dict(simulator.settings)}",
        licence="CC0-1.0",
        citation="",
        history=f"simulated: a drive along a procedural road, {kind} controls, {ending}; {COMMANDED}",
    )
