"""Differential evolution.

Storn and Price, "Differential evolution: a simple and efficient heuristic for global optimization over continuous
spaces", Journal of Global Optimization 11 (1997): members of a population move by differences of others, and each
gives way to its own child alone. best_to_member is the paper's DE2, with lambda = F.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.errors import SearchError
from sciworld.kernels import de as kernels
from sciworld.search.optimizers import base


@dataclass(frozen=True)
class Settings:
    """How it moves and mixes.

    Parameters
    ----------
    population : members, and candidates in a generation.
    step : by which differences are multiplied (the paper's F), drawn evenly within `dither` of it for each child.
    crossover : chance that a number is the child's and not the member's (the paper's CR).
    best_to_member : children move toward the best member, too; without it they explore more.
    guess_spread : standard deviation around a first guess, as a share of the bounds' width.
    """

    population: int = 48
    step: float = 0.6
    dither: float = 0.2
    crossover: float = 0.9
    best_to_member: bool = True
    guess_spread: float = 0.25

    def __post_init__(self) -> None:
        require(self.population >= 4, f"population is {self.population}; use at least 4")
        require(0 < self.step <= 2, f"step is {self.step}; use a number in (0, 2]")
        require(0 <= self.dither < self.step, f"dither is {self.dither}; use a number from 0 to below step")
        require(0 <= self.crossover <= 1, f"crossover is {self.crossover}; it is a chance, from 0 to 1")
        require(self.guess_spread > 0, f"guess_spread is {self.guess_spread}; it must be positive")


@dataclass(frozen=True, eq=False)
class State(base.Sampled):
    """With the population.

    members : (problem, member, dimension), NaN before a problem's first generation scored; member_scores : (problem,
    member), NaN where a member has none.
    """

    members: np.ndarray
    member_scores: np.ndarray


def start(
    low: np.ndarray, high: np.ndarray, settings: Settings, mean: np.ndarray | None = None, steps: int = 1
) -> State:
    """The state before the first generation, uniform over the bounds or normal around a first guess."""
    begun = base.begun(low, high, mean, settings)
    (p, d), n = begun["low"].shape, settings.population
    return State(**begun, members=np.full((p, n, d), np.nan), member_scores=np.full((p, n), np.nan))


def ask(state: State, rng: np.random.Generator) -> np.ndarray:
    """A generation : (problem, candidate, dimension) float64, inside the bounds: member by member its challenger."""
    p, n, d = state.members.shape
    s = state.settings
    normals = rng.standard_normal((p, n, d))
    first = base.drawn(state, normals)
    picks, mixes = rng.random((p, n, 3)), rng.random((p, n, d))
    steps = s.step + s.dither * rng.uniform(-1, 1, (p, n))
    always = rng.integers(d, size=(p, n))
    children = kernels.children(
        state.members, state.best, picks, mixes, steps, always, s.crossover, s.best_to_member, state.low, state.high
    )
    return np.where(np.isnan(state.members), first, children)


def tell(state: State, candidates: np.ndarray, scores: np.ndarray) -> State:
    """Each of candidates takes the place of its member if it scores no worse; they are in the order of `ask`.

    NaN is worse than everything. Raises SearchError for another number of candidates.
    """
    candidates, scores = base.told(state.low, candidates, scores)
    if candidates.shape != state.members.shape:
        raise SearchError(
            f"de: {candidates.shape[1]} candidates for {state.members.shape[1]} members; give those of `ask`, in order"
        )
    valid = ~np.isnan(scores)
    # Once any of a problem has a score all are members, those that have none the first to give way.
    joins = np.isnan(state.members[..., 0]) & valid.any(axis=1, keepdims=True)
    wins = joins | (valid & ~(scores < state.member_scores))
    return dataclasses.replace(
        state,
        members=np.where(wins[..., None], candidates, state.members),
        member_scores=np.where(wins, scores, state.member_scores),
        **base.better(state, candidates, scores),
    )


def spread(state: State) -> np.ndarray:
    """The largest standard deviation of each problem's members, as a share of its bounds' width : (problem,)."""
    known = ~np.isnan(state.member_scores).any(axis=1)
    return np.where(known, base.shares(state.members.std(axis=1), state.low, state.high), 1.0)
