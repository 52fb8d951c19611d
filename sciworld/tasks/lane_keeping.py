"""The closed loop on roads: how the lane is read, who competes, and their verdicts in the trusted simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sciworld.controls import ControlSpace
from sciworld.domains.driving.road.checks import collided
from sciworld.domains.driving.road.expert import expert_controls
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.state import RoadState
from sciworld.domains.reader import Reader, labelled, pixels
from sciworld.errors import ControlError
from sciworld.evaluate.replay import replay
from sciworld.evaluate.verdict import Verdict
from sciworld.kernels import road_layout as layout
from sciworld.search import optimizers
from sciworld.search.problem import Problem
from sciworld.search.receding import FixedPlan, RandomController, RecedingHorizon
from sciworld.search.search import SearchSettings
from sciworld.selection import Selection
from sciworld.simulator import Controller, Observation, State
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate

PLANNED, EXPERT = "planned on the surrogate", "expert with the truth"
STRAIGHT, RANDOM = "straight ahead", "random"
OFFSET = "lane_offset"  # the column of a recording's states: m left of the lane's middle
NEAR = 2.5  # m: frames from farther away say little of the lane, and teach the reader nothing
FRAMES = 6000  # that the reader is fitted to, at most
RIDGE = 100.0  # frames, in units of their standard deviation, as many as would tell nothing
HORIZON = 4  # steps
REACH = 0.03  # rad: steering that is searched, either way
CANDIDATES = 48  # plans that the planner looks at for a decision
OPTIMIZER = optimizers.named("cem").Settings(population=16, elite=0.25)


def fit_lane(store: Store | Selection) -> Reader:
    """What reads how far left of its lane's middle a car is, in m, as a linear function of the pixels of its frame.

    Linear, it reads from an expected frame just what it would read from the futures on average. Raises RecordingError
    where the recordings' states have no offset, or it is never small.
    """
    lazily = [store.lazily(i) for i in range(len(store))]
    told = labelled(lazily, (OFFSET,), pixels, FRAMES, NEAR)
    return told.fit(RIDGE / len(told), apart=0, alike=True)


class InLane:
    """Minus the mean squared distance in m^2 from the lane's middle, over the steps of a future."""

    linear, differentiable = False, True
    title, units = "minus the squared distance from the lane's middle", "m^2"

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Scores (candidate, sample) of futures (candidate, sample, time, y, x, channel)."""
        scores: np.ndarray = -(self.reader(futures)[..., 0] ** 2).mean(axis=2)
        return scores


@dataclass(frozen=True, eq=False)
class Drive:
    """The truth about n drives, and how they went so far.

    lost : (candidate,) whether the car ever hit something or its middle crossed an edge of its lane. squares :
    (candidate,) m^2, its squared distance from the lane's middle, summed over the steps. dose : m^2 s, over time.
    """

    road: RoadState
    lost: np.ndarray
    squares: np.ndarray
    dose: np.ndarray

    @property
    def seconds(self) -> np.ndarray:
        """Since the start : (candidate,)."""
        return self.road.seconds

    def take(self, index: np.ndarray) -> Drive:
        """The drives in `index`."""
        return Drive(self.road.take(index), self.lost[index], self.squares[index], self.dose[index])


def offset(state: RoadState) -> np.ndarray:
    """m left of the own lane's middle : (candidate,)."""
    found: np.ndarray = state.road[:, 1] - state.lane
    return found


class Road:
    """The trusted simulator, keeping count of how the drives go."""

    def __init__(self, simulator: RoadSimulator) -> None:
        self.simulator = simulator

    @property
    def space(self) -> ControlSpace:
        """The simulator's."""
        return self.simulator.space

    def step(self, state: Drive, controls: np.ndarray, rng: np.random.Generator) -> tuple[Observation, Drive]:
        """The simulator's step, and what it adds to the count."""
        observation, road = self.simulator.step(state.road, controls, rng)
        square = np.square(offset(road))
        out = np.abs(offset(road)) > 0.5 * road.section[:, layout.LANE_WIDTH]
        lost = state.lost | out | collided(self.simulator, road)
        dose = state.dose + square * self.simulator.settings.step
        return observation, Drive(road, lost, state.squares + square, dose)

    def observe(self, state: Drive, observation: Observation) -> Drive:
        """The state as it is."""
        return state


@dataclass(frozen=True, eq=False)
class Episodes:
    """Starts that every controller gets alike: n drives with their first image, to be kept in lane for `seconds`."""

    simulator: RoadSimulator
    state: Drive
    first: Observation
    seconds: float

    @classmethod
    def draw(cls, simulator: RoadSimulator, n: int, seconds: float, seed: int) -> Episodes:
        """n drives, each on a road of its own."""
        rng = np.random.default_rng(seed)
        road = simulator.start(n, rng)
        state = Drive(road, np.zeros(n, dtype=bool), np.zeros(n), np.zeros(n))
        return cls(simulator, state, simulator.image(road, rng), seconds)

    @property
    def steps(self) -> int:
        """Steps of an episode."""
        return max(1, round(self.seconds / self.simulator.settings.step))

    def kept(self, state: Drive, observation: Observation) -> np.ndarray:
        """Whether the time is over, and the lane was never left : (n,) bool."""
        over = state.seconds - self.state.seconds >= (self.steps - 0.5) * self.simulator.settings.step
        kept: np.ndarray = over & ~state.lost
        return kept

    def judge(
        self,
        controller: Controller,
        name: str,
        seed: int,
        made_training_data: bool | None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Verdict:
        """Replay `controller` on these episodes; promises are set beside what came true."""
        return replay(
            controller,
            Road(self.simulator),
            self.state,
            self.first,
            goal_reached=self.kept,
            steps=self.steps,
            rng=np.random.default_rng(seed),
            judge=self.simulator.judge,
            made_training_data=made_training_data,
            name=name,
            dose_units="m^2 s",
            dose_name="straying",
            goal=f"the lane is not left in {self.seconds:g} s, and nothing hit",
            promise_units="m^2",
            outcome=self.came,
            progress=progress,
        )

    def came(self, before: Drive, after: Drive, controls: np.ndarray) -> np.ndarray:
        """Minus the true mean squared distance from the lane's middle : (n,) m^2. What `InLane` promises."""
        found: np.ndarray = -(after.squares - before.squares) / controls.shape[1]
        return found

    def take(self, index: np.ndarray) -> Episodes:
        """The episodes in `index`."""
        return dataclasses.replace(self, state=self.state.take(index), first=self.first.take(index))


class Expert:
    """The driver who knows the truth: it carries a state of its own, which the same controls move in the same way.

    road : the truth at the start. line : state -> (episode,) m left of the road's middle, where the car is to be; the
    middle of its lane without it.
    """

    def __init__(
        self, simulator: RoadSimulator, road: RoadState, line: Callable[[RoadState], np.ndarray] | None = None
    ) -> None:
        self.simulator, self.road, self.line = simulator, road, line

    def start(self, n: int, rng: np.random.Generator) -> State:
        """The truth at the start."""
        return self.road

    def act(self, state: RoadState, observation: Observation) -> tuple[np.ndarray, RoadState]:
        """Pure pursuit to the line, and the intelligent driver model; it slows down for bends."""
        controls = expert_controls(self.simulator, state, None if self.line is None else self.line(state))
        return controls, self.simulator.move(state, controls)


def planner(surrogate: Surrogate, reader: Reader, candidates: int = CANDIDATES) -> RecedingHorizon:
    """The controller that searches the surrogate after every frame for the steering that keeps the lane.

    It keeps its speed, as a single frame does not tell it, and looks at the posterior mean alone. candidates : plans
    for a decision, each looked at by every member of an ensemble.
    """
    budget = surrogate.evaluations(candidates, HORIZON, 0)
    problem = Problem(InLane(reader), HORIZON, surrogate.space, *region(surrogate.space))
    return RecedingHorizon(
        surrogate,
        lambda observation: problem,
        context=surrogate.model.context,
        settings=SearchSettings(budget=budget, samples=0),
        optimizer_settings=OPTIMIZER,
    )


def region(space: ControlSpace) -> tuple[np.ndarray, np.ndarray]:
    """What is searched: steering within REACH, and no acceleration : (control,) each. Raises ControlError."""
    return driven(space, [-REACH, 0.0], [REACH, 0.0])


def driven(space: ControlSpace, low: list[float], high: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of steering in rad and acceleration in m/s^2 : (control,) each, as far as the space has them.

    Raises ControlError for a space of other controls.
    """
    units = [column.units for column in space.table]
    if units != ["rad", "m/s^2"]:
        found = ", ".join(f"{column.name} ({column.units})" for column in space.table)
        raise ControlError(f"the surrogate's controls are {found}; driving needs steering (rad), acceleration (m/s^2)")
    least, most = space.clip(np.array([low, high]))
    return least, most


def rivals(episodes: Episodes, surrogate: Surrogate, reader: Reader) -> dict[str, Controller]:
    """Who competes: the planner, the expert, no steering, and chance in the region that the planner searches."""
    low, high = region(surrogate.space)
    idle = np.zeros((episodes.steps, len(surrogate.space)))
    return {
        PLANNED: planner(surrogate, reader),
        EXPERT: Expert(episodes.simulator, episodes.state.road),
        STRAIGHT: FixedPlan(idle),
        RANDOM: RandomController(surrogate.space, lambda seen: (low, high)),
    }


def contest(
    episodes: Episodes,
    surrogate: Surrogate,
    reader: Reader,
    seed: int,
    made_training_data: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Verdict]:
    """The verdicts on all rivals, from the same starts on the same roads. made_training_data : of the surrogate."""
    return {
        name: episodes.judge(rival, name, seed, made_training_data if name == PLANNED else None, progress)
        for name, rival in rivals(episodes, surrogate, reader).items()
    }
