"""What happens on a road beside following a lane: changes of lane, and vehicles that stand in the way."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.config import real, require
from sciworld.controls import Column, ColumnTable
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.state import RoadState
from sciworld.domains.driving.road.world import CAR_SIZE, EGO_LENGTH, lane_offset
from sciworld.kernels import road_layout as layout

EASE = 4.0  # s, that a change of lane takes
BESIDE = 1.9  # m: a vehicle whose middle is farther aside is in another lane
STATES = ColumnTable(
    (
        Column("road_offset", "m", role="measured", acts="during"),
        Column("gap", "m", role="measured", acts="during"),
    )
)


@dataclass(frozen=True)
class Manoeuvres:
    """What is asked of the drives of a store.

    Parameters
    ----------
    change : s from one change of lane of the expert to the next on average, where there is another lane; 0 is never.
    nearest, farthest : m from the nose to a car that stands in the own lane at the start; 0 and 0 is none.
    """

    change: float = 0.0
    nearest: float = 0.0
    farthest: float = 0.0

    def __post_init__(self) -> None:
        real(self.change, "change", 0.0, 1e6, " s")
        for name in ("nearest", "farthest"):
            real(getattr(self, name), name, 0.0, 300.0, " m")
        require(self.nearest <= self.farthest, f"nearest is {self.nearest}, farthest {self.farthest} m; swap them")

    @property
    def any(self) -> bool:
        """Whether there are some at all."""
        return self.change > 0 or self.farthest > 0

    def begun(self, state: RoadState, simulator: RoadSimulator, rng: np.random.Generator) -> RoadState:
        """The state at any speed up to its own, so that what is ahead does not tell the speed; and with a standing car,
        if there is to be one."""
        motion = state.motion.copy()
        motion[:, 0] *= rng.uniform(0.0, 1.0, len(state))
        state = dataclasses.replace(state, motion=motion)
        if self.farthest == 0:
            return state
        return with_standing(state, simulator, rng.uniform(self.nearest, self.farthest, len(state)))

    def line(self, state: RoadState, steps: int, seconds: float, rng: np.random.Generator) -> np.ndarray | None:
        """n in m of what the expert follows in the one drive of `state`, steps of so many seconds : (step,); None where
        it stays in its lane."""
        lanes = int(state.section[0, layout.LANES])
        if self.change == 0 or lanes < 2:
            return None
        at = lane_offset(state.section[0], np.arange(lanes))
        lane = int(np.abs(at - state.lane[0]).argmin())
        time, begin = seconds * np.arange(steps), rng.exponential(self.change)
        line = np.full(steps, at[lane])
        while begin < time[-1]:
            lane, before = int(rng.choice([k for k in (lane - 1, lane + 1) if 0 <= k < lanes])), at[lane]
            line += (at[lane] - before) * eased((time - begin) / EASE)
            begin += EASE + rng.exponential(self.change)
        return line


def eased(share: np.ndarray) -> np.ndarray:
    """How far a smooth change has come, from 0 to 1, after a share of its time: the least jerk (Flash and Hogan 1985,
    Journal of Neuroscience 5, 1688)."""
    t = np.clip(share, 0.0, 1.0)
    return np.asarray(t**3 * (10.0 - 15.0 * t + 6.0 * t**2))


def with_standing(state: RoadState, simulator: RoadSimulator, gap: np.ndarray) -> RoadState:
    """The same drives with one car more each, which stands `gap` m : (candidate,) before the nose, in the own lane."""
    worlds, n = state.worlds, len(state.worlds.seed)
    # Who wants no speed never starts; where it is, the state says, not its world.
    car = np.column_stack(
        [np.zeros(n), np.ones(n), np.zeros(n), np.tile(CAR_SIZE, (n, 1)), np.zeros(n), worlds.seed % 997 / 997]
    )
    shapes = np.concatenate([worlds.shapes, car[:, None]], axis=1)
    middle = _nose(state, simulator) + gap + 0.5 * CAR_SIZE[0]
    stood = np.stack([middle, state.lane, np.zeros(len(state))], axis=-1)
    cars = np.concatenate([state.cars, stood[:, None]], axis=1)
    return dataclasses.replace(state, worlds=dataclasses.replace(worlds, shapes=shapes), cars=cars)


def gap_ahead(simulator: RoadSimulator, state: RoadState) -> np.ndarray:
    """m along the road from the nose to the next vehicle ahead in the way : (candidate,), NaN where there is none."""
    half = 0.5 * state.worlds.shapes[state.which][:, :, layout.CAR_LENGTH]
    gap = state.cars[:, :, 0] - half - _nose(state, simulator)[:, None]
    ahead = (np.abs(state.cars[:, :, 1] - state.road[:, 1:]) < BESIDE) & (gap > -2.0 * half)
    nearest = np.where(ahead, gap, np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(nearest), nearest, np.nan)


def _nose(state: RoadState, simulator: RoadSimulator) -> np.ndarray:
    return np.asarray(state.road[:, 0] + 0.5 * simulator.settings.wheelbase + 0.5 * EGO_LENGTH)
