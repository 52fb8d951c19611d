"""Things in frames: how many there are, and whether they stay the same things from one frame to the next.

frames are (time, y, x) of one channel. An object is pixels of `threshold` or more that touch, also at corners, if they
are `least` pixels or more; NaN and masked pixels are none. A threshold that is no finite number raises SettingsError.
"""

from __future__ import annotations

import itertools

import numpy as np

from sciworld.config import is_number
from sciworld.errors import SettingsError
from sciworld.kernels import label as kernel
from sciworld.measures.known import floats, plain, quiet


@quiet
def places(frame: np.ndarray, threshold: float, least: int = 1) -> np.ndarray:
    """The middle of each object of a frame (y, x), weighed by what exceeds the threshold : (object, 2) row, column.

    From the top, by the first row of each object.
    """
    _require_threshold(threshold)
    frame = floats(frame, "objects: a frame")
    if frame.ndim != 2:
        raise SettingsError(f"objects: a frame is {frame.shape}; give (y, x)")
    mask = frame >= threshold
    labels = np.zeros(frame.shape, dtype=np.int32)
    count = kernel.label(mask, labels)
    rows, columns = np.nonzero(mask)
    which, weight = labels[rows, columns], frame[rows, columns] - threshold + 1e-12 * max(abs(threshold), 1.0)
    total = np.bincount(which, weight, count + 1)[1:]
    size = np.bincount(which, minlength=count + 1)[1:]
    middle = [np.bincount(which, weight * at, count + 1)[1:] / total for at in (rows, columns)]
    return np.stack(middle, axis=1)[size >= least]


def count(frames: np.ndarray, threshold: float, least: int = 1) -> np.ndarray:
    """How many objects each frame shows : (time,) int64."""
    _require_threshold(threshold)
    return np.array([len(places(frame, threshold, least)) for frame in _clip(frames)], dtype=np.int64)


def count_error(true: np.ndarray, guess: np.ndarray, threshold: float, least: int = 1) -> np.ndarray:
    """Objects that are too many (above 0) or missing (below) : (time,) int64; 0 is right."""
    return count(guess, threshold, least) - count(true, threshold, least)


@quiet
def jump(frames: np.ndarray, threshold: float, least: int = 1) -> np.ndarray:
    """How far the object that moved most moved from each frame to the next : (time - 1,) pixels.

    Each object of the later frame is held against the nearest of the earlier one, and the other way round: what appears
    far from all others has jumped, and so has what is gone. 0 where neither frame has any, infinite where one has none.
    A truth tells how far things go in a step: what exceeds that has no identity.
    """
    _require_threshold(threshold)
    found = []
    seen = [places(frame, threshold, least) for frame in _clip(frames)]
    for before, after in itertools.pairwise(seen):
        if not len(before) or not len(after):
            found.append(0.0 if len(before) == len(after) else np.inf)
            continue
        apart = np.hypot(*np.moveaxis(after[:, None] - before, -1, 0))
        found.append(float(max(apart.min(axis=0).max(), apart.min(axis=1).max())))
    return np.array(found)


def _clip(frames: np.ndarray) -> np.ndarray:
    frames = plain(frames, "objects: frames")
    if frames.ndim != 3:
        raise SettingsError(f"objects: frames are {frames.shape}; give (time, y, x)")
    return frames


def _require_threshold(threshold: float) -> None:
    if not (is_number(threshold) and abs(threshold) < np.inf):
        raise SettingsError(
            f"objects: threshold is {threshold!r:.80}; give a finite number, in the units of the frames"
        )
