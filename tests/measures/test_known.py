"""Means leave out what is unknown, and are unknown where nothing is left; masks are never lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sciworld.errors import SettingsError
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


def test_means_of_what_is_masked_infinite_or_huge():
    assert known.mean(np.ma.masked_equal([1, 9, 3], 9)) == 2.0
    assert known.mean([1.7e308, 1.7e308]) == np.inf and np.isnan(known.mean([np.inf, -np.inf]))
    np.testing.assert_array_equal(known.ratio(np.array([1e300, 1.0]), np.array([1e-300, 0.0])), [np.inf, np.nan])
    assert known.floats(np.array([np.finfo(np.longdouble).max]), "row") > 1.7e308


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
def test_masked_places_are_nan_however_they_are_wrapped(dtype):
    row = np.ma.array([1, 2, 3], dtype=dtype, mask=[False, True, False])
    expected = [1, np.nan, 3]
    np.testing.assert_array_equal(known.plain(row, "row"), expected)
    np.testing.assert_array_equal(known.plain([row, row + 1], "rows"), [expected, [2, np.nan, 4]])
    np.testing.assert_array_equal(known.plain([[row.data], (row,)], "rows"), [[[1, 2, 3]], [expected]])
    assert known.plain(row, "row").dtype.kind == "f" and row.data.tolist() == [1, 2, 3]
    whole = row.data
    assert known.plain(whole, "row") is whole and known.plain(row[::2], "row").dtype == dtype


def test_masked_numbers_are_nan():
    np.testing.assert_array_equal(known.plain([1.0, np.ma.masked, 3], "row"), [1, np.nan, 3])
    assert np.isnan(known.floats(np.ma.masked, "number"))


@pytest.mark.parametrize(
    "odd", [[1, 2j], ["a"], [None, 1.0], [[1, 2], [3]], np.ma.array([1j], mask=True), [np.ma.ones(2), np.ma.ones(3)]]
)
def test_what_is_no_array_of_real_numbers_is_refused(odd):
    with pytest.raises(SettingsError, match=r"row: .*give real numbers"):
        known.plain(odd, "row")
