"""Exact by-products of a frame: optical flow, and the lane's lines on the screen."""

import math

from numba import njit, prange

from sciworld.kernels.road_layout import FAST, SKY, YAW, X, Y, Z
from sciworld.kernels.road_line import along
from sciworld.kernels.road_raster import NEAR, axes_of, to_camera, to_world


@njit(parallel=True, **FAST)
def flow(cams, next_cams, movers, next_movers, values, labels, out):
    """Where the point of the scene that each pixel shows goes until the next frame, in pixels.

    cams, next_cams : (candidate, 8). movers, next_movers : (candidate, mover, 10). values, labels : (candidate, y, x,
    3) of the first frame. out : (candidate, y, x, 2) float32, columns and rows; NaN where the point goes behind the
    camera. What stands is moved by the camera alone, vehicles and pedestrians by their own motion as well, the sky by
    the camera's turn.
    """
    for c in prange(cams.shape[0]):
        axes, after = axes_of(cams[c]), axes_of(next_cams[c])
        rows, cols = values.shape[1], values.shape[2]
        for y in range(rows):
            up = (axes[9] - y) / axes[7]
            for x in range(cols):
                right = (x - axes[8]) / axes[7]
                far = labels[c, y, x, 0] == SKY
                ahead = 1e7 if far else values[c, y, x, 0]
                px, py, pz = to_world(axes, right * ahead, up * ahead, ahead)
                number = labels[c, y, x, 1] - 1
                if 0 <= number < movers.shape[1]:
                    px, py, pz = carried(movers[c], next_movers[c], number, px, py, pz)
                nx, ny, nz = to_camera(after, px, py, pz)
                if nz < NEAR:
                    out[c, y, x, 0], out[c, y, x, 1] = math.nan, math.nan
                    continue
                out[c, y, x, 0] = after[8] + after[7] * nx / nz - x
                out[c, y, x, 1] = after[9] - after[7] * ny / nz - y


@njit(**FAST)
def carried(rows, after, i, x, y, z):
    """Where a point of object i goes that moves from where rows : (object, 10) have it to where `after` has it."""
    turn = after[i, YAW] - rows[i, YAW]
    c, w = math.cos(turn), math.sin(turn)
    dx, dy = x - rows[i, X], y - rows[i, Y]
    return after[i, X] + c * dx - w * dy, after[i, Y] + w * dx + c * dy, after[i, Z] + z - rows[i, Z]


@njit(**FAST)
def lane_lines(cams, which, lines, coordinates, offsets, distances, out):
    """Columns and rows of points on lines along the road : out (candidate, line, point, 2) float32; NaN if behind.

    coordinates : (candidate, 3) of the camera, its s first. offsets : (candidate, line) n in m. distances : (point,) m
    ahead of the camera along the road.
    """
    for c in range(cams.shape[0]):
        axes = axes_of(cams[c])
        for k in range(offsets.shape[1]):
            for m in range(distances.shape[0]):
                x, y, heading, _, z, _ = along(lines[which[c]], coordinates[c, 0] + distances[m])
                n = offsets[c, k]
                right, up, ahead = to_camera(axes, x - n * math.sin(heading), y + n * math.cos(heading), z)
                if ahead < NEAR:
                    out[c, k, m, 0], out[c, k, m, 1] = math.nan, math.nan
                    continue
                out[c, k, m, 0] = axes[8] + axes[7] * right / ahead
                out[c, k, m, 1] = axes[9] - axes[7] * up / ahead


@njit(**FAST)
def curvature_ahead(which, lines, s, distances, out):
    """Curvature of the road in 1/m at s + distances : out (candidate, point). s : (candidate,)."""
    for c in range(which.shape[0]):
        for m in range(distances.shape[0]):
            out[c, m] = along(lines[which[c]], s[c] + distances[m])[3]
