"""Scales of colours are of finite numbers that are apart, whatever is drawn."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sciworld.plots.values import HUGE, light, limits, reach

ANY = st.lists(arrays(np.float64, st.tuples(st.integers(0, 3), st.integers(1, 4)), elements=st.floats()), max_size=3)


@given(ANY)
def test_limits_hold_all_that_is_not_huge_and_are_apart(given_arrays):
    low, high = limits(given_arrays)
    assert low < high and np.isfinite(high - low)
    known = np.concatenate([np.zeros(0), *(one[np.isfinite(one)] for one in given_arrays)])
    small = known[np.abs(known) <= HUGE]
    assert ((small >= low) & (small <= high)).all()
    if len(np.unique(small)) > 1 and len(small) == len(known):
        assert (low, high) == (known.min(), known.max())


@given(ANY)
def test_reach_is_the_largest_size_and_never_0(given_arrays):
    far = reach(given_arrays)
    known = np.abs(np.concatenate([np.zeros(1), *(one[np.isfinite(one)] for one in given_arrays)]))
    assert far == (min(known.max(), HUGE) or 1.0)


@given(arrays(np.float64, (3, 5), elements=st.floats()))
def test_what_is_light_keeps_all_numbers(values):
    found = light(values)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(values))
    np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-44)
    assert found.dtype == (np.float64 if (np.abs(values[np.isfinite(values)]) > 3.41e38).any() else found.dtype)


def test_ordinary_images_are_half_as_long():
    assert light(np.full((3, 5), 1e38)).dtype == np.float32
