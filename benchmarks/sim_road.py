"""Figures of the road renderer: frames a second, and what of a scene the weather changes, which must be nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from harness import Figure, Run, median
from sciworld.domains.driving.road.conditions import RoadConditions, sample_conditions
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.truth import by_products

EVERYTHING = RoadConditions(
    cloudiness=80, precipitation=80, precipitation_deposits=60, sun_altitude_angle=-30, fog_density=30, wetness=90
)


def speed(run: Run) -> dict[str, Figure]:
    """Frames a second of 64 x 64 and of 192 x 320, steps included, with rain, fog, wet road and lamps at night.

    Each repeat is a step of many drives, in worlds of their own, on all cores. Rows hold CarRacing-v3 (96 x 96) beside.
    """
    drives = {"road_fps_64": _drives(64, 64, 128), "road_fps_320": _drives(192, 320, 16)}
    racing, rows = _racing(), {name: [] for name in drives}
    for _ in range(3 if run.quick else 15):
        for name, rate in drives.items():
            rows[name].append({"frames_a_second": rate(), "car_racing": racing()})
    found = {}
    for name, values in rows.items():
        figure = median([row["frames_a_second"] for row in values], "1/s")
        found[name] = Figure(figure.value, figure.unit, figure.spread, values)
    return found


def _drives(rows: int, columns: int, n: int) -> Callable[[], float]:
    simulator, rng = RoadSimulator(RoadSettings(rows=rows, columns=columns), EVERYTHING), np.random.default_rng(0)
    state = simulator.start(n, rng)
    simulator.step(state, np.zeros((n, 2)), rng)  # compiles

    def rate() -> float:
        nonlocal state
        begin = time.perf_counter()
        for _ in range(4):
            _, state = simulator.step(state, np.zeros((n, 2)), rng)
        return 4 * n / (time.perf_counter() - begin)

    return rate


def _racing() -> Callable[[], float]:
    env = gymnasium.make("CarRacing-v3", render_mode="rgb_array")
    env.reset(seed=0)

    def rate() -> float:
        begin = time.perf_counter()
        for _ in range(20):
            _, _, terminated, truncated, _ = env.step(np.array([0.0, 0.1, 0.0], dtype=np.float32))
            if terminated or truncated:
                env.reset(seed=0)
        return 20 / (time.perf_counter() - begin)

    return rate


def counterfactuals(run: Run) -> Figure:
    """Pixels of mask and depth, and numbers of poses, that differ between two conditions drawn at random.

    The same seeds, places and controls, ten steps each.
    """
    rows = []
    for seed in range(2 if run.quick else 20):
        settings = RoadSettings(rows=48, columns=80)
        rng = np.random.default_rng([seed, 1])
        controls = np.column_stack([rng.normal(0, 0.05, 10), rng.normal(0, 1, 10)])
        one, two = (_scenes(settings, sample_conditions(rng), seed, controls) for _ in range(2))
        pairs = list(zip(one, two, strict=True))
        rows.append(
            {
                "seed": seed,
                "mask": int(sum((a.mask != b.mask).sum() for (a, _), (b, _) in pairs)),
                "depth": int(sum((a.depth != b.depth).sum() for (a, _), (b, _) in pairs)),
                "pose": int(sum((a.pose != b.pose).sum() for (a, _), (b, _) in pairs)),
                "share_of_colours_that_differ": float(np.mean([(f != g).mean() for (_, f), (_, g) in pairs])),
            }
        )
    return Figure(sum(row["mask"] + row["depth"] + row["pose"] for row in rows), "1", None, rows)


def _scenes(settings: RoadSettings, conditions: RoadConditions, seed: int, controls: np.ndarray) -> list[Any]:
    simulator, rng = RoadSimulator(settings, conditions), np.random.default_rng(seed)
    state, found = simulator.start(3, rng), []
    for row in controls:
        observation, state = simulator.step(state, simulator.space.clip(np.tile(row, (3, 1))), rng)
        found.append((by_products(simulator, state), observation.frames))
    return found
