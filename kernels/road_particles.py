"""Rain and snow: drops and flakes fixed in lattices that fall and drift through the world, past the camera.

A lattice moves as one with the particles' velocity, and each of its cells holds at most one particle at a hashed place.
So a particle is the same one in every frame, wherever the camera goes, and nothing has to be remembered.
"""

import math

import numpy as np
from numba import njit

from sciworld.kernels.road_layout import FAST, LAMP_GAIN, RAIN, SKY_RGB, SNOW, SUN_RGB
from sciworld.kernels.road_noise import hashed, ramp
from sciworld.kernels.road_raster import to_camera
from sciworld.kernels.road_sky import headlight

FAR, NEAREST = 13.0, 0.5  # m
NEAR_SIGHT, SIGHT_GAIN = 8.0, 0.03  # m, and m for each pixel of focal length: a coarse picture shows near drops alone
RAIN_CELL, SNOW_CELL = 0.85, 0.62  # m
RAIN_FALL, SNOW_FALL = 8.0, 1.2  # m/s, of drops of 3 mm (Gunn and Kinzer 1949), of flakes
EXPOSURE = 0.016  # s: how long a drop draws its streak
SWAY, SWAY_RATE = 0.12, 2.5  # m, rad/s of flakes


@njit(**FAST)
def particles(colour, values, axes, light, wind, seconds, seed):
    """Draw rain and snow before what the camera saw. wind : (2,) m/s."""
    if light[RAIN] > 0.0:
        fall = (wind[0], wind[1], -RAIN_FALL)
        lattice(colour, values, axes, light, fall, RAIN_CELL, light[RAIN], False, seconds, seed)
    if light[SNOW] > 0.0:
        fall = (0.8 * wind[0], 0.8 * wind[1], -SNOW_FALL)
        lattice(colour, values, axes, light, fall, SNOW_CELL, light[SNOW], True, seconds, seed + 1)


@njit(**FAST)
def reach_of(axes, rows, cols, origin, cell, far):
    """The cells that the camera's pyramid can touch: (least, most) along x, y, z, for an eye at `origin`."""
    least, most = np.empty(3, np.int64), np.empty(3, np.int64)
    low = np.array([origin[0], origin[1], origin[2]])
    high = low.copy()
    for k in range(4):
        right = far * ((0.0 if k % 2 == 0 else cols - 1.0) - axes[8]) / axes[7]
        up = far * (axes[9] - (0.0 if k < 2 else rows - 1.0)) / axes[7]
        level = far * axes[5] - up * axes[6]
        corner = (
            origin[0] + level * axes[3] + right * axes[4],
            origin[1] + level * axes[4] - right * axes[3],
            origin[2] + far * axes[6] + up * axes[5],
        )
        for m in range(3):
            low[m], high[m] = min(low[m], corner[m]), max(high[m], corner[m])
    for m in range(3):
        least[m], most[m] = math.floor(low[m] / cell), math.floor(high[m] / cell)
    return least, most


@njit(**FAST)
def lattice(colour, values, axes, light, fall, cell, share, snow, seconds, seed):
    """Draw the particles of one lattice, filled to `share`, that moves at `fall` = (vx, vy, vz) m/s."""
    rows, cols, _ = values.shape
    # Seen from the lattice it is the camera that moves.
    origin = (axes[0] - fall[0] * seconds, axes[1] - fall[1] * seconds, axes[2] - fall[2] * seconds)
    eye = (*origin, *axes[3:])
    far = min(FAR, NEAR_SIGHT + SIGHT_GAIN * axes[7])
    least, most = reach_of(axes, rows, cols, origin, cell, far)
    wide, high = 0.5 * cols / axes[7], 0.5 * rows / axes[7]
    for i in range(least[0], most[0] + 1):
        for j in range(least[1], most[1] + 1):
            for k in range(least[2], most[2] + 1):
                right, up, ahead = to_camera(eye, (i + 0.5) * cell, (j + 0.5) * cell, (k + 0.5) * cell)
                if ahead < NEAREST or ahead > far:
                    continue
                if abs(right) > wide * ahead + cell or abs(up) > high * ahead + cell:
                    continue
                if hashed(i, j, seed + 31 * k) >= share:
                    continue
                x = (i + hashed(i, j, seed + 31 * k + 7)) * cell
                y = (j + hashed(j, k, seed + 31 * i + 11)) * cell
                z = (k + hashed(k, i, seed + 31 * j + 13)) * cell
                if snow:
                    phase = 6.2832 * hashed(i, k, seed + 31 * j) + SWAY_RATE * seconds
                    x, y = x + SWAY * math.sin(phase), y + SWAY * math.cos(1.3 * phase)
                right, up, ahead = to_camera(eye, x, y, z)
                if ahead > NEAREST:
                    _draw(colour, values, axes, light, fall, far, right, up, ahead, snow)


@njit(**FAST)
def _draw(colour, values, axes, light, fall, far, right, up, ahead, snow):
    """Draw one particle as a stroke, as long as it falls during the exposure."""
    focal = axes[7]
    fade = ramp(NEAREST, 1.2, ahead) * (1.0 - ramp(0.65 * far, far, ahead))
    px, py = axes[8] + focal * right / ahead, axes[9] - focal * up / ahead
    stray = 1.6 * light[LAMP_GAIN] * headlight(right, up - 0.5, ahead + 2.0)
    if snow:
        breadth = 0.028 * focal / ahead
        opacity = fade * min(1.0, 0.3 + breadth * breadth)
        radius = max(0.71, 0.5 * breadth)
        bright = (1.7, 0.35, stray)
        _blot(colour, values, ahead, px, py, radius, opacity, bright, light)
        return
    fx = (fall[0] * axes[4] - fall[1] * axes[3]) * EXPOSURE
    fz = (fall[0] * axes[3] + fall[1] * axes[4]) * axes[5] * EXPOSURE + fall[2] * axes[6] * EXPOSURE
    fy = fall[2] * axes[5] * EXPOSURE
    later = max(0.3, ahead + fz)
    qx, qy = axes[8] + focal * (right + fx) / later, axes[9] - focal * (up + fy) / later
    opacity = fade * min(0.6, 0.12 + 0.009 * focal / ahead)
    # A short streak lets less through than a long one: the drop's light is spread along it.
    _stroke(colour, values, ahead, px, py, qx, qy, opacity, (1.25, 0.12, 0.5 * stray), light)


@njit(**FAST)
def _mix_into(colour, y, x, opacity, bright, light):
    for k in range(3):
        value = bright[0] * light[SKY_RGB + k] + bright[1] * light[SUN_RGB + k] + bright[2]
        colour[y, x, k] += opacity * (value - colour[y, x, k])


@njit(**FAST)
def _blot(colour, values, ahead, px, py, radius, opacity, bright, light):
    rows, cols, _ = values.shape
    for y in range(max(0, math.ceil(py - radius)), min(rows - 1, math.floor(py + radius)) + 1):
        for x in range(max(0, math.ceil(px - radius)), min(cols - 1, math.floor(px + radius)) + 1):
            q = ((x - px) ** 2 + (y - py) ** 2) / (radius * radius)
            if q < 1.0 and values[y, x, 0] > ahead:
                _mix_into(colour, y, x, opacity * (1.0 - q * q), bright, light)


@njit(**FAST)
def _stroke(colour, values, ahead, px, py, qx, qy, opacity, bright, light):
    rows, cols, _ = values.shape
    dx, dy = qx - px, qy - py
    steps = int(min(60.0, max(abs(dx), abs(dy)))) + 1
    for step in range(steps):
        t = (step + 0.5) / steps
        fx, fy = px + t * dx, py + t * dy
        x, y = math.floor(fx), math.floor(fy + 0.5)
        if y < 0 or y >= rows:
            continue
        # Over the two pixels beside it, so that it slides rather than jumps.
        for side in range(2):
            share = 1.0 - (fx - x) if side == 0 else fx - x
            if 0 <= x + side < cols and values[y, x + side, 0] > ahead:
                _mix_into(colour, y, x + side, opacity * share, bright, light)
