"""Frames are drawn evenly, whatever recordings and blocks they come in; those of a store are read as they are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toy
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from sciworld import lazy, recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import RecordingError
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.streamed import Streamed, one_kind, sampled


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


def changed(**columns: object) -> ColumnTable:
    """The controls of the toy, the last column of which is another."""
    *kept, last = toy.CONTROLS
    given = {"name": last.name, "units": last.units, "kind": last.kind, "levels": last.levels} | columns
    return ColumnTable((*kept, Column(**given)))  # type: ignore[arg-type]


def with_columns(variable: str, table: ColumnTable, session: str = "odd") -> xr.Dataset:
    ds = toy.make(4, 1, session).copy()
    ds[variable].attrs["columns"] = table.to_json()
    return ds


def test_the_first_of_recordings_of_one_kind_is_given() -> None:
    held = [toy.make(4, 0), toy.make(9, 1)]
    assert one_kind(held) is held[0]
    other = held[1].copy()
    bounds = ColumnTable(tuple(Column(c.name, c.units, low=-1e9) for c in recording.channel_table(other)))
    other["frames"].attrs["columns"] = bounds.to_json()
    assert one_kind([held[0], other.drop_vars("states", errors="ignore")]) is held[0]
    bare = [ds.drop_vars("controls") for ds in held]
    assert one_kind(bare) is bare[0]


def test_recordings_that_differ_are_named_with_what_differs() -> None:
    first, second = toy.make(4, 0), toy.make(4, 1, "odd")
    metres = second.copy()
    metres["view"].attrs["units"] = "m"
    turned = ColumnTable((toy.CONTROLS.columns[1], toy.CONTROLS.columns[0], toy.CONTROLS.columns[2]))
    odd = {
        r"the shape of frames \(y, x, channel\) is \(7, 12, 2\), of the first recording \(8, 12, 2\)": second.isel(
            y=slice(7)
        ),
        r"channel 1 is 'heat' \(C\), of the first recording 'heat' \(K\)": with_columns(
            "frames", ColumnTable((toy.CHANNELS.columns[0], Column("heat", "C")))
        ),
        r"channel 1 is 'cold' \(K\)": with_columns(
            "frames", ColumnTable((toy.CHANNELS.columns[0], Column("cold", "K")))
        ),
        "control 0 is 'fan_y'": with_columns("controls", turned),
        r"control 2 is 'mode' \(1, integer\), of the first recording 'mode' \(1, categorical, off, blow, pull\)": (
            with_columns("controls", changed(kind="integer", levels=()))
        ),
        "control 2 is 'mode' .1, categorical, off, pull, blow.": with_columns(
            "controls", changed(levels=("off", "pull", "blow"))
        ),
        "control 2 is 'valve'": with_columns("controls", changed(name="valve")),
        "control 2 is none": with_columns("controls", ColumnTable(toy.CONTROLS.columns[:2])),
        "control 0 is none, of the first recording 'fan_x'": second.drop_vars("controls"),
        "the unit of the view is 'm', of the first recording 'mm'": metres,
    }
    for message, ds in odd.items():
        with pytest.raises(RecordingError, match=rf"recording 1 \(session 'odd'\): {message}"):
            one_kind([first, ds])


def test_no_recordings_and_frames_with_depth_are_refused() -> None:
    with pytest.raises(RecordingError, match="no recordings"):
        one_kind([])
    deep = toy.make(4, 0, "deep").expand_dims(z=3, axis=1)
    deep["frames"] = deep["frames"].transpose("time", "z", "y", "x", "channel")
    with pytest.raises(RecordingError, match=r"recording 0 \(session 'deep'\): frames are \(time, z, y, x, channel\)"):
        one_kind([deep])
