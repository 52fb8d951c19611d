"""What candidates are compared by: means, members that disagree, and the worst samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciworld.errors import SettingsError
from sciworld.search.risk import Risk


def scores(seed: int = 0, members: int = 3, samples: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, 5, members, samples))


@given(st.integers(0, 1000))
def test_without_any_risk_it_is_the_mean(seed):
    found = scores(seed)
    np.testing.assert_allclose(Risk().merit(found), found.mean(axis=(2, 3)), atol=1e-12)


@given(st.integers(0, 1000), st.floats(0, 3), st.floats(0, 3), st.floats(0.05, 1))
def test_it_never_praises_more_than_the_mean_and_moves_with_the_scores(seed, between, within, worst):
    found, risk = scores(seed), Risk(between, within, worst)
    merit = risk.merit(found)
    assert (merit <= found.mean(axis=(2, 3)) + 1e-9).all()
    np.testing.assert_allclose(risk.merit(found + 7.0), merit + 7.0, atol=1e-9)
    np.testing.assert_allclose(risk.merit(3.0 * found), 3.0 * merit, atol=1e-9)


def test_the_worst_share_is_the_mean_of_the_worst():
    found = np.arange(8.0).reshape(1, 1, 2, 4)
    assert Risk(worst=0.25).merit(found)[0, 0] == 0.5
    assert Risk(worst=0.01).merit(found)[0, 0] == 0.0


def test_members_that_agree_cost_nothing_and_chance_is_not_taken_for_ignorance():
    rng = np.random.default_rng(0)
    agree = rng.normal(size=(400, 1, 3, 16))
    paid = agree.mean(axis=(2, 3)) - Risk(between=1.0).merit(agree)
    apart = agree + np.array([-2.0, 0.0, 2.0])[:, None]
    ignorant = apart.mean(axis=(2, 3)) - Risk(between=1.0).merit(apart)
    assert paid.mean() < 0.15 and ignorant.mean() == pytest.approx(2.0, rel=0.05)


def test_within_is_the_chance_of_the_members():
    rng = np.random.default_rng(1)
    found = 0.5 * rng.normal(size=(50, 4, 2, 200)) + np.array([0.0, 9.0])[:, None]
    paid = found.mean(axis=(2, 3)) - Risk(within=2.0).merit(found)
    np.testing.assert_allclose(paid, 1.0, rtol=0.2)


def test_a_score_that_is_none_is_no_merit():
    found = scores()
    found[0, 1, 2, 3] = np.nan
    for risk in (Risk(), Risk(1.0, 1.0, 0.5)):
        merit = risk.merit(found)
        assert np.isnan(merit[0, 1]) and np.isnan(merit).sum() == 1


def test_bad_risk_is_named():
    for wrong in ({"between": -1.0}, {"within": np.inf}, {"worst": 0.0}, {"worst": 1.5}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            Risk(**wrong)
