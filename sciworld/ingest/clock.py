"""The clock of a table: what its column of times says, in seconds on the clock of the frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sciworld.errors import ControlError, FormatError
from sciworld.ingest.tables import EPOCH, Series
from sciworld.units import TIMES, canonical, convert


def parse_times(text: str) -> tuple[str, str]:
    """The column of times, and its units if they are stated: "t:ms" is ("t", "ms"), "t" is ("t", "").

    Raises ControlError for what is no unit of time.
    """
    if not isinstance(text, str):
        raise ControlError(f"times: {text!r:.80} is no text; write a column, such as 't', or 't:ms'")
    column, colon, units = (part.strip() for part in text.rpartition(":"))
    if not colon:
        return units, ""
    if not column or units not in TIMES:
        raise ControlError(
            f"times: '{text}' ends in no unit of time; write a column, which is in s, or 'column:units' with one of "
            f"{', '.join(dict.fromkeys(map(canonical, TIMES)))}"
        )
    return column, units


def on_clock(rows: Series, column: str, units: str, time: np.ndarray, path: Path, notes: list[str]) -> np.ndarray:
    """The times of rows in s on the clock of the frames : (row,) float64, NaN where a row has none.

    units : of numbers, "" for s. Time stamps are seconds since 1970 if the times of the frames, `time` (time,) s, lie
    nearer to them than to 0; else the earliest stamp is taken as second 0 of the frames. Raises FormatError for flags,
    ControlError if units are stated for what has its own.
    """
    if rows.kind == "flag":
        raise FormatError(f"{path}: column '{column}' is true or false; name the column that says when a row acted")
    if units and rows.kind != "number":
        what = "durations" if rows.kind == "duration" else "time stamps"
        raise ControlError(f"{path}: column '{column}' holds {what}, which have no other units; leave out ':{units}'")
    if rows.kind in ("number", "duration"):
        units = units or "s"
        if canonical(units) != "s":
            notes.append(f"times '{column}' converted from {units} to s")
        return convert(rows.values, units, "s")
    known = rows.values[~np.isnat(rows.values)]
    if not len(known):
        return rows.seconds()
    first = known.min()
    since_1970 = (first - EPOCH) / np.timedelta64(1, "s")
    if abs(time[0] - since_1970) < abs(time[0]):
        zone = ", without a time zone, are taken as UTC and" if rows.kind == "stamp" else ""
        notes.append(f"the time stamps of '{column}'{zone} are seconds since 1970, as the times of the frames are")
        return rows.seconds()
    earliest = str(first).rstrip("0").rstrip(".") + ("Z" if rows.kind == "zoned" else "")
    notes.append(
        f"'{column}' holds time stamps: its times are seconds since the earliest, {earliest}, which is taken as second "
        "0 of the frames"
    )
    return rows.seconds(first)
