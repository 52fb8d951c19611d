"""Arrays of Zarr folders that stay there, and what Zarr itself passes over: chunks that vanish or were cut off."""

from __future__ import annotations

import itertools
import math
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciworld.domains.stem.blocks import Blocks
from sciworld.errors import FormatError
from sciworld.lazy import Key

if TYPE_CHECKING:
    import zarr

BLOSC_HEADER = 16  # bytes, of which the last four say how many there are in all (c-blosc, README_CHUNK_FORMAT)


def zarr_blocks(path: Path, name: str, node: zarr.Array[Any]) -> tuple[Blocks, tuple[str, ...]]:
    """The array `name` of a Zarr folder, and a note of the chunks that are absent. Its files are not looked at."""
    files = node.shards or node.chunks
    each = math.prod(file // chunk for file, chunk in zip(files, node.chunks, strict=True))
    wanted = math.prod(-(-size // file) for size, file in zip(node.shape, files, strict=True))
    absent = wanted - node.nchunks_initialized // each
    named = "shards" if node.shards else "chunks"
    notes = (f"{absent} {named} are absent and read as {node.fill_value}",) if absent else ()
    dtype = node.dtype.newbyteorder("=")
    read = partial(_read, path, name, node.shape, dtype, _names(path / name) if absent else None)
    return Blocks(path, node.shape, dtype, read), notes


def _names(folder: Path) -> frozenset[str]:
    """The files of an array, as Zarr names them."""
    return frozenset(
        Path(where, file).relative_to(folder).as_posix() for where, _, files in os.walk(folder) for file in files
    )


def _read(
    path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, present: frozenset[str] | None, key: Key
) -> np.ndarray:
    """A block. present : the files that were there when it was opened; None if all were."""
    import zarr

    node = zarr.open_array(path / name, mode="r")
    if node.shape != shape:
        raise FormatError(f"{path}: is {node.shape} and was {shape} when it was opened; open it anew")
    blosc = not node.shards and any(type(codec).__name__ in ("Blosc", "BloscCodec") for codec in node.compressors)
    for file in _touched(node, key):
        if present is None or file in present:
            _require_whole(path / name / file, blosc)
    return np.asarray(node[key]).astype(dtype, copy=False)


def _touched(node: zarr.Array[Any], key: Key) -> list[str]:
    """The files in which a block lies."""
    places = [
        sorted({row // size for row in range(one.start, one.stop, one.step)})
        for one, size in zip(key, node.shards or node.chunks, strict=True)
    ]
    stated: Any = node.metadata
    return [stated.encode_chunk_key(place) for place in itertools.product(*places)]


def _require_whole(file: Path, blosc: bool) -> None:
    """Raises FormatError for a chunk that is not there, or is cut off. Of Blosc, which may read beyond its end."""
    try:
        size = file.stat().st_size
        head = b""
        if blosc:
            with file.open("rb") as content:
                head = content.read(BLOSC_HEADER)
    except FileNotFoundError:
        raise FormatError(f"{file}: was there when it was opened, and is gone; copy it anew") from None
    if not size:  # which Zarr takes for absent
        raise FormatError(f"{file}: empty, it was cut off; copy it anew")
    if blosc and (len(head) < BLOSC_HEADER or size != int.from_bytes(head[12:], "little")):
        raise FormatError(f"{file}: {size} bytes where its header says otherwise, it was cut off; copy it anew")
