"""The arithmetic of differential evolution: Storn and Price, Journal of Global Optimization 11 (1997), section 3."""

import math

import numpy as np
from numba import njit


@njit(cache=True)
def children(members, best, picks, mixes, steps, always, crossover, toward, low, high):
    """The challenger of every member.

    members : (problem, member, dimension), at least 4; best, low, high : (problem, dimension). picks : (problem,
    member, 3) and mixes : (problem, member, dimension) even from 0 to 1. steps : (problem, member), always :
    (problem, member) the number that is the child's in any case. toward : whether children move toward the best, too. A
    number that would leave its bounds stops half way between the member's and the bound. NaN where members are.
    """
    p, n, d = members.shape
    out = np.empty((p, n, d))
    for i in range(p):
        for j in range(n):
            a, b, c = _others(picks[i, j], j, n)
            f = steps[i, j]
            for k in range(d):
                own = members[i, j, k]
                if mixes[i, j, k] > crossover and k != always[i, j]:
                    out[i, j, k] = own
                    continue
                if toward:
                    value = own + f * (best[i, k] - own) + f * (members[i, a, k] - members[i, b, k])
                else:
                    value = members[i, c, k] + f * (members[i, a, k] - members[i, b, k])
                if value < low[i, k]:
                    value = 0.5 * (own + low[i, k])
                elif value > high[i, k]:
                    value = 0.5 * (own + high[i, k])
                out[i, j, k] = value
    return out


@njit(cache=True, inline="always")
def _others(picks, own, n):
    """Three members of n, all different and none of them `own`, by three numbers from 0 to 1."""
    a = _skip(math.floor(picks[0] * (n - 1)), own, -1, -1)
    b = _skip(math.floor(picks[1] * (n - 2)), own, a, -1)
    c = _skip(math.floor(picks[2] * (n - 3)), own, a, b)
    return a, b, c


@njit(cache=True)
def _skip(place, first, second, third):
    """The member at a place among those that are not taken, where -1 is none."""
    taken = np.sort(np.array([first, second, third]))
    for one in taken:
        if one >= 0 and place >= one:
            place += 1
    return place
