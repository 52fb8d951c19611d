"""Gradient ascent by Adam, from many beginnings at once.

Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980, algorithm 1. Gradients come
from whoever can differentiate a surrogate: `tell` takes them as numbers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.errors import SearchError
from sciworld.search.optimizers import base

GRADIENTS = True  # `tell` needs them


@dataclass(frozen=True)
class Settings:
    """How it steps.

    Parameters
    ----------
    population : beginnings that climb side by side.
    step : the length of a step in each dimension, as a share of the bounds' width (the paper's alpha).
    first, second : by which the gradients' moments decay (beta 1 and 2).
    guess_spread : standard deviation of beginnings around a first guess, as a share of the bounds' width.
    """

    population: int = 8
    step: float = 0.05
    first: float = 0.8
    second: float = 0.95
    guess_spread: float = 0.1

    def __post_init__(self) -> None:
        require(self.population >= 1, f"population is {self.population}; use at least 1")
        require(0 < self.step <= 1, f"step is {self.step}; it is a share, in (0, 1]")
        for name in ("first", "second"):
            value = getattr(self, name)
            require(0 <= value < 1, f"{name} is {value}; use a number from 0 to below 1")
        require(self.guess_spread >= 0, f"guess_spread is {self.guess_spread}; use at least 0")


@dataclass(frozen=True, eq=False)
class State(base.Sampled):
    """With those who climb.

    climbers : (problem, candidate, dimension), where they are, NaN before they were told; moment, square : the
    gradients' moments, of the same shape. steps : taken so far. taken : (problem, candidate), those of
    each since it began. moved : (problem,) by which the last ones went, as a share of the bounds' width; 1 where a
    climber begins anew.
    """

    climbers: np.ndarray
    moment: np.ndarray
    square: np.ndarray
    steps: int
    taken: np.ndarray
    moved: np.ndarray


def start(
    low: np.ndarray, high: np.ndarray, settings: Settings, mean: np.ndarray | None = None, steps: int = 1
) -> State:
    """The state before the first step: beginnings even over the bounds, or around a first guess."""
    begun = base.begun(low, high, mean, settings)
    p, d = begun["low"].shape
    shape = (p, settings.population, d)
    climbers, moment, square = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape)
    taken, moved = np.zeros(shape[:2], dtype=np.int64), np.ones(p)
    return State(
        **begun, climbers=climbers, moment=moment, square=square, steps=0, taken=taken, moved=moved
    )  # fmt: skip


def ask(state: State, rng: np.random.Generator) -> np.ndarray:
    """Where the climbers are : (problem, candidate, dimension) float64, inside the bounds."""
    first = base.drawn(state, rng.standard_normal(state.climbers.shape))
    return np.where(np.isnan(state.climbers), first, state.climbers)


def tell(state: State, candidates: np.ndarray, scores: np.ndarray, gradients: np.ndarray | None = None) -> State:
    """Step along gradients (problem, candidate, dimension) of scores (problem, candidate), in the order of `ask`.

    Where a score is NaN, or its gradient is not finite, a climber begins anew, and nothing of the way before drives
    it. Raises SearchError without gradients.
    """
    candidates, scores = base.told(state.low, candidates, scores)
    shape = state.climbers.shape
    if gradients is None or not candidates.shape == gradients.shape == shape:
        found = None if gradients is None else gradients.shape
        raise SearchError(
            f"adam: candidates {candidates.shape}, gradients {found}; give those of `ask`, in order, {shape}"
        )
    s, width = state.settings, (state.high - state.low)[:, None]
    unknown = ~np.isfinite(gradients)
    lost = (np.isnan(scores) | (unknown & (width > 0)).any(axis=2))[..., None]
    slope = np.where(unknown, 0.0, gradients) * width
    moment = s.first * state.moment + (1 - s.first) * slope
    square = s.second * state.square + (1 - s.second) * slope**2
    count = state.taken + 1
    rise = moment / (1 - s.first ** count[..., None])
    size = np.sqrt(square / (1 - s.second ** count[..., None]))
    move = s.step * width * rise / np.where(size > 0, size, 1.0)
    after = np.clip(candidates + move, state.low[:, None], state.high[:, None])
    gone = np.abs(after - candidates) / np.where(width > 0, width, 1.0)
    return dataclasses.replace(
        state,
        climbers=np.where(lost, np.nan, after),
        moment=np.where(lost, 0.0, moment),
        square=np.where(lost, 0.0, square),
        steps=state.steps + 1,
        taken=np.where(lost[..., 0], 0, count),
        moved=np.where(lost, 1.0, gone).max(axis=(1, 2)),  # whoever begins anew may come to be anywhere
        **base.better(state, candidates, scores),
    )


def spread(state: State) -> np.ndarray:
    """How far the last steps went, as a share of the bounds' width : (problem,)."""
    return state.moved
