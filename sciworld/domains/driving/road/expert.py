"""A driver who knows the truth: steers at a point ahead in the lane, keeps its distance. It makes the data."""

from __future__ import annotations

import numpy as np

from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.state import RoadState
from sciworld.domains.driving.road.world import EGO_LENGTH
from sciworld.kernels import road_layout as layout
from sciworld.kernels import road_line, road_motion
from sciworld.simulator import Observation

BEND = 2.2  # m/s^2, that the expert takes bends at
LOOK = 80.0  # m ahead that it slows down for bends


def expert_controls(simulator: RoadSimulator, state: RoadState, lane: np.ndarray | None = None) -> np.ndarray:
    """Controls : (candidate, 2): pure pursuit to the lane's middle, and the intelligent driver model.

    lane : (candidate,) n in m of what to follow, by default the middle of the nearest own lane. Pure pursuit: Coulter
    (1992), CMU-RI-TR-92-01.
    """
    lane = state.lane if lane is None else lane
    movers = simulator.movers(state)
    controls = np.empty((len(state), 2))
    for c in range(len(state)):
        controls[c] = _drive(simulator, state, movers[c], float(lane[c]), c)
    return simulator.space.clip(controls)


def _drive(simulator: RoadSimulator, state: RoadState, movers: np.ndarray, lane: float, c: int) -> tuple[float, float]:
    """Steering and acceleration of candidate c."""
    line, world = state.worlds.line[state.which[c]], state.which[c]
    speed, wheelbase = state.speed[c], simulator.settings.wheelbase
    s, n = state.road[c]
    x, y, heading, _, _, _ = road_line.along(line, s + 4.0 + 0.6 * speed)
    dx = x - lane * np.sin(heading) - state.pose[c, 0]
    dy = y + lane * np.cos(heading) - state.pose[c, 1]
    cos, sin = np.cos(state.pose[c, 2]), np.sin(state.pose[c, 2])
    curvature = 2.0 * (-sin * dx + cos * dy) / (dx * dx + dy * dy)
    bends = line[int(np.clip(s, 0, len(line) - 1)) : int(max(s, 0) + LOOK) : 10, layout.LINE_CURVATURE]
    sharpest = max(np.abs(bends).max(initial=0.0), 1e-6)
    # Braking at 1.5 m/s^2 halfway to what lies ahead.
    desired = min(0.95 * state.worlds.speed[world], np.sqrt(BEND / sharpest) + 1.0, simulator.settings.top_speed)
    nose = s + 0.5 * wheelbase + 0.5 * EGO_LENGTH
    wish = road_motion.idm(speed, desired, 1e6, 0.0)
    for gap, closing in _ahead(state, movers, nose, n, c):
        wish = min(wish, road_motion.idm(speed, desired, gap, closing))
    return float(np.arctan(wheelbase * curvature)), float(wish)


def _ahead(state: RoadState, movers: np.ndarray, nose: float, n: float, c: int) -> list[tuple[float, float]]:
    """Gap in m and closing speed in m/s of everything in the way."""
    found, speed, cars = [], state.speed[c], state.cars[c]
    world = state.which[c]
    ways, people = state.worlds.shapes[world, :, layout.CAR_WAY], state.worlds.people[world]
    for k in range(len(movers)):
        gap = movers[k, layout.S] - nose - 0.5 * movers[k, layout.LENGTH]
        if not -4.0 < gap < 120.0:
            continue
        if k < len(cars):
            if abs(cars[k, 1] - n) < 1.9:
                found.append((max(gap, 0.1), speed - ways[k] * cars[k, 2]))
        elif _will_cross(state.walkers[c, k - len(cars), 1], people[k - len(cars)], n):
            found.append((max(gap - 1.0, 0.1), speed))
    return found


def _will_cross(at: float, person: np.ndarray, n: float) -> bool:
    """Whether a pedestrian who is `at` across the road is on the way over, and not yet 2.5 m past n."""
    way = np.sign(person[layout.WALK_TO] - person[layout.WALK_FROM])
    walking = person[layout.WALK_TRIGGER] > 0 and at != person[layout.WALK_FROM]
    return bool((walking and way * (at - n) < 2.5) or abs(at - n) < 1.6)


def drive(
    simulator: RoadSimulator, state: RoadState, steps: int, rng: np.random.Generator, wander: float = 0.0
) -> tuple[list[Observation], np.ndarray, list[RoadState]]:
    """The expert's drive: steps + 1 observations, controls : (candidate, step, 2), steps + 1 states.

    wander : standard deviation in m of a slow walk of the line that the expert follows, for data that differ.
    """
    observations, states = [simulator.image(state, rng)], [state]
    controls = np.empty((len(state), steps, 2))
    aside, keep = np.zeros(len(state)), np.exp(-simulator.settings.step / 2.0)
    for step in range(steps):
        aside = keep * aside + wander * np.sqrt(1.0 - keep**2) * rng.standard_normal(len(state))
        controls[:, step] = expert_controls(simulator, state, state.lane + aside)
        observation, state = simulator.step(state, controls[:, step], rng)
        observations.append(observation)
        states.append(state)
    return observations, controls, states
