"""Runs that advance together as if each were alone: their states joined, and randomness of its own for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np

from sciworld.errors import SimulatorError

T = TypeVar("T")


class _Streams:
    """Generators that draw as one, see `streams`. What a simulator draws otherwise is an AttributeError."""

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self._generators = list(generators)

    def integers(
        self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False
    ) -> np.ndarray:
        """Row k of so many whole numbers is drawn by generator k."""
        rest = self._rest(size)
        return np.array([one.integers(low, high, rest, dtype, endpoint) for one in self._generators], dtype)

    def random(self, size: Any = None) -> np.ndarray:
        """Row k of so many numbers in [0, 1) is drawn by generator k."""
        rest = self._rest(size)
        return np.array([one.random(rest) for one in self._generators])

    def _rest(self, size: Any) -> tuple[int, ...]:
        shape = (size,) if isinstance(size, int | np.integer) else tuple(size or ())
        if not shape or shape[0] != len(self._generators):
            raise SimulatorError(f"{len(self._generators)} streams draw {size}; ask for a row of each")
        return shape[1:]


def streams(generators: Sequence[np.random.Generator]) -> np.random.Generator:
    """One generator for `Simulator.step` of n runs, whose row k is drawn by generator k of n.

    What happens to a run then depends neither on how many others there are nor on when they ended.
    """
    return cast(np.random.Generator, _Streams(generators))


def join(states: Sequence[T]) -> T:
    """The runs of several states one after the other; states are dataclasses of arrays (run, ...), or hold such."""
    first = states[0]
    if len(states) == 1:
        return first
    parts: dict[str, Any] = {}
    for field in dataclasses.fields(first):  # type: ignore[arg-type]
        values = [getattr(state, field.name) for state in states]
        parts[field.name] = join(values) if dataclasses.is_dataclass(values[0]) else np.concatenate(values)
    return type(first)(**parts)
