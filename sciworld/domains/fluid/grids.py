"""Fields on regular grids in HDF5, as frames that stay in their file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sciworld.lazy import Key, lazy


@dataclass(frozen=True)
class Field:
    """One field of a file: [sample,] [time,] x [, y [, z]] [, component ...].

    Parameters
    ----------
    path : where in the file.
    in_samples, in_time : whether it has that leading axis.
    axes : whether it has each spatial axis.
    names : of its components, the last axes unrolled.
    dtype : as stored.
    """

    path: str
    in_samples: bool
    in_time: bool
    axes: tuple[bool, ...]
    names: tuple[str, ...]
    dtype: np.dtype


def lazy_frames(path: Path, fields: Sequence[Field], sample: int, times: int, sizes: Sequence[int]) -> Any:
    """Fields that vary in time as frames (time, [z,] y, x, channel) that are read when they are used.

    sizes : points along x [, y [, z]]; one dimension is a row of pixels. The dtype is the widest of the fields'.
    """
    spatial = (1, sizes[0]) if len(sizes) == 1 else tuple(reversed(sizes))
    shape = (times, *spatial, sum(len(field.names) for field in fields))
    dtype = np.result_type(*(field.dtype for field in fields))
    return lazy(path, shape, dtype, partial(_read, path, tuple(fields), sample, len(sizes), shape, dtype))


def even_view(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Columns and rows to x (column,) and y (row,) : (6,); None where either is not evenly spaced."""
    steps = []
    for axis in (x, y):
        axis = np.asarray(axis, dtype=np.float64)
        if axis.ndim != 1 or len(axis) < 2:
            return None
        step = (axis[-1] - axis[0]) / (len(axis) - 1)
        if step == 0 or not np.allclose(np.diff(axis), step, rtol=1e-3, atol=0):
            return None
        steps.append((step, axis[0]))
    (dx, x0), (dy, y0) = steps
    return np.array([dx, 0.0, x0, 0.0, dy, y0])


def _read(
    path: Path,
    fields: tuple[Field, ...],
    sample: int,
    spatial: int,
    shape: tuple[int, ...],
    dtype: np.dtype,
    key: Key,
) -> np.ndarray:
    """A block of the frames (time, [z,] y, x, channel) of one sample."""
    times = key[0] if isinstance(key[0], slice) else slice(key[0], key[0] + 1)
    count = len(range(*times.indices(shape[0])))
    block = np.empty((count, *shape[1:]), dtype)
    at = 0
    with h5py.File(path, "r") as file:
        for field in fields:
            node = file[field.path]
            values = node[sample, times] if field.in_samples else node[times]
            missing = [axis + 1 for axis, there in enumerate(field.axes) if not there]
            values = np.expand_dims(values, missing) if missing else values
            values = values.reshape(count, *values.shape[1 : spatial + 1], -1)
            values = values.transpose(0, *range(spatial, 0, -1), spatial + 1)
            if spatial == 1:
                values = values[:, None]
            block[..., at : at + len(field.names)] = values
            at += len(field.names)
    inner = (slice(None) if isinstance(key[0], slice) else 0, *key[1:])
    found: np.ndarray = block[inner]
    return found
