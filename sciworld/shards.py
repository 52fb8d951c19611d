"""Shards of Zarr v3, written chunk by chunk as they come.

zarr-python writes a part of a shard by writing the whole shard anew: for every block it copies what was compressed
before, and it compresses on several threads. Here one thread compresses each chunk once, and it goes to the disk at
once. The format is the "sharding_indexed" codec of the specification: chunks, behind them where each one is, and a
CRC32C of that. Chunks are little-endian bytes, compressed by zstd, with a CRC32C behind.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

import google_crc32c
import numpy as np
from numcodecs import Zstd

LEVEL = 1
ABSENT = 2**64 - 1  # where a chunk is that lies wholly outside of the array


class Shards:
    """The shards of an array, along its first axis one row of shards after the other.

    Parameters
    ----------
    folder : of the array. shape, chunk, shard : of the array, its chunks and its shards, which are whole chunks.
    dtype : of the array.

    What was put is on the disk after `finish`; leaving it as a context manager closes the rest. Raises OSError.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, ...], chunk: tuple[int, ...], shard: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self._folder, self._shape, self._chunk = folder, shape, chunk
        self._dtype = dtype.newbyteorder("<")
        self._chunks = tuple(-(-size // step) for size, step in zip(shape, chunk, strict=True))
        self._each = tuple(whole // step for whole, step in zip(shard, chunk, strict=True))
        self._codec = Zstd(level=LEVEL)
        self._open: dict[tuple[int, ...], _Shard] = {}

    def __enter__(self) -> Shards:
        return self

    def __exit__(self, *error: object) -> None:
        while self._open:
            with contextlib.suppress(OSError):  # what went wrong is said already
                self._open.popitem()[1].close(whole=False)

    def put(self, start: int, block: np.ndarray) -> None:
        """The rows from `start` on, the first of a chunk; to the last of a chunk or of the array. In their order."""
        for row in range(0, len(block), self._chunk[0]):
            first = (start + row) // self._chunk[0]
            if first % self._each[0] == 0:
                self.finish()
            for tile in np.ndindex(self._chunks[1:]):
                place = (first, *tile)
                self._shard(place).add(
                    tuple(at % each for at, each in zip(place, self._each, strict=True)),
                    self._encoded(block[self._region(row, tile)]),
                )

    def finish(self) -> None:
        """End the row of shards that was put last."""
        while self._open:
            self._open.popitem()[1].close(whole=True)

    def _region(self, row: int, tile: tuple[int, ...]) -> tuple[slice, ...]:
        begins = (row, *(at * step for at, step in zip(tile, self._chunk[1:], strict=True)))
        return tuple(slice(begin, begin + step) for begin, step in zip(begins, self._chunk, strict=True))

    def _encoded(self, values: np.ndarray) -> bytes:
        if values.shape != self._chunk:  # at the end of the array; what lies beyond is the fill value
            whole = np.zeros(self._chunk, self._dtype)
            whole[tuple(map(slice, values.shape))] = values
            values = whole
        content: bytes = self._codec.encode(np.ascontiguousarray(values, self._dtype).view(np.uint8).reshape(-1))
        return content + _checksum(content)

    def _shard(self, place: tuple[int, ...]) -> _Shard:
        number = tuple(at // each for at, each in zip(place, self._each, strict=True))
        if number not in self._open:
            self._open[number] = _Shard(self._folder.joinpath("c", *map(str, number)), self._each)
        return self._open[number]


class _Shard:
    """One file, that grows by chunks."""

    def __init__(self, path: Path, counts: tuple[int, ...]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("xb")
        self._index = np.full((math.prod(counts), 2), ABSENT, "<u8")
        self._counts, self._end = counts, 0

    def add(self, place: tuple[int, ...], content: bytes) -> None:
        self._index[np.ravel_multi_index(place, self._counts)] = self._end, len(content)
        self._end += len(content)
        self._file.write(content)

    def close(self, whole: bool) -> None:
        """Write the index, and wait until all is on the disk; of what is not whole nothing is wanted."""
        with self._file as file:
            if whole:
                index = self._index.tobytes()
                file.write(index + _checksum(index))
                file.flush()
                os.fsync(file.fileno())


def _checksum(content: bytes) -> bytes:
    return int(google_crc32c.value(content)).to_bytes(4, "little")
