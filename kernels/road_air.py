"""What air does to what is seen through it, and what wet ground mirrors."""

import math

from numba import njit

from sciworld.kernels.road_layout import FAST, FOG, LAMP_GAIN, LAMPS, RAIN, SKY, TERRAIN
from sciworld.kernels.road_noise import decay, noise
from sciworld.kernels.road_raster import to_world
from sciworld.kernels.road_sky import air, clearness, sky_clearness

STEPS = 14  # of a mirrored ray


@njit(**FAST)
def blur_into_air(colour, values, labels, axes, light):
    """Mix the colour of the air into every pixel, by its true distance."""
    rows, cols, _ = values.shape
    turn = (0.0, 0.0, 0.0, *axes[3:])
    # The own headlights shine on the air before the camera.
    stray = 0.3 * light[LAMP_GAIN] * light[LAMPS] * (1.0 - decay(18.0 * (light[FOG] - 0.0009)))
    for y in range(rows):
        up = (axes[9] - y) / axes[7]
        for x in range(cols):
            right = (x - axes[8]) / axes[7]
            length = math.sqrt(1.0 + right * right + up * up)
            dx, dy, dz = to_world(turn, right / length, up / length, 1.0 / length)
            if labels[y, x, 0] == SKY:
                clear = sky_clearness(light, dz)
            else:
                distance = values[y, x, 0] * length
                clear = clearness(light, distance, distance * dz)
            if clear > 0.998:
                continue
            r, g, b = air(light, dx, dy, dz)
            if stray > 0.0:
                beam = stray / (1.0 + 5.0 * right * right + 22.0 * (up + 0.1) * (up + 0.1))
                r, g, b = r + beam, g + 0.95 * beam, b + 0.85 * beam
            colour[y, x, 0] = r + clear * (colour[y, x, 0] - r)
            colour[y, x, 1] = g + clear * (colour[y, x, 1] - g)
            colour[y, x, 2] = b + clear * (colour[y, x, 2] - b)


@njit(**FAST)
def horizon_row(axes, pitch):
    """The row of the horizon of ground that the camera looks down on by -pitch rad."""
    return axes[9] + axes[7] * math.tan(pitch)


@njit(**FAST)
def mirror_wet_ground(colour, mirror, values, labels, axes, light, seconds, seed):
    """Add to wet ground what it mirrors: the light from above its mirrored ray's end, found on the screen.

    Over flat ground the inverse depth of a mirrored ray is linear in the row: it leaves the ground at the pixel and
    meets infinity as far above the horizon as the pixel is below.
    """
    rows, cols, _ = values.shape
    horizon = horizon_row(axes, math.atan2(axes[6], axes[5]))
    for y in range(rows - 1, -1, -1):
        if y <= horizon + 0.5:
            break
        up = (axes[9] - y) / axes[7]
        for x in range(cols):
            shine = mirror[y, x]
            if shine < 0.02:
                continue
            right = (x - axes[8]) / axes[7]
            # Fresnel's law by Schlick (1994), for water.
            sine = min(1.0, max(0.0, (y - horizon) / axes[7] / math.sqrt(1.0 + right * right + up * up)))
            q = 1.0 - sine
            share = shine * (0.02 + 0.98 * q * q * q * q * q)
            column = x
            if light[RAIN] > 0.0:
                ripple = noise(6.0 * values[y, x, 1] + 9.0 * seconds, 6.0 * values[y, x, 2], seed) - 0.5
                column = min(max(int(x + ripple * 0.02 * axes[7]), 0), cols - 1)
            row = mirrored(values, labels, y, column, values[y, x, 0], horizon)
            share *= clearness(light, values[y, x, 0], 0.0)
            for k in range(3):
                colour[y, x, k] += share * (colour[row, column, k] - colour[y, x, k])


@njit(**FAST)
def mirrored(values, labels, y, x, ahead, horizon):
    """The row whose light the ground at row y, `ahead` m away, mirrors."""
    end = 2.0 * horizon - y
    for step in range(1, STEPS):
        t = step / STEPS
        row = int(y + t * (end - y))
        if row < 0:
            return 0
        if labels[row, x, 0] > TERRAIN and values[row, x, 0] * (1.0 - t) < ahead * 1.02 and values[row, x, 0] > ahead:
            return row
    return min(max(int(end), 0), y)
