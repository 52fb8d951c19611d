"""What moves on the road: the ego vehicle, the traffic, the pedestrians; and where all of it stands."""

import math

import numpy as np
from numba import njit

from sciworld.kernels.road_layout import (
    CAR,
    CAR_HEIGHT,
    CAR_LENGTH,
    CAR_SPEED,
    CAR_TINT,
    CAR_WAY,
    CAR_WIDTH,
    FAST,
    HEIGHT,
    KIND,
    LENGTH,
    TINT,
    WALK_FROM,
    WALK_S,
    WALK_SPEED,
    WALK_TINT,
    WALK_TO,
    WALK_TRIGGER,
    WALKER,
    WIDTH,
    YAW,
    S,
    X,
    Y,
    Z,
)
from sciworld.kernels.road_line import along, ground_height, project

BEHIND, WINDOW = 70.0, 420.0  # m: traffic lives in a window about the ego vehicle, and comes in again at its far end
# Intelligent driver model: Treiber, Hennecke and Helbing, Phys. Rev. E 62, 1805 (2000), equation 3; the parameters are
# those of Kesting, Treiber and Helbing, Phil. Trans. R. Soc. A 368, 4585 (2010), table 1.
HEADWAY, JAM, ACCELERATION, BRAKING, HARDEST = 1.5, 2.0, 1.4, 2.0, 8.0


@njit(**FAST)
def idm(speed, desired, gap, closing):
    """Acceleration in m/s^2 of a driver at `speed` who wants `desired`, `gap` m behind what he closes in on at m/s."""
    if desired <= 0.0:
        return -HARDEST
    free = 1.0 - (speed / desired) ** 4
    wish = JAM + max(0.0, speed * HEADWAY + speed * closing / (2.0 * math.sqrt(ACCELERATION * BRAKING)))
    return max(-HARDEST, ACCELERATION * (free - (wish / max(gap, 0.1)) ** 2))


@njit(**FAST)
def move_ego(motion, pose, controls, limits, wheelbase, grip, top_speed, dt):
    """Kinematic bicycle, pose of the rear axle, exact on arcs of constant curvature; changed in place.

    motion : (candidate, 4) speed m/s, steering rad, acceleration m/s^2, lateral acceleration m/s^2. pose :
    (candidate, 3) x, y in m, yaw in rad. controls : (candidate, 2) wanted steering and acceleration. limits : (2,) how
    fast these change, per second. grip : m/s^2, the tyres' largest lateral acceleration.
    """
    for c in range(motion.shape[0]):
        speed, steering, acceleration = motion[c, 0], motion[c, 1], motion[c, 2]
        steering += min(max(controls[c, 0] - steering, -limits[0] * dt), limits[0] * dt)
        acceleration += min(max(controls[c, 1] - acceleration, -limits[1] * dt), limits[1] * dt)
        after = min(max(speed + acceleration * dt, 0.0), top_speed)
        mean = 0.5 * (speed + after)
        # Beyond what the tyres hold, the vehicle slides onto the widest arc that they do.
        most = grip / max(mean * mean, 1e-6)
        curvature = min(max(math.tan(steering) / wheelbase, -most), most)
        way = mean * dt
        turn = curvature * way
        chord = way * (1.0 - turn * turn / 24.0) if abs(turn) < 1e-3 else way * math.sin(0.5 * turn) / (0.5 * turn)
        pose[c, 0] += chord * math.cos(pose[c, 2] + 0.5 * turn)
        pose[c, 1] += chord * math.sin(pose[c, 2] + 0.5 * turn)
        pose[c, 2] += turn
        motion[c, 0], motion[c, 1], motion[c, 2] = after, steering, (after - speed) / dt
        motion[c, 3] = curvature * mean * mean


@njit(**FAST)
def locate(pose, which, lines, road):
    """Road coordinates of every candidate, road : (candidate, 2), from pose : (candidate, 3) and the last ones."""
    for c in range(pose.shape[0]):
        road[c, 0], road[c, 1] = project(lines[which[c]], pose[c, 0], pose[c, 1], road[c, 0])


@njit(**FAST)
def move_traffic(cars, walkers, which, shapes, people, ego, dt):
    """One step of other vehicles and pedestrians, changed in place.

    cars : (candidate, vehicle, 3) s, n, speed. walkers : (candidate, pedestrian, 2) s, n. shapes : (world, vehicle, 8).
    people : (world, pedestrian, 6). ego : (candidate, 4) s of its middle, n, speed, length.
    """
    for c in range(cars.shape[0]):
        w = which[c]
        wishes = np.empty(cars.shape[1])
        for k in range(cars.shape[1]):
            wishes[k] = _wish(cars[c], walkers[c], shapes[w], ego[c], k)
        for k in range(cars.shape[1]):
            way = shapes[w, k, CAR_WAY]
            speed = max(0.0, cars[c, k, 2] + wishes[k] * dt)
            cars[c, k, 0] += way * 0.5 * (cars[c, k, 2] + speed) * dt
            cars[c, k, 2] = speed
            ahead = cars[c, k, 0] - ego[c, 0] + BEHIND
            cars[c, k, 0] -= math.floor(ahead / WINDOW) * WINDOW
        for k in range(walkers.shape[1]):
            _walk(walkers[c, k], people[w, k], ego[c, 0], dt)


@njit(**FAST)
def _wish(cars, walkers, shapes, ego, k):
    """Acceleration of vehicle k: the least that the free road or anything ahead in its lane asks for."""
    way, speed, desired = shapes[k, CAR_WAY], cars[k, 2], shapes[k, CAR_SPEED]
    half = 0.5 * shapes[k, CAR_LENGTH]
    wish = idm(speed, desired, 1e6, 0.0)
    for m in range(cars.shape[0]):
        if m != k and abs(cars[m, 1] - cars[k, 1]) < 1.5:
            # Who is ahead across the end of the window is a whole window nearer.
            ahead = way * (cars[m, 0] - cars[k, 0])
            ahead -= math.floor(ahead / WINDOW) * WINDOW
            gap = ahead - half - 0.5 * shapes[m, CAR_LENGTH]
            wish = min(wish, idm(speed, desired, gap, speed - cars[m, 2]))
    ahead = way * (ego[0] - cars[k, 0])
    if ahead > 0.0 and abs(ego[1] - cars[k, 1]) < 1.7:
        wish = min(wish, idm(speed, desired, ahead - half - 0.5 * ego[3], speed - way * ego[2]))
    for m in range(walkers.shape[0]):
        ahead = way * (walkers[m, 0] - cars[k, 0])
        if 0.0 < ahead < 60.0 and abs(walkers[m, 1] - cars[k, 1]) < 2.2:
            wish = min(wish, idm(speed, desired, ahead - half - 1.0, speed))
    return wish


@njit(**FAST)
def _walk(walker, person, ego_s, dt):
    trigger = person[WALK_TRIGGER]
    if trigger == 0.0:
        walker[0] += person[WALK_SPEED] * dt
        return
    started = walker[1] != person[WALK_FROM]
    if started or 0.0 < person[WALK_S] - ego_s < trigger:
        left = person[WALK_TO] - walker[1]
        step = abs(person[WALK_SPEED]) * dt
        walker[1] += min(max(left, -step), step)


@njit(**FAST)
def place_movers(cars, walkers, which, lines, sections, seeds, shapes, people, out):
    """Where vehicles and pedestrians stand, as objects : out (candidate, vehicle + pedestrian, 10)."""
    vehicles = cars.shape[1]
    for c in range(cars.shape[0]):
        w = which[c]
        for k in range(vehicles + walkers.shape[1]):
            row = out[c, k]
            driven = k < vehicles
            s, n = (
                (cars[c, k, 0], cars[c, k, 1]) if driven else (walkers[c, k - vehicles, 0], walkers[c, k - vehicles, 1])
            )
            x, y, heading, _, _, _ = along(lines[w], s)
            row[S], row[X], row[Y] = s, x - n * math.sin(heading), y + n * math.cos(heading)
            row[Z] = ground_height(lines[w], sections[w], seeds[w], s, n)
            if driven:
                shape = shapes[w, k]
                row[YAW] = heading if shape[CAR_WAY] > 0 else heading + math.pi
                row[LENGTH], row[WIDTH], row[HEIGHT] = shape[CAR_LENGTH], shape[CAR_WIDTH], shape[CAR_HEIGHT]
                row[KIND], row[TINT] = CAR, shape[CAR_TINT]
            else:
                person = people[w, k - vehicles]
                row[YAW] = heading
                row[LENGTH], row[WIDTH], row[HEIGHT] = 0.6, 0.62, 1.6 + 0.25 * person[WALK_TINT]
                row[KIND], row[TINT] = WALKER, person[WALK_TINT]
