"""Controls from a table: the rows of a CSV or Parquet file become the controls of a recording."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import MOST, path_of, whole
from sciworld.controls import Column, ColumnTable
from sciworld.domains.logs import READINGS, log
from sciworld.errors import ControlError, FormatError
from sciworld.ingest.clock import on_clock, parse_times
from sciworld.ingest.tables import Series, is_whole, read_table
from sciworld.units import LENGTHS, TIMES, canonical, convert

SYNTAX = (
    "'name=column:units', or 'name=column:units:low:high', separated by commas; ~linear, ~mean or ~hold after "
    "one reads its rows as a log"
)

LEAST_COVERED, LONGEST = 0.5, 2.0  # of the frames' span: logs beyond are doubted


@dataclass(frozen=True)
class Mapped:
    """One control of a map: its name, the column it is read from, its units, its bounds if stated, and how its rows are
    read at the frames' times, if they are a log."""

    name: str
    column: str
    units: str
    low: float | None = None
    high: float | None = None
    reading: str = ""


def parse_map(text: str) -> tuple[Mapped, ...]:
    """Read a map such as "x=beam_x:A,dwell=t:s:0:10,steer=wheel:deg~linear". Raises ControlError with the syntax."""
    if not isinstance(text, str):
        raise ControlError(f"map: {text!r:.80} is no text; write {SYNTAX}")
    found = []
    for item in text.split(","):
        name, equals, rest = (part.strip() for part in item.partition("="))
        rest, tilde, reading = (part.strip() for part in rest.partition("~"))
        fields = [field.strip() for field in rest.split(":")]
        known = reading in READINGS if tilde else True
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise ControlError(f"map: the name {name!r} has a character that no text shows; name the control otherwise")
        if not (equals and name and len(fields) in (2, 4) and all(fields) and known):
            raise ControlError(f"map: '{item.strip()}' is no control; write {SYNTAX}")
        try:
            low, high = (float(field) for field in fields[2:]) if len(fields) == 4 else (None, None)
        except ValueError:
            raise ControlError(f"map: the bounds of '{item.strip()}' are no numbers; write {SYNTAX}") from None
        name = name.lower() if name in ("X", "Y") else name
        units = "pixel" if canonical(fields[1]) == "pixel" else fields[1]
        found.append(Mapped(name, fields[0], units, low, high, reading))
    names = [control.name for control in found]
    # What looks the same is the same: "µ" has two code points, "é" one or two.
    if len({unicodedata.normalize("NFKC", name) for name in names}) < len(names):
        raise ControlError(f"map: {', '.join(names)} repeat a name; name each control once")
    return tuple(found)


def attach_controls(
    ds: xr.Dataset, table_path: str | Path, mapping: str | Sequence[Mapped], times: str = "", shift: int = 0
) -> xr.Dataset:
    """A copy of the recording with controls from a CSV or Parquet file.

    mapping : "name=column:units[:low:high][~reading], ..." (or what `parse_map` makes of it). Controls `x` and `y`
    together are the position "beam", in the laboratory frame (`view`: where the file states no origin, lengths count
    from the centre of the first pixel, x along columns, y down the rows), or on the pixel grid if their units are
    "pixel". The lengths of a position are converted to the units of `view`, times to the seconds of `time`; every
    other column keeps its units. A `dwell` must be positive. Bounds that are not stated are those of the data.
    times : the column that says when a row acted, on the recording's clock: in s, in the units behind it ("t:ms"), or
    as time stamps (see `on_clock`). A row then belongs to the frame that started last before it, and all rows are kept
    as the log. Where none or several rows fall between two frames, the controls there are unknown, unless the map says
    how they are read: on the straight line between the rows beside the frame's time (~linear), as the mean of the rows
    until the next frame (~mean), or as the last row before (~hold). Outside the log nothing is known. An empty cell is
    a hole in ~linear: nothing is known between the rows beside it; ~mean and ~hold pass over it, which reads tables
    whose signals have rows of their own. Without `times` the rows belong to the frames in order: one for every frame
    (the last acts after the last frame, and is left out), or one fewer.
    shift : moves the rows to frames so many later, to mend a lag that was measured.
    Flags (true, false) are 1 and 0. Raises FormatError about the file, also if it brings no control to any frame;
    ControlError about the map or times; SettingsError about the path or shift; RecordingError if the result breaks the
    schema.
    """
    listed = tuple(one for one in mapping if isinstance(one, Mapped)) if isinstance(mapping, list | tuple) else ()
    mapped = listed if listed and len(listed) == len(mapping) else parse_map(mapping)  # type: ignore[arg-type]
    shift = whole(shift, "shift", -MOST)
    if "controls" in ds.variables:
        raise ControlError(f"{ds.attrs['source']}: has controls already; drop them first with ds.drop_vars('controls')")
    path, n = path_of(table_path, "table_path"), ds.sizes["time"]
    columns = [control.column for control in mapped]
    when, units = parse_times(times)
    logged = [control.name for control in mapped if control.reading]
    if logged and not when:
        raise ControlError(
            f"{path}: '{logged[0]}' is read as a log, whose rows have no times; name their column (times)"
        )
    found = read_table(path, [*columns, when] if when else columns)
    notes = [f"controls {', '.join(control.name for control in mapped)} from {path.name}"]
    if not is_whole(path):
        notes.append("its last line has no end: the file, and its last number, may be cut")
    values = _numbers(mapped, found[: len(mapped)], path, notes)
    mapped, values = _converted(mapped, values, ds["view"].attrs["units"], notes)
    _check_dwell(mapped, values, path)
    table = _table(mapped, values, ds, path)
    if not when:
        aligned = _by_count(values, n, path, notes)
        logs = {}
    else:
        stamps = on_clock(found[-1], when, units, ds["time"].values, path, notes)
        aligned = _by_time(mapped, values, stamps, ds, path, notes)
        logs = _log(values, stamps, table)
    if shift:
        aligned = _moved(aligned, shift, notes)
    aligned[-1] = np.nan  # nothing follows the last frame
    if n > 1 and np.isnan(aligned).all():
        why = "; ".join(notes[1:]) or "all cells are empty"
        raise FormatError(
            f"{path}: brings no control to any frame ({why}); mend the map or the file, or leave out the controls"
        )
    variables = {"controls": (("time", "control"), aligned, {"columns": table.to_json()}), **logs}
    history = "; ".join([ds.attrs["history"], *notes])
    ds = ds.assign(variables).assign_attrs(history=history)
    return recording.check(ds, str(path))


def _numbers(mapped: Sequence[Mapped], found: Sequence[Series], path: Path, notes: list[str]) -> np.ndarray:
    """The columns of the controls : (row, control) float64. Raises ControlError where the map gives other units."""
    for control, series in zip(mapped, found, strict=True):
        if series.kind == "flag":
            notes.append(f"'{control.name}' is 1 where '{control.column}' is true, and 0 where it is false")
        elif series.kind != "number" and canonical(control.units) != "s":
            raise ControlError(
                f"{path}: column '{control.column}' holds times, which are read in s; write "
                f"'{control.name}={control.column}:s'"
            )
    return np.stack([series.seconds() for series in found], axis=1)


def shifted(ds: xr.Dataset, shift: int) -> xr.Dataset:
    """The recording with its controls moved to frames so many later, to mend a lag; what moved in is unknown.

    Raises ControlError if it has no controls, SettingsError for what is no number of frames.
    """
    shift = whole(shift, "shift", -MOST)
    if not shift:
        return ds
    if "controls" not in ds.variables:
        raise ControlError(f"{ds.attrs['source']}: has no controls to shift; leave out the shift, or give controls")
    notes = [ds.attrs["history"]]
    moved = _moved(ds["controls"].values, shift, notes)
    moved[-1] = np.nan  # nothing follows the last frame
    return ds.assign(controls=ds["controls"].copy(data=moved)).assign_attrs(history="; ".join(notes))


def _moved(rows: np.ndarray, shift: int, notes: list[str]) -> np.ndarray:
    """The rows, so many frames later; what moved in is unknown."""
    source = np.arange(len(rows)) - shift
    kept = (source >= 0) & (source < len(rows))
    moved = np.full_like(rows, np.nan)
    moved[kept] = rows[source[kept]]
    notes.append(f"moved by {shift} frames, as stated by the user")
    return moved


def _converted(
    mapped: Sequence[Mapped], values: np.ndarray, lab: str, notes: list[str]
) -> tuple[tuple[Mapped, ...], np.ndarray]:
    """The controls and their (row, control) values, with positions in the laboratory's units and times in s."""
    found, factors = [], np.ones(len(mapped))
    for k, control in enumerate(mapped):
        units = "s" if control.units in TIMES else control.units
        if _is_position(control, mapped) and control.units in LENGTHS and lab in LENGTHS:
            units = lab
        if control.units != units:
            factors[k] = convert(1.0, control.units, units)
            notes.append(f"'{control.name}' converted from {control.units} to {units}")
            low, high = (None if bound is None else bound * factors[k] for bound in (control.low, control.high))
            control = replace(control, units=units, low=low, high=high)
        found.append(control)
    return tuple(found), values * factors


def _is_position(control: Mapped, mapped: Sequence[Mapped]) -> bool:
    """Whether a control is a coordinate of the beam: `x` and `y` are one if both are there."""
    return control.name in ("x", "y") and {"x", "y"} <= {one.name for one in mapped}


def _check_dwell(mapped: Sequence[Mapped], values: np.ndarray, path: Path) -> None:
    for control, series in zip(mapped, values.T, strict=True):
        wrong = np.flatnonzero(series <= 0)
        if control.name == "dwell" and len(wrong):
            raise FormatError(
                f"{path}: row {wrong[0] + 1} has a dwell of {series[wrong[0]]:g} {control.units}; a dwell is positive: "
                "mend it, or leave the cell empty if it is unknown"
            )


def doubts(ds: xr.Dataset) -> list[str]:
    """What a user should look at in the controls of a recording: rows without a value, logs that last much longer or
    shorter than the frames, beams beyond the frame."""
    table, source = recording.control_table(ds), ds.attrs["source"]
    rows = ds["controls"].values[:-1]
    found = _span_doubts(ds)
    for column, count in zip(table, np.isnan(rows).sum(axis=0), strict=True):
        if count == len(rows) > 0:
            found.append(f"{source}: '{column.name}' is unknown at all frames; mend the map or the file, or drop it")
        elif count:
            found.append(
                f"{source}: {count} of {len(rows)} rows have no value of '{column.name}', which is unknown there"
            )
    for name, (x, y, *_) in table.positions().items():
        view = ds["view"].values[:-1].reshape(-1, 2, 3)
        if table.columns[x].frame == "pixel":
            view = np.broadcast_to(np.eye(2, 3), view.shape)
        place = np.linalg.solve(view[..., :2], (rows[:, [x, y]] - view[..., 2])[..., None])[..., 0]
        edge = np.array([ds.sizes["x"], ds.sizes["y"]]) - 0.5
        count = int(((place < -0.5) | (place > edge)).any(axis=1).sum())
        if count:
            corners = np.array([[-0.5, -0.5], edge]) @ view[0, :, :2].T + view[0, :, 2]
            (left, right), (top, bottom) = np.sort(corners, axis=0).T
            found.append(
                f"{source}: {count} of {len(rows)} places of '{name}' lie outside the frame ({left:g} to {right:g}, "
                f"{top:g} to {bottom:g} {table.columns[x].units}); lengths count from the centre of the first pixel, "
                "x along columns, y down the rows, unless the file states an origin"
            )
    return found


def _span_doubts(ds: xr.Dataset) -> list[str]:
    """Whether the log may be of other frames, or in other units of time."""
    if "log_time" not in ds.variables or ds.sizes["time"] < 2:
        return []
    log, time = ds["log_time"].values, ds["time"].values
    spans = [(rows.min(), rows.max()) for rows in (log, time) if len(rows)]
    if len(spans) < 2 or spans[0][0] == spans[0][1]:  # one moment has no span
        return []
    (first, last), (start, end) = spans
    covered = max(0.0, min(last, end) - max(first, start)) / (end - start)
    times = (last - first) / (end - start)
    if covered >= LEAST_COVERED and times <= LONGEST:
        return []
    return [
        f"{ds.attrs['source']}: the log lasts from {first:.10g} to {last:.10g} s, the frames from {start:.10g} to "
        f"{end:.10g} s: it covers {covered:.0%} of them, and is {times:.3g} times as long; look whether it is "
        "theirs, on their clock, and in the units that were stated"
    ]


def _table(mapped: Sequence[Mapped], values: np.ndarray, ds: xr.Dataset, path: Path) -> ColumnTable:
    columns = []
    for control, series in zip(mapped, values.T, strict=True):
        low, high = control.low, control.high
        if low is None and not np.isnan(series).all():
            low, high = float(np.nanmin(series)), float(np.nanmax(series))
        position = _is_position(control, mapped)
        frame = ("pixel" if control.units == "pixel" else "lab") if position else ""
        if frame == "lab" and ds["view"].attrs["units"] == "pixel":
            raise ControlError(
                f"{path}: '{control.name}' is in {control.units}, but the frames have no pixel size; state it "
                "(pixel_size), or give the position in 'pixel'"
            )
        group, axis = ("beam", control.name) if position else ("", "")
        hold = "mean" if control.reading == "mean" else "hold"
        columns.append(Column(control.name, control.units, low, high, hold=hold, group=group, axis=axis, frame=frame))
    return ColumnTable(tuple(columns))


def _by_count(values: np.ndarray, n: int, path: Path, notes: list[str]) -> np.ndarray:
    """Rows in the order of the frames : (time, control)."""
    if len(values) not in (n, n - 1):
        raise FormatError(
            f"{path}: {len(values)} rows for {n} frames; give {n}, or {n - 1} (one between two frames), or name the "
            "column that says when each row acted (times)"
        )
    if len(values) == n:
        notes.append("its last row acts after the last frame, and is left out")
        return values.copy()
    return np.vstack([values, np.full((1, values.shape[1]), np.nan)])


def _by_time(
    mapped: Sequence[Mapped], values: np.ndarray, stamps: np.ndarray, ds: xr.Dataset, path: Path, notes: list[str]
) -> np.ndarray:
    """Rows by the times at which they acted : (time, control); those of a log as the map says."""
    time = ds["time"].values
    if recording.is_counted(ds):
        raise ControlError(f"{path}: rows have times but the frames have none; state frame_seconds")
    if np.isnan(stamps).any():
        raise FormatError(f"{path}: row {int(np.isnan(stamps).argmax()) + 1} has no time; fill it in, or drop the row")
    aligned = np.full((len(time), len(mapped)), np.nan)
    single = [k for k, control in enumerate(mapped) if not control.reading]
    if single:
        aligned[:, single] = _one_a_gap(values[:, single], stamps, time, path, notes)
    for k, control in enumerate(mapped):
        if not control.reading:
            continue
        rows = log(stamps, values[:, k], control.name, str(path))
        aligned[:, k] = READINGS[control.reading](rows, time)
        unknown = int(np.isnan(aligned[:-1, k]).sum())
        if not len(stamps) or stamps.max() < time[0] or stamps.min() > time[-1]:
            raise _apart(f"'{control.name}' is known at no frame", path, stamps, time)
        step = np.diff(rows.time).max(initial=0.0)
        notes += rows.notes
        if control.reading == "linear" and len(rows.empty):
            notes.append(
                f"'{control.name}' is unknown between the rows beside one without a value (~hold passes over it)"
            )
        notes.append(
            f"'{control.name}' is read ~{control.reading} from {len(rows.time)} rows, at most {step:.3g} s apart, and "
            f"unknown at {unknown} of {len(time) - 1} frames"
        )
    return aligned


def _apart(what: str, path: Path, stamps: np.ndarray, time: np.ndarray) -> FormatError:
    rows = f"rows are at {stamps.min():.10g} to {stamps.max():.10g} s" if len(stamps) else "there are no rows"
    return FormatError(
        f"{path}: {what}; {rows}, frames at {time[0]:.10g} to {time[-1]:.10g} s: put both on one clock, and state the "
        "units of times that are not in s, such as 't:ms'"
    )


def _one_a_gap(values: np.ndarray, stamps: np.ndarray, time: np.ndarray, path: Path, notes: list[str]) -> np.ndarray:
    """To each frame the one row that acted after its start and before the next : (time, control)."""
    frame = np.searchsorted(time, stamps, side="right") - 1
    frame[frame == len(time) - 1] = -1
    rows = np.bincount(frame[frame >= 0], minlength=len(time))
    if not rows.any():
        raise _apart("no row acted between two frames", path, stamps, time)
    aligned = np.full((len(time), values.shape[1]), np.nan)
    for row in np.flatnonzero((frame >= 0) & (rows[frame] == 1)):
        aligned[frame[row]] = values[row]
    several = int((rows > 1).sum())
    for what, count in (
        ("of its rows acted before the first frame or after the last began", int((frame < 0).sum())),
        ("gaps between frames have no row, and unknown controls", int((rows[:-1] == 0).sum())),
        ("gaps between frames have several rows, and unknown controls (~mean in the map reads them)", several),
    ):
        if count:
            notes.append(f"{count} {what}")
    return aligned


def _log(values: np.ndarray, stamps: np.ndarray, table: ColumnTable) -> dict[str, object]:
    """The rows as they are, as the recording's log."""
    known = ~np.isnan(values)
    row, column = np.nonzero(known)
    order = np.argsort(stamps[row], kind="stable")
    return {
        "log_time": ("log", stamps[row][order], {"units": "s"}),
        "log_column": ("log", column[order].astype(np.int32), {"columns": table.to_json()}),
        "log_value": ("log", values[known][order]),
    }
