"""Whether controls are heeded, and what choices are worth: by hand, and against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from sciworld.errors import SettingsError
from sciworld.measures.control import (
    control_gain,
    counterfactual_divergence,
    fit_inverse,
    ranks,
    recoverability,
    spearman,
)
from sciworld.measures.decisions import optimism, rank_correlation, regret, violations


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=12))
def test_ranks_and_their_correlation_are_scipy_s(pairs):
    one, other = np.array(pairs, dtype=float).T
    np.testing.assert_allclose(ranks(one), rankdata(one))
    if np.ptp(one) and np.ptp(other):
        assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)
    else:
        assert np.isnan(spearman(one, other))


def test_unknown_pairs_are_left_out():
    assert spearman([1, 2, np.nan, 3], [3, 5, 0, 9]) == pytest.approx(1)
    assert np.isnan(spearman([1, np.nan, 3], [1, 2, 3]))


def test_gain_is_of_the_true_controls_whichever_way_is_better():
    psnr_true, psnr_shuffled = np.array([30.0, 28.0]), np.array([25.0, 28.0])
    assert control_gain(psnr_true, psnr_shuffled).tolist() == [5.0, 0.0]
    assert control_gain(psnr_true, psnr_shuffled, better="lower").tolist() == [-5.0, 0.0]


def test_futures_diverge_under_other_controls_by_more_than_chance():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(3, 5, 7, 2))
    one, again = base + 0.1 * rng.normal(size=base.shape), base + 0.1 * rng.normal(size=base.shape)
    heeding, deaf = base + 1.0, base + 0.1 * rng.normal(size=base.shape)
    assert (counterfactual_divergence(one, heeding, again) > 5).all()
    assert (np.abs(counterfactual_divergence(one, deaf, again) - 1) < 0.3).all()
    assert (counterfactual_divergence(one, heeding, one) == np.inf).all()


def test_an_inverse_model_reads_controls_where_frames_show_them():
    """A spot moves by its first control; the second changes nothing."""
    rng = np.random.default_rng(0)
    controls = rng.uniform(-3, 3, (400, 2))
    x = np.arange(24)

    def spot(at):
        return np.exp(-0.5 * ((x - at[:, None]) / 2) ** 2)[:, None, :, None] * np.ones((1, 4, 1, 1))

    start = rng.uniform(10, 13, 400)
    before, after = spot(start), spot(start + controls[:, 0])
    inverse = fit_inverse(before[:300], after[:300], controls[:300])
    found = recoverability(controls[300:], inverse(before[300:], after[300:]))
    assert found[0] > 0.9 and found[1] < 0.1
    frozen = recoverability(controls[300:], inverse(before[300:], before[300:]))
    assert frozen[0] < 0.3
    still = recoverability(np.ones((5, 1)), np.zeros((5, 1)))
    assert np.isnan(still[0])


def test_choices_by_hand():
    promised = np.array([[1.0, 3.0, 2.0], [0.0, np.nan, 1.0]])
    true = np.array([[5.0, 4.0, 1.0], [1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(regret(promised, true), [1.0, np.nan])
    np.testing.assert_array_equal(optimism(promised, true), [-1.0, np.nan])
    np.testing.assert_allclose(rank_correlation(promised, true), [-0.5, np.nan])
    assert violations([0.0, 1.0, 2.0, np.nan], 0.5, 1.5) == 0.75


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spearman([1, 2], [1, 2, 3]), "give one shape"),
        (lambda: spearman(np.zeros((2, 2)), np.zeros((2, 2))), "rows are"),
        (lambda: control_gain(1.0, 2.0, "best"), "better is 'best'"),
        (lambda: fit_inverse(np.zeros((3, 2, 2, 1)), np.zeros((3, 2, 2, 1)), np.zeros(3)), "controls are"),
        (lambda: regret(np.zeros(3), np.zeros(4)), "of both"),
        (lambda: violations([1.0], 2, 1), "low <= high"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(SettingsError, match=message):
        call()
