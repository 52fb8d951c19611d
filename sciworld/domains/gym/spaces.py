"""Gymnasium spaces as columns of numbers, and back without loss."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from sciworld.controls import EXACT, Column, ColumnTable
from sciworld.errors import ControlError, SettingsError

Path = tuple[str | int, ...]
MAX_COLUMNS = 4096  # of a whole space; more is an image, or a slip
MAX_LEVELS = 1000  # of a Discrete that is a category; one with more is an integer
WRAP = "wrap the environment, e.g. in gymnasium.wrappers.TransformAction or FilterObservation"


def leaves(space: spaces.Space, where: str) -> dict[Path, spaces.Space]:
    """The Box, Discrete, MultiDiscrete and MultiBinary spaces in a space, by the keys and indices that lead to them.

    where : what the space is of, for the SettingsError that any other space raises.
    """
    found: dict[Path, spaces.Space] = {}
    for path, leaf in _walk(space, ()):
        if not isinstance(leaf, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise SettingsError(
                f"{where}: {'.'.join(map(str, path)) or 'it'} is a {type(leaf).__name__} space, which has no fixed "
                f"columns of numbers; {WRAP}, so that it is of Box, Discrete, MultiDiscrete, MultiBinary, Dict, Tuple"
            )
        found[path] = leaf
    return found


def is_image(leaf: spaces.Space) -> bool:
    """Whether a space is of arrays that can be frames: a Box of 2 or 3 dimensions."""
    return isinstance(leaf, spaces.Box) and len(leaf.shape) in (2, 3)


def part(value: Any, path: Path) -> Any:
    """What stands at `path` in an element of a Dict or Tuple space."""
    for key in path:
        value = value[key]
    return value


def columns(path: Path, leaf: spaces.Space, base: str, bounded: bool = True, role: str = "commanded") -> list[Column]:
    """The columns of a leaf: `base`, or its keys and indices, then those of its elements.

    bounded : whether columns state the bounds of the space, which many environments' observations leave.
    """
    name = "_".join(map(str, path if path and isinstance(path[0], str) else (base, *path)))
    shape = leaf.shape or ()
    if np.prod(shape, dtype=np.float64) > MAX_COLUMNS:
        raise SettingsError(f"'{name}' has the shape {shape}, more than {MAX_COLUMNS} columns; {WRAP}")
    names = ["_".join(map(str, (name, *index))) for index in np.ndindex(shape)]
    if isinstance(leaf, spaces.Box):
        kind = "continuous" if leaf.dtype is not None and leaf.dtype.kind == "f" else "integer"
        lows, highs = (np.ravel(bound).tolist() if bounded else [None] * len(names) for bound in (leaf.low, leaf.high))
        found = zip(names, map(_bound, lows), map(_bound, highs), strict=True)
        return [Column(one, "1", low, high, kind=kind, role=role) for one, low, high in found]
    return [
        Column(one, "1", kind="categorical", levels=tuple(str(start + k) for k in range(count)), role=role)
        if count <= MAX_LEVELS
        else Column(one, "1", 0.0, float(count - 1), kind="integer", role=role)
        for one, (count, start) in zip(names, _categories(leaf), strict=True)
    ]


def table(found: Sequence[Column], names: Sequence[str], where: str) -> ColumnTable:
    """Columns as a table, called by `names` if there are any. Raises SettingsError."""
    if names and len(names) != len(found):
        raise SettingsError(f"{where}: {len(names)} names for {len(found)} columns; give one for each")
    if len(found) > MAX_COLUMNS:
        raise SettingsError(f"{where}: {len(found)} columns, more than {MAX_COLUMNS}; {WRAP}")
    try:
        renamed = [dataclasses.replace(c, name=n) for c, n in zip(found, names, strict=True)] if names else found
        return ColumnTable(tuple(renamed))
    except ControlError as error:
        raise SettingsError(f"{where}: {error}; give names, or wrap the environment so that its keys differ") from error


def numbers(leaf: spaces.Space, value: Any) -> np.ndarray:
    """An element of a leaf as its columns : (column,) float64, exactly. Raises SettingsError."""
    array = np.asarray(value)
    if array.shape != (leaf.shape or ()) or array.dtype.kind not in "biuf":
        raise SettingsError(f"{str(value)[:60]!r} is {array.shape} {array.dtype}; {leaf} expects {leaf.shape or ()}")
    if not isinstance(leaf, spaces.Box):
        starts = np.reshape([start for _, start in _categories(leaf)], array.shape)
        array = array - starts
    if array.dtype.kind in "iu" and array.size and (int(array.max()) > EXACT or int(array.min()) < -EXACT):
        raise SettingsError(f"{str(value)[:60]!r} is beyond 2**53, where float64 skips whole numbers; {WRAP}")
    return array.astype(np.float64).ravel()


def element(leaf: spaces.Space, row: np.ndarray) -> Any:
    """The element of a leaf whose columns are row : (column,), in the dtype of the space. Raises SettingsError."""
    if np.isnan(row).any():
        raise SettingsError("a control is NaN, unknown: after the last frame no action is known; leave that row out")
    if not isinstance(leaf, spaces.Box):
        row = row + np.array([start for _, start in _categories(leaf)], dtype=np.float64)
    dtype = np.dtype(leaf.dtype)
    if dtype.kind != "f" and (row != np.round(row)).any():
        raise SettingsError(f"{row} has to be whole numbers for {leaf}; round it")
    with np.errstate(over="ignore", invalid="ignore"):  # what is outside is refused below
        array = row.astype(dtype).reshape(leaf.shape or ())
    value = dtype.type(array) if isinstance(leaf, spaces.Discrete) else array
    if not leaf.contains(value):
        raise SettingsError(f"{row} is not in {leaf}; clip it into the bounds")
    return value


class Actions:
    """An action space as the columns of a control table.

    Parameters
    ----------
    space : of Box, Discrete, MultiDiscrete and MultiBinary, alone or in Dict and Tuple.
    names : of the columns, in order; else those of the keys and indices.
    where : the environment, for errors.

    `table` has the bounds of the space where they are finite. Raises SettingsError for any other space.
    """

    def __init__(self, space: spaces.Space, names: Sequence[str] = (), where: str = "action space") -> None:
        self._space, self._leaves = space, leaves(space, where)
        split = [columns(path, leaf, "action") for path, leaf in self._leaves.items()]
        self._widths = [len(one) for one in split]
        self.table = table([column for one in split for column in one], names, where)
        self._drawn = copy.deepcopy(space)  # drawing must not move the environment's own generator

    def to_row(self, action: Any) -> np.ndarray:
        """An action as controls : (control,) float64. Raises SettingsError."""
        rows = [numbers(leaf, part(action, path)) for path, leaf in self._leaves.items()]
        return np.concatenate(rows) if rows else np.empty(0)

    def to_action(self, row: np.ndarray) -> Any:
        """The action that was recorded as row : (control,), bit by bit. Raises SettingsError outside the space."""
        row = np.asarray(row, dtype=np.float64)
        if row.shape != (len(self.table),):
            raise SettingsError(f"controls are {row.shape}; expected ({len(self.table)},): {self.table.names}")
        pieces = iter(np.split(row, np.cumsum(self._widths)[:-1]))
        return _build(self._space, pieces)

    def sample(self, rng: np.random.Generator) -> Any:
        """An action uniform in the space; where it has no bounds, as Gymnasium draws (normal, exponential)."""
        self._drawn.seed(int(rng.integers(2**31)))
        return self._drawn.sample()


def _walk(space: spaces.Space, path: Path) -> Iterator[tuple[Path, spaces.Space]]:
    if isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            yield from _walk(inner, (*path, key))
    elif isinstance(space, spaces.Tuple):
        for index, inner in enumerate(space.spaces):
            yield from _walk(inner, (*path, index))
    else:
        yield path, space


def _build(space: spaces.Space, pieces: Iterator[np.ndarray]) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _build(inner, pieces) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_build(inner, pieces) for inner in space.spaces)
    return element(space, next(pieces))


def _categories(leaf: spaces.Space) -> list[tuple[int, int]]:
    """How many values each column of a discrete leaf has, and the first of them."""
    if isinstance(leaf, spaces.Discrete):
        return [(int(leaf.n), int(leaf.start))]
    if isinstance(leaf, spaces.MultiDiscrete):
        return [(int(n), int(start)) for n, start in zip(leaf.nvec.ravel(), leaf.start.ravel(), strict=True)]
    return [(2, 0)] * int(np.prod(leaf.shape or (), dtype=int))


def _bound(value: float | None) -> float | None:
    """A bound as a column states it: none where there is none, or where it is beyond what float64 counts exactly."""
    if value is None or not np.isfinite(value) or (isinstance(value, int) and abs(value) > EXACT):
        return None
    return float(value)
