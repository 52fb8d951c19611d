"""Structural similarity of pairs of frames, summed in float64 while they pass by once."""

import numpy as np
from numba import njit, prange

SIGMA, REACH = 1.5, 5  # pixels: the Gaussian window's standard deviation, and how far it goes to each side
_OFF = np.arange(-REACH, REACH + 1)
_WINDOW = np.exp(-0.5 * (_OFF / SIGMA) ** 2)
WINDOW = _WINDOW / _WINDOW.sum()


@njit(cache=True, parallel=True, error_model="numpy", fastmath={"contract", "reassoc"})
def ssim(true, guess, counted, scale, c1, c2, out):
    """Set out (frame,) to the mean structural similarity of true and guess, both (frame, y, x) of float32 or float64.

    counted : (frame, y, x) bool, which pixels the mean is over; borders of REACH pixels never count. scale : what
    frames are multiplied by. c1, c2 : what keeps quotients finite, of frames so scaled. NaN where no pixel counts.
    Frames are at least 2 REACH + 1 pixels high and wide.
    """
    for n in prange(len(true)):
        out[n] = _one(true[n], guess[n], counted[n], scale, c1, c2)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _one(true, guess, counted, scale, c1, c2):
    height, width = true.shape
    taps = 2 * REACH + 1
    # Moments are about a level of each frame, or a large one would leave nothing but rounding in the variances.
    one, level_a = _departure(true, scale)
    other, level_b = _departure(guess, scale)
    # Down each column first, the moments side by side; then along the row that this gives. Squares are needed as sums.
    rows = np.empty((4, width))
    total, count = 0.0, 0
    for y in range(REACH, height - REACH):
        rows[:] = 0.0
        for k in range(taps):
            weight, line = WINDOW[k], y + k - REACH
            for x in range(width):
                a, b = one[line, x], other[line, x]
                rows[0, x] += weight * a
                rows[1, x] += weight * b
                rows[2, x] += weight * (a * a + b * b)
                rows[3, x] += weight * a * b
        for x in range(REACH, width - REACH):
            if not counted[y, x]:
                continue
            a, b, squares, product = 0.0, 0.0, 0.0, 0.0
            for k in range(taps):
                weight, place = WINDOW[k], x + k - REACH
                a += weight * rows[0, place]
                b += weight * rows[1, place]
                squares += weight * rows[2, place]
                product += weight * rows[3, place]
            mean_a, mean_b = a + level_a, b + level_b
            bright = (2 * mean_a * mean_b + c1) / (mean_a * mean_a + mean_b * mean_b + c1)
            alike = (2 * (product - a * b) + c2) / (max(squares - a * a - b * b, 0.0) + c2)
            # Rounding alone takes it beyond, where frames span far more than they are said to. NaN stays.
            if alike > 1.0:
                alike = 1.0
            elif alike < -1.0:
                alike = -1.0
            total += bright * alike
            count += 1
    return total / count if count else np.nan


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _departure(frame, scale):
    """A frame (y, x) less its level, and that level, both times `scale`.

    The level is the middle of what is finite of pixels so far apart that every window has one; 0 of none. No outlier
    moves it, as it would a mean.
    """
    height, width = frame.shape
    step = 2 * REACH + 1
    seen = np.empty((height // step + 1) * (width // step + 1))
    count = 0
    for y in range(REACH, height, step):
        for x in range(REACH, width, step):
            if np.isfinite(frame[y, x]):
                seen[count] = frame[y, x]
                count += 1
    level = np.sort(seen[:count])[count // 2] if count else 0.0
    away = np.empty(frame.shape)
    for y in range(height):
        for x in range(width):
            away[y, x] = scale * (frame[y, x] - level)
    return away, scale * level
