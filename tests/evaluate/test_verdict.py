"""A verdict sums up with intervals, survives JSON, and compares fairly."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal

from sciworld.errors import FormatError, SettingsError
from sciworld.evaluate.table import DASH, Table, interval, number
from sciworld.evaluate.verdict import Verdict, compare, judged, seconds_ratio
from sciworld.measures.intervals import Interval


def make(seed: int = 0, n: int = 20, **changed) -> Verdict:
    rng = np.random.default_rng(seed)
    outcome = (rng.random((n, 3)) < 0.5).astype(float)
    outcome[::2, 2] = np.nan
    fields = {
        "controller": "planned",
        "judge": "a <trusted> simulator",
        "made_training_data": True,
        "success": rng.random(n) < 0.8,
        "actions": rng.integers(1, 9, n),
        "seconds": rng.uniform(10, 90, n),
        "dose": rng.uniform(1e6, 2e6, n),
        "promise": np.where(np.isnan(outcome), np.nan, 0.7),
        "outcome": outcome,
        "dose_units": "electrons",
    }
    return Verdict(**(fields | changed))


def test_the_summary_is_what_the_episodes_say():
    verdict = make()
    summary = verdict.summary()
    assert summary["success"].value == verdict.success.mean()
    assert summary["seconds"].value == pytest.approx(verdict.seconds.mean())
    assert summary["promise"].value == pytest.approx(0.7)
    assert summary["outcome"].value == pytest.approx(np.nanmean(verdict.outcome))
    assert summary["optimism"].value == pytest.approx(0.7 - np.nanmean(verdict.outcome))
    for found in summary.values():
        assert found.low <= found.value + 1e-12 and found.value <= found.high + 1e-12
    assert verdict.summary(seed=3) == verdict.summary(seed=3) != summary


def test_what_was_not_measured_is_a_dash():
    nothing = np.full((20, 0), np.nan)
    verdict = make(promise=nothing, outcome=nothing, dose=np.full(20, np.nan))
    assert math.isnan(verdict.summary()["optimism"].value)
    cells = dict(verdict.to_table().rows)
    assert cells["promise"] == DASH and "dose (electrons)" not in cells, "nobody asks for the dose of what has none"


def test_what_is_infinite_is_not_written():
    with pytest.raises(FormatError, match=r"verdict: .* infinite numbers"):
        make(outcome=np.full((20, 1), -np.inf), promise=np.zeros((20, 1))).to_json()


def test_json_and_back():
    verdict = make()
    again = Verdict.from_json(verdict.to_json())
    for name in ("success", "actions", "seconds", "dose", "promise", "outcome"):
        assert_array_equal(getattr(again, name), getattr(verdict, name))
        assert getattr(again, name).dtype == getattr(verdict, name).dtype
    assert (again.controller, again.judge, again.made_training_data, again.dose_units) == (
        verdict.controller, verdict.judge, True, "electrons",
    )  # fmt: skip
    assert "NaN" not in verdict.to_json()
    for text in ("", "[]", "{}", verdict.to_json().replace("seconds", "weeks"), verdict.to_json()[:-40]):
        with pytest.raises(FormatError, match=r"v\.json: not a verdict"):
            Verdict.from_json(text, "v.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("made_training_data", "no"),
        ("made_training_data", 0),
        ("success", [1, 0]),
        ("actions", [True, 2]),
        ("actions", [10**30, 2]),
        ("seconds", ["3", 4.0]),
        ("dose", [10**400, 4.0]),
        ("promise", [[0.1], [0.1, 0.2]]),
        ("controller", None),
    ],
)
def test_json_of_other_types_is_no_verdict(name, value):
    fields = json.loads(make(n=2).to_json()) | {name: value}
    with pytest.raises(FormatError, match="not a verdict"):
        Verdict.from_json(json.dumps(fields))
    with pytest.raises(FormatError, match="not a verdict"):
        Verdict.from_json("[" * 100_000)


def test_promises_have_units():
    verdict = make(promise_units="A/s", promise=np.full((20, 3), 2.0))
    again = Verdict.from_json(verdict.to_json())
    assert again.promise_units == "A/s"
    names = [name for name, _ in verdict.to_table().rows]
    assert names[-3:] == ["promise (A/s)", "outcome (A/s)", "optimism (A/s)"]
    assert {"seconds (s)", "promise (A/s)", "optimism (A/s)"} <= set(compare({"a": verdict, "b": again}).columns)
    assert verdict.warnings()[-1].endswith("] A/s")
    assert verdict.to_xarray().outcome.attrs["units"] == "A/s"
    old = json.loads(make().to_json())
    del old["promise_units"]
    assert Verdict.from_json(json.dumps(old)).promise_units == "1"


def test_the_dataset_carries_units_and_can_be_stored(tmp_path):
    dataset = make().to_xarray()
    assert dataset.sizes == {"episode": 20, "decision": 3}
    assert dataset.seconds.attrs["units"] == "s" and dataset.dose.attrs["units"] == "electrons"
    assert dataset.attrs["judge"] == "a <trusted> simulator"
    dataset.to_zarr(tmp_path / "v.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "v.zarr", consolidated=False) as stored:
        xr.testing.assert_identical(stored.load(), dataset)


def test_who_judged_is_always_said():
    verdict = make()
    assert "judged by a <trusted> simulator, which also made the training data" in str(verdict.to_table())
    assert "a &lt;trusted&gt; simulator" in verdict._repr_html_() and "<trusted>" not in verdict._repr_html_()
    assert any("also made the training data" in line for line in verdict.warnings())
    assert not make(made_training_data=False, promise=np.full((20, 3), 0.1)).warnings()


def test_seconds_are_compared_in_pairs_that_both_succeeded():
    fast, slow = make(success=np.arange(20) < 15), make(success=np.arange(20) > 2, controller="greedy")
    slow = Verdict(**{**vars(slow), "seconds": fast.seconds * 2})
    found, pairs = seconds_ratio(fast, slow)
    assert found == pytest.approx((0.5, 0.5, 0.5)) and pairs == 12
    with pytest.raises(SettingsError, match="'planned' has 20 episodes, 'planned' 5"):
        seconds_ratio(fast, make(n=5))


def test_the_table_compares_all_against_the_reference():
    verdicts = {"planned": make(0), "greedy": make(1, made_training_data=False), "random": make(2)}
    table = compare(verdicts, "greedy")
    assert [row[0] for row in table.rows] == list(verdicts)
    at = table.columns.index("seconds / greedy")
    assert table.rows[1][at] == DASH and table.rows[0][at].endswith("pairs")
    assert table.rows[1][-1] == "no" and table.rows[0][-1] == "yes"
    assert len(compare(verdicts).columns) == len(table.columns) - 1
    with pytest.raises(SettingsError, match="no verdict 'best'; there are planned, greedy, random"):
        compare(verdicts, "best")
    with pytest.raises(SettingsError, match="no verdicts"):
        compare({})


def test_what_success_and_dose_are_is_said_and_who_learned_nothing_has_no_judge_to_share():
    one = make(goal="the lane is kept", dose_name="straying", dose_units="m^2 s", made_training_data=None)
    table = compare({"a": one, "b": make(goal="the lane is kept", dose_name="straying", dose_units="m^2 s")})
    assert "Success: the lane is kept. " in table.caption and "straying (m^2 s)" in table.columns
    assert [row[-1] for row in table.rows] == [DASH, "yes"]
    assert judged(one) == "judged by a <trusted> simulator" and "made_training_data" not in one.to_xarray().attrs
    again = Verdict.from_json(one.to_json())
    assert (again.goal, again.dose_name, again.made_training_data) == (one.goal, one.dose_name, None)
    assert not any("training data" in line for line in one.warnings())


def test_a_common_judge_stands_below_and_others_beside():
    one, other = make(judge="the lattice"), make(judge="the microscope")
    same = compare({"a": one, "b": one})
    assert same.caption.startswith("Judged by the lattice. ") and "judge" not in same.columns
    apart = compare({"a": one, "b": other})
    assert [row[apart.columns.index("judge")] for row in apart.rows] == ["the lattice", "the microscope"]


def test_episodes_that_do_not_fit_are_refused():
    with pytest.raises(SettingsError, match="shapes do not fit"):
        make(seconds=np.zeros(3))


def test_a_table_reads_well_in_a_terminal_and_escapes_in_html():
    table = Table(("name", "n"), (("a<b", "1"), ("c", "22")), "the end")
    assert str(table).splitlines() == ["name  n", "----  --", "a<b   1", "c     22", "the end"]
    assert "a&lt;b" in table._repr_html_() and "<caption>the end</caption>" in table._repr_html_()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.9712, "0.971"), (1.0, "1.00"), (12.345, "12.3"), (123.4, "123"), (-0.05, "-0.050"),
     (0.00123, "0.001"), (123456.0, "123456"), (3.1e6, "3.10e+06"), (1e-5, "1.00e-05"), (math.nan, DASH)],
)  # fmt: skip
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_an_interval_says_only_what_is_known():
    assert interval(Interval(0.5, 0.4, 0.6)) == "0.500 [0.400, 0.600]"
    assert interval(Interval(0.5, math.nan, math.nan)) == interval(Interval(0.5, 0.5, 0.5)) == "0.500"
    assert interval(Interval(math.nan, math.nan, math.nan)) == DASH


def test_regret_coverage_and_violations_are_said_where_they_are_known():
    rng = np.random.default_rng(4)
    promise = rng.normal(1.0, 0.5, (400, 2))
    outcome = promise + rng.normal(0.0, 0.2, promise.shape)
    plain = make(n=400, promise=promise, outcome=outcome)
    assert not {"regret", "coverage90", "violations"} & set(plain.summary())
    full = make(
        n=400, promise=promise, outcome=outcome, uncertainty=np.full(promise.shape, 0.2), best=outcome + 0.3,
        violations=np.tile([0.0, 0.5], 200), promise_units="A/s",
    )  # fmt: skip
    summary = full.summary()
    assert summary["regret"].value == pytest.approx(0.3) and summary["violations"].value == pytest.approx(0.25)
    assert 0.86 < summary["coverage90"].value < 0.94
    sure = make(n=400, promise=promise, outcome=outcome, uncertainty=np.full(promise.shape, 0.02))
    assert sure.summary()["coverage90"].value < 0.3
    assert "regret (A/s)" in dict(full.to_table().rows) and "regret" in full._repr_html_()
    again = Verdict.from_json(full.to_json())
    for name in ("uncertainty", "best", "violations"):
        assert_array_equal(getattr(again, name), getattr(full, name))
    dataset = full.to_xarray()
    assert dataset.best.attrs["units"] == "A/s" and dataset.violations.dims == ("episode",)
    with pytest.raises(SettingsError, match="shapes do not fit"):
        make(best=np.zeros((20, 2)))


def test_calibration_sets_small_promises_beside_large_ones():
    promise = np.linspace(0.0, 4.0, 60).reshape(20, 3)
    honest, boastful = (make(promise=promise, outcome=share * promise).calibration() for share in (1.0, 0.5))
    np.testing.assert_allclose(honest.outcome, honest.promise)
    assert honest.rank_correlation == 1 and honest.decisions.sum() == 60
    np.testing.assert_allclose(boastful.outcome, boastful.promise / 2)
    figure = make(promise=promise, outcome=0.5 * promise, promise_units="A/s").figure()
    np.testing.assert_allclose(figure.data[1].y, boastful.outcome)
    assert figure.layout.xaxis.title.text == "promise (A/s)"
    nothing = make(promise=np.full((20, 0), np.nan), outcome=np.full((20, 0), np.nan)).calibration()
    assert nothing.sizes["bin"] == 0 and np.isnan(nothing.rank_correlation)
