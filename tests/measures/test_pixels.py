"""Differences of frames are those of their definitions, of scikit-image, and of cases worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from sciworld.errors import SettingsError
from sciworld.measures.pixels import false_motion, mae, moving, mse, psnr, rmse, ssim

Y, X = 13, 17


def frames(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).uniform(0, 200, (*shape, Y, X)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.uint16])
def test_they_are_those_of_scikit_image(dtype):
    true, guess = frames(2, 3, dtype=dtype), frames(2, 3, seed=1, dtype=dtype)
    found = {"mse": mse(true, guess), "psnr": psnr(true, guess, 255), "ssim": ssim(true, guess, 255)}
    for index in np.ndindex(2, 3):
        one, other = true[index].astype(np.float64), guess[index].astype(np.float64)
        assert found["mse"][index] == pytest.approx(mean_squared_error(one, other), rel=1e-12)
        assert found["psnr"][index] == pytest.approx(peak_signal_noise_ratio(one, other, data_range=255), rel=1e-12)
        oracle = structural_similarity(
            one, other, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert found["ssim"][index] == pytest.approx(oracle, rel=1e-9)


def test_by_hand_with_unknown_pixels_and_a_mask():
    true = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])
    guess = np.array([[2.0, 9.0, 3.0], [4.0, 8.0, np.inf]])
    where = np.array([[True, True, True], [True, True, False]])
    assert mse(true, guess, where) == (1 + 0 + 0 + 9) / 4
    assert rmse(true, guess, where) == np.sqrt(10 / 4) and mae(true, guess, where) == 1.0
    assert psnr(true, guess, 10.0, where) == pytest.approx(10 * np.log10(100 / 2.5))
    assert np.isnan(mse(true, guess))  # an infinite guess of a pixel that is known
    assert np.isnan(mse(true, guess, np.zeros_like(where)))  # of no pixels
    assert psnr(true, true, 10.0) == np.inf and mse(true, true) == 0


def test_ssim_leaves_out_windows_with_unknown_pixels_and_what_is_masked():
    true, guess = frames(seed=2), frames(seed=3)
    right = np.zeros((Y, X), bool)
    right[:, 9:] = True
    _, full = structural_similarity(
        true, guess, data_range=200, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    inner = np.s_[5 : Y - 5, 5 : X - 5]
    assert ssim(true, guess, 200, right) == pytest.approx(full[inner][right[inner]].mean(), rel=1e-9)
    true[6, 2] = np.nan  # windows reach 5 pixels: those about columns up to 7 are left out
    assert ssim(true, guess, 200) == pytest.approx(full[inner][:, 3:].mean(), rel=1e-9)
    guess[6, 2] = np.nan
    assert ssim(true, guess, 200) == pytest.approx(full[inner][:, 3:].mean(), rel=1e-9)
    guess[6, 12] = np.nan
    assert np.isnan(ssim(true, guess, 200))
    assert ssim(true[None], true[None], 200)[0] == pytest.approx(1)


@settings(max_examples=30)
@given(shift=st.floats(-50, 50), seed=st.integers(0, 99))
def test_a_shift_in_brightness_is_its_own_error(shift, seed):
    true = frames(2, seed=seed)
    np.testing.assert_allclose(rmse(true, true + shift), abs(shift), atol=1e-9)
    np.testing.assert_allclose(mae(true, true + shift), abs(shift), atol=1e-9)
    assert (np.abs(ssim(true, true + shift, 255)) <= 1 + 1e-12).all()


def test_what_moved_is_told_by_the_truth_alone():
    rng = np.random.default_rng(0)
    clip = 100 + rng.normal(0, 1, (4, Y, X))
    clip[2:, 3:6, 4:8] += 50
    moved = moving(clip[1:], clip[0])
    assert not moved[0].any() or moved[0].mean() < 0.01
    assert moved[1:, 3:6, 4:8].all() and moved[1:].mean() < 0.1
    exact = moving(clip[1:], clip[0], least=20.0)
    assert exact[1:].sum() == 2 * 12 and not exact[0].any()
    frozen = np.repeat(clip[:1], 3, axis=0)
    assert rmse(clip[1:], frozen, exact)[1] == pytest.approx(50, abs=2)
    assert false_motion(clip[1:], frozen, exact)[1] == pytest.approx(np.sqrt(2), abs=0.2)
    shaken = frozen + np.where(exact, 0, 30)
    assert false_motion(clip[1:], shaken, exact)[1] > 25
    np.testing.assert_array_equal(rmse(clip[1:], shaken, exact), rmse(clip[1:], frozen, exact))


def test_a_still_clip_has_no_moving_pixels_and_no_error_on_them():
    still = np.full((3, Y, X), 7.0)
    moved = moving(still, still[0])
    assert (
        not moved.any() and np.isnan(rmse(still, still, moved)).all() and (false_motion(still, still, moved) == 0).all()
    )


def similarity(one, other, data_range):
    """Of one window, 11 x 11: by the definition, with moments about the means."""
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(line, line) / line.sum() ** 2
    a, b = ((window * x).sum() for x in (one, other))
    va, vb, both = (
        (window * x * y).sum() for x, y in ((one - a, one - a), (other - b, other - b), (one - a, other - b))
    )
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return (2 * a * b + c1) * (2 * both + c2) / ((a * a + b * b + c1) * (va + vb + c2))


@pytest.mark.parametrize("bias", [0.0, 1e5])
def test_ssim_of_small_structure_on_a_large_offset(bias):
    rng = np.random.default_rng(0)
    true, guess = 101325 + 0.001 * rng.normal(size=(2, 4, 11, 11))
    guess += bias
    expected = [similarity(*pair, 0.004) for pair in zip(true, guess, strict=True)]
    np.testing.assert_allclose(ssim(true, guess, 0.004), expected, rtol=1e-6)
    np.testing.assert_allclose(ssim(true, true, 0.004), 1, rtol=1e-12)
    around = ((0, 0), (9, 13), (17, 14))  # where nothing is known
    both = np.pad(true, around, constant_values=np.nan), np.pad(guess, around, constant_values=np.inf)
    np.testing.assert_allclose(ssim(*both, 0.004), expected, rtol=1e-6)


def test_ssim_stays_in_its_range_where_frames_leave_theirs():
    rng = np.random.default_rng(0)
    plateaus = np.where(np.arange(40) < 20, 0.0, 1e9)
    true, guess = plateaus + 0.001 * rng.normal(size=(2, 5, 24, 40))
    assert (np.abs(ssim(true, guess, 0.01)) <= 1).all() and (np.abs(ssim(true, -guess, 0.01)) <= 1).all()
    assert (np.abs(ssim(true, guess, np.float32(1e-45))) <= 1).all()  # whose inverse no float32 holds


@settings(max_examples=30)
@given(
    st.sampled_from([0.0, 1e-300, 1e-160, 1.0, 1e160, 1e300]), st.sampled_from([5e-324, 1e-300, 1e-160, 1.0, 1e300]),
    st.sampled_from([0.0, 1.0, 1e9, 1e300]),
)  # fmt: skip
def test_ssim_of_extreme_values_stays_in_its_range_or_is_unknown(scale, data_range, offset):
    true, guess = scale * frames(2) / 200 + offset, scale * frames(2, seed=1) / 200 + offset
    found = ssim(true, guess, data_range)
    assert (np.isnan(found) | (np.abs(found) <= 1 + 1e-12)).all()
    if scale == data_range and scale >= 1e-300 and not offset:
        np.testing.assert_allclose(found, ssim(frames(2) / 200, frames(2, seed=1) / 200, 1.0), rtol=1e-9)


def test_masked_pixels_are_unknown():
    true, guess = frames(2), frames(2, seed=1)
    hidden = np.zeros(true.shape, bool)
    hidden[:, 3:5, 2] = True
    unknown = np.where(hidden, np.nan, true)
    for measure in (mse, mae, lambda *pair: ssim(*pair, 200.0), lambda *pair: psnr(*pair, 200.0)):
        np.testing.assert_array_equal(measure(np.ma.array(true, mask=hidden), guess), measure(unknown, guess))
        assert np.isnan(measure(true, np.ma.array(guess, mask=hidden))).all()
        lines = [np.ma.array(one, mask=mask) for one, mask in zip(true, hidden, strict=True)]
        np.testing.assert_array_equal(measure(lines, guess), measure(unknown, guess))
    chosen = np.ma.array(true > 50, mask=hidden)
    np.testing.assert_array_equal(rmse(true, guess, chosen), rmse(true, guess, (true > 50) & ~hidden))
    np.testing.assert_array_equal(false_motion(true, guess, chosen), rmse(true, guess, (true <= 50) & ~hidden))
    later = np.ma.array(np.stack([true, true + 9], axis=1), mask=np.stack([hidden, hidden], axis=1))
    moved = moving(later, true, least=4)
    np.testing.assert_array_equal(moved, np.stack([np.zeros_like(hidden), ~hidden], axis=1))


@pytest.mark.parametrize("value", [np.inf, 1e300, -1.7e308])
def test_huge_pixels_give_infinite_or_nan(value):
    true, guess = frames(3), frames(3, seed=1)
    huge = guess.copy()
    huge[:, 6, 7] = value
    for measure in (mse, rmse, mae, lambda *pair: -psnr(*pair, 200.0)):
        found = measure(true, huge)
        assert (np.isnan(found) if np.isinf(value) else found > 5000).all()
    assert np.isnan(ssim(true, huge, 200.0)).all() == np.isinf(value)
    moving(huge, -huge[0]), moving(true, huge[0]), ssim(huge, huge, 200.0), mae(huge, -huge)


@pytest.mark.parametrize("value", [1e6, 1e13, 1e300])
def test_ssim_of_windows_far_from_an_outlier_is_as_without_it(value):
    true, guess = np.random.default_rng(0).uniform(0, 200, (2, 24, 40))
    far = np.arange(40) > 20
    expected = ssim(true, guess, 200.0, far * np.ones((24, 1), bool))
    for frame in (true, guess):
        frame[3, 4] = value
    assert ssim(true, guess, 200.0, far * np.ones((24, 1), bool)) == pytest.approx(expected, rel=1e-9)


def test_a_still_scene_of_quanta_does_not_move():
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.3, (6, 40, 50))
    grey = np.rint(100.2 + 0.35 * rng.normal(size=(6, 40, 50))).astype(np.uint8)
    for still, quantum in ((counts, 1), (grey, 1), (0.25 * counts, 0.25)):
        assert moving(still[1:], still[0]).mean() < 1e-3
        clip = still.copy()
        clip[3:, 5:9, 6:12] += np.array(6 * quantum, still.dtype)
        moved = moving(clip[1:], clip[0])
        assert moved[2:, 5:9, 6:12].mean() > 0.9 and moved[:2].mean() < 1e-3 and moved[2:].sum() <= 3 * 24 + 5


def test_three_quanta_are_the_threshold_of_each_clip():
    clip = np.zeros((2, 2, Y, X))
    clip[:, 1, 4, 3:8] = [1, 2, 3, 4, 5]
    clip[1] *= 0.5
    moved = moving(clip[:, 1:], clip[:, 0])
    assert moved[:, 0, 4, 3:8].tolist() == 2 * [[False, False, False, True, True]] and moved.sum() == 4


def test_what_moves_before_a_still_background_without_noise_has_moved():
    y, x = np.mgrid[:30, :40]
    clip = np.stack([np.exp(-0.5 * ((y - 12) ** 2 + (x - 10 - 3 * t) ** 2)) for t in range(5)])
    clip[clip < 1e-6] = 0.0
    moved = moving(clip[1:], clip[0])
    changed = np.abs(clip[1:] - clip[0]) > 1e-4
    assert moved[changed].all() and not moved[clip[1:] == clip[0]].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mse(frames(2), frames(3)), "give frames .* of one shape"),
        (lambda: rmse(frames(), frames().astype("S")), "give real numbers"),
        (lambda: mae(frames(), frames(), np.ones((Y, X))), "where is float64"),
        (lambda: mae(frames(), frames(), np.ones((2, Y, X), bool)), "that fits"),
        (lambda: mse(frames() + 1j, frames()), "true: complex128; give real numbers"),
        (lambda: ssim(frames(), frames().astype(object), 1.0), "guess: object; give real numbers"),
        (lambda: moving([[[1.0, 2.0], [3.0]]], np.zeros((2, 2))), "moving: true: no array"),
        (lambda: psnr(frames(), frames(), 0), "data_range is 0"),
        (lambda: ssim(frames(), frames(), 10**400), "data_range is 1000"),
        (lambda: ssim(frames(), frames(), float("nan")), "data_range is nan"),
        (lambda: ssim(np.zeros((10, 30)), np.zeros((10, 30)), 1), "10 x 30; its window needs 11"),
        (lambda: moving(frames(3), frames(2)), "moving: true is"),
        (lambda: moving(frames(3), frames(), -1), "least is -1"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, message):
    with pytest.raises(SettingsError, match=message):
        call()
