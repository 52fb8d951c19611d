"""The benchmark of masked models: each job measures what it says, on models trained for two steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def modules(benchmarks: Callable[..., Any]) -> Any:
    return benchmarks("masked", "masked_jobs", "contest", "contest_entrants", "contest_jobs", "harness")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from sciworld.domains.stem.generate import generate
    from sciworld.store import Store

    path = tmp_path_factory.mktemp("masked") / "store"
    generate(path, seed=5, transitions=88, rates="prior")
    return Store.open(path)


@pytest.fixture
def measured(modules: Any, store: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The figures of silicon alone, of two recordings each that are learned from and held out."""
    from sciworld.selection import Selection

    halves = Selection(store, np.array([0, 1])), Selection(store, np.array([2, 3]))
    for module in (modules.contest_jobs, modules.masked_jobs):
        monkeypatch.setattr(module, "halves", lambda name, quick: halves)
    arenas = {"stem": modules.contest_jobs.ARENAS["stem"]}
    monkeypatch.setattr(modules.masked, "ARENAS", arenas)
    monkeypatch.setattr(modules.masked, "ACTIONS", dataclasses.replace(modules.masked.ACTIONS, stores=("stem",)))
    options = modules.contest_entrants.Options(1.0, 1)
    return modules.masked.Measured(options), modules.harness.Run(True, tmp_path / "cache")


def test_a_tokenizer_is_judged_on_what_is_held_out(measured: Any) -> None:
    figures = measured[0].tokens(measured[1])
    (row,) = figures["tokenizer_psnr"].rows
    assert len(row["psnr"]) == 2 and figures["tokenizer_psnr"].value == pytest.approx(np.mean(row["psnr"]))
    assert 0 < figures["code_use"].value == row["used"] <= 1


def test_codes_of_one_recording_are_counted(measured: Any) -> None:
    figure = measured[0].overfit(measured[1])
    (row,) = figure.rows
    assert len(row["accuracy"]) == 22 and 0 <= figure.value < 0.5  # two steps teach nothing


def test_controls_and_steps_of_a_masked_model(measured: Any) -> None:
    made, run = measured
    heeded = made.heeded(run)
    assert len(heeded.rows[0]["recordings"]) == 2 and heeded.spread is not None
    (row,) = made.steps(run).rows
    assert row["ratio"] == pytest.approx(np.mean(row["few"]) / np.mean(row["many"]))
    pace = made.pace(run)
    assert set(pace) == {"fps_32", "sampled_fps_32"} and all(figure.value > 0 for figure in pace.values())


def test_actions_are_told_in_controls_by_a_few(measured: Any) -> None:
    figure = measured[0].agreement(measured[1])
    assert [row["control"] for row in figure.rows] == ["beam_angle", "dwell"]
    for row in figure.rows:
        truth, read = np.array(row["true"]), np.array(row["read"])
        balanced = np.mean([(read[truth == one] == one).mean() for one in np.unique(truth)])
        assert row["balanced"] == pytest.approx(balanced)
        assert row["over_chance"] == pytest.approx(balanced * row["bins"])


def test_hops_are_mapped_from_samples(modules: Any, measured: Any, monkeypatch: pytest.MonkeyPatch, store: Any) -> None:
    import stem_entrants

    monkeypatch.setattr(stem_entrants, "store_of", lambda run, rates: store)
    figure = measured[0].hops(measured[1])
    assert len(figure.rows) == 2 and 0 <= figure.value <= 1


def test_the_tokenizer_that_is_judged_is_the_model_s(modules: Any) -> None:
    for name in modules.contest_jobs.ARENAS:
        settings = modules.masked.MASKED.resolved(name)
        assert settings["tokenizer"] == modules.masked.TOKENIZER.resolved(name)
        assert settings["joint"]
