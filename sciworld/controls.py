"""What each column is: its name, units, bounds, kind and role; and the space in which controls are searched."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciworld import config
from sciworld.errors import ControlError, SettingsError

KINDS = ("continuous", "angle", "integer", "categorical", "event")
UNTOLD = ("quality", "provenance")  # what conditions no model
ROLES = ("commanded", "measured", "inferred", *UNTOLD)
HOLDS = ("hold", "impulse", "mean")
ACTS = ("between", "during", "both")
AXES = ("", "x", "y", "z")
FRAMES = ("", "lab", "pixel")
COLOURS = ("red", "green", "blue")
EXACT = 2**53  # whole numbers up to this are exact as float64, the dtype of columns


@dataclass(frozen=True)
class Column:
    """One row of a column table: what a channel, control, state feature, reward or covariate is.

    Parameters
    ----------
    name : what the column is called, unique in its table.
    units : a unit as scientists write it ("A", "s", "rad", "counts"); "1" if it has none, never empty.
    low, high : bounds in `units`; None where there is none.
    rate_limit : largest change per second, in `units` per second; None where there is none.
    kind : continuous | angle | integer | categorical | event.
    levels : the names of the values 0, 1, ... of a categorical column.
    role : commanded | measured | inferred; quality, of what ingest measured of a recording, and
        provenance, of what it was made of, which condition no model.
    hold : hold | impulse | mean: how the value stands for the time over which it acts.
    acts : between | during | both: between the exposures t and t+1, during exposure t, or both.
    group : columns of one vector or position share a group name.
    axis : the axis ("x", "y", "z") that this component of a position lies along; empty for a scalar.
    frame : the frame of a position, "lab" or "pixel"; empty for a scalar.
    """

    name: str
    units: str
    low: float | None = None
    high: float | None = None
    rate_limit: float | None = None
    kind: str = "continuous"
    levels: tuple[str, ...] = ()
    role: str = "commanded"
    hold: str = "hold"
    acts: str = "between"
    group: str = ""
    axis: str = ""
    frame: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ControlError(f"a column has the name {self.name!r}; give it a non-empty string")
        where = f"column '{self.name}'"
        if not isinstance(self.units, str) or not self.units:
            raise ControlError(f"{where} has no units; set them, e.g. 'A', 's', 'rad', or '1' if it has none")
        for field, allowed in (
            ("kind", KINDS),
            ("role", ROLES),
            ("hold", HOLDS),
            ("acts", ACTS),
            ("axis", AXES),
            ("frame", FRAMES),
        ):
            if getattr(self, field) not in allowed:
                known = ", ".join(repr(value) for value in allowed)
                raise ControlError(f"{where}: {field} is {getattr(self, field)!r}; use one of {known}")
        for field in ("low", "high", "rate_limit"):
            value = getattr(self, field)
            if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
                raise ControlError(f"{where}: {field} is {value!r}; use a finite number, or None for no bound")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ControlError(f"{where}: low {self.low} is above high {self.high}; swap them")
        if self.rate_limit is not None and self.rate_limit <= 0:
            raise ControlError(f"{where}: rate_limit is {self.rate_limit}; it must be positive, or None")
        if (self.kind == "categorical") != bool(self.levels):
            raise ControlError(f"{where}: a categorical column, and no other, names its levels; got {self.levels!r}")
        if len(set(self.levels)) != len(self.levels):
            raise ControlError(f"{where}: levels {self.levels!r} repeat a name")
        if bool(self.axis) != bool(self.frame) or (self.axis and not self.group):
            raise ControlError(f"{where}: a position component needs axis, frame ('lab' or 'pixel') and group together")

    @property
    def label(self) -> str:
        """Its name, and its units where it has any, as axes are labelled."""
        return self.name if self.units == "1" else f"{self.name} ({self.units})"

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers: levels, counts, or something that happens or does not."""
        return self.kind in ("integer", "categorical", "event")

    @property
    def is_position(self) -> bool:
        """Whether the column is one coordinate of a position."""
        return bool(self.axis)


@dataclass(frozen=True)
class ColumnTable:
    """An ordered set of columns with unique names; the JSON of it is what recordings carry."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        names = [column.name for column in self.columns]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ControlError(f"columns {', '.join(repeated)} appear more than once; rename them")
        for group in {column.group for column in self.columns if column.is_position}:
            members = [column for column in self.columns if column.group == group]
            axes = sorted(member.axis for member in members)
            if axes not in (["x", "y"], ["x", "y", "z"]):
                raise ControlError(f"position '{group}' has axes {axes}; it needs x and y (and perhaps z), once each")
            if len({(member.units, member.frame) for member in members}) > 1:
                raise ControlError(f"position '{group}': its components differ in units or frame; make them the same")

    def __len__(self) -> int:
        return len(self.columns)

    def in_line(self, most: int = 4) -> str:
        """The first columns with their units, and how many more there are."""
        names = [column.label for column in self]
        return (", ".join(names[:most]) or "none") + (f" and {len(names) - most} more" if len(names) > most else "")

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __getitem__(self, name: str) -> Column:
        return self.columns[self.index(name)]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names in order."""
        return tuple(column.name for column in self.columns)

    def index(self, name: str) -> int:
        """Where the column called `name` stands. Raises ControlError if there is none."""
        try:
            return self.names.index(name)
        except ValueError:
            raise ControlError(f"no column '{name}'; there are {', '.join(self.names) or 'none'}") from None

    def positions(self) -> dict[str, tuple[int, int]]:
        """Each position's group name, with the indices of its x and y columns."""
        found: dict[str, dict[str, int]] = {}
        for index, column in enumerate(self.columns):
            if column.is_position:
                found.setdefault(column.group, {})[column.axis] = index
        return {group: (axes["x"], axes["y"]) for group, axes in found.items()}

    def unbounded(self) -> ColumnTable:
        """The table without bounds and rate limits."""
        return ColumnTable(tuple(dataclasses.replace(c, low=None, high=None, rate_limit=None) for c in self))

    def widened(self, other: ColumnTable) -> ColumnTable:
        """The table with bounds that hold those of both, which otherwise are the same. Raises ControlError."""
        if self.unbounded().columns != other.unbounded().columns:
            raise ControlError(f"columns {', '.join(self.names)} and {', '.join(other.names)} are not the same")

        def widest(name: str, pick: Callable[..., float], one: Column, two: Column) -> float | None:
            values = (getattr(one, name), getattr(two, name))
            return None if None in values else pick(*values)

        return ColumnTable(
            tuple(
                dataclasses.replace(
                    one,
                    low=widest("low", min, one, two),
                    high=widest("high", max, one, two),
                    rate_limit=widest("rate_limit", max, one, two),
                )
                for one, two in zip(self, other, strict=True)
            )
        )

    def encoded(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (..., column) as numbers that may be added up (..., number), and of which column each is (number,).

        A category becomes one number a level, 1 for its own and 0 for others; an angle its sine and cosine; others stay
        what they are. NaN stays NaN.
        """
        parts, owner = [], []
        for place, column in enumerate(self.columns):
            value = values[..., place : place + 1]
            if column.kind == "categorical":
                value = np.where(np.isnan(value), np.nan, value == np.arange(len(column.levels)))
            elif column.kind == "angle":
                turn = np.deg2rad(value) if column.units == "deg" else value
                value = np.concatenate([np.sin(turn), np.cos(turn)], axis=-1)
            parts.append(value)
            owner += [place] * value.shape[-1]
        return np.concatenate([values[..., :0], *parts], axis=-1), np.array(owner, dtype=np.int64)

    def to_json(self) -> str:
        """The table as JSON: a list of objects that leave out fields at their defaults."""
        defaults = {f.name: f.default for f in dataclasses.fields(Column)}
        rows = []
        for column in self.columns:
            fields = dataclasses.asdict(column)
            rows.append({name: value for name, value in fields.items() if value != defaults[name]})
        return json.dumps(rows)

    @classmethod
    def from_json(cls, text: str, where: str = "column table") -> ColumnTable:
        """Read what `to_json` wrote. Raises ControlError, naming `where`, for anything else."""
        try:
            rows: Any = json.loads(text)
        except (TypeError, ValueError) as error:
            raise ControlError(f"{where}: not JSON ({error}); write it with ColumnTable.to_json") from error
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ControlError(f"{where}: not a list of columns; write it with ColumnTable.to_json")
        try:
            return cls(tuple(config.from_dict(Column, row, where) for row in rows))
        except SettingsError as error:
            raise ControlError(str(error)) from error


def colours(n: int) -> ColumnTable:
    """The n channels of a picture: 3 are red, green and blue, 1 is grey, any other number is only numbered."""
    names = {1: ("grey",), 3: COLOURS}.get(n) or tuple(f"channel_{k}" for k in range(n))
    return ColumnTable(tuple(Column(name, "counts", role="measured") for name in names))


@dataclass(frozen=True)
class ControlSpace:
    """The space in which controls are recorded, searched and replayed.

    Parameters
    ----------
    table : the columns, in the order of the last axis of every `controls` array; those that are searched or sampled
        need low and high (categorical columns have theirs from their levels).
    """

    table: ColumnTable

    def __len__(self) -> int:
        return len(self.table)

    @property
    def names(self) -> tuple[str, ...]:
        """The controls' names in order."""
        return self.table.names

    @property
    def low(self) -> np.ndarray:
        """Lower bounds : (control,) float64; -inf where there is none."""
        lows = [0.0 if c.kind == "categorical" else -np.inf if c.low is None else c.low for c in self.table]
        return np.array(lows, dtype=np.float64)

    @property
    def high(self) -> np.ndarray:
        """Upper bounds : (control,) float64; inf where there is none."""
        ends = [len(c.levels) - 1.0 if c.kind == "categorical" else c.high for c in self.table]
        return np.array([np.inf if end is None else end for end in ends], dtype=np.float64)

    def require_bounds(self, *limits: np.ndarray) -> None:
        """Raise ControlError that names the first control without a bound among the limits : (..., control)."""
        for limit in limits:
            odd = np.argwhere(np.isinf(limit))
            if len(odd):
                name = self.names[odd[0, -1]]
                raise ControlError(f"control '{name}' has no bounds; one that is searched needs low and high")

    def clip(self, controls: np.ndarray) -> np.ndarray:
        """A copy of controls : (..., control) moved into the bounds, categories to a level; NaN stays NaN."""
        found = np.clip(np.asarray(controls), self.low, self.high)
        levels = np.array([column.kind == "categorical" for column in self.table], dtype=bool)
        return np.where(levels, np.round(found), found)

    def check(self, controls: np.ndarray, where: str = "controls") -> np.ndarray:
        """Return controls : (..., control), or raise ControlError that names the column, the value and the bound."""
        controls = np.asarray(controls)
        if controls.ndim == 0 or controls.shape[-1] != len(self):
            names = ", ".join(self.names)
            raise ControlError(f"{where}: shape {controls.shape}; the last axis must hold {len(self)}: {names}")
        if not np.issubdtype(controls.dtype, np.number) or np.issubdtype(controls.dtype, np.complexfloating):
            raise ControlError(f"{where}: dtype {controls.dtype}; use real numbers")
        for index, column in enumerate(self.table):
            values = controls[..., index]
            if np.isnan(values).any():
                raise ControlError(f"{where}: '{column.name}' is NaN (unknown); an explicit 0 means off")
            # Half a float32 ulp of slack: a bound that was cast to float32 is still inside.
            stated = [abs(bound) for bound in (self.low[index], self.high[index]) if np.isfinite(bound)]
            slack = 1e-6 * max([*stated, 1e-30])
            bad = (values < self.low[index] - slack) | (values > self.high[index] + slack) | np.isinf(values)
            if column.kind == "categorical" and (between := values != np.round(values)).any():
                raise ControlError(
                    f"{where}: '{column.name}' is {values[between].flat[0]:g}, between two of its levels; "
                    f"give the number of one of {', '.join(column.levels)}"
                )
            if bad.any():
                worst = values[bad].flat[0]
                raise ControlError(
                    f"{where}: '{column.name}' is {worst:g} {column.units}, outside [{self.low[index]:g}, "
                    f"{self.high[index]:g}] {column.units}; move it inside, or clip it with space.clip"
                )
        return controls

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Uniform controls : (*shape, control) float64, whole numbers where the kind says so.

        Raises ControlError where a control has no bounds.
        """
        self.require_bounds(self.low, self.high)
        values = rng.uniform(self.low, self.high, (*shape, len(self)))
        for index, column in enumerate(self.table):
            if column.kind in ("integer", "categorical", "event"):
                low, high = int(np.ceil(self.low[index])), int(np.floor(self.high[index]))
                values[..., index] = rng.integers(low, high, shape, endpoint=True)
        return values

    def require_same(self, other: ControlSpace, where: str = "controls") -> None:
        """Raise ControlError that names the first difference in names, order, units or kinds."""
        if self.names != other.names:
            expected, got = (", ".join(names) or "none" for names in (self.names, other.names))
            raise ControlError(f"{where}: controls are {got}; expected {expected}, in this order")
        for mine, theirs in zip(self.table, other.table, strict=True):
            for field in ("units", "kind", "levels", "frame", "axis", "acts"):
                expected, got = getattr(mine, field), getattr(theirs, field)
                if expected != got:
                    raise ControlError(f"{where}: '{mine.name}' has {field} {got!r}; expected {expected!r}")
