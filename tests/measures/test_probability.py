"""Scores of ensembles are those of scoringrules and of cases worked by hand."""

import numpy as np
import pytest
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.errors import SettingsError
from sciworld.measures.probability import (
    brier,
    coverage,
    crps,
    energy_score,
    rank_histogram,
    reliability,
    spread_skill,
)


@settings(max_examples=30)
@given(n=st.integers(2, 9), seed=st.integers(0, 99))
def test_crps_and_energy_score_are_those_of_scoringrules(n, seed):
    rng = np.random.default_rng(seed)
    truth, samples = rng.normal(size=(5, 7)), rng.normal(size=(n, 5, 7))
    oracle = scoringrules.crps_ensemble(truth, np.moveaxis(samples, 0, -1), estimator="fair")
    np.testing.assert_allclose(crps(truth, samples), oracle, rtol=1e-9, atol=1e-12)
    oracle = scoringrules.es_ensemble(truth, np.moveaxis(samples, 0, 1), estimator="fair")
    np.testing.assert_allclose(energy_score(truth, samples), oracle, rtol=1e-9, atol=1e-12)
    whole = energy_score(truth, samples, axes=2)
    flat = energy_score(truth.ravel(), samples.reshape(n, -1))
    assert whole == pytest.approx(flat)


def test_crps_by_hand():
    """Of 1, 2, 4 against 3: mean distance 4/3, mean distance of pairs (1 + 3 + 2) / 3, half of that."""
    assert crps(np.array(3.0), np.array([1.0, 2.0, 4.0])) == pytest.approx(4 / 3 - 1)
    assert np.isnan(crps(np.array(3.0), np.array([1.0])))
    assert np.isnan(crps(np.array([np.nan, 0.0]), np.ones((3, 2)))).tolist() == [True, False]


def test_spread_is_as_large_as_skill_where_the_truth_is_one_of_the_samples():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(5, 20_000)) + rng.normal(size=20_000)
    assert spread_skill(draws[0], draws[1:]) == pytest.approx(1, abs=0.02)
    assert spread_skill(draws[0], draws[1:] * 0.5 + draws[1:].mean(axis=0) * 0.5) < 0.6
    counts = rank_histogram(draws[0], draws[1:])
    assert counts.sum() == 20_000 and np.abs(counts / 4000 - 1).max() < 0.05
    assert coverage(draws[0], draws[1:], 0.6) == pytest.approx(0.6, abs=0.02)
    assert np.isnan(coverage(draws[0], draws[1:], 0.9))  # four samples have no such interval
    assert spread_skill(np.zeros(3), np.ones((1, 3))) != spread_skill(np.zeros(3), np.ones((1, 3)))
    assert spread_skill(np.zeros(2), np.array([[1.0, -1.0], [-1.0, 1.0]])) == np.inf


@settings(max_examples=30)
@given(n=st.integers(2, 12), level=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_coverage_is_that_of_numpy_s_weibull_quantiles(n, level, seed):
    rng = np.random.default_rng(seed)
    truth, samples = rng.normal(size=200), rng.normal(size=(n, 200))
    found = coverage(truth, samples, level)
    if level > (n - 1) / (n + 1):
        assert np.isnan(found)
        return
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
    assert found == pytest.approx(((truth >= low) & (truth <= high)).mean(), abs=1 / 200)


def test_ranks_by_hand_and_ties_share():
    truth, samples = np.array([0.5, 2.0, 9.0, np.nan]), np.array([[1.0, 2.0, 3.0, 0], [2.0, 2.0, 4.0, 0]])
    np.testing.assert_allclose(rank_histogram(truth, samples), [1 + 1 / 3, 1 / 3, 1 + 1 / 3])


def test_brier_and_reliability_by_hand():
    happened, probability = np.array([1, 0, 1, 0, np.nan]), np.array([1.0, 0.5, 0.45, 0.05, 0.5])
    assert brier(happened, probability) == pytest.approx((0 + 0.25 + 0.3025 + 0.0025) / 4)
    found = reliability(happened, probability, bins=2)
    np.testing.assert_allclose(found.promised, [0.25, 0.75])
    np.testing.assert_allclose(found.came, [0.5, 0.5])
    assert found.counts.tolist() == [2, 2]
    empty = reliability(happened[:1], probability[:1], bins=3)
    assert np.isnan(empty.came[:2]).all() and empty.came[2] == 1 and np.isnan(brier([], []))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 101325.7])
@pytest.mark.parametrize("n", [3, 6, 10])
def test_ensembles_that_are_never_wrong_have_no_ratio(value, n):
    assert np.isnan(spread_skill(np.full(7, value), np.full((n, 7), value)))


def test_masked_truths_and_samples_are_unknown():
    rng = np.random.default_rng(0)
    truth, samples = rng.normal(size=9), rng.normal(size=(5, 9))
    hidden = np.arange(9) % 4 == 1
    masked, unknown = np.ma.array(truth, mask=hidden), np.where(hidden, np.nan, truth)
    for measure in (crps, spread_skill, rank_histogram, lambda *pair: coverage(*pair, 0.5)):
        np.testing.assert_array_equal(measure(masked, samples), measure(unknown, samples))
        some = np.ma.array(samples, mask=np.tile(hidden, (5, 1)))
        np.testing.assert_array_equal(measure(truth, list(some)), measure(truth, some.filled(np.nan)))
    chance = np.ma.array(rng.uniform(size=9), mask=hidden)
    assert brier(truth > 0, chance) == brier((truth > 0)[~hidden], chance.data[~hidden])
    assert reliability(truth > 0, chance).counts.sum() == 7


@pytest.mark.parametrize("value", [np.inf, 1e300, -1.7e308])
def test_huge_samples_give_infinite_or_nan(value):
    truth, samples = np.zeros((2, 3)), np.random.default_rng(0).normal(size=(4, 2, 3))
    samples[1, 0] = value
    samples[2:, 0, 0] = value
    for given_truth in (truth, np.full((2, 3), -value)):
        for measure in (crps, energy_score, spread_skill, rank_histogram, lambda *pair: coverage(*pair, 0.6)):
            measure(given_truth, samples)
    assert not np.isfinite(energy_score(truth, samples))[0] and np.isfinite(energy_score(truth, samples))[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crps(np.zeros(3), np.zeros((4, 2))), "give .* and .sample"),
        (lambda: crps(np.zeros(3), np.zeros((0, 3))), "samples"),
        (lambda: crps(np.zeros(3), np.zeros((4, 3)) + 1j), "samples: complex128; give real numbers"),
        (lambda: brier([0, None], [0.5, 0.5]), "happened: object"),
        (lambda: energy_score(np.zeros(3), np.zeros((4, 3)), 2), "axes is 2"),
        (lambda: coverage(np.zeros(3), np.zeros((4, 3)), 1.0), "level is 1"),
        (lambda: brier([0.0, 1.0], [0.1, 1.2]), "probabilities from 0 to 1"),
        (lambda: brier([0.0, 0.5], [0.1, 0.2]), "0 or 1"),
        (lambda: reliability([1.0], [1.0], 0), "bins is 0"),
    ],
)
def test_what_is_no_forecast_is_refused(call, message):
    with pytest.raises(SettingsError, match=message):
        call()
