"""Random shooting: every generation is drawn anew, and the best of all is kept. What any search must beat."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.search.optimizers import base


@dataclass(frozen=True)
class Settings:
    """population : candidates in a generation. guess_spread : standard deviation around a first guess, as a share of
    the bounds' width."""

    population: int = 48
    guess_spread: float = 0.25

    def __post_init__(self) -> None:
        require(self.population >= 1, f"population is {self.population}; use at least 1")
        require(self.guess_spread > 0, f"guess_spread is {self.guess_spread}; it must be positive")


State = base.Sampled


def start(
    low: np.ndarray, high: np.ndarray, settings: Settings, mean: np.ndarray | None = None, steps: int = 1
) -> State:
    """The state before the first generation, uniform over the bounds or normal around a first guess."""
    return State(**base.begun(low, high, mean, settings))


def ask(state: State, rng: np.random.Generator) -> np.ndarray:
    """A generation : (problem, candidate, dimension) float64, inside the bounds."""
    p, d = state.low.shape
    return base.drawn(state, rng.standard_normal((p, state.settings.population, d)))


def tell(state: State, candidates: np.ndarray, scores: np.ndarray) -> State:
    """Remember the best of scores : (problem, candidate); NaN is none."""
    return dataclasses.replace(state, **base.better(state, *base.told(state.low, candidates, scores)))


def spread(state: State) -> np.ndarray:
    """As wide as it began : (problem,). It never converges."""
    return base.shares(state.std, state.low, state.high)
