"""What tells fields apart, on fields whose answer is known; grids are never square."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.errors import SettingsError
from sciworld.measures import fields

NY, NX = 16, 24


def waves(kx=2, ky=1, size=1.0, time=()):
    y, x = np.mgrid[:NY, :NX]
    found = size * np.sin(2 * np.pi * (kx * x / NX + ky * y / NY))
    return np.broadcast_to(found, (*time, NY, NX)).copy()


def test_scores_of_what_knows_nothing():
    true = 5 + waves()
    assert fields.vrmse(true, np.full_like(true, true.mean())) == pytest.approx(1, rel=1e-5)
    assert fields.nrmse(true, np.zeros_like(true)) == pytest.approx(1, rel=1e-5)
    assert fields.vrmse(true, true) == 0 and fields.nrmse(true, 1.1 * true) == pytest.approx(0.1, rel=1e-6)
    flat = np.ones((NY, NX))
    assert fields.vrmse(flat, flat + 1e-3) == pytest.approx(1e-3 / np.sqrt(1e-7))
    np.testing.assert_array_equal(fields.spectral_error(true, np.full_like(true, true.mean()))[:1], [1.0])


@settings(max_examples=30)
@given(seed=st.integers(0, 99), ratio=st.floats(0.3, 3))
def test_power_adds_up_to_the_mean_square(seed, ratio):
    values = np.random.default_rng(seed).normal(size=(2, NY, NX))
    k, found = fields.power(values, (0.5, 0.5 * ratio))
    np.testing.assert_allclose(found.sum(axis=-1), (values**2).mean(axis=(-2, -1)))
    assert len(k) == found.shape[-1] and (np.diff(k) > 0).all()


@pytest.mark.parametrize(("kx", "ky"), [(3, 0), (0, 3), (4, 2)])
def test_a_wave_is_found_at_its_wave_number(kx, ky):
    k, found = fields.power(waves(kx, ky), (0.2, 0.1))
    true = 2 * np.pi * np.hypot(kx / (NX * 0.1), ky / (NY * 0.2))
    assert abs(k[found.argmax()] - true) <= 0.5 * (k[1] - k[0]) and found.max() == pytest.approx(0.5)


def test_blurring_is_an_error_of_small_scales():
    true = waves(1, 0) + waves(9, 5)
    low, _, high = fields.spectral_error(true, waves(1, 0))
    assert low < 1e-9 and high == pytest.approx(1)
    assert np.isnan(fields.spectral_error(waves(1, 0), waves(1, 0))[2])


def test_rotation_and_compression_of_known_flows():
    y, x = np.mgrid[:NY, :NX] * np.array([0.2, 0.1])[:, None, None]
    u, v = -3.0 * y, 3.0 * x  # turns with 3 rad/s
    np.testing.assert_allclose(fields.vorticity(u, v, (0.2, 0.1)), 6)
    assert fields.enstrophy(u, v, (0.2, 0.1)) == pytest.approx(18)
    assert fields.divergence(u, v, (0.2, 0.1)) == pytest.approx(0, abs=1e-12)
    assert fields.divergence(x, y, (0.2, 0.1)) == pytest.approx(np.sqrt(2))
    assert fields.divergence(0 * x, 0 * y, 1.0) == 0
    assert np.isnan(fields.divergence(u, v, 1.0, np.zeros((NY, NX), bool)))
    assert np.isnan(fields.enstrophy(np.where(x > 1, np.nan, u), v, 1.0))


def test_mass_and_correlation_over_time():
    density = 2 + waves(time=(5,))
    density[2:] *= 0.9
    np.testing.assert_allclose(fields.mass_drift(density), [0, 0, -0.1, -0.1, -0.1])
    true, guess = waves(time=(4,)), waves(time=(4,))
    guess[3] = waves(3, 2)
    seconds = np.array([0.5, 1.0, 1.5, 2.0])
    np.testing.assert_allclose(fields.correlation(true, guess), [1, 1, 1, 0], atol=1e-9)
    assert fields.correlation_time(true, guess, seconds) == 2.0
    assert fields.correlation_time(true, true, seconds) == np.inf
    guess[1] = 3.0  # constant: its correlation is NaN, and nobody knows whether it fell
    assert np.isnan(fields.correlation(true, guess)[1]) and np.isnan(fields.correlation_time(true, guess, seconds))
    guess[0] = -true[0]
    assert fields.correlation_time(true, guess, seconds) == 0.5
    assert np.isnan(fields.correlation_time(true, np.full_like(true, np.nan), seconds))


@pytest.mark.parametrize("value", [0.1, 0.3, 1e-200, 101325.7, 1e300])
def test_constant_fields_correlate_with_nothing(value):
    constant = np.full((3, NY, NX), value)
    assert np.isnan(fields.correlation(constant, waves(time=(3,)))).all()
    assert np.isnan(fields.correlation(waves(time=(3,)), constant)).all()


@settings(max_examples=30)
@given(st.sampled_from([1e-300, 1e-160, 1e-90, 1.0, 1e90, 1e160, 1e300]), st.integers(0, 99))
def test_correlation_has_no_scale(scale, seed):
    true, guess = np.random.default_rng(seed).normal(size=(2, NY, NX))
    expected = np.corrcoef(true.ravel(), guess.ravel())[0, 1]
    assert fields.correlation(scale * true, guess) == pytest.approx(expected, rel=1e-9)
    assert fields.correlation(true, scale * guess) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("measure", [fields.vrmse, fields.nrmse, fields.correlation])
@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_pixels_of_unknown_truth_do_not_count(measure, odd):
    rng = np.random.default_rng(0)
    true, guess = 3 + rng.normal(size=(2, 3, NY, NX))
    expected = measure(true[..., 2:], guess[..., 2:])
    true[..., :2] = odd
    np.testing.assert_allclose(measure(true, guess), expected, rtol=1e-12)
    guess[0, 0, 0] = guess[1, 5, 6] = odd
    np.testing.assert_allclose(measure(true, guess), [expected[0], np.nan, expected[2]], rtol=1e-12)
    assert np.isnan(measure(np.full_like(true, odd), guess)).all()
    masked = np.ma.array(np.where(np.isfinite(true), true, 7.0), mask=~np.isfinite(true))
    np.testing.assert_array_equal(measure(masked, guess), measure(true, guess))


def test_what_needs_neighbours_is_unknown_of_masked_fields():
    masked = np.ma.array(waves(), mask=waves() > 0.99)
    assert np.isnan(fields.spectral_error(masked, waves())).all() and np.isnan(fields.enstrophy(masked, waves(), 1.0))
    assert np.isnan(fields.divergence(masked, waves(), 1.0)) and np.isnan(fields.power(masked, 1.0)[1]).all()
    assert np.isnan(fields.mass_drift(masked[None])).all()
    inside = np.ma.array(np.ones((NY, NX), bool), mask=np.arange(NX) * np.ones((NY, 1)) > 9)
    found = fields.divergence(waves(), waves(2, 3), 1.0, inside)
    assert found == fields.divergence(waves(), waves(2, 3), 1.0, inside.filled(False))


@pytest.mark.parametrize("value", [np.inf, 1e300, -1e308])
def test_huge_fields_give_infinite_or_nan(value):
    huge = waves(time=(3,))
    huge[:, 4, 5] = value
    for true, guess in ((huge, waves(time=(3,))), (waves(time=(3,)), huge), (huge, huge)):
        for measure in (fields.vrmse, fields.nrmse, fields.correlation, fields.spectral_error):
            assert not np.isneginf(measure(true, guess)).any()
        fields.enstrophy(true, guess, 1.0), fields.divergence(true, guess, 1.0), fields.mass_drift(true)
        fields.vorticity(true, -guess, 0.1), fields.power(true, 1.0)
    assert not np.isfinite(fields.vrmse(waves(time=(3,)), huge)).any()
    assert not np.isfinite(fields.enstrophy(huge, huge, 1.0)).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fields.vrmse(waves(), waves(time=(2,))), "of one shape"),
        (lambda: fields.power(np.zeros(4), 1.0), "a field is"),
        (lambda: fields.power(waves(), 0.0), r"cell is 0\.0"),
        (lambda: fields.power(waves(), "wide"), "cell: <U4; give real numbers"),
        (lambda: fields.power(waves(), (1.0, 1j)), "cell: complex128"),
        (lambda: fields.power(waves(), (1.0, 2.0, 3.0)), "one number or"),
        (lambda: fields.power(waves(), (1.0, [2.0, 3.0])), "cell: no array"),
        (lambda: fields.nrmse(waves(), waves() + 1j), "a field: complex128; give real numbers"),
        (lambda: fields.vrmse([[1.0, 2.0], [3.0]], waves()), "a field: no array"),
        (lambda: fields.correlation_time(waves(time=(3,)), waves(time=(3,)), np.zeros(2)), "give one a frame"),
        (lambda: fields.correlation_time(waves(time=(0,)), waves(time=(0,)), []), "of one or more"),
        (lambda: fields.correlation_time(waves(), waves(), 1.0), "give one a frame"),
    ],
)
def test_what_is_no_field_is_refused(call, message):
    with pytest.raises(SettingsError, match=message):
        call()
