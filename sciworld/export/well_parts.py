"""The parts of a file of The Well that do not vary in time: its grid, boundary conditions and constant fields."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np
import xarray as xr

from sciworld.errors import RecordingError
from sciworld.export.export import ExportSettings, camera_of, still_view, view_of

NAMES = h5py.string_dtype()


@dataclass(frozen=True)
class Grid:
    """The points at which fields are.

    dims : x, y [, z], as the axes of arrays are ordered. axes : the coordinates along each, float64. units : of each.
    kind : "cartesian" or what the recording says. notes : what they do not say.
    """

    dims: tuple[str, ...]
    axes: tuple[np.ndarray, ...]
    units: tuple[str, ...]
    kind: str
    notes: tuple[str, ...]


def grid_of(ds: xr.Dataset, settings: ExportSettings) -> Grid:
    """The grid of a recording: the axes that it was read with, else those of its view, else pixels."""
    frames, view = camera_of(ds, settings), view_of(ds, settings)
    sizes = dict(zip(("x", "y", "z"), reversed(frames.shape[1:-1]), strict=False))
    stated = _stated_axes(ds, sizes)
    if stated is not None:
        known = tuple(str(ds[f"grid_{name}"].attrs.get("units", "1")) for name in stated)
        return Grid(tuple(stated), tuple(stated.values()), known, str(ds.attrs.get("grid_type", "")), ())
    still, length = still_view(view), view.attrs["units"]
    notes = []
    if still is None:
        length = "pixel"
        notes.append("the view turns, shears or moves: axes count pixels")
    elif length not in ("pixel", "1"):
        notes.append(f"axes are in {length}, which nothing but their attribute `units` says")
    dx, x0, dy, y0 = still or (1.0, 0.0, 1.0, 0.0)
    lines = {"x": (dx, x0), "y": (dy, y0), "z": (1.0, 0.0)}
    if "z" in sizes:
        notes.append("the axis z counts planes")
    axes = [lines[name][0] * np.arange(size) + lines[name][1] for name, size in sizes.items()]
    units = {"x": length, "y": length, "z": "1"}
    return Grid(tuple(sizes), tuple(axes), tuple(units[name] for name in sizes), "cartesian", tuple(notes))


def boundaries(ds: xr.Dataset) -> dict[str, tuple[str, str]]:
    """The boundary conditions of a recording: variable -> (name, "mask" or "values")."""
    found = {}
    for variable in map(str, ds.variables):
        name, _, part = variable.removeprefix("boundary_").rpartition("_")
        if variable.startswith("boundary_") and name and part in ("mask", "values"):
            found[variable] = (name, part)
    return found


def write_boundaries(file: h5py.File, recordings: Sequence[xr.Dataset]) -> list[str]:
    """Boundary conditions as they were read; a note where there are none. Raises RecordingError if they differ."""
    group = file.create_group("boundary_conditions")
    first = recordings[0]
    known = boundaries(first)
    for variable, (name, part) in known.items():
        for index, ds in enumerate(recordings):
            if variable not in ds or not np.array_equal(ds[variable].values, first[variable].values):
                raise RecordingError(f"recording {index}: '{variable}' is not that of the first; export it apart")
        node = group.require_group(name)
        attributes = first[variable].attrs
        node.attrs.update(bc_type=str(attributes.get("bc_type", "")), sample_varying=False, time_varying=False)
        for key in ("associated_dims", "associated_fields"):
            node.attrs[key] = np.array(list(attributes.get(key, ())), dtype=NAMES)
        node.create_dataset(part, data=first[variable].values)
    return [] if known else ["boundary conditions are unknown: their group is empty"]


def constants(recordings: Sequence[xr.Dataset]) -> dict[int, dict[str, list[xr.Variable]]]:
    """Fields that do not vary in time, as they were read: order -> name -> one variable a recording."""
    found: dict[int, dict[str, list[xr.Variable]]] = {}
    for order in range(3):
        prefix = f"t{order}_fields_"
        for variable in map(str, recordings[0].variables):
            everywhere = all(variable in ds.variables for ds in recordings)
            if variable.startswith(prefix) and everywhere and "axis_varies" in recordings[0][variable].attrs:
                held = [ds.variables[variable] for ds in recordings]
                if len({one.shape for one in held}) == 1:
                    found.setdefault(order, {})[variable.removeprefix(prefix)] = held
    return found


def write_constants(file: h5py.File, still: dict[int, dict[str, list[xr.Variable]]]) -> None:
    """Write what `constants` found into the groups of their orders."""
    for order, fields in still.items():
        for name, held in fields.items():
            values = [one.values for one in held]
            alike = all(np.array_equal(one, values[0], equal_nan=True) for one in values)
            node = file[f"t{order}_fields"].create_dataset(name, data=values[0] if alike else np.stack(values))
            varies = [bool(one) for one in held[0].attrs["axis_varies"]]
            node.attrs.update(dim_varying=varies, sample_varying=not alike, time_varying=False)


def _stated_axes(ds: xr.Dataset, sizes: dict[str, int]) -> dict[str, np.ndarray] | None:
    """The axes that the reader of The Well keeps as variables grid_<name>, in the order that fits the frames.

    A store orders variables by name: where two orders fit, that of the names is taken.
    """
    held = {str(name).removeprefix("grid_"): ds[name].values for name in ds.variables if str(name).startswith("grid_")}
    for names in itertools.permutations(held) if len(held) == len(sizes) else ():
        if [held[name].shape for name in names] == [(size,) for size in sizes.values()]:
            return {name: held[name].astype(np.float64) for name in names}
    return None
