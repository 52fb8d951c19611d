"""Differences of frames, pixel by pixel: in physical units, on what moves, and on what stands still.

true and guess are arrays (..., y, x) of one channel. Every measure is over the last two axes, is summed in float64 and
returns (...). `where` is a mask (..., y, x) of the pixels that count, all by default. A pixel whose truth is not
finite, or masked, is unknown and never counts; a guess that is so where the truth is not makes its measure NaN. So does
a mask that leaves no pixel. What is no array of real numbers raises SettingsError.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from sciworld.config import is_number
from sciworld.errors import SettingsError
from sciworld.kernels import ssim as kernel
from sciworld.measures.known import floats, plain, quiet, ratio

REACH = kernel.REACH  # pixels that the window of SSIM reaches to each side
K1, K2 = 0.01, 0.03  # Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13, 600 (2004), section III.C
NOISES = 4.0  # standard deviations of the noise of a difference: what differs by more has moved
NORMAL = 1.4826  # standard deviations in a median absolute deviation, of normal noise
QUANTUM = 0.75  # steps of data that are mostly still: the noise for which what moved differs by more than 3 of them


@quiet
def mse(true: np.ndarray, guess: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Mean squared difference, mean((guess - true)^2) : (...), in squared units of the frames; 0 is perfect."""
    difference, counted = _difference(true, guess, where)
    return _mean(difference * difference, counted)


def rmse(true: np.ndarray, guess: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Root mean squared difference, sqrt(mse) : (...), in the units of the frames; 0 is perfect."""
    return np.sqrt(mse(true, guess, where))


@quiet
def mae(true: np.ndarray, guess: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Mean absolute difference, mean(|guess - true|) : (...), in the units of the frames; 0 is perfect."""
    difference, counted = _difference(true, guess, where)
    return _mean(np.abs(difference), counted)


def psnr(true: np.ndarray, guess: np.ndarray, data_range: float, where: np.ndarray | None = None) -> np.ndarray:
    """Peak signal-to-noise ratio, 20 log10(data_range / rmse) : (...) dB; infinite where nothing differs.

    data_range : from the least to the largest value that frames can have, in their units, such as 255 of bytes. It is
    never taken from the frames, or clips would be on scales of their own. Raises SettingsError unless it is above 0.
    """
    _require_range(data_range)
    with np.errstate(divide="ignore"):
        return np.asarray(20 * math.log10(data_range) - 10 * np.log10(mse(true, guess, where)))


def ssim(true: np.ndarray, guess: np.ndarray, data_range: float, where: np.ndarray | None = None) -> np.ndarray:
    """Structural similarity : (...), -1 to 1; 1 is perfect.

    The mean over pixels of (2 m_t m_g + c1)(2 s_tg + c2) / ((m_t^2 + m_g^2 + c1)(s_t^2 + s_g^2 + c2)), with means m,
    variances and covariance s under a Gaussian of 1.5 pixels that reaches 5 to each side, c1 = (0.01 data_range)^2 and
    c2 = (0.03 data_range)^2: Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13, 600 (2004), equation
    13. Borders of 5 pixels do not count; neither do windows with an unknown pixel. data_range : see `psnr`. Raises
    SettingsError unless it is above 0 and frames are 11 pixels high and wide.
    """
    _require_range(data_range)
    true, guess, counted = _pair(true, guess, where)
    height, width = true.shape[-2:]
    least = 2 * REACH + 1
    if min(height, width) < least:
        raise SettingsError(f"ssim: frames are {height} x {width}; its window needs {least} pixels each way")
    shape, frame = true.shape[:-2], (-1, height, width)
    known = np.isfinite(true)
    wrong = np.zeros(shape, bool)
    if not known.all():
        counted = counted & _whole_windows(known)
    if not np.isfinite(guess).all():
        wrong = (~np.isfinite(guess) & known).any(axis=(-2, -1))
    found = np.empty(math.prod(shape))
    kernel.ssim(
        _floats(true).reshape(frame), _floats(guess).reshape(frame),
        np.ascontiguousarray(np.broadcast_to(counted, true.shape)).reshape(frame),
        1 / float(data_range), K1**2, K2**2, found,
    )  # fmt: skip
    return np.asarray(np.where(wrong, np.nan, found.reshape(shape)))


@quiet
def moving(true: np.ndarray, present: np.ndarray, least: float | None = None) -> np.ndarray:
    """Which pixels have moved : bool, as `true` (..., time, y, x): |true - present| > least.

    present : (..., y, x), the frame that was known. least : in the units of the frames; by default 4 standard
    deviations of the noise, which is read off what most pixels do: 1.4826 times the median |difference| of frames that
    follow each other, of each clip. Where that is 0, as of few counts and of bytes of little noise, it is 0.75 of the
    smallest difference above 0, so that what differs by more than 3 quanta has moved; of frames without noise that
    difference is next to nothing. Where most pixels truly change it is more than the noise: give `least` there.
    The mask is of the true frames alone: no guess decides where it is looked at. A pixel whose truth is not finite has
    not moved. Raises SettingsError for shapes that do not fit, and a negative `least`.
    """
    true, present = floats(true, "moving: true"), floats(present, "moving: present")
    if true.ndim < 3 or true.shape[:-3] + true.shape[-2:] != present.shape:
        raise SettingsError(
            f"moving: true is {true.shape}, present {present.shape}; give (..., time, y, x), (..., y, x)"
        )
    if least is not None and not least >= 0:
        raise SettingsError(f"moving: least is {least}; use 0 or more, in the units of the frames")
    away = np.abs(true - present[..., None, :, :])
    if least is None:
        steps = np.abs(np.diff(np.concatenate([present[..., None, :, :], true], axis=-3), axis=-3))
        return np.asarray((away > NOISES * _noise(steps)[..., None, None, None]) & np.isfinite(true))
    return np.asarray((away > least) & np.isfinite(true))


def false_motion(true: np.ndarray, guess: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Root mean squared difference over the pixels that did not move : (...), in the units of the frames; 0 is perfect.

    moved : see `moving`. It stands beside a measure on moving pixels, which motion that is made up cannot spoil.
    """
    moved = np.ma.filled(moved, True)  # what nobody knows does not stand still
    return rmse(true, guess, ~np.asarray(moved, dtype=bool))


def _pair(true: np.ndarray, guess: np.ndarray, where: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both as they are, and which pixels count. Raises SettingsError for shapes that differ."""
    true, guess = plain(true, "true"), plain(guess, "guess")
    if true.shape != guess.shape or true.ndim < 2:
        raise SettingsError(f"true is {true.shape}, guess {guess.shape}; give frames (..., y, x) of one shape")
    counted = np.ones(true.shape[-2:], bool) if where is None else np.ma.filled(where, False)
    if counted.dtype != bool or counted.ndim < 2 or np.broadcast_shapes(counted.shape, true.shape) != true.shape:
        raise SettingsError(f"where is {counted.dtype} {counted.shape}; give bool (..., y, x) that fits {true.shape}")
    return true, guess, counted


def _difference(true: np.ndarray, guess: np.ndarray, where: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """guess - true in float64, 0 where nothing counts, and which pixels do : both (..., y, x)."""
    true, guess, counted = _pair(true, guess, where)
    counted = counted & np.isfinite(true)
    difference = np.subtract(guess, true, dtype=np.float64, where=counted, out=np.zeros(true.shape))
    if not np.isfinite(difference).all():
        difference[~np.isfinite(difference)] = np.nan
    return difference, counted


def _mean(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean over the pixels that count, NaN of none : (...)."""
    return ratio(values.sum(axis=(-2, -1)), counted.sum(axis=(-2, -1)))


def _whole_windows(known: np.ndarray) -> np.ndarray:
    """Where all pixels of a window are known : bool (..., y, x); borders are left to who uses it."""
    found = known.copy()
    for axis in (-2, -1):
        around = found.copy()
        for off in range(1, REACH + 1):
            around &= np.roll(found, off, axis) & np.roll(found, -off, axis)
        found = around
    return found


def _noise(steps: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise of each clip, from |differences| (..., time, y, x) : (...); 0 of none."""
    found = np.zeros(steps.shape[:-3])
    for index in np.ndindex(found.shape):
        seen = steps[index][np.isfinite(steps[index])]
        if seen.any():
            found[index] = NORMAL * np.median(seen) or QUANTUM * seen[seen > 0].min()
    return found


def _floats(values: np.ndarray) -> np.ndarray:
    """As the kernel takes them: float32 where that holds every value, else float64."""
    kind = (
        np.float32 if values.dtype in (np.uint8, np.int8, np.uint16, np.int16, np.float16, np.float32) else np.float64
    )
    return np.ascontiguousarray(values, kind)


@quiet
def _require_range(data_range: float) -> None:
    good = is_number(data_range) and 0 < data_range < math.inf
    if not (good and data_range <= sys.float_info.max):  # beyond which there are integers
        raise SettingsError(
            f"data_range is {data_range!r:.80}; give the span of values that frames can have, in their units, e.g. 255"
        )
