"""Replay a controller in something trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sciworld.errors import SettingsError
from sciworld.evaluate.verdict import Verdict
from sciworld.simulator import Controller, Observation, Simulator, Trajectory, rollout

Truth = Callable[[Any], np.ndarray]


def replay(
    controller: Controller,
    trusted: Simulator,
    state: Any,
    first: Observation,
    *,
    goal_reached: Callable[[Any, Observation], np.ndarray],
    steps: int,
    rng: np.random.Generator,
    judge: str,
    made_training_data: bool | None,
    name: str = "",
    limit: float = np.inf,
    seconds: Truth | None = None,
    dose: Truth | None = None,
    dose_units: str = "1",
    promise_units: str = "1",
    dose_name: str = "dose",
    goal: str = "",
    outcome: Callable[[Any, Any, np.ndarray], np.ndarray] | None = None,
    best: Callable[[Any, np.ndarray, int], np.ndarray] | None = None,
    violations: Callable[[Any, Any, np.ndarray], np.ndarray] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Run `controller` in the trusted simulator from `state`, and say what came of it.

    Parameters
    ----------
    first : what the camera gives of `state`, one row an episode.
    goal_reached : (state, observation) -> (episode,) bool, from the truth; an episode ends there.
    steps : at most so many actions an episode.
    limit : seconds after which an episode is over; a goal reached later does not count.
    judge, made_training_data : who judges, and whether it made the data that the controller's surrogate learned from;
        None where it learned from none. dose_units, promise_units, dose_name, goal : see `Verdict`.
    name : of the controller; its class's by default.
    seconds, dose : state -> (episode,), elapsed and delivered so far; by default what the state calls so. What was
        spent before `state` is not counted.
    outcome : (state before, state after, controls (episode, step, control)) -> (episode,), the truth that is
        comparable with the promise: after as many steps as the search looked ahead, or at the episode's end. A
        controller whose memory has no `promises` needs none.
    best : (state, rows, steps ahead) -> (row,), what direct search in the trusted simulator reaches from there in the
        episodes `rows` (integers), those that go on, in units of the outcome; it may take its time, and regret is
        counted from it.
    violations : (state before, state after, controls) -> (episode,) bool, whether a bound was broken on that step.
    progress : called as progress(step, episodes still running).
    """
    elapsed, delivered = seconds or _part_of("seconds"), dose or _part_of("dose")
    n = len(first)
    zero_seconds, zero_dose = elapsed(state), delivered(state)

    def reached(now: Any, seen: Observation) -> np.ndarray:
        return _mask(goal_reached(now, seen), n) & (elapsed(now) - zero_seconds <= limit)

    def over(now: Any, seen: Observation) -> np.ndarray:
        return reached(now, seen) | (elapsed(now) - zero_seconds >= limit)

    trajectory = rollout(trusted, state, first, controller, steps, rng, over, keep_states=True, progress=progress)
    promise, uncertainty, truth, reachable = _promises(trajectory, outcome, best)
    return Verdict(
        controller=name or type(controller).__name__,
        judge=judge,
        made_training_data=made_training_data,
        success=_at_end(trajectory, reached),
        actions=trajectory.length,
        seconds=_at_end(trajectory, lambda now, seen: elapsed(now)) - zero_seconds,
        dose=_at_end(trajectory, lambda now, seen: delivered(now)) - zero_dose,
        promise=promise,
        outcome=truth,
        uncertainty=uncertainty,
        best=reachable,
        violations=None if violations is None else _broken(trajectory, violations),
        dose_units=dose_units,
        promise_units=promise_units,
        dose_name=dose_name,
        goal=goal,
    )


def _mask(found: Any, n: int) -> np.ndarray:
    mask = np.asarray(found)
    if mask.shape != (n,) or mask.dtype != bool:
        raise SettingsError(f"goal_reached returned {mask.dtype} {mask.shape}; it must return bool ({n},)")
    return mask


def _part_of(name: str) -> Truth:
    """Reads `name` off a state, be it an attribute or a key."""

    def read(state: Any) -> np.ndarray:
        found = state.get(name) if isinstance(state, dict) else getattr(state, name, None)
        if found is None:
            raise SettingsError(f"the trusted simulator's state has no '{name}'; pass {name}=a function of the state")
        return np.asarray(found, dtype=np.float64)

    return read


def _at_end(trajectory: Trajectory, read: Callable[[Any, Observation], np.ndarray]) -> np.ndarray:
    """read(state, observation) -> (episode,), as it was when each episode ended, not when the last of them did."""
    values = [read(trajectory.states[end], trajectory.observations[end]) for end in np.unique(trajectory.length)]
    found: np.ndarray = np.select([trajectory.length == end for end in np.unique(trajectory.length)], values)
    return found


def _broken(trajectory: Trajectory, violations: Callable[[Any, Any, np.ndarray], np.ndarray]) -> np.ndarray:
    """The share of an episode's steps on which a bound was broken : (episode,)."""
    steps = trajectory.controls.shape[1]
    played = np.arange(steps) < trajectory.length[:, None]
    found = [
        violations(trajectory.states[k], trajectory.states[k + 1], trajectory.controls[:, k : k + 1])
        for k in range(steps)
    ]
    broken = np.stack(found, axis=1) & played if found else np.zeros((len(played), 0), dtype=bool)
    share: np.ndarray = broken.sum(axis=1) / np.maximum(played.sum(axis=1), 1)
    return share


def _promises(
    trajectory: Trajectory,
    outcome: Callable[[Any, Any, np.ndarray], np.ndarray] | None,
    best: Callable[[Any, np.ndarray, int], np.ndarray] | None,
) -> tuple[np.ndarray, ...]:
    """What the controller's memory says it expected, with its uncertainty, the truth of it, and the best that there
    was, all (episode, decision)."""
    n, length = len(trajectory.length), trajectory.length
    promises = getattr(trajectory.memory, "promises", ())
    promised, unsure, true, reachable = (np.full((n, len(promises)), np.nan) for _ in range(4))
    for decision, promise in enumerate(promises):
        known = (length > promise.step) & ~np.isnan(promise.value)
        promised[known, decision], unsure[known, decision] = promise.value[known], promise.uncertainty[known]
        if best is not None and known.any():
            rows = np.flatnonzero(known)
            reachable[rows, decision] = best(trajectory.states[promise.step], rows, promise.steps)
        if outcome is None:
            continue
        ends = np.minimum(promise.step + promise.steps, length)
        for end in np.unique(ends[known]):
            here = known & (ends == end)
            controls = trajectory.controls[:, promise.step : end]
            after = outcome(trajectory.states[promise.step], trajectory.states[end], controls)
            true[here, decision] = np.asarray(after)[here]
    return promised, unsure, true, reachable
