"""Arrays that stay in their file: of what a reader promises, blocks are read when they are used."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sciworld.errors import FormatError
from sciworld.lazy import Key, lazy

Read = Callable[[Key], np.ndarray]


@dataclass(frozen=True)
class Blocks:
    """An array of a file.

    Parameters
    ----------
    path : of the file, for errors.
    shape, dtype : of the whole array, in the byte order of this machine.
    read : (a slice for each axis, as `lazy.lazy` says) -> that block; picklable.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Read

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def lazy(self) -> Any:
        """What stands for it in a recording."""
        return lazy(self.path, self.shape, self.dtype, self.read)

    def arranged(self, axes: Sequence[int | None]) -> Blocks:
        """Its axes in this order; None is a new axis of one. Axes that are not named have one place, and go."""
        shape = tuple(1 if axis is None else self.shape[axis] for axis in axes)
        return replace(self, shape=shape, read=partial(_read_arranged, self.read, self.ndim, tuple(axes)))

    def first(self, n: int) -> Blocks:
        """Its first n rows."""
        return replace(self, shape=(n, *self.shape[1:]))

    def astype(self, dtype: str) -> Blocks:
        """The same numbers in another dtype."""
        return replace(self, dtype=np.dtype(dtype), read=partial(_read_astype, self.read, np.dtype(dtype)))


def mapped(
    path: Path, offset: int, shape: Sequence[int], dtype: np.dtype, size: int, what: str, order: str = "C"
) -> Blocks:
    """An array whose bytes lie one after the other in a file, from `offset` on.

    size : bytes that there are up to its end. Raises FormatError where it would end beyond them, naming `what`.
    """
    shape = tuple(int(n) for n in shape)
    if dtype.hasobject:
        raise FormatError(f"{path}: {what} of Python objects, dtype {dtype}; save it as numbers")
    need = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or need > size:
        raise FormatError(
            f"{path}: truncated, {what} of {shape} {dtype} takes {need} bytes and {size} are there; copy it anew"
        )
    read = partial(_read_mapped, path, offset, shape, dtype, order)
    return Blocks(path, shape, dtype.newbyteorder("="), read)


def joined(films: Sequence[Blocks], path: Path) -> Blocks:
    """Arrays of one dtype and one shape but for their rows, one after the other."""
    ends = tuple(np.cumsum([len(film) for film in films]).tolist())
    read = partial(_read_joined, tuple(film.read for film in films), ends)
    return replace(films[0], path=path, shape=(ends[-1], *films[0].shape[1:]), read=read)


def _read_mapped(path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype, order: Any, key: Key) -> np.ndarray:
    whole = np.memmap(path, dtype, "r", offset, shape, order)
    return np.array(whole[key], dtype=dtype.newbyteorder("="))


def _read_arranged(read: Read, ndim: int, axes: tuple[int | None, ...], key: Key) -> np.ndarray:
    inner = [slice(0, 1, 1)] * ndim
    for axis, one in zip(axes, key, strict=True):
        if axis is not None:
            inner[axis] = one
    kept = [axis for axis in axes if axis is not None]
    gone = [axis for axis in range(ndim) if axis not in kept]
    block = read(tuple(inner)).transpose(*kept, *gone)
    return block[(*(None if axis is None else slice(None) for axis in axes), *(0 for _ in gone))]


def _read_astype(read: Read, dtype: np.dtype, key: Key) -> np.ndarray:
    return read(key).astype(dtype)


def _read_joined(reads: tuple[Read, ...], ends: tuple[int, ...], key: Key) -> np.ndarray:
    rows, rest = key[0], key[1:]
    wanted = range(rows.start, rows.stop, rows.step)
    found = []
    first = 0
    for read, end in zip(reads, ends, strict=True):
        mine = [row - first for row in wanted if first <= row < end] if wanted[-1] >= first and wanted[0] < end else []
        if mine:
            found.append(read((slice(mine[0], mine[-1] + 1, wanted.step), *rest)))
        first = end
    return np.concatenate(found)
