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
    FAST,
    GROUND,
    HEIGHT,
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
from sciworld.kernels.road_raster import CORNERS, NEAR, WHOLE, axes_of, fill, on_screen, polygon, put, to_camera

FARTHEST = 1500.0  # m of road that are drawn
GROWTH = 0.11  # of the strips' length with distance
SIDES = 2 * len(KNOTS)


@njit(**FAST)
def strip_row(line, section, seed, s, axes, corners, screen, first):
    """The corners of the ground across the road at s, from right to left, into rows `first` on : (SIDES, 5).

    corners : in camera coordinates. screen : on the screen, where they lie before the camera.
    """
    x, y, heading, _, z, _ = along(line, s)
    c, w = math.cos(heading), math.sin(heading)
    edge = road_edge(section)
    knots = len(KNOTS)
    for k in range(SIDES):
        knot = knots - 1 - k if k < knots else k - knots
        side = 1 if k < knots else 0
        n = (edge + KNOTS[knot]) * (1.0 if side == 0 else -1.0)
        height = z + hill(section, seed, s, side, knot)
        put(corners, first + k, axes, x - n * w, y + n * c, height, s, n)
        if corners[first + k, 2] >= NEAR:
            for m in range(5):
                screen[first + k, m] = corners[first + k, m]
            on_screen(axes, screen, first + k)


@njit(**FAST)
def strip(values, labels, axes, corners, screen, one, two, four, scratch):
    """Draw the ground between two rows of corners, which begin at `one` and at `two`. four, scratch : work space."""
    for k in range(SIDES - 1):
        p, q, r, t = one + k, one + k + 1, two + k + 1, two + k
        nearer = min(min(corners[p, 2], corners[q, 2]), min(corners[r, 2], corners[t, 2]))
        if nearer >= NEAR:
            fill(values, labels, screen, p, q, r, (GROUND, 0), 0, WHOLE, 0.0)
            fill(values, labels, screen, p, r, t, (GROUND, 0), 0, WHOLE, 0.0)
        elif max(max(corners[p, 2], corners[q, 2]), max(corners[r, 2], corners[t, 2])) >= NEAR:
            for m in range(5):
                four[0, m], four[1, m] = corners[p, m], corners[q, m]
                four[2, m], four[3, m] = corners[r, m], corners[t, m]
            polygon(values, labels, axes, four, 4, scratch, (GROUND, 0), 0, WHOLE, 0.0)


@njit(**FAST)
def draw_ground(values, labels, line, section, seed, axes, s, turned):
    """Draw road and terrain from behind the camera to FARTHEST, nearest strips first. turned : heading error, rad."""
    four, scratch = np.empty((CORNERS, 5)), np.empty((CORNERS, 5))
    corners, screen = np.empty((2 * SIDES, 5)), np.empty((2 * SIDES, 5))
    for way in (1.0, -1.0):
        far = FARTHEST if way > 0.0 else (8.0 if abs(turned) < 0.35 else 200.0)
        d, one, two = 0.0, 0, SIDES
        strip_row(line, section, seed, s, axes, corners, screen, one)
        while d < far:
            e = d + 1.0 + GROWTH * d
            strip_row(line, section, seed, s + way * e, axes, corners, screen, two)
            strip(values, labels, axes, corners, screen, one, two, four, scratch)
            if section[RAIL] > 0.0 and e < 400.0:
                draw_rails(values, labels, line, section, axes, s + way * d, s + way * e, four, scratch)
            d, one, two = e, two, one


@njit(**FAST)
def draw_rails(values, labels, line, section, axes, s0, s1, corners, scratch):
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
        polygon(values, labels, axes, corners, 4, scratch, (BARRIER, 0), place, WHOLE, 0.0)


@njit(**FAST)
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


@njit(**FAST)
def draw_objects(values, labels, axes, movers, objects, count, s):
    """Draw what moves, then what stands, with the numbers of the objects: movers first, from 1, then the standing."""
    corners, scratch = np.empty((CORNERS, 5)), np.empty((CORNERS, 5))
    for k in range(movers.shape[0]):
        if movers[k, KIND] != NOTHING and can_be_seen(axes, movers, k):
            draw_object(values, labels, axes, movers, k, k + 1, corners, scratch)
    for k in range(first_after(objects, count, s - 40.0), count):
        if objects[k, S] > s + SIGHT:
            break
        if can_be_seen(axes, objects, k):
            draw_object(values, labels, axes, objects, k, movers.shape[0] + 1 + k, corners, scratch)


@njit(**FAST)
def can_be_seen(axes, objects, k):
    """Whether an object may lie in the field of view, half of it being under 60 degrees, and is half a pixel high."""
    right, _, ahead = to_camera(axes, objects[k, X], objects[k, Y], axes[2])
    reach = objects[k, LENGTH] + 4.0
    if ahead < -reach or ahead > SIGHT or abs(right) - 1.5 * reach > 1.8 * (ahead + reach):
        return False
    return axes[7] * (objects[k, HEIGHT] + objects[k, LENGTH]) > 0.5 * ahead


@njit(parallel=True, **FAST)
def geometry(cams, coordinates, which, lines, sections, seeds, movers, objects, counts, values, labels):
    """Fill the buffers of every candidate.

    cams : (candidate, 8). coordinates : (candidate, 3), s, n in m and heading error in rad of the camera. which :
    (candidate,) its world. lines : (world, s, 6). sections : (world, 9). seeds : (world,) int64. movers : (candidate,
    mover, 10). objects : (world, object, 10), sorted by s; counts : (world,) of them. values : (candidate, y, x, 3)
    float32: depth in m along the optical axis (inf for the sky), and surface coordinates (s and n in m on the ground,
    along and up in m on a face, parts of the outline where the object is flat). labels : (candidate, y, x, 3) int32:
    class, object (0: none), face. Both all zero before.
    """
    for c in prange(cams.shape[0]):
        w = which[c]
        axes = axes_of(cams[c])
        s = coordinates[c, 0]
        draw_objects(values[c], labels[c], axes, movers[c], objects[w], counts[w], s)
        draw_ground(values[c], labels[c], lines[w], sections[w], seeds[w], axes, s, coordinates[c, 2])
        finish(values[c], labels[c], sections[w])


@njit(**FAST)
def finish(values, labels, section):
    """Say which class the ground has at each pixel, and turn inverse depth into depth."""
    rows, cols, _ = values.shape
    for y in range(rows):
        for x in range(cols):
            if labels[y, x, 0] == GROUND:
                labels[y, x, 0] = class_of_ground(section, values[y, x, 1], values[y, x, 2])
            values[y, x, 0] = 1.0 / values[y, x, 0] if values[y, x, 0] > 0.0 else np.inf


@njit(**FAST)
def mount_cameras(pose, road, which, lines, sections, seeds, mount, optics, cams, coordinates):
    """Cameras of all candidates into cams : (candidate, 8) and coordinates : (candidate, 3), see `geometry`.

    pose : (candidate, 3). road : (candidate, 2). mount : height in m, pitch in rad, m ahead of the rear axle. optics :
    focal length and principal point, pixels. The camera pitches with the slope under it, and never rolls.
    """
    for c in range(pose.shape[0]):
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
