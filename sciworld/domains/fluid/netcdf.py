"""NetCDF 3 and 4 after the CF conventions: variables on (time, y, x) in any order become channels."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.fluid.grids import even_view, require_plausible
from sciworld.domains.fluid.times import COUNTS, PLAIN, count, seconds
from sciworld.domains.hdf5 import MOST, dataset, opened
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

    NetCDF 3 needs SciPy. Raises FormatError without it, where no variable has the dimensions of a film, and for times
    in units that have no fixed length.
    """
    engine, left_out = _engine(path)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with _dataset(path, engine, left_out) as ds:
            frames, time, parts = _film(ds, path, engine, left_out)
    notes = [f"read {path.name} as NetCDF", *parts.pop("notes")]
    notes += dict.fromkeys(f"xarray says: {one.message}" for one in said)
    if left_out:
        notes.append(f"left out, for they are too long for coordinates: {', '.join(left_out)}")
    ds = recording.make(
        frames,
        count(frames.shape[0]) if time is None else time,
        counted=time is None,
        session=path.stem,
        source=path.name,
        history="; ".join(notes),
        **parts,
    )
    return [ds]


def _engine(path: Path) -> tuple[str, tuple[str, ...]]:
    """What opens the file, and the variables that are too long for coordinates, which xarray would read at once.

    Raises FormatError for NetCDF 3 without SciPy, or of 64-bit data, which SciPy does not know.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head[:3] != b"CDF":
        with opened(path) as file:
            long = (name for name, node in file.items() if isinstance(node, h5py.Dataset) and node.ndim == 1)
            return "h5netcdf", tuple(name for name in long if file[name].size > MOST)
    cure = f"convert it with `nccopy -k nc4 {path.name} new.nc`"
    if head[3:] not in (b"\x01", b"\x02"):
        raise FormatError(f"{path}: NetCDF 3 of 64-bit data, which is not read; {cure}")
    if importlib.util.find_spec("scipy") is None:
        raise FormatError(f"{path}: NetCDF 3, which SciPy reads; `pip install scipy`, or {cure}")
    return "scipy", ()


@contextlib.contextmanager
def _dataset(path: Path, engine: str, left_out: tuple[str, ...]) -> Iterator[xr.Dataset]:
    """The file as xarray decodes it, nothing read yet. Raises FormatError, also for a calendar that needs a package."""
    failure = ""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            # The absolute path: xarray takes others for addresses if they look so.
            ds = xr.open_dataset(
                str(path.absolute()), engine=engine, decode_timedelta=False, cache=False, drop_variables=left_out
            )
        except Exception as error:  # a damaged file may raise anything at all in the library that parses it
            failure = f"{type(error).__name__}: {error}"
        if failure:
            gc.collect()  # SciPy leaves such a file open, and warns of it whenever it is collected: better here
    if failure:
        raise FormatError(f"{path}: cannot be read as NetCDF ({failure}); it is truncated or damaged: copy it anew")
    for one in said:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    with ds:
        yield ds


def _film(
    ds: xr.Dataset, path: Path, engine: str, left_out: tuple[str, ...]
) -> tuple[Any, np.ndarray | None, dict[str, Any]]:
    """Frames, times (None if they are counted), and the other arguments of `recording.make`; `notes` for history."""
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
    if engine == "h5netcdf":
        _require_shapes(ds, names, path)
    dtype = _dtype(ds, names, path)
    times = ds.sizes[axes["T"]] if "T" in axes else 1
    require_plausible(path, 1, times)
    time, notes = _times(ds, axes.get("T"), path)
    shape = (times, *(ds.sizes[dim] for dim in order if dim != axes.get("T")), len(names))
    columns = tuple(Column(name, str(ds[name].attrs.get("units") or "1"), role="measured") for name in names)
    view, units = _view(ds, axes, path)
    if left:
        notes.append(f"left out, for they have other dimensions: {', '.join(left)}")
    sizes = tuple(ds.sizes[dim] for dim in order)
    read = partial(_read, path, engine, left_out, tuple(names), tuple(order), sizes, "T" in axes, dtype)
    parts = {"channels": ColumnTable(columns), "view": view, "view_units": units, "notes": notes}
    parts |= {key: str(ds.attrs.get(name, "")) for key, name in (("licence", "license"), ("citation", "references"))}
    return lazy(path, shape, dtype, read), time, parts


def _require_shapes(ds: xr.Dataset, names: list[str], path: Path) -> None:
    """Raise FormatError for an array that has not the sizes of its dimensions, which h5netcdf would pad or cut."""
    with h5py.File(path, "r") as file:
        for name in names:
            held, stated = dataset(file, name, path).shape, tuple(ds.sizes[dim] for dim in ds[name].dims)
            if held != stated:
                dims = ", ".join(map(str, ds[name].dims))
                raise FormatError(f"{path}: '{name}' holds {held} values; its dimensions ({dims}) state {stated}")


def _dtype(ds: xr.Dataset, names: list[str], path: Path) -> np.dtype:
    """A dtype that holds all variables, decoded. Raises FormatError for one that none holds exactly."""
    for name in names:
        for dtype in (ds[name].dtype, np.dtype(ds[name].encoding.get("dtype", ds[name].dtype))):
            if dtype.kind in "iu" and dtype.itemsize > 4:
                raise FormatError(
                    f"{path}: '{name}' has integers of 64 bits; save them in 32 bits, or as float64 if they fit"
                )
    dtype = np.result_type(*(ds[name].dtype for name in names)).newbyteorder("=")
    if dtype.name not in recording.FRAME_DTYPES:
        dtype = np.result_type(dtype, np.float32)  # wide enough: small integers are exact in it
    return dtype


def _axes(ds: xr.Dataset) -> dict[str, str]:
    """The dimension along each of T, Z, Y, X, by the attribute `axis` first, by its name else."""
    found: dict[str, str] = {}
    for dim in map(str, ds.sizes):
        stated = str(ds[dim].attrs.get("axis", "")).upper() if dim in ds.variables else ""
        for letter, names in NAMES.items():
            if letter == stated or (not stated and dim.lower() in names):
                found.setdefault(letter, dim)
    return found


def _times(ds: xr.Dataset, dim: str | None, path: Path) -> tuple[np.ndarray | None, list[str]]:
    """Time of each frame : (time,) s, None if they are counted; and what is to be said of it."""
    if dim is None:
        return np.zeros(1), []
    if dim not in ds.variables:
        return None, ["the file states no times: frames are counted"]
    values, units = ds[dim].values, str(ds[dim].attrs.get("units", ""))
    if values.dtype.kind == "M":
        return (values - values[0]) / np.timedelta64(1, "s"), [f"time counts from {values[0]}"]
    if values.dtype.kind not in "iuf":
        raise FormatError(f"{path}: '{dim}' is {values.dtype}; give times as numbers, in the standard calendar")
    if units.strip().lower() in COUNTS:
        return None, [f"'{dim}' is in {units}, no times: frames are counted"]
    if units.strip() in PLAIN:
        return np.asarray(values, dtype=np.float64), [f"'{dim}' has no units, and is taken as s"]
    return np.asarray(values, dtype=np.float64) * seconds(units, f"{path}: '{dim}'"), []


def _view(ds: xr.Dataset, axes: dict[str, str], path: Path) -> tuple[np.ndarray | None, str]:
    """The view and its units; none where a coordinate is missing, uneven, or of other units than the other's."""
    x, y = axes["X"], axes["Y"]
    if x not in ds.variables or y not in ds.variables:
        return None, ""
    odd = [dim for dim in (x, y) if ds[dim].dtype.kind not in "iuf"]
    if odd:
        raise FormatError(f"{path}: '{odd[0]}' is {ds[odd[0]].dtype}; coordinates are numbers")
    units = [str(ds[dim].attrs.get("units") or "1") for dim in (x, y)]
    view = even_view(ds[x].values, ds[y].values) if units[0] == units[1] else None
    return view, "" if view is None else units[0]


def _read(
    path: Path,
    engine: str,
    left_out: tuple[str, ...],
    names: tuple[str, ...],
    order: tuple[str, ...],
    sizes: tuple[int, ...],
    in_time: bool,
    dtype: np.dtype,
    key: Key,
) -> Any:
    """A block of the frames (time, [z,] y, x, channel); no more than it is read."""
    at = dict(zip(order, key[:-1] if in_time else key[1:-1], strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what xarray says of the file is in the recording's history
        with _dataset(path, engine, left_out) as ds:
            if any(ds.sizes.get(dim) != size for dim, size in zip(order, sizes, strict=True)):
                raise FormatError(f"{path}: is of other sizes than when it was opened; open it anew")
            parts = [ds[name].transpose(*order).isel(at).values.astype(dtype) for name in names[key[-1]]]
    block = np.stack(parts, axis=-1)
    return block if in_time else block[None]
