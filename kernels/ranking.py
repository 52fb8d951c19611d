"""Order and moments of candidates that are blind to the order in which they came, to the last bit."""

import math

import numpy as np
from numba import njit

NARROW = 1e-3  # of the square of the range: a variance below it is counted about the mean


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
    chosen, highest = -1, -math.inf
    for j in range(len(scores)):
        score = scores[j]  # NaN is neither above nor equal
        if score > highest or (score == highest and (chosen < 0 or precedes(candidates[j], candidates[chosen]))):
            chosen, highest = j, score
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
    low, high = _extremes(values, chosen)
    steps = 1.5 * 2.0 ** (math.ceil(math.log2(len(chosen))) + 1)  # of the grid, in the last bit of the largest sum
    grid, square_grid = np.empty(d), np.empty(d)
    for k in range(d):
        grid[k] = steps * _power(high[k] - low[k])
        square_grid[k] = steps * _power((high[k] - low[k]) ** 2)
    centre = low + 0.5 * (high - low)
    mean, std = _sums(values, chosen, weights, centre, grid, square_grid)
    narrow = False
    for k in range(d):
        away = mean[k] / total
        mean[k] = min(max(centre[k] + away, low[k]), high[k])
        variance = std[k] / total - away * away
        narrow |= variance < NARROW * (high[k] - low[k]) ** 2
        std[k] = math.sqrt(max(variance, 0.0))
    if narrow:  # about the centre the square of a narrow spread would be a difference of large numbers
        for k in range(d):
            square_grid[k] = steps * _power(max(high[k] - mean[k], mean[k] - low[k]) ** 2)
        _, std = _sums(values, chosen, weights, mean, grid, square_grid)
        for k in range(d):
            std[k] = math.sqrt(std[k] / total)
    return mean, std


@njit(cache=True)
def _extremes(values, chosen):
    """The least and the largest of the chosen rows, along every axis; four rows at a time, which is twice as fast."""
    low, high = values[chosen[0]].copy(), values[chosen[0]].copy()
    fours = len(chosen) - len(chosen) % 4
    for j in range(0, fours, 4):
        a, b, c, e = values[chosen[j]], values[chosen[j + 1]], values[chosen[j + 2]], values[chosen[j + 3]]
        for k in range(values.shape[1]):
            low[k] = min(low[k], min(min(a[k], b[k]), min(c[k], e[k])))
            high[k] = max(high[k], max(max(a[k], b[k]), max(c[k], e[k])))
    for j in chosen[fours:]:
        for k in range(values.shape[1]):
            low[k] = min(low[k], values[j, k])
            high[k] = max(high[k], values[j, k])
    return low, high


@njit(cache=True)
def _sums(values, chosen, weights, centre, grid, square_grid):
    """Sums of the chosen rows less the centre, weighed, and of their squares : (dimension,), terms rounded to grids."""
    d = values.shape[1]
    first, second = np.zeros(d), np.zeros(d)
    fours = len(chosen) - len(chosen) % 4
    for j in range(0, fours, 4):
        a, b, c, e = values[chosen[j]], values[chosen[j + 1]], values[chosen[j + 2]], values[chosen[j + 3]]
        wa, wb, wc, we = weights[chosen[j]], weights[chosen[j + 1]], weights[chosen[j + 2]], weights[chosen[j + 3]]
        for k in range(d):
            m, g, h = centre[k], grid[k], square_grid[k]
            xa, xb, xc, xe = a[k] - m, b[k] - m, c[k] - m, e[k] - m
            ya, yb, yc, ye = wa * xa, wb * xb, wc * xc, we * xe
            first[k] += (((ya + g) - g) + ((yb + g) - g)) + (((yc + g) - g) + ((ye + g) - g))
            second[k] += (((ya * xa + h) - h) + ((yb * xb + h) - h)) + (((yc * xc + h) - h) + ((ye * xe + h) - h))
    for j in chosen[fours:]:
        for k in range(d):
            away = values[j, k] - centre[k]
            first[k] += (weights[j] * away + grid[k]) - grid[k]
            second[k] += (weights[j] * away * away + square_grid[k]) - square_grid[k]
    return first, second


@njit(cache=True)
def exact_sum(values):
    """The sum of values from 0 to 1, each rounded so that their order has no effect."""
    grid = 1.5 * 2.0 ** (math.ceil(math.log2(len(values))) + 1)
    total, fours = 0.0, len(values) - len(values) % 4
    for j in range(0, fours, 4):  # two additions at once do not wait for each other
        a, b, c, e = values[j], values[j + 1], values[j + 2], values[j + 3]
        total += (((a + grid) - grid) + ((b + grid) - grid)) + (((c + grid) - grid) + ((e + grid) - grid))
    for value in values[fours:]:
        total += (value + grid) - grid
    return total


@njit(cache=True, inline="always")
def _power(value):
    """The least power of two that is not below a value, or 0."""
    if value == 0.0:
        return 0.0
    return math.ldexp(1.0, math.frexp(value)[1])
