"""Manoeuvres before the truth: roads that no training saw, who competes on them, and when one has succeeded."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.controls import ControlSpace
from sciworld.domains.driving.road.checks import collided, off_road
from sciworld.domains.driving.road.manoeuvres import gap_ahead, with_standing
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.state import RoadState
from sciworld.domains.driving.road.world import lane_offset
from sciworld.errors import SimulatorError
from sciworld.evaluate.replay import replay
from sciworld.evaluate.verdict import Verdict
from sciworld.kernels import road_layout as layout
from sciworld.search.receding import FixedPlan, RandomController
from sciworld.simulator import Controller, Observation
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.lane_keeping import Expert
from sciworld.tasks.manoeuvres import HORIZON, LEAST, LaneChange, Manoeuvre, ObstacleStop, cost, planner, region
from sciworld.tasks.road_reader import FARTHEST, SEEN, RoadReader

PLANNED, EXPERT, IDLE, RANDOM = "searched on the surrogate", "expert with the truth", "doing nothing", "random"
SPEEDS = (9.0, 14.0)  # m/s at the start
GAPS = (38.0, 60.0)  # m at the start; from 14 m/s the nearest takes 3 m/s^2 to end STAND m before
BESIDE = 0.5  # m from the middle of the lane that is changed to
SLOW, CLOSE, FAR = 0.5, 1.0, 15.0  # m/s that are a stand, and m before the obstacle that it is to be at
GRID = 9  # controls along each axis, among which the best is looked for
HELD = 1.0  # s, for which the goal is to have been reached at the end
SECONDS = {LaneChange: 8.0, ObstacleStop: 12.0}


@dataclass(frozen=True, eq=False)
class Drive:
    """The truth about n drives, and how they went so far.

    lost : (candidate,) whether the car ever hit something or left its side of the road. steps : (candidate,) for which
    the goal has been reached without a break. dose : (candidate,) 1/s, the largest inverse of the time to a collision.
    """

    road: RoadState
    lost: np.ndarray
    steps: np.ndarray
    dose: np.ndarray

    @property
    def seconds(self) -> np.ndarray:
        """Since the start : (candidate,)."""
        return self.road.seconds

    def take(self, index: np.ndarray) -> Drive:
        """The drives in `index`."""
        return Drive(self.road.take(index), *(getattr(self, f.name)[index] for f in dataclasses.fields(self)[1:]))


def closing(simulator: RoadSimulator, road: RoadState) -> np.ndarray:
    """Inverse of the time to a collision with what is ahead, as if that stood : (candidate,) 1/s."""
    gap = gap_ahead(simulator, road)
    return np.where(np.isnan(gap), 0.0, road.speed / np.maximum(gap, 1e-3))


class Road:
    """The trusted simulator, keeping count of how a manoeuvre goes."""

    def __init__(self, simulator: RoadSimulator, manoeuvre: Manoeuvre) -> None:
        self.simulator, self.manoeuvre = simulator, manoeuvre

    @property
    def space(self) -> ControlSpace:
        """The simulator's."""
        return self.simulator.space

    def begun(self, road: RoadState) -> Drive:
        """The count before the first step."""
        n = len(road)
        return Drive(road, np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int64), np.zeros(n))

    def step(self, state: Drive, controls: np.ndarray, rng: np.random.Generator) -> tuple[Observation, Drive]:
        """The simulator's step, and what it adds to the count."""
        observation, road = self.simulator.step(state.road, controls, rng)
        gap = gap_ahead(self.simulator, road)
        lost = state.lost | off_road(road) | collided(self.simulator, road)
        reached = self.reached(road, gap)
        steps = np.where(reached, state.steps + 1, 0)
        return observation, Drive(road, lost, steps, np.maximum(state.dose, closing(self.simulator, road)))

    def reached(self, road: RoadState, gap: np.ndarray) -> np.ndarray:
        """Whether the car is where it is to be : (candidate,) bool."""
        if isinstance(self.manoeuvre, LaneChange):
            return np.asarray(np.abs(road.road[:, 1] - self.manoeuvre.goal) <= BESIDE)
        return np.asarray((road.speed < SLOW) & (gap >= CLOSE) & (gap <= FAR))

    def observe(self, state: Drive, observation: Observation) -> Drive:
        """The state as it is."""
        return state


@dataclass(frozen=True, eq=False)
class Episodes:
    """Starts that every controller gets alike: n drives with their first image, and the manoeuvre asked of them.

    covariates : name -> (n,), facts of the starts by which success can be told apart.
    """

    simulator: RoadSimulator
    manoeuvre: Manoeuvre
    state: Drive
    first: Observation
    covariates: dict[str, np.ndarray]

    @classmethod
    def lane_changes(cls, simulator: RoadSimulator, n: int, seed: int) -> Episodes:
        """n changes to the other lane, each on a road of its own. Raises SimulatorError for places with one lane."""
        road, rng = _start(simulator, n, seed)
        lanes = road.section[:, layout.LANES]
        if (lanes < 2).any():
            raise SimulatorError("lane change: a road has one lane each way; use a place with two, city or highway")
        at = lane_offset(road.section[:, None], np.arange(2))
        begin = road.lane
        goal = np.where(np.abs(at[:, 0] - begin) < 0.1, at[:, 1], at[:, 0])
        return cls._of(simulator, LaneChange(begin, goal), road, rng, {"direction": np.sign(goal - begin)})

    @classmethod
    def stops(cls, simulator: RoadSimulator, n: int, seed: int) -> Episodes:
        """n stops before a car that stands in the own lane, each on a road of its own."""
        road, rng = _start(simulator, n, seed)
        gap = rng.uniform(*GAPS, n)
        road = with_standing(road, simulator, gap)
        return cls._of(simulator, ObstacleStop(road.lane), road, rng, {"gap": gap})

    @classmethod
    def _of(
        cls,
        simulator: RoadSimulator,
        manoeuvre: Manoeuvre,
        road: RoadState,
        rng: np.random.Generator,
        covariates: dict[str, np.ndarray],
    ) -> Episodes:
        ahead = road.road[:, :1].astype(np.int64) + np.arange(100)
        bend = np.abs(road.worlds.line[road.which[:, None], ahead, layout.LINE_CURVATURE]).max(axis=1)
        facts = {"speed": road.speed.copy(), "bend": bend, **covariates}
        state = Road(simulator, manoeuvre).begun(road)
        return cls(simulator, manoeuvre, state, simulator.image(road, rng), facts)

    @property
    def steps(self) -> int:
        """Steps of an episode."""
        return round(SECONDS[type(self.manoeuvre)] / self.simulator.settings.step)

    def reached(self, state: Drive, observation: Observation) -> np.ndarray:
        """Whether the time is over, the goal has been held for the last of it, and nothing went wrong : (n,) bool."""
        step = self.simulator.settings.step
        over = state.seconds - self.state.seconds >= (self.steps - 0.5) * step
        held: np.ndarray = over & (state.steps * step >= HELD - 0.5 * step) & ~state.lost
        return held

    def judge(self, controller: Controller, name: str, seed: int, made_training_data: bool | None) -> Verdict:
        """Replay `controller` on these episodes; promises are set beside what came true."""
        change = isinstance(self.manoeuvre, LaneChange)
        where = f"within {BESIDE:g} m of the other lane's middle" if change else f"{CLOSE:g} to {FAR:g} m before it"
        return replay(
            controller,
            Road(self.simulator, self.manoeuvre),
            self.state,
            self.first,
            goal_reached=self.reached,
            steps=self.steps,
            rng=np.random.default_rng(seed),
            judge=self.simulator.judge,
            made_training_data=made_training_data,
            name=name,
            dose_units="1/s",
            dose_name="largest inverse time to collision",
            goal=f"{self.manoeuvre.name}: the last second {where}, nothing hit, the road never left",
            promise_units=self.manoeuvre.units,
            outcome=self.came,
            best=self.best,
            violations=self.too_close if self.manoeuvre.brakes else None,
        )

    def too_close(self, before: Drive, after: Drive, controls: np.ndarray) -> np.ndarray:
        """Whether a collision was nearer than LEAST s, which the planner is told to keep away from : (n,) bool."""
        return closing(self.simulator, after.road) > 1.0 / LEAST

    def came(self, before: Drive, after: Drive, controls: np.ndarray) -> np.ndarray:
        """What `Carried` promises, in truth, of the first of the controls (n, step, 2), held as it was planned : (n,).

        Later ones were planned anew. NaN where an episode was over.
        """
        found = np.full(len(controls), np.nan)
        rows = np.flatnonzero(~np.isnan(controls[:, 0]).any(axis=1))
        if len(rows):
            found[rows] = self.take(rows).worth(before.take(rows), controls[rows, :1])[:, 0]
        return found

    def best(self, state: Drive, rows: np.ndarray, steps: int) -> np.ndarray:
        """The most that controls which are held through the horizon bring from there : (row,), of a grid of them."""
        return self.take(rows).worth(state.take(rows), self.grid(len(rows))).max(axis=1)

    def grid(self, n: int) -> np.ndarray:
        """Controls all over what is searched : (n, candidate, 2)."""
        low, high = region(self.simulator.space, self.manoeuvre.brakes)
        axes = [np.linspace(*ends, GRID if ends[0] < ends[1] else 1) for ends in zip(low, high, strict=True)]
        return np.tile(np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2), (n, 1, 1))

    def worth(self, state: Drive, held: np.ndarray) -> np.ndarray:
        """What `Carried` promises, in truth, of controls that are held through the horizon : (n, candidate).

        held : (n, candidate, 2).
        """
        n, many = held.shape[:2]
        road, controls = state.road.take(np.repeat(np.arange(n), many)), held.reshape(-1, 2)
        scores = []
        for _ in range(HORIZON):
            road = self.simulator.move(road, controls)
            gap = gap_ahead(self.simulator, road)
            states = np.stack([road.road[:, 1], np.where(np.isnan(gap), FARTHEST, gap), road.speed], axis=-1)
            after = (road.seconds - np.repeat(self.state.seconds, many)).reshape(n, many)
            scores.append(self.manoeuvre.score(states.reshape(n, many, -1), after))
        price = cost(self.manoeuvre, controls[:, None]).reshape(n, many)
        found: np.ndarray = np.mean(scores[SEEN - 1 :], axis=0) - price
        return found

    def take(self, index: np.ndarray) -> Episodes:
        """The episodes in `index`."""
        return Episodes(
            self.simulator, self.manoeuvre.take(index), self.state.take(index), self.first.take(index),
            {name: values[index] for name, values in self.covariates.items()},
        )  # fmt: skip

    def line(self, road: RoadState) -> np.ndarray:
        """Where the cars are to be : (n,) m left of the road's middle."""
        manoeuvre = self.manoeuvre
        return manoeuvre.line(road.seconds) if isinstance(manoeuvre, LaneChange) else manoeuvre.lane

    def rivals(self, surrogate: Surrogate, reader: RoadReader) -> dict[str, Controller]:
        """Who competes: the search, the expert, nothing, and chance in the region that is searched."""
        low, high = region(surrogate.space, self.manoeuvre.brakes)
        step = self.simulator.settings.step
        return {
            PLANNED: planner(surrogate, reader, self.manoeuvre, step),
            EXPERT: Expert(self.simulator, self.state.road, self.line),
            IDLE: FixedPlan(np.zeros((self.steps, len(surrogate.space)))),
            RANDOM: RandomController(surrogate.space, lambda seen: (low, high)),
        }


def _start(simulator: RoadSimulator, n: int, seed: int) -> tuple[RoadState, np.random.Generator]:
    """n drives at speeds of their own, and the generator that drew them."""
    rng = np.random.default_rng([seed, 404])
    road = simulator.start(n, rng)
    motion = road.motion.copy()
    motion[:, 0] = rng.uniform(*SPEEDS, n)
    return dataclasses.replace(road, motion=motion), rng
