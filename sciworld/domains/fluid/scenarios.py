"""Flows with known numbers, each a function of its Reynolds number and of how many cells resolve it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from sciworld.config import positive, require, whole
from sciworld.domains.fluid.cylinder import circle, jets, turning
from sciworld.domains.fluid.lattice import Case
from sciworld.errors import SettingsError
from sciworld.kernels import lbm

ACTIONS = 4  # of a controlled flow while the fluid travels one diameter: 80 in 20 D/U, Rabault et al. (2019)
CHANNEL = (22.0, 4.1)  # length and height in diameters, Schafer and Turek (1996), figure 1
MIDDLE = (2.0, 2.0)  # of the cylinder, from the inlet and from the bottom
# In a wake the viscosity is low: with 3/16 the odd rate is near 0, and flows diverge at cell Reynolds numbers of 15. Of
# the values that are stable this one gave the best drag of 2D-2 with 20 cells; with more cells it matters less.
WAKE_MAGIC = 1e-3
KICK = 0.05  # share of the speed that disturbs a flow at its beginning, so that an instability can grow


def cavity(
    reynolds: float = 100.0, cells: int = 64, lattice_speed: float = 0.1, length: float = 1.0, speed: float = 1.0,
    collision: str = "trt",
) -> Case:  # fmt: skip
    """A square box whose lid, at the top, moves to the right. Ghia, Ghia and Shin, J. Comput. Phys. 48, 387 (1982).

    cells : along a side of `length` m. speed : of the lid, m/s.
    """
    _require(reynolds, cells, lattice_speed, length, speed)
    walls = np.zeros((4, cells, 2))
    walls[lbm.TOP, :, 0] = lattice_speed
    return Case(
        (cells, cells), length / cells, lattice_speed / speed * length / cells, lattice_speed * cells / reynolds,
        cells, lattice_speed, np.zeros((3, cells, cells)), (lbm.WALL,) * 4, walls, collision=collision,
    )  # fmt: skip


def taylor_green(
    reynolds: float = 100.0, cells: int = 64, lattice_speed: float = 0.05, length: float = 1.0, speed: float = 1.0,
    collision: str = "trt", aspect: float = 1.5,
) -> Case:  # fmt: skip
    """Vortices that decay as exp(-2 nu k^2 t), in a periodic box `aspect` times as long as high.

    cells : along its height of `length` m. speed : of the fastest fluid at the beginning, m/s.
    """
    _require(reynolds, cells, lattice_speed, length, speed)
    ny, nx = cells, round(positive(aspect, "aspect", 100.0) * cells)
    y, x = np.mgrid[:ny, :nx] + 0.5
    ky, kx = 2 * np.pi / ny, 2 * np.pi / nx
    u = -lattice_speed * np.cos(kx * x) * np.sin(ky * y)
    v = lattice_speed * kx / ky * np.sin(kx * x) * np.cos(ky * y)
    density = -0.75 * lattice_speed**2 * (np.cos(2 * kx * x) + (kx / ky) ** 2 * np.cos(2 * ky * y))
    return _periodic(np.stack([density, u, v]), reynolds, lattice_speed, length, speed, collision)


def shear_layer(
    reynolds: float = 2_000.0, cells: int = 128, lattice_speed: float = 0.04, length: float = 1.0,
    speed: float = 1.0, collision: str = "trt", steepness: float = 30.0,
) -> Case:  # fmt: skip
    """Two layers of shear that roll up, in a periodic square. Minion and Brown, J. Comput. Phys. 138, 734 (1997),
    equations 12 and 13: `steepness` 30 is their thick layer, 80 the thin one."""
    _require(reynolds, cells, lattice_speed, length, speed)
    positive(steepness, "steepness", 1e3)
    y, x = (np.mgrid[:cells, :cells] + 0.5) / cells
    u = np.where(y <= 0.5, np.tanh(steepness * (y - 0.25)), np.tanh(steepness * (0.75 - y)))
    v = KICK * np.sin(2 * np.pi * (x + 0.25))
    start = lattice_speed * np.stack([np.zeros_like(u), u, v])
    return _periodic(start, reynolds, lattice_speed, length, speed, collision)


def kolmogorov(
    reynolds: float = 500.0, cells: int = 128, lattice_speed: float = 0.04, length: float = 1.0,
    speed: float = 1.0, collision: str = "trt", waves: int = 4,
) -> Case:  # fmt: skip
    """A periodic square driven by a force sin(2 pi waves y / length) along x, which the laminar flow of `speed` m/s
    balances. Meshalkin and Sinai, J. Appl. Math. Mech. 25, 1700 (1961); it is stable for few waves alone."""
    _require(reynolds, cells, lattice_speed, length, speed)
    whole(waves, "waves", 1, cells // 4)
    viscosity, k = lattice_speed * cells / reynolds, 2 * np.pi * waves / cells
    y, x = np.mgrid[:cells, :cells] + 0.5
    wave = np.sin(k * y)
    v = KICK * np.sin(2 * np.pi * x / cells)
    start = lattice_speed * np.stack([np.zeros_like(v), wave, v])
    force = np.stack([viscosity * k**2 * lattice_speed * wave[:, 0], np.zeros(cells)], axis=1)
    return _periodic(start, reynolds, lattice_speed, length, speed, collision, force)


def schafer_turek(
    reynolds: float = 100.0, cells: int = 20, lattice_speed: float = 0.03, length: float = 0.1, speed: float = 1.0,
    collision: str = "trt",
) -> Case:  # fmt: skip
    """A cylinder at rest in a channel of 22 D x 4.1 D, a little below its middle: 2D-1 at Reynolds 20, 2D-2 at 100.

    Schafer and Turek, "Benchmark computations of laminar flow around a cylinder" (1996). cells : across the diameter of
    `length` m, a multiple of 10 so that the channel is whole cells high. speed : mean of the inflow, m/s. lattice_speed
    is moved to the nearest at which actions last whole pairs of steps, as in the two scenarios that follow.
    """
    return _channel(reynolds, cells, lattice_speed, length, speed, collision, "")


def jets_rabault(
    reynolds: float = 100.0, cells: int = 20, lattice_speed: float = 0.03, length: float = 0.1, speed: float = 1.0,
    collision: str = "trt",
) -> Case:  # fmt: skip
    """That cylinder with two jets of 10 degrees at its top and bottom, one blowing what the other sucks.

    Rabault, Kuchta, Jensen, Reglade and Cerardi, J. Fluid Mech. 865, 281 (2019). The amplitude is the mean speed over
    the upper slot, m/s.
    """
    return _channel(reynolds, cells, lattice_speed, length, speed, collision, "jets")


def rotary(
    reynolds: float = 100.0, cells: int = 20, lattice_speed: float = 0.03, length: float = 0.1, speed: float = 1.0,
    collision: str = "trt",
) -> Case:  # fmt: skip
    """That cylinder turning about its axis. The amplitude is in rad/s, counter-clockwise."""
    return _channel(reynolds, cells, lattice_speed, length, speed, collision, "rotation")


def cylinder_unbounded(
    reynolds: float = 100.0, cells: int = 20, lattice_speed: float = 0.05, length: float = 0.1, speed: float = 1.0,
    collision: str = "trt", extent: tuple[float, float] = (50.0, 40.0),
) -> Case:  # fmt: skip
    """A cylinder in a wide stream whose borders move along with it; a third of the way from the inlet.

    extent : length and height in diameters.
    """
    _require(reynolds, cells, lattice_speed, length, speed)
    require(isinstance(extent, tuple | list) and len(extent) == 2, f"extent is {extent!r:.80}; use (length, height)")
    nx, ny = (round(positive(size, "extent", 1e3) * cells) for size in extent)
    require(min(nx, ny) >= 8 * cells, f"extent is {extent} diameters; use at least 8 of each")
    walls = np.zeros((4, max(nx, ny), 2))
    walls[[lbm.LEFT, lbm.BOTTOM, lbm.TOP], :, 0] = lattice_speed
    profile = np.full(ny, lattice_speed)
    middle = (ny / 2, float(round(nx / 3)))
    return _about_cylinder((ny, nx), middle, profile, walls, reynolds, cells, lattice_speed, length, speed, collision)


SCENARIOS: dict[str, Callable[..., Case]] = {
    "cavity": cavity,
    "taylor_green": taylor_green,
    "cylinder_unbounded": cylinder_unbounded,
    "schafer_turek": schafer_turek,
    "jets_rabault": jets_rabault,
    "rotary": rotary,
    "kolmogorov": kolmogorov,
    "shear_layer": shear_layer,
}


def scenario(name: str, **settings: Any) -> Case:
    """The case of a scenario; settings are the arguments of its function. Raises SettingsError naming what is wrong."""
    if not isinstance(name, str) or name not in SCENARIOS:
        raise SettingsError(f"no scenario {name!r:.80}; there are {', '.join(SCENARIOS)}")
    known = inspect.signature(SCENARIOS[name]).parameters
    odd = sorted(set(settings) - set(known))
    if odd:
        raise SettingsError(f"{name}: unknown setting {', '.join(odd)}; known are {', '.join(known)}")
    return SCENARIOS[name](**settings)


def _require(reynolds: float, cells: int, lattice_speed: float, length: float, speed: float) -> None:
    whole(cells, "cells", 8, 10_000)
    stated = {"reynolds": reynolds, "lattice_speed": lattice_speed, "length": length, "speed": speed}
    for name, value in stated.items():
        positive(value, name)


def _periodic(
    start: np.ndarray, reynolds: float, lattice_speed: float, length: float, speed: float, collision: str,
    force: np.ndarray | None = None,
) -> Case:  # fmt: skip
    ny, nx = start.shape[1:]
    cell = length / ny
    return Case(
        (ny, nx), cell, lattice_speed / speed * cell, lattice_speed * ny / reynolds, ny, lattice_speed, start,
        force=force, collision=collision,
    )  # fmt: skip


def _channel(
    reynolds: float, cells: int, lattice_speed: float, length: float, speed: float, collision: str, actuator: str
) -> Case:
    _require(reynolds, cells, lattice_speed, length, speed)
    require(cells % 10 == 0, f"cells is {cells}; use a multiple of 10, for the channel is 4.1 diameters high")
    # Whole pairs of steps fill the time from one action to the next.
    lattice_speed = cells / ACTIONS / (2 * max(1, round(cells / ACTIONS / lattice_speed / 2)))
    nx, ny = (round(size * cells) for size in CHANNEL)
    along = np.arange(ny) + 0.5
    profile = 6 * lattice_speed * along * (ny - along) / ny**2
    walls = np.zeros((4, nx, 2))
    walls[lbm.LEFT, :ny, 0] = profile
    middle = (MIDDLE[1] * cells, MIDDLE[0] * cells)
    return _about_cylinder(
        (ny, nx), middle, profile, walls, reynolds, cells, lattice_speed, length, speed, collision, actuator
    )


def _about_cylinder(
    shape: tuple[int, int], middle: tuple[float, float], profile: np.ndarray, walls: np.ndarray, reynolds: float,
    cells: int, lattice_speed: float, length: float, speed: float, collision: str, actuator: str = "",
) -> Case:  # fmt: skip
    """A stream of `profile` : (rows,) about a cylinder at `middle`, disturbed behind it."""
    cell = length / cells
    step = lattice_speed / speed * cell
    links, fractions, places, solid = circle(shape, middle, cells / 2)
    velocities = np.zeros((0, len(links), 2))
    if actuator == "rotation":
        velocities = turning(places) * step
    elif actuator == "jets":
        velocities = jets(links, fractions, places) * (step / cell)
    y, x = (np.mgrid[: shape[0], : shape[1]] + 0.5 - np.array(middle)[:, None, None]) / cells
    start = np.zeros((3, *shape))
    start[1] = profile[:, None]
    start[2] = KICK * lattice_speed * np.exp(-((x - 2) ** 2) - y**2)
    start[:, solid] = 0
    return Case(
        shape, cell, step, lattice_speed * cells / reynolds, cells, lattice_speed, start,
        (lbm.INLET, lbm.OPEN, lbm.WALL, lbm.WALL), walls, body=lbm.Body(links, fractions, velocities), solid=solid,
        collision=collision, magic=WAKE_MAGIC,
    )  # fmt: skip
