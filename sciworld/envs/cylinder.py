"""Lowering the drag of a cylinder by jets or rotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from sciworld.config import from_dict
from sciworld.controls import ControlSpace
from sciworld.domains.fluid.objectives import wake_cost
from sciworld.domains.fluid.scenarios import ACTIONS
from sciworld.domains.fluid.simulator import CylinderSettings, CylinderSimulator, CylinderState
from sciworld.envs.faces import Moment, Outcome, no_options
from sciworld.together import join

STRONG = 4.0  # U/D, the vorticity that has the full colour
# From clockwise over none to counter-clockwise.
COLOURS = np.array([(33, 60, 130), (86, 138, 199), (245, 245, 242), (222, 122, 85), (140, 26, 38)], dtype=np.float64)


class CylinderFace:
    """Reward: minus the cost of the wake over the last period of its shedding, see `objectives.wake_cost`.

    The cost is in parts of the drag without control, whose own cost is near 0 (about 0.001: the channel's cylinder is
    off its middle and has a little lift); before the first period is over, the time before the start counts as one
    without control. Settings are those of CylinderSettings.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.simulator = CylinderSimulator(from_dict(CylinderSettings, dict(settings), "sciworld/Cylinder-v0"))
        one = self.simulator.settings
        self.frame = spaces.Box(-np.inf, np.inf, (one.rows, one.columns, 2), np.float32)
        self.fps = 1.0 / self.simulator.action_seconds
        units = self.space.table.columns[0].units
        self.units = {
            "drag": "1", "lift": "1", "lift_square": "1", "momentum": "1", "amplitude": units,
            "drag_change": "%", "baseline_drag": "1", "baseline_lift_rms": "1", "time": "s",
        }  # fmt: skip

    @property
    def space(self) -> ControlSpace:
        """jet or rotation."""
        return self.simulator.space

    def start(self, rng: np.random.Generator, options: Mapping[str, Any]) -> Moment:
        """A developed wake at some phase."""
        no_options(options)
        state, baseline = self.simulator.start(1, rng), self.simulator.baseline
        period = max(1, round(ACTIONS / baseline.strouhal))
        return Moment(state, np.tile([baseline.drag, 0.0, baseline.lift_rms**2], (1, period, 1)))

    def look(self, moment: Moment, rng: np.random.Generator) -> tuple[np.ndarray, Moment]:
        """The velocities at the beginning."""
        return self.simulator.image(moment.truth, rng).frames, moment

    def step(self, moment: Moment, controls: np.ndarray, rng: np.random.Generator) -> Outcome:
        """One action, a quarter of D/U."""
        observation, state = self.simulator.step(moment.truth, controls, rng)
        memory = np.concatenate([moment.memory[:, 1:], state.coefficients[:, None]], axis=1)
        one, baseline = self.simulator.settings, self.simulator.baseline
        cost = wake_cost(memory, state.amplitude[:, None], one.most, baseline.drag, baseline.lift_rms)
        over = np.zeros(len(memory), dtype=bool)
        return Outcome(observation.frames, Moment(state, memory), -cost.total / 100.0, over)

    def facts(self, moment: Moment) -> dict[str, np.ndarray]:
        """Coefficients of the last action, the drag's change over the last period, and the wake without control."""
        state, baseline, n = moment.truth, self.simulator.baseline, len(moment.memory)
        change = 100.0 * (moment.memory[:, :, 0].mean(axis=1) / baseline.drag - 1.0)
        values = [*state.coefficients.T, state.momentum, state.amplitude, change]
        constant = [np.full(n, baseline.drag), np.full(n, baseline.lift_rms)]
        return dict(zip(self.units, [*values, *constant, state.seconds], strict=True))

    def join(self, truths: Sequence[CylinderState]) -> CylinderState:
        """Wakes of several states."""
        return join(truths)

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """The vorticity: blue turns clockwise, red counter-clockwise."""
        one = self.simulator.settings
        pixel, full = one.pixel * one.length, STRONG * one.speed / one.length
        u, v = np.moveaxis(frame.astype(np.float64), -1, 0)
        vorticity = np.gradient(v, pixel, axis=1) - np.gradient(u, pixel, axis=0)
        place = np.clip(0.5 + 0.5 * vorticity / full, 0.0, 1.0)
        knots = np.linspace(0.0, 1.0, len(COLOURS))
        colours = np.stack([np.interp(place, knots, channel) for channel in COLOURS.T], axis=-1)
        return np.ascontiguousarray(np.round(colours[::-1]).astype(np.uint8))  # y grows with the row
