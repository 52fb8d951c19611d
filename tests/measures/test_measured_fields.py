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
    guess[1] = 3.0  # constant: its correlation is NaN
    assert np.isnan(fields.correlation(true, guess)[1]) and fields.correlation_time(true, guess, seconds) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fields.vrmse(waves(), waves(time=(2,))), "of one shape"),
        (lambda: fields.power(np.zeros(4), 1.0), "a field is"),
        (lambda: fields.power(waves(), 0.0), r"cell is 0\.0"),
        (lambda: fields.correlation_time(waves(time=(3,)), waves(time=(3,)), np.zeros(2)), "give one a frame"),
    ],
)
def test_what_is_no_field_is_refused(call, message):
    with pytest.raises(SettingsError, match=message):
        call()
