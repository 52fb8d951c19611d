"""Light and weather in CARLA's vocabulary, and points of that space that have names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sciworld.config import real, require
from sciworld.errors import SettingsError

PERCENT = (0.0, 100.0)
RANGES = {
    "cloudiness": PERCENT,
    "precipitation": PERCENT,
    "precipitation_deposits": PERCENT,
    "wind_intensity": PERCENT,
    "sun_azimuth_angle": (0.0, 360.0),
    "sun_altitude_angle": (-90.0, 90.0),
    "fog_density": PERCENT,
    "fog_distance": (0.0, 1000.0),
    "fog_falloff": (0.0, 10.0),
    "wetness": PERCENT,
    "dust_storm": PERCENT,
    "snow": PERCENT,
    "snow_deposits": PERCENT,
}


@dataclass(frozen=True)
class RoadConditions:
    """The light and the weather of a drive: snow, and CARLA's WeatherParameters but for how light scatters in its air.

    Of CARLA's, `scattering_intensity`, `mie_scattering_scale` and `rayleigh_scattering_scale` are not there: the
    colours of sky and air follow from the sun, the clouds, the fog and the dust.

    Parameters
    ----------
    cloudiness : 0 (clear) to 100 (overcast). precipitation : rain, 0 to 100. precipitation_deposits : puddles, 0 to
        100.
    wind_intensity : 0 to 100, which is 15 m/s.
    sun_azimuth_angle : degrees; 0 is ahead at the start of the road, 90 at its left. sun_altitude_angle : degrees, 90
        is noon, below 0 is night.
    fog_density : 0 to 100, which lets one see 25 m far. fog_distance : m before the fog begins. fog_falloff : 1/m times
        10, how fast it thins with height; 0 is alike at all heights.
    wetness : of the road, 0 to 100. dust_storm : 0 to 100.
    snow : falling, 0 to 100. snow_deposits : lying, 0 to 100.
    """

    cloudiness: float = 10.0
    precipitation: float = 0.0
    precipitation_deposits: float = 0.0
    wind_intensity: float = 5.0
    sun_azimuth_angle: float = 60.0
    sun_altitude_angle: float = 55.0
    fog_density: float = 0.0
    fog_distance: float = 0.0
    fog_falloff: float = 0.2
    wetness: float = 0.0
    dust_storm: float = 0.0
    snow: float = 0.0
    snow_deposits: float = 0.0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            object.__setattr__(self, name, real(getattr(self, name), f"conditions: {name}", low, high))

    def replace(self, **changes: float) -> RoadConditions:
        """The same conditions but for `changes`. Raises SettingsError for unknown names."""
        unknown = sorted(set(changes) - set(RANGES))
        require(not unknown, f"conditions: unknown {', '.join(unknown)}; known are {', '.join(RANGES)}")
        return dataclasses.replace(self, **changes)


_CLEAR = RoadConditions()
_RAIN = _CLEAR.replace(
    cloudiness=90,
    precipitation=75,
    precipitation_deposits=70,
    wind_intensity=35,
    sun_altitude_angle=40,
    fog_density=6,
    wetness=90,
)
_SNOW = _CLEAR.replace(
    cloudiness=95, wind_intensity=20, sun_altitude_angle=35, fog_density=14, snow=60, snow_deposits=75
)
PRESETS = {
    "clear_noon": _CLEAR,
    "cloudy_noon": _CLEAR.replace(cloudiness=95),
    "wet_noon": _CLEAR.replace(cloudiness=45, wetness=90, precipitation_deposits=60),
    "rain_noon": _RAIN,
    "drizzle_dusk": _RAIN.replace(
        precipitation=25, precipitation_deposits=30, sun_altitude_angle=3, sun_azimuth_angle=200
    ),
    "rain_night": _RAIN.replace(sun_altitude_angle=-30),
    "clear_dawn": _CLEAR.replace(sun_altitude_angle=7, sun_azimuth_angle=35),
    "sunset": _CLEAR.replace(sun_altitude_angle=4, sun_azimuth_angle=10, cloudiness=40),
    "clear_night": _CLEAR.replace(sun_altitude_angle=-35),
    "fog_dawn": _CLEAR.replace(sun_altitude_angle=6, sun_azimuth_angle=20, fog_density=42, cloudiness=30),
    "fog_day": _CLEAR.replace(fog_density=60, cloudiness=80, fog_falloff=0.0),
    "fog_night": _CLEAR.replace(fog_density=45, sun_altitude_angle=-30, fog_falloff=0.0),
    "snow_day": _SNOW,
    "snow_night": _SNOW.replace(sun_altitude_angle=-30),
    "snow_clear": _CLEAR.replace(snow_deposits=80, sun_altitude_angle=25),
    "dust_storm": _CLEAR.replace(dust_storm=80, wind_intensity=80),
}


def preset(name: str) -> RoadConditions:
    """The conditions called `name`. Raises SettingsError for an unknown one."""
    known = isinstance(name, str) and name in PRESETS
    require(known, f"conditions {name!r:.80} are unknown; known are {', '.join(PRESETS)}")
    return PRESETS[name]


def sample_conditions(rng: np.random.Generator) -> RoadConditions:
    """Conditions drawn evenly from all that the ranges allow, fog_distance within 100 m."""
    drawn = {name: float(rng.uniform(low, high)) for name, (low, high) in RANGES.items()}
    drawn["fog_distance"] *= 0.1
    return RoadConditions(**drawn)


def conditions_array(conditions: RoadConditions | str | Sequence[RoadConditions | str], n: int) -> np.ndarray:
    """Conditions or names of presets, one for all or one a candidate, as numbers : (n, 13), ordered as `RANGES`."""
    given = list(conditions) if isinstance(conditions, list | tuple) else [conditions]
    if len(given) not in (1, n):
        raise SettingsError(f"{len(given)} conditions for {n} candidates; give one for all, or one a candidate")
    values = [preset(one) if isinstance(one, str) else one for one in given]
    odd = [one for one in values if not isinstance(one, RoadConditions)]
    require(not odd, f"conditions are {odd[:1]!r:.80}; give RoadConditions, or the name of a preset")
    table = np.array([[getattr(one, name) for name in RANGES] for one in values], dtype=np.float64)
    return np.repeat(table, n, axis=0) if len(given) == 1 else table
