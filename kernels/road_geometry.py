"""What a camera on the road sees, and where: the pass that knows nothing of light and weather."""

import math

import numpy as np
from numba import njit, prange

from sciworld.kernels.road_layout import (
    BARRIER,
    CAM_CX,
    CAM_CY,
    CAM_F,
    CAM_PITCH,
    CAM_X,
    CAM_Y,
    CAM_YAW,
    CAM_Z,
    GROUND,
    KIND,
    LENGTH,
    NOTHING,
    RAIL,
    SIGHT,
    S,
    X,
    Y,
)
from sciworld.kernels.road_line import KNOTS, along, class_of_ground, ground_height, hill, project, road_edge
from sciworld.kernels.road_objects import draw_object
from sciworld.kernels.road_raster import CORNERS, WHOLE, axes_of, polygon, put, to_camera

FARTHEST = 1500.0  # m of road that are drawn
GROWTH = 0.11  # of the strips' length with distance
SIDES = 2 * len(KNOTS)


@njit(cache=True)
def strip_row(line, section, seed, s, axes, row):
    """The corners of the ground across the road at s, from right to left, into row : (SIDES, 5)."""
    x, y, heading, _, z, _ = along(line, s)
    c, w = math.cos(heading), math.sin(heading)
    edge = road_edge(section)
    knots = len(KNOTS)
    for k in range(SIDES):
        knot = knots - 1 - k if k < knots else k - knots
        side = 1 if k < knots else 0
        n = (edge + KNOTS[knot]) * (1.0 if side == 0 else -1.0)
        height = z + hill(section, seed, s, side, knot)
        put(row, k, axes, x - n * w, y + n * c, height, s, n)


@njit(cache=True)
def draw_ground(buffers, line, section, seed, axes, s, turned):
    """Draw road and terrain from behind the camera to FARTHEST, nearest strips first. turned : heading error, rad."""
    corners, scratch = np.empty((CORNERS, 5)), np.empty((CORNERS, 5))
    rails = section[RAIL] > 0.0
    for way in (1.0, -1.0):
        far = FARTHEST if way > 0.0 else (8.0 if abs(turned) < 0.35 else 200.0)
        one, two = np.empty((SIDES, 5)), np.empty((SIDES, 5))
        d = 0.0
        strip_row(line, section, seed, s, axes, one)
        while d < far:
            e = d + 1.0 + GROWTH * d
            strip_row(line, section, seed, s + way * e, axes, two)
            for k in range(SIDES - 1):
                if max(max(one[k, 2], one[k + 1, 2]), max(two[k, 2], two[k + 1, 2])) < 0.2:
                    continue
                corners[0], corners[1], corners[2], corners[3] = one[k], one[k + 1], two[k + 1], two[k]
                polygon(buffers, axes, corners, 4, scratch, (GROUND, 0), 0, WHOLE, 0.0)
            if rails and e < 400.0:
                draw_rails(buffers, line, section, axes, s + way * d, s + way * e, corners, scratch)
            one, two = two, one
            d = e


@njit(cache=True)
def draw_rails(buffers, line, section, axes, s0, s1, corners, scratch):
    """Guard rails at both edges and, where there is a median strip, a barrier on it, between s0 and s1."""
    edge, height = road_edge(section), section[RAIL]
    for place in range(3):
        n = (edge + 0.3) * (place - 1.0)
        low = 0.35 if place != 1 else 0.0
        for k in range(2):
            s = s0 if k == 0 else s1
            x, y, heading, _, z, _ = along(line, s)
            px, py = x - n * math.sin(heading), y + n * math.cos(heading)
            put(corners, 3 * k, axes, px, py, z + low * height, s, low * height)
            put(corners, 1 + k, axes, px, py, z + height, s, height)
        polygon(buffers, axes, corners, 4, scratch, (BARRIER, 0), place, WHOLE, 0.0)


@njit(cache=True)
def first_after(objects, count, s):
    """Index of the first of `count` objects, sorted by s, that stands beyond s."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if objects[middle, S] < s:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def draw_objects(buffers, axes, movers, objects, count, s):
    """Draw what moves, then what stands, with the numbers of the objects: movers first, from 1, then the standing."""
    corners, scratch = np.empty((CORNERS, 5)), np.empty((CORNERS, 5))
    for k in range(movers.shape[0]):
        if movers[k, KIND] != NOTHING:
            _, _, ahead = to_camera(axes, movers[k, X], movers[k, Y], axes[2])
            if -8.0 < ahead < SIGHT:
                draw_object(buffers, axes, movers[k], k + 1, corners, scratch)
    for k in range(first_after(objects, count, s - 40.0), count):
        if objects[k, S] > s + SIGHT:
            break
        right, _, ahead = to_camera(axes, objects[k, X], objects[k, Y], axes[2])
        reach = objects[k, LENGTH] + 4.0
        # Nothing of it can be seen, half a field of view being less than 60 degrees.
        if ahead < -reach or abs(right) - 1.5 * reach > 1.8 * (ahead + reach):
            continue
        draw_object(buffers, axes, objects[k], movers.shape[0] + 1 + k, corners, scratch)


@njit(cache=True, parallel=True)
def geometry(cams, coordinates, which, lines, sections, seeds, movers, objects, counts, buffers):
    """Fill the buffers of every candidate.

    cams : (candidate, 8). coordinates : (candidate, 3), s, n in m and heading error in rad of the camera. which :
    (candidate,) its world. lines : (world, s, 6). sections : (world, 9). seeds : (world,) int64. movers : (candidate,
    mover, 10). objects : (world, object, 10), sorted by s; counts : (world,) of them. buffers : mask uint8, depth
    float32 in m along the optical axis (inf for the sky), a and b float32, surface coordinates in m (s and n on the
    ground, along and up on a face, parts of the outline where the object is flat), object int32 (0: none), face uint8;
    each (candidate, y, x), and all zero before.
    """
    for c in prange(cams.shape[0]):
        own = (buffers[0][c], buffers[1][c], buffers[2][c], buffers[3][c], buffers[4][c], buffers[5][c])
        w = which[c]
        axes = axes_of(cams[c])
        s = coordinates[c, 0]
        draw_objects(own, axes, movers[c], objects[w], counts[w], s)
        draw_ground(own, lines[w], sections[w], seeds[w], axes, s, coordinates[c, 2])
        finish(own, sections[w])


@njit(cache=True)
def finish(buffers, section):
    """Say which class the ground has at each pixel, and turn inverse depth into depth."""
    mask, depth, a, b, _, _ = buffers
    rows, cols = mask.shape
    for y in range(rows):
        for x in range(cols):
            if mask[y, x] == GROUND:
                mask[y, x] = class_of_ground(section, a[y, x], b[y, x])
            depth[y, x] = 1.0 / depth[y, x] if depth[y, x] > 0.0 else np.inf


@njit(cache=True, parallel=True)
def mount_cameras(pose, road, which, lines, sections, seeds, mount, optics, cams, coordinates):
    """Cameras of all candidates into cams : (candidate, 8) and coordinates : (candidate, 3), see `geometry`.

    pose : (candidate, 3). road : (candidate, 2). mount : height in m, pitch in rad, m ahead of the rear axle. optics :
    focal length and principal point, pixels. The camera pitches with the slope under it, and never rolls.
    """
    for c in prange(pose.shape[0]):
        w = which[c]
        cam = cams[c]
        yaw = pose[c, 2]
        cam[CAM_X] = pose[c, 0] + mount[2] * math.cos(yaw)
        cam[CAM_Y] = pose[c, 1] + mount[2] * math.sin(yaw)
        s, n = project(lines[w], cam[CAM_X], cam[CAM_Y], road[c, 0] + mount[2])
        _, _, heading, _, _, slope = along(lines[w], s)
        turned = (yaw - heading + math.pi) % (2.0 * math.pi) - math.pi
        cam[CAM_Z] = ground_height(lines[w], sections[w], seeds[w], s, n) + mount[0]
        cam[CAM_YAW] = yaw
        cam[CAM_PITCH] = mount[1] + math.atan(slope * math.cos(turned))
        cam[CAM_F], cam[CAM_CX], cam[CAM_CY] = optics[0], optics[1], optics[2]
        coordinates[c, 0], coordinates[c, 1], coordinates[c, 2] = s, n, turned
