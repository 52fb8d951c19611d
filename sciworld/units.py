"""Units of length and of time, by the names that files and scientists give them."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from sciworld.errors import SettingsError

_LENGTHS = {
    1e-5: ("fm",),
    0.01: ("pm",),
    1.0: ("A", "Å", "\u212b", "angstrom", "Angstrom"),
    10.0: ("nm",),
    1e4: ("um", "µm", "μm", "\\u00B5m", "micron", "microns"),  # ImageJ writes the micro sign as an escape
    1e7: ("mm",),
    1e8: ("cm",),
    1e9: ("dm",),
    1e10: ("m",),
    1e13: ("km",),
}
_TIMES = {
    1e-9: ("ns", "nsec", "nanosecond", "nanoseconds"),
    1e-6: ("us", "µs", "μs", "usec", "microsecond", "microseconds"),
    1e-3: ("ms", "msec", "millisecond", "milliseconds"),
    1.0: ("s", "sec", "secs", "second", "seconds"),
    60.0: ("min", "mins", "minute", "minutes"),
    3600.0: ("h", "hr", "hrs", "hour", "hours"),
    86400.0: ("d", "day", "days"),
}
# Angstrom in one of these.
LENGTHS = {word: scale for scale, words in _LENGTHS.items() for word in words}
# Seconds in one of these. Months and years have no fixed length, and are not here.
TIMES = {word: scale for scale, words in _TIMES.items() for word in words}
_FIRST = {word: words[0] for table in (_LENGTHS, _TIMES) for words in table.values() for word in words}
_FIRST |= dict.fromkeys(("pixel", "pixels", "px"), "pixel")

Value = TypeVar("Value", float, np.ndarray)


def canonical(units: str) -> str:
    """The one name for what may have several ("Å" is "A", "px" is "pixel"); what is not known here stays as it is."""
    return _FIRST.get(units, units)


def convert(value: Value, units: str, to: str) -> Value:
    """A value in `units` as one in the units `to`. Raises SettingsError unless both are lengths, or both times."""
    for table in (LENGTHS, TIMES):
        if units in table and to in table:
            return value * (table[units] / table[to])
    raise SettingsError(f"{units} cannot be converted to {to}; both must be lengths, or both times")


def parse_length(text: str) -> float:
    """Angstrom in a text such as "0.08", "0.08:A" or "8:pm". Raises SettingsError."""
    number, _, units = text.partition(":")
    units = units.strip() or "A"
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value == 0 or units not in LENGTHS:
        raise SettingsError(f"length '{text}': write a number and its units, such as 0.08:A, 8:pm or 0.008:nm")
    return convert(value, units, "A")
