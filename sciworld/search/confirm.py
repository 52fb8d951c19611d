"""Laws that a surrogate thinks well of, tried one after another where it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sciworld.config import is_number, whole
from sciworld.errors import SearchError
from sciworld.search.law import Law

APART = 0.03  # of what the search looked at, in one parameter at least: nearer laws teach little
LEVEL, SLOPE, REST = 4.0, 1.0, 1.0  # variances of a promise's error, in its own units: of all laws alike, along a
# parameter from end to end of what the search looked at, and of what is left, which is alike within about as much
NUGGET = 1e-3  # variance of what no neighbour tells


@dataclass(frozen=True, eq=False)
class Confirmed:
    """Laws that were tried, in the order in which they were.

    Parameters
    ----------
    parameters : (try, dimension), the search's own choice first. promises : (try,) what was promised of each.
    scores : (try,) what they were worth; not finite where that could not be told.
    """

    parameters: np.ndarray
    promises: np.ndarray
    scores: np.ndarray

    @property
    def best(self) -> int:
        """Which law was worth most. Raises SearchError where none was worth anything."""
        told = np.isfinite(self.scores)
        if not told.any():
            raise SearchError(
                f"confirm: none of {len(told)} laws got a score; see why the trial returned {self.scores[0]}"
            )
        return int(np.argmax(np.where(told, self.scores, -np.inf)))


def confirm(law: Law, trial: Callable[[np.ndarray], float], tries: int = 10) -> Confirmed:
    """Try laws that a search imagined, each chosen by what it promises and how wrong promises were so far.

    The error of a promise is guessed from those of the laws that were tried, by Gaussian process regression: a
    surrogate that is wrong about strong jets is wrong about all of them alike (the additive correction between models
    of several fidelities: Kennedy and O'Hagan 2000, Biometrika 87, 1).

    Parameters
    ----------
    law : what the search found, with all that it imagined, from which laws are chosen.
    trial : parameters (dimension,) -> what the law is worth in the trusted simulator, or on the bench, in the units of
        the promise; NaN where it could not be told. tries : how often it is called, at most: there may be fewer laws
        that differ.

    Raises SettingsError for tries below 1; SearchError for a score that is no number.
    """
    tries = whole(tries, "tries", 1)
    if law.tried.shape != (*law.scores.shape, *law.parameters.shape) or not np.isfinite(law.parameters).all():
        raise SearchError(
            f"confirm: a law of parameters {law.parameters.shape}, tried {law.tried.shape}, scores {law.scores.shape}; "
            "give what search_law returned"
        )
    laws = np.concatenate([law.parameters[None], law.tried.reshape(-1, law.tried.shape[-1])])
    promises = np.concatenate([[law.promise], law.scores.ravel()])
    real = np.isfinite(laws).all(axis=1)  # others fill up a generation
    laws, promises = laws[real], promises[real]
    span = np.ptp(laws, axis=0)
    places = laws / np.where(span > 0, span, 1.0)
    open_ = np.isfinite(promises)
    chosen, scores = [0], [_number(trial(laws[0].copy()))]
    while len(chosen) < tries:
        open_ &= np.abs(places - places[chosen[-1]]).max(axis=1) > APART
        if not open_.any():
            break
        likely = promises + _error(places[chosen], np.array(scores) - promises[chosen], places)
        chosen.append(int(np.argmax(np.where(open_, likely, -np.inf))))
        scores.append(_number(trial(laws[chosen[-1]].copy())))
    return Confirmed(laws[chosen], promises[chosen], np.array(scores))


def _error(known: np.ndarray, error: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Mean of a Gaussian process at `at` (n, dimension), of which errors are known here and there, or are NaN."""
    known, error = known[np.isfinite(error)], error[np.isfinite(error)]

    def alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        near: np.ndarray = np.exp(-((a[:, None] - b) ** 2).sum(axis=-1) / 2)
        return LEVEL + SLOPE * a @ b.T + REST * near

    found: np.ndarray = alike(at, known) @ np.linalg.solve(alike(known, known) + NUGGET * np.eye(len(known)), error)
    return found


def _number(score: object) -> float:
    if not is_number(score):
        raise SearchError(f"confirm: the trial returned {score!r:.80}; return a number, or NaN where it cannot be told")
    return float(score)  # type: ignore[arg-type]
