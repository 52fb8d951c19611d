"""Recordings in The Well's HDF5 layout (Ohana et al. 2024, arXiv:2412.00568), which `domains/fluid/well.py` reads back.

Every recording is a trajectory of one file: channels are fields, controls the scalars that vary in time, covariates
those that do not. What the layout has no place for and the reader needs not is kept in the group "sciworld".
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import ColumnTable
from sciworld.domains.fluid.well import key_of
from sciworld.errors import RecordingError
from sciworld.export.export import ExportSettings, Tell, camera_of, controls_to_end
from sciworld.export.well_parts import Grid, boundaries, constants, grid_of, write_boundaries, write_constants
from sciworld.lazy import blocks

NAMES = h5py.string_dtype()
# Integers that a float holds without loss: the layout knows floats alone.
FLOATS = {"uint8": "float32", "uint16": "float32", "int32": "float64", "float32": "float32", "float64": "float64"}


@dataclass(frozen=True)
class Field:
    """One field of the file. order : of its tensor, 0 to 2. channels : its components, in their order."""

    name: str
    order: int
    channels: tuple[int, ...]


def write_well(recordings: Sequence[xr.Dataset], out: Path, settings: ExportSettings, tell: Tell) -> list[str]:
    """Write recordings of one kind as the trajectories of one file; notes of what it does not carry.

    Raises RecordingError where they differ in shape, dtype, channels or names of controls and covariates.
    """
    first = recordings[0]
    for index, ds in enumerate(recordings):
        _require_alike(ds, first, settings, index)
    frames = camera_of(first, settings)
    grid = grid_of(first, settings)
    fields, notes = _fields(recording.table(first, settings.camera), grid.dims)
    dtype = FLOATS[frames.dtype.name]
    if dtype != frames.dtype.name:
        notes.append(f"frames are {frames.dtype}, written as {dtype}, which holds each value exactly")
    still = constants(recordings)
    with _created(out) as (file, check):
        named = str(first.attrs.get("dataset_name", "")) or out.stem
        file.attrs.update(dataset_name=named, grid_type=grid.kind, n_spatial_dims=len(grid.dims))
        file.attrs["n_trajectories"] = len(recordings)
        _write_dimensions(file, grid, np.stack([ds["time"].values for ds in recordings]))
        notes += write_boundaries(file, recordings)
        notes += _write_scalars(file, recordings)
        _write_sources(file, recordings, settings)
        for order in range(3):
            names = [field.name for field in fields if field.order == order]
            group = file.create_group(f"t{order}_fields")
            group.attrs["field_names"] = np.array([*names, *still.get(order, {})], dtype=NAMES)
        write_constants(file, still)
        for frames_done in _write_frames(file, fields, grid, dtype, recordings, settings):
            check()
            tell(frames_done)
    return [*notes, *grid.notes, *_left_out(first, settings, grid, still)]


class _Disk:
    """A new file that HDF5 writes through. What fails is kept in `error` and HDF5 is told that all went well: where a
    disk is full, it ends the whole process on closing the file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x+b")
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        self._try(self._file.write, data)
        return len(data)

    def truncate(self, size: int) -> None:
        self._try(self._file.truncate, size)

    def flush(self) -> None:
        self._try(self._file.flush)

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error

    def seek(self, offset: int, whence: int = 0) -> None:
        self._try(self._file.seek, offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:  # by which h5py knows a file
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)

    def check(self) -> None:
        """Raise what failed."""
        if self.error is not None:
            raise self.error

    def _try(self, act: Callable[..., object], *arguments: Any) -> None:
        try:
            if self.error is None:
                act(*arguments)
        except OSError as error:
            self.error = error


@contextlib.contextmanager
def _created(path: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """A new HDF5 file, and what raises OSError if it could not be written so far."""
    disk = _Disk(path)
    try:
        with h5py.File(disk, "w") as file:
            yield file, disk.check
    finally:
        disk.close()
    disk.check()


def _require_alike(ds: xr.Dataset, first: xr.Dataset, settings: ExportSettings, index: int) -> None:
    mine, theirs = camera_of(ds, settings), camera_of(first, settings)
    facts = [
        ("frames", (mine.shape, mine.dtype.name), (theirs.shape, theirs.dtype.name)),
        ("channels", *(recording.table(one, settings.camera).names for one in (ds, first))),
        ("controls", *(recording.control_table(one).names for one in (ds, first))),
        ("covariates", *(recording.covariate_table(one).names for one in (ds, first))),
        ("axes", *(_axes_text(one, settings) for one in (ds, first))),
    ]
    for what, got, wanted in facts:
        if got != wanted:
            raise RecordingError(
                f"recording {index}: {what} {got}, those of the first {wanted}; trajectories of one file are alike: "
                "export it apart"
            )


def _axes_text(ds: xr.Dataset, settings: ExportSettings) -> str:
    grid = grid_of(ds, settings)
    ends = [f"{name} {axis[0]:g} to {axis[-1]:g}" for name, axis in zip(grid.dims, grid.axes, strict=True)]
    digest = hashlib.sha256(b"".join(axis.tobytes() for axis in grid.axes)).hexdigest()[:8]
    return f"{', '.join(ends)} in {', '.join(grid.units)} ({digest})"


def _fields(channels: ColumnTable, dims: Sequence[str]) -> tuple[list[Field], list[str]]:
    """Channels as fields: those named q_xx, q_xy ... are a tensor, q_x, q_y or of one group a vector; and notes."""
    names, fields, at = channels.names, [], 0
    while at < len(names):
        field = None
        for order in (2, 1):
            parts = ["".join(part) for part in itertools.product(dims, repeat=order)]
            base = names[at].removesuffix(f"_{parts[0]}")
            if base != names[at] and names[at : at + len(parts)] == tuple(f"{base}_{part}" for part in parts):
                field = Field(key_of(base), order, tuple(range(at, at + len(parts))))
                break
        group = [k for k, column in enumerate(channels) if column.group and column.group == channels.columns[at].group]
        if field is None and len(group) == len(dims) and group == list(range(at, at + len(dims))):
            field = Field(key_of(channels.columns[at].group), 1, tuple(group))
        fields.append(field or Field(key_of(names[at]), 0, (at,)))
        at = fields[-1].channels[-1] + 1
    keys = [(field.order, field.name) for field in fields]
    if len(set(keys)) < len(keys):
        raise RecordingError(f"channels {', '.join(names)}: two of them make fields of one name; rename them")
    found = sorted(fields, key=lambda field: field.order)
    read = [name for field in found for name in _components(field, dims)]
    notes = [] if read == list(names) else [f"channels {', '.join(names)} are the fields {', '.join(read)}"]
    return found, notes


def _components(field: Field, dims: Sequence[str]) -> list[str]:
    parts = itertools.product(dims, repeat=field.order)
    return [f"{field.name}_{''.join(part)}" if part else field.name for part in parts]


def _write_dimensions(file: h5py.File, grid: Grid, times: np.ndarray) -> None:
    group = file.create_group("dimensions")
    group.attrs["spatial_dims"] = np.array(grid.dims, dtype=NAMES)
    alike = bool((times == times[0]).all())
    node = group.create_dataset("time", data=times[0] if alike else times)
    node.attrs["sample_varying"] = not alike
    for name, axis, units in zip(grid.dims, grid.axes, grid.units, strict=True):
        node = group.create_dataset(name, data=axis)
        node.attrs.update(sample_varying=False, time_varying=False, units=units)


def _write_scalars(file: h5py.File, recordings: Sequence[xr.Dataset]) -> list[str]:
    """Controls and covariates; notes."""
    group = file.create_group("scalars")
    controls, covariates = (table(recordings[0]) for table in (recording.control_table, recording.covariate_table))
    keys = [key_of(name) for name in (*controls.names, *covariates.names)]
    if len(set(keys)) < len(keys):
        raise RecordingError(f"controls and covariates {', '.join(keys)}: two of them have one name; rename one")
    group.attrs["field_names"] = np.array(keys, dtype=NAMES)
    series = [controls_to_end(ds) for ds in recordings] if len(controls) else []
    for k in range(len(controls)):
        node = group.create_dataset(keys[k], data=np.stack([values[:, k] for values in series]))
        node.attrs.update(sample_varying=True, time_varying=True)
    parameters = []
    for k, key in enumerate(keys[len(controls) :]):
        values = np.array([float(ds["covariates"].values[k]) for ds in recordings])
        alike = bool((values == values[0]).all())
        node = group.create_dataset(key, data=values[0] if alike else values)
        node.attrs.update(sample_varying=not alike, time_varying=False)
        if alike and key not in file.attrs:
            parameters.append(key)
            file.attrs[key] = values[0]
    file.attrs["simulation_parameters"] = np.array(parameters, dtype=NAMES)
    renamed = [(key, name) for key, name in zip(keys, (*controls.names, *covariates.names), strict=True) if key != name]
    notes = [f"'{name}' is called '{key}'" for key, name in renamed]
    if any(np.isnan(values[-1]).any() for values in series):
        notes.append("controls after the last frame are unknown: NaN")
    if keys:
        notes.append("units, bounds, rate limits, levels and positions of columns are in sciworld/columns alone")
    return notes


def _write_sources(file: h5py.File, recordings: Sequence[xr.Dataset], settings: ExportSettings) -> None:
    """Where each trajectory is from, and what its columns are, as JSON."""
    group = file.create_group("sciworld")
    first = recordings[0]
    held = [name for name in (settings.camera, "controls", "covariates") if name in first.variables]
    columns = {name: json.loads(first[name].attrs["columns"]) for name in held}
    for name, value in (("recordings", [dict(ds.attrs) for ds in recordings]), ("columns", columns)):
        group.create_dataset(name, data=json.dumps(value), dtype=NAMES)


def _write_frames(
    file: h5py.File,
    fields: Sequence[Field],
    grid: Grid,
    dtype: str,
    recordings: Sequence[xr.Dataset],
    settings: ExportSettings,
) -> Iterator[int]:
    """The fields : (trajectory, time, x, y [, z] [, component ...]), block by block; the frames of each."""
    d, times = len(grid.dims), recordings[0].sizes["time"]
    nodes = []
    for field in fields:
        shape = (len(recordings), times, *(len(axis) for axis in grid.axes), *[d] * field.order)
        node = file[f"t{field.order}_fields"].create_dataset(field.name, shape=shape, dtype=dtype)
        node.attrs.update(dim_varying=[True] * d, sample_varying=True, time_varying=True)
        nodes.append(node)
    for index, ds in enumerate(recordings):
        for start, block in blocks(camera_of(ds, settings)):
            turned = block.transpose(0, *range(d, 0, -1), d + 1)
            for field, node in zip(fields, nodes, strict=True):
                values = turned[..., list(field.channels)]
                node[index, start : start + len(block)] = values.reshape(*values.shape[:-1], *[d] * field.order)
            yield len(block)


def _left_out(ds: xr.Dataset, settings: ExportSettings, grid: Grid, still: dict[int, dict[str, Any]]) -> list[str]:
    kept = {settings.camera, "time", "controls", "covariates", f"view{settings.camera.removeprefix('frames')}"}
    kept |= {f"grid_{name}" for name in grid.dims}
    kept |= {f"t{order}_fields_{name}" for order, names in still.items() for name in names} | set(boundaries(ds))
    # The reader makes these of the scalars that vary in time.
    if "controls" in ds.variables and recording.table(ds, "log_column").names == recording.control_table(ds).names:
        n = len(recording.control_table(ds))
        if np.array_equal(ds["log_time"].values, np.tile(ds["time"].values, n)):
            kept |= {"log_time", "log_column", "log_value"}
    left = sorted(str(name) for name in ds.variables if str(name) not in kept)
    return [f"left out, the layout has no place for it: {', '.join(left)}"] if left else []
