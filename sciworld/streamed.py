"""Recordings that are gone through one at a time, of which frames are read as they are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Protocol

import numpy as np
import xarray as xr

from sciworld.controls import Column, ColumnTable
from sciworld.errors import RecordingError
from sciworld.lazy import block_rows

Kind = dict[str, list[str]]  # what is compared, and in words what it is
PLANE = ("time", "y", "x", "channel")


class Recordings(Protocol):
    """A store, a selection or a list: gone through one at a time, more than once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[xr.Dataset]: ...

    def __getitem__(self, index: int, /) -> xr.Dataset: ...


class Streamed:
    """The recordings, whose frames stay where they are stored until they are asked for."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings

    def __len__(self) -> int:
        return len(self._recordings)

    def __getitem__(self, index: int) -> xr.Dataset:
        lazily = getattr(self._recordings, "lazily", None)  # a list has its recordings in memory as it is
        found: xr.Dataset = self._recordings[index] if lazily is None else lazily(index)
        return found

    def __iter__(self) -> Iterator[xr.Dataset]:
        return (self[index] for index in range(len(self)))


def one_kind(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """The first of the recordings, all of which are alike, so that what is learned of some holds of all.

    Alike are frames (time, y, x, channel) in all but the time, names and units of the channels, names, units, kinds and
    order of the controls, with the levels of a category and the frame of a position, and the units of the view. Raises
    RecordingError naming the recording and what differs; for frames with depth, and where there are no recordings.
    """
    first: xr.Dataset | None = None
    same: Kind = {}
    for number, ds in enumerate(recordings):
        where = f"recording {number} (session '{ds.attrs.get('session', '')}')"
        if first is None:
            first, same = ds, kind_of(ds, where)
        require_kind(ds, same, where, "the first recording")
    if first is None:
        raise RecordingError("no recordings; give one or more")
    return first


def require_kind(ds: xr.Dataset, same: Kind, where: str, others: str) -> None:
    """Raise RecordingError that says what differs unless the recording, called `where`, is of the kind of `others`."""
    for what, mine in kind_of(ds, where).items():
        for place, (one, other) in enumerate(zip_longest(mine, same[what], fillvalue="none")):
            if one != other:
                raise RecordingError(
                    f"{where}: {what}{f' {place}' if what in ('channel', 'control') else ''} is {one}, of {others} "
                    f"{other}; give recordings of one kind"
                )


def kind_of(ds: xr.Dataset, where: str) -> Kind:
    """What must be the same in all recordings, in words. Raises RecordingError for frames with depth."""
    if ds["frames"].dims != PLANE:
        raise RecordingError(
            f"{where}: frames are ({', '.join(map(str, ds['frames'].dims))}); give those of a plane, "
            f"({', '.join(PLANE)}), such as a slice"
        )
    y, x, channel = ds["frames"].shape[1:]
    units = ds["view"].attrs.get("units", "") if "view" in ds else ""
    return {
        "the shape of frames (y, x, channel)": [f"({y}, {x}, {channel})"],
        "channel": [f"'{column.name}' ({column.units})" for column in _columns(ds, "frames", where)],
        "control": [_control(column) for column in _columns(ds, "controls", where)],
        "the unit of the view": [f"'{units}'"],
    }


def _columns(ds: xr.Dataset, variable: str, where: str) -> ColumnTable:
    if variable not in ds.variables:
        return ColumnTable(())
    return ColumnTable.from_json(ds.variables[variable].attrs.get("columns", ""), f"{where}: '{variable}'")


def _control(column: Column) -> str:
    words = (column.units, column.kind, *column.levels, column.axis, column.frame)
    return f"'{column.name}' ({', '.join(word for word in words if word)})"


def sampled(recordings: Iterable[xr.Dataset], most: int) -> Iterator[tuple[int, xr.Dataset, slice, np.ndarray]]:
    """At most `most` frames, evenly from all recordings, in the order of time, some at a time.

    Each are the recording's number, the recording, which of its frames, and these (time, y, x, channel).
    """
    step = max(1, -(-sum(ds.sizes["time"] for ds in recordings) // most))
    seen = 0
    for number, ds in enumerate(recordings):
        size = ds.sizes["time"]
        stride = step * max(1, block_rows(ds["frames"].variable) // step)
        for start in range(-seen % step, size, stride):
            # No longer than to its last frame: a store reads all rows in between.
            rows = slice(start, min(size, start + stride - step + 1), step)
            yield number, ds, rows, ds["frames"][rows].values
        seen += size
