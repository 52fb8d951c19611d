"""Lamps that one sees: street lamps, headlights and tail lights glow, and wet ground draws them out into streaks."""

import math

from numba import njit

from sciworld.kernels.road_air import horizon_row
from sciworld.kernels.road_layout import (
    CAR,
    FAST,
    FOG,
    HEIGHT,
    KIND,
    LAMP,
    LAMP_ARM,
    LAMP_GAIN,
    LAMPS,
    LENGTH,
    WIDTH,
    YAW,
    X,
    Y,
    Z,
)
from sciworld.kernels.road_raster import to_camera
from sciworld.kernels.road_sky import HEADLIGHT, STREET, clearness

RED = (1.0, 0.05, 0.03)


@njit(**FAST)
def glow(colour, mirror, values, axes, light, movers, objects, near):
    """Add the glow of every lamp in sight to colour : (y, x, 3)."""
    if light[LAMPS] <= 0.0:
        return
    for k in range(near[0], near[1]):
        row = objects[k]
        if int(row[KIND]) == LAMP:
            x, y = row[X] + LAMP_ARM * math.cos(row[YAW]), row[Y] + LAMP_ARM * math.sin(row[YAW])
            shine(colour, mirror, values, axes, light, (x, y, row[Z] + row[HEIGHT] - 0.2), STREET, 1.0, 0.32, row[Z])
    for k in range(movers.shape[0]):
        row = movers[k]
        if int(row[KIND]) != CAR:
            continue
        c, w = math.cos(row[YAW]), math.sin(row[YAW])
        dx, dy = axes[0] - row[X], axes[1] - row[Y]
        facing = (c * dx + w * dy) / max(1.0, math.hypot(dx, dy))
        front = facing > 0.0
        end = (0.5 if front else -0.5) * row[LENGTH]
        strength = (1.9 if front else 0.55) * facing * facing
        for side in range(2):
            v = (0.38 if side == 0 else -0.38) * row[WIDTH]
            place = (row[X] + end * c - v * w, row[Y] + end * w + v * c, row[Z] + 0.7)
            tone = HEADLIGHT if front else RED
            shine(colour, mirror, values, axes, light, place, tone, strength, 0.22 if front else 0.15, row[Z])


@njit(**FAST)
def shine(colour, mirror, values, axes, light, place, tone, strength, size, foot):
    """One lamp of `size` m at place = (x, y, z), over ground at height `foot`."""
    right, up, ahead = to_camera(axes, place[0], place[1], place[2])
    if ahead < 1.0 or ahead > 250.0:
        return
    focal = axes[7]
    px, py = axes[8] + focal * right / ahead, axes[9] - focal * up / ahead
    rows, cols, _ = values.shape
    x, y = int(px + 0.5), int(py + 0.5)
    clear = clearness(light, ahead, up)
    strength *= light[LAMP_GAIN] * clear
    # Fog spreads the light of a lamp.
    thick = min(1.0, 12.0 * light[FOG])
    radius = focal * size * (1.0 + 3.0 * thick) / ahead * 1.6 + 0.006 * focal * (1.0 + 2.0 * thick) + 0.6
    if strength < 0.004 or px < -radius or px > cols + radius or py > rows + radius:
        return
    seen = 0 <= x < cols and 0 <= y < rows
    if seen and values[y, x, 0] < ahead - 1.2:
        return
    if py > -radius:
        spot(colour, px, py, radius, radius, strength, tone)
        # A wide faint halo.
        spot(colour, px, py, 3.2 * radius, 3.2 * radius, (0.09 + 0.1 * thick) * strength, tone)
    horizon = horizon_row(axes, math.atan2(axes[6], axes[5]))
    height = axes[2] - foot
    low = horizon + focal * (height + place[2] - foot) / ahead
    streak(colour, mirror, px, low, horizon + focal * height / ahead, radius, strength, tone)


@njit(**FAST)
def spot(colour, px, py, rx, ry, strength, tone):
    """Add an ellipse of light that fades to its rim."""
    rows, cols, _ = colour.shape
    for y in range(max(0, math.ceil(py - ry)), min(rows - 1, math.floor(py + ry)) + 1):
        dy = (y - py) / ry
        for x in range(max(0, math.ceil(px - rx)), min(cols - 1, math.floor(px + rx)) + 1):
            dx = (x - px) / rx
            q = 1.0 - dx * dx - dy * dy
            if q > 0.0:
                q *= q * strength
                for k in range(3):
                    colour[y, x, k] += q * tone[k]


@njit(**FAST)
def streak(colour, mirror, px, py, top, radius, strength, tone):
    """Add the mirror image of a lamp, drawn out along the column on wet ground: two half ellipses that meet at row py.

    The upper one reaches up to row `top`, the lower one a little further down; both fade to their rims.
    """
    rows, cols, _ = colour.shape
    above = max(py - top, 1.0)
    below = max(1.2 * above, 2.0)
    half = 0.9 * radius + 0.5
    for y in range(max(0, math.ceil(py - above)), min(rows - 1, math.floor(py + below)) + 1):
        dy = (y - py) / (above if y < py else below)
        for x in range(max(0, math.ceil(px - half)), min(cols - 1, math.floor(px + half)) + 1):
            dx = (x - px) / half
            q = 1.0 - dx * dx - dy * dy
            if q > 0.0 and mirror[y, x] > 0.0:
                q *= 0.75 * q * strength * mirror[y, x]
                for k in range(3):
                    colour[y, x, k] += q * tone[k]
