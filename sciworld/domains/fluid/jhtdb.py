"""Cutouts of the Johns Hopkins Turbulence Database: `Velocity_0001` (z, y, x, component), `xcoor`, `ycoor`, `zcoor`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.fluid.grids import even_view, frame_field, require_plausible, same
from sciworld.domains.hdf5 import numbers, opened
from sciworld.errors import FormatError
from sciworld.lazy import Key, lazy

STEP = re.compile(r"(.+)_([0-9]{1,9})$")


@dataclass(frozen=True)
class _Quantity:
    """One quantity: its dataset at each step, their shape, and whether their axes are z, y, x or x, y, z."""

    keys: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    documented: bool


def is_jhtdb(file: h5py.File) -> bool:
    """Whether an HDF5 file is a cutout."""
    return {"xcoor", "ycoor", "zcoor"} <= set(file)


def read_jhtdb(path: Path) -> list[xr.Dataset]:
    """One recording of all the steps; a cutout of one plane has no z. Raises FormatError where steps do not agree."""
    with opened(path) as file:
        axes = {name: numbers(file, f"{name}coor", path).ravel() for name in "zyx"}
        sizes = tuple(len(axis) for axis in axes.values())
        matches = [match for match in map(STEP.match, sorted(file)) if match]
        steps = sorted({int(match.group(2)) for match in matches})
        names = sorted({match.group(1) for match in matches})
        if not names:
            raise FormatError(f"{path}: no field such as Velocity_0001; ask the database for the cutout anew")
        require_plausible(path, 1, len(steps))
        digits = len(matches[0].group(2))
        quantities = [_quantity(file, path, name, steps, digits, sizes) for name in names]
    columns = []
    for name, quantity in zip(names, quantities, strict=True):
        ends = ["_x", "_y", "_z"] if quantity.shape[3] == 3 else [""]
        columns += [Column(f"{name.lower()}{end}", "1", role="measured") for end in ends]
    flat = sizes[0] == 1
    shape = (len(steps), *(sizes[1:] if flat else sizes), len(columns))
    dtype = np.result_type(*(quantity.dtype for quantity in quantities)).newbyteorder("=")
    view = even_view(axes["x"], axes["y"])
    ds = recording.make(
        lazy(path, shape, dtype, partial(_read, path, tuple(quantities), flat, dtype)),
        np.array(steps, dtype=np.float64) - steps[0],
        counted=True,
        channels=ColumnTable(tuple(columns)),
        session=path.stem,
        source=path.name,
        licence="",
        citation="",
        history="; ".join(_notes(path, steps, quantities, sizes)),
        view=view,
        view_units="" if view is None else "1",
    )
    return [ds.assign(zcoor=(("z_coordinate",), axes["z"]))]


def _quantity(
    file: h5py.File, path: Path, name: str, steps: list[int], digits: int, sizes: tuple[int, ...]
) -> _Quantity:
    """A quantity of all steps. sizes : points along z, y, x. Raises FormatError where steps or axes do not agree."""
    keys = tuple(f"{name}_{step:0{digits}d}" for step in steps)
    node = frame_field(file, keys[0], path)
    for key in keys:
        if key not in file or (frame_field(file, key, path).shape, file[key].dtype) != (node.shape, node.dtype):
            raise FormatError(
                f"{path}: '{key}' is missing, or of another shape or dtype than the first step's; get it anew"
            )
    if node.ndim != 4 or node.shape[:3] not in (sizes, sizes[::-1]):
        raise FormatError(f"{path}: '{name}' is {node.shape}; the axes z, y, x have {sizes} points")
    if node.shape[3] not in (1, 3):
        raise FormatError(f"{path}: '{name}' has {node.shape[3]} components; expected 1 or 3")
    # Of two readings of a cube the documented one.
    return _Quantity(keys, node.shape, node.dtype, node.shape[:3] == sizes)


def _notes(path: Path, steps: list[int], quantities: list[_Quantity], sizes: tuple[int, ...]) -> list[str]:
    notes = [f"read {path.name} as a JHTDB cutout of steps {steps[0]} to {steps[-1]}", "steps are counted, no times"]
    if not all(quantity.documented for quantity in quantities):
        notes.append("axes are stored as x, y, z")
    elif sizes[0] == sizes[2]:
        notes.append("z and x have as many points: axes are taken as the documented z, y, x")
    return notes + ["z has one plane, and is left out"] * (sizes[0] == 1)


def _read(path: Path, quantities: tuple[_Quantity, ...], flat: bool, dtype: np.dtype, key: Key) -> np.ndarray:
    """A block of the frames (time, [z,] y, x, channel); no more than it is read."""
    steps, *inner, channels = key
    inner = [slice(0, 1), *inner] if flat else inner
    wanted = range(sum(quantity.shape[3] for quantity in quantities))[channels]
    rows = []
    with h5py.File(path, "r") as file:
        for step in range(len(quantities[0].keys))[steps]:
            parts, start = [], 0
            for quantity in quantities:
                mine = [channel - start for channel in wanted if 0 <= channel - start < quantity.shape[3]]
                start += quantity.shape[3]
                if mine:
                    node = same(file, quantity.keys[step], quantity.shape, path)
                    values = node[tuple(inner if quantity.documented else inner[::-1])]
                    values = values if quantity.documented else values.transpose(2, 1, 0, 3)
                    parts.append(values[..., mine])
            whole = np.concatenate(parts, axis=-1, dtype=dtype)
            rows.append(whole[0] if flat else whole)
    return np.stack(rows)
