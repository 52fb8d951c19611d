"""Recordings that are gone through one at a time, of which frames are read as they are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import xarray as xr

from sciworld.lazy import block_rows


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


def one_kind(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    for ds in recordings:
        return ds
    from sciworld.errors import RecordingError

    raise RecordingError("no recordings; give at least one")
