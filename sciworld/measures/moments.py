"""Means and variances of more than fits in memory."""

from __future__ import annotations

import math

import numpy as np


class Moments:
    """Running mean and variance along the last axis of what is added; values that are not finite are left out."""

    def __init__(self, width: int) -> None:
        self.count, self.mean, self.square = np.zeros(width), np.zeros(width), np.zeros(width)

    def add(self, values: np.ndarray) -> None:
        """Merge values : (..., width), after Chan, Golub and LeVeque (1979), updating formulae."""
        values = values.reshape(math.prod(values.shape[:-1]), values.shape[-1]).astype(np.float64)
        known = np.isfinite(values)
        count = known.sum(axis=0)
        mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        square = (np.where(known, values - mean, 0.0) ** 2).sum(axis=0)
        total = np.maximum(self.count + count, 1)
        self.square = self.square + square + (mean - self.mean) ** 2 * self.count * count / total
        self.mean = self.mean + (mean - self.mean) * count / total
        self.count = self.count + count

    def normal(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation; 1 where that is 0, but for rounding."""
        deviation = np.sqrt(self.square / np.maximum(self.count, 1))
        return self.mean, np.where(deviation > 1e-12 * np.abs(self.mean), deviation, 1.0)
