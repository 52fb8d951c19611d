"""The trusted simulator of a road: a vehicle that is steered, and what its front camera sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sciworld.controls import COLOURS, Column, ColumnTable, ControlSpace
from sciworld.domains.driving.road.conditions import RoadConditions, conditions_array
from sciworld.domains.driving.road.light import light_of
from sciworld.domains.driving.road.places import GROUNDS
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.state import RoadState
from sciworld.domains.driving.road.world import EGO_LENGTH, lane_offset, make_worlds
from sciworld.errors import SimulatorError
from sciworld.kernels import road_geometry, road_line, road_motion, road_shading
from sciworld.kernels import road_layout as layout
from sciworld.recording import PIXELS
from sciworld.simulator import Observation

CHANNELS = ColumnTable(tuple(Column(name, "counts", low=0.0, high=255.0, role="measured") for name in COLOURS))


@dataclass(frozen=True)
class Seen:
    """What the camera sees, and where, before any light falls on it: the same in all weathers.

    cams : (candidate, 8), movers : (candidate, mover, 10), see `sciworld.kernels.road_layout`. values : (candidate, y,
    x, 3) float32 and labels : (candidate, y, x, 3) int32, see `sciworld.kernels.road_geometry.geometry`.
    """

    cams: np.ndarray
    movers: np.ndarray
    values: np.ndarray
    labels: np.ndarray


class RoadSimulator:
    """A vehicle among others on a road of its own for each candidate: trusted, seeded, vectorised.

    One step holds steering and acceleration for `settings.step` seconds, then takes an image.

    Parameters
    ----------
    conditions : light and weather at the start, as `RoadConditions` or the name of a preset: one for all candidates, or
        one each. World, traffic and vehicle never depend on them.
    """

    judge = "kinematic bicycle on a procedural road"

    def __init__(
        self,
        settings: RoadSettings | None = None,
        conditions: RoadConditions | str | Sequence[RoadConditions | str] = "clear_noon",
    ) -> None:
        self.settings = one = settings or RoadSettings()
        self.conditions = conditions
        conditions_array(conditions, len(conditions) if isinstance(conditions, list | tuple) else 1)
        self._fine = self
        if (k := one.samples) > 1:
            # As many pixels as rays; their mean has the noise that is asked for.
            many = dataclasses.replace(one, rows=k * one.rows, columns=k * one.columns, noise=k * one.noise, samples=1)
            self._fine = RoadSimulator(many, conditions)
        self._space = ControlSpace(
            ColumnTable(
                (
                    Column("steering", "rad", -one.max_steering, one.max_steering, one.steering_rate),
                    Column("acceleration", "m/s^2", one.low_acceleration, one.high_acceleration, one.jerk),
                )
            )
        )

    @property
    def space(self) -> ControlSpace:
        """Steering of the front wheels in rad, positive to the left, and acceleration in m/s^2.

        Their rate limits are those of the actuators: commands may change faster, and are then followed late.
        """
        return self._space

    def start(self, n: int, rng: np.random.Generator) -> RoadState:
        """n different worlds, the vehicle in an own lane near the start of the road, at about the place's speed."""
        if n < 1:
            raise SimulatorError(f"start: {n} candidates; use at least 1")
        worlds = make_worlds(n, self.settings, rng)
        which = np.arange(n)
        s = rng.uniform(30.0, 50.0, n)
        lane = rng.integers(0, worlds.section[:, layout.LANES].astype(np.int64))
        coordinates = np.column_stack([s, lane_offset(worlds.section, lane)])
        pose = np.empty((n, 3))
        for c in range(n):
            placed = np.empty((1, 4))
            road_line.stand(worlds.line[c], worlds.section[c], worlds.seed[c], coordinates[c : c + 1], placed)
            pose[c] = placed[0, [0, 1, 3]]
        motion = np.zeros((n, 4))
        motion[:, 0] = np.minimum(worlds.speed * rng.uniform(0.8, 1.0, n), self.settings.top_speed)
        cars = worlds.shapes[:, :, [layout.CAR_START, layout.CAR_LANE, layout.CAR_SPEED]].copy()
        return RoadState(
            worlds=worlds,
            which=which,
            conditions=conditions_array(self.conditions, n),
            pose=pose,
            motion=motion,
            road=coordinates,
            cars=cars,
            walkers=worlds.people[:, :, [layout.WALK_S, layout.WALK_FROM]].copy(),
            seconds=np.zeros(n),
        )

    def move(self, state: RoadState, controls: np.ndarray) -> RoadState:
        """The state after `controls` have been held for a step, without an image; see `step`."""
        settings = self.settings
        controls = np.asarray(self.space.check(controls), dtype=np.float64)
        n = len(state)
        if controls.shape != (n, 2):
            raise SimulatorError(f"controls have shape {controls.shape}; expected ({n}, 2), one row a candidate")
        motion, pose, road = state.motion.copy(), state.pose.copy(), state.road.copy()
        cars, walkers = state.cars.copy(), state.walkers.copy()
        limits = np.array([settings.steering_rate, settings.jerk])
        wheelbase, grip, top, dt = settings.wheelbase, settings.grip, settings.top_speed, settings.step
        road_motion.move_ego(motion, pose, controls, limits, wheelbase, grip, top, dt)
        worlds = state.worlds
        road_motion.locate(pose, state.which, worlds.line, road)
        middle = state.road[:, 0] + 0.5 * wheelbase
        ego = np.column_stack([middle, state.road[:, 1], state.speed, np.full(n, EGO_LENGTH)])
        road_motion.move_traffic(cars, walkers, state.which, worlds.shapes, worlds.people, ego, dt)
        return RoadState(
            worlds, state.which, state.conditions, pose, motion, road, cars, walkers, state.seconds + settings.step
        )

    def step(self, state: RoadState, controls: np.ndarray, rng: np.random.Generator) -> tuple[Observation, RoadState]:
        """`move`, then `image`. controls : (candidate, 2) steering in rad and acceleration in m/s^2.

        The vehicle follows them as fast as the rate limits allow. Raises ControlError outside the bounds.
        """
        state = self.move(state, controls)
        return self.image(state, rng), state

    def observe(self, state: RoadState, observation: Observation) -> RoadState:
        """The state as it is: a trusted simulator has nothing to learn from its own image."""
        return state

    def image(self, state: RoadState, rng: np.random.Generator) -> Observation:
        """The image of the present state, without touching it; rng is drawn from for the camera's noise alone."""
        n, one = len(state), self.settings
        seeds = rng.integers(0, 2**31, n) if one.noise > 0 else np.zeros(n, dtype=np.int64)
        frames = self._fine.shade(state, self._fine.see(state), seeds)
        if one.samples > 1:
            rays = frames.reshape(n, one.rows, one.samples, one.columns, one.samples, 3)
            frames = (rays.mean(axis=(2, 4), dtype=np.float32) + 0.5).astype(np.uint8)
        # A camera in perspective has no plane: pixel indices are its coordinates.
        return Observation(frames, state.seconds, np.tile(PIXELS, (n, 1)))

    def movers(self, state: RoadState) -> np.ndarray:
        """Where vehicles and pedestrians stand : (candidate, vehicle + pedestrian, 10), see `road_layout`."""
        worlds = state.worlds
        out = np.zeros((len(state), state.cars.shape[1] + state.walkers.shape[1], 10))
        tables = (state.which, worlds.line, worlds.section, worlds.seed, worlds.shapes, worlds.people)
        road_motion.place_movers(state.cars, state.walkers, *tables, out)
        return out

    def cameras(self, state: RoadState) -> tuple[np.ndarray, np.ndarray]:
        """Cameras : (candidate, 8), and where they are on the road : (candidate, 3) s, n in m, heading error in rad."""
        cams, coordinates = np.empty((len(state), 8)), np.empty((len(state), 3))
        one = self.settings
        mount = np.array([one.camera_height, np.radians(one.camera_pitch), one.camera_ahead])
        optics = np.array([one.focal, 0.5 * (one.columns - 1), 0.5 * (one.rows - 1)])
        worlds = state.worlds
        tables = (state.which, worlds.line, worlds.section, worlds.seed)
        road_geometry.mount_cameras(state.pose, state.road, *tables, mount, optics, cams, coordinates)
        return cams, coordinates

    def see(self, state: RoadState) -> Seen:
        """The geometry pass: what the camera sees and where; it is given no conditions."""
        shape = (len(state), self.settings.rows, self.settings.columns, 3)
        values, labels = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.int32)
        cams, coordinates = self.cameras(state)
        movers, worlds = self.movers(state), state.worlds
        tables = (worlds.line, worlds.section, worlds.seed, movers, worlds.objects, worlds.count)
        road_geometry.geometry(cams, coordinates, state.which, *tables, values, labels)
        return Seen(cams, movers, values, labels)

    def shade(self, state: RoadState, seen: Seen, seeds: np.ndarray) -> np.ndarray:
        """The shading pass: frames (candidate, y, x, 3) uint8 of what is seen, in the state's light and weather."""
        worlds = state.worlds
        light = light_of(state.conditions)
        wind = np.column_stack([0.25 * light[:, layout.WIND], light[:, layout.WIND]]).astype(np.float64)
        frames = np.empty(seen.labels.shape, dtype=np.uint8)
        tables = (worlds.section, worlds.seed, seen.movers, worlds.objects, worlds.count, GROUNDS)
        scene = (seen.values, seen.labels, light, wind, state.seconds)
        grain = (float(self.settings.noise), seeds)
        road_shading.shade(seen.cams, state.which, *tables, *scene, grain, frames)
        return frames
