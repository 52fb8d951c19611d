"""PDEBench: four layouts of HDF5, told apart by their keys (Takamoto et al. 2022, arXiv:2210.07182, and its code)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.fluid.grids import Field, even_view, frame_field, lazy_array, lazy_frames, require_plausible
from sciworld.domains.fluid.times import count
from sciworld.domains.hdf5 import dataset, numbers, opened
from sciworld.errors import FormatError

FLOW = ("density", "pressure", "Vx", "Vy", "Vz")


def is_pdebench(file: h5py.File) -> bool:
    """Whether an HDF5 file has one of PDEBench's layouts."""
    return bool(_flow(file)) or "tensor" in file or "0000" in file or {"velocity", "particles", "t"} <= set(file)


def read_pdebench(path: Path) -> list[xr.Dataset]:
    """One recording a sample, its frames still in the file. Raises FormatError where the layout is broken."""
    with opened(path) as file:
        if "0000" in file:
            require_plausible(path, len(file), 1)
            return [_grouped(file, path, name) for name in sorted(file) if isinstance(file[name], h5py.Group)]
        if "velocity" in file:
            return _incompressible(file, path)
        return _stacked(file, path, _flow(file) or ["tensor"])


def _flow(file: h5py.File) -> list[str]:
    """The fields of a compressible flow; none if one is missing."""
    found = [name for name in FLOW if name in file]
    return found if {"density", "pressure", "Vx"} <= set(found) else []


def _stacked(file: h5py.File, path: Path, names: Sequence[str]) -> list[xr.Dataset]:
    """Arrays (sample, time, x [, y [, z]]), a coordinate an axis; Darcy flow has one time, and `nu` (sample, x, y)."""
    shape = frame_field(file, names[0], path).shape
    for name in names:
        held = frame_field(file, name, path).shape
        if held != shape:
            raise FormatError(f"{path}: '{name}' is {held} and '{names[0]}' {shape}; fields share one grid")
    if not 3 <= len(shape) <= 5:
        raise FormatError(f"{path}: '{names[0]}' is {shape}; expected (sample, time, x [, y [, z]])")
    require_plausible(path, *shape[:2])
    sizes = shape[2:]
    axes = [_axis(file, f"{letter}-coordinate", path) for letter in "xyz"[: len(sizes)]]
    for letter, axis, size in zip("xyz", axes, sizes, strict=False):
        if axis is not None and len(axis) != size:
            raise FormatError(f"{path}: '{letter}-coordinate' has {len(axis)} points; '{names[0]}' has {size}")
    time, notes = _time(_axis(file, "t-coordinate", path), shape[1], path)
    fields = [_field(file, name, in_samples=True, spatial=len(sizes)) for name in names]
    facts = {str(key): float(value) for key, value in file.attrs.items() if isinstance(value, int | float | np.number)}
    found = []
    for sample in range(shape[0]):
        frames = lazy_frames(path, fields, sample, shape[1], sizes)
        ds = _recording(path, sample, frames, time, names, axes, facts, notes)
        found.append(ds.assign(nu=_constant(file, "nu", path, sample, ("x", "y"), shape[0])) if "nu" in file else ds)
    return found


def _constant(file: h5py.File, name: str, path: Path, sample: int, axes: Sequence[str], samples: int) -> xr.Variable:
    """One sample of an array that does not vary in time, with dimensions of its own."""
    node = dataset(file, name, path)
    if node.ndim != 1 + len(axes) or node.shape[0] != samples:
        raise FormatError(f"{path}: '{name}' is {node.shape}; expected (sample, {', '.join(axes)}), {samples} samples")
    return xr.Variable([f"{name}_{axis}" for axis in axes], lazy_array(path, node, sample))


def _grouped(file: h5py.File, path: Path, name: str) -> xr.Dataset:
    """A group with `data` (time, x [, y], channel), `grid/x`, `grid/y`, `grid/t`."""
    group = file[name]
    data = frame_field(group, "data", path)
    sizes = data.shape[1:-1]
    if not 1 <= len(sizes) <= 3:
        raise FormatError(f"{path}: '{name}/data' is {data.shape}; expected (time, x [, y [, z]], channel)")
    require_plausible(path, 1, len(data))
    axes = [_axis(group, f"grid/{letter}", path) for letter in "xyz"[: len(sizes)]]
    time, notes = _time(_axis(group, "grid/t", path), len(data), path)
    names = [f"data_{k}" for k in range(data.shape[-1])] if data.shape[-1] > 1 else ["data"]
    field = Field(f"{name}/data", False, True, (True,) * len(sizes), tuple(names), data.dtype, data.shape)
    frames = lazy_frames(path, [field], 0, len(data), sizes)
    config = group.attrs.get("config", file.attrs.get("config", ""))
    ds = _recording(path, name, frames, time, names, axes, {}, notes)
    return ds.assign_attrs(config=config.decode() if isinstance(config, bytes) else str(config))


def _incompressible(file: h5py.File, path: Path) -> list[xr.Dataset]:
    """`velocity` (sample, time, x, y, 2), `particles` (.., 1), `force` (sample, x, y, 2), `t` (sample, time)."""
    held = {name: frame_field(file, name, path) for name in ("velocity", "particles")}
    shape = held["velocity"].shape
    if len(shape) != 5 or shape[4] != 2 or held["particles"].shape != (*shape[:4], 1):
        raise FormatError(
            f"{path}: velocity is {shape}, particles {held['particles'].shape}; expected (sample, time, x, y, 2 and 1)"
        )
    samples, times, *sizes = shape[:4]
    require_plausible(path, samples, times)
    clock = numbers(file, "t", path)
    if clock.ndim != 2 or len(clock) != samples:
        raise FormatError(f"{path}: 't' is {clock.shape}; expected (sample, time), {samples} samples")
    components = {"velocity": ("velocity_x", "velocity_y"), "particles": ("particles",)}
    velocity, particles = (
        Field(name, True, True, (True, True), components[name], node.dtype, node.shape) for name, node in held.items()
    )
    names = [*velocity.names, *particles.names]
    found = []
    for sample in range(samples):
        time, notes = _time(clock[sample], times, path)
        frames = lazy_frames(path, [velocity, particles], sample, times, sizes)
        ds = _recording(path, sample, frames, time, names, [None, None], {}, notes)
        if "force" in file:
            ds = ds.assign(force=_constant(file, "force", path, sample, ("x", "y", "component"), samples))
        found.append(ds)
    return found


def _field(file: h5py.File, name: str, in_samples: bool, spatial: int) -> Field:
    node = file[name]
    return Field(name, in_samples, True, (True,) * spatial, (name,), node.dtype, node.shape)


def _axis(node: Any, name: str, path: Path) -> np.ndarray | None:
    """A coordinate : (point,) float64, or None if the file has none."""
    if name not in node:
        return None
    axis = numbers(node, name, path)
    if axis.ndim != 1:
        raise FormatError(f"{path}: '{name}' is {axis.shape}; a coordinate is a list of numbers")
    return axis


def _time(axis: np.ndarray | None, frames: int, path: Path) -> tuple[np.ndarray | None, list[str]]:
    """Time of each frame (time,) s; None if not stated. The coordinate may hold one more: the end of the last step."""
    if axis is None:
        return None, ["the file states no times: frames are counted"]
    if len(axis) == frames + 1:
        return axis[:-1], [f"the time coordinate holds {len(axis)} values for {frames} frames; the last is left out"]
    if len(axis) != frames:
        raise FormatError(f"{path}: {len(axis)} times for {frames} frames; expected as many, or one more")
    return axis, []


def _recording(
    path: Path,
    sample: int | str,
    frames: Any,
    time: np.ndarray | None,
    names: Sequence[str],
    axes: Sequence[np.ndarray | None],
    facts: dict[str, float],
    notes: Sequence[str],
) -> xr.Dataset:
    view = even_view(axes[0], axes[1]) if len(axes) > 1 and axes[0] is not None and axes[1] is not None else None
    table = ColumnTable(tuple(Column(name, "1", role="measured") for name in facts))
    return recording.make(
        frames,
        count(frames.shape[0]) if time is None else time,
        counted=time is None,
        channels=ColumnTable(tuple(Column(name, "1", role="measured") for name in names)),
        session=f"{path.stem}/{sample}",
        source=path.name,
        licence="",
        citation="",
        history="; ".join([f"read {path.name}, sample {sample}, as PDEBench", *notes]),
        view=view,
        view_units="" if view is None else "1",
        covariates=facts or None,
        covariate_table=table if facts else None,
    )
