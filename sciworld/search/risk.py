"""How much chance and ignorance a search shies away from. The promise of a plan stays its plain mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sciworld.config import require


@dataclass(frozen=True)
class Risk:
    """What candidates are compared by, of the scores of their samples.

    Parameters
    ----------
    between : standard deviations of the members of an ensemble, about what each expects, that the mean is lowered by:
        what they do not agree on, the surrogate does not know. Planners exploit just that.
    within : standard deviations of a member's samples: the world's chance.
    worst : share of the samples, the worst ones, whose mean counts: the conditional value at risk (Rockafellar and
        Uryasev 2000, Journal of Risk 2); 1 is the mean of all.
    """

    between: float = 0.0
    within: float = 0.0
    worst: float = 1.0

    def __post_init__(self) -> None:
        for name in ("between", "within"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"{name} is {value}; use a number of standard deviations, 0 or more")
        require(0 < self.worst <= 1, f"worst is {self.worst}; it is a share of the samples, in (0, 1]")

    @property
    def by_member(self) -> bool:
        """Whether members of an ensemble must be told apart: what they disagree on is not the world's chance."""
        return self.between > 0 or self.within > 0

    @property
    def of_samples(self) -> bool:
        """Whether it asks for samples, even where the posterior mean would tell the mean score."""
        return self.within > 0 or self.worst < 1

    def merit(self, scores: np.ndarray) -> np.ndarray:
        """What candidates are compared by : (...), of scores (..., member, sample); NaN where any of them is."""
        members, samples = scores.shape[-2:]
        flat = np.sort(scores.reshape(*scores.shape[:-2], members * samples), axis=-1)
        with np.errstate(invalid="ignore"):  # the deviation of infinite scores is none
            merit = flat[..., : max(1, math.ceil(self.worst * members * samples - 1e-9))].mean(axis=-1)
            chance = scores.var(axis=-1, ddof=1).mean(axis=-1) if samples > 1 else np.zeros(merit.shape)
            if self.within:
                merit = merit - self.within * np.sqrt(chance)
            if self.between and members > 1:
                # The variance of means of few samples is in part their chance, see Ensemble.spread.
                apart = scores.mean(axis=-1).var(axis=-1, ddof=1) - chance / samples
                merit = merit - self.between * np.sqrt(np.maximum(apart, 0.0))
        return np.where(np.isnan(scores).any(axis=(-2, -1)), np.nan, merit)
