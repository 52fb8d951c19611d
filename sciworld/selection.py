"""Recordings of a store chosen by their facts: a view, without copying.

A query is an expression over the facts of each recording:

    quality_static < 0.5 and 0.01 <= viscosity < 0.1 and session != 'run7' and weather in ['rain', 'snow']

It has names, numbers, texts, comparisons, `in` lists, `and`, `or`, `not` and + - * /, and nothing else: it is never
run as Python. Comparing what is unknown is false, whatever it is compared with. In a name _ stands for what no name
may have, after the normal form NFKC that Python gives names: "jet velocity" is jet_velocity, "2θ" is _2θ. A name that
two facts share is refused; a function of a recording's facts has them by their own names.
"""

from __future__ import annotations

import ast
import keyword
import operator
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sciworld.config import LARGEST, MOST, numbers_of, shares_of, whole
from sciworld.controls import ColumnTable
from sciworld.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from sciworld.parts import Part
    from sciworld.store import Store

Query = str | Callable[[dict[str, Any]], bool]

MAX_TEXT, MAX_DEPTH = 10_000, 40
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
COMPUTE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
# What every recording has beside its covariates; a covariate of such a name, or of one that begins with covariate_, is
# called covariate_<name>: no two facts have one name.
OWN = ("index", "part", "session", "source", "licence", "frames", "seconds", "height", "width", "channels", "dtype")
IMAGINED = "imagined from "  # what the source of a recording begins with that a model imagined
OWN_TEXTS = ("part", "session", "source", "licence", "dtype")


class Selection:
    """Some recordings of a store, by number: what a store gives, of these alone.

    Parameters
    ----------
    store : where they are. indices : (recording,) int64, which of the store's they are, in this order.

    Raises SettingsError if the store has no such recordings.
    """

    def __init__(self, store: Store, indices: np.ndarray) -> None:
        self.store = store
        self.indices = numbers_of(indices, "selection: indices", len(store.sessions())).copy()
        self.indices.setflags(write=False)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> xr.Dataset:
        return self.store[self._own(index)]

    def lazily(self, index: int) -> xr.Dataset:
        """`selection[index]`, of which only the frames are not read until they are used; in any process."""
        return self.store.lazily(self._own(index))

    def _own(self, index: int) -> int:
        """The store's number of a recording. Raises IndexError."""
        whole(index, "selection: index", -MOST)
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.store.path}: recording {index} of the {len(self)} that were selected")
        return int(self.indices[index])

    def __iter__(self) -> Iterator[xr.Dataset]:
        return (self.store[int(index)] for index in self.indices)

    def facts(self) -> xr.Dataset:
        """What is known of each recording, along `recording`; see `facts_table`."""
        return facts_table(facts_of(self.store.parts)).isel(recording=self.indices)

    def select(self, query: Query) -> Selection:
        """Those of these recordings that answer to `query`; see `chosen`."""
        facts = {name: values[self.indices] for name, values in facts_of(self.store.parts).items()}
        return Selection(self.store, self.indices[chosen(facts, query)])

    def sessions(self) -> list[str]:
        """The session of each recording."""
        every = self.store.sessions()
        return [every[index] for index in self.indices]

    def sources(self) -> list[str]:
        """Where each recording came from."""
        every = self.store.sources()
        return [every[index] for index in self.indices]

    def split(self, fractions: Sequence[float], seed: int) -> list[Selection]:
        """A selection for each fraction of the sessions; no session is in two of them. See `split_sessions`."""
        found = split_sessions(self.sessions(), fractions, seed, self.store.path)
        return [Selection(self.store, self.indices[numbers]) for numbers in found]

    def __repr__(self) -> str:
        return f"Selection of {len(self)} recordings of {self.store!r}"


def within(source: Store | Selection, recordings: Any = None) -> tuple[Store, Any]:
    """The store of `source`, and which of its recordings are meant; None is all of them.

    recordings : numbers within `source`. Raises SettingsError if it has no such numbers.
    """
    numbers = None if recordings is None else numbers_of(recordings, "windows: recordings", len(source))
    if not isinstance(source, Selection):
        return source, numbers
    return source.store, source.indices if numbers is None else source.indices[numbers]


def split_sessions(
    sessions: Sequence[str], fractions: Sequence[float], seed: int, where: str | PathLike[str]
) -> list[np.ndarray]:
    """Indices of recordings, (recording,) int64 for each fraction of the sessions; no session is in two of them.

    sessions : of each recording. Raises SettingsError if the fractions are not positive with a sum of at most 1,
    StoreError naming `where` if there are fewer sessions than fractions.
    """
    cure = "use positive numbers with a sum of at most 1"
    fractions = shares_of(fractions, "fractions", cure)
    if not fractions or sum(fractions) > 1 + 1e-9:
        raise SettingsError(f"fractions are {fractions}; {cure}")
    names = np.random.default_rng(whole(seed, "seed", 0, LARGEST)).permutation(np.unique(np.array(sessions)))
    if len(names) < len(fractions):
        raise StoreError(f"{where}: {len(names)} sessions for {len(fractions)} splits; record more, or split less")
    cuts = np.round(np.cumsum(fractions) * len(names)).astype(int)
    for index in range(len(cuts)):  # at least one session each
        cuts[index] = max(cuts[index], (cuts[index - 1] if index else 0) + 1)
    for index in reversed(range(len(cuts))):
        cuts[index] = min(cuts[index], len(names) - (len(cuts) - 1 - index))
    groups = np.split(names, cuts)[: len(fractions)]
    return [np.flatnonzero(np.isin(np.array(sessions), group)) for group in groups]


def facts_of(parts: Sequence[Part]) -> dict[str, np.ndarray]:
    """What is known of each recording of some parts : (recording,) for each fact.

    The facts in OWN, `seconds` being from the first frame to the last, and every covariate by its name. Numbers, NaN
    where they are unknown; of a categorical covariate the level's text, None where it is unknown. Raises StoreError.
    """
    begins = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    several = [_facts_of_part(part, begin) for part, begin in zip(parts, begins, strict=False)]
    if not several:
        return {name: np.empty(0, dtype=object if name in OWN_TEXTS else np.float64) for name in OWN}
    names = dict.fromkeys(name for facts in several for name in facts)
    unknown = [np.full(len(facts["index"]), np.nan) for facts in several]
    return {
        name: _joined([facts.get(name, none) for facts, none in zip(several, unknown, strict=True)]) for name in names
    }


def facts_table(facts: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Facts as a Dataset along `recording`, to look at; an unknown text is empty."""
    columns = {
        name: np.array(["" if value is None else value for value in values], dtype=str)
        if values.dtype == object
        else values
        for name, values in facts.items()
    }
    return xr.Dataset({name: ("recording", values) for name, values in columns.items()})


def chosen(facts: Mapping[str, np.ndarray], query: Query) -> np.ndarray:
    """Which recordings answer to `query` : (recording,) bool.

    facts : as `facts_of` gives them. query : an expression, as this module says; or a function of the facts of one
    recording, by name. Raises SettingsError for what is no such expression, names no fact, or compares texts with
    numbers.
    """
    count = len(facts["index"])
    if not isinstance(query, str):
        if not callable(query):
            raise SettingsError(f"select: the query is {query!r}; give a text, or a function of a recording's facts")
        rows = ({name: values[row] for name, values in facts.items()} for row in range(count))
        return np.fromiter((bool(query(row)) for row in rows), dtype=bool, count=count)
    if len(query) > MAX_TEXT:
        raise SettingsError(f"select: a query of {len(query)} characters; give at most {MAX_TEXT}, or a function")
    try:
        tree = ast.parse(query.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SettingsError(f"select: {query[:200]!r} is no expression ({error}); mend it") from error
    with np.errstate(all="ignore"):
        return _Reading(facts, count).truth(tree.body, 0)


class _Reading:
    """Evaluates an expression for all recordings at once: truths are bool, numbers float64, texts object arrays."""

    def __init__(self, columns: Mapping[str, np.ndarray], count: int) -> None:
        self._columns, self._count = columns, count
        self._facts: dict[str, list[str]] = {}  # by name
        for fact in columns:
            self._facts.setdefault(_name(fact), []).append(fact)
        self._names = ", ".join(sorted(self._facts))

    def truth(self, node: ast.expr, depth: int) -> np.ndarray:
        """A comparison, or several joined by and, or, not : (recording,) bool."""
        self._require_shallow(depth)
        if isinstance(node, ast.BoolOp):
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            result: np.ndarray = join.reduce([self.truth(value, depth + 1) for value in node.values])
            return result
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.truth(node.operand, depth + 1)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = zip(sides[:-1], node.ops, sides[1:], strict=True)
            return np.logical_and.reduce([self._compared(*pair, depth + 1) for pair in pairs])
        raise SettingsError(f"select: '{_text(node)}' is no comparison; write e.g. 'frames >= 100'")

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr, depth: int) -> np.ndarray:
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set):
                raise SettingsError(f"select: '{_text(right)}' is no list; write e.g. \"session in ['a', 'b']\"")
            value = self._value(left, depth)
            found = np.zeros(self._count, dtype=bool)
            for item in right.elts:
                found |= self._related(operator.eq, left, value, item, self._value(item, depth))
            return found if isinstance(op, ast.In) else _known(value) & ~found
        if type(op) not in COMPARE:
            raise SettingsError("select: 'is' is no comparison here; use ==, != or in")
        return self._related(COMPARE[type(op)], left, self._value(left, depth), right, self._value(right, depth))

    def _related(
        self, how: Callable[[Any, Any], Any], left: ast.expr, one: np.ndarray, right: ast.expr, two: np.ndarray
    ) -> np.ndarray:
        if one.dtype != two.dtype:
            text, number = (left, right) if one.dtype == object else (right, left)
            raise SettingsError(
                f"select: '{_text(text)}' is a text, '{_text(number)}' a number; compare like with like"
            )
        known = _known(one) & _known(two)
        found = np.zeros(self._count, dtype=bool)
        found[known] = how(one[known], two[known])
        return found

    def _value(self, node: ast.expr, depth: int) -> np.ndarray:
        """A fact, a constant, or what is computed : (recording,) float64 or object."""
        self._require_shallow(depth)
        if isinstance(node, ast.Name):
            values = self._columns[self._fact(node.id)]
            return values if values.dtype == object else values.astype(np.float64)
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, int | float | str)
            and not isinstance(node.value, bool)
        ):
            return self._constant(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            value = self._number(node.operand, depth + 1)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.BinOp) and type(node.op) in COMPUTE:
            one, two = self._number(node.left, depth + 1), self._number(node.right, depth + 1)
            result: np.ndarray = COMPUTE[type(node.op)](one, two)
            return result
        raise SettingsError(
            f"select: '{_text(node)}' is neither a fact, a number, a text nor a sum of such; facts are "
            f"{self._names}; a function can do more"
        )

    def _fact(self, name: str) -> str:
        """The one fact of a name."""
        if not (facts := self._facts.get(name, [])):
            raise SettingsError(f"select: no fact '{name}'; there are {self._names}")
        if len(facts) > 1:
            both, cure = ", ".join(map(ascii, facts)), f"lambda facts: facts[{facts[0]!a}] == 1"
            raise SettingsError(f"select: '{name}' is the name of {both}; give a function, such as {cure}")
        return facts[0]

    def _number(self, node: ast.expr, depth: int) -> np.ndarray:
        value = self._value(node, depth)
        if value.dtype == object:
            raise SettingsError(f"select: '{_text(node)}' is a text; only numbers are added and multiplied")
        return value

    def _constant(self, value: int | float | str) -> np.ndarray:
        if isinstance(value, str):
            return np.full(self._count, value, dtype=object)
        try:
            return np.full(self._count, float(value))
        except OverflowError as error:
            raise SettingsError("select: a number is beyond all numbers of 64 bits; mend it") from error

    def _require_shallow(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise SettingsError(f"select: a query nested more than {MAX_DEPTH} deep; simplify it, or give a function")


def _facts_of_part(part: Part, start: int) -> dict[str, np.ndarray]:
    count, offsets, frames = len(part), part.offsets(), part.array("frames")
    time = part.array("time")[:]
    empty = offsets[1:] == offsets[:-1]
    first, last = np.minimum(offsets[:-1], len(time) - 1), np.maximum(offsets[1:] - 1, 0)
    y, x, channels = frames.shape[-3:]
    found: dict[str, np.ndarray] = {
        "index": np.arange(start, start + count),
        "part": _texts([part.name] * count),
        **{
            name: _texts([attributes.get(name) for attributes in part.attributes])
            for name in ("session", "source", "licence")
        },
        "frames": np.diff(offsets),
        "seconds": np.where(empty, np.nan, time[last] - time[first]) if len(time) else np.full(count, np.nan),
        "height": np.full(count, y),
        "width": np.full(count, x),
        "channels": np.full(count, channels),
        "dtype": _texts([frames.dtype.name] * count),
    }
    if "covariates" not in part.names:
        return found
    array = part.array("covariates")
    table = ColumnTable.from_json(array.attributes["columns"], f"{part.folder}: 'covariates'")
    for column, values in zip(table, array[:].T, strict=True):
        taken = column.name in OWN or column.name.startswith("covariate_")
        name = f"covariate_{column.name}" if taken else column.name
        if column.levels:
            found[name] = _texts([None if np.isnan(value) else column.levels[int(value)] for value in values])
        else:
            found[name] = values
    return found


def _name(fact: str) -> str:
    """The name that a fact has in queries."""
    name = "".join(s if f"_{s}".isidentifier() else "_" for s in unicodedata.normalize("NFKC", fact))
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"_{name}"


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    """The pieces of one fact; numbers become texts where another part has texts, levels of a category."""
    if len({piece.dtype == object for piece in pieces}) > 1:
        pieces = [p if p.dtype == object else _texts(None if np.isnan(v) else f"{v:g}" for v in p) for p in pieces]
    return np.concatenate(pieces)


def _texts(values: Any) -> np.ndarray:
    listed = list(values)
    texts = np.empty(len(listed), dtype=object)
    texts[:] = listed
    return texts


def _known(values: np.ndarray) -> np.ndarray:
    """Where values are known : (recording,) bool."""
    if values.dtype == object:
        return np.fromiter((value is not None for value in values), dtype=bool, count=len(values))
    return ~np.isnan(values)


def _text(node: ast.expr) -> str:
    try:
        return ast.unparse(node)[:100]
    except RecursionError:
        return type(node).__name__
