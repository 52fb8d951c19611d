"""Driving along a road in any light and weather."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from sciworld.config import from_dict, require
from sciworld.controls import ControlSpace
from sciworld.domains.driving.road.checks import collided, off_road
from sciworld.domains.driving.road.conditions import PRESETS
from sciworld.domains.driving.road.joined import join
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.state import RoadState
from sciworld.domains.driving.road.truth import lane_of
from sciworld.envs.faces import Moment, Outcome, no_options, split

LANE_COST = 1.0  # m of the way, for a second at 1 m from the lane's middle; with the square
END_COST = 20.0  # m of the way, for a collision or for leaving the road


class RoadFace:
    """Reward: m along the road, less LANE_COST and, at the end, END_COST; over at a collision or beside the road.

    Settings are those of RoadSettings, and conditions : the name of a preset, RoadConditions, or "any", which draws a
    preset for each episode; `reset(options={"conditions": name})` sets those of one. The memory of a run : (run,) m, is
    where along the road it began.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        task, rest = split(settings, {"conditions": "clear_noon"})
        self.conditions = task["conditions"]
        self.simulator = RoadSimulator(
            from_dict(RoadSettings, rest, "sciworld/Road-v0", ("conditions",)), self._drawn(self.conditions)
        )
        one = self.simulator.settings
        self.frame = spaces.Box(0, 255, (one.rows, one.columns, 3), np.uint8)
        self.fps = 1.0 / one.step
        self.units = {
            "speed": "m/s", "lane_offset": "m", "heading_error": "rad", "distance": "m", "collision": "1",
            "departure": "1", "time": "s",
        }  # fmt: skip

    @property
    def space(self) -> ControlSpace:
        """steering and acceleration."""
        return self.simulator.space

    def start(self, rng: np.random.Generator, options: Mapping[str, Any]) -> Moment:
        """A drive in a world of its own."""
        no_options(options, ("conditions",))
        conditions = self._drawn(options.get("conditions", self.conditions), rng)
        state = self.simulator.start(1, rng).under(conditions)
        return Moment(state, state.road[:, 0].copy())

    def look(self, moment: Moment, rng: np.random.Generator) -> tuple[np.ndarray, Moment]:
        """The first image."""
        return self.simulator.image(moment.truth, rng).frames, moment

    def step(self, moment: Moment, controls: np.ndarray, rng: np.random.Generator) -> Outcome:
        """Hold steering and acceleration for a step."""
        before = moment.truth
        observation, after = self.simulator.step(before, controls, rng)
        over = collided(self.simulator, after) | off_road(after)
        offset = after.road[:, 1] - after.lane
        reward = after.road[:, 0] - before.road[:, 0] - LANE_COST * self.simulator.settings.step * offset**2
        return Outcome(observation.frames, Moment(after, moment.memory), reward - END_COST * over, over)

    def facts(self, moment: Moment) -> dict[str, np.ndarray]:
        """How the vehicle stands in its lane, how far it came along the road since the start, whether that is over."""
        state, lane = moment.truth, lane_of(self.simulator, moment.truth)
        ends = [collided(self.simulator, state).astype(np.float64), off_road(state).astype(np.float64)]
        values = [state.speed, lane.offset, lane.heading_error, state.road[:, 0] - moment.memory, *ends, state.seconds]
        return dict(zip(self.units, values, strict=True))

    def join(self, truths: Sequence[RoadState]) -> RoadState:
        """Drives of several states."""
        return join(truths)

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """As the camera sees it."""
        return frame

    def _drawn(self, conditions: Any, rng: np.random.Generator | None = None) -> Any:
        require(not isinstance(conditions, list | tuple), "conditions are several; give one, or 'any'")
        if isinstance(conditions, str) and conditions == "any":
            return "clear_noon" if rng is None else list(PRESETS)[rng.integers(len(PRESETS))]
        return conditions
