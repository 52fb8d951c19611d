"""Frames that stay in their file until they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from sciworld.errors import FormatError, SciworldError

Key = tuple[slice, ...]
BLOCK_BYTES = 16 << 20  # of frames in memory at once, where a recording is walked through


class _Lazy(BackendArray):
    """An array of `shape` and `dtype` whose blocks `read` gets : one slice an axis to an array."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, read: Callable[[Key], np.ndarray]) -> None:
        self.path, self.shape, self.dtype, self._read = path, shape, dtype, read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        # xarray looks for the last of a slice that goes backwards, also where that holds nothing.
        filled = (slice(0, 0) if _is_empty(one, n) else one for one, n in zip(key.tuple, self.shape, strict=True))
        found: np.ndarray = indexing.explicit_indexing_adapter(
            type(key)(tuple(filled)), self.shape, indexing.IndexingSupport.BASIC, self._checked
        )
        return found

    def _checked(self, key: tuple[int | slice, ...]) -> np.ndarray:
        """A block, or FormatError: the file may have gone or changed since it was opened."""
        whole = tuple(_as_slice(one, size) for one, size in zip(key, self.shape, strict=True))
        shape = tuple(len(range(size)[one]) for one, size in zip(whole, self.shape, strict=True))
        kept = tuple(slice(None) if isinstance(one, slice) else 0 for one in key)
        if 0 in shape:
            return np.empty(shape, dtype=self.dtype)[kept]
        try:
            block = np.asarray(self._read(whole))
        except SciworldError:
            raise
        except Exception as error:  # a damaged file may raise anything at all in the library that parses it
            raise FormatError(
                f"{self.path}: frames cannot be read ({type(error).__name__}: {error}); the file was moved or changed "
                "since it was opened, or is damaged: copy it anew"
            ) from error
        if block.shape != shape or block.dtype != self.dtype:
            raise FormatError(
                f"{self.path}: frames are {block.shape} {block.dtype} where {shape} {self.dtype} were promised; the "
                "file changed since it was opened, or is damaged: open it anew"
            )
        return block[kept]


def lazy(path: Path, shape: tuple[int, ...], dtype: Any, read: Callable[[Key], np.ndarray]) -> Any:
    """What stands for an array in an xarray.Variable until its values are used.

    path : of the file, for errors. read : (a slice for each axis, of a start, a stop and a step above zero, none of
    them open) -> the block in `dtype`; picklable, if other processes are to read.
    """
    return indexing.LazilyIndexedArray(_Lazy(path, tuple(shape), np.dtype(dtype), read))


def is_lazy(values: object) -> bool:
    """Whether `values` are read when they are used."""
    return isinstance(values, indexing.ExplicitlyIndexed)


def block_rows(frames: xr.Variable) -> int:
    """How many frames `blocks` gives at a time."""
    a_frame = max(1, int(np.prod(frames.shape[1:], dtype=np.int64)) * frames.dtype.itemsize)
    rows = max(1, BLOCK_BYTES // a_frame)
    return rows // 16 * 16 or rows


def blocks(frames: xr.Variable) -> Iterator[tuple[int, np.ndarray]]:
    """Frames : (time, ...) in blocks of BLOCK_BYTES, whole 16s of frames if they fit; each with its first number."""
    step = block_rows(frames)
    for start in range(0, frames.shape[0], step):
        yield start, frames[start : start + step].values


def _as_slice(one: Any, size: int) -> slice:
    """What is asked for of an axis, an integer or slice, as a slice."""
    if isinstance(one, slice):
        return slice(*one.indices(size))
    number = range(size)[one]
    return slice(number, number + 1, 1)


def _is_empty(one: Any, size: int) -> bool:
    return isinstance(one, slice) and len(range(size)[one]) == 0
