"""What the ego vehicle touches: outlines on the ground, as boxes (x, y, yaw, length, width)."""

import math

from numba import njit, prange

from sciworld.kernels.road_geometry import first_after
from sciworld.kernels.road_layout import (
    CONIFER,
    FAST,
    KIND,
    LAMP,
    LENGTH,
    NOTHING,
    POST,
    SIGN,
    TREE,
    WIDTH,
    YAW,
    S,
    X,
    Y,
)

GAP = 0.05  # m, of boxes that are said to touch
TRUNK = 0.3  # m, of what is thin at a car's height
ABOUT = 40.0  # m of road before and behind, on which what stands is looked at


@njit(**FAST)
def overlap(one, two):
    """Whether two boxes overlap, by the separating axis theorem."""
    dx, dy = two[0] - one[0], two[1] - one[1]
    for k in range(4):
        axis = (one[2] if k < 2 else two[2]) + (0.5 * math.pi if k % 2 else 0.0)
        reach = GAP
        for box in (one, two):
            turned = box[2] - axis
            reach += 0.5 * (abs(math.cos(turned)) * box[3] + abs(math.sin(turned)) * box[4])
        if abs(dx * math.cos(axis) + dy * math.sin(axis)) > reach:
            return False
    return True


@njit(**FAST)
def foot(row):
    """What an object : (10,) covers at a car's height; of a tree its trunk."""
    kind = int(row[KIND])
    thin = kind in (TREE, CONIFER, POST, SIGN, LAMP)
    return row[X], row[Y], row[YAW], TRUNK if thin else row[LENGTH], TRUNK if thin else row[WIDTH]


@njit(**FAST)
def touches(ego, row):
    """Whether the box of the ego vehicle and an object : (10,) overlap."""
    two = foot(row)
    # So far apart, by 1.5 times half their diagonals, they are apart along one of the two axes of either.
    far = 0.75 * (math.hypot(ego[3], ego[4]) + math.hypot(two[3], two[4])) + 2.0 * GAP
    if abs(two[0] - ego[0]) > far or abs(two[1] - ego[1]) > far:
        return False
    return overlap(ego, two)


@njit(parallel=True, **FAST)
def contacts(egos, s, which, movers, objects, counts, hit):
    """Whether each ego vehicle touches anything, into hit : (candidate,) bool.

    egos : (candidate, 5) boxes. s : (candidate,) m along the road. which, movers, objects, counts : as
    `road_geometry.geometry` has them.
    """
    for c in prange(egos.shape[0]):
        w = which[c]
        ego = (egos[c, 0], egos[c, 1], egos[c, 2], egos[c, 3], egos[c, 4])
        hit[c] = False
        for k in range(movers.shape[1]):
            if movers[c, k, KIND] != NOTHING and touches(ego, movers[c, k]):
                hit[c] = True
        for k in range(first_after(objects[w], counts[w], s[c] - ABOUT), counts[w]):
            if objects[w, k, S] >= s[c] + ABOUT:
                break
            if touches(ego, objects[w, k]):
                hit[c] = True
