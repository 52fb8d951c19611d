"""The cross-entropy method.

de Boer, Kroese, Mannor and Rubinstein, "A tutorial on the cross-entropy method", Annals of Operations Research
134 (2005): independent normals whose moments follow the elite, with smoothed updating.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.kernels import cem as kernels
from sciworld.search.optimizers import base


@dataclass(frozen=True)
class Settings:
    """How the cross-entropy method samples and learns.

    Parameters
    ----------
    population : candidates in a generation.
    elite : share of them that the next generation learns from (the tutorial's rho).
    smoothing : weight of the elite's moments against the old ones (the tutorial's alpha).
    guess_spread : standard deviation around a first guess, as a share of the bounds' width.
    """

    population: int = 48
    elite: float = 0.125
    smoothing: float = 0.9
    guess_spread: float = 0.25

    def __post_init__(self) -> None:
        require(self.population >= 2, f"population is {self.population}; use at least 2")
        require(0 < self.elite <= 1, f"elite is {self.elite}; it is a share, in (0, 1]")
        require(0 < self.smoothing <= 1, f"smoothing is {self.smoothing}; it is a weight, in (0, 1]")
        require(self.guess_spread > 0, f"guess_spread is {self.guess_spread}; it must be positive")

    @property
    def elites(self) -> int:
        """How many candidates the elite holds when no scores are equal."""
        return min(self.population, max(2, round(self.elite * self.population)))


State = base.Sampled


def start(
    low: np.ndarray, high: np.ndarray, settings: Settings, mean: np.ndarray | None = None, steps: int = 1
) -> State:
    """The state before the first generation; see `base.region` for what it raises.

    low, high : (problem, dimension), finite; mean : the same shape, a first guess inside them.
    """
    return State(**base.begun(low, high, mean, settings))


def ask(state: State, rng: np.random.Generator) -> np.ndarray:
    """A generation : (problem, candidate, dimension) float64, inside the bounds."""
    p, d = state.mean.shape
    return base.drawn(state, rng.standard_normal((p, state.settings.population, d)))


def tell(state: State, candidates: np.ndarray, scores: np.ndarray) -> State:
    """Learn from scores : (problem, candidate), larger is better, of candidates (problem, candidate, dimension).

    The order of the candidates has no effect. NaN ranks last; a problem whose scores are all NaN stays as it was,
    and one with a single score keeps its spread. Raises SearchError for shapes that do not fit.
    """
    candidates, scores = base.told(state.low, candidates, scores)
    mean, std, size, best, best_score = kernels.elite_statistics(candidates, scores, state.settings.elites)
    weight = state.settings.smoothing
    scored, several = (size > 0)[:, None], (size > 1)[:, None]
    better = best_score > state.best_score
    return dataclasses.replace(
        state,
        mean=np.where(scored, weight * mean + (1 - weight) * state.mean, state.mean),
        std=np.where(several, weight * std + (1 - weight) * state.std, state.std),
        informed=state.informed | (size > 0),
        best=np.where(better[:, None], best, state.best),
        best_score=np.where(better, best_score, state.best_score),
    )


def spread(state: State) -> np.ndarray:
    """The largest standard deviation of each problem, as a share of its bounds' width : (problem,)."""
    return base.shares(state.std, state.low, state.high)
