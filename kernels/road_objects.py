"""How the things beside and on the road are built of polygons."""

import math

from numba import njit

from sciworld.kernels.road_layout import (
    BUILDING,
    CABIN,
    CAR,
    FACING,
    FAST,
    FRONT,
    HEIGHT,
    HOUSE,
    KIND,
    LAMP,
    LAMP_ARM,
    LEFT,
    LENGTH,
    PEDESTRIAN,
    PLANT,
    PLATE,
    POLE,
    POST,
    REAR,
    RIGHT,
    ROOF_LEFT,
    SIGN,
    STRUCTURE,
    TINT,
    TOP,
    TRUCK,
    VEHICLE,
    WALKER,
    WIDTH,
    YAW,
    X,
    Y,
    Z,
)
from sciworld.kernels.road_raster import WHOLE, polygon, put, to_camera


@njit(**FAST)
def draw_object(values, labels, axes, rows, i, number, corners, scratch):
    """Draw object i of rows : (object, 10), see the layout; number : what is written as its label."""
    kind = int(rows[i, KIND])
    where = (rows[i, X], rows[i, Y], rows[i, Z], rows[i, YAW])
    top = rows[i, HEIGHT]
    if kind in (BUILDING, HOUSE):
        # Foundations, where the ground falls away.
        size, heights = (rows[i, LENGTH], rows[i, WIDTH]), (-1.0, top)
        draw_box(values, labels, axes, where, size, heights, (STRUCTURE, number), 0, corners, scratch)
        if kind == HOUSE:
            draw_roof(values, labels, axes, rows, i, number, corners, scratch)
    elif kind == CAR:
        draw_car(values, labels, axes, rows, i, number, corners, scratch)
    elif kind == SIGN:
        draw_flat(values, labels, axes, rows, i, (POLE, number), POST, corners, scratch)
        size, heights = (0.06, rows[i, LENGTH]), (top - 0.8 * rows[i, LENGTH], top)
        draw_box(values, labels, axes, where, size, heights, (PLATE, number), 0, corners, scratch)
    else:
        klass = PLANT
        if kind == WALKER:
            klass = PEDESTRIAN
        elif kind in (POST, LAMP):
            klass = POLE
        draw_flat(values, labels, axes, rows, i, (klass, number), kind, corners, scratch)
        if kind == LAMP:
            draw_arm(values, labels, axes, rows, i, number, corners, scratch)


@njit(**FAST)
def draw_flat(values, labels, axes, rows, i, what, kind, corners, scratch):
    """An upright rectangle that turns to the camera, filled as its kind says: a in [-1, 1] across, b in [0, 1] up."""
    dx, dy = rows[i, X] - axes[0], rows[i, Y] - axes[1]
    distance = math.hypot(dx, dy)
    if distance < 0.5:
        return
    half = 0.5 * rows[i, WIDTH]
    if kind in (POST, LAMP):
        # Never thinner than a pixel, or it would come and go as it is passed by the pixels' centres.
        half = max(0.06, 0.55 * distance / axes[7])
    rx, ry = dy / distance * half, -dx / distance * half
    z, top = rows[i, Z], rows[i, Z] + rows[i, HEIGHT]
    put(corners, 0, axes, rows[i, X] - rx, rows[i, Y] - ry, z, -1.0, 0.0)
    put(corners, 1, axes, rows[i, X] + rx, rows[i, Y] + ry, z, 1.0, 0.0)
    put(corners, 2, axes, rows[i, X] + rx, rows[i, Y] + ry, top, 1.0, 1.0)
    put(corners, 3, axes, rows[i, X] - rx, rows[i, Y] - ry, top, -1.0, 1.0)
    polygon(values, labels, axes, corners, 4, scratch, what, FACING, kind, rows[i, TINT])


@njit(**FAST)
def draw_arm(values, labels, axes, rows, i, number, corners, scratch):
    """The arm of a street lamp: toward its yaw, at the top."""
    c, w = math.cos(rows[i, YAW]), math.sin(rows[i, YAW])
    top = rows[i, Z] + rows[i, HEIGHT]
    _, _, ahead = to_camera(axes, rows[i, X], rows[i, Y], rows[i, Z])
    thick = max(0.12, 1.1 * ahead / axes[7])
    for k in range(2):
        x, y = rows[i, X] + k * LAMP_ARM * c, rows[i, Y] + k * LAMP_ARM * w
        put(corners, 3 * k, axes, x, y, top - thick, k, 0.0)
        put(corners, 1 + k, axes, x, y, top, k, 1.0)
    polygon(values, labels, axes, corners, 4, scratch, (POLE, number), FACING, WHOLE, 0.0)


@njit(**FAST)
def corner_of(where, along, across):
    """x, y of a point `along` the yaw and `across` to its left, seen from an object at where = (x, y, z, yaw)."""
    c, w = math.cos(where[3]), math.sin(where[3])
    return where[0] + along * c - across * w, where[1] + along * w + across * c


@njit(**FAST)
def draw_box(values, labels, axes, where, size, heights, what, face, corners, scratch):
    """A box at where = (x, y, z, yaw) of size = (length, width) m between two heights; its sides toward the camera."""
    h, k = 0.5 * size[0], 0.5 * size[1]
    bottom, top = where[2] + heights[0], where[2] + heights[1]
    c, w = math.cos(where[3]), math.sin(where[3])
    dx, dy = axes[0] - where[0], axes[1] - where[1]
    ahead, left = c * dx + w * dy, -w * dx + c * dy
    for side in range(4):
        if side == FRONT and ahead > h:
            ends, half = (h, -k, h, k), k
        elif side == LEFT and left > k:
            ends, half = (h, k, -h, k), h
        elif side == REAR and ahead < -h:
            ends, half = (-h, k, -h, -k), k
        elif side == RIGHT and left < -k:
            ends, half = (-h, -k, h, -k), h
        else:
            continue
        x0, y0 = corner_of(where, ends[0], ends[1])
        x1, y1 = corner_of(where, ends[2], ends[3])
        put(corners, 0, axes, x0, y0, bottom, -half, heights[0])
        put(corners, 1, axes, x1, y1, bottom, half, heights[0])
        put(corners, 2, axes, x1, y1, top, half, heights[1])
        put(corners, 3, axes, x0, y0, top, -half, heights[1])
        polygon(values, labels, axes, corners, 4, scratch, what, face + side, WHOLE, 0.0)
    if axes[2] > top:
        for m in range(4):
            u, v = (h if m in (0, 3) else -h), (k if m < 2 else -k)
            x, y = corner_of(where, u, v)
            put(corners, m, axes, x, y, top, u, v)
        polygon(values, labels, axes, corners, 4, scratch, what, face + TOP, WHOLE, 0.0)


@njit(**FAST)
def draw_roof(values, labels, axes, rows, i, number, corners, scratch):
    """A gable roof on a house, its ridge along the length."""
    where = (rows[i, X], rows[i, Y], rows[i, Z], rows[i, YAW])
    h, k = 0.5 * rows[i, LENGTH], 0.5 * rows[i, WIDTH] + 0.4
    eaves, ridge = rows[i, Z] + rows[i, HEIGHT] - 0.2, rows[i, Z] + rows[i, HEIGHT] + 0.7 * k
    for side in range(2):
        way = 1.0 if side == 0 else -1.0
        for m in range(4):
            u = (h + 0.3) * (1.0 if m in (0, 3) else -1.0)
            low = m < 2
            x, y = corner_of(where, u, way * k if low else 0.0)
            put(corners, m, axes, x, y, eaves if low else ridge, u, 0.0 if low else k)
        polygon(values, labels, axes, corners, 4, scratch, (STRUCTURE, number), ROOF_LEFT + side, WHOLE, 0.0)
    what, eave = (STRUCTURE, number), 0.5 * rows[i, WIDTH]
    for side in range(2):
        u, face = (h, FRONT) if side == 0 else (-h, REAR)
        for m in range(3):
            x, y = corner_of(where, u, (m - 1.0) * eave)
            z, v = (ridge - 0.15, rows[i, HEIGHT] + k) if m == 1 else (eaves, rows[i, HEIGHT])
            put(corners, m, axes, x, y, z, (m - 1.0) * k, v)
        polygon(values, labels, axes, corners, 3, scratch, what, face, WHOLE, 0.0)


@njit(**FAST)
def draw_car(values, labels, axes, rows, i, number, corners, scratch):
    """A car of two boxes, or a truck of one."""
    where, what = (rows[i, X], rows[i, Y], rows[i, Z], rows[i, YAW]), (VEHICLE, number)
    size, height = (rows[i, LENGTH], rows[i, WIDTH]), rows[i, HEIGHT]
    if height >= TRUCK:
        draw_box(values, labels, axes, where, size, (0.35, height), what, 0, corners, scratch)
        return
    draw_box(values, labels, axes, where, size, (0.2, 0.6 * height), what, 0, corners, scratch)
    x, y = corner_of(where, -0.06 * size[0], 0.0)
    cabin, inner = (x, y, where[2], where[3]), (0.55 * size[0], 0.86 * size[1])
    draw_box(values, labels, axes, cabin, inner, (0.6 * height, height), what, CABIN, corners, scratch)
