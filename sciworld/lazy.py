"""Frames that stay in their file until they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from sciworld.errors import FormatError, SciworldError

Key = tuple[int | slice, ...]


class _Lazy(BackendArray):
    """An array of `shape` and `dtype` whose blocks `read` gets : one integer or slice an axis to an array."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, read: Callable[[Key], np.ndarray]) -> None:
        self.path, self.shape, self.dtype, self._read = path, shape, dtype, read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        found: np.ndarray = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._checked
        )
        return found

    def _checked(self, key: Key) -> np.ndarray:
        """A block, or FormatError: the file may have gone or changed since it was opened."""
        whole = tuple(
            slice(*one.indices(size)) if isinstance(one, slice) else int(one)
            for one, size in zip(key, self.shape, strict=True)
        )
        shape = tuple(len(range(n)[one]) for one, n in zip(key, self.shape, strict=True) if isinstance(one, slice))
        if 0 in shape:
            return np.empty(shape, dtype=self.dtype)
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
        return block


def lazy(path: Path, shape: tuple[int, ...], dtype: Any, read: Callable[[Key], np.ndarray]) -> Any:
    """What stands for an array in an xarray.Variable until its values are used.

    path : of the file, for errors. read : (an integer or slice for each axis, none of them negative or open) -> the
    block, without the axes of integers, in `dtype`; picklable, if other processes are to read.
    """
    return indexing.LazilyIndexedArray(_Lazy(path, tuple(shape), np.dtype(dtype), read))


def is_lazy(values: object) -> bool:
    """Whether `values` are read when they are used."""
    return isinstance(values, indexing.ExplicitlyIndexed)
