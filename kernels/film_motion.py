"""How a camera moved between frames, found by moving one until it looks like the next: before anything is learned.

Every pixel counts, by its brightness alone, so that lines along which nothing changes do not seem to stand still (Lucas
and Kanade 1981, IJCAI, 674; for a few numbers that move a whole picture, Bergen et al. 1992, ECCV, 237).
"""

import math

import numpy as np
from numba import njit

UNKNOWNS = 4  # way over height, way over the breadth of the corridor, turn, nod
AHEAD = 1.0  # heights of the camera, that it is ahead of the axle about which a car turns
TOLERANCE = 0.03  # of the range of values, beyond which differences count less: what moves by itself
RIDGE = 1e-4  # of the mean square of a pixel's answer to each number, so that what is not seen stays 0
TURNS = 5  # of improving the numbers at one coarseness


@njit(cache=True)
def flow_of(numbers, x, y, focal, horizon, middle, out):
    """Columns and rows that the pixel (x, y) moves by, and into out : (2, UNKNOWNS) how it answers to each number."""
    u, v = (x - middle) / focal, (y - horizon) / focal
    ground = v if v > 0.0 else 0.0
    beside = 0.0 if v > 0.0 else abs(u)
    out[0, 0], out[1, 0] = focal * u * ground, focal * v * ground
    out[0, 1], out[1, 1] = focal * u * beside, focal * v * beside
    out[0, 2], out[1, 2] = focal * (1.0 + u * u + AHEAD * ground), focal * u * v
    out[0, 3], out[1, 3] = focal * u * v, focal * (1.0 + v * v)
    dx = dy = 0.0
    for k in range(UNKNOWNS):
        dx += numbers[k] * out[0, k]
        dy += numbers[k] * out[1, k]
    return dx, dy


@njit(cache=True)
def value_at(picture, x, y):
    """Of a picture between its pixels; NaN outside."""
    rows, cols = picture.shape
    if not (0.0 <= x < cols - 1.0) or not (0.0 <= y < rows - 1.0):
        return math.nan
    i, j = int(y), int(x)
    p, q = y - i, x - j
    low = picture[i, j] * (1.0 - q) + picture[i, j + 1] * q
    high = picture[i + 1, j] * (1.0 - q) + picture[i + 1, j + 1] * q
    return low * (1.0 - p) + high * p


@njit(cache=True)
def improve(here, there, numbers, focal, horizon, middle, solve, held):
    """Improve numbers : (UNKNOWNS,) once, where `solve`, but for the way over height where it is `held`; the mean
    difference that they leave, capped, before."""
    rows, cols = here.shape
    normal, wanted = np.zeros((UNKNOWNS, UNKNOWNS)), np.zeros(UNKNOWNS)
    answer, per = np.empty((2, UNKNOWNS)), np.empty(UNKNOWNS)
    wrong, count = 0.0, 0
    for y in range(1, rows - 1):
        for x in range(1, cols - 1):
            dx, dy = flow_of(numbers, x, y, focal, horizon, middle, answer)
            there_now = value_at(there, x + dx, y + dy)
            if math.isnan(there_now):
                continue
            off = there_now - here[y, x]
            wrong += min(abs(off), 3.0 * TOLERANCE)
            count += 1
            if not solve:
                continue
            gx = 0.5 * (here[y, x + 1] - here[y, x - 1])
            gy = 0.5 * (here[y + 1, x] - here[y - 1, x])
            weight = 1.0 / (1.0 + (off / TOLERANCE) ** 2)
            for k in range(UNKNOWNS):
                per[k] = gx * answer[0, k] + gy * answer[1, k]
            for k in range(UNKNOWNS):
                wanted[k] -= weight * per[k] * off
                for m in range(UNKNOWNS):
                    normal[k, m] += weight * per[k] * per[m]
    if solve and count > 0:
        for k in range(UNKNOWNS):
            normal[k, k] += RIDGE * count * focal * focal * 1e-2 + 1e-12
        if held:
            normal[0, 1:] = normal[1:, 0] = wanted[0] = 0.0
        numbers += np.linalg.solve(normal, wanted)
        numbers[0], numbers[1] = max(numbers[0], -0.05), max(numbers[1], -0.05)
    return wrong / max(count, 1)


@njit(cache=True)
def follow(fine, coarse, focal, horizon, begins, ways, out):
    """Numbers of every step into out : (time - 1, UNKNOWNS).

    fine, coarse : (time, y, x) float32 in [0, 1], the second with half as many pixels along each side. focal, horizon :
    in pixels of the fine one. begins : (search, 2) of both ways, from which the search begins; NaN for the last step's.
    ways : (time - 1,) over height, where they are known; NaN where not.
    """
    last, numbers, best = np.zeros(UNKNOWNS), np.zeros(UNKNOWNS), np.zeros(UNKNOWNS)
    scale, middle = (0.5 * focal, 0.5 * horizon - 0.25, 0.5 * (coarse.shape[2] - 1.0)), 0.5 * (fine.shape[2] - 1.0)
    for t in range(len(fine) - 1):
        found, held = 1e30, not math.isnan(ways[t])
        for begin in begins:
            numbers[:] = last
            for k in range(2):
                if not math.isnan(begin[k]):
                    numbers[k] = begin[k]
            if held:
                numbers[0] = ways[t]
            for _ in range(TURNS):
                improve(coarse[t], coarse[t + 1], numbers, *scale, True, held)
            now = improve(coarse[t], coarse[t + 1], numbers, *scale, False, held)
            if now < 0.98 * found:
                found = now
                best[:] = numbers
        for _ in range(TURNS):
            improve(fine[t], fine[t + 1], best, focal, horizon, middle, True, held)
        out[t] = best
        last[:] = best
