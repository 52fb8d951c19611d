"""The report on keeping a lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciworld import plots
from sciworld.demos.trained import how_trained
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.evaluate.decisions import to_table
from sciworld.evaluate.report import Section, write_report
from sciworld.evaluate.verdict import Verdict, compare
from sciworld.simulator import Trajectory
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.lane_keeping import HORIZON, PLANNED, REACH, offset
from sciworld.tasks.lane_response import Response
from sciworld.training.run import Run

SHOWN = 0.6 * REACH  # rad: the steering under which images are imagined
WAYS = {"left": SHOWN, "straight": 0.0, "right": -SHOWN}


@dataclass(frozen=True, eq=False)
class Dream:
    """One place under steering that is held: the present (1, y, x), and for each way what came and what is imagined.

    truth, sample, mean : way -> (step, y, x). Counts, means over the colours.
    """

    context: np.ndarray
    truth: dict[str, np.ndarray]
    sample: dict[str, np.ndarray]
    mean: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Material:
    """What the report is made of. `paths` are drives of one road by controllers' names, with true states."""

    run: Run
    response: Response
    verdicts: dict[str, Verdict]
    dream: Dream
    paths: dict[str, Trajectory]
    seconds: float
    measures: Sequence[Section] = ()


def dream(surrogate: Surrogate, simulator: RoadSimulator, seed: int) -> Dream:
    """Hold the steering left, straight and right on an unseen road: what happens, and what is imagined."""
    rng = np.random.default_rng(seed)
    state = simulator.start(1, rng)
    present = simulator.image(state, rng)
    seen = surrogate.start(present)
    truth, sample, mean = {}, {}, {}
    for way, angle in WAYS.items():
        controls = np.tile([angle, 0.0], (HORIZON, 1))
        now, frames = state, []
        for row in controls:
            observation, now = simulator.step(now, row[None], rng)
            frames.append(observation.frames[0])
        truth[way] = _grey(np.stack(frames))
        sample[way] = _grey(surrogate.futures(seen, controls[None, None], 1, rng)[0, 0, 0])
        mean[way] = _grey(surrogate.futures(seen, controls[None, None], 0, rng)[0, 0, 0])
    return Dream(_grey(present.frames), truth, sample, mean)


def write(path: Path, material: Material) -> Path:
    """Write the report with plotly's script beside it."""
    sections = [
        _images(material.dream),
        _response(material.response),
        _path(material.paths),
        _verdicts(material),
        how_trained(material.run),
        *material.measures,
    ]
    return write_report(path, "Keeping a lane", sections)


def honest(verdicts: dict[str, Verdict]) -> str:
    """One sentence: in how many episodes each controller kept the lane."""
    counts = [f"{name} {int(verdict.success.sum())}" for name, verdict in verdicts.items()]
    return f"Of {len(verdicts[PLANNED])} episodes the lane was kept by: {', '.join(counts)}."


def _grey(frames: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.asarray(frames, dtype=np.float32).mean(axis=-1)
    return found


def _images(dream: Dream) -> Section:
    rows = {"present": dream.context}
    for way in WAYS:
        kinds = {"truth": dream.truth, "sample": dream.sample, "mean": dream.mean}
        rows |= {f"{way}: {kind}": found[way] for kind, found in kinds.items()}
    return Section(
        "What it imagines",
        f"A road that no training saw. The steering is held at {SHOWN:.3f} rad to the left, at 0, or to the right for "
        f"{HORIZON} steps. For each: what came in the trusted simulator, one future sampled from the surrogate, and "
        "its posterior mean, each step given the mean of the one before.",
        [plots.image_strip(rows, [f"step {i + 1}" for i in range(HORIZON)], units="counts")],
    )


def _response(response: Response) -> Section:
    last = len(response.steering) - 1
    chosen = {"left": last, "straight": last // 2, "right": 0}
    rows: list[dict[str, float]] = []
    for step, seconds in enumerate(response.time):
        row = {"time (s)": float(seconds)}
        for way, angle in chosen.items():
            row[f"{way}, imagined"] = float(response.imagined[:, angle, step].mean())
            row[f"{way}, true"] = float(response.true[:, angle, step].mean())
        rows.append(row)
    figure = plots.curves(
        rows, x="time (s)", title="Left of the lane's middle, mean over places", y_title="m", log=False
    )
    return Section(
        "Where the steering takes the car",
        f"At {len(response.true)} unseen places, after an expert has wandered in the lane, {last + 1} angles of up to "
        f"{REACH} rad either way are held. What is imagined is read by a linear reader, fitted to recorded frames; "
        f"what is true comes from the trusted simulator. {response.summary().capitalize()}.",
        [figure],
    )


def _path(paths: dict[str, Trajectory]) -> Section:
    rows: dict[float, dict[str, Any]] = {}
    ends = []
    for name, trajectory in paths.items():
        states = trajectory.states
        away = np.array([float(offset(state.road)[0]) for state in states])
        for state, value in zip(states, away, strict=True):
            seconds = round(float(state.seconds[0]), 6)
            rows.setdefault(seconds, {"time (s)": seconds})[name] = value if abs(value) < 4 else None
        end = "left the lane or hit something" if states[-1].lost[0] else "kept the lane"
        metres = float(states[-1].road.road[0, 0] - states[0].road.road[0, 0])
        ends.append(f"{name}: {end}, {metres:.0f} m along the road, at most {np.abs(away).max():.2f} m from the middle")
    figure = plots.curves(
        [rows[seconds] for seconds in sorted(rows)],
        list(paths),
        x="time (s)",
        title="Left of the lane's middle, in the trusted simulator",
        y_title="m",
        log=False,
    )
    planned = paths[PLANNED]
    shown = np.linspace(0, len(planned.observations) - 1, 8).round().astype(int)
    frames = np.stack([_grey(planned.observations[i].frames[0]) for i in shown])
    times = [f"{planned.states[i].seconds[0]:.1f} s" for i in shown]
    strip = plots.image_strip({"planner": frames}, times, title="What the planner's camera saw", units="counts")
    return Section(
        "One path from start to end",
        f"The same road for each controller; what is farther than 4 m away is left out. {'; '.join(ends)}.",
        [figure, strip],
    )


def _verdicts(material: Material) -> Section:
    verdicts = material.verdicts
    return Section(
        "The verdict",
        f"{honest(verdicts)} All start alike on the same empty roads. An episode succeeds if for "
        f"{material.seconds:g} s the car hit nothing and its middle crossed no edge of its lane; whoever "
        "left it once has failed. Straying is the squared distance from the "
        "lane's middle, summed over time; cars that left drive on to the end.\n\n"
        "The planner sees frames and its surrogate, and keeps its speed. The expert knows road and state, and slows "
        "down for bends. Straight ahead and random keep their speed; random steers within the bounds that the planner "
        "searches. Promise is minus the mean squared distance that the planner expected over its next steps, outcome "
        "is what came: the planner chooses anew after every step.\n\n"
        "Below, the held angles as candidates for staying in the lane's middle: how good the choice is that the "
        "surrogate's promises make.",
        [compare(verdicts), to_table(material.response.choices)],
        [text for verdict in verdicts.values() for text in verdict.warnings()],
    )
