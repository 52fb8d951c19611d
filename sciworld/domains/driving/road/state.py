"""The truth about n drives, as a value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.domains.driving.road.conditions import RoadConditions, conditions_array
from sciworld.domains.driving.road.world import Worlds
from sciworld.kernels import road_layout as layout


@dataclass(frozen=True)
class RoadState:
    """What a search must never see: where everything is, in which world, and the weather.

    worlds : shared by all. which : (candidate,) the world of each. conditions : (candidate, 13), see
    `conditions.RANGES`. pose : (candidate, 3) x, y in m and yaw in rad of the rear axle. motion : (candidate, 4) speed
    m/s, steering rad, acceleration and lateral acceleration m/s^2. road : (candidate, 2) s, n of the rear axle in m.
    cars : (candidate, vehicle, 3) s, n in m, speed in m/s. walkers : (candidate, pedestrian, 2) s, n in m. seconds :
    (candidate,).
    """

    worlds: Worlds
    which: np.ndarray
    conditions: np.ndarray
    pose: np.ndarray
    motion: np.ndarray
    road: np.ndarray
    cars: np.ndarray
    walkers: np.ndarray
    seconds: np.ndarray

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def speed(self) -> np.ndarray:
        """Speed of the ego vehicle : (candidate,) m/s."""
        return self.motion[:, 0]

    @property
    def section(self) -> np.ndarray:
        """Cross-section of each candidate's road : (candidate, 9), see `sciworld.kernels.road_layout`."""
        return self.worlds.section[self.which]

    @property
    def lane(self) -> np.ndarray:
        """n in m of the middle of the own lane that is nearest : (candidate,)."""
        section = self.section
        width, median = section[:, layout.LANE_WIDTH], section[:, layout.MEDIAN]
        lane = np.clip(np.floor((-self.road[:, 1] - median) / width), 0, section[:, layout.LANES] - 1)
        return -(median + (lane + 0.5) * width)

    def take(self, index: np.ndarray) -> RoadState:
        """The state of the candidates in `index`, repeats allowed; the worlds are shared, not copied."""
        parts = {f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self) if f.name != "worlds"}
        return RoadState(self.worlds, **parts)

    def under(self, conditions: RoadConditions | str | list[RoadConditions | str]) -> RoadState:
        """The same drives in other light and weather: one for all, or one a candidate."""
        return dataclasses.replace(self, conditions=conditions_array(conditions, len(self)))
