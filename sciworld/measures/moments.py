"""Means, variances and ranges of more than fits in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sciworld.measures.known import floats, quiet

TINY = np.finfo(np.float64).tiny


class Moments:
    """Running statistics along the last axis of what is added; values that are not finite, or masked, are left out.

    `count` of the values, their `mean`, `square`, the sum of squared differences from it, and `low` and `high`, the
    least and greatest; inf and -inf without values : (width,) each.
    """

    def __init__(self, width: int) -> None:
        self.count, self.mean, self.square = np.zeros(width), np.zeros(width), np.zeros(width)
        self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)

    @classmethod
    @quiet
    def of(cls, values: np.ndarray) -> Moments:
        """Those of values : (..., width)."""
        values = floats(values, "moments: values")
        values = values.reshape(math.prod(values.shape[:-1]), values.shape[-1])
        known = np.isfinite(values)
        found = cls(values.shape[-1])
        found.count = known.sum(axis=0)
        found.mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(found.count, 1)
        found.square = (np.where(known, values - found.mean, 0.0) ** 2).sum(axis=0)
        found.low = values.min(axis=0, initial=np.inf, where=known)
        found.high = values.max(axis=0, initial=-np.inf, where=known)
        return found

    def add(self, values: np.ndarray) -> None:
        """Merge those of values : (..., width)."""
        self.merge(Moments.of(values))

    @quiet
    def merge(self, other: Moments) -> None:
        """Make these those of both, after Chan, Golub and LeVeque (1979), updating formulae."""
        total = np.maximum(self.count + other.count, TINY)
        apart = other.mean - self.mean
        self.square = self.square + other.square + apart**2 * self.count * other.count / total
        self.mean = self.mean + apart * other.count / total
        self.count = self.count + other.count
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)

    def take(self, columns: Sequence[int]) -> Moments:
        """Those of some columns."""
        found = Moments(len(columns))
        for name in ("count", "mean", "square", "low", "high"):
            setattr(found, name, getattr(self, name)[list(columns)])
        return found

    def weighted(self, weight: float) -> Moments:
        """These as those of `weight` values a column, but for columns without any; to be merged with such alone."""
        found = Moments(len(self.count))
        found.count = np.where(self.count > 0, weight, 0.0)
        found.mean, found.low, found.high = self.mean, self.low, self.high
        found.square = self.square / np.maximum(self.count, TINY) * found.count
        return found

    def deviation(self) -> np.ndarray:
        """Standard deviation; 0 without values."""
        found: np.ndarray = np.sqrt(self.square / np.maximum(self.count, TINY))
        return found

    def normal(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation; 1 where that is 0, but for rounding."""
        deviation = self.deviation()
        return self.mean, np.where(deviation > 1e-12 * np.abs(self.mean), deviation, 1.0)
