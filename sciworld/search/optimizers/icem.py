"""The improved cross-entropy method, for plans of many steps.

Pinneri, Sawant, Blaes, Achterhold, Stueckler, Rolinek and Martius, "Sample-efficient cross-entropy method for real-time
planning", CoRL 2020, arXiv:2008.06389: noise whose spectrum falls with frequency along the steps (section 3.1), elites
that are kept (3.2), generations that shrink (3.3), and the mean among the candidates (3.4).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.kernels import cem as kernels
from sciworld.kernels import ranking
from sciworld.search.optimizers import base, cem


@dataclass(frozen=True)
class Settings(cem.Settings):
    """How it samples and learns, beside what `cem.Settings` says.

    Parameters
    ----------
    population : candidates in the first generation. shrink : by which each is smaller than the one before (the paper's
        gamma), down to twice the elite.
    colour : the exponent by which the power of the noise falls with frequency (the paper's beta): 0 is white, 2 a walk.
    kept : share of the elite that is looked at again in the next generation (the paper's xi).
    """

    shrink: float = 1.25
    colour: float = 2.0
    kept: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.shrink >= 1, f"shrink is {self.shrink}; use 1, for none, or more")
        require(0 <= self.colour <= 8, f"colour is {self.colour}; use 0, for white noise, to 8")
        require(0 <= self.kept <= 1, f"kept is {self.kept}; it is a share, from 0 to 1")

    def size(self, generation: int) -> int:
        """Fresh candidates in a generation, of which the first is 0."""
        return max(min(self.population, 2 * self.elites), round(self.population * self.shrink**-generation))


@dataclass(frozen=True, eq=False)
class State(base.Sampled):
    """With what a plan's steps and the elite need.

    kept : (problem, n, dimension), the elites that are looked at again, NaN where there are fewer. steps : of a plan.
    generation : how many have been told.
    """

    kept: np.ndarray
    steps: int
    generation: int


def start(
    low: np.ndarray, high: np.ndarray, settings: Settings, mean: np.ndarray | None = None, steps: int = 1
) -> State:
    """The state before the first generation; vectors are `steps` times the same numbers, step by step."""
    begun = base.begun(low, high, mean, settings)
    p, d = begun["low"].shape
    require(steps >= 1 and d % steps == 0, f"steps is {steps}; it must divide the {d} dimensions")
    return State(**begun, kept=np.full((p, 0, d), np.nan), steps=steps, generation=0)


def ask(state: State, rng: np.random.Generator) -> np.ndarray:
    """A generation : (problem, candidate, dimension) float64, inside the bounds; the last are the mean, and what is
    kept of the elite."""
    p, d = state.low.shape
    n = state.settings.size(state.generation)
    noise = coloured(rng, (p, n, state.steps, d // state.steps), state.settings.colour).reshape(p, n, d)
    fresh = base.drawn(state, noise)
    mean = state.mean[:, None]
    kept = np.where(np.isnan(state.kept), mean, state.kept)
    return np.concatenate([fresh, mean, kept], axis=1)


def coloured(rng: np.random.Generator, shape: tuple[int, int, int, int], exponent: float) -> np.ndarray:
    """Normal numbers (problem, candidate, step, number) of variance 1, whose power falls with frequency to that
    exponent along the steps (Timmer and Koenig, Astronomy and Astrophysics 300 (1995), section 4)."""
    white = rng.standard_normal(shape)
    steps = shape[2]
    if steps == 1 or exponent == 0:
        return white
    frequency = np.fft.rfftfreq(steps)
    frequency[0] = frequency[1]  # the mean of a plan moves as its slowest wave does
    gain = frequency ** (-exponent / 2)
    both = np.full(len(gain), 2.0)  # of frequencies, all but the first and, of even steps, the last, stand for two
    both[0] = 1.0
    if steps % 2 == 0:
        both[-1] = 1.0
    gain /= np.sqrt((both * gain**2).sum() / steps)
    found: np.ndarray = np.fft.irfft(np.fft.rfft(white, axis=2) * gain[:, None], n=steps, axis=2)
    return found


def tell(state: State, candidates: np.ndarray, scores: np.ndarray) -> State:
    """Learn from scores : (problem, candidate), as `cem.tell` does, and keep some of the elite."""
    candidates, scores = base.told(state.low, candidates, scores)
    s = state.settings
    mean, std, size, _, _ = kernels.elite_statistics(candidates, scores, s.elites)
    scored, several = (size > 0)[:, None], (size > 1)[:, None]
    kept = np.full((len(candidates), round(s.kept * s.elites), candidates.shape[2]), np.nan)
    for i, (each, given) in enumerate(zip(candidates, scores, strict=True)):
        order, valid = ranking.ranked(each, given)
        first = order[: min(valid, kept.shape[1])]
        kept[i, : len(first)] = each[first]
    return dataclasses.replace(
        state,
        mean=np.where(scored, s.smoothing * mean + (1 - s.smoothing) * state.mean, state.mean),
        std=np.where(several, s.smoothing * std + (1 - s.smoothing) * state.std, state.std),
        informed=state.informed | (size > 0),
        kept=kept,
        generation=state.generation + 1,
        **base.better(state, candidates, scores),
    )


def spread(state: State) -> np.ndarray:
    """The largest standard deviation of each problem, as a share of its bounds' width : (problem,)."""
    return base.shares(state.std, state.low, state.high)
