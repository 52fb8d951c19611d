"""Settings: flat frozen dataclasses that go to JSON and come back, and the few paths that the environment sets."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sciworld.errors import SettingsError

T = TypeVar("T")

MIRROR_VARIABLE = "SCIWORLD_MIRROR"
CACHE_VARIABLE = "SCIWORLD_CACHE"


def to_dict(settings: Any) -> dict[str, Any]:
    """The fields of a settings dataclass as a JSON-safe dict. Raises SettingsError if a value is not JSON-safe."""
    fields = dataclasses.asdict(settings)
    try:
        loaded: dict[str, Any] = json.loads(json.dumps(fields, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{type(settings).__name__}: {error}; settings hold only JSON values") from error
    return loaded


def from_dict(kind: type[T], fields: dict[str, Any], where: str = "") -> T:
    """Build the settings dataclass `kind` from `fields`; lists become tuples.

    Raises SettingsError for a name that `kind` does not have, or one that it needs and did not get; `where` is
    named in the message.
    """
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(fields) - known)
    if unknown:
        raise SettingsError(
            f"{where or kind.__name__}: unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise SettingsError(f"{where or kind.__name__}: {error}") from error


def array(values: Any, kinds: tuple[type, ...], dtype: Any) -> np.ndarray:
    """Nested lists, as JSON gives them, as an array. Raises TypeError for a leaf of none of `kinds`: no bool is an int,
    and lists of unequal length are none. ValueError or OverflowError for one that `dtype` cannot hold."""
    found = np.array(values, dtype=object)
    for leaf in found.flat:
        if type(leaf) not in kinds:
            raise TypeError(f"{leaf!r:.40} is none of {', '.join(kind.__name__ for kind in kinds)}")
    return found.astype(dtype)


def require(condition: bool, message: str) -> None:
    """Raise SettingsError(message) unless `condition` holds: the one-line check of a settings `__post_init__`."""
    if not condition:
        raise SettingsError(message)


def mirror_dir() -> Path | None:
    """The offline mirror of the catalogue, from SCIWORLD_MIRROR, or None if it is not set."""
    value = os.environ.get(MIRROR_VARIABLE, "")
    return Path(value) if value else None


def cache_dir() -> Path:
    """Where fetched and generated data are kept: SCIWORLD_CACHE, else the user's cache folder."""
    value = os.environ.get(CACHE_VARIABLE, "")
    if value:
        return Path(value)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sciworld"
