"""Random shooting: every generation is drawn anew, and the best of all is kept. What any search must beat."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.kernels import cem as kernels
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


@dataclass(frozen=True, eq=False)
class State:
    """low, high, mean, std, best : (problem, dimension); informed, best_score : (problem,); see `cem.State`."""

    settings: Settings
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    informed: np.ndarray
    best: np.ndarray
    best_score: np.ndarray


def start(
    low: np.ndarray, high: np.ndarray, settings: Settings, mean: np.ndarray | None = None, steps: int = 1
) -> State:
    """The state before the first generation, uniform over the bounds or normal around a first guess."""
    low, high, guess = base.region(low, high, mean)
    centre = (low + high) / 2 if guess is None else guess
    std = (high - low) * (1 / math.sqrt(12) if guess is None else settings.guess_spread)
    return State(settings, low, high, centre, std, np.full(len(low), guess is not None), **base.nothing(low))


def ask(state: State, rng: np.random.Generator) -> np.ndarray:
    """A generation : (problem, candidate, dimension) float64, inside the bounds."""
    p, d = state.low.shape
    normals = rng.standard_normal((p, state.settings.population, d))
    found: np.ndarray = kernels.transform(normals, state.mean, state.std, state.informed, state.low, state.high)
    return found


def tell(state: State, candidates: np.ndarray, scores: np.ndarray) -> State:
    """Remember the best of scores : (problem, candidate); NaN is none."""
    return dataclasses.replace(state, **base.better(state, *base.told(state.low, candidates, scores)))


def spread(state: State) -> np.ndarray:
    """As wide as it began : (problem,). It never converges."""
    return base.shares(state.std, state.low, state.high)
