"""Order and moments of candidates that are blind to the order in which they came, to the last bit."""

import math

import numpy as np
from numba import njit


@njit(cache=True)
def precedes(a, b):
    """Whether vector a comes before vector b in lexicographic order."""
    for k in range(len(a)):
        if a[k] != b[k]:
            return a[k] < b[k]
    return False


@njit(cache=True)
def best_of(candidates, scores):
    """The index of the best of candidates (candidate, dimension) by scores (candidate,), or -1 if all are NaN; of
    equal bests the first in lexicographic order."""
    chosen = -1
    for j in range(len(scores)):
        if math.isnan(scores[j]):
            continue
        if (
            chosen < 0
            or scores[j] > scores[chosen]
            or (scores[j] == scores[chosen] and precedes(candidates[j], candidates[chosen]))
        ):
            chosen = j
    return chosen


@njit(cache=True)
def ranked(candidates, scores):
    """Indices of candidates (candidate, dimension) from best to worst score (candidate,), and how many have one.

    NaN ranks last; equal scores are in lexicographic order of their candidates.
    """
    keys = np.where(np.isnan(scores), np.inf, -scores)
    order = np.argsort(keys)
    # Equal ones, and NaN beside -inf, are put in order by insertion: there are few of them.
    for i in range(1, len(order)):
        one = order[i]
        j = i - 1
        while j >= 0 and _after(order[j], one, keys, scores, candidates):
            order[j + 1] = order[j]
            j -= 1
        order[j + 1] = one
    return order, len(scores) - np.isnan(scores).sum()


@njit(cache=True)
def _after(a, b, keys, scores, candidates):
    """Whether candidate a belongs behind candidate b, which argsort has put behind it."""
    if keys[a] != keys[b]:
        return False
    missing_a, missing_b = math.isnan(scores[a]), math.isnan(scores[b])
    if missing_a != missing_b:
        return missing_a
    return precedes(candidates[b], candidates[a])


@njit(cache=True)
def moments(values, chosen, weights, total):
    """Weighted mean and standard deviation of rows of values, along every axis.

    values : (candidate, dimension). chosen : rows that count. weights : (candidate,) from 0 to 1, and total : their
    sum. Returns mean, std : (dimension,). Terms are rounded to a grid so coarse that their sums are exact, and no finer
    than that: about 52 - log2(n) bits of the range of the chosen.
    """
    d = values.shape[1]
    low, high = values[chosen[0]].copy(), values[chosen[0]].copy()
    for j in chosen:
        for k in range(d):
            low[k] = min(low[k], values[j, k])
            high[k] = max(high[k], values[j, k])
    steps = 2.0 ** (math.ceil(math.log2(len(chosen))) + 1)  # of the grid, in the last bit of the largest sum
    grid = np.empty(d)
    for k in range(d):
        grid[k] = 1.5 * steps * _power(high[k] - low[k])
    mean = np.zeros(d)
    for j in chosen:
        w = weights[j]
        for k in range(d):
            mean[k] += (w * (values[j, k] - low[k]) + grid[k]) - grid[k]
    for k in range(d):
        mean[k] = min(max(low[k] + mean[k] / total, low[k]), high[k])
        grid[k] = 1.5 * steps * _power(max(high[k] - mean[k], mean[k] - low[k]) ** 2)
    std = np.zeros(d)
    for j in chosen:
        w = weights[j]
        for k in range(d):
            away = values[j, k] - mean[k]
            std[k] += (w * away * away + grid[k]) - grid[k]
    for k in range(d):
        std[k] = math.sqrt(std[k] / total)
    return mean, std


@njit(cache=True)
def exact_sum(values):
    """The sum of values from 0 to 1, each rounded so that their order has no effect."""
    grid = 1.5 * 2.0 ** (math.ceil(math.log2(len(values))) + 1)
    total = 0.0
    for value in values:
        total += (value + grid) - grid
    return total


@njit(cache=True, inline="always")
def _power(value):
    """The least power of two that is not below a value, or 0."""
    if value == 0.0:
        return 0.0
    return math.ldexp(1.0, math.frexp(value)[1])
