"""What the ground looks like: asphalt, paint, pavement, terrain, snow and puddles, as functions of (s, n)."""

import math

from numba import njit

from sciworld.kernels.road_layout import (
    FAST,
    FIELDS,
    LANE_WIDTH,
    MEDIAN,
    PAVED,
    PLACE,
    PUDDLES,
    SNOW_COVER,
    TERRAIN,
    WET,
)
from sciworld.kernels.road_line import marking, road_edge
from sciworld.kernels.road_noise import hashed, noise, ramp

PAINT, ASPHALT, SNOW_WHITE = 0.68, 0.125, 0.78


@njit(**FAST)
def seen(scale, footprint):
    """How much is left of a texture of `scale` cells a metre in a footprint that is that many metres long."""
    q = scale * footprint
    return 1.0 / (1.0 + q * q * (1.0 + q))


@njit(**FAST)
def asphalt(section, s, n, fs, fn, seed):
    """Albedo of the road's surface, with its grain, patches, and what tyres have left; grey."""
    sharp = seen(7.0, fs + fn)
    grain = (noise(7.0 * s, 13.0 * n, seed) - 0.5) * sharp if sharp > 0.05 else 0.0
    patch = noise(0.05 * s, 0.35 * n, seed + 3) - 0.5
    grey = ASPHALT * (1.0 + 0.22 * grain + 0.25 * patch)
    # Wheels polish the asphalt 0.8 m to both sides of a lane's middle.
    return grey * (1.0 - 0.13 * wheel_track(section, n) * seen(0.8, fn))


@njit(**FAST)
def wheel_track(section, n):
    """1 where wheels run, 0 between."""
    across = (abs(n) - section[MEDIAN]) / section[LANE_WIDTH]
    across = abs(across - math.floor(across) - 0.5) * section[LANE_WIDTH]
    return max(0.0, 1.0 - abs(across - 0.8) / 0.45)


@njit(forceinline=True, **FAST)
def terrain(ground, section, s, n, fs, fn, seed):
    """Albedo of the land beside the road : (r, g, b). ground : (2, 3), its two colours."""
    footprint = fs + fn
    share, bright = 0.65 * noise(0.09 * s, 0.09 * n, seed + 5) + 0.175, 1.0
    coarse, fine = seen(0.5, footprint), seen(2.6, footprint)
    if coarse > 0.05:
        share += 0.35 * (noise(0.6 * s, 0.6 * n, seed + 6) - 0.5) * coarse
    if fine > 0.05:
        bright += 0.6 * (noise(2.6 * s, 2.6 * n, seed + 7) - 0.5) * fine
    if int(section[PLACE]) == FIELDS:
        beyond = abs(n) - road_edge(section)
        if beyond > 9.0:
            row = math.floor((beyond - 9.0) / 75.0) * (1 if n > 0 else -1)
            field = hashed(math.floor(s / 130.0), row, seed)
            share = min(1.0, 0.25 * share + 1.6 * abs(field - 0.4))
            bright *= 0.8 + 0.9 * field * field
            furrows = 0.5 + 0.5 * math.sin(2.2 * n) if fn < 1.0 else 0.5
            bright *= 1.0 + 0.14 * (furrows - 0.5) * seen(0.7, fn)
            if field > 0.72:  # ripe corn
                return bright * 0.27, bright * 0.2, bright * 0.06
    return (
        bright * (ground[0, 0] + share * (ground[1, 0] - ground[0, 0])),
        bright * (ground[0, 1] + share * (ground[1, 1] - ground[0, 1])),
        bright * (ground[0, 2] + share * (ground[1, 2] - ground[0, 2])),
    )


@njit(**FAST)
def pavement(section, s, n, fs, fn, seed):
    """Albedo of the pavement: slabs and a kerb; grey."""
    grey = 0.23 * (1.0 + 0.25 * (noise(0.7 * s, 0.7 * n, seed + 8) - 0.5))
    kerb = abs(n) - road_edge(section)
    dark, bright = within(kerb, 0.0, 0.1, fn), within(kerb, 0.1, 0.28, fn)
    gap = 1.0 if (s % 1.5) < 0.06 or (n % 1.0) < 0.06 else 0.0
    return grey * (1.0 - 0.4 * dark + 0.35 * bright) * (1.0 - 0.3 * gap * seen(12.0, fs + fn))


@njit(**FAST)
def within(at, low, high, footprint):
    """How much of a footprint about `at` lies between low and high: 0 to 1."""
    half = 0.5 * max(footprint, 1e-3)
    return max(0.0, min(at + half, high) - max(at - half, low)) / (2.0 * half)


@njit(forceinline=True, **FAST)
def ground(light, colours, section, klass, s, n, fs, fn, seed):
    """Albedo (r, g, b) of the ground at (s, n), and how much it mirrors, 0 to 1. fs, fn : m that a pixel covers."""
    paved = klass != TERRAIN
    if not paved:
        r, g, b = terrain(colours, section, s, n, fs, fn, seed)
    elif klass == PAVED:
        r = g = b = pavement(section, s, n, fs, fn, seed)
    else:
        grey = asphalt(section, s, n, fs, fn, seed)
        painted = marking(section, s, n, max(fs, 0.02), max(fn, 0.02))
        if painted > 0.0:
            grey += painted * (0.75 + 0.25 * noise(1.1 * s, 3.0 * n, seed + 9)) * (PAINT - grey)
        r, g, b = grey, grey, 0.98 * grey
    mirror = 0.0
    if light[WET] > 0.0 or light[PUDDLES] > 0.0:
        puddle = 0.0
        if paved and light[PUDDLES] > 0.0:
            # Water stands in long hollows, most of all in the wheel tracks.
            hollow = 0.75 * noise(0.1 * s, 0.55 * n, seed + 4) + 0.25 * wheel_track(section, n)
            puddle = ramp(0.98 - 0.6 * light[PUDDLES], 1.1 - 0.6 * light[PUDDLES], hollow)
        dark = 1.0 - (0.5 if paved else 0.3) * max(light[WET], puddle)
        r, g, b = r * dark, g * dark, b * dark
        mirror = max(0.4 * light[WET] * (1.0 if paved else 0.0), puddle)
    if light[SNOW_COVER] > 0.0:
        white = snow_on_ground(light, section, klass, s, n, seed)
        r += white * (SNOW_WHITE - r)
        g += white * (SNOW_WHITE * 1.01 - g)
        b += white * (SNOW_WHITE * 1.05 - b)
        mirror *= 1.0 - white
    return r, g, b, mirror


@njit(**FAST)
def snow_on_ground(light, section, klass, s, n, seed):
    """How much of the ground snow hides, 0 to 1: all of the land soon, of the road last where wheels run."""
    depth = 1.7 * light[SNOW_COVER] - 0.55 * noise(0.35 * s, 0.8 * n, seed + 12)
    if klass in (TERRAIN, PAVED):
        return ramp(0.0, 0.35, depth)
    if abs(n) > road_edge(section) - 0.35:
        return ramp(0.0, 0.5, depth)
    return ramp(0.35, 1.25, depth - (0.55 + 0.35 * noise(0.2 * s, 0.3 * n, seed + 13)) * wheel_track(section, n)) * 0.92
