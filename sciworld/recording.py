"""A Recording: one run of an instrument or simulator, as an xarray.Dataset with a checked schema.

| variable | dimensions | what |
|---|---|---|
| `frames`, `frames_<camera>` | time, [z,] y, x, channel | as recorded: never cast, clipped, scaled or masked |
| `time` | time | float64 seconds, increasing, uneven if the recording was; the start of the exposure |
| `time_bounds` | time, bound | float64 seconds, start and end of the exposure |
| `line_time` | (none) | float64 seconds per row, where the frame was scanned |
| `view`, `view_<camera>` | time, affine | x_lab = v0 col + v1 row + v2, y_lab = v3 col + v4 row + v5 |
| `view_standard_error` | time, affine | of `view`, in its units |
| `controls` | time, control | row t acts between the exposures t and t+1; NaN is unknown, 0 is off |
| `rewards` | time, reward | earned by the controls of row t |
| `states` | time, state | what else is known of the moment t, truth or measurement |
| `covariates` | covariate | facts of the whole run: voltage, viscosity, weather |
| `dose` | time, phase | in the exposure, and in the gap after it |
| `log_time`, `log_column`, `log_value` | log | raw asynchronous readings; `controls` is their frame-aligned reading |

Arrays with columns carry their ColumnTable as the JSON attribute `columns`. A further camera has its own dimensions
`y_<camera>`, `x_<camera>`, `channel_<camera>`. More variables are kept as they are if they are real numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from sciworld.controls import Column, ColumnTable
from sciworld.errors import ControlError, RecordingError
from sciworld.lazy import is_lazy

Recording: TypeAlias = xr.Dataset

SCHEMA = 1
FRAME_DTYPES = ("uint8", "uint16", "int32", "float32", "float64")
TEXTS = ("session", "source", "licence", "citation", "history")
LONGEST = 4096  # characters of a description
_COLUMNED = {
    "controls": ("time", "control"),
    "rewards": ("time", "reward"),
    "states": ("time", "state"),
    "covariates": ("covariate",),
}
PIXELS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
COUNTED = "not stated by the file: frames are counted"


def make(
    frames: np.ndarray,
    time: np.ndarray,
    *,
    channels: ColumnTable,
    session: str,
    source: str,
    licence: str,
    citation: str,
    history: str,
    description: str = "",
    controls: np.ndarray | None = None,
    control_table: ColumnTable | None = None,
    counted: bool = False,
    time_bounds: np.ndarray | None = None,
    view: np.ndarray | None = None,
    view_units: str = "",
    row_direction: str = "down",
    view_standard_error: np.ndarray | None = None,
    rewards: np.ndarray | None = None,
    reward_table: ColumnTable | None = None,
    states: np.ndarray | None = None,
    state_table: ColumnTable | None = None,
    covariates: Mapping[str, float] | None = None,
    covariate_table: ColumnTable | None = None,
    dose: np.ndarray | None = None,
    dose_units: str = "e",
    logs: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    log_table: ColumnTable | None = None,
) -> Recording:
    """Build a recording and check it.

    Parameters
    ----------
    frames : (time, y, x, channel) or (time, z, y, x, channel), of a dtype in FRAME_DTYPES, kept as it is; an array, or
        one of `lazy.lazy` that stays in its file.
    time : (time,) seconds, strictly increasing; `counted` if it only numbers the frames, since nothing says when they
        were: no log of controls can be laid beside it.
    controls : (time, control) in the units of `control_table`; the last row is NaN. Bounds in a table are those of
        the instrument, not of this run: a store keeps recordings together only if their tables are the same.
    time_bounds : (time, 2) seconds, start and end of each exposure.
    view : (time, 6), or (6,) for one that never moves, in `view_units`; without it the laboratory is the pixel grid.
        row_direction : where rows go when a frame is shown, "down" or "up".
    rewards, states : (time, reward), (time, state). covariates : by the names in `covariate_table`.
    dose : (time, 2) in the exposure and in the gap after it, in `dose_units`.
    description : what a reader of plain text would be told of the run; models may read its words.
    logs : `log_time` (log,) s, `log_column` (log,) rows of `log_table`, `log_value` (log,).

    Raises RecordingError.
    """
    if not is_lazy(frames):
        frames = np.asarray(frames)
        frames = frames.astype(frames.dtype.newbyteorder("="), copy=False)
    if frames.ndim not in (4, 5):
        raise RecordingError(
            f"recording: frames are {frames.shape}; give (time, y, x, channel), e.g. frames[..., None]"
        )
    dims = ("time", "z", "y", "x", "channel") if frames.ndim == 5 else ("time", "y", "x", "channel")
    if view is None and view_units:
        raise RecordingError(f"recording: view_units is {view_units!r} but there is no view; give both or neither")
    geometry = {"units": "pixel" if view is None else view_units, "row_direction": row_direction}
    variables: dict[str, Any] = {"frames": (dims, frames, _columns(channels, "frames"))}
    variables["time"] = ("time", _float(time), {"units": "s", "long_name": "start of the exposure"})
    if counted:
        variables["time"][2]["comment"] = COUNTED
    if time_bounds is not None:
        variables["time"][2]["bounds"] = "time_bounds"
        variables["time_bounds"] = (("time", "bound"), _float(time_bounds), {"units": "s"})
    for name, affine in (("view", PIXELS if view is None else view), ("view_standard_error", view_standard_error)):
        if affine is not None:
            rows = _float(affine)
            rows = np.tile(rows, (len(frames), 1)) if rows.ndim == 1 else rows
            variables[name] = (("time", "affine"), rows, dict(geometry))
    if dose is not None:
        variables["dose"] = (("time", "phase"), _float(dose), {"units": dose_units, "phases": "exposure gap"})
    variables |= _columned("controls", controls, control_table)
    variables |= _columned("rewards", rewards, reward_table)
    variables |= _columned("states", states, state_table)
    variables |= _columned("covariates", _in_order(covariates, covariate_table), covariate_table)
    variables |= _log_variables(logs, log_table)
    texts = {"session": session, "source": source, "licence": licence, "citation": citation, "history": history}
    texts |= {"description": description} if description else {}
    try:
        ds = xr.Dataset(variables, attrs={"schema_version": SCHEMA, **texts})
    except ValueError as error:
        raise RecordingError(f"recording: lengths do not agree ({error}); give one row a frame") from error
    return check(ds, source or "recording")


def check(ds: Recording, where: str = "recording") -> Recording:
    """Return `ds`, or raise RecordingError that names `where`, the variable, what is wrong and the cure."""
    if not isinstance(ds, xr.Dataset):
        raise RecordingError(f"{where}: a {type(ds).__name__}, not an xarray.Dataset; build it with recording.make")
    _check_attributes(ds, where)
    _check_variables(ds, where)
    _check_time(ds, where)
    for name in cameras(ds):
        _check_camera(ds, name, where)
    for name in _COLUMNED:
        if name in ds.variables:
            _check_columned(ds, name, where)
    _check_positions(ds, where)
    _check_logs(ds, where)
    return ds


def cameras(ds: Recording) -> tuple[str, ...]:
    """The names of the frame variables: `frames` first, then `frames_<camera>` in alphabetical order."""
    others = sorted(str(name) for name in ds.data_vars if str(name).startswith("frames_"))
    return ("frames", *others)


def is_counted(ds: Recording) -> bool:
    """Whether `time` only numbers the frames, since nothing says when they were."""
    return ds.variables["time"].attrs.get("comment") == COUNTED


def table(ds: Recording, variable: str) -> ColumnTable:
    """The column table of a variable; an empty one where the recording has no such variable."""
    if variable not in ds.variables:
        return ColumnTable(())
    return ColumnTable.from_json(ds.variables[variable].attrs.get("columns", ""), f"'{variable}' attribute 'columns'")


def channel_table(ds: Recording) -> ColumnTable:
    """What the channels of `frames` are."""
    return table(ds, "frames")


def control_table(ds: Recording) -> ColumnTable:
    """What the controls are; empty if nothing was controlled."""
    return table(ds, "controls")


def covariate_table(ds: Recording) -> ColumnTable:
    """What the covariates are; empty if there are none."""
    return table(ds, "covariates")


def _float(values: Any) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RecordingError(f"recording: {error}; give a rectangular array of real numbers") from error


def _columns(columns: ColumnTable, name: str) -> dict[str, str]:
    if not isinstance(columns, ColumnTable):
        raise RecordingError(f"recording: the columns of '{name}' are a {type(columns).__name__}; give a ColumnTable")
    return {"columns": columns.to_json()}


def _columned(name: str, values: Any, columns: ColumnTable | None) -> dict[str, Any]:
    """The variable `name` with its column table, or nothing."""
    if (values is None) != (columns is None):
        raise RecordingError(f"recording: '{name}' and its column table go together; give both or neither")
    return {} if columns is None else {name: (_COLUMNED[name], _float(values), _columns(columns, name))}


def _in_order(values: Mapping[str, float] | None, columns: ColumnTable | None) -> list[float] | None:
    """Covariates by name as a list in the order of their table."""
    if values is None or columns is None:
        return None if values is None else list(values.values())
    if set(values) != set(columns.names):
        odd = ", ".join(sorted(set(values) ^ set(columns.names)))
        raise RecordingError(f"recording: covariates and their table do not name the same: {odd}; add or drop these")
    return [values[name] for name in columns.names]


def _log_variables(logs: tuple[np.ndarray, ...] | None, columns: ColumnTable | None) -> dict[str, Any]:
    if logs is None:
        return {}
    if columns is None:
        raise RecordingError("recording: logs have no column table; give log_table")
    time, column, value = logs
    return {
        "log_time": ("log", _float(time), {"units": "s"}),
        "log_column": ("log", np.array(column, dtype=np.int32), _columns(columns, "log_column")),
        "log_value": ("log", _float(value)),
    }


def _check_attributes(ds: Recording, where: str) -> None:
    version = ds.attrs.get("schema_version")
    if not isinstance(version, int):
        raise RecordingError(f"{where}: no schema_version among its attributes; build it with recording.make")
    if version > SCHEMA:
        raise RecordingError(f"{where}: schema {version}, newer than the {SCHEMA} known here; upgrade sciworld")
    for name in TEXTS:
        if not isinstance(ds.attrs.get(name), str):
            raise RecordingError(f"{where}: attribute '{name}' is {ds.attrs.get(name)!r}; set it to a string")
    told = ds.attrs.get("description", "")
    if not isinstance(told, str) or len(told) > LONGEST:
        raise RecordingError(f"{where}: 'description' is {told!r:.80}; use a string of at most {LONGEST} characters")
    if not ds.attrs["session"]:
        raise RecordingError(f"{where}: attribute 'session' is empty; name the session, since splits are by session")
    for owner, attributes in (("", ds.attrs), *((f" of '{name}'", ds.variables[name].attrs) for name in ds.variables)):
        for name, value in attributes.items():
            try:
                same = isinstance(name, str) and json.loads(json.dumps(value, allow_nan=False)) == value
            except (TypeError, ValueError):
                same = False
            if not same:
                raise RecordingError(f"{where}: attribute '{name}'{owner} is {value!r}; use plain JSON values")


def _check_variables(ds: Recording, where: str) -> None:
    """Every variable is real numbers, with `time` first if it has that dimension; only `time` is a coordinate."""
    _require(ds, "frames", None, where)
    _require(ds, "time", ("time",), where, "float64")
    odd = sorted(str(name) for name in ds.coords if name != "time")
    if odd:
        raise RecordingError(f"{where}: coordinate '{odd[0]}' beside time; drop it, `view` holds the geometry")
    for name, variable in ds.variables.items():
        dtype = variable.dtype
        if dtype.kind == "c":
            raise RecordingError(f"{where}: '{name}' is {dtype}; store the real and imaginary parts as two channels")
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            raise RecordingError(f"{where}: '{name}' is {dtype}; use real numbers of at most 64 bits, no text")
        if not dtype.isnative:
            raise RecordingError(f"{where}: '{name}' is {dtype}; use .astype('{dtype.newbyteorder('=')}')")
        for dim in ("time", "log"):
            if dim in variable.dims[1:]:
                raise RecordingError(f"{where}: '{name}' has dimensions {variable.dims}; put {dim} first")
        if 0 in variable.shape and "log" not in variable.dims:
            raise RecordingError(f"{where}: '{name}' has shape {variable.shape}; leave out what is empty")
        masks = {"_FillValue", "missing_value", "scale_factor", "add_offset"}
        masked = masks & {*variable.attrs, *(variable.encoding if str(name) in cameras(ds) else ())}
        if masked:
            raise RecordingError(f"{where}: '{name}' has {min(masked)}; drop it, values are kept as they were recorded")


def _require(ds: Recording, name: str, dims: tuple[str, ...] | None, where: str, dtype: str = "") -> None:
    if name not in ds.variables:
        raise RecordingError(f"{where}: no variable '{name}'; build the recording with recording.make")
    if dims is not None and ds.variables[name].dims != dims:
        raise RecordingError(f"{where}: '{name}' has dimensions {ds.variables[name].dims}; expected {dims}")
    if dtype and ds.variables[name].dtype != dtype:
        raise RecordingError(f"{where}: '{name}' is {ds.variables[name].dtype}; expected {dtype}")


def _check_time(ds: Recording, where: str) -> None:
    time = ds.variables["time"].values
    good = np.isfinite(time) & np.append(True, np.diff(time) > 0)
    if not good.all():
        frame = int(np.argmin(good))
        raise RecordingError(f"{where}: 'time' is {time[frame]} s at frame {frame}; sort the frames, drop repeats")
    if "time_bounds" not in ds.variables:
        return
    _require(ds, "time_bounds", ("time", "bound"), where, "float64")
    bounds = ds.variables["time_bounds"].values
    if bounds.shape[1] != 2:
        raise RecordingError(f"{where}: 'time_bounds' has shape {bounds.shape}; give each exposure's start and end")
    slack = 1e-9 * max(1.0, float(np.abs(time).max()))  # rounding of times that were summed
    inside = (bounds[:, 0] <= time + slack) & (time <= bounds[:, 1] + slack)
    if not inside.all():
        frame = int(np.argmin(inside))
        raise RecordingError(f"{where}: 'time' of frame {frame} is outside its 'time_bounds'; mend either")
    apart = bounds[1:, 0] >= bounds[:-1, 1] - slack
    if not apart.all():
        frame = int(np.argmin(apart))
        raise RecordingError(f"{where}: exposure {frame} ends after exposure {frame + 1} starts; mend 'time_bounds'")


def _check_camera(ds: Recording, name: str, where: str) -> None:
    camera = name.removeprefix("frames")
    frames, view = ds.variables[name], f"view{camera}"
    short = tuple(f"{axis}{camera}" for axis in ("y", "x", "channel"))
    if frames.dims not in (("time", *short), ("time", f"z{camera}", *short)):
        raise RecordingError(f"{where}: '{name}' has dimensions {frames.dims}; expected {('time', *short)}")
    if str(frames.dtype) not in FRAME_DTYPES:
        wider = [known for known in FRAME_DTYPES if frames.dtype.itemsize < 8 and np.can_cast(frames.dtype, known)]
        cure = f"use .astype('{wider[0]}'), nothing is lost" if wider else "choose one that holds its values"
        raise RecordingError(f"{where}: '{name}' is {frames.dtype}; {cure} (known: {', '.join(FRAME_DTYPES)})")
    _read_table(ds, name, frames.shape[-1], where)
    _check_view(ds, view, where)
    if f"{view}_standard_error" in ds.variables:
        _check_view(ds, f"{view}_standard_error", where)


def _check_view(ds: Recording, name: str, where: str) -> None:
    _require(ds, name, ("time", "affine"), where, "float64")
    view = ds.variables[name].values
    if view.shape[1] != 6:
        raise RecordingError(f"{where}: '{name}' has {view.shape[1]} numbers a frame; expected 6")
    if not ds.variables[name].attrs.get("units"):
        raise RecordingError(f"{where}: '{name}' has no units; set them, e.g. 'A'")
    if name.endswith("_standard_error"):
        return
    if ds.variables[name].attrs.get("row_direction") not in ("down", "up"):
        raise RecordingError(f"{where}: '{name}' has no row_direction; set it to 'down' or 'up'")
    area = view[:, 0] * view[:, 4] - view[:, 1] * view[:, 3]
    if not (np.isfinite(view).all() and (area != 0).all()):
        frame = int(np.argmin(np.isfinite(view).all(axis=1) & (area != 0)))
        raise RecordingError(f"{where}: '{name}' of frame {frame} is {view[frame]}; pixels need a nonzero area")


def _read_table(ds: Recording, name: str, width: int | None, where: str) -> ColumnTable:
    try:
        columns = table(ds, name)
    except ControlError as error:
        raise RecordingError(f"{where}: {error}") from error
    if width is not None and len(columns) != width:
        raise RecordingError(f"{where}: '{name}' has {width} columns, its table {len(columns)}; describe each once")
    return columns


def _check_columned(ds: Recording, name: str, where: str) -> None:
    _require(ds, name, _COLUMNED[name], where, "float64")
    values = np.atleast_2d(ds.variables[name].values)
    for column, series in zip(_read_table(ds, name, values.shape[-1], where), values.T, strict=True):
        _check_column(column, series, f"{where}: '{name}' column '{column.name}'")
        if name == "controls" and column.acts == "between" and not np.isnan(series[-1]):
            raise RecordingError(f"{where}: control '{column.name}' acts after the last frame; set its last row to NaN")


def _check_column(column: Column, series: np.ndarray, where: str) -> None:
    known = series[~np.isnan(series)]
    low, high = (0.0, len(column.levels) - 1.0) if column.kind == "categorical" else (column.low, column.high)
    # A value that was once a float32 may lie half an ulp outside.
    slack = 1e-6 * max(abs(low or 0.0), abs(high or 0.0))
    if np.isinf(known).any():
        raise RecordingError(f"{where} is infinite; unknown is NaN")
    if column.kind in ("categorical", "integer") and (known != np.round(known)).any():
        raise RecordingError(f"{where} is {column.kind} but not whole everywhere; round it, or change its kind")
    outside = (known < (-np.inf if low is None else low - slack)) | (known > (np.inf if high is None else high + slack))
    if outside.any():
        raise RecordingError(
            f"{where} is {known[outside][0]:g} {column.units}, outside [{low}, {high}]; widen the column's bounds, "
            "or set what is unknown to NaN"
        )


def _check_positions(ds: Recording, where: str) -> None:
    """Positions in the laboratory are in the units of the laboratory."""
    units = ds.variables["view"].attrs["units"]
    for column in control_table(ds):
        if column.frame == "lab" and column.units != units:
            raise RecordingError(f"{where}: '{column.name}' is in {column.units}, 'view' in {units}; convert one")


def _check_logs(ds: Recording, where: str) -> None:
    names = [name for name in ("log_time", "log_column", "log_value") if name in ds.variables]
    if not names:
        return
    for name, dtype in (("log_time", "float64"), ("log_column", "int32"), ("log_value", "float64")):
        _require(ds, name, ("log",), where, dtype)
    columns, rows = _read_table(ds, "log_column", None, where), ds.variables["log_column"].values
    if ((rows < 0) | (rows >= len(columns))).any():
        raise RecordingError(f"{where}: 'log_column' leaves its table of {len(columns)}; describe every logged column")
