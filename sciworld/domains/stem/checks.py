"""What must hold in any frame of one silicon in graphene, imagined or recorded."""

from __future__ import annotations

import numpy as np

from sciworld.domains.stem.locate import locate

INTACT = 0.8  # of the carbon sites near the silicon


def one_silicon(frames: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Whether each of frames (n, y, x, channel) shows exactly one silicon : (n,) bool. view : (n, 6)."""
    return locate(frames, view).n_silicon == 1


def lattice_intact(frames: np.ndarray, view: np.ndarray, share: float = INTACT) -> np.ndarray:
    """Whether at least `share` of the carbon sites near the silicon are as bright as carbon : (n,) bool."""
    return locate(frames, view).intact >= share


def dose_within(dose: np.ndarray, limit: float) -> np.ndarray:
    """Whether the electrons delivered, dose (n,), stay within `limit` electrons : (n,) bool."""
    return np.asarray(dose) <= limit
