"""Pixels that touch, as objects."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def label(mask, out):
    """Number the objects of a mask (y, x) from 1 in out (y, x) int32, 0 beside them; returns how many there are.

    Pixels touch along sides and at corners. Two passes and a union of what meets, Rosenfeld and Pfaltz, J. ACM 13, 471
    (1966).
    """
    height, width = mask.shape
    parent = np.arange(height * width // 2 + 2)
    used = 0
    for y in range(height):
        for x in range(width):
            out[y, x] = 0
            if not mask[y, x]:
                continue
            best = 0
            for dy, dx in ((0, -1), (-1, -1), (-1, 0), (-1, 1)):
                if y + dy < 0 or not 0 <= x + dx < width or out[y + dy, x + dx] == 0:
                    continue
                other = _root(parent, out[y + dy, x + dx])
                if best == 0:
                    best = other
                elif other != best:
                    parent[max(best, other)] = min(best, other)
                    best = min(best, other)
            if best == 0:
                used += 1
                best = used
            out[y, x] = best
    names = np.zeros(used + 1, dtype=np.int32)
    count = 0
    for k in range(1, used + 1):
        root = _root(parent, k)
        if names[root] == 0:
            count += 1
            names[root] = count
        names[k] = names[root]
    for y in range(height):
        for x in range(width):
            out[y, x] = names[out[y, x]]
    return count


@njit(cache=True, nogil=True)
def _root(parent, k):
    while parent[k] != k:
        k = parent[k]
    return k
