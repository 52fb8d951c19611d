"""What a search on a surrogate is worth: judged by what its choices truly give, larger scores being better."""

from __future__ import annotations

import numpy as np

from sciworld.errors import SettingsError
from sciworld.measures.control import spearman


def regret(promised: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The best true score less that of the candidate with the best promise : (...), in units of the score; 0 on.

    promised, true : (..., candidate), from the surrogate and from the trusted simulator; 0 is perfect. NaN where either
    is unknown.
    """
    promised, true = _candidates(promised, true)
    unknown = (np.isnan(promised) | np.isnan(true)).any(axis=-1)
    chosen = np.where(np.isnan(promised), -np.inf, promised).argmax(axis=-1)
    found = (
        np.where(np.isnan(true), -np.inf, true).max(axis=-1) - np.take_along_axis(true, chosen[..., None], -1)[..., 0]
    )
    return np.where(unknown, np.nan, found)


def optimism(promised: np.ndarray, true: np.ndarray) -> np.ndarray:
    """What was promised of the chosen candidate less what it gave : (...), in units of the score; 0 is honest.

    promised, true : (..., candidate). Above 0 the surrogate was exploited: Smith and Winkler, Manage. Sci. 52, 311
    (2006), "the optimizer's curse". NaN where either is unknown.
    """
    promised, true = _candidates(promised, true)
    unknown = (np.isnan(promised) | np.isnan(true)).any(axis=-1)
    chosen = np.where(np.isnan(promised), -np.inf, promised).argmax(axis=-1)[..., None]
    found = (np.take_along_axis(promised, chosen, -1) - np.take_along_axis(true, chosen, -1))[..., 0]
    return np.where(unknown, np.nan, found)


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
    values = np.asarray(values, dtype=np.float64)
    if values.ndim < 1 or not low <= high:
        raise SettingsError(
            f"violations: values are {values.shape}, from {low} to {high}; give (..., time), low <= high"
        )
    return np.asarray((~((values >= low) & (values <= high))).mean(axis=-1))


def _candidates(promised: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    promised, true = np.asarray(promised, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if promised.shape != true.shape or promised.ndim < 1 or not promised.shape[-1]:
        raise SettingsError(f"promises are {promised.shape}, true scores {true.shape}; give (..., candidate) of both")
    return promised, true
