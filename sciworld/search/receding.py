"""Controllers: a fixed plan, chance, and a search that is repeated after every frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciworld.config import require
from sciworld.controls import ControlSpace
from sciworld.errors import NothingFoundError, SearchError
from sciworld.search.plan import Plan
from sciworld.search.problem import Forecaster, Problem, limited, searched, whole
from sciworld.search.search import SearchSettings, search
from sciworld.simulator import Observation

Region = Callable[[Observation], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Promise:
    """What a search expected when it chose.

    Parameters
    ----------
    step : of the episode, at which it chose.
    steps : over which it looked ahead.
    value : (episode,) expected score, and uncertainty : (episode,) its standard deviation over futures; NaN where an
        episode was not searched, or one future was looked at.
    """

    step: int
    steps: int
    value: np.ndarray
    uncertainty: np.ndarray


@dataclass(frozen=True, eq=False)
class Memory:
    """What a controller of this module remembers of n episodes that run side by side.

    Parameters
    ----------
    episodes : n.
    seed : of all its random numbers; each step draws from (seed, step), so that the memory stays a value.
    step : how often it has acted.
    history : the last observations, oldest first.
    promises : what was expected, in the order of choosing.
    plan : (episode, step, control) that was found last, NaN where there is none.
    safe : (episode,) bool of each step, where a fallback was played.
    played : (episode, control) last, from which rate limits count.
    """

    episodes: int
    seed: int
    step: int = 0
    history: tuple[Observation, ...] = ()
    promises: tuple[Promise, ...] = ()
    plan: np.ndarray | None = None
    safe: tuple[np.ndarray, ...] = ()
    played: np.ndarray | None = None

    @property
    def rng(self) -> np.random.Generator:
        """The random numbers of this step."""
        return np.random.default_rng([self.seed, self.step])


def _memory(n: int, rng: np.random.Generator) -> Memory:
    return Memory(n, int(rng.integers(2**63)))


class FixedPlan:
    """Plays controls : (step, control) in every episode, or (episode, step, control), whatever it sees.

    promise : (episode,), what a search expected of the whole plan, to be set beside what came of it.
    """

    def __init__(self, controls: np.ndarray, promise: np.ndarray | None = None) -> None:
        self.controls = np.asarray(controls, dtype=np.float64)
        if self.controls.ndim not in (2, 3):
            raise SearchError(f"plan: controls {self.controls.shape}; use (step, control) or (episode, step, control)")
        self.promise = promise

    def start(self, n: int, rng: np.random.Generator) -> Memory:
        """The memory before the first step of n episodes."""
        if self.controls.ndim == 3 and len(self.controls) != n:
            raise SearchError(f"plan: controls for {len(self.controls)} episodes, but {n} run; plan for each of them")
        memory = _memory(n, rng)
        if self.promise is None:
            return memory
        value = np.array(np.broadcast_to(self.promise, (n,)), dtype=np.float64)
        return dataclasses.replace(memory, promises=(Promise(0, self.controls.shape[-2], value, np.full(n, np.nan)),))

    def act(self, state: Memory, observation: Observation) -> tuple[np.ndarray, Memory]:
        """The plan's next controls : (episode, control). Raises SearchError after its end."""
        if state.step >= self.controls.shape[-2]:
            raise SearchError(f"plan: it has {self.controls.shape[-2]} steps; do not run it for more")
        chosen = np.broadcast_to(self.controls[..., state.step, :], (state.episodes, self.controls.shape[-1]))
        return chosen.copy(), dataclasses.replace(state, step=state.step + 1)


class RandomController:
    """Draws controls uniformly from the space, or from a region of it that is read off each observation.

    region : observation -> low, high, each (episode, control) or (control,), inside the space: the same region as a
    search gets makes chance its fair rival.
    """

    def __init__(self, space: ControlSpace, region: Region | None = None) -> None:
        self.space = space
        self.region = region

    def start(self, n: int, rng: np.random.Generator) -> Memory:
        """The memory before the first step of n episodes."""
        return _memory(n, rng)

    def act(self, state: Memory, observation: Observation) -> tuple[np.ndarray, Memory]:
        """Random controls : (episode, control). Raises ControlError where one has no bounds."""
        low, high = (self.space.low, self.space.high) if self.region is None else self.region(observation)
        self.space.require_bounds(low, high)
        wide = searched(self.space, low, high)
        drawn = state.rng.uniform(*wide, (len(observation), len(self.space)))
        return whole(self.space, drawn, low, high), dataclasses.replace(state, step=state.step + 1)


class RecedingHorizon:
    """Searches after every frame, from what was measured, and plays the first step of what it found.

    Parameters
    ----------
    surrogate : what the search looks at.
    make_problem : observation -> Problem, with one problem an episode: the domain builds objectives and region
        from what is located in the frame. Episodes that it marks as not active get the middle of their region.
    context : observations that the surrogate is started from, fewer at an episode's start: what was imagined is
        forgotten at every measured frame.
    settings, optimizer, optimizer_settings : of the search; `SearchSettings.seconds` bounds how long it takes.
    warm : each search begins from the last plan without its first step, whose last step is held once more.
    fallback : (control,), what is safe to do in episodes whose present is not familiar, and in all of them where a
        search finds nothing; without it either is an error.
    wait : (control,), what is played until `context` observations were seen; without it the first search begins from
        the first one, seen again and again, in which all that moves stands still.
    """

    def __init__(
        self,
        surrogate: Forecaster,
        make_problem: Callable[[Observation], Problem],
        context: int = 1,
        settings: SearchSettings | None = None,
        optimizer: str = "cem",
        optimizer_settings: Any = None,
        warm: bool = False,
        fallback: np.ndarray | None = None,
        wait: np.ndarray | None = None,
    ) -> None:
        require(context >= 1, f"context is {context} observations; use at least 1")
        self.surrogate = surrogate
        self.make_problem = make_problem
        self.context = context
        self.settings = settings or SearchSettings()
        self.optimizer = optimizer
        self.optimizer_settings = optimizer_settings
        self.warm = warm
        self.fallback, self.wait = (
            None if one is None else surrogate.space.check(np.asarray(one, dtype=np.float64))
            for one in (fallback, wait)
        )

    def start(self, n: int, rng: np.random.Generator) -> Memory:
        """The memory before the first step of n episodes."""
        return _memory(n, rng)

    def act(self, state: Memory, observation: Observation) -> tuple[np.ndarray, Memory]:
        """The first controls : (episode, control) of a plan made now; the memory gains this observation and promise.

        Where the problem says how long a step lasts, all that is played keeps to the rate limits, from what was played
        last on, the fallback too. Raises
        SearchError where a search is ill-posed, NothingFoundError where one finds nothing and there is no fallback.
        """
        n = len(observation)
        history = (*state.history, observation)[-self.context :]
        problem = self.make_problem(observation)
        if problem.previous is None:
            problem = dataclasses.replace(problem, previous=state.played)
        low, high = problem.bounds(n)
        chosen = whole(problem.space, (low + high) / 2, low, high)
        value, uncertainty, safe = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, dtype=bool)
        plan = np.full((n, problem.horizon, chosen.shape[1]), np.nan)
        active = np.ones(n, dtype=bool) if problem.active is None else problem.active.copy()
        if self.wait is not None and len(history) < self.context:
            chosen[:], active = self.wait, np.zeros(n, dtype=bool)
        if self.fallback is not None and problem.familiar is not None:
            safe = active & (problem.familiar.presents(observation) > problem.familiar.farthest)
            chosen[safe], active = self.fallback, active & ~safe
        rows = np.flatnonzero(active)
        if len(rows):
            try:
                found = self._searched(state, history, problem, rows)
                chosen[rows], value[rows], plan[rows] = found.controls[:, 0], found.promise, found.controls
                uncertainty[rows] = found.uncertainty
            except NothingFoundError:
                if self.fallback is None:
                    raise
                chosen[rows], safe[rows] = self.fallback, True
        others = np.setdiff1d(np.arange(n), np.flatnonzero(~np.isnan(value)))
        kept = limited(problem.take(others), chosen[others, None, None])  # what was searched keeps to them already
        chosen[others] = kept[:, 0, 0]
        promise = Promise(state.step, problem.horizon, value, uncertainty)
        return chosen, dataclasses.replace(
            state, step=state.step + 1, history=history, promises=(*state.promises, promise), plan=plan,
            safe=(*state.safe, safe), played=chosen,
        )  # fmt: skip

    def _searched(self, state: Memory, history: Sequence[Observation], problem: Problem, rows: np.ndarray) -> Plan:
        """A plan for the episodes in `rows`."""
        guess = None
        if self.warm and state.plan is not None:
            low, high = problem.bounds(state.episodes)
            shifted = np.concatenate([state.plan[:, 1:], state.plan[:, -1:]], axis=1)
            middle = np.broadcast_to(((low + high) / 2)[:, None], shifted.shape)
            guess = np.where(np.isnan(shifted), middle, shifted)[rows]
        return search(
            self.surrogate,
            [seen.take(rows) for seen in history],
            problem.take(rows),
            state.rng,
            self.optimizer,
            self.settings,
            self.optimizer_settings,
            guess,
        )
