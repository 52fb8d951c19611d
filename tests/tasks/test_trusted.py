"""Runs on wakes and drives before the simulator that made a store, from the command line."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
from typer.testing import CliRunner, Result

from sciworld.cli import app
from sciworld.domains.driving.road import generate as drives
from sciworld.domains.fluid import generate as wakes
from sciworld.domains.fluid.imagined import ImaginedCost
from sciworld.domains.stem import generate as silicon
from sciworld.errors import SettingsError
from sciworld.evaluate.verdict import Verdict
from sciworld.models.base import Signature
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.recording import check
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks import calming, lane_keeping, stem_run, trusted
from sciworld.tasks.road_experiment import RoadExperiment
from sciworld.training import trainer
from sciworld.training.run import Run
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings
from sciworld.windows import Windows

WAKE = {"rows": 16, "columns": 48, "pixel": 0.2, "cells": 10, "lattice_speed": 0.05}
CAMERA = {
    "rows": 16, "columns": 24, "step": 0.2, "vehicles": 0, "pedestrians": 0, "place": "countryside",
    "max_steering": 0.1, "noise": 2.0,
}  # fmt: skip
NARROW: dict[str, Any] = {"width": 8, "coarse": 8, "embedding": 8, "decoder_blocks": 1}
RIVALS = {
    "fluid": [calming.PLANNED, calming.DIRECT, calming.IDLE, calming.CHANCE],
    "driving": [lane_keeping.PLANNED, lane_keeping.EXPERT, lane_keeping.STRAIGHT, lane_keeping.RANDOM],
}
everywhere = pytest.mark.parametrize("domain", ["fluid", "driving"])
runner = CliRunner()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of each domain a folder with a store and, but of silicon, a run of a few steps on it."""
    folder = tmp_path_factory.mktemp("made")
    wakes.generate(folder / "fluid" / "store", 1, 6, 6, **WAKE)
    drives.generate(folder / "driving" / "store", 1, 6, 8, conditions="any", **CAMERA)
    silicon.generate(folder / "stem" / "store", 3, transitions=32, steps=8)
    Store.create(folder / "toy" / "store").append(toy.recordings(4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "DIAGNOSTIC_WINDOWS", 1)
        patch.setattr(trainer, "DIAGNOSTIC_BATCHES", 2)
        for domain in ("fluid", "driving", "toy"):
            store, fit = Store.open(folder / domain / "store"), FitSettings(steps=2, batch=4)
            preset = "certain" if domain == "fluid" else None
            train(store, folder / domain / "run", fit, preset=preset, changes=NARROW, progress=False)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few actions are imagined and judged."""
    for name, value in (("EPISODE", 6), ("AHEAD", 4), ("SETTLE", 2), ("GENERATIONS", 1), ("STARTS", 1)):
        monkeypatch.setattr(calming, name, value)
    monkeypatch.setattr(lane_keeping, "planner", partial(lane_keeping.planner, candidates=16))
    monkeypatch.setattr(trusted, "RoadExperiment", partial(RoadExperiment, lasting=1.0))


def replay(folder: Path, *more: object, store: Path | None = None) -> Result:
    words = ["replay", folder / "run", "--store", store or folder / "store", *more]
    return runner.invoke(app, [str(word) for word in words])


def refusal(found: Result) -> str:
    """The one line in which a command says no."""
    assert found.exit_code == 1 and found.stderr.startswith("error: ") and found.stderr.count("\n") == 1, found.output
    return found.stderr


@everywhere
def test_the_simulator_that_made_the_store_judges(domain: str, made: dict[str, Path], tmp_path: Path) -> None:
    out, page = tmp_path / "verdicts.json", tmp_path / "page.html"
    found = replay(made[domain], "--episodes", 2, "--out", out, "--report", page, "--seed", 4)
    assert found.exit_code == 0, found.output
    told = json.loads(out.read_text())
    verdicts = {name: Verdict.from_json(json.dumps(fields)) for name, fields in told.items()}
    assert list(verdicts) == RIVALS[domain] and all(len(verdict) == 2 for verdict in verdicts.values())
    planned, *others = verdicts.values()
    assert planned.made_training_data is True and {one.made_training_data for one in others} == {None}
    assert np.isfinite(planned.promise + planned.outcome).all() and np.isnan([one.promise for one in others[1:]]).all()
    assert "also made the training data" in found.stderr and all(name in found.stdout for name in verdicts)
    text = page.read_text()
    assert f"<h2>Promise and outcome: {planned.controller}</h2>" in text and text.count("<h2>") == 2
    again = trusted.judge(Run(made[domain] / "run"), surrogate(made[domain]), made[domain] / "store", 2, seed=4)
    np.testing.assert_array_equal(again[planned.controller].outcome, planned.outcome)


def surrogate(folder: Path) -> Surrogate:
    return Surrogate(Run(folder / "run").model())


@everywhere
def test_an_ensemble_is_judged_and_whether_its_data_were_the_judges(domain: str, made: dict[str, Path]) -> None:
    folder = made[domain]
    run, steps = Run(folder / "run"), []
    run.config["sources"] = ["elsewhere.nc"]
    pair = Ensemble([surrogate(folder), surrogate(folder)])
    found = trusted.judge(run, pair, folder / "store", 1, progress=lambda *done: steps.append(done))
    assert found[RIVALS[domain][0]].made_training_data is False and steps


def test_silicon_needs_no_store_and_may_have_one(made: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(stem_run, "judge", lambda *given: asked.append(given[2:]) or {})
    run, path = Run(made["toy"] / "run"), made["stem"] / "store"
    steered = Surrogate(Diffusion(Signature.of(Windows(Store.open(path), 1, 1)), DiffusionSettings(**NARROW)))
    for more in ((path,), (None, 1, 5.0, "simple", 2)):
        assert trusted.judge(run, steered, *more) == {}
    assert asked == [(20, 10.0, "prior", 0, None), (1, 5.0, "simple", 2, None)]


def test_what_cannot_be_judged_is_one_line(made: dict[str, Path], tmp_path: Path) -> None:
    none = refusal(replay(made["toy"]))
    assert "no trusted simulator made its recordings" in none and "give --objective" in none
    assert "of nothing; give --objective" in refusal(replay(made["toy"], store=Store.create(tmp_path / "empty").path))
    assert "expected jet" in refusal(replay(made["fluid"], store=made["driving"] / "store"))
    assert "expected fan_x" in refusal(replay(made["toy"], store=made["stem"] / "store"))
    assert "episodes is 0" in refusal(replay(made["driving"], "--episodes", 0))
    for given in (("--within", 5), ("--rates", "prior")):
        assert "are of silicon" in refusal(replay(made["fluid"], *given))
        assert "are of silicon" in refusal(replay(made["fluid"], *given, "--objective", "drag"))
    alone = runner.invoke(app, ["replay", str(made["fluid"] / "run")])
    assert "learned from the simulator of fluid; name a store" in refusal(alone)
    assert "give --store with --objective" in refusal(
        runner.invoke(app, ["replay", str(made["fluid"] / "run"), "--objective", "drag"])
    )
    same = ("--out", tmp_path / "a", "--report", tmp_path / "a")
    assert "a file of its own" in refusal(replay(made["fluid"], *same))
    shutil.copytree(made["fluid"] / "run", tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in config.items() if name != "sources"}))
    assert "does not say where" in refusal(replay(tmp_path, store=made["fluid"] / "store"))


def test_a_surrogate_on_which_no_law_is_found_is_to_be_trained(
    made: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImaginedCost, "__call__", lambda cost, frames, *given: np.full(len(frames), np.nan))
    assert "leave the recorded velocities" in (said := refusal(replay(made["fluid"]))) and "train it longer" in said


@everywhere
def test_stores_of_several_makers_other_frames_or_no_states_are_refused(
    domain: str, made: dict[str, Path], tmp_path: Path
) -> None:
    recordings = list(Store.open(made[domain] / "store"))[:2]
    bare, mixed = Store.create(tmp_path / "bare"), Store.create(tmp_path / "mixed")
    bare.append([check(ds.drop_vars("states")) for ds in recordings])
    mixed.append([recordings[0], recordings[1].assign_attrs(source="a film")])
    assert "no '" in refusal(replay(made[domain], store=bare.path))
    assert "and 1 other sources" in refusal(replay(made[domain], store=mixed.path))
    other: dict[str, Any] = {"fluid": WAKE | {"columns": 40}, "driving": CAMERA | {"rows": 12}}[domain]
    maker = wakes if domain == "fluid" else drives
    maker.generate(tmp_path / "other", 1, 6, 6, **other)
    assert "frames" in refusal(replay(made[domain], "--episodes", 1, store=tmp_path / "other"))


def test_recordings_are_judged_on_a_page_too(made: dict[str, Path], tmp_path: Path) -> None:
    wish = tmp_path / "wishes.py"
    wish.write_text("def warm(futures, controls):\n    return futures.mean(('time', 'y', 'x', 'channel'))\n")
    page = tmp_path / "page.html"
    found = replay(made["toy"], "--objective", f"{wish}:warm", "--horizon", 2, "--report", page)
    assert found.exit_code == 0 and "coverage90" in found.stdout, found.output
    assert "coverage90" in page.read_text() and "Promise and outcome: recorded controls" in page.read_text()


def test_a_store_says_its_domain(made: dict[str, Path]) -> None:
    found = {name: trusted.domain_of(Store.open(made[name] / "store")) for name in trusted.MAKERS}
    assert found == {name: name for name in trusted.MAKERS}
    with pytest.raises(SettingsError, match="give --objective"):
        trusted.domain_of(Store.open(made["toy"] / "store"))
