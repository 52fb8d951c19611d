"""Few numbers that make a plan: what each kind keeps, and what it is between knots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciworld.errors import SearchError, SettingsError
from sciworld.search.parameters import KINDS, Parameters

kinds = st.sampled_from(KINDS)


@given(kinds, st.integers(0, 5), st.integers(0, 20))
def test_a_constant_stays_one_and_values_come_back(kind, half, more):
    knots = 2 * half + 1
    horizon, parameters = knots + more, Parameters(kind, knots)
    matrix = parameters.matrix(horizon)
    assert matrix.shape == (horizon, knots)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-12)
    values = np.random.default_rng(knots).normal(size=(2, 3, knots, 4))
    np.testing.assert_allclose(parameters.values(parameters.plans(values, horizon)), values, atol=1e-8)


@given(st.sampled_from(["constant", "linear"]), st.integers(1, 7), st.integers(0, 20))
def test_steps_and_lines_stay_within_their_values(kind, knots, more):
    matrix = Parameters(kind, knots).matrix(knots + more)
    assert (matrix >= 0).all() and (matrix <= 1).all()


def test_every_step_has_its_own_value_by_default():
    for kind in KINDS:
        np.testing.assert_array_equal(Parameters(kind).matrix(6), np.eye(6))


def test_knots_are_where_they_should_be():
    held = Parameters("constant", 3).plans(np.array([[1.0], [2.0], [3.0]]), 7)[:, 0]
    np.testing.assert_array_equal(held, [1, 1, 1, 2, 2, 3, 3])
    straight = Parameters("linear", 3).plans(np.array([[0.0], [2.0], [-2.0]]), 9)[:, 0]
    np.testing.assert_allclose(straight, [0, 0.5, 1, 1.5, 2, 1, 0, -1, -2])


def test_a_spline_is_smooth_and_ends_without_curvature():
    """Against the definition: it goes through its knots, and its third difference is constant between them."""
    values = np.array([[0.0], [1.0], [-1.0], [2.0]])
    fine = Parameters("spline", 4).plans(values, 3 * 40 + 1)[:, 0]
    np.testing.assert_allclose(fine[::40], values[:, 0], atol=1e-12)
    bend = np.diff(fine, 2) * 40**2
    assert abs(bend[0]) < 0.3 and abs(bend[-1]) < 0.3 < abs(bend).max()
    np.testing.assert_allclose(np.diff(bend[:39], 2), 0, atol=1e-6)  # a straight line between two knots
    assert abs(np.diff(bend)).max() < 1.0  # it does not jump


def test_waves_end_as_they_begin_and_hold_every_wave_that_fits():
    t = np.arange(12) / 12
    for order in (0, 1, 2):
        wave = np.cos(2 * np.pi * order * t + 0.4)[:, None]
        parameters = Parameters("fourier", 5)
        np.testing.assert_allclose(parameters.plans(parameters.values(wave), 12), wave, atol=1e-12)


def test_bad_parameters_are_named():
    with pytest.raises(SettingsError, match="kind is 'bezier'; use constant"):
        Parameters("bezier")
    with pytest.raises(SettingsError, match="knots is 0"):
        Parameters(knots=0)
    with pytest.raises(SearchError, match="9 knots for 4 steps"):
        Parameters("linear", 9).matrix(4)
    with pytest.raises(SearchError, match="use an odd number"):
        Parameters("fourier", 4).matrix(9)
