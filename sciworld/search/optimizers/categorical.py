"""The cross-entropy method for whole numbers, such as gears, or actions that were learned from video.

Rubinstein, "The cross-entropy method for combinatorial and continuous optimization", Methodology and Computing in
Applied Probability 1 (1999): every number has its own probabilities, which move to the shares of the elite.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.errors import SearchError
from sciworld.kernels import ranking
from sciworld.search.optimizers import base


@dataclass(frozen=True)
class Settings:
    """How it samples and learns.

    Parameters
    ----------
    population : candidates in a generation. elite : share of them that the next one learns from.
    smoothing : weight of the elite's shares against the old probabilities.
    floor : of what any value keeps, as a share of an even chance, so that none is lost for good.
    """

    population: int = 48
    elite: float = 0.125
    smoothing: float = 0.7
    floor: float = 0.01

    def __post_init__(self) -> None:
        require(self.population >= 2, f"population is {self.population}; use at least 2")
        require(0 < self.elite <= 1, f"elite is {self.elite}; it is a share, in (0, 1]")
        require(0 < self.smoothing <= 1, f"smoothing is {self.smoothing}; it is a weight, in (0, 1]")
        require(0 <= self.floor < 1, f"floor is {self.floor}; it is a share, from 0 to below 1")

    @property
    def elites(self) -> int:
        """How many candidates the elite holds when no scores are equal."""
        return min(self.population, max(1, round(self.elite * self.population)))


@dataclass(frozen=True, eq=False)
class State:
    """What the search has learned.

    first : (problem, dimension), the lowest whole number inside the bounds. chances : (problem, dimension, value) of
    each number from there on; 0 beyond the bounds. best : (problem, dimension), best_score : (problem,).
    """

    settings: Settings
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray
    chances: np.ndarray
    best: np.ndarray
    best_score: np.ndarray


LARGEST = 1024  # values of one number


def start(
    low: np.ndarray, high: np.ndarray, settings: Settings, mean: np.ndarray | None = None, steps: int = 1
) -> State:
    """The state before the first generation: all whole numbers inside the bounds alike; half of the chance is that of
    a first guess where there is one. Raises SearchError where bounds hold no whole number, or more than 1024."""
    low, high, guess = base.region(low, high, mean)
    first, last = np.ceil(low), np.floor(high)
    count = last - first + 1
    if (count < 1).any() or (count > LARGEST).any():
        i, k = np.argwhere((count < 1) | (count > LARGEST))[0]
        raise SearchError(
            f"categorical: number {k} of problem {i} has {count[i, k]:g} whole values from {low[i, k]:g} to "
            f"{high[i, k]:g}; it takes 1 to {LARGEST}, use another optimizer for real numbers"
        )
    values = np.arange(int(count.max()))
    chances = (values < count[..., None]) / count[..., None]
    if guess is not None:
        near = np.clip(np.rint(guess), first, last) - first
        chances = (chances + (values == near[..., None])) / 2
    return State(settings, low, high, first, chances, **base.nothing(low))


def ask(state: State, rng: np.random.Generator) -> np.ndarray:
    """A generation of whole numbers : (problem, candidate, dimension) float64, inside the bounds."""
    p, d, _ = state.chances.shape
    drawn = rng.random((p, state.settings.population, d))
    up_to = np.cumsum(state.chances, axis=-1)
    up_to /= up_to[..., -1:]
    found = np.empty_like(drawn)
    for i in range(p):
        for k in range(d):
            found[i, :, k] = np.searchsorted(up_to[i, k], drawn[i, :, k], side="right")
    # So that a number drawn at the very end of all chances is none that has none.
    return state.first[:, None] + np.minimum(found, np.floor(state.high - state.first)[:, None])


def tell(state: State, candidates: np.ndarray, scores: np.ndarray) -> State:
    """Learn from scores : (problem, candidate), larger is better; all ties at the threshold are of the elite.

    A problem without scores stays as it was. Raises SearchError for candidates that are no whole numbers inside.
    """
    candidates, scores = base.told(state.low, candidates, scores)
    number = candidates - state.first[:, None]
    if (number != np.rint(number)).any() or (candidates < state.low[:, None]).any():
        raise SearchError("categorical: candidates are no whole numbers inside the bounds; give those of `ask`")
    if (candidates > state.high[:, None]).any():
        raise SearchError("categorical: candidates are above the bounds; give those of `ask`")
    chances, s = state.chances.copy(), state.settings
    possible = chances > 0
    for i, given in enumerate(scores):
        order, valid = ranking.ranked(candidates[i], given)
        if not valid:
            continue
        threshold = given[order[min(valid, s.elites) - 1]]
        elite = number[i, given >= threshold].astype(np.int64)
        shares = (elite[..., None] == np.arange(chances.shape[2])).mean(axis=0)
        mixed = s.smoothing * shares + (1 - s.smoothing) * chances[i]
        least = s.floor / possible[i].sum(axis=-1, keepdims=True)
        mixed = np.where(possible[i], np.maximum(mixed, least), 0.0)
        chances[i] = mixed / mixed.sum(axis=-1, keepdims=True)
    return dataclasses.replace(state, chances=chances, **base.better(state, candidates, scores))


def spread(state: State) -> np.ndarray:
    """The chance, of the number that is least decided, that it is not its likeliest value, over that of even chances :
    (problem,)."""
    count = (state.chances > 0).sum(axis=-1)
    doubt = np.where(count > 1, (1 - state.chances.max(axis=-1)) / (1 - 1 / np.maximum(count, 2)), 0.0)
    widest: np.ndarray = doubt.max(axis=1)
    return widest
