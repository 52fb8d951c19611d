"""The road's centre line, its cross-section and the terrain beside it: lookups that all road kernels share."""

import math

import numpy as np
from numba import njit

from sciworld.kernels.road_layout import (
    FAST,
    LANE_WIDTH,
    LANES,
    LINE_HEADING,
    LINE_SLOPE,
    LINE_X,
    LINE_Y,
    LINE_Z,
    MARKING,
    MEDIAN,
    PAVED,
    PAVEMENT,
    RELIEF,
    ROAD,
    SHOULDER,
    TERRAIN,
)
from sciworld.kernels.road_noise import wave

# The terrain's height is linear between these distances from the road's edge, m; its hills in parts of the relief.
KNOTS = np.array([0.0, 4.0, 14.0, 40.0, 120.0, 460.0])
HILLS = np.array([0.0, 0.012, 0.05, 0.14, 0.5, 2.8])
HILL_LENGTH = np.array([30.0, 30.0, 45.0, 70.0, 120.0, 260.0])
LINE_PERIOD, LINE_DASH, LINE_BREADTH = 9.0, 4.0, 0.16


@njit(**FAST)
def along(line, s):
    """x, y, heading, curvature, z and slope of the centre line at s. Beyond its ends the road goes straight on."""
    last = line.shape[0] - 1
    if s < 0.0 or s >= last:
        row = line[0] if s < 0.0 else line[last]
        d = s if s < 0.0 else s - last
        c, w = math.cos(row[LINE_HEADING]), math.sin(row[LINE_HEADING])
        z = row[LINE_Z] + d * row[LINE_SLOPE]
        return row[LINE_X] + d * c, row[LINE_Y] + d * w, row[LINE_HEADING], 0.0, z, row[LINE_SLOPE]
    i = int(s)
    t = s - i
    a, b = line[i], line[i + 1]
    return (
        a[0] + t * (b[0] - a[0]),
        a[1] + t * (b[1] - a[1]),
        a[2] + t * (b[2] - a[2]),
        a[3] + t * (b[3] - a[3]),
        a[4] + t * (b[4] - a[4]),
        a[5] + t * (b[5] - a[5]),
    )


@njit(**FAST)
def project(line, x, y, s):
    """(s, n) of the point (x, y), by Newton's method from a guess of s."""
    n = 0.0
    for _ in range(4):
        cx, cy, heading, curvature, _, _ = along(line, s)
        c, w = math.cos(heading), math.sin(heading)
        n = -w * (x - cx) + c * (y - cy)
        ahead = c * (x - cx) + w * (y - cy)
        s += ahead / max(0.2, 1.0 - curvature * n)
    return s, n


@njit(**FAST)
def road_edge(section):
    """Half the width of the paved road in m: median, lanes and shoulder."""
    return section[MEDIAN] + section[LANES] * section[LANE_WIDTH] + section[SHOULDER]


@njit(**FAST)
def hill(section, seed, s, side, knot):
    """Height in m of the terrain over the road, at a knot beyond its edge; side is 0 at the left, 1 at the right."""
    if section[RELIEF] == 0.0 or knot == 0:
        return 0.0
    height = HILLS[knot] * section[RELIEF]
    return height * (wave(s / HILL_LENGTH[knot], seed + 16 * side + knot) - 0.35)


@njit(**FAST)
def ground_height(line, section, seed, s, n):
    """Height of the ground at (s, n) in m."""
    _, _, _, _, z, _ = along(line, s)
    beyond = abs(n) - road_edge(section)
    if beyond <= 0.0:
        return z
    side = 0 if n > 0.0 else 1
    k = 1
    while k < len(KNOTS) - 1 and beyond > KNOTS[k]:
        k += 1
    t = min(1.0, (beyond - KNOTS[k - 1]) / (KNOTS[k] - KNOTS[k - 1]))
    return z + (1.0 - t) * hill(section, seed, s, side, k - 1) + t * hill(section, seed, s, side, k)


@njit(**FAST)
def stand(line, section, seed, coordinates, out):
    """Put (s, n) of coordinates : (point, 2) on the ground of one world: x, y, z, heading into out : (point, 4)."""
    for i in range(coordinates.shape[0]):
        s, n = coordinates[i, 0], coordinates[i, 1]
        x, y, heading, _, _, _ = along(line, s)
        out[i, 0] = x - n * math.sin(heading)
        out[i, 1] = y + n * math.cos(heading)
        out[i, 2] = ground_height(line, section, seed, s, n)
        out[i, 3] = heading


@njit(**FAST)
def _stripe(distance, breadth, footprint):
    """How much of a footprint, `distance` from the middle of a stripe, the stripe covers: 0 to 1."""
    low = max(distance - 0.5 * footprint, -0.5 * breadth)
    high = min(distance + 0.5 * footprint, 0.5 * breadth)
    return max(0.0, high - low) / footprint


@njit(**FAST)
def _dashes_before(s):
    periods = math.floor(s / LINE_PERIOD)
    return periods * LINE_DASH + min(s - periods * LINE_PERIOD, LINE_DASH)


@njit(**FAST)
def marking(section, s, n, along_s, along_n):
    """How much of a footprint of along_s x along_n m about (s, n) is painted: 0 to 1. Exact for any footprint."""
    m = abs(n)
    median, width, lanes = section[MEDIAN], section[LANE_WIDTH], int(section[LANES])
    outer = median + lanes * width
    solid = _stripe(m - outer, LINE_BREADTH, along_n)
    if median > 0.0:
        solid += _stripe(m - median, LINE_BREADTH, along_n)
    dashed = 0.0 if median > 0.0 else _stripe(n, LINE_BREADTH, along_n)
    for lane in range(1, lanes):
        dashed += _stripe(m - median - lane * width, LINE_BREADTH, along_n)
    if dashed > 0.0:
        dashed *= (_dashes_before(s + 0.5 * along_s) - _dashes_before(s - 0.5 * along_s)) / along_s
    return solid + dashed


@njit(**FAST)
def class_of_ground(section, s, n):
    """Class of the ground at (s, n): marking, road, paved or terrain."""
    edge = road_edge(section)
    m = abs(n)
    if m <= edge:
        return MARKING if marking(section, s, n, 1e-3, 1e-3) > 0.5 else ROAD
    return PAVED if m <= edge + section[PAVEMENT] else TERRAIN
