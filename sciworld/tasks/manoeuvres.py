"""Two manoeuvres on a road: what each asks for, read from frames alone, and the controller that searches for it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sciworld.controls import ControlSpace
from sciworld.domains.driving.road.manoeuvres import eased
from sciworld.search import optimizers
from sciworld.search.constraints import Constraint
from sciworld.search.parameters import Parameters
from sciworld.search.problem import Problem
from sciworld.search.receding import RecedingHorizon
from sciworld.search.risk import Risk
from sciworld.search.search import SearchSettings
from sciworld.simulator import Observation
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.lane_keeping import driven
from sciworld.tasks.road_reader import SEEN, RoadReader, summed
from sciworld.tensors import constant, root

HORIZON = 6  # steps, through which the controls are held
REACH = 0.03  # rad: steering that is searched for a change of lane, either way
HOLD = 0.012  # rad: for staying in one; with more a search steers past what it ought to stop before
BRAKE, SPEED_UP = -5.0, 1.5  # m/s^2: acceleration that is searched
OPTIMIZER = optimizers.named("cem").Settings(population=16, elite=0.25)
EASE = 5.0  # s, that a change of lane takes
CRUISE = 12.0  # m/s, with nothing in the way
SOFT = 2.0  # m/s^2: braking that a driver bears
CREEP = 3.0  # m/s less than that braking would allow: gaps are read to a metre, and who creeps on never stands
STAND = 7.0  # m before the obstacle, where it is to end
STRAYING = 50.0  # (m/s)^2 that a m^2 beside the lane's middle costs
LEAST = 1.5  # s to collision


@dataclass(frozen=True, eq=False)
class LaneChange:
    """From the middle of a lane to the middle of another, smoothly, at the speed at which it is.

    Parameters
    ----------
    begin, goal : (episode,) m left of the road's middle.
    """

    begin: np.ndarray
    goal: np.ndarray
    name: ClassVar[str] = "lane change"
    units: ClassVar[str] = "m^2"
    brakes: ClassVar[bool] = False
    effort: ClassVar[float] = 0.0

    def line(self, seconds: np.ndarray) -> np.ndarray:
        """Where the car is to be : (episode, ...) m, so many seconds (episode, ...) after the start."""
        extra = (slice(None),) + (None,) * (seconds.ndim - 1)
        begin, goal = self.begin[extra], self.goal[extra]
        return np.asarray(begin + (goal - begin) * eased(seconds / EASE))

    def score(self, states: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """Minus the squared distance from the line in m^2 : (episode, ...).

        states : (episode, ..., 3), see `road_reader.STATES`, `seconds` (episode, ...) after the start.
        """
        scores: np.ndarray = -((states[..., 0] - constant(self.line(seconds), states)) ** 2)
        return scores

    def take(self, index: np.ndarray) -> LaneChange:
        """Of the episodes in `index`."""
        return dataclasses.replace(self, begin=self.begin[index], goal=self.goal[index])


@dataclass(frozen=True, eq=False)
class ObstacleStop:
    """To a stand before what stands in the lane.

    Parameters
    ----------
    lane : (episode,) m left of the road's middle.
    """

    lane: np.ndarray
    name: ClassVar[str] = "obstacle stop"
    units: ClassVar[str] = "m^2/s^2"
    brakes: ClassVar[bool] = True
    effort: ClassVar[float] = 0.1  # (m/s)^2 that a (m/s^2)^2 of acceleration costs

    def score(self, states: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """Minus the squared difference in (m/s)^2 to the speed, less CREEP, from which SOFT braking ends STAND m before
        what stands, and what straying from the lane costs; see `LaneChange.score`."""
        extra = (slice(None),) + (None,) * (states.ndim - 2)
        slowing = root(2.0 * SOFT * (states[..., 1] - STAND))
        wish = (slowing - CREEP).clip(max=CRUISE)  # below 0 near the obstacle: brakes are kept on
        aside = (states[..., 0] - constant(self.lane[extra], states)) ** 2
        scores: np.ndarray = -((states[..., 2] - wish) ** 2) - STRAYING * aside
        return scores

    def take(self, index: np.ndarray) -> ObstacleStop:
        """Of the episodes in `index`."""
        return dataclasses.replace(self, lane=self.lane[index])


Manoeuvre = LaneChange | ObstacleStop


class Carried:
    """How well a future carries a manoeuvre out, in the mean over the steps that can be read.

    manoeuvre : of one episode. seconds : since its start, at the present. step : s.
    """

    linear, differentiable = False, True

    def __init__(self, manoeuvre: Manoeuvre, reader: RoadReader, seconds: float, step: float) -> None:
        self.manoeuvre, self.reader, self.seconds, self.step = manoeuvre, reader, seconds, step

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Scores (candidate, sample) of futures (candidate, sample, time, y, x, channel)."""
        states = self.reader(futures, summed(controls, self.step)[:, None])
        after = self.seconds + self.step * np.arange(SEEN, futures.shape[2] + 1)
        each = self.manoeuvre.score(states[None], np.broadcast_to(after, (1, *states.shape[:3])))[0]
        scores: np.ndarray = each.mean(axis=-1) - cost(self.manoeuvre, controls)[:, None]
        return scores


def time_to_collision(reader: RoadReader, step: float, least: float = LEAST) -> Constraint:
    """That a collision is never nearer than `least` s, in what is read from a future. What is bounded is the inverse of
    that time (Lee 1976, Perception 5, 437), which is 0 where nothing moves."""

    def amount(futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        states = reader(futures, summed(controls, step)[:, None])
        found: np.ndarray = (states[..., 2] / states[..., 1]).max(axis=2)
        return found

    return Constraint("inverse time to collision", 1.0 / least, amount, "1/s")


def cost(manoeuvre: Manoeuvre, controls: np.ndarray) -> np.ndarray:
    """What the acceleration of controls (n, step, control) costs, in the units of the manoeuvre : (n,)."""
    found: np.ndarray = manoeuvre.effort * (controls[:, :, 1] ** 2).mean(axis=1)
    return found


def planner(
    surrogate: Surrogate,
    reader: RoadReader,
    manoeuvre: Manoeuvre,
    step: float,
    budget: int = 288,
    risk: Risk | None = None,
    samples: int = 0,
) -> RecedingHorizon:
    """The controller that searches the surrogate after every frame.

    step : s between frames, of which the first are at 0 s. samples : futures of each candidate, 0 for the posterior
    mean alone. risk : what candidates are compared by, where it is not their mean.
    """
    low, high = region(surrogate.space, manoeuvre.brakes)
    constraints = (time_to_collision(reader, step),) if manoeuvre.brakes else ()

    def problem(observation: Observation) -> Problem:
        each = [manoeuvre.take(np.array([i])) for i in range(len(observation))]
        objectives = [Carried(one, reader, float(t), step) for one, t in zip(each, observation.time, strict=True)]
        return Problem(
            objectives, HORIZON, surrogate.space, low, high,
            constraints=constraints, parameters=Parameters("constant", 1), risk=risk or Risk(), seconds=step,
        )  # fmt: skip

    return RecedingHorizon(
        surrogate,
        problem,
        context=surrogate.model.context,
        settings=SearchSettings(budget=budget, samples=samples),
        optimizer_settings=OPTIMIZER,
        warm=True,
        wait=np.zeros(len(surrogate.space)),  # a car that seems to stand still does not turn
    )


def region(space: ControlSpace, brakes: bool) -> tuple[np.ndarray, np.ndarray]:
    """What is searched: steering, and braking if there is reason to, low and high : (control,). Raises ControlError."""
    searched = [[-HOLD, BRAKE], [HOLD, SPEED_UP]] if brakes else [[-REACH, 0.0], [REACH, 0.0]]
    return driven(space, *searched)
