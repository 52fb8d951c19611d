"""Shadows that the sun throws on the ground: outlines of objects, laid on what the camera saw of it."""

import math

import numpy as np
from numba import njit

from sciworld.kernels.road_layout import (
    BUILDING,
    CAR,
    CONIFER,
    FAST,
    HEIGHT,
    HOUSE,
    KIND,
    LENGTH,
    NOTHING,
    ROAD,
    SUN,
    SUN_RGB,
    TERRAIN,
    TREE,
    WIDTH,
    YAW,
    X,
    Y,
    Z,
)
from sciworld.kernels.road_raster import CORNERS, clip, crossing, extent, gradients, on_screen, put

LONGEST = 60.0  # m of shadow
CROWN = 7  # corners of a crown's shadow; clipped, a polygon has one more
TOLERANCE = 0.09  # of the depth: how far the ground may be from the plane of an object's foot


@njit(**FAST)
def shadows(shadow, values, labels, axes, light, movers, objects, near):
    """Into shadow : (y, x), how much of the sun is hidden at each pixel of the ground, 0 to 1."""
    corners, scratch = np.empty((CORNERS, 5)), np.empty((CORNERS, 5))
    for k in range(movers.shape[0]):
        if int(movers[k, KIND]) == CAR:
            under(shadow, values, labels, axes, movers, k, corners, scratch)
    if light[SUN_RGB + 1] < 0.02 or light[SUN + 2] < 0.02:
        return
    flat = math.hypot(light[SUN], light[SUN + 1])
    reach = flat / light[SUN + 2]  # m of shadow for each of height
    way = (-light[SUN] / max(flat, 1e-6), -light[SUN + 1] / max(flat, 1e-6), reach)
    for k in range(movers.shape[0]):
        if int(movers[k, KIND]) != NOTHING:
            throw(shadow, values, labels, axes, movers, k, way, corners, scratch)
    for k in range(near[0], near[1]):
        throw(shadow, values, labels, axes, objects, k, way, corners, scratch)


@njit(**FAST)
def foot(rows, i, m):
    """x, y of corner m (0 to 3, around) of the foot of object i."""
    c, w = math.cos(rows[i, YAW]), math.sin(rows[i, YAW])
    u = 0.5 * rows[i, LENGTH] * (1.0 if m in (0, 3) else -1.0)
    v = 0.5 * rows[i, WIDTH] * (1.0 if m < 2 else -1.0)
    return rows[i, X] + u * c - v * w, rows[i, Y] + u * w + v * c


@njit(**FAST)
def under(shadow, values, labels, axes, rows, i, corners, scratch):
    """The dark under a vehicle, whatever the light."""
    for m in range(4):
        x, y = foot(rows, i, m)
        put(corners, m, axes, x, y, rows[i, Z], 0.0, 0.0)
    lay(shadow, values, labels, axes, corners, 4, scratch, 0.9)


@njit(**FAST)
def throw(shadow, values, labels, axes, rows, i, way, corners, scratch):
    """The shadow of one object: of boxes their foot drawn out, of trees the crown's disc, of the rest a stroke.

    way : unit vector away from the sun, x and y, and m of shadow for each of height.
    """
    dx, dy = rows[i, X] - axes[0], rows[i, Y] - axes[1]
    if dx * axes[3] + dy * axes[4] < -LONGEST:
        return
    kind, z = int(rows[i, KIND]), rows[i, Z]
    length = min(LONGEST, way[2] * rows[i, HEIGHT])
    reach = (way[0] * length, way[1] * length)
    if kind in (BUILDING, HOUSE, CAR):
        for m in range(4):
            one, two = foot(rows, i, m), foot(rows, i, (m + 1) % 4)
            quad(shadow, values, labels, axes, z, one, two, reach, corners, scratch)
        return
    half = 0.5 * rows[i, WIDTH] if kind in (TREE, CONIFER) else max(0.06, 0.25 * rows[i, WIDTH])
    if kind in (TREE, CONIFER):
        low = 0.3 if kind == TREE else 0.1  # of the height, where the crown begins
        middle, long = 0.5 * (1.0 + low) * length, 0.5 * (1.0 - low) * length + 0.5 * half
        for m in range(CROWN):
            angle = 2.0 * math.pi * m / CROWN
            ahead, aside = middle + long * math.cos(angle), half * math.sin(angle)
            x, y = rows[i, X] + way[0] * ahead - way[1] * aside, rows[i, Y] + way[1] * ahead + way[0] * aside
            put(corners, m, axes, x, y, z, 0.0, 0.0)
        lay(shadow, values, labels, axes, corners, CROWN, scratch, 0.82)
        half, reach = 0.12 * half, (low * reach[0], low * reach[1])
    one = (rows[i, X] + way[1] * half, rows[i, Y] - way[0] * half)
    two = (rows[i, X] - way[1] * half, rows[i, Y] + way[0] * half)
    quad(shadow, values, labels, axes, z, one, two, reach, corners, scratch)


@njit(**FAST)
def quad(shadow, values, labels, axes, z, one, two, reach, corners, scratch):
    """Lay what the stroke from the point one to two sweeps when it moves by reach = (x, y) in m, at the height z."""
    put(corners, 0, axes, one[0], one[1], z, 0.0, 0.0)
    put(corners, 1, axes, two[0], two[1], z, 0.0, 0.0)
    put(corners, 2, axes, two[0] + reach[0], two[1] + reach[1], z, 0.0, 0.0)
    put(corners, 3, axes, one[0] + reach[0], one[1] + reach[1], z, 0.0, 0.0)
    lay(shadow, values, labels, axes, corners, 4, scratch, 0.9)


@njit(**FAST)
def lay(shadow, values, labels, axes, corners, count, scratch, dark):
    """Darken the ground under a polygon."""
    kept = clip(corners, count, scratch)
    for k in range(kept):
        on_screen(axes, scratch, k)
    for k in range(1, kept - 1):
        stain(shadow, values, labels, scratch, 0, k, k + 1, dark)


@njit(**FAST)
def stain(shadow, values, labels, points, i, j, k, dark):
    """Darken the ground under one triangle on the screen, where it lies about as far away as the triangle."""
    rows, cols, _ = values.shape
    x0, y0, x1, y1, x2, y2 = points[i, 0], points[i, 1], points[j, 0], points[j, 1], points[k, 0], points[k, 1]
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    least, most = extent(points, i, j, k, 1)
    first, last = max(0, math.ceil(least)), min(rows - 1, math.floor(most))
    if first > last or abs(area) < 1e-6:
        return
    zx, zy = gradients(points, i, j, k, 2, 1.0 / area)
    for y in range(first, last + 1):
        low, high = crossing(x0, y0, x1, y1, y, 1e30, -1e30)
        low, high = crossing(x1, y1, x2, y2, y, low, high)
        low, high = crossing(x2, y2, x0, y0, y, low, high)
        for x in range(max(0, math.ceil(max(low, -1.0))), min(cols - 1, math.floor(min(high, 1e6))) + 1):
            if ROAD <= labels[y, x, 0] <= TERRAIN and shadow[y, x] < dark:
                near = (points[i, 2] + zx * (x - x0) + zy * (y - y0)) * values[y, x, 0]
                if abs(near - 1.0) < TOLERANCE:
                    shadow[y, x] = dark
