"""The contest: its figures follow from what was scored, and a job trains and scores an entrant."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MEASURES = ("psnr_moving", "ssim_moving", "false_motion", "vrmse", "crps")
OTHERS = ("persistence", "climatology", "linear", "control-blind")


@pytest.fixture(scope="module")
def modules(benchmarks: Callable[..., Any]) -> Iterator[Any]:
    found = benchmarks("contest", "contest_entrants", "contest_jobs", "harness")
    yield found
    found.contest_jobs.references.cache_clear()


def result(psnr: float, crps: float, gain: tuple[float, ...] = (0.3, 0.4), inside: float = 0.9) -> dict[str, Any]:
    """As `contest_entrants.scored` gives it, of two recordings; baselines reach 20 dB and 2."""

    def guess(psnr: float, crps: float) -> dict[str, Any]:
        values = dict.fromkeys(MEASURES, 0.5) | {"psnr_moving": psnr, "crps": crps}
        return {name: {h: [value, value] for h in ("1", "4", "16")} for name, value in values.items()}

    return {
        "guesses": {"model": guess(psnr, crps)} | {name: guess(20.0, 2.0) for name in OTHERS},
        "model": {
            "coverage": {h: [inside, inside] for h in ("1", "4", "16")},
            "control_gain": {h: list(gain) for h in ("1", "4", "16")},
        },
        "frames_per_second": [90.0, 110.0, 100.0], "imagining_mb": 1.0, "starts": 40, "seconds": 300.0, "steps": 7,
        "parameters": 1000, "training_mb": 1.0, "evaluations": 4, "members": 1,
    }  # fmt: skip


@pytest.fixture
def contest(modules: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A contest of two of ours and one peer, whose results a test may change."""
    entrant = modules.contest_entrants.Entrant
    ours = {"one": entrant("diffusion"), "three": entrant("x", seeds=(0, 1, 2))}
    monkeypatch.setattr(modules.contest, "OURS", ours)
    monkeypatch.setattr(modules.contest, "PEERS", {"peer": entrant("y", stores=("stem", "flow"))})
    monkeypatch.setattr(modules.contest, "QUICK", ("one", "three", "peer"))
    monkeypatch.setattr(modules.contest, "COVERED", "three")
    three = result(22.5, 1.5, inside=0.7) | {"members": 3}
    found = {"one": result(24.0, 1.0), "three": three, "peer": result(23.0, 0.9)}
    monkeypatch.setattr(modules.contest, "scored", lambda run, options, store, name, one: found[name])
    made = modules.contest.Contest(modules.contest_entrants.Options(), tmp_path / "table.md")
    return made, modules.harness.Run(True, tmp_path), found


def test_a_win_is_of_one_of_ours_against_all_others(contest: Any) -> None:
    made, run, _ = contest
    wins = made.wins(run)
    assert wins["wins_psnr_h4"].value == 3
    assert wins["wins_crps_h16"].value == 1  # on the road, where the peer takes no part
    assert [row["ours"] for row in wins["wins_crps_h16"].rows] == ["one", "one", "one"]
    assert [row["other"] for row in wins["wins_crps_h16"].rows[:2]] == ["peer", "peer"]
    margins = [(row["value"], row["low"], row["high"]) for row in wins["wins_crps_h16"].rows]
    assert margins == [pytest.approx((-0.1,) * 3), pytest.approx((-0.1,) * 3), pytest.approx((1.0,) * 3)]
    assert len(wins["entrants"].rows) == 3 * (3 * 6 + 2) and wins["entrants"].value == 3 + 4


def test_who_is_lost_somewhere_beats_nobody(contest: Any) -> None:
    made, run, found = contest
    lost = found["one"]["guesses"]["model"]
    for measure in MEASURES:
        lost[measure]["16"][1] = math.nan
    wins = made.wins(run)
    assert (wins["wins_psnr_h4"].value, wins["wins_psnr_h16"].value) == (3, 1)  # the other one, where no peer is


def test_the_worst_gains_are_told_and_the_fastest_with_both(contest: Any) -> None:
    made, run, found = contest
    found["three"]["model"]["control_gain"]["4"] = [-0.1, 0.5]
    found["three"]["frames_per_second"] = [1e6]
    gains = made.gains(run)
    assert gains["worst_gain_over_persistence_h4"].value == pytest.approx(2.5)
    assert gains["worst_control_gain_low"].value == pytest.approx(-0.1)
    assert gains["fastest_useful_fps"].value == pytest.approx(100.0)
    found["one"]["guesses"]["persistence"]["psnr_moving"]["4"] = [25.0, 25.0]
    made._rows.clear()
    assert made.gains(run)["fastest_useful_fps"].value == 0


def test_coverage_is_that_of_the_ensemble(contest: Any) -> None:
    made, run, found = contest
    assert made.coverage(run).value == pytest.approx(0.7)
    found["three"]["model"]["coverage"]["4"] = [1.0, 1.0]
    made._rows.clear()
    assert made.coverage(run).value == pytest.approx(1.0)


def test_the_tables_say_who_is_best_and_who_is_missing(contest: Any) -> None:
    made, run, _ = contest
    made.report(run)
    text = made.table.read_text()
    assert text.count("### ") == 3 and "simulusion: not installed" in text
    row = next(line for line in text.splitlines() if line.startswith("| *one* | **24.00**"))
    assert "1.00 / 1.00 / 1.00" in row and "0.350 (0.300 .. 0.400)" in row
    assert "**24.00** / **24.00** / **24.00**" in text


def test_settings_are_those_of_the_preset_the_entrant_and_the_store(modules: Any) -> None:
    entrant = modules.contest.OURS["diffusion"]
    assert entrant.resolved("stem")["context"] == 1 and entrant.resolved("road")["context"] == 2
    quickly = modules.contest_entrants.Entrant("diffusion", fit={"batch": 9})
    given = modules.contest_entrants.fitting(quickly, 3, modules.contest_entrants.Options(60.0, 1), False)
    assert given == {"batch": 9, "seconds": 60.0, "seed": 3, "threads": 1}


def test_a_job_trains_and_scores(modules: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sciworld.domains.stem.generate import generate
    from sciworld.selection import Selection
    from sciworld.store import Store

    generate(tmp_path / "store", seed=5, transitions=88, rates="prior")
    store = Store.open(tmp_path / "store")
    halves = Selection(store, np.array([0, 1])), Selection(store, np.array([2, 3]))
    monkeypatch.setattr(modules.contest_jobs, "halves", lambda name, quick: halves)
    entrants, entrant = modules.contest_entrants, modules.contest_entrants.Entrant("dmdc", evaluations=1)
    run, options = modules.harness.Run(True, tmp_path / "cache"), entrants.Options(1.0, 1)
    found = entrants.scored(run, options, "stem", "dmdc", entrant)
    assert json.loads(json.dumps(found)) == found
    assert found["starts"] == 2 and found["members"] == 1 and found["parameters"] > 1000
    guess = found["guesses"]["model"]
    assert np.shape(guess["psnr_moving"]["16"]) == (2,) and np.isfinite(guess["crps"]["4"]).all()
    assert not np.any(found["model"]["coverage"]["4"])  # all its samples are one
    persistence = found["guesses"]["persistence"]["vrmse"]
    assert persistence["1"] != persistence["16"]
    kept = list((tmp_path / "cache" / "runs").iterdir())
    assert len(kept) == 1 and (kept[0] / "model.safetensors").is_file()
    assert entrants.scored(run, options, "stem", "dmdc", entrant) == found


def test_the_halves_share_no_session(modules: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sciworld import catalog
    from sciworld.domains.stem.generate import generate

    generate(tmp_path / "store", seed=5, transitions=176, rates="prior")
    monkeypatch.setattr(catalog, "fetch", lambda name: tmp_path / "store")
    seen, held = modules.contest_jobs.halves("stem", False)
    assert len(held) == 2 and not set(seen.sessions()) & set(held.sessions())
    again = modules.contest_jobs.halves("stem", False)[1]
    assert again.sessions() == held.sessions()
