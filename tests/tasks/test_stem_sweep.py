"""The main job as cells of a sweep, and its command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster
from typer.testing import CliRunner

from sciworld.cli import app
from sciworld.domains.stem import appearance
from sciworld.errors import SettingsError
from sciworld.sweep.sweep import load
from sciworld.tasks import hop_map, steering, stem_sweep

TINY = stem_sweep.CellSettings(steps=2, episodes=1, contexts=1, budget=32)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes of an untrained surrogate end soon; maps have few beams; how atoms look is measured on fewer frames."""
    monkeypatch.setattr(steering, "LIMIT", 4.0)
    monkeypatch.setattr(hop_map, "DWELLS", (5.0,))
    few = hop_map.beams(3)
    monkeypatch.setattr(hop_map, "beams", lambda: few)
    monkeypatch.setattr(appearance, "FRAMES", 12)


@pytest.fixture
def scheduler() -> Iterator[str]:
    """The address of a scheduler whose one worker is a thread here, so that what a test replaces is replaced there."""
    with LocalCluster(
        processes=False, protocol="tcp", n_workers=1, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


def test_a_cell_is_the_main_job() -> None:
    one = stem_sweep.run_cell(3, "mixture", 44, TINY)
    assert set(stem_sweep.SHOWN) <= set(one)
    assert -1 <= one["hop_correlation"] <= 1 and 0 <= one["success"] <= 1 and one["loss"] > 0


def test_the_command_sweeps_and_goes_on(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "o"
    asked = ["--steps", "2", "--episodes", "1", "--budget", "32", "--scheduler", scheduler, "--out", str(out)]

    def call(*more: str) -> str:
        result = CliRunner().invoke(app, ["sweep", *asked, *more])
        return f"{result.exit_code} {result.output}"

    first = call("--seeds", "5", "--rates", "prior", "--transitions", "44")
    assert first.startswith("0 ") and f"1 of 1 cells are done: {out}" in first
    more = call("--seeds", "5,6", "--rates", "prior", "--transitions", "44")
    assert "2 of 2 cells are done" in more and re.search(r"seeds done +2 of 2", more)
    assert load(out).seed.values.tolist() == [5, 6]
    for wrong, says in (
        (("--seeds", "a"), "seeds is 'a'"),
        (("--seeds", "-1"), "use 0 to"),
        (("--seeds", ","), "at least one"),
        (("--rates", "none"), "rates are none"),
        (("--transitions", "3"), "at least 44 transitions"),
        (("--seeds", "5,6", "--rates", "prior", "--transitions", "66"), "has 44, this space has not"),
    ):
        said = call(*wrong)
        assert said.startswith("1 error: ") and says in said, said
    monkeypatch.setattr(stem_sweep, "train", lambda *arguments, **settings: 1 / 0)
    failed = call("--seeds", "5,6", "--rates", "prior,simple", "--transitions", "44")
    assert "2 of 4 cells are done" in failed and "cells failed" not in failed  # the log has it, and nobody else
    assert caplog.text.count("2 of 4 cells failed, such as by ZeroDivisionError") == 1


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="episodes is 0"):
        stem_sweep.CellSettings(episodes=0)
