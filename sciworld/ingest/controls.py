"""Controls from a table: the rows of a CSV file become the controls of a recording."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.stem.raw import LENGTHS, TIMES
from sciworld.errors import ControlError, FormatError

SYNTAX = "'name=column:units', or 'name=column:units:low:high', separated by commas"


@dataclass(frozen=True)
class Mapped:
    """One control of a map: its name, the CSV column it is read from, its units, and its bounds if stated."""

    name: str
    column: str
    units: str
    low: float | None = None
    high: float | None = None


def parse_map(text: str) -> tuple[Mapped, ...]:
    """Read a map such as "x=beam_x:A,y=beam_y:A,dwell=t:s:0:10". Raises ControlError that shows the syntax."""
    found = []
    for item in text.split(","):
        name, equals, rest = (part.strip() for part in item.partition("="))
        fields = [field.strip() for field in rest.split(":")]
        if not (equals and name and len(fields) in (2, 4) and all(fields)):
            raise ControlError(f"map: '{item.strip()}' is no control; write {SYNTAX}")
        try:
            low, high = (float(field) for field in fields[2:]) if len(fields) == 4 else (None, None)
        except ValueError:
            raise ControlError(f"map: the bounds of '{item.strip()}' are no numbers; write {SYNTAX}") from None
        name = name.lower() if name in ("X", "Y") else name
        found.append(Mapped(name, fields[0], "pixel" if fields[1] in ("px", "pixels") else fields[1], low, high))
    names = [control.name for control in found]
    if len(set(names)) < len(names):
        raise ControlError(f"map: {', '.join(names)} repeat a name; name each control once")
    return tuple(found)


def read_csv(path: str | Path, columns: Sequence[str]) -> np.ndarray:
    """The named columns of a CSV file with a header line : (row, column) float64; an empty cell is NaN, unknown.

    The separator is a comma, a semicolon or a tab; lines before the header that start with # are skipped. A column is
    found whatever its case, if only one has that name. Raises FormatError naming the file, the line and the cell.
    """
    path = Path(path)
    try:
        return _parse_csv(path, _lines(path), columns)
    except csv.Error as error:
        raise FormatError(f"{path}: not a CSV file ({error}); save it as a table with one row a frame") from error


def _lines(path: Path) -> list[str]:
    if path.exists() and not path.is_file():
        raise FormatError(f"{path}: not a regular file; give a CSV file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(
            f"{path}: cannot be read as a CSV file ({error}); mend the path, or save it as UTF-8"
        ) from error
    while lines and not lines[-1].strip(" "):
        lines.pop()
    return lines


def _parse_csv(path: Path, lines: list[str], columns: Sequence[str]) -> np.ndarray:
    skipped = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    lines = lines[skipped:]
    if not lines:
        raise FormatError(f"{path}: empty; expected a header line and one row a frame")
    separator = max(",;\t", key=lines[0].count)
    rows = csv.reader(lines, delimiter=separator)
    header = [name.strip() for name in next(rows)]
    places = [_place(header, column, path) for column in columns]
    found = []
    for row in rows:
        row = row or [""]  # an empty line is an empty cell: to skip it would move what follows to other frames
        where = f"{path}, line {skipped + rows.line_num}"
        if len(row) != len(header):
            comma = " (decimal commas?)" if separator == "," and len(row) > len(header) else ""
            raise FormatError(f"{where}: {len(row)} cells, but the header has {len(header)}{comma}; mend it")
        found.append([_number(row[place], header[place], where) for place in places])
    return np.array(found, dtype=np.float64).reshape(len(found), len(columns))


def _place(header: list[str], column: str, path: Path) -> int:
    """Where the column is: by its very name, else by its name in any case. Raises FormatError unless it is one."""
    found = [k for k, name in enumerate(header) if name == column]
    found = found or [k for k, name in enumerate(header) if name.casefold() == column.casefold()]
    if len(found) != 1:
        problem = f"{len(found)} columns" if found else "no column"
        raise FormatError(f"{path}: {problem} '{column}'; the header has {', '.join(header)}: mend the map")
    return found[0]


def _number(cell: str, column: str, where: str) -> float:
    try:
        value = float(cell.strip() or "nan")
    except ValueError:
        if re.fullmatch(r"[-+]?\d*,\d+([eE][-+]?\d+)?", cell.strip()):
            raise FormatError(
                f"{where}: '{cell}' in column '{column}' has a decimal comma; save the file with decimal points"
            ) from None
        raise FormatError(
            f"{where}: '{cell}' in column '{column}' is no number; write it like 1.5, or leave it empty if unknown"
        ) from None
    if math.isinf(value):
        raise FormatError(f"{where}: '{cell}' in column '{column}' is infinite; leave it empty if it is unknown")
    return value


def attach_controls(
    ds: xr.Dataset, csv_path: str | Path, mapping: str | Sequence[Mapped], times: str = "", shift: int = 0
) -> xr.Dataset:
    """A copy of the recording with controls from a CSV file.

    mapping : "name=column:units[:low:high], ..." (or what `parse_map` makes of it). Controls `x` and `y` together are
    the position "beam", in the laboratory frame (`view`: where the file states no origin, lengths count from the
    centre of the first pixel, x along columns, y down the rows), or on the pixel grid if their units are "pixel".
    Lengths are converted to the units of `view` (A where it has none), times to s; a `dwell` must be positive.
    Bounds that are not stated are those of the data.
    times : the column, in seconds on the recording's clock, that says when a row acted; a row then belongs to the
    frame that started last before it, and all rows are kept as the log. Where none or several rows fall between two
    frames, the controls there are unknown. Without `times` the rows belong to the frames in order: one for every
    frame (the last acts after the last frame, and is left out), or one fewer.
    shift : moves the rows to frames so many later, to mend a lag that was measured.
    Raises FormatError about the file, ControlError about the map, RecordingError if the result breaks the schema.
    """
    mapped = parse_map(mapping) if isinstance(mapping, str) else tuple(mapping)
    if "controls" in ds.variables:
        raise ControlError(f"{ds.attrs['source']}: has controls already; drop them first with ds.drop_vars('controls')")
    path, n = Path(csv_path), ds.sizes["time"]
    columns = [control.column for control in mapped]
    values = read_csv(path, [*columns, times] if times else columns)
    stamps, values = (values[:, -1], values[:, :-1]) if times else (None, values)
    notes = [f"controls {', '.join(control.name for control in mapped)} from {path.name}"]
    mapped, values = _converted(mapped, values, ds["view"].attrs["units"], notes)
    _check_dwell(mapped, values, path)
    table = _table(mapped, values, ds, path)
    if stamps is None:
        aligned = _by_count(values, n, path, notes)
        logs = {}
    else:
        aligned = _by_time(values, stamps, ds, path, notes)
        logs = _log(values, stamps, table)
    if shift:
        notes.append(f"moved by {shift} frames, as stated by the user")
        moved = np.full_like(aligned, np.nan)
        source = np.arange(n) - shift
        kept = (source >= 0) & (source < n)
        moved[kept] = aligned[source[kept]]
        aligned = moved
    aligned[-1] = np.nan  # nothing follows the last frame
    variables = {"controls": (("time", "control"), aligned, {"columns": table.to_json()}), **logs}
    history = "; ".join([ds.attrs["history"], *notes])
    return recording.check(ds.assign(variables).assign_attrs(history=history), str(path))


def _converted(
    mapped: Sequence[Mapped], values: np.ndarray, lab: str, notes: list[str]
) -> tuple[tuple[Mapped, ...], np.ndarray]:
    """The controls and their (row, control) values with lengths in the laboratory's units, or A, and times in s."""
    found, factors = [], np.ones(len(mapped))
    for k, control in enumerate(mapped):
        for scales, units in ((LENGTHS, lab if lab in LENGTHS else "A"), (TIMES, "s")):
            if control.units in scales and control.units != units:
                factors[k] = scales[control.units] / scales[units]
                notes.append(f"'{control.name}' converted from {control.units} to {units}")
                low, high = (None if bound is None else bound * factors[k] for bound in (control.low, control.high))
                control = replace(control, units=units, low=low, high=high)
        found.append(control)
    return tuple(found), values * factors


def _check_dwell(mapped: Sequence[Mapped], values: np.ndarray, path: Path) -> None:
    for control, series in zip(mapped, values.T, strict=True):
        wrong = np.flatnonzero(series <= 0)
        if control.name == "dwell" and len(wrong):
            raise FormatError(
                f"{path}: row {wrong[0] + 1} has a dwell of {series[wrong[0]]:g} {control.units}; a dwell is positive: "
                "mend it, or leave the cell empty if it is unknown"
            )


def doubts(ds: xr.Dataset) -> list[str]:
    """What a user should look at in the controls of a recording: beams beyond the frame, rows without a value."""
    table, source = recording.control_table(ds), ds.attrs["source"]
    rows = ds["controls"].values[:-1]
    found = [
        f"{source}: {count} of {len(rows)} rows have no value of '{column.name}', which is unknown there"
        for column, count in zip(table, np.isnan(rows).sum(axis=0), strict=True)
        if count
    ]
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


def _table(mapped: Sequence[Mapped], values: np.ndarray, ds: xr.Dataset, path: Path) -> ColumnTable:
    positions = {"x", "y"} <= {control.name for control in mapped}
    columns = []
    for control, series in zip(mapped, values.T, strict=True):
        low, high = control.low, control.high
        if low is None and not np.isnan(series).all():
            low, high = float(np.nanmin(series)), float(np.nanmax(series))
        position = positions and control.name in ("x", "y")
        frame = ("pixel" if control.units == "pixel" else "lab") if position else ""
        if frame == "lab" and ds["view"].attrs["units"] == "pixel":
            raise ControlError(
                f"{path}: '{control.name}' is in {control.units}, but the frames have no pixel size; state it "
                "(pixel_size), or give the position in 'pixel'"
            )
        group, axis = ("beam", control.name) if position else ("", "")
        columns.append(Column(control.name, control.units, low, high, group=group, axis=axis, frame=frame))
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


def _by_time(values: np.ndarray, stamps: np.ndarray, ds: xr.Dataset, path: Path, notes: list[str]) -> np.ndarray:
    """To each frame the one row that acted after its start and before the next : (time, control)."""
    time = ds["time"].values
    if "comment" in ds["time"].attrs:
        raise ControlError(f"{path}: rows have times but the frames have none; state frame_seconds")
    if np.isnan(stamps).any():
        raise FormatError(f"{path}: row {int(np.isnan(stamps).argmax()) + 1} has no time; fill it in, or drop the row")
    frame = np.searchsorted(time, stamps, side="right") - 1
    frame[frame == len(time) - 1] = -1
    rows = np.bincount(frame[frame >= 0], minlength=len(time))
    if not rows.any():
        raise FormatError(
            f"{path}: no row acted between two frames; rows are at {stamps.min():g} to {stamps.max():g} s, frames at "
            f"{time[0]:g} to {time[-1]:g} s: put both on one clock"
        )
    aligned = np.full((len(time), values.shape[1]), np.nan)
    for row in np.flatnonzero((frame >= 0) & (rows[frame] == 1)):
        aligned[frame[row]] = values[row]
    for what, count in (
        ("of its rows acted before the first frame or after the last began", int((frame < 0).sum())),
        ("gaps between frames have no row, and unknown controls", int((rows[:-1] == 0).sum())),
        ("gaps between frames have several rows, and unknown controls", int((rows > 1).sum())),
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
