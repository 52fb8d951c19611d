"""How the road, the vehicle and the camera are set."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sciworld.config import real, require, whole
from sciworld.domains.driving.road.places import NAMES

COUNTS = {
    "rows": (8, 4096),
    "columns": (8, 4096),
    "samples": (1, 8),
    "road_length": (100, 100_000),
    "vehicles": (0, 64),
    "pedestrians": (0, 1000),
}
RANGES = {
    "field_of_view": (10.0, 120.0, " degrees"),
    "camera_height": (0.01, 100.0, " m"),
    "camera_pitch": (-30.0, 30.0, " degrees"),
    "camera_ahead": (0.0, 100.0, " m"),
    "step": (0.001, 10.0, " s"),
    "wheelbase": (0.1, 100.0, " m"),
    "grip": (0.01, 1000.0, " m/s^2"),
    "top_speed": (0.1, 300.0, " m/s"),
    "max_steering": (1e-6, 1.2, " rad"),
    "steering_rate": (1e-6, 1000.0, " rad/s"),
    "low_acceleration": (-50.0, -1e-6, " m/s^2"),
    "high_acceleration": (1e-6, 50.0, " m/s^2"),
    "jerk": (1e-6, 1e5, " m/s^3"),
    "bends": (0.0, 100.0, ""),
    "relief": (0.0, 100.0, ""),
    "noise": (0.0, 100.0, " counts"),
}


@dataclass(frozen=True)
class RoadSettings:
    """What world, vehicle and camera are like; light and weather are `RoadConditions`.

    Parameters
    ----------
    place : one of `places.NAMES`, or "any": each world's seed draws it.
    rows, columns : pixels. samples : rays along each side of a pixel; 2 smooths edges, and takes four times as long.
    field_of_view : degrees, along the columns. camera_height : m over the ground. camera_pitch : degrees, positive up.
    camera_ahead : m, from the rear axle. Pixels are square, the optical axis is in their middle.
    step : s between frames.
    wheelbase : m. grip : m/s^2, the tyres' largest lateral acceleration. top_speed : m/s.
    max_steering : rad, of the front wheels either way. steering_rate : rad/s.
    low_acceleration, high_acceleration : m/s^2. jerk : m/s^3, how fast the acceleration changes.
    road_length : m; beyond it the road goes straight on and nothing stands there.
    bends, relief : 1 is the place's own; 0 makes the road straight, and everything flat.
    vehicles, pedestrians : how many other vehicles are about the ego vehicle, how many pedestrians are in the world.
    noise : counts, standard deviation of the camera's noise.
    """

    place: str = "any"
    rows: int = 64
    columns: int = 96
    samples: int = 1
    field_of_view: float = 70.0
    camera_height: float = 1.4
    camera_pitch: float = -2.0
    camera_ahead: float = 1.6
    step: float = 0.05
    wheelbase: float = 2.8
    grip: float = 8.0
    top_speed: float = 40.0
    max_steering: float = 0.5
    steering_rate: float = 0.6
    low_acceleration: float = -8.0
    high_acceleration: float = 3.0
    jerk: float = 20.0
    road_length: int = 2000
    bends: float = 1.0
    relief: float = 1.0
    vehicles: int = 8
    pedestrians: int = 16
    noise: float = 0.0

    def __post_init__(self) -> None:
        known = isinstance(self.place, str) and self.place in ("any", *NAMES)
        require(known, f"place is {self.place!r:.80}; use any, {', '.join(NAMES)}")
        for name, (least, most) in COUNTS.items():
            object.__setattr__(self, name, whole(getattr(self, name), name, least, most))
        for name, (low, high, units) in RANGES.items():
            object.__setattr__(self, name, real(getattr(self, name), name, low, high, units))
        for name in ("rows", "columns"):
            pixels, most = getattr(self, name), COUNTS[name][1] // self.samples
            require(pixels <= most, f"{name} is {pixels} and samples {self.samples}; use {name} of {most} at most")

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return 0.5 * self.columns / math.tan(math.radians(0.5 * self.field_of_view))
