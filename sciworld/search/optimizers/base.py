"""What every optimizer of controls is: pure functions on a state that is a value; and what all of them check."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sciworld.errors import SearchError
from sciworld.kernels import cem as sampling
from sciworld.kernels import ranking


class OptimizerState(Protocol):
    """The part of an optimizer's state that a search reads: the best seen so far, problem by problem.

    best : (problem, dimension), NaN before anything scored. best_score : (problem,), -inf before that.
    """

    @property
    def best(self) -> np.ndarray: ...

    @property
    def best_score(self) -> np.ndarray: ...


class Optimizer(Protocol):
    """Maximises scores of vectors inside bounds, for many problems side by side; a single problem is problem = 1.

    An optimizer is a module with these names. Its state is a value: `ask` and `tell` change neither it nor any
    array of the caller's, and all randomness comes in through `rng`. A module with `GRADIENTS = True` is told gradients
    (problem, candidate, dimension) of the scores, too, in the order of `ask`.
    """

    @property
    def Settings(self) -> type: ...  # noqa: N802 - the name of the module's settings dataclass

    def start(
        self, low: np.ndarray, high: np.ndarray, settings: Any, mean: np.ndarray | None = None, steps: int = 1
    ) -> Any:
        """The state before the first generation.

        low, high, and a first guess `mean` : (problem, dimension). steps : how many times the vectors repeat the same
        numbers, as plans of so many steps do; an optimizer may draw them alike in neighbouring steps.
        """
        ...

    def ask(self, state: Any, rng: np.random.Generator) -> np.ndarray:
        """Candidates : (problem, candidate, dimension) float64, inside the bounds."""
        ...

    def tell(self, state: Any, candidates: np.ndarray, scores: np.ndarray) -> Any:
        """The state that has learned scores : (problem, candidate) of `candidates`, in any order; NaN ranks last.

        Differential evolution, where each challenges a member, and those that climb take them in the order of `ask`.
        """
        ...

    def spread(self, state: Any) -> np.ndarray:
        """How wide each problem's search still is, as a share of its bounds : (problem,)."""
        ...


def region(
    low: np.ndarray, high: np.ndarray, mean: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Bounds, and a first guess if there is one, (problem, dimension) float64, none of them the caller's.

    Raises SearchError for bounds that are not finite or the wrong way round, and for a guess outside.
    """
    low, high = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    if low.ndim != 2 or low.shape != high.shape or 0 in low.shape:
        raise SearchError(f"bounds: low {low.shape}, high {high.shape}; both must be (problem, dimension), not empty")
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise SearchError("bounds: low must not be above high, and both must be finite; check the region searched")
    if mean is None:
        return low, high, None
    guess = np.array(mean, dtype=np.float64)
    if guess.shape != low.shape or not ((guess >= low) & (guess <= high)).all():
        raise SearchError(f"mean: shape {guess.shape}; a first guess must be {low.shape} and inside the bounds")
    return low, high, guess


@dataclass(frozen=True, eq=False)
class Sampled:
    """What a search that draws from independent normals has learned; (problem, dimension) unless said otherwise.

    low, high : the bounds. mean, std : of the normals. informed : (problem,) bool, False while a problem is still drawn
    evenly over its bounds, which the first generation is unless a guess was given. best, best_score (problem,) : the
    best so far.
    """

    settings: Any
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    informed: np.ndarray
    best: np.ndarray
    best_score: np.ndarray


def begun(low: np.ndarray, high: np.ndarray, mean: np.ndarray | None, settings: Any) -> dict[str, Any]:
    """The fields of `Sampled` before the first generation; see `region` for what it raises.

    Without a guess mean and std are those of the uniform distribution over the bounds, else std is that share of their
    width which `settings.guess_spread` is.
    """
    low, high, guess = region(low, high, mean)
    return {
        "settings": settings,
        "low": low,
        "high": high,
        "mean": (low + high) / 2 if guess is None else guess,
        "std": (high - low) * (1 / math.sqrt(12) if guess is None else settings.guess_spread),
        "informed": np.full(len(low), guess is not None),
        **nothing(low),
    }


def drawn(state: Sampled, normals: np.ndarray) -> np.ndarray:
    """Candidates : (problem, candidate, dimension), inside the bounds, of standard normal numbers of that shape."""
    found: np.ndarray = sampling.transform(normals, state.mean, state.std, state.informed, state.low, state.high)
    return found


def told(low: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `tell` was given, as float64 in one piece. Raises SearchError for shapes that do not fit the bounds."""
    for name, values in (("candidates", candidates), ("scores", scores)):
        if getattr(values, "dtype", low.dtype).kind not in "biuf":
            raise SearchError(f"tell: {name} are {values.dtype}; they must be real numbers")
    candidates = np.ascontiguousarray(candidates, dtype=np.float64)
    scores = np.ascontiguousarray(scores, dtype=np.float64)
    p, d = low.shape
    if candidates.ndim != 3 or candidates.shape[::2] != (p, d) or scores.shape != candidates.shape[:2]:
        raise SearchError(
            f"tell: candidates {candidates.shape}, scores {scores.shape}; "
            f"expected ({p}, candidate, {d}) and ({p}, candidate)"
        )
    return candidates, scores


def better(state: OptimizerState, candidates: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """The fields best and best_score, with what candidates (problem, candidate, dimension) have added to them."""
    best, best_score = state.best.copy(), state.best_score.copy()
    for i in range(len(candidates)):
        chosen = ranking.best_of(candidates[i], scores[i])
        if chosen >= 0 and scores[i, chosen] > best_score[i]:
            best[i], best_score[i] = candidates[i, chosen], scores[i, chosen]
    return {"best": best, "best_score": best_score}


def nothing(low: np.ndarray) -> dict[str, Any]:
    """The fields best and best_score before anything scored."""
    return {"best": np.full_like(low, np.nan), "best_score": np.full(len(low), -np.inf)}


def shares(std: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The largest of standard deviations (problem, dimension), as a share of the bounds' width : (problem,)."""
    width = high - low
    largest: np.ndarray = np.where(width > 0, std / np.where(width > 0, width, 1), 0).max(axis=1)
    return largest
