"""The best candidates that a search has seen: those that keep to all constraints first, then by merit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Finalists:
    """Up to k candidates of each problem, best first; a place that nobody has taken has the merit -inf.

    Parameters
    ----------
    controls : (problem, k, step, control). merit, mean : (problem, k), what they were compared by, and the mean of
    their scores. amounts : (problem, k, constraint). limits : (constraint,).
    """

    controls: np.ndarray
    merit: np.ndarray
    mean: np.ndarray
    amounts: np.ndarray
    limits: np.ndarray

    @classmethod
    def none(cls, problems: int, k: int, steps: int, controls: int, limits: np.ndarray) -> Finalists:
        """Before the first generation."""
        lost = np.full((problems, k), -np.inf)
        empty = np.full((problems, k, steps, controls), np.nan)
        return cls(empty, lost, np.full((problems, k), np.nan), np.full((*lost.shape, len(limits)), np.inf), limits)

    def joined(self, controls: np.ndarray, merit: np.ndarray, mean: np.ndarray, amounts: np.ndarray) -> Finalists:
        """With the best of a generation: controls (problem, candidate, step, control), merit and mean (problem,
        candidate), amounts (problem, candidate, constraint). NaN is no merit; who was there before keeps its merit."""
        k = self.merit.shape[1]
        known = (controls[:, :, None] == self.controls[:, None]).all(axis=(3, 4)).any(axis=2)
        merit = np.where(np.isnan(merit) | known, -np.inf, merit)
        fields = {"controls": controls, "merit": merit, "mean": mean, "amounts": amounts}
        both = {name: np.concatenate([getattr(self, name), new], axis=1) for name, new in fields.items()}
        lost = np.isneginf(both["merit"])
        order = np.lexsort((-both["merit"], np.where(lost, np.inf, self.excess(both["amounts"]))), axis=-1)[:, :k]
        rows = np.arange(len(merit))[:, None]
        return Finalists(limits=self.limits, **{name: values[rows, order] for name, values in both.items()})

    def excess(self, amounts: np.ndarray) -> np.ndarray:
        """By how much amounts (..., constraint) are above their limits, as shares of these, all together : (...)."""
        scale = np.where(self.limits == 0, 1.0, np.abs(self.limits))
        above: np.ndarray = np.maximum((amounts - self.limits) / scale - 1e-9, 0.0).sum(axis=-1)
        return above
