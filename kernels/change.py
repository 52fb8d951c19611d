"""What changed from one frame to the next: how much, from where to where, and how far the whole image moved.

The motion of the image is the least-squares solution of the gradient constraint over the whole image: Lucas and Kanade,
"An iterative image registration technique with an application to stereo vision", IJCAI 1981, equation 5, one step.
"""

import math

import numpy as np
from numba import njit

SAMPLES = 1024  # of a change, for the median that tells its noise
EDGE = 3.0  # standard deviations from which on a change is no noise


@njit(cache=True, nogil=True)
def shrink(frame, rows, columns, counts):
    """Means over rows x columns pixels : frame (y, x, channel) to (channel, y // rows, x // columns) float64.

    Of counts, whose noise grows with them, the square root.
    """
    height, width, channels = frame.shape
    y, x = height // rows, width // columns
    out = np.empty((channels, y, x))
    line = np.empty(width * channels)
    for i in range(y):
        line[:] = 0.0
        for row in range(i * rows, (i + 1) * rows):  # whole rows first: several numbers of one are added at once
            flat = frame[row].reshape(-1)
            for k in range(flat.size):
                line[k] += flat[k]
        for j in range(x):
            for c in range(channels):
                total = 0.0
                for column in range(j * columns, (j + 1) * columns):
                    total += line[column * channels + c]
                out[c, i, j] = total
    for c in range(channels):
        for i in range(y):
            for j in range(x):
                mean = out[c, i, j] / (rows * columns)
                out[c, i, j] = math.sqrt(max(mean, 0.0)) if counts[c] else mean
    return out


@njit(cache=True, nogil=True)
def compare(before, after):
    """What changed between two images (y, x) float64.

    Returns mean square of the change in units of its noise; the smaller of its extremes in these units; column and row
    of where brightness left and of where it arrived : (2, 2); and columns and rows by which the image moved : (2,).
    What cannot be told is NaN.
    """
    height, width = before.shape
    change = _smooth(after - before)
    noise = _noise(change)
    energy = 0.0
    low, high = 0.0, 0.0
    ends = np.zeros((2, 2))
    weight = np.zeros(2)
    for i in range(height):
        for j in range(width):
            value = change[i, j] / noise
            energy += value * value
            low, high = min(low, value), max(high, value)
            excess = abs(value) - EDGE
            if excess > 0.0:
                side = 1 if value > 0.0 else 0
                weight[side] += excess * excess
                ends[side, 0] += excess * excess * j
                ends[side, 1] += excess * excess * i
    for side in range(2):
        for axis in range(2):
            ends[side, axis] = ends[side, axis] / weight[side] if weight[side] > 0.0 else np.nan
    return energy / (height * width), min(-low, high), ends, _motion(before, after)


@njit(cache=True, nogil=True)
def _smooth(image):
    """Means over 3 x 3 pixels, the border repeated."""
    height, width = image.shape
    rows = np.empty((height, width))
    for i in range(height):
        above, below = max(i - 1, 0), min(i + 1, height - 1)
        for j in range(width):
            rows[i, j] = image[above, j] + image[i, j] + image[below, j]
    out = np.empty((height, width))
    for i in range(height):
        for j in range(width):
            out[i, j] = (rows[i, max(j - 1, 0)] + rows[i, j] + rows[i, min(j + 1, width - 1)]) / 9.0
    return out


@njit(cache=True, nogil=True)
def _noise(change):
    """Standard deviation of what is no event: 1.4826 median absolute deviations, of evenly spaced pixels."""
    flat = change.reshape(-1)
    picked = flat[:: max(1, flat.size // SAMPLES)].copy()
    deviation = 1.4826 * np.median(np.abs(picked - np.median(picked)))
    if not deviation > 0.0:
        deviation = flat.std()
    return deviation if deviation > 0.0 else 1.0


@njit(cache=True, nogil=True)
def _motion(before, after):
    height, width = before.shape
    xx, xy, yy, xt, yt = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            gx = 0.25 * (before[i, j + 1] - before[i, j - 1] + after[i, j + 1] - after[i, j - 1])
            gy = 0.25 * (before[i + 1, j] - before[i - 1, j] + after[i + 1, j] - after[i - 1, j])
            gt = after[i, j] - before[i, j]
            xx += gx * gx
            xy += gx * gy
            yy += gy * gy
            xt += gx * gt
            yt += gy * gt
    moved = np.full(2, np.nan)
    determinant = xx * yy - xy * xy
    if determinant > 1e-9 * xx * yy and xx > 0.0 and yy > 0.0:
        moved[0] = (xy * yt - yy * xt) / determinant
        moved[1] = (xy * xt - xx * yt) / determinant
    return moved
