"""Points that were recorded, and how far others are from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciworld.errors import SearchError

NEAREST = 4  # recorded ones whose mean square distance counts
QUANTILE = 0.99  # of what recordings differ, which is the unit of all distances
PARTS = 5  # of the sessions, or of a single one, of which each is held against the others
AT_ONCE = 1024  # rows whose distances are in memory together


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of features that were recorded, in coordinates in which they differ alike in all directions.

    So a feature, or a sum of features, that hardly ever changes says the most when it does.

    Parameters
    ----------
    points : (n, feature), whitened. mean : (feature,), root : (feature, feature), that whiten. unit : the distance from
        other sessions that one in a hundred of the recorded points exceeds.
    """

    points: np.ndarray
    mean: np.ndarray
    root: np.ndarray
    unit: float

    def __post_init__(self) -> None:
        n, d = np.shape(self.points) if np.ndim(self.points) == 2 else (0, 0)
        shapes = np.shape(self.mean) == (d,) and np.shape(self.root) == (d, d) and np.shape(self.unit) == ()
        whole = all(np.isfinite(part).all() for part in (self.points, self.mean, self.root, self.unit))
        if not (n and d and shapes and whole and self.unit > 0):
            raise ValueError(f"no cloud: points {np.shape(self.points)}, unit {self.unit}; all must be finite")

    @classmethod
    def of(cls, rows: np.ndarray, sessions: np.ndarray) -> Cloud:
        """Of features (n, feature) from sessions (n,) by number.

        The unit is measured on sessions that were left out of all that they are compared with, as others will be.
        """
        if len(np.unique(sessions)) == 1:
            sessions = np.arange(len(rows)) * PARTS // len(rows)
        part = np.unique(sessions, return_inverse=True)[1] % PARTS
        apart = [_fitted(rows[part != one])._to(rows[part == one]) for one in np.unique(part) if (part != one).any()]
        found = _fitted(rows)
        unit = float(np.quantile(np.concatenate(apart), QUANTILE)) if apart else 1.0
        return cls(found.points, found.mean, found.root, max(unit, 1e-9))

    def distance(self, rows: np.ndarray) -> np.ndarray:
        """How far features (..., feature) are from what was recorded, 1 at its edge : (...).

        Raises SearchError for another number of features.
        """
        if rows.shape[-1] != len(self.mean):
            raise SearchError(
                f"familiar: {rows.shape[-1]} features, not {len(self.mean)}; it was made of recordings with other "
                "channels or controls: make it anew of those that the model was trained on"
            )
        found: np.ndarray = (self._to(rows.reshape(-1, rows.shape[-1])) / self.unit).reshape(rows.shape[:-1])
        return found

    def _to(self, rows: np.ndarray) -> np.ndarray:
        """Root mean square distance of features (n, feature) to the nearest points : (n,)."""
        whitened, k = (rows - self.mean) @ self.root, min(NEAREST, len(self.points))
        found = np.empty(len(rows))
        for begin in range(0, len(rows), AT_ONCE):
            part = whitened[begin : begin + AT_ONCE]
            square = (part**2).sum(axis=1)[:, None] - 2 * part @ self.points.T + (self.points**2).sum(axis=1)
            nearest = np.partition(np.maximum(square, 0.0), k - 1, axis=1)[:, :k]
            found[begin : begin + AT_ONCE] = nearest.mean(axis=1)
        return np.sqrt(found / rows.shape[1])


def _fitted(rows: np.ndarray) -> Cloud:
    """A cloud of features (n, feature) whose unit is not known."""
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    # What never changed is known to a thousandth of itself.
    scale = np.where(scale > 1e-9 * (np.abs(mean) + 1e-30), scale, np.abs(mean) * 1e-3 + 1e-9)
    root = np.linalg.cholesky(np.linalg.inv(_shrunk((rows - mean) / scale))) / scale[:, None]
    return Cloud((rows - mean) @ root, mean, root, 1.0)


def _shrunk(rows: np.ndarray) -> np.ndarray:
    """The covariance (feature, feature) of centred rows (n, feature), moved toward a sphere as far as chance makes it
    differ from one (Ledoit and Wolf 2004, Journal of Multivariate Analysis 88, 2)."""
    n, d = rows.shape
    sample = rows.T @ rows / n
    sphere = (np.trace(sample) / d or 1.0) * np.eye(d)  # of what never differed, the units are all that is known
    apart = np.square(sample - sphere).sum()
    chance = ((rows**2).T @ rows**2 / n - sample**2).sum() / n
    share = 1.0 if apart == 0 else min(chance / apart, 1.0)
    # Some of the sphere is always left: two controls that were always played together are known no better than that.
    share = max(share, 1e-6)
    found: np.ndarray = (1 - share) * sample + share * sphere
    return found
