"""What the features of a LeRobot data set are: columns of controls, states and rewards, or words that become levels."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sciworld.controls import EXACT, Column, ColumnTable
from sciworld.errors import ControlError, FormatError

NUMBERS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")
CAMERAS = ("video", "image")
# Rows are found by these; they are no features of what was recorded.
INDEX = ("timestamp", "frame_index", "episode_index", "index", "task_index")
REWARDS = ("next.reward", "reward")
# Features that only our own exports have: time on the recording's clock, the views of its cameras, facts of the run.
TIME, VIEW, COVARIATES = "recording.time", "recording.view", "covariates"
UNITS = {"_rad": "rad", "_deg": "deg", "_mps": "m/s", "_kmh": "km/h"}
UNKNOWN = ("", "NA", "N/A", "nan", "unknown")
MOST_LEVELS = 64  # more words than that are free text


@dataclass(frozen=True)
class Feature:
    """A feature of numbers.

    Parameters
    ----------
    key : its name in the data set.
    shape : of its value in one row.
    part : controls | states | rewards | covariates | time.
    columns : what each of its numbers is, in C order.
    """

    key: str
    shape: tuple[int, ...]
    part: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Words:
    """A feature of words, or the task.

    Parameters
    ----------
    key, name : in the data set, and in the recording.
    levels : all words of the data set but those for unknown; None if they are too many, then they are free text.
    constant : whether none changes within an episode, in all of the data set.
    """

    key: str
    name: str
    levels: tuple[str, ...] | None
    constant: bool


def features_of(stated: dict[str, dict[str, Any]], where: Path) -> tuple[list[Feature], list[str]]:
    """The features of numbers that info.json states, and the keys of those that are of no known kind.

    Columns that two features of one part name alike are called by the feature too. Raises FormatError.
    """
    found, odd = [], []
    for key, spec in stated.items():
        kind = spec["dtype"]
        if key in INDEX or kind in (*CAMERAS, "string") or is_view(key, spec):
            continue
        if kind not in NUMBERS:
            odd.append(f"{key} ({kind})")
            continue
        shape = _shape(key, spec, where)
        found.append(Feature(key, shape, _part(key), _columns(key, spec, shape, where)))
    taken = Counter((feature.part, column.name) for feature in found for column in feature.columns)
    return [
        replace(
            feature,
            columns=tuple(
                replace(column, name=f"{feature.key}.{column.name}") if taken[feature.part, column.name] > 1 else column
                for column in feature.columns
            ),
        )
        for feature in found
    ], odd


def is_view(key: str, spec: dict[str, Any]) -> bool:
    """Whether a feature is the view of a camera, as an export of ours states it."""
    return key.startswith(VIEW) and "row_direction" in spec


def _part(key: str) -> str:
    if key == TIME:
        return "time"
    if key == COVARIATES:
        return "covariates"
    if key in REWARDS:
        return "rewards"
    return "controls" if key == "action" or key.startswith("action.") else "states"


def _shape(key: str, spec: dict[str, Any], where: Path) -> tuple[int, ...]:
    shape = spec.get("shape")
    if not isinstance(shape, list) or not shape or any(type(size) is not int or size < 1 for size in shape):
        raise FormatError(f"{where}: feature '{key}' has the shape {shape!r}; expected positive whole numbers")
    return tuple(shape)


def _columns(key: str, spec: dict[str, Any], shape: tuple[int, ...], where: Path) -> tuple[Column, ...]:
    """The columns of a feature: as an export of ours states them, else from the names."""
    width = math.prod(shape)
    if "columns" in spec:
        try:
            table = ColumnTable.from_json(json.dumps(spec["columns"]), f"{where}: feature '{key}'")
        except ControlError as error:
            raise FormatError(str(error)) from error
        if len(table) != width:
            raise FormatError(f"{where}: feature '{key}' has {width} numbers and describes {len(table)}; mend either")
        return table.columns
    if width > 4096:
        raise FormatError(f"{where}: feature '{key}' has {width} numbers a row, which are no columns; take it out")
    role = "commanded" if _part(key) == "controls" else "measured"
    kind, low, high = "continuous", None, None
    if spec["dtype"] == "bool":
        kind, low, high = "event", 0.0, 1.0
    elif spec["dtype"].startswith(("int", "uint")):
        kind = "integer"
    return tuple(Column(name, _units(name), low, high, kind=kind, role=role) for name in _names(key, spec, shape))


def _names(key: str, spec: dict[str, Any], shape: tuple[int, ...]) -> list[str]:
    """Names of the numbers in a row: those stated if they are one each, else the feature's with their places."""
    stated = spec.get("names")
    if isinstance(stated, dict) and stated and all(type(place) is int for place in stated.values()):
        stated = sorted(stated, key=stated.__getitem__)  # {"throttle": 0, "brake": 1}
    elif isinstance(stated, dict):  # {"axes": ["speed", "heading"]}
        stated = [name for names in stated.values() for name in (names if isinstance(names, list) else [names])]
    width, short = math.prod(shape), key.rpartition(".")[2]
    if isinstance(stated, list) and len(stated) == width == len({str(name) for name in stated if name}):
        return [str(name) for name in stated]
    if width == 1:
        return [short]
    return ["_".join((short, *map(str, place))) for place in np.ndindex(*shape)]


def _units(name: str) -> str:
    return next((units for ending, units in UNITS.items() if name.endswith(ending)), "1")


def numbers(column: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    """A feature of some rows : (row, number) float64; int64 where float64 cannot hold the integers. NaN where null.

    Raises FormatError unless each row has `shape`.
    """
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    rows = len(flat)
    for size in shape:
        if _is_list(flat.type):
            lengths = pc.list_value_length(flat)
            if lengths.null_count or (len(lengths) and set(pc.unique(lengths).to_pylist()) != {size}):
                raise FormatError(f"{where}: not {shape} numbers in each row; the file is damaged: copy it anew")
            flat = flat.flatten()
        elif size != 1:
            raise FormatError(f"{where}: {flat.type} where {shape} numbers a row were promised; copy it anew")
    if pa.types.is_boolean(flat.type):
        flat = flat.cast(pa.uint8())
    if not (pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type)):
        raise FormatError(f"{where}: {flat.type}, which are no numbers; copy it anew, or mend info.json")
    values = flat.to_numpy(zero_copy_only=False).reshape(rows, -1)
    if values.dtype.kind in "iu" and values.size and (values.max() > EXACT or values.min() < -EXACT):
        return values.astype(np.int64)
    return values.astype(np.float64)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def words(column: Any, where: str) -> list[str | None]:
    """A feature of words : (row,); None where it is unknown. Raises FormatError for what is no text."""
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if _is_list(flat.type) and set(pc.unique(pc.list_value_length(flat)).to_pylist()) <= {1}:
        flat = flat.flatten()
    if not (pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type) or pa.types.is_null(flat.type)):
        raise FormatError(f"{where}: {flat.type} where words were promised; copy it anew, or mend info.json")
    return [None if word is None or word in UNKNOWN else word for word in flat.to_pylist()]


class Gathered:
    """The words of one feature, gathered over the whole data set, so that all episodes have the same levels."""

    def __init__(self, key: str, name: str) -> None:
        self.key, self.name, self.constant = key, name, True
        self._levels: set[str] = set()

    def add(self, values: Iterable[str | None]) -> None:
        """The words of one episode."""
        here = set(values)
        self.constant &= len(here) <= 1
        if len(self._levels) <= MOST_LEVELS:
            self._levels |= here - {None}  # type: ignore[arg-type]

    def words(self) -> Words:
        few = 0 < len(self._levels) <= MOST_LEVELS
        return Words(self.key, self.name, tuple(sorted(self._levels)) if few else None, self.constant)


def codes(values: list[str | None], levels: tuple[str, ...]) -> np.ndarray:
    """Words as the numbers of their levels : (row,) float64, NaN where unknown."""
    places = {level: float(place) for place, level in enumerate(levels)}
    return np.array([math.nan if word is None else places[word] for word in values])
