"""The protocols that trusted simulators, surrogates and controllers share, and the only rollout loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sciworld.controls import ControlSpace
from sciworld.errors import SimulatorError

State = Any


@dataclass(frozen=True)
class Observation:
    """What a camera gives: the only thing, beside a surrogate, that a search may look at.

    Parameters
    ----------
    frames : (candidate, y, x, channel), in the units of the recording.
    time : (candidate,) float64, start of the exposure in seconds.
    view : (candidate, 6) float64, the affine map from pixel indices to the laboratory frame:
        x_lab = v0 * col + v1 * row + v2, y_lab = v3 * col + v4 * row + v5.
    """

    frames: np.ndarray
    time: np.ndarray
    view: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.frames)
        if self.frames.ndim != 4 or self.time.shape != (n,) or self.view.shape != (n, 6):
            raise SimulatorError(
                f"observation: frames {self.frames.shape}, time {self.time.shape}, view {self.view.shape}; "
                "expected (candidate, y, x, channel), (candidate,), (candidate, 6)"
            )

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, index: np.ndarray) -> Observation:
        """The observation of the candidates in `index` (integers or a mask), repeats allowed."""
        return Observation(self.frames[index], self.time[index], self.view[index])


class Simulator(Protocol):
    """Steps many independent candidates at once. The state is a value: a step returns a new one.

    Trusted simulators start from a random generator; surrogates start from an observation. Both step alike.
    """

    @property
    def space(self) -> ControlSpace:
        """The controls that `step` takes, in its order and units."""
        ...

    def step(self, state: State, controls: np.ndarray, rng: np.random.Generator) -> tuple[Observation, State]:
        """Apply controls : (candidate, control), then observe. Raises ControlError outside the bounds."""
        ...

    def observe(self, state: State, observation: Observation) -> State:
        """Replace an imagined present by a measured one; a trusted simulator returns its state as it is."""
        ...


class Controller(Protocol):
    """Chooses controls from observations alone. Its memory is a value, made by `start`."""

    def start(self, n: int, rng: np.random.Generator) -> State:
        """The memory for n episodes that run side by side."""
        ...

    def act(self, state: State, observation: Observation) -> tuple[np.ndarray, State]:
        """Controls : (candidate, control) for every episode, and the new memory."""
        ...


class Objective(Protocol):
    """Scores futures; larger is better.

    futures : (candidate, sample, time, y, x, channel) in the units of the recording. controls :
    (candidate, time, control). Returns (candidate, sample). An objective that is linear in the frame says
    `linear = True`, and is then given the posterior mean as its one sample. One that takes torch tensors as well, and
    then returns one with its gradients, says `differentiable = True`. Reports call it by `title`, in `units`, where it
    has these.
    """

    linear: bool

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Trajectory:
    """What a rollout saw and did. n episodes, t steps; episodes that ended early repeat nothing: see `length`.

    Parameters
    ----------
    observations : t + 1 observations of n episodes.
    controls : (candidate, step, control) float64; NaN after an episode ended.
    length : (candidate,) int, steps that each episode took.
    done : (candidate,) bool, whether the episode was ended by `stop` rather than by the step limit.
    states : the simulator's state at the start and after every step where `keep_states` asked for it, or what it kept
        of each; else the last one alone.
    memory : the controller's, after its last act.
    """

    observations: list[Observation]
    controls: np.ndarray
    length: np.ndarray
    done: np.ndarray
    states: list[State]
    memory: State


def rollout(
    simulator: Simulator,
    state: State,
    first: Observation,
    controller: Controller,
    steps: int,
    rng: np.random.Generator,
    stop: Callable[[State, Observation], np.ndarray] | None = None,
    keep_states: bool | Callable[[State], State] = False,
    progress: Callable[[int, int], None] | None = None,
) -> Trajectory:
    """Run `controller` in `simulator` for at most `steps` steps: the only such loop in the library.

    `stop(state, observation)` returns a mask (candidate,) of the episodes that are over; those keep stepping in
    the batch, so that one episode's randomness never depends on another's end, but their controls are recorded
    as NaN and their length stands still. `keep_states` may be a function of a state that returns what is kept of it,
    where whole ones fill the memory. `progress(step, running)` is called after each step.
    """
    if steps < 1:
        raise SimulatorError(f"rollout: steps is {steps}; use at least 1")
    n = len(first)
    memory = controller.start(n, rng)
    kept = keep_states if callable(keep_states) else lambda whole: whole
    observations, states = [first], [kept(state)]
    controls = np.full((n, steps, len(simulator.space)), np.nan)
    length = np.zeros(n, dtype=np.int64)
    over = np.zeros(n, dtype=bool) if stop is None else stop(state, first)
    for step in range(steps):
        if over.all():
            break
        chosen, memory = controller.act(memory, observations[-1])
        observation, state = simulator.step(state, chosen, rng)
        controls[~over, step] = chosen[~over]
        length[~over] += 1
        if stop is not None:
            over = over | stop(state, observation)
        observations.append(observation)
        states = [*states, kept(state)] if keep_states else [state]
        if progress is not None:
            progress(step + 1, int((~over).sum()))
    return Trajectory(observations, controls[:, : len(observations) - 1], length, over, states, memory)
