"""What a search on a surrogate is worth: judged by what its choices truly give, larger scores being better."""

from __future__ import annotations

import numpy as np

from sciworld.errors import SettingsError
from sciworld.measures.control import spearman
from sciworld.measures.known import floats, quiet


@quiet
def regret(promised: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The best true score less that of the candidate with the best promise : (...), in units of the score; 0 on.

    promised, true : (..., candidate), from the surrogate and from the trusted simulator; 0 is perfect. NaN where either
    is unknown.
    """
    promised, true = _candidates(promised, true)
    _, gave = _choice(promised, true)
    return np.asarray(true.max(axis=-1) - gave)


@quiet
def optimism(promised: np.ndarray, true: np.ndarray) -> np.ndarray:
    """What was promised of the chosen candidate less what it gave : (...), in units of the score; 0 is honest.

    promised, true : (..., candidate). Above 0 the surrogate was exploited: Smith and Winkler, Manage. Sci. 52, 311
    (2006), "the optimizer's curse". NaN where either is unknown.
    """
    said, gave = _choice(*_candidates(promised, true))
    return np.asarray(said - gave)


def rank_correlation(promised: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Spearman's correlation of promises and true scores over candidates : (...), -1 to 1; 1 orders them rightly.

    promised, true : (..., candidate). NaN of fewer than three known candidates, or where all are alike.
    """
    promised, true = _candidates(promised, true)
    found = np.empty(promised.shape[:-1])
    for index in np.ndindex(found.shape):
        found[index] = spearman(promised[index], true[index])
    return found


def violations(values: np.ndarray, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """Share of moments in which values (..., time) leave low to high : (...), 0 to 1; NaN counts as a violation."""
    values = floats(values, "violations: values")
    if values.ndim < 1 or not low <= high:
        raise SettingsError(
            f"violations: values are {values.shape}, from {low} to {high}; give (..., time), low <= high"
        )
    return np.asarray((~((values >= low) & (values <= high))).mean(axis=-1))


def _choice(promised: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What was promised of the first candidate with the best promise, and what it gave : (...) each, NaN if unknown."""
    place = promised.argmax(axis=-1)[..., None]
    unknown = (np.isnan(promised) | np.isnan(true)).any(axis=-1)
    said, gave = (np.where(unknown, np.nan, np.take_along_axis(one, place, -1)[..., 0]) for one in (promised, true))
    return said, gave


def _candidates(promised: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    promised, true = floats(promised, "promises"), floats(true, "true scores")
    if promised.shape != true.shape or promised.ndim < 1 or not promised.shape[-1]:
        raise SettingsError(f"promises are {promised.shape}, true scores {true.shape}; give (..., candidate) of both")
    return promised, true
