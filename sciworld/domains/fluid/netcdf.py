"""NetCDF 3 and 4 after the CF conventions.

Variables on (time, [z,] y, x), in any order, become channels; those of time alone controls, as The Well has them.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import threading
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
from sciworld.domains.fluid.grids import even_view, own_axes, require_plausible
from sciworld.domains.fluid.series import control_parts
from sciworld.domains.fluid.times import COUNTS, PLAIN, SINCE, count, elapsed, seconds
from sciworld.domains.hdf5 import MOST, dataset, opened
from sciworld.errors import FormatError
from sciworld.lazy import Key, lazy

# What the dimensions are called where no attribute says so (CF 1.11, section 4, and PIV software).
NAMES = {
    "T": ("time", "t"),
    "Z": ("z", "depth", "level", "lev", "height", "altitude", "plev", "pressure", "pressure_level", "isobaric"),
    "Y": ("y", "lat", "latitude", "rlat", "northing"),
    "X": ("x", "lon", "longitude", "rlon", "easting"),
}
# What their coordinates are by the attribute `standard_name`.
STANDARD = {
    "time": "T", "height": "Z", "depth": "Z", "altitude": "Z", "air_pressure": "Z", "model_level_number": "Z",
    "latitude": "Y", "grid_latitude": "Y", "projection_y_coordinate": "Y",
    "longitude": "X", "grid_longitude": "X", "projection_x_coordinate": "X",
}  # fmt: skip
# CF's spellings of degrees along a meridian and a parallel.
NORTH, EAST = (
    tuple(f"degree{s}{end}" for s in ("", "s") for end in ends)
    for ends in (("_north", "_n", "n"), ("_east", "_e", "e"))
)
DEGREES = ("degree", "degrees", *NORTH, *EAST)
LONGEST = 1 << 16  # letters of a global attribute
_WARNING = threading.RLock()  # which warnings are shown is one setting for all threads


def read_netcdf(path: Path) -> list[xr.Dataset]:
    """One recording of all variables on one grid; packed values are unpacked and missing ones NaN, as CF defines.

    NetCDF 3 needs SciPy. Raises FormatError without it, where no variable has the dimensions of a film, and for times
    in units that have no fixed length.
    """
    engine, left_out = _engine(path)
    with _WARNING, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with _dataset(path, engine, left_out) as ds:
            frames, time, parts = _film(ds, path, engine, left_out)
            grid, facts = parts.pop("grid"), parts.pop("facts")
    notes = [f"read {path.name} as NetCDF", *parts.pop("notes")]
    notes += dict.fromkeys(f"xarray says: {one.message}" for one in said)
    if left_out:
        notes.append(f"left out, for they are too long for coordinates: {', '.join(left_out)}")
    made = recording.make(
        frames,
        count(frames.shape[0]) if time is None else time,
        counted=time is None,
        session=path.stem,
        source=path.name,
        history="; ".join(notes),
        **parts,
    )
    return [made.assign(grid).assign_attrs(facts)]


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
    """The file as xarray decodes it, nothing read yet. Times stay numbers. Raises FormatError."""
    failure = ""
    with _WARNING, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            # The absolute path: xarray takes others for addresses if they look so.
            ds = xr.open_dataset(
                str(path.absolute()), engine=engine, decode_times=False, cache=False, drop_variables=left_out
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
    names, order = _fields(ds, axes, path)
    alone = _controls(ds, axes.get("T"))
    if engine == "h5netcdf":
        _require_shapes(ds, [*names, *alone], path)
    dtype = _dtype(ds, names, path)
    times = ds.sizes[axes["T"]] if "T" in axes else 1
    require_plausible(path, 1, times)
    time, notes = _times(ds, axes.get("T"), path)
    shape = (times, *(ds.sizes[dim] for dim in order if dim != axes.get("T")), len(names))
    view, units, grid = _places(ds, [axes[letter] for letter in "XYZ" if axes.get(letter) in order], path, notes)
    controls = ColumnTable(tuple(Column(name, _units(ds, name)) for name in alone))
    series = np.stack([ds[name].values for name in alone], axis=1, dtype=np.float64) if alone else np.empty((times, 0))
    if alone:
        notes.append(f"controls, for they vary in time alone: {', '.join(alone)}")
    kept = {*names, *alone, *order}
    left = sorted(str(name) for name in ds.variables if name not in kept)
    if left:
        notes.append(f"left out, for they have other dimensions, or are no numbers: {', '.join(left)}")
    sizes = tuple(ds.sizes[dim] for dim in order)
    read = partial(_read, path, engine, left_out, tuple(names), tuple(order), sizes, "T" in axes, dtype)
    channels = ColumnTable(tuple(Column(name, _units(ds, name), role="measured") for name in names))
    parts = {"channels": channels, "view": view, "view_units": units, "notes": notes, "grid": grid}
    parts |= control_parts(series, controls, count(times) if time is None else time)
    return lazy(path, shape, dtype, read), time, parts | _texts(ds, notes)


def _fields(ds: xr.Dataset, axes: dict[str, str], path: Path) -> tuple[list[str], list[str]]:
    """The variables that become channels, and their dimensions in order: those along z too, if there are any."""
    held = {str(name): one for name, one in ds.data_vars.items() if one.dtype.kind in "biuf"}
    for letters in ("TZYX", "TYX"):
        order = [axes[letter] for letter in letters if letter in axes]
        names = [name for name, variable in held.items() if set(variable.dims) == set(order)]
        if names:
            return names, order
    found = "; ".join(f"'{name}' is on ({', '.join(map(str, one.dims))})" for name, one in held.items() if one.ndim > 1)
    raise FormatError(
        f"{path}: no variable of numbers on ({', '.join(order)}): {found or 'there is none'}; take one place along "
        "other dimensions, as xarray can with isel"
    )


def _controls(ds: xr.Dataset, dim: str | None) -> list[str]:
    """The variables of numbers that vary in time alone, exact in float64; dates are none."""
    found = []
    for name, variable in ds.data_vars.items():
        dates = SINCE.fullmatch(str(variable.attrs.get("units", "")))
        if dim is not None and variable.dims == (dim,) and variable.dtype.kind in "biuf" and not dates:
            values = variable.values
            if (
                values.dtype.itemsize < 8
                or (values.astype(np.float64).astype(values.dtype) == values)[values == values].all()
            ):
                found.append(str(name))
    return found


def _units(ds: xr.Dataset, name: str) -> str:
    return str(ds[name].attrs.get("units") or "1")


def _texts(ds: xr.Dataset, notes: list[str]) -> dict[str, Any]:
    """Licence and citation, and as `facts` all global attributes, by their names after "netcdf_"."""
    facts: dict[str, Any] = {}
    for name, value in ds.attrs.items():
        plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        numbers = isinstance(plain, int | float) and np.isfinite(plain)
        facts[f"netcdf_{name}"] = plain if numbers else str(plain).encode(errors="replace").decode()
        if len(str(plain)) > LONGEST:
            facts.pop(f"netcdf_{name}")
            notes.append(f"left out, for it is longer than {LONGEST} letters: the attribute '{name}'")
    licence = facts.get("netcdf_license", facts.get("netcdf_licence", ""))
    return {"licence": str(licence), "citation": str(facts.get("netcdf_references", "")), "facts": facts}


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
    """The dimension along each of T, Z, Y, X."""
    found: dict[str, str] = {}
    for dim in map(str, ds.sizes):
        found.setdefault(_letter(dim, ds[dim].attrs if dim in ds.variables else {}), dim)
    return {letter: found[letter] for letter in NAMES if letter in found}


def _letter(dim: str, attributes: dict[str, Any]) -> str:
    """The axis that a dimension is: by what its coordinate's attributes say, by its name, by its units; else empty."""
    stated = str(attributes.get("axis", "")).upper() or STANDARD.get(str(attributes.get("standard_name", "")), "")
    named = next((letter for letter, names in NAMES.items() if dim.lower() in names), "")
    units = str(attributes.get("units", "")).strip().lower()
    vertical = str(attributes.get("positive", "")).lower() in ("up", "down")
    return stated or named or ("Y" if units in NORTH else "X" if units in EAST else "Z" if vertical else "")


def _times(ds: xr.Dataset, dim: str | None, path: Path) -> tuple[np.ndarray | None, list[str]]:
    """Time of each frame : (time,) s, None if they are counted; and what is to be said of it."""
    if dim is None:
        return np.zeros(1), []
    if dim not in ds.variables:
        return None, ["the file states no times: frames are counted"]
    values, units = ds[dim].values, str(ds[dim].attrs.get("units", ""))
    if values.dtype.kind not in "iuf":
        raise FormatError(f"{path}: '{dim}' is {values.dtype}; give times as numbers")
    if units.strip().lower() in COUNTS:
        return None, [f"'{dim}' is in {units}, no times: frames are counted"]
    if units.strip() in PLAIN:
        return np.asarray(values, dtype=np.float64), [f"'{dim}' has no units, and is taken as s"]
    if SINCE.fullmatch(units):
        time, note = elapsed(values, units, str(ds[dim].attrs.get("calendar", "standard")), f"{path}: '{dim}'")
        return time, [note]
    return np.asarray(values, dtype=np.float64) * seconds(units, f"{path}: '{dim}'"), []


def _places(
    ds: xr.Dataset, dims: list[str], path: Path, notes: list[str]
) -> tuple[np.ndarray | None, str, dict[str, xr.Variable]]:
    """The view by the dimensions x, y [, z], and its units; and the coordinates that it does not hold, as variables.

    It holds x and y where both are even and of the same units; degrees of latitude and longitude are such.
    """
    stated = [dim for dim in dims if dim in ds.variables]
    odd = [dim for dim in stated if ds[dim].dtype.kind not in "iuf"]
    if odd:
        raise FormatError(f"{path}: '{odd[0]}' is {ds[odd[0]].dtype}; coordinates are numbers")
    units = {dim: _units(ds, dim) for dim in stated}
    units = {dim: "degree" if one.strip().lower() in DEGREES else one for dim, one in units.items()}
    x, y = dims[:2]
    view = None
    if x in units and y in units:
        view = even_view(ds[x].values, ds[y].values) if units[x] == units[y] else None
        if view is None:
            why = "uneven" if units[x] == units[y] else f"in {units[x]} and {units[y]}"
            notes.append(f"'{x}' and '{y}' are {why}: the view is the pixel grid")
    beside = {dim: letter for dim, letter in zip(dims, "xyz", strict=False) if dim in units}
    grid = {
        f"grid_{letter}": own_axes(f"grid_{letter}", ds[dim].values, {"units": units[dim], "name": dim})
        for dim, letter in beside.items()
        if view is None or letter == "z"
    }
    return view, "" if view is None else units[x], grid


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
    with _WARNING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what xarray says of the file is in the recording's history
        with _dataset(path, engine, left_out) as ds:
            if any(ds.sizes.get(dim) != size for dim, size in zip(order, sizes, strict=True)):
                raise FormatError(f"{path}: is of other sizes than when it was opened; open it anew")
            parts = [ds[name].transpose(*order).isel(at).values.astype(dtype) for name in names[key[-1]]]
    block = np.stack(parts, axis=-1)
    return block if in_time else block[None]
