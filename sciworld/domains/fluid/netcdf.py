"""NetCDF 4 after the CF conventions: variables on (time, y, x) in any order become channels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.fluid.grids import even_view
from sciworld.errors import FormatError
from sciworld.lazy import Key, lazy

# What the dimensions are called where no attribute says so (CF 1.11, section 4, and PIV software).
NAMES = {
    "T": ("time", "t"),
    "Z": ("z", "depth", "level", "lev", "height"),
    "Y": ("y", "lat", "latitude", "northing"),
    "X": ("x", "lon", "longitude", "easting"),
}


def read_netcdf(path: Path) -> list[xr.Dataset]:
    """One recording of all variables on one grid; packed values are unpacked and missing ones NaN, as CF defines.

    Raises FormatError for NetCDF 3, and where no variable has the dimensions of a film.
    """
    with path.open("rb") as file:
        if file.read(3) == b"CDF":
            raise FormatError(f"{path}: NetCDF 3; convert it with `nccopy -k nc4 {path.name} new.nc`")
    with _opened(path) as ds:
        axes = _axes(ds)
        if not {"Y", "X"} <= set(axes):
            dims = ", ".join(map(str, ds.sizes))
            raise FormatError(f"{path}: dimensions {dims}; none is called y and x, or lat and lon")
        order = [axes[letter] for letter in "TZYX" if letter in axes]
        names = [str(name) for name, variable in ds.data_vars.items() if set(variable.dims) == set(order)]
        names = [name for name in names if ds[name].dtype.kind in "biuf"]
        if not names:
            raise FormatError(f"{path}: no variable of numbers on ({', '.join(order)}); there is nothing to read")
        left = sorted(str(name) for name in ds.data_vars if name not in names)
        if any(ds[name].dtype.kind in "iu" and ds[name].dtype.itemsize > 4 for name in names):
            raise FormatError(f"{path}: integers of 64 bits; save them in 32 bits, or as float64 if they fit")
        dtype = np.result_type(*(ds[name].dtype for name in names))
        if dtype.name not in recording.FRAME_DTYPES:
            dtype = np.result_type(dtype, np.float32)  # wide enough: small integers are exact in it
        time, notes = _times(ds, axes.get("T"))
        shape = (len(time), *(ds.sizes[dim] for dim in order if dim != axes.get("T")), len(names))
        columns = tuple(Column(name, str(ds[name].attrs.get("units") or "1"), role="measured") for name in names)
        view, units = _view(ds, axes)
        licence, citation = (str(ds.attrs.get(key, "")) for key in ("license", "references"))
    notes = [f"read {path.name} as NetCDF", *notes]
    notes += [f"left out, for they have other dimensions: {', '.join(left)}"] * bool(left)
    return [
        recording.make(
            lazy(path, shape, dtype, partial(_read, path, tuple(names), tuple(order), "T" in axes, dtype)),
            time,
            channels=ColumnTable(columns),
            session=path.stem,
            source=path.name,
            licence=licence,
            citation=citation,
            history="; ".join(notes),
            view=view,
            view_units=units,
        )
    ]


def _opened(path: Path) -> xr.Dataset:
    return xr.open_dataset(path, engine="h5netcdf", decode_timedelta=False, cache=False)


def _axes(ds: xr.Dataset) -> dict[str, str]:
    """The dimension along each of T, Z, Y, X, by the attribute `axis` first, by its name else."""
    found: dict[str, str] = {}
    for dim in map(str, ds.sizes):
        stated = str(ds[dim].attrs.get("axis", "")).upper() if dim in ds.variables else ""
        for letter, names in NAMES.items():
            if letter == stated or (not stated and dim.lower() in names):
                found.setdefault(letter, dim)
    return found


def _times(ds: xr.Dataset, dim: str | None) -> tuple[np.ndarray, list[str]]:
    """Time of each frame : (time,) s, and what is to be said of it."""
    if dim is None:
        return np.zeros(1), []
    if dim not in ds.variables:
        return np.arange(ds.sizes[dim], dtype=np.float64), ["the file states no times: frames are counted"]
    values = ds[dim].values
    if values.dtype.kind == "M":
        seconds = (values - values[0]) / np.timedelta64(1, "ns") * 1e-9
        return seconds, [f"time counts from {values[0]}"]
    units = str(ds[dim].attrs.get("units", ""))
    known = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0, "hours": 3600.0}
    if units and units not in known:
        return np.asarray(values, dtype=np.float64), [f"time is in '{units}', taken as s"]
    return np.asarray(values, dtype=np.float64) * known.get(units, 1.0), [] if units else ["time has no units: s"]


def _view(ds: xr.Dataset, axes: dict[str, str]) -> tuple[np.ndarray | None, str]:
    """The view and its units; none where a coordinate is missing, uneven, or of other units than the other's."""
    x, y = axes["X"], axes["Y"]
    if x not in ds.variables or y not in ds.variables:
        return None, ""
    units = [str(ds[dim].attrs.get("units") or "1") for dim in (x, y)]
    view = even_view(ds[x].values, ds[y].values) if units[0] == units[1] else None
    return view, "" if view is None else units[0]


def _read(path: Path, names: tuple[str, ...], order: tuple[str, ...], in_time: bool, dtype: np.dtype, key: Key) -> Any:
    """A block of the frames (time, [z,] y, x, channel)."""
    at = key[:-1] if in_time else key[1:-1]
    with _opened(path) as ds:
        picked = dict(zip(order, at, strict=True))
        parts = [ds[name].transpose(*order).isel(picked).values.astype(dtype) for name in names]
    block = np.stack(parts, axis=-1)
    if not in_time:
        block = block[None][key[0]] if isinstance(key[0], slice) else block
    return block[..., key[-1]]
