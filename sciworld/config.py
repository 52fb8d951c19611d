"""Settings: dataclasses that go to JSON and come back, numbers among them, and the paths that the environment sets."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sciworld.errors import FormatError, SettingsError

T = TypeVar("T")

MIRROR_VARIABLE = "SCIWORLD_MIRROR"
CACHE_VARIABLE = "SCIWORLD_CACHE"
MOST, LARGEST = 2**31 - 1, 2**63 - 1  # of what is counted, of a seed or of bytes


def to_dict(settings: Any) -> dict[str, Any]:
    """The fields of a settings dataclass as a JSON-safe dict. Raises SettingsError if a value is not JSON-safe."""
    fields = dataclasses.asdict(settings)
    try:
        loaded: dict[str, Any] = json.loads(json.dumps(fields, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{type(settings).__name__}: {error}; settings hold only JSON values") from error
    return loaded


def from_dict(kind: type[T], fields: dict[str, Any], where: str = "", others: Iterable[str] = ()) -> T:
    """Build the settings dataclass `kind` from `fields`; lists become tuples, and dicts settings of its own fields.

    Raises SettingsError for a name that `kind` does not have, or one that it needs and did not get; `where` is
    named in the message, and `others` : names that the caller has taken out, and knows.
    """
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(fields) - known)
    if unknown:
        names = ", ".join(sorted(known | set(others)))
        raise SettingsError(f"{where or kind.__name__}: unknown setting {', '.join(unknown)}; known are {names}")
    nested: dict[str, Any] = {
        name: hint for name, hint in typing.get_type_hints(kind).items() if dataclasses.is_dataclass(hint)
    }
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name in nested and isinstance(value, dict):
            values[name] = from_dict(nested[name], value, f"{where or kind.__name__}, {name}")
        else:
            values[name] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**values)
    except TypeError as error:
        raise SettingsError(f"{where or kind.__name__}: {error}") from error


def array(values: Any, kinds: tuple[type, ...], dtype: Any) -> np.ndarray:
    """Nested lists, as JSON gives them, as an array. Raises TypeError for a leaf of none of `kinds`: no bool is an int,
    and lists of unequal length are none. ValueError or OverflowError for one that is infinite, or that `dtype` cannot
    hold."""
    found = np.array(values, dtype=object)
    for leaf in found.flat:
        if type(leaf) not in kinds:
            raise TypeError(f"{leaf!r:.40} is none of {', '.join(kind.__name__ for kind in kinds)}")
        if type(leaf) is float and not math.isfinite(leaf):
            raise ValueError(f"{leaf} is not finite")
    return found.astype(dtype)


def finite_json(fields: Mapping[str, Any], what: str) -> str:
    """Fields as JSON, which has no infinite numbers. Raises FormatError, naming `what`, where there are some."""
    try:
        return json.dumps(fields, allow_nan=False)
    except ValueError as error:
        raise FormatError(f"{what}: {error}; it holds infinite numbers, make them NaN") from error


def whole(value: Any, name: str, least: int, most: int = MOST) -> int:
    """The setting `name` as an int. Raises SettingsError unless it is an integer, no bool, of `least` to `most`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
        raise SettingsError(f"{name} is {value!r:.80}; use an integer, at least {least} and at most {most}")
    return int(value)


def numbers_of(values: Any, name: str, count: int | None = None) -> np.ndarray:
    """The setting `name` as numbers : (n,) int64; one integer is a row of one.

    Raises SettingsError for what is no row of integers, and unless each is of 0 to `count` - 1.
    """
    try:
        found = np.atleast_1d(np.asarray(values))
    except ValueError:  # rows of unequal lengths
        found = np.empty((0, 0))
    mixed = isinstance(values, list | tuple) and any(isinstance(value, bool | np.bool_) for value in values)
    if found.ndim != 1 or mixed or (found.size and found.dtype.kind not in "iu"):
        shown = " ".join(repr(values).split())
        raise SettingsError(f"{name}: {shown:.80}; give integers in a row, of a mask its np.flatnonzero")
    if count is not None and found.size and not (found.min() >= 0 and found.max() < count):
        raise SettingsError(f"{name} {found.min()}..{found.max()} of {count}; use 0 to {count - 1}")
    return found.astype(np.int64, copy=False)


def shares_of(values: Any, name: str, cure: str) -> list[float]:
    """The setting `name` as numbers above 0 (1e-100 to 1e100). Raises SettingsError with the `cure` for others."""
    given = values.tolist() if isinstance(values, np.ndarray) else values
    if isinstance(given, list | tuple):
        given = [value.item() if isinstance(value, np.generic) else value for value in given]
    if not isinstance(given, list) or not all(type(v) in (int, float) and 1e-100 <= v <= 1e100 for v in given):
        raise SettingsError(f"{name} are {values!r:.200}; {cure}")
    return [float(value) for value in given]


def path_of(value: Any, name: str) -> Path:
    """The setting `name` as a path. Raises SettingsError."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise SettingsError(f"{name}: {value!r:.80} is no path; use text, or a pathlib.Path")
    return Path(value)


def paths_of(values: Any, name: str) -> list[Path]:
    """The setting `name` as paths; one is a list of one. Raises SettingsError."""
    several = isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping | os.PathLike)
    return [path_of(value, name) for value in (values if several else [values])]


def flag(value: Any, name: str) -> bool:
    """The setting `name`, which is True or False. Raises SettingsError for anything else, however true."""
    require(isinstance(value, bool), f"{name} is {value!r:.80}; use True or False")
    return bool(value)


def require(condition: bool, message: str) -> None:
    """Raise SettingsError(message) unless `condition` holds: the one-line check of a settings `__post_init__`."""
    if not condition:
        raise SettingsError(message)


def require_positive(settings: Any, *names: str) -> None:
    """Raise SettingsError unless each of these fields is None or a number above zero, and no bool."""
    for name in names:
        value = getattr(settings, name)
        good = value is None or (is_number(value) and 0 < value < float("inf"))
        require(good, f"{name} is {value}; use a positive number")


def is_number(value: Any) -> bool:
    """Whether it is a real number, of Python's or NumPy's, and no bool."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def real(value: Any, name: str, low: float, high: float, units: str = "") -> float:
    """The setting `name` as a float. Raises SettingsError unless it is a number, no bool, of `low` to `high`."""
    # Compared before it is converted: a Python integer may be too large for a float.
    good = is_number(value) and low <= value <= high
    require(good, f"{name} is {value!r:.80}; use a number of {low:g} to {high:g}{units}")
    return float(value)


def positive(value: Any, name: str, most: float = 1e12) -> float:
    """The setting `name` as a float. Raises SettingsError unless it is a number, no bool, above 0 and up to `most`."""
    good = is_number(value) and 0 < value <= most
    require(good, f"{name} is {value!r:.80}; use a positive number, at most {most:g}")
    return float(value)


def mirror_dir() -> Path | None:
    """The offline mirror of the catalogue, from SCIWORLD_MIRROR, or None if it is not set."""
    value = os.environ.get(MIRROR_VARIABLE, "")
    return Path(value).expanduser() if value else None


def cache_dir() -> Path:
    """Where fetched and generated data are kept: SCIWORLD_CACHE, else the user's cache folder."""
    value = os.environ.get(CACHE_VARIABLE, "")
    if value:
        return Path(value).expanduser()
    # The XDG specification has relative paths ignored; an empty one would be the working folder.
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "sciworld"
