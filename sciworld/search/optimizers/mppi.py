"""Model predictive path integral control.

Williams, Aldrich and Theodorou, "Model predictive path integral control: from theory to parallel computation", Journal
of Guidance, Control, and Dynamics 40 (2017): the mean moves to the average of all candidates, weighed by the
exponential of what they score (equations 35 and 36).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.kernels import mppi as kernels
from sciworld.search.optimizers import base


@dataclass(frozen=True)
class Settings:
    """How it samples and learns.

    Parameters
    ----------
    population : candidates in a generation.
    temperature : the paper's lambda, as a share of the range of a generation's scores, so that it has no units. Small
        ones follow the best candidate alone.
    guess_spread : standard deviation around a first guess, as a share of the bounds' width.
    least_spread : which the standard deviation never falls below, as a share of what it was. 1 leaves it as it is, as
        the paper does; below 1 it follows the weighed candidates.
    """

    population: int = 48
    temperature: float = 0.1
    guess_spread: float = 0.25
    least_spread: float = 0.0

    def __post_init__(self) -> None:
        require(self.population >= 2, f"population is {self.population}; use at least 2")
        require(self.temperature > 0, f"temperature is {self.temperature}; it must be positive")
        require(self.guess_spread > 0, f"guess_spread is {self.guess_spread}; it must be positive")
        require(0 <= self.least_spread <= 1, f"least_spread is {self.least_spread}; it is a share, from 0 to 1")


@dataclass(frozen=True, eq=False)
class State(base.Sampled):
    """With least : (problem, dimension), of std."""

    least: np.ndarray


def start(
    low: np.ndarray, high: np.ndarray, settings: Settings, mean: np.ndarray | None = None, steps: int = 1
) -> State:
    """The state before the first generation, uniform over the bounds or normal around a first guess."""
    begun = base.begun(low, high, mean, settings)
    return State(**begun, least=settings.least_spread * begun["std"])


def ask(state: State, rng: np.random.Generator) -> np.ndarray:
    """A generation : (problem, candidate, dimension) float64, inside the bounds."""
    p, d = state.low.shape
    return base.drawn(state, rng.standard_normal((p, state.settings.population, d)))


def tell(state: State, candidates: np.ndarray, scores: np.ndarray) -> State:
    """Learn from scores : (problem, candidate), larger is better; NaN and -inf weigh nothing.

    A problem without a finite score stays as it was, and one with a single one keeps its spread.
    """
    candidates, scores = base.told(state.low, candidates, scores)
    mean, std, size = kernels.weighed(candidates, scores, state.settings.temperature)
    return dataclasses.replace(
        state,
        mean=np.where((size > 0)[:, None], mean, state.mean),
        std=np.where((size > 1)[:, None], np.maximum(std, state.least), state.std),
        informed=state.informed | (size > 0),
        **base.better(state, candidates, scores),
    )


def spread(state: State) -> np.ndarray:
    """The largest standard deviation of each problem, as a share of its bounds' width : (problem,)."""
    return base.shares(state.std, state.low, state.high)
