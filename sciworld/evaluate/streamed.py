"""Recordings that are gone through one at a time, of which frames are read as they are used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import xarray as xr

from sciworld.lazy import BLOCK_BYTES


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


def blocks(ds: xr.Dataset, overlap: int = 0) -> Iterator[tuple[slice, np.ndarray]]:
    """Frames (time, y, x, channel) of a recording, some at a time, and which they are; `overlap` are given twice."""
    frames = ds["frames"]
    total = frames.shape[0]
    step = max(1, BLOCK_BYTES // max(1, frames[:1].nbytes))
    for begin in range(0, max(total - overlap, 1), step):
        rows = slice(begin, min(begin + step + overlap, total))
        yield rows, frames[rows].values
