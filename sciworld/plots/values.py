"""What is to be drawn, as arrays of numbers, and where its colours begin and end, whatever is missing or huge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sciworld.errors import SettingsError

HUGE = float(np.finfo(np.float64).max) / 4  # colours end here: the span between two such is a number
COARSE = 1e15  # from which on 1 is lost in rounding


def numbers(values: Any, where: str) -> np.ndarray:
    """Values as float64, of any shape. Raises SettingsError for rows of several lengths, and for what is no number.

    where : whose they are, to begin the error with.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{where} are no array of numbers ({error}); give rows of one length") from error


def panels(rows: Sequence[tuple[str, Any]], figure: str, axis: str) -> list[np.ndarray]:
    """The images (axis, y, x) float64 of each label, at least one, all of one grid. Raises SettingsError."""
    found = []
    for label, images in rows:
        found.append(numbers(images, f"{figure}: the frames of '{label}'"))
        if found[-1].ndim != 3 or 0 in found[-1].shape:
            raise SettingsError(
                f"{figure}: '{label}' has shape {found[-1].shape}; give frames ({axis}, y, x), at least one"
            )
        if found[-1].shape[1:] != found[0].shape[1:]:
            raise SettingsError(
                f"{figure}: '{rows[0][0]}' has images of {found[0].shape[1:]} pixels and '{label}' of "
                f"{found[-1].shape[1:]}; bring them to one grid"
            )
    if not found:
        raise SettingsError(f"{figure}: no rows; give at least one, a label and its frames ({axis}, y, x)")
    return found


def limits(arrays: Iterable[np.ndarray]) -> tuple[float, float]:
    """The least and the greatest finite value, which are apart and at most HUGE; 0 and 1 where there is none."""
    known = [array[np.isfinite(array)] for array in arrays]
    ends = np.array([(array.min(), array.max()) for array in known if array.size])
    if not len(ends):
        return 0.0, 1.0
    low, high = (float(np.clip(end, -HUGE, HUGE)) for end in (ends[:, 0].min(), ends[:, 1].max()))
    if low < high:
        return low, high
    return (low, low + 1.0) if abs(low) < COARSE else (min(low, low / 2), max(low, low / 2))


def reach(arrays: Iterable[np.ndarray]) -> float:
    """How far from 0 a finite value is, at most HUGE; 1 where there is none, or all are 0."""
    known = [np.abs(array[np.isfinite(array)]) for array in arrays]
    return min(max((float(array.max()) for array in known if array.size), default=0.0), HUGE) or 1.0


def light(values: np.ndarray) -> np.ndarray:
    """Values as float32, which are half the page; float64 where that cannot hold them."""
    with np.errstate(over="ignore"):
        short = values.astype(np.float32)
    return short if np.array_equal(np.isfinite(short), np.isfinite(values)) else values
