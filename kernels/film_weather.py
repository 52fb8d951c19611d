"""Light and weather on recorded frames: the road's air, mirrors, sky, rain and snow before what a camera saw.

Counts are taken to linear colours by the inverse of the curve that the road's frames are developed with, and back by
the curve. What a surface throws back is what it showed, over the light that fell on it; then other light falls on it.
"""

import math

import numpy as np
from numba import njit, prange

from sciworld.kernels.road_air import blur_into_air, mirror_wet_ground
from sciworld.kernels.road_layout import (
    FAST,
    FOG,
    HAZE,
    LAMP_GAIN,
    LAMPS,
    PUDDLES,
    RAIN,
    ROAD,
    SKY,
    SNOW,
    SNOW_COVER,
    STRUCTURE,
    WET,
)
from sciworld.kernels.road_noise import noise, ramp
from sciworld.kernels.road_particles import particles
from sciworld.kernels.road_raster import axes_of, to_world
from sciworld.kernels.road_shading import FILM
from sciworld.kernels.road_sky import HEADLIGHT, fall_of_light, headlight, sky

SNOW_WHITE = (0.75, 0.76, 0.8)
WHITEST = 0.97  # of the square of counts: what is brighter was too bright for the camera, nobody knows how bright
BRIGHTEST = 1.1  # albedo: what shone more than white paper is a lamp
LAMP_FROM, LAMP_TO = 0.6, 0.9  # squares of counts of what shines by itself, above the horizon of places without a sky
GROUND = 0.8  # of the height of the camera that lies below it: what is lower is ground
TINY = 1e-4  # in place of no light, to divide by
BEAM = 2.0  # of the own headlights, over a sheet in full light
LANE, WHEEL = 1.9, 0.8  # m from the middle of the way: to where snow lies as it fell, to the wheels
THICK = 0.003  # 1/m: of fog so thin that it has but a part of clear air's haze


@njit(parallel=True, **FAST)
def weather(frames, depth, share, indoors, cams, bends, before, after, anew, wind, seconds, seed, out):
    """Draw light and weather into frames.

    frames, out : (time, y, x, 3) float32, developed, 1 is white. depth : (time, y, x) m. share : (time, y, x) of sky.
    indoors : whether there is none at all. cams : (time, 8), see `road_layout`. bends : (time,) 1/m, of the car's way
    to the left. before, after : (time, column) light, of the frames and wanted. anew : (time,) how much of the sky is
    drawn anew. wind : (time, 2) m/s. seconds : (time,).
    """
    count, rows, cols, _ = frames.shape
    for t in prange(count):
        axes = axes_of(cams[t])
        far = depth[t]
        colour = np.empty((rows, cols, 3), np.float32)
        values = np.empty((rows, cols, 3), np.float32)
        labels = np.empty((rows, cols, 3), np.int32)
        mirror = np.zeros((rows, cols), np.float32)
        light = after[t].copy()
        surfaces(
            frames[t],
            far,
            share[t],
            indoors,
            axes,
            bends[t],
            before[t],
            light,
            anew[t],
            seconds[t],
            seed,
            colour,
            values,
            labels,
            mirror,
        )
        air = light.copy()
        more = light[FOG] - before[t, FOG]
        if more > 0.0:
            air[FOG] = more + HAZE * min(1.0, more / THICK)
            blur_into_air(colour, values, labels, axes, air)
        air[FOG] = max(more, 0.0)
        mirror_wet_ground(colour, mirror, values, labels, axes, air, seconds[t], seed)
        light[RAIN] = max(0.0, light[RAIN] - before[t, RAIN])
        light[SNOW] = max(0.0, light[SNOW] - before[t, SNOW])
        particles(colour, values, axes, light, wind[t], seconds[t], seed)
        for y in range(rows):
            for x in range(cols):
                for k in range(3):
                    out[t, y, x, k] = developed(colour[y, x, k])


@njit(forceinline=True, **FAST)
def linear(count):
    """The linear colour of a count in [0, 1]: the inverse of `developed`."""
    a, b, c, d, e = FILM
    shown = min(count * count, np.float32(WHITEST))
    first, second = a - c * shown, b - d * shown
    return (math.sqrt(second * second + np.float32(4.0) * first * e * shown) - second) / (np.float32(2.0) * first)


@njit(forceinline=True, **FAST)
def developed(colour):
    """The count of a linear colour, see `road_shading.develop`."""
    a, b, c, d, e = FILM
    v = max(colour, np.float32(0.0))
    v = v * (a * v + b) / (v * (c * v + d) + e)
    return math.sqrt(min(max(v, np.float32(0.0)), np.float32(1.0)))


@njit(**FAST)
def surfaces(
    frame, far, share, indoors, axes, bend, before, after, anew, seconds, seed, colour, values, labels, mirror
):
    """Light of its own on every pixel, and for what follows where it is, what it is, and how much it mirrors."""
    rows, cols, _ = frame.shape
    focal, turn = axes[7], (0.0, 0.0, 0.0, *axes[3:])
    slope = axes[6] / axes[5]  # of the pitch
    old_up, new_up = fall_of_light(before, 0.0, 0.0, 1.0, 0.0), fall_of_light(after, 0.0, 0.0, 1.0, 0.0)
    old_front = fall_of_light(before, -axes[3], -axes[4], 0.0, 0.0)
    new_front = fall_of_light(after, -axes[3], -axes[4], 0.0, 0.0)
    wet = max(0.0, after[WET] - before[WET])
    puddles = max(0.0, after[PUDDLES] - before[PUDDLES])
    cover = max(0.0, after[SNOW_COVER] - before[SNOW_COVER])
    lamps = max(0.0, after[LAMPS] - before[LAMPS]) * BEAM * after[LAMP_GAIN]
    albedo = np.empty(3)
    for y in range(rows):
        up = (axes[9] - y) / focal
        for x in range(cols):
            right, ahead, clear = (x - axes[8]) / focal, far[y, x], share[y, x]
            # What lies as deep as the plane of the road is taken for it.
            ground = -(up + slope) * ahead > GROUND * axes[2]
            old, new = (old_up, new_up) if ground else (old_front, new_front)
            is_sky = clear > 0.5
            labels[y, x, 0] = SKY if is_sky else (ROAD if ground else STRUCTURE)
            values[y, x, 0] = np.inf if is_sky else ahead
            # Where a pixel of the ground lies in the world, by which what lies on it stays where it is.
            s = axes[0] + ahead * (axes[3] + right * axes[4])
            n = axes[1] + ahead * (axes[4] - right * axes[3])
            values[y, x, 1], values[y, x, 2] = s, n
            brightest = 0.0
            for k in range(3):
                colour[y, x, k] = linear(frame[y, x, k])
                brightest = max(brightest, frame[y, x, k])
                albedo[k] = min(colour[y, x, k] / max(old[k], TINY), BRIGHTEST)
            if clear < 1.0:
                if ground:
                    aside = right * ahead + 0.5 * bend * ahead * ahead
                    mirror[y, x] = lie_on_ground(albedo, wet, puddles, cover, aside, s, n, seed)
                elif cover > 0.0:
                    white = 0.45 * cover * ramp(0.35, 0.65, noise(0.6 * s, 0.6 * up * ahead, seed + 2))
                    for k in range(3):
                        albedo[k] += white * (SNOW_WHITE[k] - albedo[k])
                beam = lamps * headlight(right * ahead, up * ahead, ahead) if lamps > 0.0 else 0.0
                itself = ramp(LAMP_FROM, LAMP_TO, brightest * brightest) if indoors and not ground else 0.0
                for k in range(3):
                    lit, shown = albedo[k] * (new[k] + beam * HEADLIGHT[k]), colour[y, x, k]
                    colour[y, x, k] += (1.0 - clear) * (lit + itself * max(0.0, shown - lit) - shown)
            if clear > 0.0 and anew > 0.0:
                length = np.sqrt(1.0 + right * right + up * up)
                dx, dy, dz = to_world(turn, right / length, up / length, 1.0 / length)
                drawn = sky(after, dx, dy, dz, seconds, seed)
                for k in range(3):
                    colour[y, x, k] += clear * anew * (drawn[k] - linear(frame[y, x, k]))


@njit(forceinline=True, **FAST)
def lie_on_ground(albedo, wet, puddles, cover, aside, s, n, seed):
    """Wetness, puddles and snow at (s, n) into albedo : (3,), and how much it then mirrors. aside : m to the right of
    where the car goes, along which wheels clear the snow and hollow out the road, as in the simulator (`road_ground`).
    """
    # The lane that is driven in, and one to its left, where others come.
    across = aside if aside > -LANE else aside + 2.0 * LANE
    shine, track = 0.0, max(0.0, 1.0 - abs(abs(across) - WHEEL) / 0.45)
    if wet > 0.0 or puddles > 0.0:
        puddle = 0.0
        if puddles > 0.0:
            hollow = 0.75 * noise(0.1 * s, 0.55 * n, seed + 4) + 0.25 * track
            puddle = ramp(0.98 - 0.6 * puddles, 1.1 - 0.6 * puddles, hollow)
        dark = 1.0 - 0.5 * max(wet, puddle)
        for k in range(3):
            albedo[k] *= dark
        shine = max(0.4 * wet, puddle)
    if cover > 0.0:
        thick = 1.7 * cover - 0.55 * noise(0.35 * s, 0.8 * n, seed + 12)
        white = ramp(0.0, 0.5, thick)
        if abs(across) < LANE:
            white = 0.92 * ramp(0.35, 1.25, thick - (0.55 + 0.35 * noise(0.2 * s, 0.3 * n, seed + 13)) * track)
        for k in range(3):
            albedo[k] += white * (SNOW_WHITE[k] - albedo[k])
        shine *= 1.0 - white
    return shine
