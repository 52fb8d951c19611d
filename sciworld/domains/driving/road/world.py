"""Worlds by seed: the road, what stands beside it, who drives and walks there. Nothing here knows of the weather."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sciworld.domains.driving.road.places import NAMES, PLACES, Place
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.kernels import road_layout as layout
from sciworld.kernels import road_line, road_motion

BEND = 2.5  # m/s^2, lateral acceleration at the place's speed in the sharpest bend
# The heading stays within this, rad, so that no normal of the road, and so no hill, ever reaches over the road again.
SWING = 0.6
CAR_SIZE, TRUCK_SIZE = (4.4, 1.82, 1.48), (8.5, 2.5, 3.3)  # m
EGO_LENGTH, EGO_WIDTH = 4.5, 1.85  # m


@dataclass(frozen=True)
class Worlds:
    """Everything about w worlds that no control changes; see `sciworld.kernels.road_layout` for the columns.

    seed : (w,) int64. line : (w, s, 6), a row a metre. section : (w, 9). objects : (w, object, 10), sorted by s.
    count : (w,) of them. shapes : (w, vehicle, 8). people : (w, pedestrian, 6).
    """

    seed: np.ndarray
    line: np.ndarray
    section: np.ndarray
    objects: np.ndarray
    count: np.ndarray
    shapes: np.ndarray
    people: np.ndarray

    @property
    def speed(self) -> np.ndarray:
        """What traffic drives in each world : (w,) m/s."""
        return np.array([PLACES[name].speed for name in self.places])

    @property
    def places(self) -> list[str]:
        """The name of each world's place."""
        return [NAMES[int(index)] for index in self.section[:, layout.PLACE]]


def make_worlds(n: int, settings: RoadSettings, rng: np.random.Generator) -> Worlds:
    """n different worlds."""
    parts = [make_world(int(seed), settings) for seed in rng.integers(0, 2**31, n)]
    most = max(len(part[2]) for part in parts)
    objects = np.zeros((n, most, 10))
    for row, part in zip(objects, parts, strict=True):
        row[: len(part[2])] = part[2]
    return Worlds(
        seed=np.array([part[0] for part in parts], dtype=np.int64),
        line=np.stack([part[1] for part in parts]),
        section=np.stack([part[3] for part in parts]),
        objects=objects,
        count=np.array([len(part[2]) for part in parts]),
        shapes=np.stack([part[4] for part in parts]),
        people=np.stack([part[5] for part in parts]),
    )


def make_world(
    seed: int, settings: RoadSettings
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Seed, line, objects, section, vehicles and pedestrians of one world."""
    rng = np.random.default_rng(seed)
    number = int(rng.integers(len(NAMES)))
    if settings.place != "any":
        number = NAMES.index(settings.place)
    place = PLACES[NAMES[number]]
    section = np.array([*place.section, place.relief * settings.relief, number], dtype=np.float64)
    line = centre_line(place, settings, rng)
    objects = stand_objects(place, section, line, seed, rng)
    return (
        seed,
        line,
        objects,
        section,
        make_traffic(place, section, settings, rng),
        make_people(place, section, settings, rng),
    )


def centre_line(place: Place, settings: RoadSettings, rng: np.random.Generator) -> np.ndarray:
    """The centre line : (s, 6), straights and arcs joined by clothoids, slopes joined by parabolas."""
    length = settings.road_length
    metres = np.arange(length + 1.0)
    s, heading = 60.0, 0.0
    knots, values = [0.0, s], [0.0, 0.0]
    while s < length and settings.bends > 0:
        target = rng.uniform(-SWING, SWING) * min(1.0, settings.bends)
        turn = target - heading
        ease = place.speed * rng.uniform(1.2, 2.5)  # m of clothoid at each end of the arc
        most = BEND / place.speed**2 * min(1.0, settings.bends) * rng.uniform(0.45, 1.0)
        curvature = min(most, abs(turn) / ease)
        arc = abs(turn) / curvature - ease if curvature > 0 else 0.0
        peak = math.copysign(curvature, turn)
        for step, value in ((ease, peak), (arc, peak), (ease, 0.0), (rng.uniform(1.0, 6.0) * place.speed, 0.0)):
            s += max(step, 1e-3)
            knots.append(s)
            values.append(value)
        heading = target
    curvature_at = np.interp(metres, knots, values)
    heading_at = _integral(curvature_at)
    slope_knots = np.arange(0.0, length + 400.0, 8.0 * place.speed)
    slopes = place.slope * min(1.0, settings.relief) * rng.uniform(-1.0, 1.0, len(slope_knots))
    slopes[:1] = 0.0
    slope = np.interp(metres, slope_knots, slopes)
    middle = heading_at[:-1] + 0.5 * np.diff(heading_at)
    x = np.concatenate([[0.0], np.cumsum(np.cos(middle))])
    y = np.concatenate([[0.0], np.cumsum(np.sin(middle))])
    return np.column_stack([x, y, heading_at, curvature_at, _integral(slope), slope])


def _integral(values: np.ndarray) -> np.ndarray:
    """The integral from the start, by trapezia of 1 m."""
    return np.concatenate([[0.0], np.cumsum(0.5 * (values[1:] + values[:-1]))])


def stand_objects(
    place: Place, section: np.ndarray, line: np.ndarray, seed: int, rng: np.random.Generator
) -> np.ndarray:
    """What stands beside the road : (object, 10), sorted by s."""
    edge = road_line.road_edge(section)
    found = []
    for row in place.rows:
        for side in row.sides:
            # `road_sky.street_light` counts on where lamps stand: the first, and half a spacing further at the right.
            first = layout.FIRST_LAMP if side > 0 else layout.FIRST_LAMP + 0.5 * row.every
            s = np.arange(first, len(line) - 1.0, row.every)
            regular = row.kind in (layout.LAMP, layout.POST)
            s = s if regular else s + rng.uniform(-0.12, 0.12, len(s)) * row.every
            s = s[rng.random(len(s)) < row.share]
            length, width, height, beyond = (
                rng.uniform(*bounds, len(s)) for bounds in (row.length, row.width, row.height, row.beyond)
            )
            n = side * (edge + beyond + 0.5 * width)
            turn = -side * 0.5 * math.pi if row.kind == layout.LAMP else 0.0
            found.append(np.column_stack([s, n, length, width, height, np.full((len(s), 2), (row.kind, turn))]))
    table = np.concatenate(found)
    table = table[np.argsort(table[:, 0], kind="stable")]
    placed = np.empty((len(table), 4))
    road_line.stand(line, section, seed, np.ascontiguousarray(table[:, :2]), placed)
    return np.column_stack(
        [table[:, 0], placed[:, :3], placed[:, 3] + table[:, 6], table[:, 2:5], table[:, 5], rng.random(len(table))]
    )


def lane_offset(section: np.ndarray, lane: np.ndarray | int, way: np.ndarray | int = 1) -> np.ndarray:
    """n in m of the middle of a lane, the road's middle one being 0; way: 1 is the ego vehicle's, -1 the other."""
    return -way * (section[..., layout.MEDIAN] + (np.asarray(lane) + 0.5) * section[..., layout.LANE_WIDTH])


def make_traffic(place: Place, section: np.ndarray, settings: RoadSettings, rng: np.random.Generator) -> np.ndarray:
    """The vehicles : (vehicle, 8), evenly strewn over the window about the ego vehicle, none of them near it."""
    n = settings.vehicles
    way = np.where(np.arange(n) % 2 == 0, 1, -1)
    lane = rng.integers(0, place.lanes, n)
    truck = rng.random(n) < 0.2
    size = np.where(truck[:, None], TRUCK_SIZE, CAR_SIZE) * rng.uniform(0.94, 1.06, (n, 1))
    start = 75.0 + (np.arange(n) + rng.uniform(0.2, 0.8, n)) * (road_motion.WINDOW - 120.0) / max(n, 1)
    speed = place.speed * rng.uniform(0.75, 1.05, n) * np.where(truck, 0.85, 1.0)
    return np.column_stack([start, way, lane_offset(section, lane, way), size, speed, rng.random(n)])


def make_people(place: Place, section: np.ndarray, settings: RoadSettings, rng: np.random.Generator) -> np.ndarray:
    """The pedestrians : (pedestrian, 6); elsewhere than in towns they stand out of sight, before the road's start."""
    n = settings.pedestrians
    edge = road_line.road_edge(section)
    side = rng.choice([1.0, -1.0], n)
    at = side * (edge + rng.uniform(0.4, 1.4, n))
    crosses = rng.random(n) < 0.5
    s = 60.0 + (np.arange(n) + rng.random(n)) * place.walkers
    if place.walkers == 0:
        s, crosses = np.full(n, -1e4), np.zeros(n, dtype=bool)
    speed = rng.uniform(0.9, 1.6, n) * np.where(crosses, 1.0, rng.choice([1.0, -1.0], n))
    trigger = np.where(crosses, rng.uniform(28.0, 45.0, n), 0.0)
    return np.column_stack([s, at, -at, speed, trigger, rng.random(n)])
