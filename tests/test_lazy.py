"""Frames that stay in their file: whatever is asked for, a reader is asked for slices that go forwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from sciworld import lazy as lazily
from sciworld.errors import FormatError
from sciworld.lazy import blocks, lazy

T, Y, X = 11, 5, 7
DIMS = ("time", "y", "x")
PIXELS = np.arange(T * Y * X, dtype=np.uint16).reshape(T, Y, X)


def read(key):
    for one, size in zip(key, PIXELS.shape, strict=True):
        assert isinstance(one, slice) and one.step > 0 and 0 <= one.start < one.stop <= size
    return PIXELS[key]


def film(read=read):
    return xr.Variable(DIMS, lazy(Path("toy"), PIXELS.shape, PIXELS.dtype, read))


def slices(size):
    """Slices that do not start before the first: xarray takes [-9::-1] of 5 for [::-1]."""
    first, last = st.none() | st.integers(-size, 13), st.none() | st.integers(-13, 13)
    return st.builds(slice, first, last, st.none() | st.integers(-4, 4).filter(bool))


def axis(size):
    return st.integers(-size, size - 1) | slices(size)


@given(st.tuples(*map(axis, PIXELS.shape)), st.integers(0, 4))
def test_a_lazy_array_is_indexed_as_one_in_memory(key, again):
    found, wanted = film()[key], PIXELS[key]
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(found.values, wanted)
    if wanted.ndim:
        np.testing.assert_array_equal(found[(slice(again, None),)].values, wanted[again:])


def test_lists_of_numbers_are_read_too():
    np.testing.assert_array_equal(film()[[1, 5, 3], 2].values, PIXELS[[1, 5, 3], 2])
    np.testing.assert_array_equal(film()[[4, 0], [3]].values, PIXELS[[4, 0]][:, [3]])
    places = {"time": xr.DataArray([1, 10], dims="p"), "y": xr.DataArray([3, 4], dims="p"), "x": slice(4, 4, -1)}
    assert xr.DataArray(film()).isel(places).values.shape == (2, 0)
    del places["x"]
    np.testing.assert_array_equal(xr.DataArray(film()).isel(places), PIXELS[[1, 10], [3, 4]])


def test_nothing_is_read_where_nothing_is_asked_for():
    def never(key):
        raise AssertionError(key)

    for key in ((slice(3, 3),), (slice(3, 9, -1),), (2, slice(5, 2)), (slice(0, 0, -1), 1, slice(2, 4))):
        np.testing.assert_array_equal(film(never)[key].values, PIXELS[key])


@pytest.mark.parametrize("wrong", [PIXELS[:1], PIXELS[0], PIXELS[:2].astype(float)])
def test_a_block_that_is_not_what_was_promised_is_refused(wrong):
    with pytest.raises(FormatError, match="were promised"):
        film(lambda key: wrong)[:2].load()


def test_blocks_are_whole_sixteens_that_fit(monkeypatch):
    frames = xr.Variable(DIMS, np.arange(100 * 6).reshape(100, 2, 3))
    for rows, wanted in ((40, 32), (16, 16), (9, 9), (0.5, 1)):
        monkeypatch.setattr(lazily, "BLOCK_BYTES", int(rows * frames[0].nbytes))
        found = list(blocks(frames))
        assert [start for start, _ in found] == list(range(0, 100, wanted))
        np.testing.assert_array_equal(np.concatenate([block for _, block in found]), frames)
