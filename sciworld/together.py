"""Runs that advance together as if each were alone: their states joined, and randomness of its own for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np

from sciworld.errors import SimulatorError

T = TypeVar("T")


class _Streams:
    """Generators that draw as one, see `streams`: row k of what is drawn comes from generator k.

    Parameters of a distribution are single numbers, or arrays that broadcast to what is drawn: row k uses theirs.
    """

    def __init__(self, generators: Sequence[np.random.Generator]) -> None:
        self._generators = list(generators)

    def integers(
        self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False
    ) -> np.ndarray:
        """Whole numbers."""
        low, high = (0, low) if high is None else (low, high)
        return self._rows("integers", size, (low, high), dtype=dtype, endpoint=endpoint).astype(dtype, copy=False)

    def random(self, size: Any = None, dtype: Any = np.float64) -> np.ndarray:
        """Numbers in [0, 1)."""
        return self._rows("random", size, dtype=dtype)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> np.ndarray:
        """Numbers in [low, high)."""
        return self._rows("uniform", size, (low, high))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> np.ndarray:
        """Gaussian numbers of mean 0 and variance 1."""
        return self._rows("standard_normal", size, dtype=dtype)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> np.ndarray:
        """Gaussian numbers of mean `loc` and standard deviation `scale`."""
        return self._rows("normal", size, (loc, scale))

    def poisson(self, lam: Any = 1.0, size: Any = None) -> np.ndarray:
        """Counts of mean `lam`."""
        return self._rows("poisson", size, (lam,))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python itself asks for, to copy or to print
            raise AttributeError(name)
        known = ", ".join(each for each in vars(_Streams) if not each.startswith("_"))
        raise SimulatorError(f"runs that advance together cannot draw by '{name}'; a simulator's steps use {known}")

    def _rows(self, method: str, size: Any, parameters: tuple[Any, ...] = (), **options: Any) -> np.ndarray:
        try:
            shape = np.broadcast_shapes(*map(np.shape, parameters)) if size is None else np.broadcast_shapes(size)
            if shape[:1] != (len(self._generators),):
                raise ValueError
            # A single number stays one: NumPy draws whole numbers below an array of bounds in another way.
            spread = [one if np.ndim(one) == 0 else np.broadcast_to(one, shape) for one in parameters]
        except ValueError:
            asked = f"{method} of {size if size is not None else 'no size'}"
            raise SimulatorError(f"{len(self._generators)} streams draw {asked}; ask for a row of each") from None
        drawn = []
        for k, one in enumerate(self._generators):
            mine = (values if np.ndim(values) == 0 else values[k] for values in spread)
            drawn.append(getattr(one, method)(*mine, size=shape[1:], **options))
        return np.array(drawn)


def streams(generators: Sequence[np.random.Generator]) -> np.random.Generator:
    """One generator for `Simulator.step` of n runs, whose row k is drawn by generator k of n.

    What happens to a run then depends neither on how many others there are nor on when they ended. It draws integers,
    random, uniform, standard_normal, normal and poisson; anything else raises SimulatorError.
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
