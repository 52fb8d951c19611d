"""Frames are drawn evenly, whatever recordings and blocks they come in; those of a store are read as they are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toy
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from sciworld import lazy
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.streamed import Streamed, sampled


@given(st.lists(st.integers(2, 9), min_size=1, max_size=4), st.integers(1, 40), st.integers(1, 5))
def test_every_so_many_th_frame_is_drawn_across_recordings_and_blocks(lengths: list[int], most: int, rows: int) -> None:
    held = [toy.make(length, seed) for seed, length in enumerate(lengths)]
    every = max(1, -(-sum(lengths) // most))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lazy, "BLOCK_BYTES", rows * toy.Y * toy.X * 2 * 4)
        drawn = list(sampled(held, most))
    found = np.concatenate([frames for *_, frames in drawn])
    np.testing.assert_array_equal(found, np.concatenate([ds["frames"].values for ds in held])[::every])
    assert len(found) <= most
    for number, ds, chosen, frames in drawn:
        assert ds is held[number]
        np.testing.assert_array_equal(ds["frames"].values[chosen], frames)


def test_recordings_of_a_store_are_given_unread_and_others_as_they_are(tmp_path: Path) -> None:
    held = toy.recordings(3)
    store = Store.create(tmp_path / "store")
    store.append(held)
    for recordings, numbers in ((store, (0, 1, 2)), (Selection(store, np.array([2, 0])), (2, 0))):
        streamed = Streamed(recordings)
        assert len(streamed) == len(numbers)
        for ds, number in zip(streamed, numbers, strict=True):
            assert not isinstance(ds["frames"].variable._data, np.ndarray)
            xr.testing.assert_identical(ds.load(), store[number])
    assert Streamed(held)[1] is held[1] and list(Streamed(held)) == held
