"""Arrays on their way to the disk: joined from pieces, in compressed and checksummed shards, a block at a time.

Frames are read in blocks while the blocks before are compressed by another thread, so recordings larger than the memory
can be written; whichever of the two has time looks at them. Every shard and chunk is written, even where it holds only
the fill value, and every chunk ends with a CRC32C: what is missing or damaged is noticed, and -0.0 and NaN payloads
survive.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from sciworld.files import write_file
from sciworld.shards import LEVEL, Shards

CHUNK_FRAMES = 16
CHUNK_BYTES = 4 << 20
SHARD_BYTES = 64 << 20
AHEAD = 2  # blocks that may wait to be compressed
BLOCK_BYTES = 4 << 20  # of frames that are read while as many are compressed
TILE = 256


def chunk_shape(shape: tuple[int, ...], itemsize: int, frames: bool = True) -> tuple[int, ...]:
    """The inner chunk of an array : (row, ...), at most 4 MiB: 16 frames of a tile, else as many rows as fit."""
    tile = [max(1, size) for size in shape[1:]]
    wanted = CHUNK_FRAMES if frames else max(1, shape[0])
    while (large := math.prod(tile) * itemsize) * wanted > CHUNK_BYTES and tile and max(tile) > 1:
        if max(tile) <= TILE and large <= CHUNK_BYTES:
            break
        axis = tile.index(max(tile))
        tile[axis] = -(-tile[axis] // 2)
    return (max(1, min(wanted, CHUNK_BYTES // (math.prod(tile) * itemsize))), *tile)


def shard_shape(shape: tuple[int, ...], chunk: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole multiples of `chunk`, at most 64 MiB: first across a frame, then along the rows."""
    budget = max(1, SHARD_BYTES // (math.prod(chunk) * itemsize))
    shard = list(chunk)
    for axis in reversed(range(len(shape))):
        times = min(max(1, -(-shape[axis] // chunk[axis])), budget)
        shard[axis] *= times
        budget //= times
    return tuple(shard)


class Watch(Protocol):
    """What looks at the frames of one recording while they are written: in either of two threads, never in both."""

    def see(self, name: str, block: np.ndarray) -> None:
        """The next frames of the camera `name`, in order; whatever it raises ends the writing."""

    def finish(self, recording: xr.Dataset, finite: Mapping[str, np.ndarray]) -> xr.Dataset:
        """The recording with what was measured, after the last frame; the frames stay as they are.

        finite : (time,) bool of each camera, whether every pixel is finite.
        """


class Look:
    """What the frames of one camera of several recordings are seen to be while they pass, first to last.

    Parameters
    ----------
    name : of the camera. sizes : frames of each recording. watches : one a recording, or none.

    `finite` : for each recording (time,) bool, whether every pixel of a frame is finite.
    """

    def __init__(self, name: str, sizes: Sequence[int], watches: Sequence[Watch]) -> None:
        self._name, self._watches = name, watches
        self._stops = np.cumsum(sizes)
        self.finite = [np.ones(size, dtype=bool) for size in sizes]

    def see(self, start: int, block: np.ndarray) -> None:
        """The frames from `start` on, counted over all recordings; whatever a watch raises."""
        while len(block):
            index = int(np.searchsorted(self._stops, start, side="right"))
            finite = self.finite[index]
            left = int(self._stops[index]) - start
            frames, block, start = block[:left], block[left:], start + left
            if frames.dtype.kind == "f":
                first = len(finite) - left
                finite[first : first + len(frames)] = np.isfinite(frames).reshape(len(frames), -1).all(axis=1)
            if self._watches:
                self._watches[index].see(self._name, frames)


@dataclass(frozen=True)
class Joined:
    """An array to be written: `pieces`, anything that slices to NumPy along its first axis, are joined along it.

    `look` sees its blocks.
    """

    dims: tuple[str, ...]
    attributes: dict[str, Any]
    pieces: Sequence[Any]
    look: Look | None = None

    def blocks(self, rows: int) -> Iterable[np.ndarray]:
        """The joined array in blocks of `rows` rows; the last may be shorter."""
        held: list[np.ndarray] = []
        count = 0
        for piece in self.pieces:
            start = 0
            while start < piece.shape[0]:
                taken = np.asarray(piece[start : start + rows - count])
                held.append(taken)
                start, count = start + len(taken), count + len(taken)
                if count == rows:
                    yield held[0] if len(held) == 1 else np.concatenate(held)
                    held, count = [], 0
        if held:
            yield np.concatenate(held)

    def write(self, folder: Path, name: str) -> str:
        """Write the array as folder/name; the sha256 of its zarr.json. Raises OSError."""
        with ExitStack() as open_files:
            return self.begin(folder, name, open_files, ahead=False)()

    def begin(self, folder: Path, name: str, open_files: ExitStack, ahead: bool) -> Callable[[], str]:
        """Read and look at the array while it is written as folder/name; what it returns waits until that is done.

        open_files : closed when that was done, or failed. ahead : whether blocks are read while those before are
        compressed, by another thread. Returns a function that gives the sha256 of its zarr.json. Both raise OSError.
        """
        rows = sum(piece.shape[0] for piece in self.pieces)
        shape = (rows, *self.pieces[0].shape[1:])
        dtype = np.dtype(self.pieces[0].dtype.name)
        chunk = chunk_shape(shape, dtype.itemsize, frames=is_frames(name))
        shard = shard_shape(shape, chunk, dtype.itemsize)
        metadata = self._metadata(shape, dtype, chunk, shard)
        (folder / name).mkdir()
        # Each shard is on the disk before the next begins, and none comes late after an error.
        shards = open_files.enter_context(Shards(folder / name, shape, chunk, shard, dtype))
        pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        open_files.callback(pool.shutdown, cancel_futures=True)
        waiting: deque[Future[None]] = deque()
        looking: Future[None] | None = None
        start = 0
        for block in self.blocks(_block_rows(chunk, dtype.itemsize, math.prod(shape[1:]))):
            if looking is not None:
                looking.result()  # blocks are seen in their order
                looking = None
            if self.look is not None and all(one.done() for one in waiting):
                looking = pool.submit(self.look.see, start, block)
            elif self.look is not None:
                self.look.see(start, block)
            waiting.append(pool.submit(shards.put, start, block))
            start += len(block)
            while len(waiting) > (AHEAD if ahead else 0):
                waiting.popleft().result()
        if looking is not None:
            looking.result()
        waiting.append(pool.submit(shards.finish))

        def end() -> str:
            for one in waiting:
                one.result()
            write_file(folder / name / "zarr.json", metadata)
            return hashlib.sha256(metadata).hexdigest()

        return end

    def _metadata(
        self, shape: tuple[int, ...], dtype: np.dtype, chunk: tuple[int, ...], shard: tuple[int, ...]
    ) -> bytes:
        """The array's zarr.json."""
        files: dict[str, Any] = {}
        zarr.create_array(
            zarr.storage.MemoryStore(files),
            shape=shape,
            dtype=dtype,
            chunks=chunk,
            shards=shard,
            compressors=[ZstdCodec(level=LEVEL), Crc32cCodec()],
            fill_value=0,
            attributes=self.attributes,
            dimension_names=self.dims,
        )
        content: bytes = files["zarr.json"].to_bytes()
        return content


def is_frames(name: str) -> bool:
    return name == "frames" or name.startswith("frames_")


def _block_rows(chunk: tuple[int, ...], itemsize: int, row: int) -> int:
    """Rows to write at once: whole chunks, about BLOCK_BYTES."""
    return chunk[0] * max(1, BLOCK_BYTES // (chunk[0] * max(1, row) * itemsize))
