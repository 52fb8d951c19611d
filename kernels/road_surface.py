"""What objects look like: colour, normal and own light of a point on a building, a plant, a vehicle, a person."""

import math

from numba import njit

from sciworld.kernels.road_ground import seen
from sciworld.kernels.road_layout import (
    BUILDING,
    CABIN,
    CAR,
    CONIFER,
    FAST,
    FRONT,
    HEIGHT,
    HOUSE,
    KIND,
    LENGTH,
    POST,
    REAR,
    ROOF_LEFT,
    ROOF_RIGHT,
    SHRUB,
    SIGN,
    TINT,
    TOP,
    TREE,
    TRUCK,
    WALKER,
    WIDTH,
    YAW,
)
from sciworld.kernels.road_noise import hashed, noise

FLOOR, BAY = 3.1, 2.7  # m, of windows
GLASS = 0.03


@njit(**FAST)
def normal_of(rows, i, face, axes, u, v):
    """Normal of a face of an object: what is flat and turned to the camera is taken for round."""
    kind = int(rows[i, KIND])
    if kind in (TREE, CONIFER, SHRUB, WALKER):
        # Right of the camera is (sin yaw, -cos yaw).
        side, up = 0.8 * u, 0.75 * (v - 0.45) if kind != CONIFER else 0.25
        near = math.sqrt(max(0.05, 1.0 - side * side - up * up))
        return side * axes[4] - near * axes[3], -side * axes[3] - near * axes[4], up
    face = face & 7
    if face == TOP:
        return 0.0, 0.0, 1.0
    yaw = rows[i, YAW]
    if face in (ROOF_LEFT, ROOF_RIGHT):
        turn = yaw + (0.5 if face == ROOF_LEFT else -0.5) * math.pi
        return 0.57 * math.cos(turn), 0.57 * math.sin(turn), 0.82
    if kind in (CAR, BUILDING, HOUSE, SIGN):
        turn = yaw + 0.5 * math.pi * face
        return math.cos(turn), math.sin(turn), 0.0
    return -axes[3], -axes[4], 0.0


@njit(**FAST)
def surface(rows, i, face, u, v, footprint, lamps, seed):
    """Albedo (r, g, b), own light (r, g, b) and gloss of a point of an object. lamps : 0 by day to 1 by night."""
    kind, tint = int(rows[i, KIND]), rows[i, TINT]
    if kind in (BUILDING, HOUSE):
        return wall(rows, i, face, u, v, footprint, lamps)
    if kind == CAR:
        return bodywork(rows, i, face, u, v, lamps)
    if kind == WALKER:
        return clothes(tint, u, v)
    if kind == SIGN:
        return plate(rows, i, face, u, v, tint)
    if kind in (TREE, CONIFER, SHRUB):
        return leaves(kind, tint, u, v, seed)
    if kind == POST and rows[i, HEIGHT] < 1.5:
        band = 0.03 if 0.7 < v < 0.85 else 0.6
        return band, band, band, 0.0, 0.0, 0.0, 0.0
    grey = 0.09 if kind != POST else 0.06
    return grey, grey, grey, 0.0, 0.0, 0.0, 0.0


@njit(**FAST)
def leaves(kind, tint, u, v, seed):
    """Bark below, leaves above, darker in their depth."""
    if v < (0.13 if kind == CONIFER else 0.3) and abs(u) < 0.08 and kind != SHRUB:
        return 0.055, 0.04, 0.028, 0.0, 0.0, 0.0, 0.0
    depth = 0.45 + 0.9 * noise(6.0 * u + 50.0 * tint, 9.0 * v, seed)
    if kind == CONIFER:
        return 0.045 * depth, (0.085 + 0.03 * tint) * depth, 0.038 * depth, 0.0, 0.0, 0.0, 0.0
    warm = 0.075 + 0.06 * tint
    return warm * depth, (0.125 + 0.04 * tint) * depth, 0.034 * depth, 0.0, 0.0, 0.0, 0.0


@njit(**FAST)
def wall(rows, i, face, u, v, footprint, lamps):
    """Walls with windows, lit at night behind some; roofs."""
    tint = rows[i, TINT]
    house = int(rows[i, KIND]) == HOUSE
    if face in (ROOF_LEFT, ROOF_RIGHT):
        grey = 0.7 + 0.3 * seen(3.0, footprint) * (1.0 if (v * 3.0) % 1.0 > 0.25 else 0.4)
        if tint < 0.5:
            return 0.2 * grey, 0.075 * grey, 0.045 * grey, 0.0, 0.0, 0.0, 0.0
        return 0.07 * grey, 0.072 * grey, 0.08 * grey, 0.0, 0.0, 0.0, 0.0
    if face == TOP:
        return 0.15, 0.15, 0.15, 0.0, 0.0, 0.0, 0.0
    r, g, b = 0.2 + 0.32 * tint, 0.19 + 0.28 * tint, 0.17 + 0.22 * tint
    if 0.3 < tint < 0.6 and not house:  # brick
        r, g, b = 0.26, 0.13, 0.085
    number = int(tint * 65536.0)
    bay, floor = math.floor(u / BAY), math.floor(v / FLOOR)
    x, y = u / BAY - bay, v / FLOOR - floor
    window = 0.28 < x < 0.72 and 0.3 < y < 0.8 and 0 <= v < rows[i, HEIGHT] - 0.5
    if house and floor == 0 and hashed(bay, 5, number) < 0.25:
        window = window or (0.3 < x < 0.65 and y < 0.7 and v >= 0.0)
    share = seen(0.45, footprint)
    glass = (1.0 if window else 0.0) * share + 0.22 * (1.0 - share)
    if not house and v < 3.3:  # shops
        glass = 0.6
    lit = 0.0
    if lamps > 0.0:
        on = 1.0 if hashed(bay, floor, number) < (0.45 if house else 0.3) else 0.0
        lit = lamps * glass * (on * share + 0.3 * (1.0 - share))
        if not house and v < 3.3:
            lit = lamps * 0.5 * hashed(math.floor(u / 5.4), 9, number)
    r, g, b = r + glass * (GLASS - r), g + glass * (GLASS - g), b + glass * (1.4 * GLASS - b)
    cool = hashed(bay, floor, number + 1)
    return r, g, b, 0.75 * lit, (0.5 + 0.12 * cool) * lit, (0.22 + 0.3 * cool) * lit, 0.6 * glass


@njit(**FAST)
def bodywork(rows, i, face, u, v, lamps):
    """Paint, glass, wheels, headlights at the front and red ones behind."""
    tint, height, length = rows[i, TINT], rows[i, HEIGHT], rows[i, LENGTH]
    side = face & 7
    truck = height >= TRUCK
    if face >= CABIN and side != TOP:
        half = 0.43 * rows[i, WIDTH] if side in (FRONT, REAR) else 0.275 * length
        if abs(u) < half - 0.08 and v < height - 0.1:
            return GLASS, GLASS, 1.2 * GLASS, 0.0, 0.0, 0.0, 0.9
    r, g, b = paint(tint)
    if truck and side != FRONT:
        r, g, b = 0.5 + 0.2 * tint, 0.5 + 0.2 * tint, 0.48 + 0.2 * tint
    if side in (FRONT, REAR) and face < CABIN:
        edge = abs(u) / (0.5 * rows[i, WIDTH])
        low, high = (0.7, 1.0) if truck else (0.42 * height, 0.55 * height)
        if edge > 0.62 and low < v < high:
            if side == REAR:
                return 0.3, 0.02, 0.015, 0.9 * lamps, 0.05 * lamps, 0.03 * lamps, 0.0
            return 0.6, 0.6, 0.6, 2.0 * lamps, 1.9 * lamps, 1.6 * lamps, 0.0
        if side == REAR and abs(u) < 0.26 and 0.26 * height < v < 0.36 * height:
            return 0.55, 0.55, 0.5, 0.0, 0.0, 0.0, 0.0
        if truck and side == FRONT and 1.7 < v < 2.7 and edge < 0.9:
            return GLASS, GLASS, GLASS, 0.0, 0.0, 0.0, 0.9
    elif side != TOP and face < CABIN:
        for k in range(2):
            x = u - (0.32 if k == 0 else -0.3) * length
            if x * x + (v - 0.33) * (v - 0.33) < 0.36 * 0.36:
                return 0.012, 0.012, 0.012, 0.0, 0.0, 0.0, 0.0
    if v < 0.3 and side != TOP:
        return 0.02, 0.02, 0.02, 0.0, 0.0, 0.0, 0.0
    return r, g, b, 0.0, 0.0, 0.0, 0.5


@njit(**FAST)
def paint(tint):
    """Paint of a car: greys and white mostly, some red, blue, green."""
    if tint < 0.25:
        return 0.62, 0.62, 0.6
    if tint < 0.45:
        return 0.03, 0.03, 0.033
    if tint < 0.62:
        return 0.26, 0.27, 0.28
    if tint < 0.76:
        return 0.42, 0.03, 0.025
    if tint < 0.9:
        return 0.03, 0.085, 0.28
    return 0.05, 0.15, 0.07


@njit(**FAST)
def clothes(tint, u, v):
    """Head, coat and trousers."""
    if v > 0.87:
        return 0.32, 0.2, 0.14, 0.0, 0.0, 0.0, 0.0
    if v > 0.46:
        if tint < 0.33:
            return 0.4, 0.06, 0.05, 0.0, 0.0, 0.0, 0.0
        if tint < 0.66:
            return 0.08, 0.12, 0.3, 0.0, 0.0, 0.0, 0.0
        return 0.45, 0.4, 0.12, 0.0, 0.0, 0.0, 0.0
    return 0.03, 0.035, 0.06, 0.0, 0.0, 0.0, 0.0


@njit(**FAST)
def plate(rows, i, face, u, v, tint):
    """A road sign: small ones warn or limit, large ones guide; grey from behind."""
    half = 0.5 * rows[i, LENGTH]
    if v < rows[i, HEIGHT] - 0.8 * rows[i, LENGTH] or (face & 7) != REAR:
        return 0.2, 0.2, 0.2, 0.0, 0.0, 0.0, 0.0
    x, y = abs(u) / half, abs(v - rows[i, HEIGHT] + 0.4 * rows[i, LENGTH]) / (0.4 * rows[i, LENGTH])
    rim = max(x, y)
    if rows[i, LENGTH] > 2.0:
        if rim > 0.92 or (y < 0.55 and 0.15 < (4.0 * x) % 1.0 < 0.6 and (3.0 * y) % 1.0 < 0.45):
            return 0.6, 0.6, 0.6, 0.0, 0.0, 0.0, 0.0
        return 0.02, 0.09, 0.3, 0.0, 0.0, 0.0, 0.0
    if tint < 0.5:
        return (0.5, 0.03, 0.03, 0.0, 0.0, 0.0, 0.0) if rim > 0.7 else (0.65, 0.65, 0.63, 0.0, 0.0, 0.0, 0.0)
    return (0.02, 0.02, 0.02, 0.0, 0.0, 0.0, 0.0) if rim > 0.9 else (0.6, 0.42, 0.02, 0.0, 0.0, 0.0, 0.0)
