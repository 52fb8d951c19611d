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
from sciworld.kernels import road_layout as layout

MOST = 0.7  # m, from the lane's middle
GAP = 0.05  # m, of boxes that are said to touch


def collided(simulator: RoadSimulator, state: RoadState) -> np.ndarray:
    """Whether the vehicle touches another, a pedestrian, or anything that stands : (candidate,) bool."""
    hit = np.zeros(len(state), dtype=bool)
    movers, settings = simulator.movers(state), simulator.settings
    for c in range(len(state)):
        world = state.which[c]
        standing = state.worlds.objects[world, : state.worlds.count[world]]
        s = state.road[c, 0]
        near = standing[
            np.searchsorted(standing[:, layout.S], s - 40.0) : np.searchsorted(standing[:, layout.S], s + 40.0)
        ]
        rows = np.concatenate([movers[c][movers[c, :, layout.KIND] != layout.NOTHING], near])
        hit[c] = overlaps(ego_box(state.pose[c], settings), feet(rows)).any()
    return hit


def ego_box(pose: np.ndarray, settings: RoadSettings) -> np.ndarray:
    """The vehicle's outline as (x, y, yaw, length, width), from the pose of its rear axle."""
    middle = pose[:2] + 0.5 * settings.wheelbase * np.array([np.cos(pose[2]), np.sin(pose[2])])
    return np.array([*middle, pose[2], EGO_LENGTH, EGO_WIDTH])


def feet(rows: np.ndarray) -> np.ndarray:
    """What objects : (object, 10) cover at a car's height, as boxes (object, 5); of a tree its trunk."""
    boxes = rows[:, [layout.X, layout.Y, layout.YAW, layout.LENGTH, layout.WIDTH]].copy()
    thin = np.isin(rows[:, layout.KIND], [layout.TREE, layout.CONIFER, layout.POST, layout.SIGN, layout.LAMP])
    boxes[thin, 3:] = 0.3
    return boxes


def overlaps(one: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether the box one : (5,) and each of boxes : (n, 5) overlap : (n,) bool, by the separating axis theorem."""
    delta = boxes[:, :2] - one[:2]
    apart = np.zeros(len(boxes), dtype=bool)
    for yaw in (np.full(len(boxes), one[2]), boxes[:, 2]):
        for turn in (0.0, 0.5 * np.pi):
            axis = np.column_stack([np.cos(yaw + turn), np.sin(yaw + turn)])
            reach = np.zeros(len(boxes))
            for box in (np.broadcast_to(one, boxes.shape), boxes):
                turned = box[:, 2] - yaw - turn
                reach += 0.5 * (np.abs(np.cos(turned)) * box[:, 3] + np.abs(np.sin(turned)) * box[:, 4])
            apart |= np.abs((delta * axis).sum(axis=1)) > reach + GAP
    return ~apart


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
