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
def shrink(frames, rows, columns, counts, line, out):
    """Set `out` : (n, channel, y // rows, x // columns) float64 to means over rows x columns pixels.

    frames : (n, y, x, channel). Of counts, whose noise grows with them, the square root. line : (x * channel,) scratch,
    whose dtype is that of sums.
    """
    n, channels, y, x = out.shape
    for t in range(n):
        for i in range(y):
            line[:] = 0
            for row in range(i * rows, (i + 1) * rows):  # whole rows first: several numbers of one are added at once
                flat = frames[t, row].reshape(-1)
                for k in range(line.size):
                    line[k] += flat[k]
            for c in range(channels):
                means = out[t, c, i]
                means[:] = 0.0
                for column in range(columns):
                    for j in range(x):
                        means[j] += line[(j * columns + column) * channels + c]
                for j in range(x):
                    mean = means[j] / (rows * columns)
                    means[j] = math.sqrt(max(mean, 0.0)) if counts[c] else mean


def compare(before, after, change):
    """What changed between images (n, y, x) float64 and those after them; `change` is scratch of their shape.

    Returns mean square of the change in units of its noise : (n,); the smaller of its extremes in these units : (n,);
    column and row of where brightness left and of where it arrived : (n, 2, 2); and columns and rows by which the image
    moved : (n, 2). What cannot be told is NaN.
    """
    _smooth(before, after, change)
    return _describe(before, after, change, _noise(change))


@njit(cache=True, nogil=True)
def _smooth(before, after, change):
    """Set `change` to the differences, as means over 3 x 3 pixels, the border repeated."""
    n, height, width = before.shape
    line = np.empty(width + 2)
    for t in range(n):
        raw = after[t] - before[t]
        for i in range(height):
            above, here, below = raw[max(i - 1, 0)], raw[i], raw[min(i + 1, height - 1)]
            for j in range(width):
                line[j + 1] = above[j] + here[j] + below[j]
            line[0], line[width + 1] = line[1], line[width]
            means = change[t, i]
            for j in range(width):
                means[j] = (line[j] + line[j + 1] + line[j + 2]) / 9.0


def _noise(change):
    """Standard deviation of what is no event, of each image : 1.4826 median absolute deviations, of even samples."""
    flat = change.reshape(len(change), -1)
    picked = flat[:, :: max(1, flat.shape[1] // SAMPLES)]
    with np.errstate(invalid="ignore"):  # of what is not finite
        deviation = 1.4826 * _medians(np.abs(picked - _medians(picked)[:, None]))
        for t in np.flatnonzero(~(deviation > 0.0)):
            spread = flat[t].std()
            deviation[t] = spread if spread > 0.0 else 1.0
    return deviation


def _medians(rows):
    """Of each row, the larger of two in the middle: NumPy's partition takes a quarter of the time of its median."""
    middle = rows.shape[1] // 2
    return np.partition(rows, middle, axis=1)[:, middle]


@njit(cache=True, nogil=True)
def _describe(before, after, change, noise):
    """What `compare` returns, of images whose smoothed differences and their noise are known."""
    n = len(change)
    energy, strength = np.empty(n), np.empty(n)
    ends, moved = np.full((n, 2, 2), np.nan), np.full((n, 2), np.nan)
    for t in range(n):
        energy[t], low, high = _extremes(change[t], noise[t])
        strength[t] = min(-low, high)
        if max(-low, high) > EDGE:
            _ends(change[t], noise[t], ends[t])
        _motion(before[t], after[t], moved[t])
    return energy, strength, ends, moved


# Sums may be taken in any order: several numbers are added at once. What is not finite stays so.
@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _extremes(change, noise):
    """In units of noise: mean square, least value but at most 0, largest but at least 0."""
    square, low, high = 0.0, 0.0, 0.0
    for raw in change.flat:
        value = raw / noise  # before it is squared: what is tiny would vanish
        square += value * value
        low, high = min(low, value), max(high, value)
    return square / change.size, low, high


@njit(cache=True, nogil=True)
def _ends(change, noise, ends):
    """Set the places from where and to where brightness moved, weighted by the square of what is beyond noise."""
    ends[:] = 0.0
    weight = np.zeros(2)
    height, width = change.shape
    for i in range(height):
        row = change[i]
        for j in range(width):
            excess = abs(row[j]) - EDGE * noise
            if excess > 0.0:
                side = 1 if row[j] > 0.0 else 0
                weight[side] += excess * excess
                ends[side, 0] += excess * excess * j
                ends[side, 1] += excess * excess * i
    for side in range(2):
        for axis in range(2):
            ends[side, axis] = ends[side, axis] / weight[side] if weight[side] > 0.0 else np.nan


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _motion(before, after, moved):
    """Set columns and rows by which the image moved."""
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
    determinant = xx * yy - xy * xy
    if determinant > 1e-9 * xx * yy and xx > 0.0 and yy > 0.0:
        moved[0] = (xy * yt - yy * xt) / determinant
        moved[1] = (xy * xt - xx * yt) / determinant
