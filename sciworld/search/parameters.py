"""How a plan of many steps is made of few numbers: the values that a control has at knots, and what lies between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.errors import SearchError

KINDS = ("constant", "linear", "spline", "fourier")


@dataclass(frozen=True)
class Parameters:
    """What is searched in place of every step.

    Parameters
    ----------
    kind : what lies between knots. "constant" holds each value until the next one; "linear" goes straight; "spline" is
        the natural cubic spline, with no curvature at either end (de Boor 1978, A Practical Guide to Splines, chapter
        IV); "fourier" are the waves that fit into the horizon a whole number of times (trigonometric interpolation),
        so that a plan ends as it begins. Splines and waves may leave the bounds between knots, where they are cut off.
    knots : how many values each control has; None for one each step.
    """

    kind: str = "constant"
    knots: int | None = None

    def __post_init__(self) -> None:
        require(self.kind in KINDS, f"kind is {self.kind!r}; use {', '.join(KINDS)}")
        require(self.knots is None or self.knots >= 1, f"knots is {self.knots}; use at least 1, or None for every step")

    def count(self, horizon: int) -> int:
        """Knots of a plan of so many steps. Raises SearchError for more knots than steps."""
        knots = horizon if self.knots is None else self.knots
        if knots > horizon:
            raise SearchError(
                f"parameters: {knots} knots for {horizon} steps; use at most as many, or a longer horizon"
            )
        if self.kind == "fourier" and knots % 2 == 0 and knots < horizon:
            raise SearchError(
                f"parameters: {knots} knots of waves; use an odd number, a mean and pairs of sine and cosine"
            )
        return knots

    def matrix(self, horizon: int) -> np.ndarray:
        """What maps values at knots to steps : (step, knot) float64; every row sums to 1."""
        knots = self.count(horizon)
        if knots == horizon:
            return np.eye(horizon)
        if knots == 1:
            return np.ones((horizon, 1))
        if self.kind == "constant":
            return np.eye(knots)[np.arange(horizon) * knots // horizon]
        if self.kind == "fourier":
            return _waves(horizon, knots)
        place = np.arange(horizon) * (knots - 1) / (horizon - 1)
        before = np.minimum(place.astype(int), knots - 2)
        share = place - before
        unit = np.eye(knots)
        straight = (1 - share)[:, None] * unit[before] + share[:, None] * unit[before + 1]
        if self.kind == "linear":
            return straight
        # With knots one apart a spline is the straight line, and a cubic of the second derivatives at either knot.
        bend = _curvatures(knots)
        left, right = ((s**3 - s)[:, None] / 6 for s in (1 - share, share))
        found: np.ndarray = straight + left * bend[before] + right * bend[before + 1]
        return found

    def plans(self, values: np.ndarray, horizon: int) -> np.ndarray:
        """Values at knots (..., knot, control) to plans (..., step, control)."""
        plans: np.ndarray = np.einsum("sk,...kc->...sc", self.matrix(horizon), values)
        return plans

    def values(self, plans: np.ndarray) -> np.ndarray:
        """The values (..., knot, control) whose plans are nearest to these (..., step, control), by least squares."""
        inverse = np.linalg.pinv(self.matrix(plans.shape[-2]))
        values: np.ndarray = np.einsum("ks,...sc->...kc", inverse, plans)
        return values


def _curvatures(knots: int) -> np.ndarray:
    """Second derivatives (knot, knot) at knots one apart of the natural splines that are 1 at one knot, 0 at others."""
    inner = np.arange(knots - 2)
    system, right = np.zeros((knots - 2, knots - 2)), np.zeros((knots - 2, knots))
    system[inner, inner] = 4.0
    system[inner[1:], inner[:-1]] = system[inner[:-1], inner[1:]] = 1.0
    for offset, factor in enumerate((6.0, -12.0, 6.0)):
        right[inner, inner + offset] = factor
    found = np.zeros((knots, knots))
    found[1:-1] = np.linalg.solve(system, right)
    return found


def _waves(horizon: int, knots: int) -> np.ndarray:
    """Of each knot the narrowest periodic pulse that is 1 there and 0 at others (Dirichlet's kernel)."""
    apart = np.arange(horizon)[:, None] / horizon - np.arange(knots) / knots
    orders = np.arange(1, (knots - 1) // 2 + 1)
    found: np.ndarray = (1 + 2 * np.cos(2 * np.pi * apart[..., None] * orders).sum(axis=-1)) / knots
    return found
