"""The longer report: the demo's five parts, and what took too long for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from plotly.graph_objects import Figure as Plot

import stem_entrants as entrants
from harness import Run
from sciworld.demos import stem, stem_report
from sciworld.evaluate.report import Section
from sciworld.evaluate.verdict import compare
from sciworld.measures.intervals import wilson
from sciworld.training.run import Run as TrainingRun


def write_long_report(run: Run) -> Path:
    """Write the report in the benchmark's cache folder, from surrogates and verdicts that are kept there."""
    scale = entrants.Scale(run.quick)
    surrogate, appearance = entrants.surrogate_of(run, "all"), entrants.appearance(run)
    simulator, _, _ = entrants.unseen(1, 1)
    verdicts = {
        stem.PLANNED: entrants.planned(run, "all"),
        stem.GREEDY: entrants.greedy(run),
        "random": entrants.random(run),
    }
    path, goal = stem.one_path(entrants.episodes_of(run), surrogate, appearance, 11)
    material = stem_report.Material(
        run=TrainingRun(entrants.folder_of(run, "all")),
        maps=stem.maps_of(surrogate, simulator, appearance, min(scale.contexts, 8), 0),
        verdicts=verdicts,
        dream=stem_report.dream(surrogate, simulator, 3),
        path=path,
        goal=goal,
        extra=(_shuffled(run), _unseen(run), _sizes(run)),
    )
    return stem_report.write(run.cache / "report.html", material)


def _shuffled(run: Run) -> Section:
    verdicts = {
        "trained on shuffled controls": entrants.planned(run, "shuffled", few=True),
        "random": entrants.random(run, few=True),
    }
    return Section(
        "Trained on shuffled controls",
        "The same training on the same recordings, but with the controls of each recording in another order. A search "
        "that found its way all the same would see something that it must not.",
        [compare(verdicts)],
    )


def _unseen(run: Run) -> Section:
    verdicts = {
        "planned, trained on prior": entrants.planned(run, "all", "simple", few=True),
        stem.GREEDY: entrants.greedy(run, "simple", few=True),
        "random": entrants.random(run, "simple", few=True),
    }
    return Section(
        "Rates that the training never saw",
        "Recorded under the rate model `prior`, judged under `simple`: another law of distance, faster hops.",
        [compare(verdicts, reference=stem.GREEDY)],
    )


def _sizes(run: Run) -> Section:
    figure = Plot()
    for kind, label in (("success", "from nothing"), ("pretrained_success", "after pre-training on mixture rates")):
        names = {size: f"{kind}_{size}" for size in entrants.SIZES}
        if kind == "success":
            names[entrants.Scale(run.quick).transitions] = "all"
        found = [entrants.planned(run, name, few=True) for name in names.values()]
        shares = [wilson(int(verdict.success.sum()), len(verdict)) for verdict in found]
        bars: dict[str, Any] = {
            "type": "data",
            "symmetric": False,
            "array": [share.high - share.value for share in shares],
            "arrayminus": [share.value - share.low for share in shares],
        }
        values = np.array([share.value for share in shares])
        figure.add_scatter(x=list(names), y=values, error_y=bars, mode="lines+markers", name=label)
    figure.update_xaxes(type="log", title="recorded transitions")
    figure.update_yaxes(range=[0, 1.02], title="share of goals reached")
    figure.update_layout(template="plotly_white", width=720, height=420)
    return Section(
        "How many recordings it takes",
        "Share of goals within 10 A reached in 600 s, with Wilson's 95 % interval. All 22,000 transitions are about 43 "
        "hours at the microscope; pre-training is on simulated atoms, each with rates of its own. Fewer transitions "
        "were trained on for fewer steps.",
        [figure],
    )
