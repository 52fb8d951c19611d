"""How the road, the vehicle and the camera are set."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sciworld.config import require, require_positive, whole
from sciworld.domains.driving.road.places import NAMES


@dataclass(frozen=True)
class RoadSettings:
    """What world, vehicle and camera are like; light and weather are `RoadConditions`.

    Parameters
    ----------
    place : one of `places.NAMES`, or "any": each world's seed draws it.
    rows, columns : pixels.
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
        require(self.place in ("any", *NAMES), f"place is {self.place!r}; use any, {', '.join(NAMES)}")
        whole(self.rows, "rows", 8, 4096)
        whole(self.columns, "columns", 8, 4096)
        whole(self.road_length, "road_length", 100, 100_000)
        whole(self.vehicles, "vehicles", 0, 64)
        whole(self.pedestrians, "pedestrians", 0, 1000)
        require_positive(
            self,
            "camera_height",
            "step",
            "wheelbase",
            "grip",
            "top_speed",
            "max_steering",
            "steering_rate",
            "jerk",
            "high_acceleration",
        )
        require(10 <= self.field_of_view <= 120, f"field_of_view is {self.field_of_view}; use 10 to 120 degrees")
        require(abs(self.camera_pitch) <= 30, f"camera_pitch is {self.camera_pitch}; use -30 to 30 degrees")
        require(self.max_steering < 1.2, f"max_steering is {self.max_steering}; use less than 1.2 rad")
        require(-50 < self.low_acceleration < 0, f"low_acceleration is {self.low_acceleration}; use -50 to 0 m/s^2")
        for name in ("bends", "relief", "noise", "camera_ahead"):
            value = getattr(self, name)
            require(math.isfinite(value) and 0 <= value <= 100, f"{name} is {value}; use 0 to 100")

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return 0.5 * self.columns / math.tan(math.radians(0.5 * self.field_of_view))
