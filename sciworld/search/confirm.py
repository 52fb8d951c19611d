"""Laws that a surrogate thinks well of, tried one after another in something trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sciworld.errors import SearchError
from sciworld.search.law import Law

APART = 0.05  # of the span of all that was imagined: laws nearer to each other teach nothing new


@dataclass(frozen=True, eq=False)
class Confirmed:
    """Laws that were tried, in the order in which they were.

    Parameters
    ----------
    parameters : (try, dimension), the surrogate's own choice first. promises : (try,) what the surrogate promised of
        each. scores : (try,) what they were worth; NaN where that could not be told.
    """

    parameters: np.ndarray
    promises: np.ndarray
    scores: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """Parameters (dimension,) of the law that was worth most. Raises SearchError if none was worth anything."""
        if np.isnan(self.scores).all():
            raise SearchError(f"confirm: none of {len(self.scores)} laws got a score; see why the trials returned NaN")
        found: np.ndarray = self.parameters[np.nanargmax(self.scores)]
        return found


def confirm(law: Law, trial: Callable[[np.ndarray], float], tries: int = 10) -> Confirmed:
    """Try laws of a search where it counts, each chosen by what was promised and by how wrong that was so far."""
    raise NotImplementedError
