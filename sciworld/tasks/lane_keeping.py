"""The closed loop on roads: how the lane is read, who competes, and their verdicts in the trusted simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sciworld import recording
from sciworld.config import require
from sciworld.controls import ControlSpace
from sciworld.domains.driving.road.checks import collided
from sciworld.domains.driving.road.expert import expert_controls
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.state import RoadState
from sciworld.errors import ControlError, RecordingError
from sciworld.evaluate.replay import replay
from sciworld.evaluate.verdict import Verdict
from sciworld.kernels import road_layout as layout
from sciworld.search import optimizers
from sciworld.search.problem import Problem
from sciworld.search.receding import RecedingHorizon
from sciworld.search.search import SearchSettings
from sciworld.simulator import Controller, Observation, State
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate

OFFSET = "lane_offset"  # the column of a recording's states: m left of the lane's middle
NEAR = 2.5  # m: frames from farther away say little of the lane, and teach the reader nothing
FRAMES = 6000  # that the reader is fitted to, at most
RIDGE = 100.0  # of frames in units of their standard deviation
HORIZON = 4  # steps
REACH = 0.03  # rad: steering that is searched, either way
OPTIMIZER = optimizers.named("cem").Settings(population=16, elite=0.25)


@dataclass(frozen=True, eq=False)
class LaneReader:
    """How far left of its lane's middle a car is, as a linear function of its frame.

    Linear, it reads from an expected frame just what it would read from the futures on average.

    weights : (y, x, channel), m per count. bias : m.
    """

    weights: np.ndarray
    bias: float

    @classmethod
    def fit(cls, store: Store) -> LaneReader:
        """Ridge regression of the recorded offsets on the recorded frames.

        Raises RecordingError where the recordings' states have no offset.
        """
        frames, offset = _labelled(store)
        shape = frames.shape[1:]
        pixels = frames.reshape(len(frames), -1)
        mean, scale = pixels.mean(axis=0), float(pixels.std()) or 1.0
        centred = (pixels - mean) / scale
        square = centred.T @ centred + RIDGE * np.eye(centred.shape[1], dtype=np.float32)
        weights = np.linalg.solve(square, centred.T @ (offset - offset.mean())) / scale
        return cls(weights.reshape(shape), float(offset.mean() - mean @ weights))

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """m left of the lane's middle (...), of frames (..., y, x, channel)."""
        pixels = np.asarray(frames, dtype=np.float32).reshape(*frames.shape[:-3], -1)
        return pixels @ self.weights.ravel() + self.bias


class InLane:
    """Minus the mean squared distance in m^2 from the lane's middle, over the steps of a future."""

    linear = False

    def __init__(self, reader: LaneReader) -> None:
        self.reader = reader

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Scores (candidate, sample) of futures (candidate, sample, time, y, x, channel)."""
        scores: np.ndarray = -np.square(self.reader(futures)).mean(axis=2)
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
    """The driver who knows the truth: it carries a state of its own, which the same controls move in the same way."""

    def __init__(self, episodes: Episodes) -> None:
        self.episodes = episodes

    def start(self, n: int, rng: np.random.Generator) -> State:
        """The truth at the start."""
        return self.episodes.state.road

    def act(self, state: RoadState, observation: Observation) -> tuple[np.ndarray, RoadState]:
        """Pure pursuit to the lane's middle; it slows down for bends."""
        simulator = self.episodes.simulator
        controls = expert_controls(simulator, state)
        return controls, simulator.move(state, controls)


def planner(surrogate: Surrogate, reader: LaneReader, budget: int = 192) -> RecedingHorizon:
    """The controller that searches the surrogate after every frame for the steering that keeps the lane.

    It keeps its speed, as a single frame does not tell it, and looks at the posterior mean alone.
    """
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
    units = [column.units for column in space.table]
    if units != ["rad", "m/s^2"]:
        found = ", ".join(f"{column.name} ({column.units})" for column in space.table)
        raise ControlError(f"the surrogate's controls are {found}; driving needs steering (rad), acceleration (m/s^2)")
    low, high = space.clip(np.array([[-REACH, 0.0], [REACH, 0.0]]))
    return low, high


def _labelled(store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Recorded frames (n, y, x, channel) float32 and their offsets (n,) in m, evenly from all recordings."""
    frames, offsets = [], []
    share = -(-FRAMES // max(len(store), 1))
    for i in range(len(store)):
        ds = store[i]
        names = recording.table(ds, "states").names if "states" in ds else ()
        if OFFSET not in names:
            raise RecordingError(
                f"{store.path}, recording {i}: its states have no '{OFFSET}' (m left of the lane's middle), from which "
                "the lane's look is learned; use recordings of the road simulator"
            )
        truth = ds["states"].values[:, names.index(OFFSET)]
        known = np.flatnonzero(np.abs(truth) < NEAR)
        known = known[:: max(1, -(-len(known) // share))]
        frames.append(ds["frames"].values[known].astype(np.float32))
        offsets.append(truth[known].astype(np.float32))
    found = np.concatenate(frames) if frames else np.empty(0)
    require(len(found) > 0, f"{store.path}: no frame within {NEAR} m of a lane's middle")
    return found, np.concatenate(offsets)
