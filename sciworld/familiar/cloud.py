"""Points that were recorded, and how far others are from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAREST = 4  # recorded ones whose mean square distance counts
QUANTILE = 0.99  # of what recordings differ, which is the unit of all distances
PARTS = 4  # of a single session, that stand for sessions
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

    @classmethod
    def of(cls, rows: np.ndarray, sessions: np.ndarray) -> Cloud:
        """Of features (n, feature) from sessions (n,) by number."""
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        # What never changed is known to a thousandth of itself.
        scale = np.where(scale > 1e-9 * (np.abs(mean) + 1e-30), scale, np.abs(mean) * 1e-3 + 1e-9)
        root = np.linalg.cholesky(np.linalg.inv(_shrunk((rows - mean) / scale))) / scale[:, None]
        found = cls((rows - mean) @ root, mean, root, 1.0)
        if len(np.unique(sessions)) == 1:
            sessions = np.arange(len(rows)) * PARTS // len(rows)
        apart = found._to(found.points, sessions, sessions)
        return cls(found.points, mean, root, float(max(np.quantile(apart, QUANTILE), 1e-9)))

    def distance(self, rows: np.ndarray) -> np.ndarray:
        """How far features (..., feature) are from what was recorded, 1 at its edge : (...)."""
        whitened = (rows.reshape(-1, rows.shape[-1]) - self.mean) @ self.root
        found: np.ndarray = (self._to(whitened) / self.unit).reshape(rows.shape[:-1])
        return found

    def _to(self, whitened: np.ndarray, of: np.ndarray | None = None, sessions: np.ndarray | None = None) -> np.ndarray:
        """Root mean square distance to the nearest points : (n,); of rows from sessions `of`, to those of others."""
        k = min(NEAREST, len(self.points))
        found = np.empty(len(whitened))
        for begin in range(0, len(whitened), AT_ONCE):
            rows = slice(begin, begin + AT_ONCE)
            part = whitened[rows]
            square = (part**2).sum(axis=1)[:, None] - 2 * part @ self.points.T + (self.points**2).sum(axis=1)
            if of is not None and sessions is not None:
                square[of[rows, None] == sessions] = np.inf
            nearest = np.partition(np.maximum(square, 0.0), k - 1, axis=1)[:, :k]
            known = np.isfinite(nearest)
            found[rows] = np.where(known, nearest, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        return np.sqrt(found / whitened.shape[1])


def _shrunk(rows: np.ndarray) -> np.ndarray:
    """The covariance (feature, feature) of centred rows (n, feature), moved toward a sphere as far as chance makes it
    differ from one (Ledoit and Wolf 2004, Journal of Multivariate Analysis 88, 2)."""
    n, d = rows.shape
    sample = rows.T @ rows / n
    sphere = np.trace(sample) / d * np.eye(d)
    apart = np.square(sample - sphere).sum()
    chance = ((rows**2).T @ rows**2 / n - sample**2).sum() / n
    share = 1.0 if apart == 0 else min(chance / apart, 1.0)
    # Some of the sphere is always left: two controls that were always played together are known no better than that.
    share = max(share, 1e-6)
    found: np.ndarray = (1 - share) * sample + share * sphere
    return found
