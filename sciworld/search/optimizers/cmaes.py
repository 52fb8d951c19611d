"""Covariance matrix adaptation.

Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772v2: full covariance with negative weights for bad
candidates (section B); separable, for many dimensions: Ros and Hansen, "A simple modification in CMA-ES achieving
linear time and space complexity", PPSN 2008; restarts with twice the population: Auger and Hansen, "A restart CMA
evolution strategy with increasing population size", CEC 2005.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sciworld.config import require
from sciworld.kernels import cmaes as kernels
from sciworld.kernels import ranking
from sciworld.search.optimizers import base

COVARIANCES = ("full", "separable")
# How often candidates outside the bounds are drawn again before they are moved onto them: those on a bound would draw
# the search to it, yet where the optimum lies on bounds none would ever be inside.
REDRAWN = 20


@dataclass(frozen=True)
class Settings:
    """How it samples and learns; what is not here is the tutorial's (table 1).

    Parameters
    ----------
    population : candidates in a generation; None for the tutorial's 4 + 3 ln(dimension).
    covariance : "full", or "separable" where dimensions are many and do not act together.
    active : bad candidates make the covariance narrower where they are.
    guess_spread : the first standard deviation, as a share of the bounds' width.
    restarts : how often a problem that has settled begins anew from anywhere, with twice the population.
    settled : a problem has, once the scores of a generation differ by less than this share of how much those of its
        first one did, or its spread is below it.
    """

    population: int | None = None
    covariance: str = "full"
    active: bool = True
    guess_spread: float = 0.25
    restarts: int = 0
    settled: float = 1e-11

    def __post_init__(self) -> None:
        enough = self.population is None or self.population >= 4
        require(enough, f"population is {self.population}; use at least 4, or None")
        require(self.covariance in COVARIANCES, f"covariance is {self.covariance!r}; use {' or '.join(COVARIANCES)}")
        require(0 < self.guess_spread <= 1, f"guess_spread is {self.guess_spread}; it is a share, in (0, 1]")
        require(self.restarts >= 0, f"restarts is {self.restarts}; use 0, for none, or more")
        require(0 <= self.settled < 1, f"settled is {self.settled}; it is a share, from 0 to below 1")


@dataclass(frozen=True, eq=False)
class State:
    """What the search has learned; arrays begin with the problem, and vectors are shares of the bounds' width.

    low, high, best : (problem, dimension), best_score : (problem,), in the caller's units.
    mean, path, path_cov : (problem, dimension). sigma : (problem,). cov, root : (problem, dimension, dimension), of
    separable ones (problem, 1, dimension). generation : (problem,) since it began or began anew; 0 is drawn evenly over
    the bounds where `informed` (problem,) is False. range : (problem,) of scores then. restarts : (problem,) so far.
    """

    settings: Settings
    low: np.ndarray
    high: np.ndarray
    best: np.ndarray
    best_score: np.ndarray
    mean: np.ndarray
    sigma: np.ndarray
    cov: np.ndarray
    root: np.ndarray
    path: np.ndarray
    path_cov: np.ndarray
    generation: np.ndarray
    informed: np.ndarray
    range: np.ndarray
    restarts: np.ndarray

    @property
    def full(self) -> bool:
        """Whether the covariance is."""
        return self.settings.covariance == "full"

    @property
    def width(self) -> np.ndarray:
        """Of the bounds, 1 where they hold one value alone : (problem, dimension)."""
        return np.where(self.high > self.low, self.high - self.low, 1.0)

    @property
    def population(self) -> int:
        """Candidates in the next generation, of the problem that began anew most often."""
        first = self.settings.population or 4 + int(3 * math.log(self.low.shape[1]))
        return first * 2 ** int(self.restarts.max())


def start(
    low: np.ndarray, high: np.ndarray, settings: Settings, mean: np.ndarray | None = None, steps: int = 1
) -> State:
    """The state before the first generation, drawn evenly over the bounds or around a first guess."""
    low, high, guess = base.region(low, high, mean)
    p, d = low.shape
    shape = np.eye(d) if settings.covariance == "full" else np.ones((1, d))
    width = np.where(high > low, high - low, 1.0)
    centre = np.full((p, d), 0.5) if guess is None else (guess - low) / width
    return State(
        settings, low, high, **base.nothing(low), mean=centre, sigma=np.full(p, settings.guess_spread),
        cov=np.tile(shape, (p, 1, 1)), root=np.tile(shape, (p, 1, 1)), path=np.zeros((p, d)),
        path_cov=np.zeros((p, d)), generation=np.zeros(p, dtype=np.int64), informed=np.full(p, guess is not None),
        range=np.full(p, np.nan), restarts=np.zeros(p, dtype=np.int64),
    )  # fmt: skip


def ask(state: State, rng: np.random.Generator) -> np.ndarray:
    """A generation : (problem, candidate, dimension) float64, inside the bounds."""
    p, d = state.low.shape
    found = rng.standard_normal((p, state.population, d))
    for i in range(p):
        if state.informed[i]:
            learned = (state.mean[i], state.sigma[i], state.root[i], state.full, state.low[i], state.high[i])
            found[i], outside = kernels.sample(found[i], *learned)
            for _ in range(REDRAWN):
                if not outside.any():
                    break
                again = np.flatnonzero(outside)
                found[i, again], outside[again] = kernels.sample(rng.standard_normal((len(again), d)), *learned)
        else:
            drawn = rng.uniform(state.low[i], state.high[i], found[i].shape)
            found[i] = np.clip(drawn, state.low[i], state.high[i])  # a sum may be rounded beyond its bound
    return found


def tell(state: State, candidates: np.ndarray, scores: np.ndarray) -> State:
    """Learn from scores : (problem, candidate), larger is better, in any order; NaN ranks last.

    A problem whose scores are all NaN stays as it was.
    """
    candidates, scores = base.told(state.low, candidates, scores)
    _, n, d = candidates.shape
    names = ("mean", "sigma", "cov", "root", "path", "path_cov", "generation", "informed", "range", "restarts")
    new = {name: getattr(state, name).copy() for name in names}
    weights, rates = _strategy(n, d, state.settings.active, state.full)
    shares = (candidates - state.low[:, None]) / state.width[:, None]
    for i in range(len(candidates)):
        order, valid = ranking.ranked(candidates[i], scores[i])
        if not valid:
            continue
        ordered, found = shares[i, order], scores[i, order[:valid]]
        between = float(found[0] - found[np.isfinite(found)][-1]) if np.isfinite(found[0]) else np.inf
        new["generation"][i] += 1
        if not new["informed"][i]:
            positive = weights > 0
            new["mean"][i] = weights[positive] @ ordered[positive]
            new["informed"][i], new["range"][i], new["generation"][i] = True, between, 0
            continue
        if np.isnan(new["range"][i]):
            new["range"][i] = between
        new["sigma"][i] = kernels.update(
            ordered, weights, rates, new["mean"][i], new["sigma"][i], new["cov"][i], new["root"][i], new["path"][i],
            new["path_cov"][i], new["generation"][i], state.full,
        )  # fmt: skip
        widest = new["sigma"][i] * math.sqrt(_variances(new["cov"][i]).max())
        new["sigma"][i] /= max(widest, 1.0)  # wider than the bounds is as wide
        settled = between <= state.settings.settled * new["range"][i] or widest < state.settings.settled
        if settled and new["restarts"][i] < state.settings.restarts:
            new["restarts"][i] += 1
            _begin_anew(new, i, state)
    return dataclasses.replace(state, **new, **base.better(state, candidates, scores))


def spread(state: State) -> np.ndarray:
    """The largest standard deviation of each problem, as a share of its bounds' width : (problem,)."""
    wide = np.stack([_variances(cov) for cov in state.cov]) * (state.high > state.low)
    found: np.ndarray = state.sigma * np.sqrt(wide.max(axis=1))
    return found


def _variances(cov: np.ndarray) -> np.ndarray:
    """Of each dimension : (dimension,)."""
    return np.diagonal(cov) if len(cov) == cov.shape[1] and len(cov) > 1 else cov[0]


def _begin_anew(new: dict[str, np.ndarray], i: int, state: State) -> None:
    """Forget what problem i has learned; its next generation is drawn evenly over its bounds."""
    d = state.low.shape[1]
    new["sigma"][i] = state.settings.guess_spread
    new["cov"][i] = new["root"][i] = np.eye(d) if state.full else 1.0
    new["path"][i] = new["path_cov"][i] = 0.0
    new["generation"][i], new["informed"][i], new["range"][i] = 0, False, np.nan


@lru_cache(maxsize=64)
def _strategy(n: int, d: int, active: bool, full: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n,) by rank, and the rates that kernels.update takes (tutorial, table 1, and equations 49 to 58)."""
    raw = math.log((n + 1) / 2) - np.log(np.arange(1, n + 1))
    good, bad = raw[raw > 0], raw[raw < 0]
    mu_eff = good.sum() ** 2 / (good**2).sum()
    c_sigma = (mu_eff + 2) / (d + mu_eff + 5)
    d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (d + 1)) - 1) + c_sigma
    c_c = (4 + mu_eff / d) / (d + 4 + 2 * mu_eff / d)
    c_1 = 2 / ((d + 1.3) ** 2 + mu_eff)
    c_mu = min(1 - c_1, 2 * (mu_eff - 2 + 1 / mu_eff) / ((d + 2) ** 2 + mu_eff))
    if not full:  # Ros and Hansen, section 3
        c_1, c_mu = min(1.0, c_1 * (d + 2) / 3), min(1.0, c_mu * (d + 2) / 3)
        c_mu = min(c_mu, 1 - c_1)
    weights = np.zeros(n)
    weights[raw > 0] = good / good.sum()
    if active and len(bad):
        mu_bad = bad.sum() ** 2 / (bad**2).sum()
        most = min(1 + c_1 / c_mu, 1 + 2 * mu_bad / (mu_eff + 2), (1 - c_1 - c_mu) / (d * c_mu)) if c_mu > 0 else 0.0
        weights[raw < 0] = most * bad / -bad.sum()
    length = math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))
    return weights, np.array([mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, length])
