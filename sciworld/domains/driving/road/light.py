"""From light and weather in words of the field to linear colours: sun, sky, clouds, fog, and what the ground is like.

Colours are relative to a white sheet under a noon sun; the exposure follows the light as a camera's does, but not
wholly, so that night looks darker than day.
"""

from __future__ import annotations

import numpy as np

from sciworld.domains.driving.road.conditions import RANGES
from sciworld.kernels import road_layout as layout

COLUMN = {name: index for index, name in enumerate(RANGES)}
WHITE_SUN, LOW_SUN, RED_SUN = (1.0, 0.94, 0.84), (1.0, 0.62, 0.28), (1.0, 0.34, 0.1)
DAY_ZENITH, DUSK_ZENITH, NIGHT_ZENITH = (0.1, 0.24, 0.62), (0.055, 0.1, 0.25), (0.0008, 0.0012, 0.003)
DAY_HORIZON, DUSK_HORIZON, NIGHT_HORIZON = (0.5, 0.68, 0.92), (0.36, 0.24, 0.17), (0.0025, 0.0028, 0.0042)
DUST = (0.62, 0.42, 0.22)
WHITENESS = 0.9  # of the luminance of an overcast sky, in parts of the clear one's horizon
TOP_WIND = 15.0  # m/s


def _smooth(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _mix(one: object, two: object, share: np.ndarray) -> np.ndarray:
    """one where share : (n,) is 0, two where it is 1 : (n, 3)."""
    return np.asarray(one) * (1.0 - share[:, None]) + np.asarray(two) * share[:, None]


def light_of(conditions: np.ndarray) -> np.ndarray:
    """Light of every candidate : (n, LIGHT_COLUMNS) float32, from conditions : (n, 13), see `conditions_array`."""
    light = np.zeros((len(conditions), layout.LIGHT_COLUMNS))
    cover, dust = conditions[:, COLUMN["cloudiness"]] / 100.0, conditions[:, COLUMN["dust_storm"]] / 100.0
    altitude = conditions[:, COLUMN["sun_altitude_angle"]]
    day, high = _smooth(-9.0, 12.0, altitude), _smooth(2.0, 28.0, altitude)
    _set_sky(light, altitude, cover, day, high)
    _set_sun(light, conditions, cover, dust, high)
    _set_air(light, conditions, dust)
    _set_ground(light, conditions)
    light[:, layout.LAMPS] = 1.0 - _smooth(-4.0, 5.0, altitude - 3.0 * cover)
    _expose(light)
    return light.astype(np.float32)


def _set_sky(light: np.ndarray, altitude: np.ndarray, cover: np.ndarray, day: np.ndarray, high: np.ndarray) -> None:
    """Zenith, horizon, the glow about the sun, clouds, and the light that all of the sky gives."""
    zenith = _mix(_mix(NIGHT_ZENITH, DUSK_ZENITH, day), DAY_ZENITH, high)
    horizon = _mix(_mix(NIGHT_HORIZON, DUSK_HORIZON, day), DAY_HORIZON, high)
    grey = (horizon @ [0.3, 0.5, 0.2])[:, None] * WHITENESS * np.array([0.96, 1.0, 1.05])
    overcast = _smooth(0.55, 1.0, cover)
    light[:, layout.ZENITH : layout.ZENITH + 3] = _mix_rows(zenith, grey * 0.95, overcast)
    light[:, layout.HORIZON : layout.HORIZON + 3] = _mix_rows(horizon, grey, overcast)
    dusk = day * (1.0 - high) * _smooth(-9.0, 2.0, altitude)
    light[:, layout.GLOW : layout.GLOW + 3] = (
        _mix((0.5, 0.42, 0.3), (1.0, 0.27, 0.04), dusk) * (day * (0.35 + 0.65 * dusk) * (1.0 - overcast))[:, None]
    )
    light[:, layout.CLOUD] = cover
    lit = _mix_rows(grey * 1.25, _mix((1.0, 1.0, 1.0), (1.25, 0.72, 0.5), dusk) * day[:, None], 1.0 - overcast)
    light[:, layout.CLOUD_RGB : layout.CLOUD_RGB + 3] = np.maximum(lit, 0.002)
    # Light clouds and what lies about make the sky's light less blue than the sky.
    blue = 0.6 * (zenith + horizon) + 0.4 * 1.8 * grey
    light[:, layout.SKY_RGB : layout.SKY_RGB + 3] = 0.28 * _mix_rows(blue, 2.1 * grey, overcast)


def _mix_rows(one: np.ndarray, two: np.ndarray, share: np.ndarray) -> np.ndarray:
    return one * (1.0 - share[:, None]) + two * share[:, None]


def _set_sun(light: np.ndarray, conditions: np.ndarray, cover: np.ndarray, dust: np.ndarray, high: np.ndarray) -> None:
    """Where the sun stands, its light on a sheet that faces it, its disc."""
    altitude = np.radians(conditions[:, COLUMN["sun_altitude_angle"]])
    azimuth = np.radians(conditions[:, COLUMN["sun_azimuth_angle"]])
    light[:, layout.SUN] = np.cos(altitude) * np.cos(azimuth)
    light[:, layout.SUN + 1] = np.cos(altitude) * np.sin(azimuth)
    light[:, layout.SUN + 2] = np.sin(altitude)
    degrees = np.degrees(altitude)
    fog = conditions[:, COLUMN["fog_density"]] / 100.0
    through = (1.0 - _smooth(0.45, 0.95, cover)) * (1.0 - dust) ** 2 * (1.0 - 0.9 * np.sqrt(fog))
    colour = _mix(_mix(RED_SUN, LOW_SUN, _smooth(0.0, 8.0, degrees)), WHITE_SUN, high)
    up = _smooth(-1.0, 6.0, degrees) * (0.45 + 0.55 * high)
    light[:, layout.SUN_RGB : layout.SUN_RGB + 3] = 1.05 * colour * (up * through)[:, None]
    light[:, layout.DISC] = through * _smooth(-2.0, 0.0, degrees)


def _set_air(light: np.ndarray, conditions: np.ndarray, dust: np.ndarray) -> None:
    """Extinction by haze, fog, dust, rain and snow in 1/m, and the colour that the air takes from sky and ground."""
    fog = conditions[:, COLUMN["fog_density"]] / 100.0
    rain, snow = conditions[:, COLUMN["precipitation"]] / 100.0, conditions[:, COLUMN["snow"]] / 100.0
    # Koschmieder: one sees as far as 3.9 over the extinction.
    thick = 0.156 * fog**2.2 + 0.05 * dust**1.5 + 0.006 * rain + 0.016 * snow**1.3
    light[:, layout.FOG] = 0.0009 + thick
    light[:, layout.FOG_START] = conditions[:, COLUMN["fog_distance"]]
    # Dust, rain and snow fill the air up to the clouds: only fog thins with height.
    own = 0.156 * fog**2.2 / np.maximum(thick, 1e-9)
    light[:, layout.FOG_FALLOFF] = 0.1 * conditions[:, COLUMN["fog_falloff"]] * own
    horizon = light[:, layout.HORIZON : layout.HORIZON + 3]
    grey = (horizon @ [0.3, 0.5, 0.2])[:, None] * np.array([0.97, 1.0, 1.03])
    colour = _mix_rows(horizon, grey * 0.85, np.clip(2.0 * fog + snow + rain, 0.0, 0.85))
    dusty = np.array(DUST) * (grey[:, :1] * 1.1)
    shares = np.clip(1.6 * dust, 0.0, 1.0)
    light[:, layout.FOG_RGB : layout.FOG_RGB + 3] = _mix_rows(colour, dusty, shares)
    for first in (layout.ZENITH, layout.HORIZON, layout.CLOUD_RGB):
        light[:, first : first + 3] = _mix_rows(light[:, first : first + 3], dusty, shares)
    # Multiple scattering in thick air takes light from the ground.
    light[:, layout.SKY_RGB : layout.SKY_RGB + 3] *= (1.0 - 0.25 * np.clip(fog + 1.2 * dust, 0.0, 1.0))[:, None]


def _set_ground(light: np.ndarray, conditions: np.ndarray) -> None:
    """Wetness, puddles, lying snow, falling rain and snow, all in [0, 1], and the wind in m/s."""
    part = {name: conditions[:, index] / 100.0 for name, index in COLUMN.items()}
    light[:, layout.WET] = np.clip(np.maximum(part["wetness"], 0.6 * part["precipitation"]), 0.0, 1.0)
    light[:, layout.PUDDLES] = part["precipitation_deposits"]
    light[:, layout.SNOW_COVER] = part["snow_deposits"]
    light[:, layout.RAIN], light[:, layout.SNOW] = part["precipitation"], part["snow"]
    light[:, layout.WIND] = TOP_WIND * part["wind_intensity"]


def _expose(light: np.ndarray) -> None:
    """Scale all colours by what a camera's exposure would be."""
    level = light[:, layout.SUN_RGB + 1] * np.clip(light[:, layout.SUN + 2] + 0.25, 0.2, 1.0)
    level = level + light[:, layout.SKY_RGB + 1]
    exposure = 0.95 / (level + 0.045) ** 0.62
    for first in (
        layout.SUN_RGB,
        layout.SKY_RGB,
        layout.ZENITH,
        layout.HORIZON,
        layout.GLOW,
        layout.CLOUD_RGB,
        layout.FOG_RGB,
    ):
        light[:, first : first + 3] *= exposure[:, None]
    light[:, layout.LAMP_GAIN] = light[:, layout.LAMPS] * exposure / 6.5
