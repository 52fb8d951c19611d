"""Whether controls are heeded, and what choices are worth: by hand, and against SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from sciworld.errors import SettingsError
from sciworld.measures.control import (
    RIDGES,
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


@pytest.mark.parametrize("value", [1.0, 0.1, 1e-200, 1e300])
def test_a_control_that_never_changes_is_not_recovered(value):
    controls = np.stack([np.full(7, value), np.arange(7.0)], axis=1)
    found = recoverability(controls, controls + 0.5)
    assert np.isnan(found[0]) and found[1] == pytest.approx(1 - 0.25 / 4)
    assert np.isnan(recoverability(np.ma.masked_less(controls, 1), controls)).all()


def left_out_error(features, controls, ridge):
    """Mean over the pairs of the squared error of a fit to all others : (control,)."""
    found = []
    for pair in range(len(features)):
        others = np.arange(len(features)) != pair
        found.append((ridge_fit(features[others], controls[others], ridge, features[pair]) - controls[pair]) ** 2)
    return np.mean(found, axis=0)


def ridge_fit(features, controls, ridge, at):
    mean, bias = features.mean(axis=0), controls.mean(axis=0)
    centred = features - mean
    weights = np.linalg.solve(centred.T @ centred + ridge * np.eye(len(mean)), centred.T @ (controls - bias))
    return (at - mean) @ weights + bias


@pytest.mark.parametrize(("seed", "places"), [(7, [2, 0, 4]), (14, [4, 5, 8]), (19, [0, 4, 8])])
def test_each_control_has_the_ridge_that_reads_what_is_left_out(seed, places):
    rng = np.random.default_rng(seed)
    before, after = rng.normal(size=(2, 6, 2, 3, 1))
    features = np.concatenate([before.reshape(6, -1), (after - before).reshape(6, -1)], axis=1)
    shown, noisy = features @ rng.normal(size=12), features @ rng.normal(size=12) + 3 * rng.normal(size=6)
    controls = np.stack([shown, noisy, rng.normal(size=6)], axis=1)
    centred = features - features.mean(axis=0)
    ridges = RIDGES * np.trace(centred @ centred.T) / 6
    best = np.argmin([left_out_error(features, controls, ridge) for ridge in ridges], axis=0)
    assert best.tolist() == places
    fits = [ridge_fit(features, controls[:, k], ridges[place], features) for k, place in enumerate(best)]
    np.testing.assert_allclose(fit_inverse(before, after, controls)(before, after), np.transpose(fits), atol=1e-8)


def test_pixels_without_noise_are_trusted_and_noise_is_not():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, 200, 3, 4, 1))
    controls = np.stack([(after - before)[:, 1, 2, 0], rng.normal(size=200)], axis=1)
    inverse = fit_inverse(before[:100], after[:100], controls[:100])
    read = inverse(before[100:], after[100:])
    assert recoverability(controls[100:], read)[0] > 1 - 1e-6
    assert read[:, 1].std() < 0.2 * controls[:, 1].std()
    still = fit_inverse(np.zeros((5, 3, 4)), np.zeros((5, 3, 4)), 1e9 * controls[:5])
    np.testing.assert_allclose(still(before[:1], after[:1])[0], 1e9 * controls[:5].mean(axis=0))


@pytest.mark.parametrize("value", [np.inf, 1e300, -1.7e308])
def test_huge_values_give_infinite_or_nan(value):
    rng = np.random.default_rng(0)
    one, again, controls = rng.normal(size=(2, 4, 5, 1)), rng.normal(size=(2, 4, 5, 1)), rng.normal(size=(6, 2))
    huge = np.where(np.arange(5)[:, None] == 2, value, one)
    assert not np.isfinite(counterfactual_divergence(one, huge, again)).any()
    assert np.isnan(counterfactual_divergence(huge, -huge, -huge)).all()
    odd = controls.copy()
    odd[0] = value
    assert not np.isfinite(recoverability(odd, -odd)).any() and not (recoverability(controls, odd) > 0).any()
    assert not np.isfinite(control_gain(odd, -odd)[0]).any() or abs(value) == 1e300
    scores = np.array([[value, 1.0], [1.0, -value]])
    regret(scores, -scores), optimism(scores, -scores), regret(scores, scores)
    inverse = fit_inverse(rng.normal(size=(6, 4, 5)), rng.normal(size=(6, 4, 5)), controls)
    assert not np.isnan(np.abs(inverse(np.full((1, 4, 5), 1e290), np.zeros((1, 4, 5))))).any()
    inverse(np.full((1, 4, 5), value), np.full((1, 4, 5), -value))


def test_masked_is_unknown():
    row = np.ma.masked_equal([1.0, 2.0, 9.0, 3.0], 9.0)
    assert spearman(row, [3, 5, 0, 9]) == pytest.approx(1)
    assert violations(row, 0.5, 3.5) == 0.25 and np.isnan(regret(row, row.data)) and np.isnan(optimism(row.data, row))
    np.testing.assert_array_equal(control_gain(row, [0.0, 0, 0, 0]), [1, 2, np.nan, 3])
    assert np.isnan(counterfactual_divergence(*(3 * [row.reshape(2, 2, 1)])))


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
        (lambda: fit_inverse(*np.full((2, 3, 2, 2), np.nan), np.zeros((3, 1))), "fit_inverse: .* are NaN"),
        (lambda: fit_inverse(*np.full((2, 3, 2, 2), 1e200) * [[[0]], [[1]], [[2]]], np.zeros((3, 1))), "too large"),
        (lambda: fit_inverse(*np.zeros((2, 3, 2, 2)), [[1.0], [2.0], [np.nan]]), "fit_inverse: .* are NaN"),
        (lambda: fit_inverse(np.zeros(3), np.zeros(3), np.zeros((3, 1))), "frames are"),
        (lambda: counterfactual_divergence(*np.zeros((3, 4, 5))), r"futures are \(4, 5\)"),
        (lambda: recoverability(np.zeros((0, 2)), np.zeros((0, 2))), "of one pair or more"),
        (lambda: spearman([1, 2j], [1, 2]), "spearman: complex128; give real numbers"),
        (lambda: violations(["a"]), "violations: values"),
        (lambda: regret(np.zeros(3), np.zeros(4)), "of both"),
        (lambda: violations([1.0], 2, 1), "low <= high"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(SettingsError, match=message):
        call()
