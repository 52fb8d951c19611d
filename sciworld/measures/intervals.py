"""How sure a share, a mean or a ratio is: intervals that every figure is shown with."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from sciworld.errors import SettingsError
from sciworld.measures.known import floats, quiet, ratio

LEVEL = 0.95
INDICES = 4_000_000  # that are drawn at once, which bounds the memory that resampling takes


class Interval(NamedTuple):
    """A value, and the bounds of its interval; all NaN where nothing was measured."""

    value: float
    low: float
    high: float


UNKNOWN = Interval(math.nan, math.nan, math.nan)


def wilson(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """The share successes / trials with Wilson's score interval.

    Wilson, "Probable inference, the law of succession, and statistical inference", J. Am. Stat. Assoc. 22 (1927).
    Stays inside [0, 1] and is not empty at 0 or 1. Raises SettingsError unless 0 <= successes <= trials and `level` is
    between 0 and 1.
    """
    _require_level(level)
    if not 0 <= successes <= trials:
        raise SettingsError(f"wilson: {successes} successes of {trials} trials; give 0 to as many as there are trials")
    if trials == 0:
        return UNKNOWN
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / trials
    shrink = 1 + z**2 / trials
    middle = (share + z**2 / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    # At 0 and 1 the bound is the share itself; rounding must not put it beyond.
    return Interval(share, min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share))


@quiet
def bootstrap(
    statistic: Callable[..., np.ndarray],
    *columns: np.ndarray,
    resamples: int = 2000,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """A statistic with the percentile interval of resampled rows.

    columns : arrays (row,) that are resampled together, which keeps pairs together; rows are the independent
    units (episodes, recordings). statistic : maps columns (..., row) to (...). The same seed gives the same
    interval. Resamples whose statistic is not finite are left out of the interval; of one row it has no bounds.
    Raises SettingsError for columns of unlike lengths, and unless `level` is between 0 and 1.

    Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).
    """
    _require_level(level)
    n = len(columns[0])
    if any(len(column) != n for column in columns):
        raise SettingsError(f"bootstrap: columns of {[len(column) for column in columns]} rows; give as many of each")
    if n == 0:
        return UNKNOWN
    value = float(statistic(*columns))
    if n == 1:  # of which nobody knows how much another would differ
        return Interval(value, math.nan, math.nan)
    rng, block = np.random.default_rng(seed), max(INDICES // n, 1)
    drawn = []
    for first in range(0, resamples, block):
        chosen = rng.integers(n, size=(min(block, resamples - first), n))
        drawn.append(statistic(*(column[chosen] for column in columns)))
    found = np.concatenate(drawn)
    found = found[np.isfinite(found)]
    if not len(found):
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def mean(values: np.ndarray, seed: int = 0, groups: np.ndarray | None = None) -> Interval:
    """The mean of values : (row,) with its bootstrap interval; NaN rows are left out.

    groups : (row,) of any kind; rows of one group, such as recordings of one session, are resampled together, since
    they depend on each other.
    """
    values = floats(values, "mean: values")
    known = ~np.isnan(values)
    if groups is None:
        return bootstrap(lambda x: x.mean(axis=-1), values[known], seed=seed)
    _, place = np.unique(groups[known], return_inverse=True)
    return ratio_of_sums(np.bincount(place, values[known]), np.bincount(place), seed)


def ratio_of_sums(above: np.ndarray, below: np.ndarray, seed: int = 0) -> Interval:
    """sum(above) / sum(below), both (row,), with its bootstrap interval over rows, which stay paired."""

    def statistic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return ratio(a.sum(axis=-1), b.sum(axis=-1))

    return bootstrap(statistic, floats(above, "ratio_of_sums: above"), floats(below, "ratio_of_sums: below"), seed=seed)


def _require_level(level: float) -> None:
    if not 0 < level < 1:
        raise SettingsError(f"level is {level}; use a share between 0 and 1, e.g. {LEVEL}")
