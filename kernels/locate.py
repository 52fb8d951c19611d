"""Find one bright atom and the honeycomb around it in images of graphene.

Each frame is blurred, its brightest point refined by a Gaussian-weighted centroid, and a honeycomb anchored at
that point is turned (and stretched) until its sites lie bright and its hexagon centres dark. Coordinates are
pixel (column, row) or laboratory (x, y); `view` and `inverse` are the affine maps between the two.
"""

import math

import numpy as np
from numba import njit

_DEGREE = math.pi / 180.0
_PERIOD = 2.0 * math.pi / 3.0  # the honeycomb around one of its sites repeats after a third of a turn


@njit(cache=True)
def blur(frame, weights_x, weights_y, out):
    """Blur frame : (y, x) with separable weights (half a kernel, centre first); the edge is normalised. Fills out."""
    ny, nx = frame.shape
    rows = np.empty((ny, nx))
    reach_x, reach_y = len(weights_x) - 1, len(weights_y) - 1
    for row in range(ny):
        for col in range(nx):
            total, weight = 0.0, 0.0
            for other in range(max(0, col - reach_x), min(nx, col + reach_x + 1)):
                w = weights_x[abs(other - col)]
                total += w * frame[row, other]
                weight += w
            rows[row, col] = total / weight
    for row in range(ny):
        weight = 0.0
        out[row, :] = 0.0
        for other in range(max(0, row - reach_y), min(ny, row + reach_y + 1)):
            w = weights_y[abs(other - row)]
            weight += w
            for col in range(nx):
                out[row, col] += w * rows[other, col]
        for col in range(nx):
            out[row, col] /= weight


@njit(cache=True)
def centre(frame, view, floor, col, row, sigma, reach):
    """Move (col, row) to the fixed point of the Gaussian-weighted centroid of frame - floor, sigma in lab units.

    The fixed point is a maximum of the blurred frame: neighbours that stand around the atom in threes do not
    shift it, and neither does a constant. Returns (col, row); they stay where they started if nothing is bright.
    """
    ny, nx = frame.shape
    step_x = math.hypot(view[0], view[3])
    step_y = math.hypot(view[1], view[4])
    half_x, half_y = reach / step_x, reach / step_y
    start_col, start_row = col, row
    for _ in range(40):
        total, shift_col, shift_row = 0.0, 0.0, 0.0
        for r in range(max(0, math.ceil(row - half_y)), min(ny, math.floor(row + half_y) + 1)):
            for c in range(max(0, math.ceil(col - half_x)), min(nx, math.floor(col + half_x) + 1)):
                dc, dr = c - col, r - row
                dx, dy = view[0] * dc + view[1] * dr, view[3] * dc + view[4] * dr
                w = math.exp(-0.5 * (dx * dx + dy * dy) / (sigma * sigma)) * (frame[r, c] - floor)
                total += w
                shift_col += w * dc
                shift_row += w * dr
        if total <= 0.0:
            return start_col, start_row
        # An atom as wide as the weights halves the centroid's move; twice the move lands at once.
        move_col, move_row = 2.0 * shift_col / total, 2.0 * shift_row / total
        move_col = min(1.0, max(-1.0, move_col))
        move_row = min(1.0, max(-1.0, move_row))
        col += move_col
        row += move_row
        if abs(move_col) * step_x + abs(move_row) * step_y < 1e-4:
            break
    if abs(col - start_col) * step_x > reach or abs(row - start_row) * step_y > reach:
        return start_col, start_row
    return col, row


@njit(cache=True)
def _sample(image, col, row, margin_x, margin_y):
    """The image at (col, row), linearly interpolated; NaN nearer than the margin to the frame's border."""
    ny, nx = image.shape
    if not (margin_x <= col <= nx - 1 - margin_x and margin_y <= row <= ny - 1 - margin_y):
        return math.nan
    c, r = min(int(col), nx - 2), min(int(row), ny - 2)
    fc, fr = col - c, row - r
    upper = image[r, c] * (1 - fc) + image[r, c + 1] * fc
    lower = image[r + 1, c] * (1 - fc) + image[r + 1, c + 1] * fc
    return upper * (1 - fr) + lower * fr


@njit(cache=True)
def sample_sites(image, inverse, silicon, sites, count, angle, scale, margin, out):
    """Fill out[:count] with the image at the first `count` sites, turned by angle, stretched by scale, at silicon.

    sites : (site, 2) lab units, relative to the anchor; silicon : (2,) lab; inverse : (6,) lab to pixel;
    margin : (2,) pixels. NaN for a site outside the frame.
    """
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    for i in range(count):
        x = silicon[0] + cos * sites[i, 0] - sin * sites[i, 1]
        y = silicon[1] + sin * sites[i, 0] + cos * sites[i, 1]
        col = inverse[0] * x + inverse[1] * y + inverse[2]
        row = inverse[3] * x + inverse[4] * y + inverse[5]
        out[i] = _sample(image, col, row, margin[0], margin[1])


@njit(cache=True)
def contrast(image, inverse, silicon, sites, is_atom, count, angle, scale, margin, values):
    """Mean brightness of the atom sites less that of the hexagon centres, among the sites inside the frame."""
    sample_sites(image, inverse, silicon, sites, count, angle, scale, margin, values)
    atoms, holes, n_atoms, n_holes = 0.0, 0.0, 0, 0
    for i in range(count):
        if not math.isnan(values[i]):
            if is_atom[i]:
                atoms += values[i]
                n_atoms += 1
            else:
                holes += values[i]
                n_holes += 1
    if n_atoms == 0 or n_holes == 0:
        return -math.inf
    return atoms / n_atoms - holes / n_holes


@njit(cache=True)
def _vertex(left, middle, right):
    """Where the parabola through values at -1, 0, 1 peaks, at most one step away."""
    bend = left - 2.0 * middle + right
    if bend >= 0.0 or not math.isfinite(bend):
        return 0.0
    return min(1.0, max(-1.0, 0.5 * (left - right) / bend))


@njit(cache=True)
def orient(image, inverse, silicon, sites, is_atom, near, fit_scale, margin, values):
    """The angle and scale of the honeycomb anchored at silicon that best fit the image.

    near : how many of the sites (nearest first) the coarse search uses. Returns (angle in [0, 2 pi / 3), scale).
    """
    step = 2.0 * _DEGREE
    best, angle, scale = -math.inf, 0.0, 1.0
    for k in range(60):
        value = contrast(image, inverse, silicon, sites, is_atom, near, k * step, 1.0, margin, values)
        if value > best:
            best, angle = value, k * step
    count = near
    for _ in range(4):
        if fit_scale:
            best, middle = -math.inf, scale
            stretch = 0.02 if count == near else 0.005
            for k in range(-3, 4):
                trial = middle + k * stretch
                value = contrast(image, inverse, silicon, sites, is_atom, count, angle, trial, margin, values)
                if value > best:
                    best, scale = value, trial
            left = contrast(image, inverse, silicon, sites, is_atom, count, angle, scale - stretch, margin, values)
            right = contrast(image, inverse, silicon, sites, is_atom, count, angle, scale + stretch, margin, values)
            scale += stretch * _vertex(left, best, right)
        left = contrast(image, inverse, silicon, sites, is_atom, count, angle - step, scale, margin, values)
        middle = contrast(image, inverse, silicon, sites, is_atom, count, angle, scale, margin, values)
        right = contrast(image, inverse, silicon, sites, is_atom, count, angle + step, scale, margin, values)
        angle += step * _vertex(left, middle, right)
        step = max(0.5 * step, 0.5 * _DEGREE)
        count = len(sites)
    return angle % _PERIOD, scale


@njit(cache=True)
def _extra_peaks(image, view, silicon, sites, bright, angle, scale, margin, threshold, reach):
    """How many maxima of the image, inside the margin, exceed threshold farther than reach from every bright site."""
    ny, nx = image.shape
    found = 0
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    for row in range(math.ceil(margin[1]), ny - math.ceil(margin[1])):
        for col in range(math.ceil(margin[0]), nx - math.ceil(margin[0])):
            value = image[row, col]
            if value <= threshold:
                continue
            peak = True
            for r in range(max(0, row - 1), min(ny, row + 2)):
                for c in range(max(0, col - 1), min(nx, col + 2)):
                    other = image[r, c]
                    # Of equal neighbours the first in reading order is the peak.
                    if other > value or (other == value and (r < row or (r == row and c < col))):
                        peak = False
            if not peak:
                continue
            x = view[0] * col + view[1] * row + view[2]
            y = view[3] * col + view[4] * row + view[5]
            near = math.hypot(x - silicon[0], y - silicon[1]) < reach
            for i in range(len(sites)):
                if bright[i]:
                    dx = x - silicon[0] - cos * sites[i, 0] + sin * sites[i, 1]
                    dy = y - silicon[1] - sin * sites[i, 0] - cos * sites[i, 1]
                    near = near or math.hypot(dx, dy) < reach
            if not near:
                found += 1
    return found


@njit(cache=True)
def appraise(image, inverse, view, silicon, sites, is_atom, angle, scale, margin, values, ratio, reach):
    """What the fitted honeycomb says of the frame: (bright atoms, share of intact sites, quality).

    An atom is bright if it stands `ratio` times as far above the hexagon centres as the median site does, and 0.4
    times as far as the anchor; a site is intact if it is nearer the median site than the hexagon centres in
    brightness, and not bright. Quality is the correlation of brightness, cut at the bright, with "site or hexagon
    centre": 1 for a perfect honeycomb, 0 for none.
    """
    count = len(sites)
    sample_sites(image, inverse, silicon, sites, count, angle, scale, margin, values)
    inside = ~np.isnan(values)
    atoms, holes = values[inside & is_atom], values[inside & ~is_atom]
    anchor_col = inverse[0] * silicon[0] + inverse[1] * silicon[1] + inverse[2]
    anchor_row = inverse[3] * silicon[0] + inverse[4] * silicon[1] + inverse[5]
    anchor = _sample(image, anchor_col, anchor_row, 0.0, 0.0)
    if len(atoms) < 3 or len(holes) < 2 or math.isnan(anchor):
        return 0, 0.0, 0.0
    level, dark = np.median(atoms), np.median(holes)
    if level <= dark:
        return 0, 0.0, 0.0
    # A real probe has tails: next to a very bright atom carbon looks brighter than it is.
    threshold = dark + max(ratio * (level - dark), 0.4 * (anchor - dark))
    bright = inside & is_atom & (values > threshold)
    found = int(bright.sum()) + int(anchor > threshold)
    found += _extra_peaks(image, view, silicon, sites, bright, angle, scale, margin, threshold, reach)
    intact = ((atoms > 0.5 * (level + dark)) & (atoms <= threshold)).mean()
    share = len(atoms) / (len(atoms) + len(holes))
    spread = np.concatenate((np.minimum(atoms, threshold), np.minimum(holes, threshold))).std()
    gap = np.minimum(atoms, threshold).mean() - np.minimum(holes, threshold).mean()
    quality = gap * math.sqrt(share * (1.0 - share)) / spread if spread > 0.0 else 0.0
    return found, intact, quality


@njit(cache=True)
def locate(
    frames, views, inverses, weights_x, weights_y, sigma, sites, is_atom, near, fit_scale, ratio, reach, edge, results
):
    """Locate every frame of frames : (frame, y, x); a frame with a pixel that is not finite leaves NaN.

    results : (frame, 8) float64, filled with column, row, angle, scale, lab x, lab y, quality, intact share;
    returns the number of bright atoms : (frame,) int64.
    """
    n, ny, nx = frames.shape
    found = np.zeros(n, np.int64)
    for f in range(n):
        frame = frames[f]
        view, inverse = views[f], inverses[f]
        results[f, :6] = math.nan
        results[f, 6:] = 0.0
        low, high = frame.min(), frame.max()
        if not (math.isfinite(low) and math.isfinite(high) and high > low):
            continue
        image = np.empty((ny, nx))
        blur(frame, weights_x, weights_y, image)
        top = image.argmax()
        col, row = centre(frame, view, image.min(), float(top % nx), float(top // nx), sigma, reach)
        silicon, margin = np.empty(2), np.empty(2)
        silicon[0] = view[0] * col + view[1] * row + view[2]
        silicon[1] = view[3] * col + view[4] * row + view[5]
        margin[0], margin[1] = edge / math.hypot(view[0], view[3]), edge / math.hypot(view[1], view[4])
        values = np.full(len(sites), math.nan)
        angle, scale = orient(image, inverse, silicon, sites, is_atom, near, fit_scale, margin, values)
        count, intact, quality = appraise(
            image, inverse, view, silicon, sites, is_atom, angle, scale, margin, values, ratio, 0.5 * reach
        )
        results[f, 0], results[f, 1], results[f, 2], results[f, 3] = col, row, angle, scale
        results[f, 4], results[f, 5], results[f, 6], results[f, 7] = silicon[0], silicon[1], quality, intact
        found[f] = count
    return found


@njit(cache=True)
def brightest(frames, weights_x, weights_y, out):
    """Column and row of the brightest pixel of each blurred frame : (frame, y, x), into out : (frame, 2).

    Not parallel: it runs between the steps of a training, whose threads it would keep waiting."""
    for f in range(len(frames)):
        blurred = np.empty(frames[f].shape)
        blur(frames[f], weights_x, weights_y, blurred)
        place = blurred.argmax()
        out[f, 0] = place % blurred.shape[1]
        out[f, 1] = place // blurred.shape[1]
