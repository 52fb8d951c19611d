"""The wake of a cylinder that jets or rotation control: trusted, in SI units, many flows at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sciworld.config import from_dict, positive, require, whole
from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.domains.fluid import cylinder
from sciworld.domains.fluid.developed import Baseline, Wake, developed, means
from sciworld.domains.fluid.lattice import DENSITY, MOST_MACH, Lattice, Populations
from sciworld.domains.fluid.scenarios import ACTIONS, CHANNEL, MIDDLE, scenario
from sciworld.errors import SimulatorError
from sciworld.kernels import lbm
from sciworld.simulator import Observation

SCENARIO = {"jets": "jets_rabault", "rotation": "rotary"}
# In units of the mean speed of the inflow: the usual bound, and where flows at Reynolds 100 are still stable: jets of
# 3 diverge where they leave.
LIMIT = {"jets": 1.0, "rotation": 2.0}
MOST = {"jets": 2.0, "rotation": 5.0}
LEFT = 1.6  # diameters from the left edge of the frame to the cylinder's centre
# Rabault et al. (2019), section 2.2: each step of their solver brings the jets a tenth nearer to what is asked for.
SMOOTHING, THEIR_STEP = 0.1, 0.005  # D/U
CHANNELS = ColumnTable((Column("velocity_x", "m/s", role="measured"), Column("velocity_y", "m/s", role="measured")))


@dataclass(frozen=True)
class CylinderSettings:
    """What is simulated, in SI units where it has some.

    Parameters
    ----------
    actuator : jets | rotation. reynolds : of the mean inflow and the diameter. cells : across the diameter, a multiple
        of 10. lattice_speed : of the mean inflow in cells a step: errors grow with its square, and the time that is
        needed as it falls. length, speed : diameter in m, mean inflow in m/s. limit : the largest mean speed of a jet,
        or of the surface that turns, in units of `speed`, up to 2 and 5; 0 for 1 and 2. rows, columns : of the frames,
        of pixels of `pixel` diameters, which are whole cells. collision : trt | bgk.
    """

    actuator: str = "jets"
    reynolds: float = 100.0
    cells: int = 20
    lattice_speed: float = 0.03
    length: float = 0.1
    speed: float = 1.0
    limit: float = 0.0
    rows: int = 32
    columns: int = 96
    pixel: float = 0.1
    collision: str = "trt"

    def __post_init__(self) -> None:
        known = isinstance(self.actuator, str) and self.actuator in SCENARIO
        require(known, f"actuator is {self.actuator!r:.80}; use one of {', '.join(SCENARIO)}")
        for name in ("reynolds", "lattice_speed", "length", "speed", "pixel"):
            object.__setattr__(self, name, positive(getattr(self, name), name))
        most = MOST[self.actuator]
        if self.limit != 0:
            object.__setattr__(self, "limit", positive(self.limit, "limit", most))
        object.__setattr__(self, "cells", whole(self.cells, "cells", 10, 10_000))
        require(self.cells % 10 == 0, f"cells is {self.cells}; use a multiple of 10")
        fits = abs(self.pixel * self.cells - self.size) < 1e-9
        require(fits, f"pixel is {self.pixel} diameters of {self.cells} cells; use one of whole cells")
        high, long = 2 * int(MIDDLE[1] / self.pixel), int((CHANNEL[0] - MIDDLE[0] + LEFT) / self.pixel)
        for name, least, largest in (("rows", 2, high), ("columns", 2, long)):
            object.__setattr__(self, name, whole(getattr(self, name), name, least, largest))
        require(self.rows % 2 == 0, f"rows is {self.rows}; use an even number")

    @property
    def size(self) -> int:
        """Cells along a pixel."""
        return max(1, round(self.pixel * self.cells))

    @property
    def most(self) -> float:
        """The largest control, in m/s of a jet or rad/s."""
        limit = (self.limit or LIMIT[self.actuator]) * self.speed
        return limit if self.actuator == "jets" else limit / (self.length / 2)


@dataclass(frozen=True)
class CylinderState:
    """The truth about n wakes: what a search must never see.

    populations : of the lattice. amplitude : (candidate,) of the actuator at this moment, m/s or rad/s. coefficients :
    (candidate, 3), see COEFFICIENTS. momentum : (candidate,) coefficient of what one jet carries through the surface, a
    mean over the last action; the other carries its opposite, so that it is no part of drag and lift. seconds :
    (candidate,) since the beginning.
    """

    populations: Populations
    amplitude: np.ndarray
    coefficients: np.ndarray
    momentum: np.ndarray
    seconds: np.ndarray

    def without_flow(self) -> CylinderState:
        """What the state tells, without the populations, which fill the memory of whoever keeps many states."""
        return replace(self, populations=self.populations.take(np.zeros(0, np.int64)))

    def take(self, index: np.ndarray) -> CylinderState:
        """The state of the candidates in `index`, repeats allowed."""
        flows, told = self.populations.take(index), (self.amplitude, self.coefficients, self.momentum, self.seconds)
        return CylinderState(flows, *(values[index] for values in told))


class CylinderSimulator:
    """A cylinder in a channel (see `scenarios.jets_rabault`), one step being a quarter of D/U: 80 actions in 20 D/U.

    Controls are what the actuator is asked for; it follows with a lag of D/U / 20, as in Rabault et al. (2019).
    """

    judge = "lattice Boltzmann, two-dimensional"

    def __init__(self, settings: CylinderSettings | None = None) -> None:
        self.settings = settings = settings or CylinderSettings()
        names = ("reynolds", "cells", "lattice_speed", "length", "speed", "collision")
        self.case = scenario(SCENARIO[settings.actuator], **{name: getattr(settings, name) for name in names})
        self.lattice = Lattice(self.case)
        most = settings.most
        name, units = ("jet", "m/s") if settings.actuator == "jets" else ("rotation", "rad/s")
        self._space = ControlSpace(ColumnTable((Column(name, units, -most, most),)))
        self.steps = round(self.case.length / self.case.speed / ACTIONS)  # of the lattice, an action
        self._wake: Wake | None = None
        fastest = self.case.fastest(most) / lbm.SOUND
        require(
            fastest <= MOST_MACH,
            f"limit: the {name} may reach a Mach number of {fastest:.3g}, {MOST_MACH} is the most; use a lower "
            "lattice_speed or limit",
        )

    @property
    def space(self) -> ControlSpace:
        """jet in m/s, the mean speed over the upper slot; or rotation in rad/s, counter-clockwise."""
        return self._space

    @property
    def action_seconds(self) -> float:
        """From one action to the next."""
        return self.steps * self.case.step

    @property
    def baseline(self) -> Baseline:
        """What the wake is without control."""
        return self._developed().baseline

    def start(self, n: int, rng: np.random.Generator) -> CylinderState:
        """n developed wakes at phases that are drawn, each once before any comes again. The first call makes the wake.

        There are as many phases as actions in a period of the shedding, 13 or 14 at Reynolds 100; see `at_phases`.
        """
        phases, n = len(self._developed().flows.f), whole(n, "start: n", 1)
        rounds = [rng.permutation(phases) for _ in range(math.ceil(n / phases))]
        return self.at_phases(np.concatenate(rounds)[:n])

    def at_phases(self, phases: np.ndarray) -> CylinderState:
        """Developed wakes at phases : (candidate,) of the shedding, in actions; beyond the period they begin again."""
        wake = self._developed()
        phases = np.asarray(phases) % len(wake.flows.f)
        none = np.zeros(len(phases))
        flows = replace(wake.flows.take(phases), steps=np.zeros(len(phases), np.int64))
        return CylinderState(flows, none, wake.coefficients[phases], none.copy(), none.copy())

    def image(self, state: CylinderState, rng: np.random.Generator) -> Observation:
        """The velocities of the present, without touching it : frames (candidate, rows, columns, 2) float32, m/s."""
        size = self.settings.size
        rows, columns = self._window()
        fluid = ~self.case.solid if self.case.solid is not None else np.ones(self.case.shape, bool)
        velocity = self.lattice.moments(state.populations)[:, 1:] * fluid * self.case.velocity
        part = velocity[:, :, rows, columns].reshape(-1, 2, self.settings.rows, size, self.settings.columns, size)
        frames = np.moveaxis(part.mean(axis=(3, 5)), 1, -1).astype(np.float32)
        return Observation(frames, state.seconds, np.tile(self.view(), (len(frames), 1)))

    def view(self) -> np.ndarray:
        """The affine map from pixels to m from the inlet and the bottom : (6,); y grows with the row."""
        rows, columns = self._window()
        pixel = self.settings.pixel * self.settings.length
        x, y = (place.start * self.case.cell + pixel / 2 for place in (columns, rows))
        return np.array([pixel, 0.0, x, 0.0, pixel, y])

    def step(
        self, state: CylinderState, controls: np.ndarray, rng: np.random.Generator
    ) -> tuple[Observation, CylinderState]:
        """Ask the actuator for controls : (candidate, 1), m/s or rad/s, for one action; then look.

        Raises ControlError outside the bounds, SimulatorError naming the place where a flow diverged.
        """
        state = self.act(state, controls)
        return self.image(state, rng), state

    def act(self, state: CylinderState, controls: np.ndarray) -> CylinderState:
        """The state after an action, without an image; see `step`."""
        controls = np.asarray(self.space.check(controls), dtype=np.float64)
        n = len(state.seconds)
        if controls.shape != (n, 1):
            raise SimulatorError(f"controls have shape {controls.shape}; expected ({n}, 1), one row a candidate")
        left = (1 - SMOOTHING) ** (self.case.speed / self.case.length / THEIR_STEP * np.arange(1, self.steps + 1))
        amplitudes = controls + (state.amplitude[:, None] - controls) * left
        flows, forces = self.lattice.advance(state.populations, amplitudes[:, :, None])
        told, seconds = means(self._coefficients(forces)), state.seconds + self.action_seconds
        return CylinderState(flows, amplitudes[:, -1], told, self._momentum(amplitudes), seconds)

    def observe(self, state: CylinderState, observation: Observation) -> CylinderState:
        """The state as it is: a trusted simulator has nothing to learn from its own image."""
        return state

    def _developed(self) -> Wake:
        if self._wake is None:
            self._wake = developed(self.lattice, self.steps, self._coefficients)
        return self._wake

    def _coefficients(self, forces: np.ndarray) -> np.ndarray:
        """Coefficients of forces in N for 1 m of depth."""
        return forces / (0.5 * DENSITY * self.settings.speed**2 * self.settings.length)

    def _momentum(self, amplitudes: np.ndarray) -> np.ndarray:
        """See `CylinderState`: (candidate,), of amplitudes (candidate, step)."""
        if self.settings.actuator != "jets":
            return np.zeros(len(amplitudes))
        settings = self.settings
        flux = cylinder.jet_momentum(amplitudes, settings.length / 2).mean(axis=1)
        return np.asarray(self._coefficients(DENSITY * flux))

    def _window(self) -> tuple[slice, slice]:
        """The rows and columns of cells that frames show, about the cylinder and behind it."""
        settings, size = self.settings, self.settings.size
        first = round(MIDDLE[1] * settings.cells) - settings.rows // 2 * size
        left = round((MIDDLE[0] - LEFT) * settings.cells)
        return slice(first, first + settings.rows * size), slice(left, left + settings.columns * size)


def simulator(**settings: Any) -> CylinderSimulator:
    """The trusted simulator of these settings, see `CylinderSettings`."""
    return CylinderSimulator(from_dict(CylinderSettings, settings, "cylinder"))
