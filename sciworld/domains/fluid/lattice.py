"""Flows on a lattice: what there is to simulate, many flows that advance together, and their fields in SI units."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from sciworld.config import require, whole
from sciworld.errors import SettingsError, SimulatorError
from sciworld.kernels import lbm

STRAIGHT = 3 / 16  # the magic product that puts straight walls half a cell beyond the last fluid cell
LEAST_VISCOSITY = 1e-3  # cells^2 a step; a relaxation time of 0.503
MOST_VISCOSITY = 0.6  # vortices of Taylor and Green with 32 cells decay 6 % too fast at 0.5, and 40 % at 1
MOST_MACH = 0.3  # beyond, the method's own error of Mach^2 is a tenth
RELAX = 1e-3  # a step, of what the pressure at an open side is off
DENSITY = 1.0  # kg/m^3


@dataclass(frozen=True)
class Case:
    """One kind of flow, in lattice units: cells and steps.

    Parameters
    ----------
    shape : rows and columns of cells.
    cell, step : m and s, the units of length and time.
    viscosity : cells^2 a step.
    length, speed : of reference, in cells and cells a step; they and the viscosity make the Reynolds number.
    kinds : PERIODIC, WALL, OPEN or INLET of the left, right, bottom and top side, as `sciworld.kernels.lbm` has them.
    walls : (4, longest side, 2) velocity x, y of the wall, or in the inlet, at each cell along it.
    force : (rows, 2) acceleration of the fluid in each row.
    start : (3, rows, columns) deviation of the density from 1, and velocity x and y, at the beginning.
    body : what its surface cuts, with velocities for amplitudes in SI units; None if there is none.
    solid : (rows, columns) bool, the cells inside it.
    collision : "trt", two relaxation times, or "bgk", one. magic : product of what the two exceed a half by.
    """

    shape: tuple[int, int]
    cell: float
    step: float
    viscosity: float
    length: float
    speed: float
    start: np.ndarray
    kinds: tuple[int, int, int, int] = (lbm.PERIODIC,) * 4
    walls: np.ndarray | None = None
    force: np.ndarray | None = None
    body: lbm.Body | None = None
    solid: np.ndarray | None = None
    collision: str = "trt"
    magic: float = STRAIGHT

    def __post_init__(self) -> None:
        ny, nx = self.shape
        require(ny >= 4 and nx >= 4, f"a flow of {ny} x {nx} cells; use at least 4 x 4, by more cells")
        sides = (lbm.PERIODIC, lbm.WALL)
        allowed = ((*sides, lbm.INLET), (*sides, lbm.OPEN), sides, sides)
        known = all(kind in fine for kind, fine in zip(self.kinds, allowed, strict=True))
        matched = all((self.kinds[k] == lbm.PERIODIC) == (self.kinds[k + 1] == lbm.PERIODIC) for k in (0, 2))
        require(known and matched, f"kinds are {self.kinds}; an inlet is on the left, an open side on the right")
        shapes = [np.shape(self.start), (3, ny, nx)]
        require(shapes[0] == shapes[1], f"start is {shapes[0]}; expected {shapes[1]}")
        require(0 < self.magic < 10, f"magic is {self.magic}; use 1/4 or less")
        require(self.collision in ("trt", "bgk"), f"collision is {self.collision!r}; use trt or bgk")
        require(
            self.viscosity >= LEAST_VISCOSITY,
            f"a relaxation time of {3 * self.viscosity + 0.5:.5f} is too near 0.5: the flow would not be stable; use "
            "more cells, a lower reynolds or a higher lattice_speed",
        )
        require(
            self.viscosity <= MOST_VISCOSITY,
            f"a viscosity of {self.viscosity:.3g} cells^2 a step, {MOST_VISCOSITY} is the most: beyond, the method "
            "errs; use a higher reynolds, fewer cells or a lower lattice_speed",
        )
        fastest = max(self.speed, float(np.hypot(*self.start[1:]).max(initial=0.0)))
        fastest = max(fastest, 0.0 if self.walls is None else float(np.hypot(*np.moveaxis(self.walls, -1, 0)).max()))
        mach = fastest / lbm.SOUND
        require(
            mach <= MOST_MACH,
            f"a Mach number of {mach:.3g}, {MOST_MACH} is the most: errors grow with its square; use a lower "
            "lattice_speed",
        )

    @property
    def reynolds(self) -> float:
        """Of the speed and length of reference."""
        return self.speed * self.length / self.viscosity

    @property
    def velocity(self) -> float:
        """m/s in one cell a step."""
        return self.cell / self.step

    @property
    def actuators(self) -> int:
        """How many numbers say how the body moves."""
        return 0 if self.body is None else self.body.velocities.shape[0]

    def fastest(self, most: float) -> float:
        """How fast the body's surface moves where all actuators are at `most`, in cells a step."""
        return 0.0 if self.body is None else float(np.hypot(*np.moveaxis(self.body.velocities, -1, 0)).max() * most)

    def rates(self) -> tuple[float, float]:
        """Relaxation rates of even and odd sums."""
        half = 3 * self.viscosity
        even = 1 / (half + 0.5)
        return even, even if self.collision == "bgk" else 1 / (self.magic / half + 0.5)


@dataclass(frozen=True)
class Populations:
    """The state of n flows, a value that `Lattice.advance` leaves as it is.

    f : (flow, 9, rows + 2, columns + 2). outflow : (flow, 3, rows) beyond an open side. steps : (flow,) done.
    """

    f: np.ndarray
    outflow: np.ndarray
    steps: np.ndarray

    def take(self, index: np.ndarray) -> Populations:
        """Those of the flows in `index`, repeats allowed."""
        return Populations(self.f[index], self.outflow[index], self.steps[index])


@dataclass(frozen=True)
class Lattice:
    """Advances flows of one case, each on a thread of its own.

    Parameters
    ----------
    case : what is simulated. dtype : float32 or float64 of the populations.
    """

    case: Case
    dtype: Any = np.float32
    _box: lbm.Box = field(init=False, repr=False, compare=False)
    _body: lbm.Body = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        case, kind = self.case, _dtype(self.dtype)
        even, odd = (kind.type(rate) for rate in case.rates())
        force = np.zeros((case.shape[0], 2)) if case.force is None else np.ascontiguousarray(case.force, np.float64)
        inflow = np.zeros((case.shape[0], 2)) if case.walls is None else case.walls[lbm.LEFT, : case.shape[0]].copy()
        box = lbm.Box(even, odd, force, np.array(case.kinds), _pushes(case), inflow, RELAX)
        nobody = lbm.Body(np.zeros((0, 3), np.int64), np.zeros(0), np.zeros((0, 0, 2)))
        object.__setattr__(self, "_box", box)
        object.__setattr__(self, "_body", nobody if case.body is None else case.body)

    def start(self, n: int) -> Populations:
        """n flows as the case begins."""
        whole(n, "start: n", 1)
        (ny, nx), start = self.case.shape, np.ascontiguousarray(self.case.start, np.float64)
        f = np.zeros((1, 9, ny + 2, nx + 2), self.dtype)
        lbm.equilibrium(start, f[0])
        outflow = start[:, :, -1].copy()
        return Populations(np.repeat(f, n, 0), np.repeat(outflow[None], n, 0), np.zeros(n, np.int64))

    def advance(self, state: Populations, amplitudes: np.ndarray | int) -> tuple[Populations, np.ndarray]:
        """The flows after an even number of steps, and the force on the body : (flow, step, 2) N for 1 m of depth.

        amplitudes : (flow, step, actuator) in SI units; without actuators the number of steps. Raises SimulatorError,
        naming the step and the place, where a flow diverged.
        """
        n, actuators = len(state.f), self.case.actuators
        if isinstance(amplitudes, int | np.integer):
            amplitudes = np.zeros((n, whole(amplitudes, "steps", 0), actuators))
        amplitudes = np.ascontiguousarray(amplitudes, np.float64)
        if amplitudes.ndim != 3 or amplitudes.shape != (n, amplitudes.shape[1] // 2 * 2, actuators):
            raise SimulatorError(
                f"amplitudes are {amplitudes.shape}; expected ({n}, an even number of steps, {actuators})"
            )
        if not np.isfinite(amplitudes).all():
            raise SimulatorError("amplitudes are not all finite; give numbers in m/s or rad/s")
        self._require_fits(state)
        after, forces = self._advanced(state, amplitudes)
        finite = self._finite(after)
        if not finite.all():
            self._tell_where(state, amplitudes, int(np.argmin(finite)))
        return after, forces * (DENSITY * self.case.cell**3 / self.case.step**2)

    def _advanced(self, state: Populations, amplitudes: np.ndarray) -> tuple[Populations, np.ndarray]:
        f, outflow, forces = state.f.copy(), state.outflow.copy(), np.zeros((*amplitudes.shape[:2], 2))
        lbm.run(f, outflow, self._box, self._body, amplitudes, forces)
        return Populations(f, outflow, state.steps + amplitudes.shape[1]), forces

    def moments(self, state: Populations) -> np.ndarray:
        """Deviation of the density from 1, and velocity x, y in cells a step : (flow, 3, rows, columns)."""
        self._require_fits(state)
        out = np.empty((len(state.f), 3, *self.case.shape), self.dtype)
        for f, one in zip(state.f, out, strict=True):
            lbm.moments(f, self._box.force, one)
        return out

    def fields(self, state: Populations) -> dict[str, np.ndarray]:
        """velocity_x, velocity_y in m/s, pressure in Pa and vorticity in 1/s, each (flow, rows, columns).

        The pressure is that above the one at rest. Inside a body all are 0. The vorticity is by central differences,
        at walls and bodies by one-sided ones, which are rough next to a curved surface: at Reynolds 20 the rms of the
        error there is 0.14 of the rms with 20 cells across a cylinder, and 0.29 with 10.
        """
        case = self.case
        density, u, v = np.moveaxis(self.moments(state), 1, 0)
        pressure = density * (lbm.SOUND**2 * DENSITY * case.velocity**2)
        found = {"velocity_x": u * case.velocity, "velocity_y": v * case.velocity, "pressure": pressure}
        found["vorticity"] = self._slope(found["velocity_y"], 2) - self._slope(found["velocity_x"], 1)
        if case.solid is not None:
            for values in found.values():
                values[:, case.solid] = 0
        return found

    def _slope(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Central differences along y (1) or x (2), a m; one-sided at walls and bodies."""
        wall = self.case.kinds[lbm.LEFT if axis == 2 else lbm.BOTTOM] != lbm.PERIODIC
        solid = np.zeros(self.case.shape, bool) if self.case.solid is None else self.case.solid
        ahead, behind = (np.roll(values, -way, axis) - values for way in (1, -1))  # of which behind is minus a step
        blocked = [np.roll(solid, -way, axis - 1) for way in (1, -1)]
        if wall:
            for edge, side in zip((-1, 0), blocked, strict=True):
                np.moveaxis(side, axis - 1, 0)[edge] = True
        free = [~side for side in blocked]
        count = np.maximum(free[0].astype(values.dtype) + free[1], 1)
        return np.asarray((ahead * free[0] - behind * free[1]) / (count * self.case.cell))

    def _require_fits(self, state: Populations) -> None:
        """The kernel looks at no bounds: a flow of another lattice would be read beyond its end."""
        ny, nx = self.case.shape
        kind, wanted = np.dtype(self.dtype), (9, ny + 2, nx + 2)
        if (state.f.shape[1:], state.outflow.shape[1:]) != (wanted, (3, ny)) or state.f.dtype != kind:
            raise SimulatorError(
                f"flows are {state.f.shape[1:]} {state.f.dtype}, of another lattice; expected {wanted} {kind}: start "
                "them in the lattice that advances them"
            )

    def _finite(self, state: Populations) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.isfinite(state.f.sum(axis=(1, 2, 3), dtype=np.float64))

    def _tell_where(self, state: Populations, amplitudes: np.ndarray, flow: int) -> NoReturn:
        """Raise the error of a flow that diverged: do its last good steps again and look where it was fastest."""
        one, good, bad = state.take(np.array([flow])), 0, amplitudes.shape[1] // 2
        while bad - good > 1:  # pairs of steps
            middle = (good + bad) // 2
            fine = self._finite(self._advanced(one, amplitudes[flow : flow + 1, : 2 * middle])[0]).all()
            good, bad = (middle, bad) if fine else (good, middle)
        last, _ = self._advanced(one, amplitudes[flow : flow + 1, : 2 * good])
        speed = np.hypot(*self.moments(last)[0, 1:])
        if self.case.solid is not None:
            speed[self.case.solid] = 0
        (row, column), case, step = np.unravel_index(speed.argmax(), speed.shape), self.case, int(last.steps[0])
        raise SimulatorError(
            f"flow {flow} diverged at step {step} ({step * case.step:.4g} s), at x = {(column + 0.5) * case.cell:.4g} "
            f"m, y = {(row + 0.5) * case.cell:.4g} m; use more cells, a lower reynolds or weaker controls"
        )


def _dtype(value: Any) -> np.dtype:
    """Raises SettingsError unless it is float32 or float64."""
    with contextlib.suppress(TypeError):
        if value is not None and np.dtype(value) in (np.float32, np.float64):
            return np.dtype(value)
    raise SettingsError(f"dtype is {value!r:.80}; use float32 or float64")


def _pushes(case: Case) -> np.ndarray:
    """What moving walls add to the populations that they throw back : (4, 3, longest side), see `lbm.Box`."""
    ny, nx = case.shape
    pushes = np.zeros((4, 3, max(ny, nx)))
    if case.walls is None:
        return pushes
    for side in range(4):
        upright = side in (lbm.LEFT, lbm.RIGHT)
        length = ny if upright else nx
        place = np.arange(length)
        for i, k in enumerate(lbm.INCOMING[side]):
            # A slanting link meets the wall between two cells.
            beside = np.clip(place - (lbm.CY[k] if upright else lbm.CX[k]), 0, length - 1)
            u, v = (case.walls[side, place] + case.walls[side, beside]).T / 2
            pushes[side, i, :length] = 6 * lbm.WEIGHTS[k] * (lbm.CX[k] * u + lbm.CY[k] * v)
    return pushes
