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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mse(frames(2), frames(3)), "give frames .* of one shape"),
        (lambda: rmse(frames(), frames().astype("S")), "give real numbers"),
        (lambda: mae(frames(), frames(), np.ones((Y, X))), "where is float64"),
        (lambda: mae(frames(), frames(), np.ones((2, Y, X), bool)), "that fits"),
        (lambda: psnr(frames(), frames(), 0), "data_range is 0"),
        (lambda: ssim(frames(), frames(), float("nan")), "data_range is nan"),
        (lambda: ssim(np.zeros((10, 30)), np.zeros((10, 30)), 1), "10 x 30; its window needs 11"),
        (lambda: moving(frames(3), frames(2)), "moving: true is"),
        (lambda: moving(frames(3), frames(), -1), "least is -1"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, message):
    with pytest.raises(SettingsError, match=message):
        call()
