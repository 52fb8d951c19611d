"""Means leave out what is unknown, and are unknown where nothing is left."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sciworld.measures import known


@given(arrays.arrays(float, (3, 5), elements=st.sampled_from([1.0, -2.0, 7.5, np.nan])), st.integers(0, 1))
def test_means_are_of_what_is_known(values, axis):
    found = known.mean(values, axis)
    for one, row in zip(found, np.moveaxis(values, axis, -1), strict=True):
        left = row[~np.isnan(row)]
        assert np.isnan(one) if not len(left) else np.isclose(one, left.mean())


def test_a_mask_leaves_out_more():
    values = np.array([[1.0, 3.0, np.nan], [5.0, np.inf, 9.0]])
    np.testing.assert_array_equal(known.mean(values, (0, 1), values < 4), 2.0)
    np.testing.assert_array_equal(known.mean(values, 1), [2.0, np.inf])
