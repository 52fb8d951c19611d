"""What a sweep runs over: every combination of listed values, or samples drawn from ranges.

A space has named dimensions and one cell at each index. A cell is known by a hash of its arguments, so that it keeps
its name, and its seed, when the space is extended.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from sciworld.config import LARGEST, require, whole
from sciworld.controls import EXACT
from sciworld.errors import SettingsError

Value = bool | int | float | str
RESERVED = ("status", "seconds", "row_crc32", "traceback", "cell", "sweep")  # what a table calls its own


@dataclass(frozen=True)
class Cell:
    """One call: `arguments` by name, at `index` of the space, known as `id`; `seed`, below 2**62, is its own."""

    id: str
    index: tuple[int, ...]
    arguments: dict[str, Value]
    seed: int


@dataclass(frozen=True)
class Grid:
    """Every combination of the listed values, each parameter a dimension; the last runs fastest.

    Parameters
    ----------
    values : parameter -> its values, in order, all numbers, all strings, or all bools; none twice.
    """

    values: Mapping[str, Sequence[Value]]

    def __post_init__(self) -> None:
        require(isinstance(self.values, Mapping) and bool(self.values), "a grid needs parameters, each with values")
        checked = {}
        for name, values in self.values.items():
            _check_name(name)
            require(
                not isinstance(values, str) and isinstance(values, Sequence | np.ndarray | range),
                f"parameter '{name}' is {values!r:.40}; give a list of values",
            )
            plain = tuple(_plain(name, value) for value in values)
            kinds = {"number" if type(value) in (int, float) else type(value).__name__ for value in plain}
            require(bool(plain), f"parameter '{name}' has no values; give at least one")
            require(len(kinds) == 1, f"parameter '{name}' mixes {' and '.join(sorted(kinds))}; use values of one kind")
            require(len(set(plain)) == len(plain), f"parameter '{name}' has a value twice; list each once")
            if len({type(value) for value in plain}) > 1:  # the coordinate is float64
                exact = all(type(value) is not int or int(float(value)) == value for value in plain)
                require(exact, f"parameter '{name}' mixes floats with an integer that no float64 holds")
            checked[name] = plain
        object.__setattr__(self, "values", checked)

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(map(len, self.values.values()))

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters."""
        return tuple(self.values)

    def cells(self, seed: int) -> Iterator[Cell]:
        """All cells in the order of their index; `seed` is the sweep's."""
        for index in itertools.product(*map(range, self.shape)):
            arguments = {name: self.values[name][i] for name, i in zip(self.values, index, strict=True)}
            yield _cell(index, arguments, arguments, seed)

    def coordinates(self) -> dict[str, tuple[tuple[str, ...], tuple[Value, ...]]]:
        """Coordinate -> its dimensions and values."""
        return {name: ((name,), tuple(values)) for name, values in self.values.items()}

    def extending(self, old: Space) -> Grid:
        """The space that holds the cells of `old` at their places, and those of this one. Raises SettingsError."""
        if not isinstance(old, Grid):
            raise SettingsError("the folder's space is made of samples, this one is a grid")
        wrong = _differences("parameter", set(old.values), set(self.values))
        kept = {}
        for name in old.values:
            before, now = tuple(old.values[name]), tuple(self.values.get(name, ()))
            known, wanted = set(map(_exact, before)), set(map(_exact, now))
            gone = [value for value in before if _exact(value) not in wanted]
            if gone and name in self.values:
                wrong.append(f"the folder's '{name}' has {_listed(gone)}, this space has not")
            kept[name] = (*before, *(value for value in now if _exact(value) not in known))
        if wrong:
            raise SettingsError("; ".join(wrong))
        return Grid(kept)

    def places(self, stored: Space) -> dict[str, list[int]]:
        """Dimension -> where this space's values are in `stored`, which extends it."""
        return {name: [list(stored.values[name]).index(v) for v in self.values[name]] for name in self.dims}  # type: ignore[union-attr]

    def to_json(self) -> str:
        return json.dumps({"grid": {name: list(values) for name, values in self.values.items()}})


@dataclass(frozen=True)
class Range:
    """What a sampled parameter is drawn from: low to high, uniform in the value or, if `log`, in its logarithm.

    integer : whole numbers, both bounds among them.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        require(
            all(type(value) in (int, float) and math.isfinite(value) for value in (self.low, self.high)),
            f"the range {self.low!r} to {self.high!r} needs two finite numbers",
        )
        require(self.low < self.high, f"the range {self.low} to {self.high} is empty; low must be below high")
        require(not self.log or self.low > 0, f"a logarithmic range begins above 0, not at {self.low}")
        require(
            not self.integer or (float(self.low).is_integer() and float(self.high).is_integer()),
            f"the range {self.low} to {self.high} is of integers; so must its bounds be",
        )
        require(not self.integer or max(-self.low, self.high) <= EXACT, "integers are drawn up to 2**53")

    def at(self, share: float) -> Value:
        """The value below which `share` of the draws fall; share in [0, 1)."""
        low, high = (self.low, self.high + 1) if self.integer else (self.low, self.high)
        value = low * (high / low) ** share if self.log else low + (high - low) * share
        return min(math.floor(value), int(self.high)) if self.integer else float(min(value, self.high))


@dataclass(frozen=True)
class Samples:
    """`n` draws of all parameters at once, along one dimension `cell`.

    Parameters
    ----------
    ranges : parameter -> Range, or (low, high).
    method : random, each cell by itself, so that n can grow; latin, the n cells spread over n equal parts of every
        range (McKay, Beckman and Conover 1979, Technometrics 21, 239).
    seed : of the draws.
    """

    n: int
    ranges: Mapping[str, Range | tuple[float, float]]
    method: str = "random"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", whole(self.n, "n", 1))
        object.__setattr__(self, "seed", whole(self.seed, "seed", 0, LARGEST))
        require(self.method in ("random", "latin"), f"method is {self.method!r}; use random or latin")
        require(isinstance(self.ranges, Mapping) and bool(self.ranges), "samples need parameters, each with a range")
        checked = {}
        for name, given in self.ranges.items():
            _check_name(name)
            if not isinstance(given, Range):
                pair = isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2
                require(pair, f"parameter '{name}' is {given!r:.40}; give (low, high) or a Range")
                given = Range(*given)
            checked[name] = given
        object.__setattr__(self, "ranges", checked)

    @property
    def dims(self) -> tuple[str, ...]:
        return ("cell",)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.n,)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters."""
        return tuple(self.ranges)

    def cells(self, seed: int) -> Iterator[Cell]:
        """All cells in the order of their index; `seed` is the sweep's."""
        ranges = cast(dict[str, Range], self.ranges)
        for i, row in enumerate(self._shares()):
            arguments = {name: span.at(share) for (name, span), share in zip(ranges.items(), row, strict=True)}
            # Draws of integers may repeat: a cell is told apart by its number too.
            yield _cell((i,), arguments, {**arguments, "cell": i}, seed)

    def coordinates(self) -> dict[str, tuple[tuple[str, ...], tuple[Value, ...]]]:
        """Coordinate -> its dimensions and values."""
        drawn = [cell.arguments for cell in self.cells(0)]
        columns = {name: (("cell",), tuple(row[name] for row in drawn)) for name in self.names}
        return {"cell": (("cell",), tuple(range(self.n))), **columns}

    def extending(self, old: Space) -> Samples:
        """The space that holds the cells of `old` at their places, and those of this one. Raises SettingsError."""
        if not isinstance(old, Samples):
            raise SettingsError("the folder's space is a grid, this one is made of samples")
        wrong = _differences("parameter", set(old.ranges), set(self.ranges))
        pairs: dict[str, tuple[object, object]] = {"method": (old.method, self.method), "seed": (old.seed, self.seed)}
        pairs |= {f"the range of '{name}'": (span, self.ranges.get(name)) for name, span in old.ranges.items()}
        wrong += [f"{what} was {a}, is {b}" for what, (a, b) in pairs.items() if a != b and b is not None]
        if self.n < old.n or (self.n != old.n and self.method != "random"):
            wrong.append(f"n was {old.n}, is {self.n} (random samples can grow, nothing else)")
        if tuple(old.ranges) != tuple(self.ranges) and not wrong:
            wrong.append("the parameters are in another order, which draws others")
        if wrong:
            raise SettingsError("; ".join(wrong))
        return self

    def places(self, stored: Space) -> dict[str, list[int]]:
        """Dimension -> where this space's cells are in `stored`, which extends it."""
        return {"cell": list(range(self.n))}

    def to_json(self) -> str:
        ranges = {
            name: [span.low, span.high, span.log, span.integer]
            for name, span in cast(dict[str, Range], self.ranges).items()
        }
        return json.dumps({"samples": {"n": self.n, "ranges": ranges, "method": self.method, "seed": self.seed}})

    def _shares(self) -> Iterator[np.ndarray]:
        """(parameter,) in [0, 1), one a cell."""
        count = len(self.ranges)
        if self.method == "random":
            for i in range(self.n):  # a generator of its own each: cell i is the same whatever n is
                yield np.random.default_rng([self.seed, i]).random(count)
            return
        rng = np.random.default_rng(self.seed)
        strata = np.stack([rng.permutation(self.n) for _ in range(count)], axis=1)
        yield from (strata + rng.random((self.n, count))) / self.n


Space = Grid | Samples


def from_json(text: str) -> Space:
    """The space that wrote `text`. Raises SettingsError; ValueError, KeyError or TypeError for damaged text."""
    [(kind, fields)] = json.loads(text).items()
    if kind == "grid":
        return Grid(fields)
    ranges = {name: Range(*span) for name, span in fields["ranges"].items()}
    return Samples(fields["n"], ranges, fields["method"], fields["seed"])


def _exact(value: Value) -> str:
    """What tells a value from all others, as a cell's id does: for Python True, 1 and 1.0 are the same."""
    return json.dumps(value)


def _cell(index: tuple[int, ...], arguments: dict[str, Value], key: dict[str, Value], seed: int) -> Cell:
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    own = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return Cell(name, index, arguments, int.from_bytes(own[:8], "big") >> 2)


def _check_name(name: object) -> None:
    require(isinstance(name, str) and name.isidentifier(), f"{name!r} is no parameter's name; use one of Python")
    require(name not in RESERVED, f"a parameter cannot be called '{name}': the table has that; use another name")


def _plain(name: str, value: Any) -> Value:
    """A value as Python's own, which JSON keeps exactly. Raises SettingsError."""
    plain = value.item() if isinstance(value, np.generic) else value
    require(
        type(plain) in (bool, int, float, str),
        f"parameter '{name}' has {plain!r:.40}; use numbers, strings or bools (a file: its path as a string)",
    )
    require(type(plain) is not float or math.isfinite(plain), f"parameter '{name}' has {plain}; use finite numbers")
    cut = isinstance(plain, str) and plain.endswith("\0")  # by NumPy's strings, which are the coordinate's
    require(not cut, f"parameter '{name}' has {plain!r:.40}; a table loses a NUL at the end: end it otherwise")
    require(type(plain) is not int or abs(plain) <= LARGEST, f"parameter '{name}' has {plain}; use less than 2**63")
    return cast(Value, plain)


def _differences(what: str, old: set[str], new: set[str]) -> list[str]:
    wrong = [f"the folder has the {what} '{name}', this space has not" for name in sorted(old - new)]
    return wrong + [f"this space has the {what} '{name}', the folder has not" for name in sorted(new - old)]


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(repr, values[:5])) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
