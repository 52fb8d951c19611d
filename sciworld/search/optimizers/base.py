"""What every optimizer of controls is: three pure functions on a state that is a value."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


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
    array of the caller's, and all randomness comes in through `rng`.
    """

    @property
    def Settings(self) -> type: ...  # noqa: N802 - the name of the module's settings dataclass

    def start(self, low: np.ndarray, high: np.ndarray, settings: Any, mean: np.ndarray | None = None) -> Any:
        """The state before the first generation. low, high, and a first guess `mean` : (problem, dimension)."""
        ...

    def ask(self, state: Any, rng: np.random.Generator) -> np.ndarray:
        """Candidates : (problem, candidate, dimension) float64, inside the bounds."""
        ...

    def tell(self, state: Any, candidates: np.ndarray, scores: np.ndarray) -> Any:
        """The state that has learned scores : (problem, candidate) of `candidates`, in any order; NaN ranks last."""
        ...

    def spread(self, state: Any) -> np.ndarray:
        """How wide each problem's search still is, as a share of its bounds : (problem,)."""
        ...
