"""When frames were: units of time as files write them, and the count that stands in where nothing says."""

from __future__ import annotations

import numpy as np

from sciworld.errors import FormatError
from sciworld.units import TIMES

CAPITALS = {"S": "s", "H": "h", "D": "d"}  # pandas' names; of other quantities they are siemens, henry and debye
COUNTS = ("frame", "frames", "step", "steps", "index")
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


def count(frames: int) -> np.ndarray:
    """Frames counted as seconds 0, 1, 2, ... : (time,)."""
    return np.arange(frames, dtype=np.float64)
