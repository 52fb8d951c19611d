"""When frames were: units of time as files write them, and the count that stands in where nothing says."""

from __future__ import annotations

import re

import numpy as np

from sciworld.errors import FormatError
from sciworld.units import TIMES

CAPITALS = {"S": "s", "H": "h", "D": "d"}  # pandas' names; of other quantities they are siemens, henry and debye
COUNTS = ("frame", "frames", "step", "steps", "index")
SINCE = re.compile(r"\s*(\S+)\s+since\s+(.+)", re.IGNORECASE | re.DOTALL)
UNEVEN = ("month", "months", "year", "years", "yr", "yrs", "common_year", "common_years")
PLAIN = ("", "1", "-")  # a number without units


def seconds(units: str, where: str) -> float:
    """Seconds in one of `units`. Raises FormatError naming `where` and the cure."""
    # MS is a month's start in pandas: short units mean what their letters' case says.
    name = units.strip() if len(units.strip()) < 3 else units.strip().lower()
    name = CAPITALS.get(name, name)
    if name not in TIMES:
        raise FormatError(
            f"{where} has units '{units}', which are no known length of time; set them to s, min, h or d, or to "
            "'seconds since 2000-01-01'"
        )
    return TIMES[name]


def elapsed(values: np.ndarray, units: str, calendar: str, where: str) -> tuple[np.ndarray, str]:
    """Seconds from the first of `values`, numbers of `units` such as "days since 2000-01-01" : (time,); and a note.

    A day is 86400 s in every calendar of CF, so that days and shorter units need no dates; a month is 30 days in the
    calendar 360_day, and in no other is it or a year of one length: FormatError, naming `where` and the cure.
    """
    match = SINCE.fullmatch(units)
    unit = match[1] if match else units
    if unit.lower() in UNEVEN and not (calendar == "360_day" and unit.lower().startswith("month")):
        raise FormatError(
            f"{where} counts '{units}' in the calendar '{calendar}', where these have no fixed length; convert it to "
            "'seconds since' the first, as xarray can with the package cftime"
        )
    step = 30 * TIMES["d"] if unit.lower() in UNEVEN else seconds(unit, where)
    exact = values if values.dtype.kind == "i" else np.asarray(values, dtype=np.float64)
    note = f"time counts from {values[0]} {units}, in the calendar '{calendar}'"
    return (exact - exact[0]).astype(np.float64) * step, note


def count(frames: int) -> np.ndarray:
    """Frames counted as seconds 0, 1, 2, ... : (time,)."""
    return np.arange(frames, dtype=np.float64)
