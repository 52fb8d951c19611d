"""What a good drive is: on states, whether it hit anything, how far and how smoothly it went; on frames, its lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sciworld.domains.driving.road.objectives import lane_position
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.state import RoadState
from sciworld.domains.driving.road.world import EGO_LENGTH, EGO_WIDTH
from sciworld.kernels import road_contact
from sciworld.kernels import road_layout as layout

MOST = 0.7  # m, from the lane's middle


def collided(simulator: RoadSimulator, state: RoadState) -> np.ndarray:
    """Whether the vehicle touches another, a pedestrian, or anything that stands : (candidate,) bool."""
    hit, worlds = np.empty(len(state), dtype=bool), state.worlds
    tables = (state.which, simulator.movers(state), worlds.objects, worlds.count)
    road_contact.contacts(ego_boxes(state.pose, simulator.settings), state.road[:, 0], *tables, hit)
    return hit


def ego_boxes(pose: np.ndarray, settings: RoadSettings) -> np.ndarray:
    """The vehicles' outlines : (candidate, 5) x, y, yaw, length, width, from the poses of their rear axles."""
    yaw, size = pose[:, 2], np.tile([EGO_LENGTH, EGO_WIDTH], (len(pose), 1))
    ahead = 0.5 * settings.wheelbase * np.column_stack([np.cos(yaw), np.sin(yaw)])
    return np.column_stack([pose[:, :2] + ahead, yaw, size])


def off_road(state: RoadState) -> np.ndarray:
    """Whether the vehicle's rear axle has left the pavement of its own way : (candidate,) bool."""
    section = state.section
    lanes = section[:, layout.MEDIAN] + section[:, layout.LANES] * section[:, layout.LANE_WIDTH]
    n = state.road[:, 1]
    return (-n > lanes + section[:, layout.SHOULDER]) | (-n < section[:, layout.MEDIAN])


def out_of_lane(state: RoadState) -> np.ndarray:
    """Whether the vehicle's outline crosses an edge of its lane : (candidate,) bool."""
    half = 0.5 * state.section[:, layout.LANE_WIDTH]
    return np.abs(state.road[:, 1] - state.lane) + 0.5 * EGO_WIDTH > half


def lane_kept(frames: np.ndarray, camera: RoadSettings, most: float = MOST) -> np.ndarray:
    """Whether frames (..., y, x, channel), imagined or recorded, show the car within `most` m of its lane's middle.

    False where the lane is not seen, see `lane_position`.
    """
    return np.abs(lane_position(frames, camera)) <= most


@dataclass(frozen=True)
class Drive:
    """How n drives went.

    collision, departure : (candidate,) bool, whether it ever hit something, or left its side of the road. distance :
    (candidate,) m along the road. offset : (candidate,) m, root mean square from the lane's middle. lateral :
    (candidate,) m/s^2, largest lateral acceleration. jerk : (candidate,) m/s^3, root mean square.
    """

    collision: np.ndarray
    departure: np.ndarray
    distance: np.ndarray
    offset: np.ndarray
    lateral: np.ndarray
    jerk: np.ndarray


def assess(simulator: RoadSimulator, states: Sequence[RoadState]) -> Drive:
    """How the drives went whose states, from the start to after every step, are given."""
    motion = np.stack([state.motion for state in states])
    offset = np.stack([state.road[:, 1] - state.lane for state in states])
    jerk = np.diff(motion[:, :, 2], axis=0) / simulator.settings.step
    return Drive(
        collision=np.any([collided(simulator, state) for state in states], axis=0),
        departure=np.any([off_road(state) for state in states], axis=0),
        distance=states[-1].road[:, 0] - states[0].road[:, 0],
        offset=np.sqrt((offset**2).mean(axis=0)),
        lateral=np.abs(motion[:, :, 3]).max(axis=0),
        jerk=np.sqrt((jerk**2).mean(axis=0)) if len(jerk) else np.zeros(motion.shape[1]),
    )
