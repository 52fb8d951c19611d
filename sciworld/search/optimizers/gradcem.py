"""The cross-entropy method, whose candidates climb before they are compared.

Bharadhwaj, Xie and Shkurti, "Model-predictive control via cross-entropy and gradient-based optimization", L4DC 2020,
arXiv:2004.08763, algorithm 1: each generation takes some steps along gradients, then the elite is chosen.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.config import whole
from sciworld.search.optimizers import adam, cem

GRADIENTS = True  # `tell` needs them


@dataclass(frozen=True)
class Settings:
    """population, elite, smoothing, guess_spread : as in `cem.Settings`. climbs : steps of a generation. step : of
    each, as in `adam.Settings`."""

    population: int = 24
    elite: float = 0.25
    smoothing: float = 0.9
    guess_spread: float = 0.25
    climbs: int = 3
    step: float = 0.03

    def __post_init__(self) -> None:
        whole(self.climbs, "climbs", 1)
        self.outer, self.inner  # noqa: B018 - they check the rest

    @property
    def outer(self) -> cem.Settings:
        """Of the cross-entropy method."""
        return cem.Settings(self.population, self.elite, self.smoothing, self.guess_spread)

    @property
    def inner(self) -> adam.Settings:
        """Of the climbing."""
        return adam.Settings(self.population, self.step)


@dataclass(frozen=True, eq=False)
class State:
    """outer : of the cross-entropy method. inner : of the climbing, NaN where a generation begins."""

    settings: Settings
    outer: cem.State
    inner: adam.State

    @property
    def low(self) -> np.ndarray:
        """(problem, dimension)."""
        return self.outer.low

    @property
    def high(self) -> np.ndarray:
        """(problem, dimension)."""
        return self.outer.high

    @property
    def best(self) -> np.ndarray:
        """(problem, dimension) of all that was told."""
        return self.inner.best

    @property
    def best_score(self) -> np.ndarray:
        """(problem,) of all that was told."""
        return self.inner.best_score


def start(
    low: np.ndarray, high: np.ndarray, settings: Settings, mean: np.ndarray | None = None, steps: int = 1
) -> State:
    """The state before the first generation."""
    return State(
        settings, cem.start(low, high, settings.outer, mean, steps), adam.start(low, high, settings.inner, mean, steps)
    )


def ask(state: State, rng: np.random.Generator) -> np.ndarray:
    """Candidates : (problem, candidate, dimension), a fresh generation or one that has climbed."""
    fresh = cem.ask(state.outer, rng)
    return np.where(np.isnan(state.inner.climbers), fresh, state.inner.climbers)


def tell(state: State, candidates: np.ndarray, scores: np.ndarray, gradients: np.ndarray | None = None) -> State:
    """Climb along gradients (problem, candidate, dimension), or, once that was done, learn from the elite."""
    climbed = adam.tell(state.inner, candidates, scores, gradients)
    if climbed.steps <= state.settings.climbs:
        return dataclasses.replace(state, inner=climbed)
    again = adam.start(state.low, state.high, state.settings.inner)
    again = dataclasses.replace(again, best=climbed.best, best_score=climbed.best_score)
    return State(state.settings, cem.tell(state.outer, candidates, scores), again)


def spread(state: State) -> np.ndarray:
    """As in `cem.spread` : (problem,)."""
    return cem.spread(state.outer)
