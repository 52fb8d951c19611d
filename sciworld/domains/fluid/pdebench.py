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
from sciworld.domains.fluid.grids import Field, even_view, lazy_frames
from sciworld.errors import FormatError

FLOW = ("density", "pressure", "Vx", "Vy", "Vz")


def is_pdebench(file: h5py.File) -> bool:
    """Whether an HDF5 file has one of PDEBench's layouts."""
    return bool(_flow(file)) or "tensor" in file or "0000" in file or {"velocity", "particles", "t"} <= set(file)


def read_pdebench(path: Path) -> list[xr.Dataset]:
    """One recording a sample, its frames still in the file. Raises FormatError where the layout is broken."""
    with h5py.File(path, "r") as file:
        if "0000" in file:
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
    shape = file[names[0]].shape
    for name in names:
        if file[name].shape != shape:
            raise FormatError(f"{path}: '{name}' is {file[name].shape} and '{names[0]}' {shape}; fields share one grid")
    if not 3 <= len(shape) <= 5:
        raise FormatError(f"{path}: '{names[0]}' is {shape}; expected (sample, time, x [, y [, z]])")
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
        found.append(ds.assign(nu=(("nu_x", "nu_y"), file["nu"][sample])) if "nu" in file else ds)
    return found


def _grouped(file: h5py.File, path: Path, name: str) -> xr.Dataset:
    """A group with `data` (time, x [, y], channel), `grid/x`, `grid/y`, `grid/t`."""
    group = file[name]
    if "data" not in group:
        raise FormatError(f"{path}: group '{name}' has no 'data'; copy the file anew")
    data = group["data"]
    sizes = data.shape[1:-1]
    if not 1 <= len(sizes) <= 3:
        raise FormatError(f"{path}: '{name}/data' is {data.shape}; expected (time, x [, y [, z]], channel)")
    axes = [_axis(group, f"grid/{letter}", path) for letter in "xyz"[: len(sizes)]]
    time, notes = _time(_axis(group, "grid/t", path), len(data), path)
    names = [f"data_{k}" for k in range(data.shape[-1])] if data.shape[-1] > 1 else ["data"]
    field = Field(f"{name}/data", False, True, (True,) * len(sizes), tuple(names), data.dtype)
    frames = lazy_frames(path, [field], 0, len(data), sizes)
    config = group.attrs.get("config", file.attrs.get("config", ""))
    ds = _recording(path, name, frames, time, names, axes, {}, notes)
    return ds.assign_attrs(config=config.decode() if isinstance(config, bytes) else str(config))


def _incompressible(file: h5py.File, path: Path) -> list[xr.Dataset]:
    """`velocity` (sample, time, x, y, 2), `particles` (.., 1), `force` (sample, x, y, 2), `t` (sample, time)."""
    samples, times, *sizes, components = file["velocity"].shape
    if len(sizes) != 2 or components != 2 or file["particles"].shape != (samples, times, *sizes, 1):
        raise FormatError(f"{path}: velocity is {file['velocity'].shape}, particles {file['particles'].shape}")
    velocity = Field("velocity", True, True, (True, True), ("velocity_x", "velocity_y"), file["velocity"].dtype)
    particles = Field("particles", True, True, (True, True), ("particles",), file["particles"].dtype)
    names = [*velocity.names, *particles.names]
    found = []
    for sample in range(samples):
        time, notes = _time(np.asarray(file["t"][sample], dtype=np.float64), times, path)
        frames = lazy_frames(path, [velocity, particles], sample, times, sizes)
        ds = _recording(path, sample, frames, time, names, [None, None], {}, notes)
        if "force" in file:
            ds = ds.assign(force=(("force_x", "force_y", "force_component"), file["force"][sample]))
        found.append(ds)
    return found


def _field(file: h5py.File, name: str, in_samples: bool, spatial: int) -> Field:
    return Field(name, in_samples, True, (True,) * spatial, (name,), file[name].dtype)


def _axis(node: Any, name: str, path: Path) -> np.ndarray | None:
    """A coordinate : (point,) float64, or None if the file has none."""
    if name not in node:
        return None
    axis = np.asarray(node[name][()], dtype=np.float64)
    if axis.ndim != 1:
        raise FormatError(f"{path}: '{name}' is {axis.shape}; a coordinate is a list of numbers")
    return axis


def _time(axis: np.ndarray | None, frames: int, path: Path) -> tuple[np.ndarray, list[str]]:
    """Time of each frame (time,) s. The coordinate may hold one more: the end of the last step."""
    if axis is None:
        return np.arange(frames, dtype=np.float64), ["the file states no times: frames are counted"]
    if len(axis) == frames + 1:
        return axis[:-1], [f"the time coordinate holds {len(axis)} values for {frames} frames; the last is left out"]
    if len(axis) != frames:
        raise FormatError(f"{path}: {len(axis)} times for {frames} frames; expected as many, or one more")
    return axis, []


def _recording(
    path: Path,
    sample: int | str,
    frames: Any,
    time: np.ndarray,
    names: Sequence[str],
    axes: Sequence[np.ndarray | None],
    facts: dict[str, float],
    notes: Sequence[str],
) -> xr.Dataset:
    view = even_view(axes[0], axes[1]) if len(axes) > 1 and axes[0] is not None and axes[1] is not None else None
    table = ColumnTable(tuple(Column(name, "1", role="measured") for name in facts))
    return recording.make(
        frames,
        time,
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
