"""The demo of the wake, from recordings to a verdict, at a small size; the search does without the truth."""

import json

import numpy as np
import pytest

from sciworld.demos import fluid, fluid_report
from sciworld.demos.fluid import DemoSettings
from sciworld.domains.fluid import simulator as truth
from sciworld.domains.fluid.generate import generate
from sciworld.domains.fluid.imagined import fit_cost
from sciworld.errors import SettingsError
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks import calming
from sciworld.training.run import Run

SMALL = {"cells": 10, "lattice_speed": 0.05}
SHORT = DemoSettings(steps=150, generations=2, starts=1, episodes=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of coarse wakes, and the folder of a demo on it."""
    folder = tmp_path_factory.mktemp("fluid")
    generate(folder / "store", seed=2, episodes=12, actions=20, rows=16, columns=48, pixel=0.2, **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        for name, short in (("EPISODE", 20), ("AHEAD", 8), ("SETTLE", 4)):
            patch.setattr(calming, name, short)
        patch.setattr(fluid_report, "SHOWN", (0, 8, 16))
        report = fluid.run(folder / "demo", SHORT, folder / "store")
    return folder / "store", report


def test_the_chain_ends_in_a_verdict(made):
    _, report = made
    page, verdicts = report.read_text(), json.loads((report.parent / "verdicts.json").read_text())
    for heading in ("What it imagines", "Drag and lift, read from frames", "The wakes in the end", "The verdict"):
        assert f"<h2>{heading}</h2>" in page
    assert set(verdicts) == {calming.PLANNED, calming.DIRECT, calming.IDLE, calming.CHANCE}
    planned = verdicts[calming.PLANNED]
    assert planned["made_training_data"] and planned["promise_units"] == "%" and planned["actions"] == [20, 20]
    assert np.isfinite(planned["promise"]).all() and np.isfinite(planned["outcome"]).all()
    assert verdicts[calming.IDLE]["promise"] == [[None], [None]] and "also made the training data" in page


def test_the_search_sees_no_truth(made, monkeypatch):
    path, report = made
    store = Store.open(path)
    surrogate, settings = Surrogate(Run(report.parent / "run").model(), evaluations=1), truth.CylinderSettings()
    for name, short in (("AHEAD", 8), ("SETTLE", 4)):
        monkeypatch.setattr(calming, name, short)
    for name in ("start", "step", "act", "image"):
        monkeypatch.setattr(truth.CylinderSimulator, name, lambda *_: pytest.fail("the search asked for the truth"))
    law = calming.plan(surrogate, store, fit_cost(store), settings, 2, 1, 0)
    assert law.parameters.shape == (3,) and law.episodes == 2 * 32 + 1
    again = calming.plan(surrogate, store, fit_cost(store), settings, 2, 1, 0)
    np.testing.assert_array_equal(law.scores, again.scores)


def test_promises_and_outcomes_are_what_is_saved():
    wake = truth.simulator(**SMALL)
    wakes = calming.Episodes.draw(wake, 2, 0)
    run = wakes.run(wakes.law(np.array([[0.6, 0.77, 0.17], [0.0, 0.0, 0.0]])))
    verdict = wakes.judge(run, "law", 3.0, True)
    assert verdict.success.tolist() == [True, False] and (verdict.promise == 3.0).all()
    assert verdict.outcome[0, 0] > 3 > 1 > abs(verdict.outcome[1, 0])
    np.testing.assert_allclose(verdict.seconds, 4.0)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"episodes": 1.5}, {"seed": -1}, {"generations": True}])
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(SettingsError, match=f"{next(iter(wrong))} is"):
        DemoSettings(**wrong)
