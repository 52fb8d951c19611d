"""Where a loss may weigh more: near the silicon, as the frame before the control shows it."""

from __future__ import annotations

import numpy as np

from sciworld.domains.stem.locate import blur_weights, check_frames
from sciworld.kernels import locate as kernel

WIDTH = 2.2  # A, standard deviation: a hop's two sites lie within
FLOOR = 0.05  # of the weight at the silicon


def focus(frames: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Weights (n, y, x) float32 for frames (n, y, x, 1) seen through view (n, 6): high near the brightest atom."""
    pixels, view = check_frames(np.asarray(frames), np.asarray(view, dtype=np.float64))
    n, rows, cols = pixels.shape
    steps = np.hypot(view[:, [0, 1]], view[:, [3, 4]]).mean(axis=0)
    place = np.empty((n, 2))
    kernel.brightest(pixels, blur_weights(steps[0]), blur_weights(steps[1]), place)
    dx = (np.arange(cols) - place[:, 0, None])[:, None, :] * steps[0]
    dy = (np.arange(rows) - place[:, 1, None])[:, :, None] * steps[1]
    return (FLOOR + np.exp(-0.5 * (dx**2 + dy**2) / WIDTH**2)).astype(np.float32)
