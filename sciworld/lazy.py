"""Frames that stay in their file until they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

Key = tuple[int | slice, ...]


class _Lazy(BackendArray):
    """An array of `shape` and `dtype` whose blocks `read` gets : one integer or slice an axis to an array."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, read: Callable[[Key], np.ndarray]) -> None:
        self.shape, self.dtype, self._read = shape, dtype, read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        found: np.ndarray = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )
        return found


def lazy(shape: tuple[int, ...], dtype: np.dtype, read: Callable[[Key], np.ndarray]) -> Any:
    """What stands for an array in an xarray.Variable until its values are used.

    read : (an integer or slice for each axis) -> the block, without the axes of integers, in `dtype`.
    """
    return indexing.LazilyIndexedArray(_Lazy(tuple(shape), np.dtype(dtype), read))


def is_lazy(values: object) -> bool:
    """Whether `values` are read when they are used."""
    return isinstance(values, indexing.ExplicitlyIndexed)
