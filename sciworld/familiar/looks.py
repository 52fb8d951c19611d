"""What frames look like, in few numbers."""

from __future__ import annotations

import numpy as np

LOOKS = ("brightness", "contrast", "texture")  # in the order of the features of `looks_of`
SHARES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)  # of the pixels
BLOCKS = 2  # along either side of a frame, that are compared one by one
GRID = 32  # pixels along either side, at most, of the frames in which `under` looks
RADII = (1, 3, 6)  # of these pixels


def looks_of(frames: np.ndarray) -> np.ndarray:
    """What frames (n, y, x, channel) look like : (n, feature) float64, as many of each of LOOKS.

    Of every channel: brightness and contrast, the least and greatest shares of the pixels' values and of how far they
    are from their block's mean; texture, the same of how steep they are. And the mean of each in every block.
    """
    values = frames.astype(np.float64)
    rise, run = np.zeros_like(values), np.zeros_like(values)
    rise[:, 1:], run[:, :, 1:] = np.diff(values, axis=1), np.diff(values, axis=2)
    y, x = values.shape[1:3]
    rows, columns = (np.arange(size) * min(BLOCKS, size) // size for size in (y, x))
    away = np.abs(values - blocks(values, BLOCKS)[:, rows[:, None], columns])
    parts = []
    for one in (values, away, np.hypot(rise, run)):
        flat = one.reshape(len(one), y * x, -1)
        shares = np.moveaxis(np.quantile(flat, SHARES, axis=1), 0, 1)
        parts += [shares.reshape(len(one), -1), blocks(one, BLOCKS).reshape(len(one), -1)]
    return np.concatenate(parts, axis=1)


def under(frames: np.ndarray, places: np.ndarray) -> np.ndarray:
    """What lies under places (n, candidate, step, 2), column and row in pixels, of frames (n, y, x, channel).

    Returns (n, candidate, step, feature): mean and maximum within each of RADII, of every channel, in a frame of at
    most GRID blocks; NaN counts as nothing.
    """
    coarse = blocks(np.nan_to_num(frames.astype(np.float64)), GRID)
    most, reach = np.array(coarse.shape[1:3]), np.arange(-RADII[-1], RADII[-1] + 1)
    scale = most / np.array(frames.shape[1:3])
    at = np.rint((places[..., ::-1] + 0.5) * scale - 0.5)[..., None] + reach  # (n, candidate, step, 2, reach)
    at = np.clip(at, 0, most[:, None] - 1).astype(np.int64)
    rows, columns = at[..., 0, :, None], at[..., 1, None, :]
    patches = coarse[np.arange(len(frames))[:, None, None, None, None], rows, columns]
    found = []
    for radius in RADII:
        inner = slice(RADII[-1] - radius, RADII[-1] + radius + 1)
        part = patches[..., inner, inner, :]
        found += [part.mean(axis=(-3, -2)), part.max(axis=(-3, -2))]
    return np.concatenate(found, axis=-1)


def blocks(frames: np.ndarray, most: int) -> np.ndarray:
    """Means of frames (n, y, x, channel) over at most `most` x `most` blocks : (n, block, block, channel)."""
    y, x = frames.shape[1:3]
    firsts = [np.flatnonzero(np.diff(np.arange(size) * min(most, size) // size, prepend=-1)) for size in (y, x)]
    sums = np.add.reduceat(np.add.reduceat(frames, firsts[0], axis=1), firsts[1], axis=2)
    counts = [np.diff(np.append(first, size)) for first, size in zip(firsts, (y, x), strict=True)]
    found: np.ndarray = sums / (counts[0][:, None] * counts[1])[..., None]
    return found
