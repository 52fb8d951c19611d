"""What is exactly true of a frame beside its colours: classes, depth, flow, the lane, the pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciworld.domains.driving.road.simulator import RoadSimulator, Seen
from sciworld.domains.driving.road.state import RoadState
from sciworld.errors import SimulatorError
from sciworld.kernels import road_flow
from sciworld.kernels import road_layout as layout

CLASSES = layout.CLASSES
DISTANCES = np.array([5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0])  # m ahead of the camera


@dataclass(frozen=True)
class Lane:
    """The own lane of n drives.

    offset : (candidate,) m from its middle, positive to the left. heading_error : (candidate,) rad against the road,
    positive to the left. curvature : (candidate, point) 1/m, at DISTANCES. edges : (candidate, 2, point, 2) columns and
    rows in pixels of its left and its right edge at DISTANCES, NaN behind the camera; hidden or not.
    """

    offset: np.ndarray
    heading_error: np.ndarray
    curvature: np.ndarray
    edges: np.ndarray


@dataclass(frozen=True)
class Truth:
    """The by-products of n frames; none of them depends on light and weather.

    mask : (candidate, y, x) uint8, an index into CLASSES. depth : (candidate, y, x) float32 in m along the optical
    axis, inf for the sky. objects : (candidate, y, x) int32, the same number for the same object in all frames, 0 for
    ground and sky. flow : (candidate, y, x, 2) float32, columns and rows in pixels to the next frame, or None. lane :
    `Lane`. pose : (candidate, 6) of the camera, x, y, z in m, yaw and pitch in rad, focal length in pixels.
    """

    mask: np.ndarray
    depth: np.ndarray
    objects: np.ndarray
    flow: np.ndarray | None
    lane: Lane
    pose: np.ndarray


def by_products(simulator: RoadSimulator, state: RoadState, after: RoadState | None = None) -> Truth:
    """The by-products of the frames of `state`; `after`, the state a step later, gives the flow."""
    seen = simulator.see(state)
    return Truth(
        mask=seen.labels[..., 0].astype(np.uint8),
        depth=seen.values[..., 0].copy(),
        objects=seen.labels[..., 1].copy(),
        flow=None if after is None else optical_flow(simulator, state, seen, after),
        lane=lane_of(simulator, state),
        pose=seen.cams[:, : layout.CAM_F + 1].copy(),
    )


def optical_flow(simulator: RoadSimulator, state: RoadState, seen: Seen, after: RoadState) -> np.ndarray:
    """Flow from the frames of `state`, in which `seen` is seen, to those of `after` : (candidate, y, x, 2) float32."""
    if len(after) != len(state) or (after.which != state.which).any():
        raise SimulatorError(f"flow: {len(state)} and {len(after)} drives; give two states of the same drives")
    out = np.empty((*seen.labels.shape[:3], 2), dtype=np.float32)
    cams, _ = simulator.cameras(after)
    road_flow.flow(seen.cams, cams, seen.movers, simulator.movers(after), seen.values, seen.labels, out)
    return out


def lane_of(simulator: RoadSimulator, state: RoadState) -> Lane:
    """Geometry of the own lane, the one whose middle is nearest."""
    cams, coordinates = simulator.cameras(state)
    half = 0.5 * state.section[:, layout.LANE_WIDTH]
    edges = np.empty((len(state), 2, len(DISTANCES), 2), dtype=np.float32)
    offsets = np.column_stack([state.lane + half, state.lane - half])
    road_flow.lane_lines(cams, state.which, state.worlds.line, coordinates, offsets, DISTANCES, edges)
    curvature = np.empty((len(state), len(DISTANCES)))
    road_flow.curvature_ahead(state.which, state.worlds.line, coordinates[:, 0], DISTANCES, curvature)
    return Lane(state.road[:, 1] - state.lane, coordinates[:, 2], curvature, edges)
