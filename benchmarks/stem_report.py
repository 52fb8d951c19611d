"""The longer report: the demo's five parts, and what took too long for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from plotly.graph_objects import Figure as Plot

from harness import Run
from sciworld.demos import stem, stem_report
from sciworld.evaluate.report import Section
from sciworld.evaluate.verdict import Verdict, compare
from sciworld.measures.intervals import wilson
from sciworld.training.run import Run as TrainingRun
from stem_entrants import SIZES, Scale, episodes_of, main_surrogate, planned, rivals, unseen


def write_long_report(run: Run) -> int:
    """Write the report in the benchmark's cache folder; how many parts it has."""
    scale = Scale(run.quick)
    surrogate, appearance = main_surrogate(run)
    simulator, _, _ = unseen(1, 1)
    episodes = episodes_of(run)
    greedy, random = rivals(run)
    verdicts = {
        "planned on the surrogate": planned(run, "all", surrogate, appearance),
        "greedy with known rates": greedy,
        "random": random,
    }
    path, goal = stem.one_path(episodes, surrogate, appearance, 11)
    material = stem_report.Material(
        run=TrainingRun(run.cache / f"run-all{'-quick' if run.quick else ''}"),
        maps=stem.maps_of(surrogate, simulator, appearance, min(scale.contexts, 8), 0),
        verdicts=verdicts,
        dream=stem_report.dream(surrogate, simulator, 3),
        path=path,
        goal=goal,
        extra=(_shuffled(run, random), _unseen(run), _sizes(run)),
    )
    stem_report.write(run.cache / "report.html", material)
    return 5 + len(material.extra)


def _kept(run: Run, name: str, rates: str = "prior") -> Verdict:
    """A verdict that an earlier figure measured and kept."""
    surrogate, appearance = main_surrogate(run)
    found: Verdict = planned(run, name, surrogate, appearance, rates=rates, few=True)
    return found


def _shuffled(run: Run, random: Verdict) -> Section:
    found = _kept(run, "shuffled")
    return Section(
        "Trained on shuffled controls",
        "The same training on the same recordings, but with the controls of each recording in another order. A search "
        "that found its way all the same would see something that it must not.",
        [compare({"trained on shuffled controls": found, "random": random})],
    )


def _unseen(run: Run) -> Section:
    greedy, random = rivals(run, "simple", few=True)
    verdicts = {
        "planned, trained on prior": _kept(run, "unseen", "simple"),
        "greedy with known rates": greedy,
        "random": random,
    }
    return Section(
        "Rates that the training never saw",
        "Recorded under the rate model `prior`, judged under `simple`: another law of distance, faster hops.",
        [compare(verdicts, reference="greedy with known rates")],
    )


def _sizes(run: Run) -> Section:
    figure = Plot()
    for kind, label in (("success", "from nothing"), ("pretrained_success", "after pre-training on mixture rates")):
        shares = []
        for size in SIZES:
            found = _kept(run, f"{kind}-{size}")
            shares.append(wilson(int(found.success.sum()), len(found)))
        values = np.array([share.value for share in shares])
        bars: dict[str, Any] = {
            "type": "data",
            "symmetric": False,
            "array": [share.high - share.value for share in shares],
            "arrayminus": [share.value - share.low for share in shares],
        }
        figure.add_scatter(x=list(SIZES), y=values, error_y=bars, mode="lines+markers", name=label)
    figure.update_xaxes(type="log", title="recorded transitions")
    figure.update_yaxes(range=[0, 1.02], title="share of goals reached")
    figure.update_layout(template="plotly_white", width=720, height=420)
    return Section(
        "How many recordings it takes",
        "Share of goals within 10 A reached in 600 s, with Wilson's 95 % interval. All 22,000 transitions are about 43 "
        "hours at the microscope; pre-training is on simulated atoms, each with rates of its own.",
        [figure],
    )
