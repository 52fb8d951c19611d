"""The light on what the geometry pass saw: surfaces, mirrors, air, lamps, rain and snow; then counts."""

import math

import numpy as np
from numba import njit, prange

from sciworld.kernels.road_air import blur_into_air, mirror_wet_ground
from sciworld.kernels.road_glow import glow
from sciworld.kernels.road_ground import ground
from sciworld.kernels.road_layout import (
    BARRIER,
    KIND,
    LAMP_GAIN,
    LAMPS,
    PLACE,
    POST,
    SIGN,
    SKY,
    SKY_RGB,
    SNOW_COVER,
    TOP,
    Z,
)
from sciworld.kernels.road_noise import hashed, noise, ramp
from sciworld.kernels.road_particles import particles
from sciworld.kernels.road_raster import axes_of, to_world
from sciworld.kernels.road_shadow import shadows
from sciworld.kernels.road_sky import fall_of_light, lamp_light, sky
from sciworld.kernels.road_surface import normal_of, surface

NOISE_SCALE = math.sqrt(12.0 / 4.0)  # four uniforms added have the variance 4 / 12


@njit(cache=True, parallel=True)
def shade(cams, which, sections, seeds, movers, objects, counts, grounds, buffers, light, wind, seconds, noise_of, out):
    """Frames of what the geometry pass left in `buffers`.

    cams, which, sections, seeds, movers, objects, counts, buffers : as `road_geometry.geometry` has them. grounds :
    (place, 2, 3). light : (candidate, column) float32. wind : (candidate, 2) m/s along x, y. seconds : (candidate,).
    noise_of : (sigma in counts, seeds : (candidate,) int64). out : (candidate, y, x, 3) uint8.
    """
    rows, cols = out.shape[1], out.shape[2]
    for c in prange(cams.shape[0]):
        w = which[c]
        own = (buffers[0][c], buffers[1][c], buffers[2][c], buffers[3][c], buffers[4][c], buffers[5][c])
        axes = axes_of(cams[c])
        colour = np.empty((rows, cols, 3), np.float32)
        mirror = np.zeros((rows, cols), np.float32)
        shadow = np.zeros((rows, cols), np.float32)
        near = nearest(objects[w], counts[w], axes)
        shadows(shadow, own, axes, light[c], movers[c], objects[w], near)
        tables = (sections[w], movers[c], objects[w], grounds[int(sections[w, PLACE])])
        surfaces(colour, mirror, shadow, own, axes, light[c], tables, seconds[c], seeds[w])
        blur_into_air(colour, own, axes, light[c])
        mirror_wet_ground(colour, mirror, own, axes, light[c], seconds[c], seeds[w])
        glow(colour, mirror, own, axes, light[c], movers[c], objects[w], near)
        particles(colour, own, axes, light[c], wind[c], seconds[c], seeds[w])
        develop(colour, noise_of[0], noise_of[1][c], out[c])


@njit(cache=True)
def nearest(objects, count, axes):
    """First and last (excluded) of the objects that stand within 140 m of the camera along x, or more of the road."""
    first, last = count, 0
    for k in range(count):
        dx, dy = objects[k, 1] - axes[0], objects[k, 2] - axes[1]
        if dx * dx + dy * dy < 140.0 * 140.0:
            first = min(first, k)
            last = k + 1
    return first, last


@njit(cache=True)
def surfaces(colour, mirror, shadow, buffers, axes, light, tables, seconds, seed):
    """Light every pixel, as if there were no air between."""
    mask = buffers[0]
    rows, cols = mask.shape
    for y in range(rows):
        up = (axes[9] - y) / axes[7]
        for x in range(cols):
            right = (x - axes[8]) / axes[7]
            if mask[y, x] == SKY:
                scale = 1.0 / math.sqrt(1.0 + right * right + up * up)
                dx, dy, dz = to_world((0.0, 0.0, 0.0, *axes[3:]), right * scale, up * scale, scale)
                rgb = sky(light, dx, dy, dz, seconds, seed)
            elif buffers[4][y, x] == 0:
                rgb = lit_ground(mirror, shadow, buffers, axes, light, tables, y, x, right, up, seed)
            else:
                rgb = lit_object(buffers, axes, light, tables, y, x, right, up, seed)
            colour[y, x, 0], colour[y, x, 1], colour[y, x, 2] = rgb


@njit(cache=True)
def footprint_of(values, objects, y, x, fallback):
    """How much a surface coordinate changes from pixel to pixel, m."""
    rows, cols = objects.shape
    total = 0.0
    for step in range(2):
        p, q = (y + 1 if y + 1 < rows else y - 1, x) if step == 0 else (y, x + 1 if x + 1 < cols else x - 1)
        total += abs(values[p, q] - values[y, x]) if objects[p, q] == objects[y, x] else fallback
    return total


@njit(cache=True)
def lit_ground(mirror, shadow, buffers, axes, light, tables, y, x, right, up, seed):
    """Linear colour of ground or guard rail, and into `mirror` how much it mirrors."""
    mask, depth, along, across, objects, faces = buffers
    section, colours = tables[0], tables[3]
    ahead = depth[y, x]
    s, n = along[y, x], across[y, x]
    if mask[y, x] == BARRIER:
        # Its coordinates are s and the height; the sides lie at the edges of the road.
        grey = 0.3 if faces[y, x] != 1 else 0.24
        grey *= 0.75 + 0.25 * ramp(0.3, 0.6, n)
        r, g, b = fall_of_light(light, -axes[3] * 0.7, -axes[4] * 0.7, 0.5, 0.0)
        lr, lg, lb = lamp_light(light, section, right * ahead, up * ahead, ahead, 0.6, s, 0.0)
        return grey * (r + lr), grey * (g + lg), grey * (b + lb)
    fs = footprint_of(along, objects, y, x, 3.0 * ahead / axes[7])
    fn = footprint_of(across, objects, y, x, ahead / axes[7])
    ar, ag, ab, shine = ground(light, colours, section, mask[y, x], s, n, min(fs, 60.0), min(fn, 20.0), seed)
    mirror[y, x] = shine
    r, g, b = fall_of_light(light, 0.0, 0.0, 1.0, shadow[y, x])
    if light[LAMPS] > 0.0:
        lr, lg, lb = lamp_light(light, section, right * ahead, up * ahead, ahead, 0.0, s, n)
        # Wet ground throws headlights away from the driver.
        keep = 1.0 - 0.55 * shine
        r, g, b = r + keep * lr, g + keep * lg, b + keep * lb
    return ar * r, ag * g, ab * b


@njit(cache=True)
def lit_object(buffers, axes, light, tables, y, x, right, up, seed):
    """Linear colour of an object."""
    _, depth, along, across, objects, faces = buffers
    section, movers, standing, _ = tables
    number = objects[y, x] - 1
    row = movers[number] if number < movers.shape[0] else standing[number - movers.shape[0]]
    u, v, face, ahead = along[y, x], across[y, x], faces[y, x], depth[y, x]
    nx, ny, nz = normal_of(row, face, axes, u, v)
    footprint = footprint_of(along, objects, y, x, ahead / axes[7]) + footprint_of(
        across, objects, y, x, ahead / axes[7]
    )
    ar, ag, ab, er, eg, eb, gloss = surface(row, face, u, v, footprint, light[LAMPS], seed)
    if light[SNOW_COVER] > 0.0 and nz > 0.15:
        white = light[SNOW_COVER] * ramp(0.15, 0.7, nz + 0.4 * (noise(5.0 * u, 5.0 * v, seed) - 0.5))
        ar, ag, ab = ar + white * (0.75 - ar), ag + white * (0.76 - ag), ab + white * (0.8 - ab)
    r, g, b = fall_of_light(light, nx, ny, nz, 0.0)
    if light[LAMPS] > 0.0:
        shine = 4.0 if int(row[KIND]) in (SIGN, POST) else 1.0  # retroreflective
        facing = max(0.0, -(nx * axes[3] + ny * axes[4])) * shine
        lr, lg, lb = lamp_light(light, section, right * ahead, up * ahead, ahead, facing, 1e9, 1e9)
        height = axes[2] + ahead * (up * axes[5] + axes[6]) - row[Z]
        street = 0.35 * light[LAMP_GAIN] * (1.0 - ramp(2.0, 14.0, height)) * (1.0 if section[6] > 0.0 else 0.0)
        r, g, b = r + lr + street, g + lg + 0.62 * street, b + lb + 0.3 * street
    gain = light[LAMP_GAIN]
    mirror = 0.12 * gloss * (1.0 if (face & 7) != TOP else 1.6)
    return (
        ar * r + gain * er + mirror * light[SKY_RGB] * 2.5,
        ag * g + gain * eg + mirror * light[SKY_RGB + 1] * 2.5,
        ab * b + gain * eb + mirror * light[SKY_RGB + 2] * 2.5,
    )


@njit(cache=True)
def develop(colour, sigma, seed, out):
    """Linear colours to counts: the filmic curve of Narkowicz (2015), gamma 2, and noise of `sigma` counts."""
    rows, cols, _ = colour.shape
    for y in range(rows):
        for x in range(cols):
            for k in range(3):
                v = colour[y, x, k]
                v = v * (2.51 * v + 0.03) / (v * (2.43 * v + 0.59) + 0.14)
                value = 255.0 * math.sqrt(min(max(v, 0.0), 1.0))
                if sigma > 0.0:
                    total = -2.0
                    for m in range(4):
                        total += hashed(y * cols + x, 4 * k + m, seed)
                    value += sigma * NOISE_SCALE * total
                out[y, x, k] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
