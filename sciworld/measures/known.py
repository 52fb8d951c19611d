"""Means over what is known: NaN is nobody's answer, and counts for nothing."""

from __future__ import annotations

import numpy as np


def mean(values: np.ndarray, axis: int | tuple[int, ...] = 0, where: np.ndarray | None = None) -> np.ndarray:
    """Mean along the axes, of what is not NaN and, if given, `where` says : (...); NaN of nothing."""
    counted = ~np.isnan(values) if where is None else where & ~np.isnan(values)
    number = counted.sum(axis=axis)
    total = np.where(counted, values, 0.0).sum(axis=axis)
    return np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)
