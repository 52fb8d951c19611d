"""Structural similarity of pairs of frames, summed in float64 while they pass by once."""

import numpy as np
from numba import njit, prange

SIGMA, REACH = 1.5, 5  # pixels: the Gaussian window's standard deviation, and how far it goes to each side
_OFF = np.arange(-REACH, REACH + 1)
_WINDOW = np.exp(-0.5 * (_OFF / SIGMA) ** 2)
WINDOW = _WINDOW / _WINDOW.sum()


@njit(cache=True, parallel=True, fastmath={"contract", "reassoc"})
def ssim(true, guess, counted, c1, c2, out):
    """Set out (frame,) to the mean structural similarity of true and guess, both (frame, y, x) of float32 or float64.

    counted : (frame, y, x) bool, which pixels the mean is over; borders of REACH pixels never count. c1, c2 : what
    keeps quotients finite. NaN where no pixel counts. Frames are at least 2 REACH + 1 pixels high and wide.
    """
    for n in prange(len(true)):
        out[n] = _one(true[n], guess[n], counted[n], c1, c2)


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _one(true, guess, counted, c1, c2):
    height, width = true.shape
    taps = 2 * REACH + 1
    # Down each column first, the five moments side by side; then along the row that this gives.
    rows = np.empty((5, width))
    total, count = 0.0, 0
    for y in range(REACH, height - REACH):
        rows[:] = 0.0
        for k in range(taps):
            weight, line = WINDOW[k], y + k - REACH
            for x in range(width):
                a, b = np.float64(true[line, x]), np.float64(guess[line, x])
                rows[0, x] += weight * a
                rows[1, x] += weight * b
                rows[2, x] += weight * a * a
                rows[3, x] += weight * b * b
                rows[4, x] += weight * a * b
        for x in range(REACH, width - REACH):
            if not counted[y, x]:
                continue
            a, b, aa, bb, ab = 0.0, 0.0, 0.0, 0.0, 0.0
            for k in range(taps):
                weight, place = WINDOW[k], x + k - REACH
                a += weight * rows[0, place]
                b += weight * rows[1, place]
                aa += weight * rows[2, place]
                bb += weight * rows[3, place]
                ab += weight * rows[4, place]
            above = (2 * a * b + c1) * (2 * (ab - a * b) + c2)
            below = (a * a + b * b + c1) * (aa - a * a + bb - b * b + c2)
            total += above / below
            count += 1
    return total / count if count else np.nan
