"""The light on what the geometry pass saw: surfaces, mirrors, air, lamps, rain and snow; then counts."""

import math

import numpy as np
from numba import njit, prange

from sciworld.kernels.road_air import blur_into_air, mirror_wet_ground
from sciworld.kernels.road_glow import glow
from sciworld.kernels.road_ground import ground
from sciworld.kernels.road_layout import (
    BARRIER,
    FAST,
    KIND,
    LAMP_GAIN,
    LAMP_SPACING,
    LAMPS,
    PLACE,
    POST,
    SIGN,
    SKY,
    SKY_RGB,
    SNOW_COVER,
    TOP,
    X,
    Y,
    Z,
)
from sciworld.kernels.road_noise import hashed, noise, ramp
from sciworld.kernels.road_particles import particles
from sciworld.kernels.road_raster import axes_of, to_world
from sciworld.kernels.road_shadow import shadows
from sciworld.kernels.road_sky import fall_of_light, lamp_light, sky
from sciworld.kernels.road_surface import normal_of, surface

# In float32, so that the loop over the pixels is one of vectors.
FILM = (np.float32(2.51), np.float32(0.03), np.float32(2.43), np.float32(0.59), np.float32(0.14))
ZERO, HALF, ONE, WHITE = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(255.0)
FAR_AWAY = 1e9  # m: from any street lamp
NOISE_SCALE = math.sqrt(12.0 / 4.0)  # four uniforms added have the variance 4 / 12


@njit(parallel=True, **FAST)
def shade(
    cams, which, sections, seeds, movers, objects, counts, grounds, values, labels, light, wind, seconds, grain, out
):
    """Frames of what the geometry pass saw.

    cams, which, sections, seeds, movers, objects, counts, values, labels : as `road_geometry.geometry` has them.
    grounds : (place, 2, 3). light : (candidate, column) float32. wind : (candidate, 2) m/s along x, y. seconds :
    (candidate,). grain : sigma of the noise in counts, and seeds : (candidate,) int64. out : (candidate, y, x, 3)
    uint8.
    """
    rows, cols = out.shape[1], out.shape[2]
    for c in prange(cams.shape[0]):
        w = which[c]
        axes = axes_of(cams[c])
        colour = np.empty((rows, cols, 3), np.float32)
        mirror = np.zeros((rows, cols), np.float32)
        shadow = np.zeros((rows, cols), np.float32)
        near = nearest(objects[w], counts[w], axes)
        shadows(shadow, values[c], labels[c], axes, light[c], movers[c], objects[w], near)
        tables = (sections[w], movers[c], objects[w], grounds[int(sections[w, PLACE])])
        surfaces(colour, mirror, shadow, values[c], labels[c], axes, light[c], *tables, seconds[c], seeds[w])
        blur_into_air(colour, values[c], labels[c], axes, light[c])
        mirror_wet_ground(colour, mirror, values[c], labels[c], axes, light[c], seconds[c], seeds[w])
        glow(colour, mirror, values[c], axes, light[c], movers[c], objects[w], near)
        particles(colour, values[c], axes, light[c], wind[c], seconds[c], seeds[w])
        develop(colour, grain[0], grain[1][c], out[c])


@njit(**FAST)
def nearest(objects, count, axes):
    """First and last (excluded) of the objects that stand within 140 m of the camera."""
    first, last = count, 0
    for k in range(count):
        dx, dy = objects[k, X] - axes[0], objects[k, Y] - axes[1]
        if dx * dx + dy * dy < 140.0 * 140.0:
            first = min(first, k)
            last = k + 1
    return first, last


@njit(**FAST)
def surfaces(colour, mirror, shadow, values, labels, axes, light, section, movers, standing, grounds, seconds, seed):
    """Light every pixel, as if there were no air between."""
    rows, cols, _ = values.shape
    turn = (0.0, 0.0, 0.0, *axes[3:])
    for y in range(rows):
        up = (axes[9] - y) / axes[7]
        for x in range(cols):
            right = (x - axes[8]) / axes[7]
            number = labels[y, x, 1] - 1
            if labels[y, x, 0] == SKY:
                scale = 1.0 / math.sqrt(1.0 + right * right + up * up)
                dx, dy, dz = to_world(turn, right * scale, up * scale, scale)
                r, g, b = sky(light, dx, dy, dz, seconds, seed)
            elif labels[y, x, 0] == BARRIER:
                r, g, b = lit_barrier(values, labels, axes, light, section, y, x, right, up)
            elif number < 0:
                r, g, b = lit_ground(
                    mirror, shadow, values, labels, axes, light, section, grounds, y, x, right, up, seed
                )
            elif number < movers.shape[0]:
                r, g, b = lit_object(values, labels, axes, light, section, movers, number, y, x, right, up, seed)
            else:
                number -= movers.shape[0]
                r, g, b = lit_object(values, labels, axes, light, section, standing, number, y, x, right, up, seed)
            colour[y, x, 0], colour[y, x, 1], colour[y, x, 2] = r, g, b


@njit(forceinline=True, **FAST)
def footprint_of(values, labels, m, y, x, fallback):
    """How much the surface coordinate m changes from pixel to pixel, m."""
    rows, cols, _ = values.shape
    p, q = y + 1 if y + 1 < rows else y - 1, x + 1 if x + 1 < cols else x - 1
    number, value = labels[y, x, 1], values[y, x, m]
    total = abs(values[p, x, m] - value) if labels[p, x, 1] == number else fallback
    return total + (abs(values[y, q, m] - value) if labels[y, q, 1] == number else fallback)


@njit(forceinline=True, **FAST)
def lit_barrier(values, labels, axes, light, section, y, x, right, up):
    """Linear colour of a guard rail, or of the wall on a median strip."""
    ahead, height = values[y, x, 0], values[y, x, 2]
    grey = (0.3 if labels[y, x, 2] != 1 else 0.24) * (0.75 + 0.25 * ramp(0.3, 0.6, height))
    r, g, b = fall_of_light(light, -axes[3] * 0.7, -axes[4] * 0.7, 0.5, 0.0)
    lr, lg, lb = lamp_light(light, section, right * ahead, up * ahead, ahead, 0.6, values[y, x, 1], 0.0)
    return grey * (r + lr), grey * (g + lg), grey * (b + lb)


@njit(forceinline=True, **FAST)
def lit_ground(mirror, shadow, values, labels, axes, light, section, grounds, y, x, right, up, seed):
    """Linear colour of the ground, and into `mirror` how much it mirrors."""
    ahead, s, n = values[y, x, 0], values[y, x, 1], values[y, x, 2]
    fs = min(60.0, footprint_of(values, labels, 1, y, x, 3.0 * ahead / axes[7]))
    fn = min(20.0, footprint_of(values, labels, 2, y, x, ahead / axes[7]))
    ar, ag, ab, shine = ground(light, grounds, section, labels[y, x, 0], s, n, fs, fn, seed)
    mirror[y, x] = shine
    r, g, b = fall_of_light(light, 0.0, 0.0, 1.0, shadow[y, x])
    if light[LAMPS] > 0.0:
        lr, lg, lb = lamp_light(light, section, right * ahead, up * ahead, ahead, 0.0, s, n)
        # Wet ground throws headlights away from the driver.
        keep = 1.0 - 0.55 * shine
        r, g, b = r + keep * lr, g + keep * lg, b + keep * lb
    return ar * r, ag * g, ab * b


@njit(forceinline=True, **FAST)
def lit_object(values, labels, axes, light, section, rows, i, y, x, right, up, seed):
    """Linear colour of object i of rows : (object, 10)."""
    ahead, u, v, face = values[y, x, 0], values[y, x, 1], values[y, x, 2], labels[y, x, 2]
    nx, ny, nz = normal_of(rows, i, face, axes, u, v)
    pixel = ahead / axes[7]
    footprint = footprint_of(values, labels, 1, y, x, pixel) + footprint_of(values, labels, 2, y, x, pixel)
    ar, ag, ab, er, eg, eb, gloss = surface(rows, i, face, u, v, footprint, light[LAMPS], seed)
    if light[SNOW_COVER] > 0.0 and nz > 0.15:
        white = light[SNOW_COVER] * ramp(0.15, 0.7, nz + 0.4 * (noise(5.0 * u, 5.0 * v, seed) - 0.5))
        ar, ag, ab = ar + white * (0.75 - ar), ag + white * (0.76 - ag), ab + white * (0.8 - ab)
    r, g, b = fall_of_light(light, nx, ny, nz, 0.0)
    gain = light[LAMP_GAIN]
    if light[LAMPS] > 0.0:
        kind = int(rows[i, KIND])
        shine = 4.0 if kind in (SIGN, POST) else 1.0  # retroreflective
        facing = max(0.0, -(nx * axes[3] + ny * axes[4])) * shine
        lr, lg, lb = lamp_light(light, section, right * ahead, up * ahead, ahead, facing, FAR_AWAY, FAR_AWAY)
        height = axes[2] + ahead * (up * axes[5] + axes[6]) - rows[i, Z]
        street = 0.35 * gain * (1.0 - ramp(2.0, 14.0, height)) * (1.0 if section[LAMP_SPACING] > 0.0 else 0.0)
        r, g, b = r + lr + street, g + lg + 0.62 * street, b + lb + 0.3 * street
    # Glass and paint mirror the sky, tops more of it.
    mirror = 0.3 * gloss * (1.0 if (face & 7) != TOP else 1.6)
    return (
        ar * r + gain * er + mirror * light[SKY_RGB],
        ag * g + gain * eg + mirror * light[SKY_RGB + 1],
        ab * b + gain * eb + mirror * light[SKY_RGB + 2],
    )


@njit(**FAST)
def develop(colour, sigma, seed, out):
    """Linear colours to counts: the filmic curve of Narkowicz (2015), gamma 2, and noise of `sigma` counts."""
    linear, counts = colour.reshape(-1), out.reshape(-1)
    a, b, c, d, e = FILM
    for k in range(len(linear)):
        v = linear[k]
        v = v * (a * v + b) / (v * (c * v + d) + e)
        linear[k] = WHITE * np.sqrt(min(max(v, ZERO), ONE)) + HALF
    if sigma > 0.0:
        for k in range(len(linear)):
            total = -2.0
            for m in range(4):
                total += hashed(k, m, seed)
            linear[k] = min(max(linear[k] + sigma * NOISE_SCALE * total, 0.0), 255.0)
    for k in range(len(linear)):
        counts[k] = np.uint8(linear[k])
