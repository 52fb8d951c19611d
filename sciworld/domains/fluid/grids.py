"""Fields on regular grids in HDF5, as frames that stay in their file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from sciworld.domains.hdf5 import dataset
from sciworld.errors import FormatError
from sciworld.lazy import Key, lazy
from sciworld.recording import FRAME_DTYPES

# More than any real file has; a damaged one may state any number, and each costs time or memory before a frame is read.
MOST_SAMPLES, MOST_TIMES = 20_000, 10_000_000


@dataclass(frozen=True)
class Field:
    """One field of a file: [sample,] [time,] x [, y [, z]] [, component ...].

    Parameters
    ----------
    path : where in the file.
    in_samples, in_time : whether it has that leading axis.
    axes : whether it has each spatial axis.
    names : of its components, the last axes unrolled.
    dtype, shape : as stored.
    """

    path: str
    in_samples: bool
    in_time: bool
    axes: tuple[bool, ...]
    names: tuple[str, ...]
    dtype: np.dtype
    shape: tuple[int, ...]


def frame_field(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """The dataset of a field. Raises FormatError if frames cannot be of its dtype."""
    node = dataset(file, name, path)
    if node.dtype.name not in FRAME_DTYPES:
        raise FormatError(f"{path}: '{name}' is {node.dtype}; save it as one of {', '.join(FRAME_DTYPES)}")
    return node


def require_plausible(path: Path, samples: int, times: int) -> None:
    """Raise FormatError for more recordings, or longer ones, than a file has."""
    for what, count, most in (("recordings", samples, MOST_SAMPLES), ("frames", times, MOST_TIMES)):
        if not 1 <= count <= most:
            raise FormatError(f"{path}: states {count} {what}; expected 1 to {most}: it is damaged, or split it")


def lazy_frames(path: Path, fields: Sequence[Field], sample: int, times: int, sizes: Sequence[int]) -> Any:
    """Fields that vary in time as frames (time, [z,] y, x, channel) that are read when they are used.

    sizes : points along x [, y [, z]]; one dimension is a row of pixels. The dtype is the widest of the fields'.
    """
    spatial = (1, sizes[0]) if len(sizes) == 1 else tuple(reversed(sizes))
    shape = (times, *spatial, sum(len(field.names) for field in fields))
    dtype = np.result_type(*(field.dtype for field in fields)).newbyteorder("=")
    return lazy(path, shape, dtype, partial(_read, path, tuple(fields), sample, len(sizes), shape, dtype))


def lazy_array(path: Path, node: h5py.Dataset, sample: int | None = None) -> Any:
    """A dataset, or one sample of it, in the order of its axes, that is read when it is used."""
    dtype, shape = node.dtype.newbyteorder("="), node.shape
    lead = () if sample is None else (sample,)
    return lazy(path, shape[len(lead) :], dtype, partial(_read_array, path, node.name, lead, shape, dtype))


def even_view(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Columns and rows to x (column,) and y (row,) : (6,); None where either is not evenly spaced."""
    steps = []
    for axis in (x, y):
        axis = np.asarray(axis, dtype=np.float64)
        if axis.ndim != 1 or len(axis) < 2 or not np.isfinite(axis).all():
            return None
        with np.errstate(over="ignore", under="ignore"):
            step = (axis[-1] - axis[0]) / (len(axis) - 1)
            even = math.isfinite(step) and step != 0 and np.allclose(np.diff(axis), step, rtol=1e-3, atol=0)
        if not even:
            return None
        steps.append((step, axis[0]))
    (dx, x0), (dy, y0) = steps
    return np.array([dx, 0.0, x0, 0.0, dy, y0]) if dx * dy != 0 else None


def own_axes(name: str, values: Any, attributes: dict[str, Any] | None = None) -> xr.Variable:
    """A variable whose dimensions no other variable has."""
    return xr.Variable([f"{name}_{k}" for k in range(values.ndim)], values, attributes)


def same(file: h5py.File, name: str, shape: tuple[int, ...], path: Path) -> h5py.Dataset:
    """The dataset, if it still has the shape that it had. Raises FormatError."""
    node = dataset(file, name, path)
    if node.shape != shape:
        raise FormatError(f"{path}: '{name}' is {node.shape} and was {shape} when it was opened; open the file anew")
    return node


def _read(
    path: Path,
    fields: tuple[Field, ...],
    sample: int,
    spatial: int,
    shape: tuple[int, ...],
    dtype: np.dtype,
    key: Key,
) -> np.ndarray:
    """A block of the frames (time, [z,] y, x, channel) of one sample; no more than it is read."""
    times, *inner, channels = key
    wanted = range(shape[-1])[channels]
    block = np.empty([len(range(n)[one]) for n, one in zip(shape, key, strict=True)], dtype)
    start = 0
    with h5py.File(path, "r") as file:
        for field in fields:
            mine = [channel - start for channel in wanted if 0 <= channel - start < len(field.names)]
            if mine:
                values = _values(file, field, path, sample, times, inner[::-1][:spatial])
                block[..., [wanted.index(channel + start) for channel in mine]] = values[..., mine]
            start += len(field.names)
    return block


def _values(file: h5py.File, field: Field, path: Path, sample: int, times: slice, inner: Sequence[slice]) -> np.ndarray:
    """A block of one field : (time, [z,] y, x, component), of one point along axes in which it does not vary.

    inner : what to read along x [, y [, z]].
    """
    node = same(file, field.path, field.shape, path)
    lead: list[int | slice] = [sample, times] if field.in_samples else [times]
    sizes = iter(node.shape[len(lead) :])
    index = [one if next(sizes) > 1 else slice(0, 1) for one, there in zip(inner, field.axes, strict=True) if there]
    values = node[(*lead, *index)]
    missing = [axis + 1 for axis, there in enumerate(field.axes) if not there]
    values = np.expand_dims(values, missing) if missing else values
    values = values.reshape(*values.shape[: len(inner) + 1], len(field.names))
    values = values.transpose(0, *range(len(inner), 0, -1), len(inner) + 1)
    return values[:, None] if len(inner) == 1 else values


def _read_array(
    path: Path, name: str, lead: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype, key: Key
) -> np.ndarray:
    """A block of one array as it is stored."""
    with h5py.File(path, "r") as file:
        return np.asarray(same(file, name, shape, path)[(*lead, *key)], dtype=dtype)
