"""The report on calming a wake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld import plots
from sciworld.demos.trained import how_trained
from sciworld.domains.fluid.imagined import ImaginedCost
from sciworld.evaluate.decisions import to_table
from sciworld.evaluate.report import Section, write_report
from sciworld.evaluate.table import Table, number
from sciworld.evaluate.verdict import Verdict, compare
from sciworld.search.law import Law
from sciworld.simulator import Trajectory, rollout
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.calming import AHEAD, SETTLE, Episodes
from sciworld.training.run import Run

SHOWN = (0, 8, 16, 24, 32, 40, 48)  # actions, of which frames are shown
UNITS = "m/s"


@dataclass(frozen=True, eq=False)
class Material:
    """What the report is made of; runs and verdicts by the names of their controllers, the first being the search's."""

    run: Run
    surrogate: Surrogate
    cost: ImaginedCost
    law: Law
    episodes: Episodes
    runs: dict[str, Trajectory]
    verdicts: dict[str, Verdict]
    choices: xr.Dataset
    measures: Sequence[Section] = ()


def write(path: Path, material: Material) -> Path:
    """Write the report with plotly's script beside it."""
    imagined = _imagined(material)
    sections = [
        _images(material, imagined),
        _forces(material, imagined),
        _wakes(material),
        _verdicts(material),
        how_trained(material.run),
        *material.measures,
    ]
    return write_report(path, "Calming the wake of a cylinder", sections)


def _imagined(material: Material) -> Trajectory:
    """The surrogate under the controls that the found law chose in the first true episode."""
    controls = next(iter(material.runs.values())).controls[:1, : SHOWN[-1]]
    first = material.episodes.first.take(np.array([0]))
    return rollout(
        material.surrogate, material.surrogate.start(first), first, _Replayed(controls), SHOWN[-1],
        np.random.default_rng(0),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Replayed:
    """Controls (episode, action, 1) as they were."""

    controls: np.ndarray

    def start(self, n: int, rng: np.random.Generator) -> Any:
        return 0

    def act(self, state: Any, observation: Any) -> tuple[np.ndarray, Any]:
        return self.controls[:, state], state + 1


def _images(material: Material, imagined: Trajectory) -> Section:
    true = next(iter(material.runs.values()))
    rows = {
        name: np.stack([run.observations[at].frames[0, ::-1, :, 1] for at in SHOWN])
        for name, run in (("truth", true), ("imagined", imagined))
    }
    seconds = [f"{true.observations[at].time[0] - true.observations[0].time[0]:.2g} s" for at in SHOWN]
    apart = np.sqrt(np.mean((rows["truth"] - rows["imagined"]) ** 2, axis=(1, 2)))
    return Section(
        "What it imagines",
        "The velocity across the stream behind the cylinder, which the fluid passes from the left: as the trusted "
        "simulator has it, and as the surrogate imagines it from the first frame alone, under the same controls. "
        f"They are {apart[1]:.2g} m/s apart after {SHOWN[1]} actions, {apart[-1]:.2g} m/s after {SHOWN[-1]} (root mean "
        "square).",
        [plots.image_strip(rows, seconds, units=UNITS)],
    )


def _forces(material: Material, imagined: Trajectory) -> Section:
    true = next(iter(material.runs.values()))
    read = material.cost.reader(np.stack([one.frames[0] for one in imagined.observations[1:]]))
    measured = np.stack([state.coefficients[0] for state in true.states[1:]])
    unit = float(true.states[1].seconds[0] - true.states[0].seconds[0])
    rows = [
        {
            "seconds": (k + 1) * unit, "true drag": measured[k, 0], "true lift": measured[k, 1],
            "imagined drag": read[k, 0] if k < len(read) else None,
            "imagined lift": read[k, 1] if k < len(read) else None,
        }
        for k in range(len(measured))
    ]  # fmt: skip
    error, settings = material.cost.reader.error, material.episodes.simulator.settings
    control = material.episodes.simulator.space.table.columns[0]
    gains = ", ".join(number(gain) for gain in material.law.parameters)
    return Section(
        "Drag and lift, read from frames",
        "Imagined flows come without forces: a ridge regression, fitted on recordings, reads them from the frames. On "
        f"recordings that it did not see it errs by {error[0]:.2g} in C_D and {error[1]:.2g} in C_L. The law that the "
        f"search found answers the cross velocity 1.5 diameters behind the cylinder with gains {gains} (now, and two "
        f"and four actions ago), in units of {settings.most:g} {control.units} of the {control.name} over "
        f"{settings.speed:g} m/s of the stream.",
        [
            plots.curves(rows, [f"true {name}", f"imagined {name}"], "seconds", y_title=title, log=False)
            for name, title in (("drag", "C_D"), ("lift", "C_L"))
        ],
    )


def _wakes(material: Material) -> Section:
    frames = {
        name: np.stack([run.observations[-1 - 4 * k].frames[0, ::-1, :, 0] for k in (2, 1, 0)])
        for name, run in material.runs.items()
    }
    return Section(
        "The wakes in the end",
        "The velocity along the stream in the trusted simulator, at the end of the first episode of each controller, "
        "one diameter of travel apart.",
        [plots.image_strip(frames, units=UNITS)],
    )


def _verdicts(material: Material) -> Section:
    return Section(
        "The verdict",
        f"The same {len(material.episodes.first)} developed wakes for each controller, 160 actions or 40 D/U long. "
        f"Promise is what the surrogate expected to be saved in actions {SETTLE + 1} to {AHEAD}, while the wake still "
        "calms; outcome is what was saved in these, by the solver's own forces. The law of direct search was found in "
        "the trusted simulator once, and is not searched anew.\n\n"
        "Below, random laws as candidates: how good the choice is that the surrogate's promises make.",
        [compare(material.verdicts), terms(material.episodes, material.runs), to_table(material.choices)],
        [text for verdict in material.verdicts.values() for text in verdict.warnings()] + at_bounds(material.law),
    )


def at_bounds(law: Law) -> list[str]:
    """A warning where the search was held by its bounds of -1 and 1."""
    held = int((np.abs(law.parameters) >= 1).sum())
    return [f"{held} of {len(law.parameters)} gains are at the bounds of the search: wider ones may do better"] * (
        held > 0
    )


def terms(episodes: Episodes, runs: dict[str, Trajectory]) -> Table:
    """What each controller cost when its wake had settled, term by term."""
    names = ("drag change (%)", "C_L mean", "C_L rms", "effort", "saved (%)")
    rows = []
    for name, run in runs.items():
        cost = episodes.settled(run)
        parts = (cost.drag_change, cost.lift, cost.lift_rms, cost.energy, -cost.total)
        rows.append((name, *(number(float(np.mean(part))) for part in parts)))
    baseline = episodes.simulator.baseline
    caption = (
        f"Means over the second half of the episodes. Without control C_D is {baseline.drag:.3f} and the rms of C_L "
        f"{baseline.lift_rms:.3f}. Saved is the drag's change with its sign turned, less what lift costs; effort is "
        "the mean square of the control in units of its bound."
    )
    return Table(("", *names), tuple(rows), caption)
