"""Crops: a stretch of every frame, with the view and the positions in pixels that belong to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciworld.config import numbers_of
from sciworld.controls import ColumnTable
from sciworld.errors import SettingsError

PLACES = ("random", "centre")


@dataclass(frozen=True)
class Crop:
    """`size` : (y, x) pixels that begin at a row and column of 0 to `room` : (y, x), `at` random or in the centre."""

    size: tuple[int, int]
    room: tuple[int, int]
    at: str

    @classmethod
    def of(cls, size: tuple[int, int], at: str, shape: tuple[int, ...]) -> Crop:
        """Of frames of `shape` (..., y, x, channel). Raises SettingsError unless it fits in."""
        y, x = shape[-3:-1]
        sizes = numbers_of(size, "windows: crop (y, x)").tolist()
        if len(sizes) != 2 or not (1 <= sizes[0] <= y and 1 <= sizes[1] <= x):
            raise SettingsError(f"windows: crop is {size!r:.80}, of frames of {y} x {x} pixels; use a (y, x) that fits")
        if not isinstance(at, str) or at not in PLACES:
            raise SettingsError(f"windows: crop_at is {at!r:.80}; use one of {', '.join(PLACES)}")
        return cls((sizes[0], sizes[1]), (y - sizes[0], x - sizes[1]), at)

    def corners(self, index: np.ndarray, draw: Any) -> np.ndarray:
        """First row and column of the crop of each window : (b, 2) int64, by its number : (b,) and `draw` alone.

        draw : an integer in 0..2**64 - 1, or (b,) of them.
        """
        if self.at == "centre":
            return np.broadcast_to(np.array(self.room) // 2, (len(index), 2))
        bits = _scrambled(_scrambled(index.astype(np.uint64)) ^ draws_of(draw, len(index)))
        halves = np.stack([bits >> np.uint64(32), bits & np.uint64(0xFFFFFFFF)], axis=-1)
        places = np.array(self.room, dtype=np.uint64) + np.uint64(1)
        return (halves * places >> np.uint64(32)).astype(np.int64)

    def region(self, shape: tuple[int, ...], corner: Sequence[int]) -> tuple[slice, ...]:
        """The crop at `corner` (row, column) in frames that are, once cropped, of `shape` (..., y, x, channel)."""
        across = [slice(first, first + size) for first, size in zip(corner, self.size, strict=True)]
        return (*(slice(0, size) for size in shape[:-3]), *across, slice(0, shape[-1]))

    def move_view(self, view: np.ndarray, corners: np.ndarray) -> None:
        """Let `view` : (b, t, 6) begin at corners : (b, 2), so that every pixel keeps its place in the laboratory."""
        row, column = corners[:, :1, None], corners[:, 1:, None]
        view[..., [2, 5]] += view[..., [0, 3]] * column + view[..., [1, 4]] * row

    def move_positions(self, values: np.ndarray, table: ColumnTable, corners: np.ndarray) -> None:
        """Count the positions in pixels among `values` : (b, ..., column) from corners : (b, 2)."""
        b = len(corners)
        moved = corners.astype(values.dtype).reshape(b, *(1,) * (values.ndim - 2), 2)
        for x, y in _in_pixels(table):
            values[..., [y, x]] -= moved

    def move_bounds(self, table: ColumnTable) -> ColumnTable:
        """The table with the bounds that positions in pixels have when they are counted from any corner."""
        columns = list(table)
        for x, y in _in_pixels(table):
            for place, room in ((y, self.room[0]), (x, self.room[1])):
                least, most = (room // 2, room // 2) if self.at == "centre" else (0, room)
                low, high = columns[place].low, columns[place].high
                columns[place] = dataclasses.replace(
                    columns[place],
                    low=None if low is None else low - most,
                    high=None if high is None else high - least,
                )
        return ColumnTable(tuple(columns))


def draws_of(draw: Any, count: int) -> np.ndarray:
    """The draws of so many windows : (count,) uint64. Raises SettingsError for what is none."""
    try:
        return np.broadcast_to(np.asarray(draw, dtype=np.uint64), (count,))
    except (TypeError, ValueError, OverflowError) as error:
        wanted = f"an integer in 0..2**64 - 1, or {count} of them"
        raise SettingsError(f"windows: draw is {draw!r:.80}; use {wanted}") from error


def _in_pixels(table: ColumnTable) -> list[tuple[int, int]]:
    """Where the x and y of each position in pixels stand in a table."""
    return [(x, y) for x, y in table.positions().values() if table.columns[x].frame == "pixel"]


def _scrambled(values: np.ndarray) -> np.ndarray:
    """One step of SplitMix64 from each of `values` : uint64 (Steele, Lea and Flood 2014, 10.1145/2660193.2660195)."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
