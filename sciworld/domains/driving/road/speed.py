"""How many frames a second the renderer makes with everything on: rain, fog, wet road, lamps at night."""

from __future__ import annotations

import time

import numpy as np

from sciworld.domains.driving.road.conditions import RoadConditions
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator

EVERYTHING = RoadConditions(
    cloudiness=80,
    precipitation=80,
    precipitation_deposits=60,
    sun_altitude_angle=-30,
    fog_density=30,
    wetness=90,
)


def frames_per_second(rows: int, columns: int, n: int = 64, repeats: int = 5, place: str = "any") -> float:
    """The median over `repeats` of frames per second for n candidates in different worlds, their steps included."""
    simulator = RoadSimulator(RoadSettings(rows=rows, columns=columns, place=place), EVERYTHING)
    rng = np.random.default_rng(0)
    state = simulator.start(n, rng)
    controls = np.zeros((n, 2))
    _, state = simulator.step(state, controls, rng)  # compiles
    rates = []
    for _ in range(repeats):
        began = time.perf_counter()
        _, state = simulator.step(state, controls, rng)
        rates.append(n / (time.perf_counter() - began))
    return float(np.median(rates))


if __name__ == "__main__":
    for shape in ((64, 64), (192, 320)):
        print(f"{shape[0]} x {shape[1]}: {frames_per_second(*shape, n=128 if shape[0] < 100 else 16):.0f} frames/s")
