"""Cutouts of the Johns Hopkins Turbulence Database: `Velocity_0001` (z, y, x, component), `xcoor`, `ycoor`, `zcoor`."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.fluid.grids import even_view
from sciworld.errors import FormatError
from sciworld.lazy import Key, lazy

STEP = re.compile(r"(.+)_(\d+)$")


def is_jhtdb(file: h5py.File) -> bool:
    """Whether an HDF5 file is a cutout."""
    return {"xcoor", "ycoor", "zcoor"} <= set(file)


def read_jhtdb(path: Path) -> list[xr.Dataset]:
    """One recording of all the steps; a cutout of one plane has no z. Raises FormatError where steps do not agree."""
    with h5py.File(path, "r") as file:
        axes = {name: np.asarray(file[f"{name}coor"][()], dtype=np.float64).ravel() for name in "zyx"}
        sizes = tuple(len(axis) for axis in axes.values())
        matches = [match for match in map(STEP.match, sorted(file)) if match]
        numbers = sorted({int(match.group(2)) for match in matches})
        names = sorted({match.group(1) for match in matches})
        if not names:
            raise FormatError(f"{path}: no field such as Velocity_0001; ask the database for the cutout anew")
        digits = len(matches[0].group(2))
        orders, columns = [], []
        for name in names:
            for number in numbers:
                key = f"{name}_{number:0{digits}d}"
                if key not in file or file[key].shape != file[f"{name}_{numbers[0]:0{digits}d}"].shape:
                    raise FormatError(f"{path}: '{key}' is missing or of another shape than the first step's")
            node = file[f"{name}_{numbers[0]:0{digits}d}"]
            if node.ndim != 4 or node.shape[:3] not in (sizes, sizes[::-1]):
                raise FormatError(f"{path}: '{name}' is {node.shape}; the axes z, y, x have {sizes} points")
            orders.append(node.shape[:3] == sizes)  # of two readings the documented one first
            ends = ["_x", "_y", "_z"] if node.shape[3] == 3 else [""]
            if len(ends) != node.shape[3]:
                raise FormatError(f"{path}: '{name}' has {node.shape[3]} components; expected 1 or 3")
            columns += [Column(f"{name.lower()}{end}", "1", role="measured") for end in ends]
        dtype = np.result_type(*(file[f"{name}_{numbers[0]:0{digits}d}"].dtype for name in names))
    flat = sizes[0] == 1
    keys = tuple(tuple(f"{name}_{number:0{digits}d}" for name in names) for number in numbers)
    shape = (len(numbers), *(sizes[1:] if flat else sizes), len(columns))
    view = even_view(axes["x"], axes["y"])
    notes = [
        f"read {path.name} as a JHTDB cutout of steps {numbers[0]} to {numbers[-1]}",
        "steps are counted, no times",
    ]
    notes += ["axes are stored as x, y, z"] * (not all(orders)) + ["z has one plane, and is left out"] * flat
    frames = lazy(path, shape, dtype, partial(_read, path, keys, tuple(orders), flat, shape, dtype))
    time = np.array(numbers, dtype=np.float64) - numbers[0]
    ds = recording.make(
        frames,
        time,
        channels=ColumnTable(tuple(columns)),
        session=path.stem,
        source=path.name,
        licence="",
        citation="",
        history="; ".join(notes),
        view=view,
        view_units="" if view is None else "1",
    )
    return [ds.assign(zcoor=(("z_coordinate",), axes["z"]))]


def _read(
    path: Path,
    keys: tuple[tuple[str, ...], ...],
    orders: tuple[bool, ...],
    flat: bool,
    shape: tuple[int, ...],
    dtype: np.dtype,
    key: Key,
) -> np.ndarray:
    """A block of the frames (time, [z,] y, x, channel)."""
    single = not isinstance(key[0], slice)
    steps = [keys[key[0]]] if single else keys[key[0]]
    block = np.empty((len(steps), *shape[1:]), dtype)
    with h5py.File(path, "r") as file:
        for row, names in zip(block, steps, strict=True):
            parts = [file[name][()] for name in names]
            parts = [part if order else part.transpose(2, 1, 0, 3) for part, order in zip(parts, orders, strict=True)]
            whole = np.concatenate(parts, axis=-1)
            row[...] = whole[0] if flat else whole
    found: np.ndarray = block[(0 if single else slice(None), *key[1:])]
    return found
