"""Shadows that the sun throws on the ground: outlines of objects, laid on what the camera saw of it."""

import math

import numpy as np
from numba import njit

from sciworld.kernels.road_layout import (
    BUILDING,
    CAR,
    CONIFER,
    HEIGHT,
    HOUSE,
    KIND,
    LENGTH,
    NOTHING,
    PAVED,
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
from sciworld.kernels.road_raster import CORNERS, clip, put, span

LONGEST = 60.0  # m of shadow
TOLERANCE = 0.09  # of the depth: how far the ground may be from the plane of an object's foot


@njit(cache=True)
def shadows(shadow, buffers, axes, light, movers, objects, near):
    """Into shadow : (y, x), how much of the sun is hidden at each pixel of the ground, 0 to 1."""
    corners, scratch = np.empty((CORNERS, 5)), np.empty((CORNERS, 5))
    for k in range(movers.shape[0]):
        if int(movers[k, KIND]) == CAR:
            under(shadow, buffers, axes, movers[k], corners, scratch)
    if light[SUN_RGB + 1] < 0.02 or light[SUN + 2] < 0.02:
        return
    flat = math.hypot(light[SUN], light[SUN + 1])
    reach = flat / light[SUN + 2]  # m of shadow for each of height
    way = (-light[SUN] / max(flat, 1e-6), -light[SUN + 1] / max(flat, 1e-6), reach)
    for k in range(movers.shape[0]):
        if int(movers[k, KIND]) != NOTHING:
            throw(shadow, buffers, axes, movers[k], way, corners, scratch)
    for k in range(near[0], near[1]):
        throw(shadow, buffers, axes, objects[k], way, corners, scratch)


@njit(cache=True)
def under(shadow, buffers, axes, row, corners, scratch):
    """The dark under a vehicle, whatever the light."""
    c, w = math.cos(row[YAW]), math.sin(row[YAW])
    h, k = 0.5 * row[LENGTH], 0.5 * row[WIDTH]
    for m in range(4):
        u, v = (h if m in (0, 3) else -h), (k if m < 2 else -k)
        put(corners, m, axes, row[X] + u * c - v * w, row[Y] + u * w + v * c, row[Z] + 0.02, 0.0, 0.0)
    lay(shadow, buffers, axes, corners, 4, scratch, 0.9)


@njit(cache=True)
def throw(shadow, buffers, axes, row, way, corners, scratch):
    """The shadow of one object: of boxes their foot drawn out, of trees the crown's disc, of the rest a stroke."""
    dx, dy = row[X] - axes[0], row[Y] - axes[1]
    if dx * axes[3] + dy * axes[4] < -LONGEST:
        return
    kind = int(row[KIND])
    length = min(LONGEST, way[2] * row[HEIGHT])
    ex, ey = way[0] * length, way[1] * length
    if kind in (BUILDING, HOUSE, CAR):
        c, w = math.cos(row[YAW]), math.sin(row[YAW])
        h, k = 0.5 * row[LENGTH], 0.5 * row[WIDTH]
        for m in range(4):
            u, v = (h if m in (0, 3) else -h), (k if m < 2 else -k)
            nu, nv = (h if m < 1 or m > 2 else -h), (k if m < 1 or m == 1 else -k)
            _ = nu + nv
            x0, y0 = row[X] + u * c - v * w, row[Y] + u * w + v * c
            after = (m + 1) % 4
            u, v = (h if after in (0, 3) else -h), (k if after < 2 else -k)
            x1, y1 = row[X] + u * c - v * w, row[Y] + u * w + v * c
            quad(shadow, buffers, axes, row[Z], x0, y0, x1, y1, ex, ey, corners, scratch)
        return
    half = 0.5 * row[WIDTH] if kind in (TREE, CONIFER) else max(0.06, 0.25 * row[WIDTH])
    sx, sy = -way[1] * half, way[0] * half
    if kind in (TREE, CONIFER):
        # Crown from 0.25 of the height to its top, as an octagon.
        low = 0.3 if kind == TREE else 0.1
        mx, my = 0.5 * (1.0 + low) * ex, 0.5 * (1.0 + low) * ey
        hx, hy = 0.5 * (1.0 - low) * ex, 0.5 * (1.0 - low) * ey
        hx, hy = hx + half * 0.5 * way[0], hy + half * 0.5 * way[1]
        for m in range(8):
            a, b = math.cos(0.25 * math.pi * m), math.sin(0.25 * math.pi * m)
            px, py = row[X] + mx + a * hx + b * sx, row[Y] + my + a * hy + b * sy
            put(corners, m, axes, px, py, row[Z], 0.0, 0.0)
        lay(shadow, buffers, axes, corners, 7, scratch, 0.82)
        sx, sy = 0.12 * sx, 0.12 * sy
        ex, ey = low * ex, low * ey
    quad(shadow, buffers, axes, row[Z], row[X] - sx, row[Y] - sy, row[X] + sx, row[Y] + sy, ex, ey, corners, scratch)


@njit(cache=True)
def quad(shadow, buffers, axes, z, x0, y0, x1, y1, ex, ey, corners, scratch):
    """Lay the parallelogram that the stroke from (x0, y0) to (x1, y1) sweeps when it moves by (ex, ey)."""
    put(corners, 0, axes, x0, y0, z, 0.0, 0.0)
    put(corners, 1, axes, x1, y1, z, 0.0, 0.0)
    put(corners, 2, axes, x1 + ex, y1 + ey, z, 0.0, 0.0)
    put(corners, 3, axes, x0 + ex, y0 + ey, z, 0.0, 0.0)
    lay(shadow, buffers, axes, corners, 4, scratch, 0.9)


@njit(cache=True)
def lay(shadow, buffers, axes, corners, count, scratch, dark):
    """Darken the ground under a polygon."""
    kept = clip(corners, count, scratch)
    for k in range(kept):
        inverse = 1.0 / scratch[k, 2]
        scratch[k, 0] = axes[8] + axes[7] * scratch[k, 0] * inverse
        scratch[k, 1] = axes[9] - axes[7] * scratch[k, 1] * inverse
        scratch[k, 2] = inverse
    for k in range(1, kept - 1):
        stain(shadow, buffers[0], buffers[1], scratch[0], scratch[k], scratch[k + 1], dark)


@njit(cache=True)
def stain(shadow, mask, depth, p, q, r, dark):
    """Darken the ground under one triangle on the screen, where it lies about as far away as the triangle."""
    rows, cols = mask.shape
    area = (q[0] - p[0]) * (r[1] - p[1]) - (r[0] - p[0]) * (q[1] - p[1])
    if abs(area) < 1e-6:
        return
    dq, dr = q[2] - p[2], r[2] - p[2]
    zx = (dq * (r[1] - p[1]) - dr * (q[1] - p[1])) / area
    zy = (dr * (q[0] - p[0]) - dq * (r[0] - p[0])) / area
    first = max(0, math.ceil(min(p[1], min(q[1], r[1]))))
    last = min(rows - 1, math.floor(max(p[1], max(q[1], r[1]))))
    for y in range(first, last + 1):
        low, high = span(p, q, r, y)
        for x in range(max(0, math.ceil(max(low, -1.0))), min(cols - 1, math.floor(min(high, 1e6))) + 1):
            if ROAD <= mask[y, x] <= TERRAIN and shadow[y, x] < dark:
                near = (p[2] + zx * (x - p[0]) + zy * (y - p[1])) * depth[y, x]
                if abs(near - 1.0) < TOLERANCE + 0.02 * (mask[y, x] == PAVED):
                    shadow[y, x] = dark
