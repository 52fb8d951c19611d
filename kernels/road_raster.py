"""Triangles in perspective into the buffers of one camera.

values : (y, x, 3) inverse depth and two surface coordinates, float32. labels : (y, x, 3) class, object, face, int32.

A vertex is (right, up, ahead, a, b): camera coordinates in m, and two surface coordinates that are interpolated with
correct perspective. What lies nearest wins; the centres of pixels are at whole numbers.
"""

import math

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
    FAST,
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


@njit(**FAST)
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


@njit(**FAST)
def to_camera(axes, x, y, z):
    """(right, up, ahead) in m of a point of the world."""
    dx, dy, dz = x - axes[0], y - axes[1], z - axes[2]
    level = dx * axes[3] + dy * axes[4]
    right = dx * axes[4] - dy * axes[3]
    return right, dz * axes[5] - level * axes[6], level * axes[5] + dz * axes[6]


@njit(**FAST)
def to_world(axes, right, up, ahead):
    """x, y, z in m of a point in camera coordinates."""
    level = ahead * axes[5] - up * axes[6]
    x = axes[0] + level * axes[3] + right * axes[4]
    y = axes[1] + level * axes[4] - right * axes[3]
    return x, y, axes[2] + ahead * axes[6] + up * axes[5]


@njit(**FAST)
def put(corners, k, axes, x, y, z, a, b):
    """Set corner k of a polygon to a point of the world with surface coordinates a, b."""
    corners[k, 0], corners[k, 1], corners[k, 2] = to_camera(axes, x, y, z)
    corners[k, 3], corners[k, 4] = a, b


@njit(**FAST)
def clip(corners, count, out):
    """Cut a polygon of `count` corners at the near plane into out; returns how many corners are left."""
    kept = 0
    for k in range(count):
        after = k + 1 if k + 1 < count else 0
        one, two = corners[k, 2], corners[after, 2]
        if one >= NEAR:
            for m in range(5):
                out[kept, m] = corners[k, m]
            kept += 1
        if (one >= NEAR) != (two >= NEAR):
            t = (NEAR - one) / (two - one)
            for m in range(5):
                out[kept, m] = corners[k, m] + t * (corners[after, m] - corners[k, m])
            kept += 1
    return kept


@njit(**FAST)
def on_screen(axes, corners, k):
    """Turn corner k from (right, up, ahead, a, b) into (px, py, 1 / ahead, a / ahead, b / ahead)."""
    inverse = 1.0 / corners[k, 2]
    corners[k, 0] = axes[8] + axes[7] * corners[k, 0] * inverse
    corners[k, 1] = axes[9] - axes[7] * corners[k, 1] * inverse
    corners[k, 2] = inverse
    corners[k, 3] *= inverse
    corners[k, 4] *= inverse


@njit(**FAST)
def polygon(values, labels, axes, corners, count, scratch, what, face, shape, tint):
    """Draw a convex polygon. what : (class, object). shape : WHOLE, or the kind of object that fills it in part."""
    kept = clip(corners, count, scratch)
    for k in range(kept):
        on_screen(axes, scratch, k)
    for k in range(1, kept - 1):
        fill(values, labels, scratch, 0, k, k + 1, what, face, shape, tint)


@njit(**FAST)
def crossing(x0, y0, x1, y1, y, low, high):
    """Widen (low, high) by where the row y crosses an edge, if it does."""
    if (y0 <= y) != (y1 <= y):
        x = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
        return min(low, x), max(high, x)
    return low, high


@njit(**FAST)
def gradients(points, i, j, k, m, scale):
    """Gradient along x and y of a value that is linear on the screen, from its values m at three corners."""
    dq, dr = (points[j, m] - points[i, m]) * scale, (points[k, m] - points[i, m]) * scale
    x, y = points[i, 0], points[i, 1]
    return dq * (points[k, 1] - y) - dr * (points[j, 1] - y), dr * (points[j, 0] - x) - dq * (points[k, 0] - x)


@njit(**FAST)
def extent(points, i, j, k, m):
    """The least and the greatest of the values m of three corners."""
    p, q, r = points[i, m], points[j, m], points[k, m]
    return min(p, min(q, r)), max(p, max(q, r))


@njit(**FAST)
def fill(values, labels, points, i, j, k, what, face, shape, tint):
    """Draw one triangle of the corners i, j, k of points : (point, 5), see `on_screen`."""
    rows, cols, _ = values.shape
    least, most = extent(points, i, j, k, 1)
    first, last = max(0, math.ceil(least)), min(rows - 1, math.floor(most))
    least, most = extent(points, i, j, k, 0)
    x0, y0, x1, y1, x2, y2 = points[i, 0], points[i, 1], points[j, 0], points[j, 1], points[k, 0], points[k, 1]
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    if first > last or most < 0.0 or least > cols - 1 or abs(area) < 1e-9:
        return
    zx, zy = gradients(points, i, j, k, 2, 1.0 / area)
    ax, ay = gradients(points, i, j, k, 3, 1.0 / area)
    bx, by = gradients(points, i, j, k, 4, 1.0 / area)
    z0, a0, b0 = points[i, 2], points[i, 3], points[i, 4]
    for y in range(first, last + 1):
        low, high = crossing(x0, y0, x1, y1, y, 1e30, -1e30)
        low, high = crossing(x1, y1, x2, y2, y, low, high)
        low, high = crossing(x2, y2, x0, y0, y, low, high)
        dy = y - y0
        for x in range(max(0, math.ceil(max(low, -1.0))), min(cols - 1, math.floor(min(high, 1e6))) + 1):
            dx = x - x0
            z = z0 + zx * dx + zy * dy
            if z <= values[y, x, 0]:
                continue
            away = 1.0 / z
            a, b = (a0 + ax * dx + ay * dy) * away, (b0 + bx * dx + by * dy) * away
            if shape != WHOLE and not inside(shape, a, b, tint):
                continue
            values[y, x, 0], values[y, x, 1], values[y, x, 2] = z, a, b
            labels[y, x, 0], labels[y, x, 1], labels[y, x, 2] = what[0], what[1], face


@njit(**FAST)
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
