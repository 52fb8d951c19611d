"""Intervals hold the truth as often as they say, and do so for ever the same seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sciworld.errors import SettingsError
from sciworld.measures import intervals
from sciworld.measures.intervals import bootstrap, mean, ratio_of_sums, wilson


def test_wilson_gives_the_published_values():
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3.
    for successes, trials, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        interval = wilson(successes, trials)
        assert interval == pytest.approx((successes / trials, low, high), abs=6e-5)
    assert wilson(100, 100).high == 1.0 and wilson(100, 100).low == pytest.approx(0.963, abs=1e-3)
    assert all(math.isnan(value) for value in wilson(0, 0))


def test_a_bootstrap_interval_holds_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = [low <= 3.0 <= high for _, low, high in (mean(rng.normal(3.0, 2.0, 40)) for _ in range(200))]
    assert 0.88 <= np.mean(held) <= 0.99


def test_the_seed_decides_and_missing_rows_are_left_out():
    values = np.array([1.0, np.nan, 4.0, 2.0, 7.0])
    assert mean(values) == mean(values) == mean(values[[0, 2, 3, 4]])
    assert mean(values).value == 3.5
    many = np.random.default_rng(0).normal(size=50)
    assert mean(many) == mean(many) != mean(many, seed=1)
    assert all(math.isnan(value) for value in mean(np.array([np.nan])))


def test_pairs_stay_together():
    below = np.random.default_rng(0).uniform(1, 100, 30)
    assert ratio_of_sums(1.5 * below, below) == pytest.approx((1.5, 1.5, 1.5))
    assert math.isnan(ratio_of_sums(np.ones(3), np.zeros(3)).value)
    alone = bootstrap(lambda a, b: (a * b).mean(axis=-1), np.array([2.0]), np.array([3.0]))
    assert alone.value == 6.0 and math.isnan(alone.low) and math.isnan(alone.high)  # of one nobody knows


def test_rows_of_one_group_are_resampled_together():
    values, sessions = np.tile([0.0, 1.0], 20), np.tile(["a", "b"], 20)
    assert mean(values, groups=sessions) == mean(np.array([0.0, 1.0])) == (0.5, 0.0, 1.0)
    assert mean(values).low > 0.3
    uneven = mean(np.array([1.0, 1.0, 4.0, np.nan]), groups=np.array(["a", "a", "b", "b"]))
    assert uneven.value == 2.0 and (uneven.low, uneven.high) == (1.0, 4.0)


@pytest.mark.parametrize("indices", [1, 39, 40, 1000, 2000 * 39])
def test_resamples_drawn_in_blocks_are_those_of_one_draw(monkeypatch: pytest.MonkeyPatch, indices: int) -> None:
    values = np.random.default_rng(0).normal(size=39)
    once = values[np.random.default_rng(5).integers(39, size=(2000, 39))].mean(axis=-1)
    most = []

    def statistic(rows: np.ndarray) -> np.ndarray:
        most.append(rows.size)
        return rows.mean(axis=-1)

    monkeypatch.setattr(intervals, "INDICES", indices)
    found = bootstrap(statistic, values, seed=5)
    assert (found.low, found.high) == tuple(np.quantile(once, [(1 - 0.95) / 2, (1 + 0.95) / 2]))
    assert max(most) <= max(indices, 39)


def test_masked_rows_are_left_out_and_infinite_ones_do_not_warn():
    values = np.array([1.0, 5.0, 4.0, 2.0, 7.0])
    assert mean(np.ma.array(values, mask=[0, 1, 0, 0, 0])) == mean(values[[0, 2, 3, 4]])
    assert mean([np.inf, 1.0, -np.inf]).value != mean([np.inf, 1.0]).value == np.inf
    assert math.isnan(ratio_of_sums(np.ma.array([1.0, 2.0], mask=[1, 0]), [1.0, 1.0]).value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(5, 3), "5 successes of 3 trials"),
        (lambda: wilson(-1, 3), "-1 successes"),
        (lambda: wilson(0, -1), "of -1 trials"),
        (lambda: wilson(math.nan, 3), "nan successes"),
        (lambda: wilson(1, 3, 2), "level is 2"),
        (lambda: bootstrap(np.mean, np.ones(3), level=0.0), r"level is 0\.0"),
        (lambda: ratio_of_sums(np.ones(3), np.ones(4)), r"\[3, 4\] rows"),
        (lambda: mean([1.0, 2j]), "complex128; give real numbers"),
    ],
)
def test_what_has_no_interval_is_refused(call, message):
    with pytest.raises(SettingsError, match=message):
        call()
