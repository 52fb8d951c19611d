"""Triangles in perspective into the buffers of one camera: class, inverse depth, surface coordinates, object, face.

A vertex is (right, up, ahead, a, b): camera coordinates in m, and two surface coordinates that are interpolated with
correct perspective. What lies nearest wins; the centres of pixels are at whole numbers.
"""

import math

import numpy as np
from numba import njit

from sciworld.kernels.road_layout import (
    CAM_CX,
    CAM_CY,
    CAM_F,
    CAM_PITCH,
    CAM_X,
    CAM_Y,
    CAM_YAW,
    CAM_Z,
    CONIFER,
    LAMP,
    POST,
    SHRUB,
    TREE,
    WALKER,
)
from sciworld.kernels.road_noise import noise

NEAR = 0.2  # m; nothing nearer than this is drawn
CORNERS = 8  # most corners of a polygon, clipped
WHOLE = 0  # the shape of what fills its polygon


@njit(cache=True, inline="always")
def axes_of(cam):
    """Camera as (x, y, z, cos yaw, sin yaw, cos pitch, sin pitch, focal, cx, cy)."""
    yaw, pitch = cam[CAM_YAW], cam[CAM_PITCH]
    return (
        cam[CAM_X],
        cam[CAM_Y],
        cam[CAM_Z],
        math.cos(yaw),
        math.sin(yaw),
        math.cos(pitch),
        math.sin(pitch),
        cam[CAM_F],
        cam[CAM_CX],
        cam[CAM_CY],
    )


@njit(cache=True, inline="always")
def to_camera(axes, x, y, z):
    """(right, up, ahead) in m of a point of the world."""
    dx, dy, dz = x - axes[0], y - axes[1], z - axes[2]
    level = dx * axes[3] + dy * axes[4]
    right = dx * axes[4] - dy * axes[3]
    return right, dz * axes[5] - level * axes[6], level * axes[5] + dz * axes[6]


@njit(cache=True, inline="always")
def to_world(axes, right, up, ahead):
    """x, y, z in m of a point in camera coordinates."""
    level = ahead * axes[5] - up * axes[6]
    x = axes[0] + level * axes[3] + right * axes[4]
    y = axes[1] + level * axes[4] - right * axes[3]
    return x, y, axes[2] + ahead * axes[6] + up * axes[5]


@njit(cache=True)
def put(corners, k, axes, x, y, z, a, b):
    """Set corner k of a polygon to a point of the world with surface coordinates a, b."""
    corners[k, 0], corners[k, 1], corners[k, 2] = to_camera(axes, x, y, z)
    corners[k, 3], corners[k, 4] = a, b


@njit(cache=True)
def clip(corners, count, out):
    """Cut a polygon of `count` corners at the near plane into out; returns how many corners are left."""
    kept = 0
    for k in range(count):
        p, q = corners[k], corners[(k + 1) % count]
        if p[2] >= NEAR:
            out[kept] = p
            kept += 1
        if (p[2] >= NEAR) != (q[2] >= NEAR):
            t = (NEAR - p[2]) / (q[2] - p[2])
            for m in range(5):
                out[kept, m] = p[m] + t * (q[m] - p[m])
            kept += 1
    return kept


@njit(cache=True)
def polygon(buffers, axes, corners, count, scratch, what, face, shape, tint):
    """Draw a convex polygon. what : (class, object). shape : WHOLE, or the kind of object that fills it in part."""
    kept = clip(corners, count, scratch)
    rows, cols = buffers[0].shape
    focal, cx, cy = axes[7], axes[8], axes[9]
    outside = [True, True, True, True]
    for k in range(kept):
        inverse = 1.0 / scratch[k, 2]
        px, py = cx + focal * scratch[k, 0] * inverse, cy - focal * scratch[k, 1] * inverse
        scratch[k, 0], scratch[k, 1], scratch[k, 2] = px, py, inverse
        scratch[k, 3] *= inverse
        scratch[k, 4] *= inverse
        outside[0] &= px < 0.0
        outside[1] &= px > cols - 1
        outside[2] &= py < 0.0
        outside[3] &= py > rows - 1
    if outside[0] or outside[1] or outside[2] or outside[3]:
        return
    for k in range(1, kept - 1):
        fill(buffers, scratch[0], scratch[k], scratch[k + 1], what, face, shape, tint)


@njit(cache=True, inline="always")
def plane_of(p, q, r, m, area):
    """Gradient along x and y of a value that is linear on the screen, from its values m at three corners."""
    dq, dr = q[m] - p[m], r[m] - p[m]
    gx = (dq * (r[1] - p[1]) - dr * (q[1] - p[1])) / area
    gy = (dr * (q[0] - p[0]) - dq * (r[0] - p[0])) / area
    return gx, gy


@njit(cache=True, inline="always")
def span(p, q, r, y):
    """Where the row y crosses the triangle: its left and right end."""
    low, high = 1e30, -1e30
    for a, b in ((p, q), (q, r), (r, p)):
        if (a[1] <= y) != (b[1] <= y):
            x = a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
            low, high = min(low, x), max(high, x)
    return low, high


@njit(cache=True)
def fill(buffers, p, q, r, what, face, shape, tint):
    """Draw one triangle of corners (px, py, 1 / depth, a / depth, b / depth)."""
    mask, nearness, along, across, objects, faces = buffers
    rows, cols = mask.shape
    area = (q[0] - p[0]) * (r[1] - p[1]) - (r[0] - p[0]) * (q[1] - p[1])
    if abs(area) < 1e-9:
        return
    zx, zy = plane_of(p, q, r, 2, area)
    ax, ay = plane_of(p, q, r, 3, area)
    bx, by = plane_of(p, q, r, 4, area)
    first = max(0, math.ceil(min(p[1], min(q[1], r[1]))))
    last = min(rows - 1, math.floor(max(p[1], max(q[1], r[1]))))
    for y in range(first, last + 1):
        low, high = span(p, q, r, y)
        start, end = max(0, math.ceil(max(low, -1.0))), min(cols - 1, math.floor(min(high, 1e6)))
        dy = y - p[1]
        for x in range(start, end + 1):
            dx = x - p[0]
            z = p[2] + zx * dx + zy * dy
            if z <= nearness[y, x]:
                continue
            a, b = (p[3] + ax * dx + ay * dy) / z, (p[4] + bx * dx + by * dy) / z
            if shape != WHOLE and not inside(shape, a, b, tint):
                continue
            mask[y, x] = what[0]
            nearness[y, x] = z
            along[y, x] = a
            across[y, x] = b
            objects[y, x] = what[1]
            faces[y, x] = face


@njit(cache=True)
def inside(shape, u, v, tint):
    """Whether the outline of an object of that kind holds the point u in [-1, 1], v in [0, 1] of its rectangle."""
    m = abs(u)
    if shape in (POST, LAMP):
        return True
    if shape == WALKER:
        if v > 0.87:
            return m * m * 0.07 + (v - 0.93) * (v - 0.93) < 0.0042
        if v > 0.46:
            return m < 0.62 + 0.5 * min(0.0, 0.7 - v)
        return 0.08 < m < 0.5
    rough = noise(u * 4.0 + 97.0 * tint, v * 5.0, 11) - 0.5
    if shape == TREE:
        w = (v - 0.63) / 0.37
        return (v < 0.4 and m < 0.07) or u * u + w * w < 0.86 + 0.55 * rough
    if shape == CONIFER:
        tier = (v * 7.0 + 0.5 * rough) % 1.0
        return (v < 0.14 and m < 0.07) or (v > 0.1 and m < (1.0 - v) * (1.1 - 0.4 * tier) + 0.12 * rough)
    if shape == SHRUB:
        return u * u + v * v < 0.8 + 0.5 * rough
    return True


@njit(cache=True)
def empty_buffers(rows, cols):
    """Buffers of a sky that nothing has been drawn on."""
    return (
        np.zeros((rows, cols), np.uint8),
        np.zeros((rows, cols), np.float32),
        np.zeros((rows, cols), np.float32),
        np.zeros((rows, cols), np.float32),
        np.zeros((rows, cols), np.int32),
        np.zeros((rows, cols), np.uint8),
    )
