"""Sky, air and lamps: colours by direction and distance. Light is a row of the layout's light table."""

from numba import njit

from sciworld.kernels.road_layout import (
    CLOUD,
    CLOUD_RGB,
    DISC,
    FAST,
    FIRST_LAMP,
    FOG,
    FOG_FALLOFF,
    FOG_RGB,
    FOG_START,
    GLOW,
    HAZE,
    HORIZON,
    LAMP_ARM,
    LAMP_BEYOND,
    LAMP_GAIN,
    LAMP_HEIGHT,
    LAMP_SPACING,
    SKY_RGB,
    SUN,
    SUN_RGB,
    WIND,
    ZENITH,
)
from sciworld.kernels.road_line import road_edge
from sciworld.kernels.road_noise import decay, noise, ramp

CLOUD_TOP = 1.0 / 300.0  # 1/m: the least falloff of fog, which is a layer of 300 m for those who look up
STREET = (1.0, 0.62, 0.28)
HEADLIGHT = (1.0, 0.93, 0.8)


@njit(**FAST)
def toward_sun(light, dx, dy, dz):
    """Cosine of the angle to the sun, and its 8th power (0 away from it)."""
    g = dx * light[SUN] + dy * light[SUN + 1] + dz * light[SUN + 2]
    p = max(g, 0.0)
    p *= p
    p *= p
    return g, p * p


@njit(**FAST)
def sky(light, dx, dy, dz, seconds, seed):
    """Linear colour of the sky in the unit direction (dx, dy, dz)."""
    low = 1.0 - min(max(dz, 0.0), 1.0)
    t = low * low
    t *= t
    g, g8 = toward_sun(light, dx, dy, dz)
    g64 = g8 * g8
    g64 *= g64
    g64 *= g64
    glow = 0.75 * g8 * t + 0.5 * g64
    g64 *= g64
    g64 *= g64
    disc = light[DISC] * (6.0 * ramp(0.99955, 0.99985, g) + 0.8 * g64)
    r = light[ZENITH] + t * (light[HORIZON] - light[ZENITH]) + glow * light[GLOW]
    v = light[ZENITH + 1] + t * (light[HORIZON + 1] - light[ZENITH + 1]) + glow * light[GLOW + 1]
    b = light[ZENITH + 2] + t * (light[HORIZON + 2] - light[ZENITH + 2]) + glow * light[GLOW + 2]
    r, v, b = r + disc * light[SUN_RGB], v + disc * light[SUN_RGB + 1], b + disc * light[SUN_RGB + 2]
    cover = light[CLOUD]
    if cover > 0.02 and dz > 0.015:
        drift = 0.0012 * light[WIND] * seconds
        px, py = 1.3 * dx / (dz + 0.12) + drift, 1.3 * dy / (dz + 0.12)
        puffs = noise(px, py, seed)
        puffs = 0.55 * puffs + 0.3 * noise(2.3 * px, 2.3 * py, seed + 1) + 0.15 * noise(5.1 * px, 5.1 * py, seed + 2)
        share = ramp(0.82 - 0.8 * cover, 1.0 - 0.8 * cover, puffs) * ramp(0.0, 0.12, dz)
        shade = (1.14 - 0.42 * puffs) * (1.0 + 0.4 * g8 * light[DISC])
        r += share * (shade * light[CLOUD_RGB] - r)
        v += share * (shade * light[CLOUD_RGB + 1] - v)
        b += share * (shade * light[CLOUD_RGB + 2] - b)
    return r, v, b


@njit(**FAST)
def clearness(light, distance, rise):
    """The part of the light that comes through the air to `distance` m away and `rise` m higher than the camera.

    Fog begins FOG_START m away, at the height that the ray has there, and thins with height along the rest of it.
    """
    start = min(light[FOG_START], distance)
    way = distance - start
    steep = light[FOG_FALLOFF] * rise / max(distance, 1e-3)
    before, bend = steep * start, steep * way
    if steep >= 0.0:
        mean = (1.0 - decay(bend)) / bend if bend > 1e-3 else 1.0
        mean *= decay(before)
    else:
        mean = (1.0 / decay(-bend) - 1.0) / -bend if bend < -1e-3 else 1.0
        # Down into thicker air, no thicker than four times that of the camera.
        mean = min(4.0, mean / decay(-before))
    return decay(min(light[FOG] * way * mean, 40.0))


@njit(**FAST)
def sky_clearness(light, dz):
    """As `clearness`, for what lies beyond the air, in a direction of which dz is the upward component."""
    steep = max(light[FOG_FALLOFF], CLOUD_TOP) * max(dz, 0.012)
    thick = (light[FOG] - HAZE) / steep * decay(steep * light[FOG_START])
    return decay(min(thick, 40.0))


@njit(**FAST)
def air(light, dx, dy, dz):
    """Linear colour of air so thick that nothing comes through it."""
    _, g8 = toward_sun(light, dx, dy, dz)
    g = 0.3 * g8
    return (
        light[FOG_RGB] + g * light[GLOW],
        light[FOG_RGB + 1] + g * light[GLOW + 1],
        light[FOG_RGB + 2] + g * light[GLOW + 2],
    )


@njit(**FAST)
def fall_of_light(light, nx, ny, nz, shadow):
    """Sun and sky on a surface of that normal : linear colour. shadow : 0 to 1, how much of the sun is hidden."""
    sun = max(0.0, nx * light[SUN] + ny * light[SUN + 1] + nz * light[SUN + 2]) * (1.0 - shadow)
    # What faces sideways sees half of the sky, and the lit ground.
    sky_part = (0.62 + 0.38 * nz) * (1.0 - 0.25 * shadow)
    sun += 0.09 * (1.0 - nz) * max(0.0, light[SUN + 2])
    return (
        sun * light[SUN_RGB] + sky_part * light[SKY_RGB],
        sun * light[SUN_RGB + 1] + sky_part * light[SKY_RGB + 1],
        sun * light[SUN_RGB + 2] + sky_part * light[SKY_RGB + 2],
    )


@njit(**FAST)
def headlight(right, up, ahead):
    """How bright the own headlights make a sheet at that place in camera coordinates, m; dipped, 1 at its best."""
    if ahead < 1.0:
        return 0.0
    breadth = 1.3 + 0.2 * ahead
    side = 1.0 / (1.0 + (right / breadth) ** 2)
    height = (up + 0.55) / ahead
    # A rim of stray light above the cut-off.
    return side * side * (1.0 - 0.8 * ramp(-0.012, 0.05, height)) * ramp(1.0, 6.0, ahead) / (1.0 + (ahead / 17.0) ** 2)


@njit(**FAST)
def street_light(section, s, n):
    """How bright the nearest street lamps of both sides make the ground at (s, n); 1 under a lamp."""
    spacing = section[LAMP_SPACING]
    if spacing == 0.0:
        return 0.0
    foot = road_edge(section) + LAMP_BEYOND - LAMP_ARM
    total = 0.0
    for side in range(2):
        first = FIRST_LAMP + 0.5 * spacing * side
        ds = (s - first) % spacing
        ds = min(ds, spacing - ds)
        dn = n - (foot if side == 0 else -foot)
        q = 1.0 / (1.0 + (ds * ds + dn * dn) / (LAMP_HEIGHT * LAMP_HEIGHT))
        total += q * q
    return total


@njit(**FAST)
def lamp_light(light, section, right, up, ahead, facing, s, n):
    """All lamps on a point of the ground, or (facing > 0) on something upright : linear colour."""
    gain = light[LAMP_GAIN]
    own = gain * headlight(right, up, ahead) * (1.5 + 1.2 * facing)
    street = 0.9 * gain * street_light(section, s, n)
    return (
        own * HEADLIGHT[0] + street * STREET[0],
        own * HEADLIGHT[1] + street * STREET[1],
        own * HEADLIGHT[2] + street * STREET[2],
    )
