"""The report on steering silicon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from plotly.graph_objects import Figure

from sciworld import plots
from sciworld.demos.trained import how_trained
from sciworld.domains.stem.constants import BOND
from sciworld.domains.stem.simulator import StemSimulator
from sciworld.evaluate.decisions import to_table
from sciworld.evaluate.report import Section, write_report
from sciworld.evaluate.table import Table
from sciworld.evaluate.verdict import Verdict, compare
from sciworld.simulator import Trajectory
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.hop_map import HopMap
from sciworld.tasks.steering import LIMIT
from sciworld.training.run import Run

IMAGES = 6  # of the truth, and imagined
OFFSET = 1.2  # A from the silicon toward a neighbour: where the beam stands in the first part
DWELL = 5.0  # s


@dataclass(frozen=True, eq=False)
class Dream:
    """One atom under one beam: context, what came of it in the trusted simulator, and what the surrogate imagines.

    context, mean : (1, y, x). truth, imagined : (image, y, x). Counts.
    """

    context: np.ndarray
    truth: np.ndarray
    imagined: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True, eq=False)
class Material:
    """What the report is made of. `path` is one episode of the planner toward `goal` (2,), with true states."""

    run: Run
    maps: HopMap
    verdicts: dict[str, Verdict]
    dream: Dream
    path: Trajectory
    goal: np.ndarray
    measures: Sequence[Section] = ()


def dream(surrogate: Surrogate, simulator: StemSimulator, seed: int) -> Dream:
    """Park the beam beside an unseen silicon, and look at what happens and at what is imagined."""
    rng = np.random.default_rng(seed)
    state = simulator.start(1, rng)
    present, state = simulator.expose(state, rng)
    bond = (state.neighbours[:, 0] - state.silicon) / BOND
    control = np.column_stack([state.silicon + OFFSET * bond, np.full(1, DWELL)])
    many = np.zeros(IMAGES, dtype=np.int64)
    truth, _ = simulator.step(state.take(many), control[many], rng)
    seen = surrogate.start(present)
    imagined = surrogate.futures(seen, control[:, None, None], IMAGES, rng)[0, 0, :, -1]
    mean = surrogate.futures(seen, control[:, None, None], 0, rng)[0, 0, :, -1]
    return Dream(present.frames[..., 0], truth.frames[..., 0], imagined[..., 0], mean[..., 0])


def write(path: Path, material: Material) -> Path:
    """Write the report with plotly's script beside it."""
    sections = [
        _images(material.dream),
        _maps(material.maps),
        _path(material),
        _verdicts(material),
        how_trained(material.run),
        *material.measures,
    ]
    return write_report(path, "Steering silicon through graphene", sections)


def verdict_table(verdicts: dict[str, Verdict]) -> Table:
    """The controllers side by side, seconds relative to greedy where its rates are known."""
    reference = "greedy with known rates"
    return compare(verdicts, reference if reference in verdicts else None)


def _images(dream: Dream) -> Section:
    rows = {
        "context": dream.context,
        "truth": dream.truth,
        "imagined": dream.imagined,
        "mean": dream.mean,
    }
    return Section(
        "What it imagines",
        f"A silicon atom (bright) that no training saw. The beam stands {OFFSET} A from it toward one neighbour for "
        f"{DWELL:g} s. Below the context: {IMAGES} trials in the trusted simulator, {IMAGES} futures sampled from the "
        "surrogate in four evaluations each, and the surrogate's posterior mean in one.",
        [plots.image_strip(rows, units="counts")],
    )


def _maps(maps: HopMap) -> Section:
    return Section(
        "Where the beam sends the silicon",
        "Probability that the silicon ends at one of its neighbours, for every beam position around it: as learned "
        "from recordings, and as it is by the master equation of the trusted simulator. "
        f"Over {maps.learned.shape[0]} unseen atoms, dwells of {', '.join(f'{d:g}' for d in maps.dwells)} s and all "
        f"neighbours: correlation {maps.correlation:.3f}, mean absolute difference {maps.absolute_error:.3f}.",
        [map_figure(maps, 0, int(len(maps.dwells) // 2), neighbour) for neighbour in range(3)],
    )


def map_figure(maps: HopMap, context: int, dwell: int, neighbour: int) -> Figure:
    """Learned, true and their difference for one context, dwell and neighbour."""
    side = round(np.sqrt(len(maps.offsets)))
    low, high = maps.offsets.min(axis=0), maps.offsets.max(axis=0)
    return plots.compare_maps(
        maps.learned[context, dwell, :, neighbour].reshape(side, side),
        maps.true[context, dwell, :, neighbour].reshape(side, side),
        (low[0], high[0], low[1], high[1]),
        title=f"P(silicon ends at neighbour {neighbour + 1}), dwell {maps.dwells[dwell]:g} s",
        axis_titles=("beam x from the silicon (A)", "beam y from the silicon (A)"),
        units="probability",
        points={"silicon": np.zeros((1, 2))},
    )


def _path(material: Material) -> Section:
    trajectory = material.path
    path = np.stack([state.silicon[0] for state in trajectory.states])[: trajectory.length[0] + 1]
    first = trajectory.observations[0]
    v = first.view[0]
    rows, cols = first.frames.shape[1:3]
    extent = (v[2], v[0] * (cols - 1) + v[2], v[5], v[4] * (rows - 1) + v[5])
    figure = plots.path_on_image(
        first.frames[0, :, :, 0],
        path,
        material.goal,
        extent,
        title="The silicon's path in the trusted simulator",
        axis_titles=("x (A)", "y (A)"),
    )
    seconds = float(trajectory.states[-1].seconds[0] - trajectory.states[0].seconds[0])
    end = "reached its goal" if trajectory.done[0] else "did not reach its goal"
    prose = f"One episode of the planner: {trajectory.length[0]} actions, {seconds:.0f} s; it {end}."
    return Section("One path from start to goal", prose, [figure])


def _verdicts(material: Material) -> Section:
    verdicts = material.verdicts
    promised = verdicts["planned on the surrogate"]
    return Section(
        "The verdict",
        f"The same {len(promised)} starts and goals for each controller; an episode fails after {LIMIT:g} s. The "
        "planner sees frames and its surrogate. Greedy knows the rates' maximum and a good dwell. Promise is the "
        "approach to the goal in A/s that the surrogate expected of its choices, outcome is what came.\n\n"
        "Below, all beams and dwells of the maps as candidates for sending the silicon to one neighbour: how good the "
        "choice is that the surrogate's promises make.",
        [verdict_table(verdicts), to_table(material.maps.choices)],
        [text for verdict in verdicts.values() for text in verdict.warnings()],
    )
