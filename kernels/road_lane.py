"""Reading the lane from a frame: the two straight lines, a lane's width apart, that most of its rows agree with.

A line is at place + slope * ahead m right of the camera; a row of the frame is `ahead` m away on flat ground, and its
pixels are `pixel` m wide.
"""

import math

import numpy as np
from numba import njit, prange

from sciworld.kernels.road_layout import FAST

BREADTH = 0.3  # m: beyond this from the middle of a line it is road again, at both sides
CONTRAST, MARGIN = 0.08, 3.0  # paint is brighter than the road at both its sides by this share and these counts
REACH, BIN = 4.0, 0.1  # m: places of lines that are tried
BINS = round(2 * REACH / BIN) + 1
STEEPEST, STEP = 12, 0.02  # slopes that are tried: so many of these to either side
LOOSE = 0.3  # m, by which a lane may be wider or narrower than is said
SPREAD, STRAIGHT = 0.3, 1.0  # cost of a m of another width, and of slope, in rows of support
MIDDLE, APART = 6.0, 0.45  # m: two readings differ that are so far apart, so far ahead
LEAST, SURE, FAINT = 0.6, 0.35, 0.05  # support of both lines; by how much more than of any other reading; of each line
PAINT = 0.67  # share of the lane, between its lines, that must be darker than they are
STIFF = 2.0  # m^2: how little rows may change the slope that was found


@njit(**FAST)
def ridges(grey, pixel, out):
    """How sure it is, 0 to 1, that each pixel of grey : (row, x) is on a line: brighter than both its surroundings."""
    rows, cols = grey.shape
    for y in range(rows):
        k = max(1, round(BREADTH / pixel[y]))
        for x in range(cols):
            out[y, x] = 0.0
            if k <= x < cols - k:
                side = max(grey[y, x - k], grey[y, x + k])
                out[y, x] = min(max((grey[y, x] - side) / (CONTRAST * side + MARGIN), 0.0), 1.0)


@njit(**FAST)
def support(ridge, ahead, pixel, slope, out):
    """The share of the rows that have a ridge on the line of that slope through each place : out (BINS,)."""
    rows, cols = ridge.shape
    for i in range(BINS):
        total, inside = 0.0, 0
        for y in range(rows):
            at = 0.5 * (cols - 1) + (i * BIN - REACH + slope * ahead[y]) / pixel[y]
            x = math.floor(at)
            if 0 <= x < cols - 1:
                total += (1.0 - at + x) * ridge[y, x] + (at - x) * ridge[y, x + 1]
                inside += 1
        out[i] = total / max(inside, 0.3 * rows)


@njit(**FAST)
def best_pair(ridge, ahead, pixel, behind, width):
    """Places of the left and the right line, their slope, and whether it is sure that they are a lane's.

    behind : m from the camera back to where the car has to be in its lane.
    """
    across, best_at = np.empty(BINS), np.zeros(BINS)
    best, left, right, slope, faint = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(-STEEPEST, STEEPEST + 1):
        turn = k * STEP
        support(ridge, ahead, pixel, turn, across)
        for i in range(BINS):
            for j in range(i + round((width - LOOSE) / BIN), min(BINS, i + round((width + LOOSE) / BIN) + 1)):
                middle = 0.5 * (i + j) * BIN - REACH
                if abs(middle - turn * behind) > 0.5 * width:
                    continue
                score = across[i] + across[j] - STRAIGHT * abs(turn) - SPREAD * abs((j - i) * BIN - width)
                m = min(max(round((middle + turn * MIDDLE + REACH) / BIN), 0), BINS - 1)
                best_at[m] = max(best_at[m], score)
                if score > best:
                    best, left, right, slope = score, i * BIN - REACH, j * BIN - REACH, turn
                    faint = min(across[i], across[j])
    here = (0.5 * (left + right) + slope * MIDDLE + REACH) / BIN
    other = 0.0
    for m in range(BINS):
        if abs(m - here) * BIN > APART:
            other = max(other, best_at[m])
    return left, right, slope, best > LEAST and best - other > SURE and faint > FAINT


@njit(**FAST)
def is_paint(grey, ridge, ahead, pixel, left, right, slope):
    """Whether the lines are brighter than the lane between them, as paint is and snow beside tracks is not."""
    rows, cols = grey.shape
    seen, darker = 0, 0
    for y in range(rows):
        for side in range(2):
            place = (left if side == 0 else right) + slope * ahead[y]
            x = round(0.5 * (cols - 1) + place / pixel[y])
            if not 1 <= x < cols - 1:
                continue
            for q in (x - 1, x + 1):
                if ridge[y, q] > ridge[y, x]:
                    x = q
            if ridge[y, x] < 0.3:
                continue
            for part in range(1, 8):
                place = left + 0.125 * part * (right - left) + slope * ahead[y]
                between = round(0.5 * (cols - 1) + place / pixel[y])
                if 0 <= between < cols:
                    seen += 1
                    darker += grey[y, x] > (1.0 + 0.5 * CONTRAST) * grey[y, between] + MARGIN
    return darker > PAINT * seen


@njit(**FAST)
def middle_of(ridge, ahead, pixel, behind, left, right, slope):
    """m right of the camera that the lane's middle is, `behind` m behind it: parallel lines through the ridges nearby.

    By weighted least squares, about the lines that were found.
    """
    rows, cols = ridge.shape
    sums = np.zeros((2, 3))  # of the weight, and weighted of ahead and of the place, for each line
    change, spread = 0.0, STIFF
    for side in range(2):
        line, products, squares = left if side == 0 else right, 0.0, 0.0
        for y in range(rows):
            first = 0.5 * (cols - 1) + (line + slope * ahead[y] - BREADTH) / pixel[y]
            weight, place = 0.0, 0.0
            for x in range(max(0, math.ceil(first)), min(cols - 1, math.floor(first + 2.0 * BREADTH / pixel[y])) + 1):
                off = (x - 0.5 * (cols - 1)) * pixel[y] - line - slope * ahead[y]
                w = ridge[y, x] * (1.0 - abs(off) / (1.2 * BREADTH))
                weight, place = weight + w, place + w * off
            if weight > 0.2:
                place, w = place / weight, min(weight, 1.0)
                sums[side, 0] += w
                sums[side, 1] += w * ahead[y]
                sums[side, 2] += w * place
                products, squares = products + w * ahead[y] * place, squares + w * ahead[y] * ahead[y]
        total = max(sums[side, 0], 1e-9)
        change += products - sums[side, 1] * sums[side, 2] / total
        spread += squares - sums[side, 1] * sums[side, 1] / total
    change /= spread
    middle = 0.5 * (left + right) - (slope + change) * behind
    for side in range(2):
        middle += 0.5 * (sums[side, 2] - change * sums[side, 1]) / max(sums[side, 0], 1e-9)
    return middle


@njit(parallel=True, **FAST)
def read_lanes(greys, ahead, pixel, behind, width, out):
    """m left of the lane's middle that the car is, behind the camera, into out : (frame,); NaN where it is not sure.

    greys : (frame, row, x) float32. ahead, pixel : (row,) m. behind, width : m, see `best_pair`.
    """
    for c in prange(greys.shape[0]):
        ridge = np.empty(greys.shape[1:])
        ridges(greys[c], pixel, ridge)
        left, right, slope, sure = best_pair(ridge, ahead, pixel, behind, width)
        out[c] = math.nan
        if sure and is_paint(greys[c], ridge, ahead, pixel, left, right, slope):
            out[c] = middle_of(ridge, ahead, pixel, behind, left, right, slope)
