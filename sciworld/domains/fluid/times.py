"""When frames were: units of time in seconds, and frames that are counted because nothing says when they were."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sciworld.errors import FormatError

_WORDS = {
    1e-9: ("ns", "nsec", "nanosecond", "nanoseconds"),
    1e-6: ("us", "µs", "μs", "usec", "microsecond", "microseconds"),
    1e-3: ("ms", "msec", "millisecond", "milliseconds"),
    1.0: ("s", "S", "sec", "secs", "second", "seconds"),
    60.0: ("min", "mins", "minute", "minutes"),
    3600.0: ("h", "H", "hr", "hrs", "hour", "hours"),
    86400.0: ("d", "D", "day", "days"),
}
# Seconds in one of these. Months and years have no fixed length, and are not here.
SECONDS = {word: scale for scale, words in _WORDS.items() for word in words}
COUNTS = ("frame", "frames", "step", "steps", "index")
PLAIN = ("", "1", "-")  # a number without units


def seconds(units: str, where: str) -> float:
    """Seconds in one of `units`. Raises FormatError naming `where` and the cure."""
    # MS is a month's start in pandas: short units mean what their letters' case says.
    name = units.strip() if len(units.strip()) < 3 else units.strip().lower()
    if name not in SECONDS:
        raise FormatError(
            f"{where} has units '{units}', which are no known length of time; set them to s, min, h or d, or to "
            "'seconds since 2000-01-01'"
        )
    return SECONDS[name]


def counted(ds: xr.Dataset) -> xr.Dataset:
    """The recording, its time marked as a count of frames: no log of controls can be laid beside it."""
    return ds.assign_coords(time=ds["time"].assign_attrs(comment="not stated by the file: frames are counted"))


def count(frames: int) -> np.ndarray:
    """Frames counted as seconds 0, 1, 2, ... : (time,)."""
    return np.arange(frames, dtype=np.float64)
