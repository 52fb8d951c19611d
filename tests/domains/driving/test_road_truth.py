"""By-products of frames: depth against a plane, flow against points that are known, lanes against the mask."""

import dataclasses

import numpy as np
import pytest

from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.truth import CLASSES, DISTANCES, by_products, lane_of
from sciworld.errors import SimulatorError
from sciworld.kernels import road_flow

EMPTY = RoadSettings(place="desert", rows=48, columns=80, road_length=600, vehicles=0, pedestrians=0)
FLAT = dataclasses.replace(EMPTY, bends=0.0, relief=0.0)
GROUND = [CLASSES.index(name) for name in ("road", "marking", "pavement", "terrain")]


def test_depth_is_that_of_the_plane_on_a_flat_straight_road():
    simulator = RoadSimulator(FLAT)
    truth = by_products(simulator, simulator.start(1, np.random.default_rng(0)))
    rows, columns = np.arange(48.0), 80
    pitch, focal = np.radians(FLAT.camera_pitch), 0.5 * columns / np.tan(np.radians(35.0))
    up = (0.5 * 47 - rows) / focal
    down = -(up * np.cos(pitch) + np.sin(pitch))  # of a ray that goes 1 m along the axis
    plane = np.broadcast_to((FLAT.camera_height / np.where(down > 0.004, down, np.nan))[:, None], (48, 80))
    ground = np.isin(truth.mask[0], GROUND) & np.isfinite(plane)
    assert ground.sum() > 1000
    np.testing.assert_allclose(truth.depth[0][ground], plane[ground], rtol=2e-5)
    assert (truth.depth[0][ground] > 100).any()


def test_the_sky_is_infinitely_far_and_nothing_else_is():
    simulator = RoadSimulator(dataclasses.replace(EMPTY, place="any", vehicles=6))
    truth = by_products(simulator, simulator.start(6, np.random.default_rng(0)))
    np.testing.assert_array_equal(np.isinf(truth.depth), truth.mask == CLASSES.index("sky"))
    assert truth.depth.min() > 0.2


def points_of_road(simulator, state, s, offsets):
    """Columns and rows of points of the road's lines at s : (point, 2), and whether they are before the camera."""
    cams, coordinates = simulator.cameras(state)
    coordinates[:, 0] = 0.0
    out = np.empty((1, len(offsets), len(s), 2), dtype=np.float32)
    road_flow.lane_lines(cams, state.which, state.worlds.line, coordinates, offsets[None], s, out)
    return out[0].reshape(-1, 2)


@pytest.mark.parametrize("steering", [0.0, 0.2])
def test_flow_carries_points_of_the_road_to_where_they_are_next(steering):
    simulator = RoadSimulator(dataclasses.replace(EMPTY, place="countryside"))
    state = simulator.start(1, np.random.default_rng(2))
    for _ in range(10):
        state = simulator.move(state, np.array([[steering, 0.0]]))
    after = simulator.move(state, np.array([[steering, 0.0]]))
    truth = by_products(simulator, state, after)
    s, offsets = state.road[0, 0] + np.arange(6.0, 20.0), np.linspace(-3.0, 2.0, 6)
    before, then = (points_of_road(simulator, one, s, offsets) for one in (state, after))
    tested = 0
    for (x, y), (u, v) in zip(before, then, strict=True):
        i, j = int(np.floor(y)), int(np.floor(x))
        if not (0 <= i < 47 and 0 <= j < 79):
            continue
        block = truth.flow[0, i : i + 2, j : j + 2]
        if np.isnan(block).any() or not np.isin(truth.mask[0, i : i + 2, j : j + 2], GROUND).all():
            continue
        a, b = y - i, x - j
        weights = np.array([[(1 - a) * (1 - b), (1 - a) * b], [a * (1 - b), a * b]])
        read = (weights[..., None] * block).sum(axis=(0, 1))
        np.testing.assert_allclose(read, [u - x, v - y], atol=0.25 + 0.05 * np.hypot(u - x, v - y))
        tested += 1
    assert tested > 25


def test_a_vehicle_ahead_at_the_same_speed_stands_still_on_the_screen():
    simulator = RoadSimulator(dataclasses.replace(FLAT, vehicles=1))
    state = simulator.start(1, np.random.default_rng(0))
    cars = state.cars.copy()
    cars[0, 0] = [state.road[0, 0] + 12.0, state.road[0, 1], state.speed[0]]
    state = dataclasses.replace(state, cars=cars)
    after = simulator.move(state, np.zeros((1, 2)))
    truth = by_products(simulator, state, after)
    vehicle = truth.mask[0] == CLASSES.index("vehicle")
    assert vehicle.sum() > 50
    assert (truth.objects[0][vehicle] == 1).all()
    assert np.abs(truth.flow[0][vehicle]).max() < 0.2
    assert np.nanmax(np.abs(truth.flow[0][~vehicle])) > 2.0


def test_the_sky_moves_with_the_camera_s_turn_alone():
    simulator = RoadSimulator(FLAT)
    state = simulator.start(1, np.random.default_rng(0))
    straight = by_products(simulator, state, simulator.move(state, np.zeros((1, 2))))
    sky = straight.mask[0] == CLASSES.index("sky")
    assert np.abs(straight.flow[0][sky]).max() < 1e-2
    for _ in range(8):
        state = simulator.move(state, np.array([[0.3, 0.0]]))
    left = by_products(simulator, state, simulator.move(state, np.array([[0.3, 0.0]])))
    assert (left.flow[0][left.mask[0] == CLASSES.index("sky")][:, 0] > 0.5).all()


def test_lane_edges_lie_on_the_road_s_lines():
    simulator = RoadSimulator(dataclasses.replace(EMPTY, place="highway", rows=96, columns=160))
    state = simulator.start(4, np.random.default_rng(1))
    truth = by_products(simulator, state)
    for c in range(4):
        on_line = [
            (truth.mask[c, int(y) - 1 : int(y) + 2, int(x) - 2 : int(x) + 3] == CLASSES.index("marking")).any()
            for x, y in truth.lane.edges[c].reshape(-1, 2)
            if 2 < x < 157 and 1 < y < 95
        ]
        assert np.mean(on_line) > 0.5


def test_offset_heading_and_curvature_are_those_of_the_road():
    simulator = RoadSimulator(EMPTY)
    state = simulator.start(3, np.random.default_rng(0))
    lane = lane_of(simulator, state)
    np.testing.assert_allclose(lane.offset, 0.0, atol=1e-6)
    np.testing.assert_allclose(lane.heading_error, 0.0, atol=2e-2)
    turned = state.pose.copy()
    turned[:, 2] += 0.1
    after = lane_of(simulator, dataclasses.replace(state, pose=turned))
    np.testing.assert_allclose(after.heading_error - lane.heading_error, 0.1, atol=1e-3)
    s = state.road[:, 0] + simulator.settings.camera_ahead
    for c in range(3):
        line = state.worlds.line[c]
        expected = np.interp(s[c] + DISTANCES, np.arange(len(line)), line[:, 3])
        np.testing.assert_allclose(lane.curvature[c], expected, atol=1e-6)


def test_the_road_s_curvature_is_continuous_and_its_heading_bounded():
    simulator = RoadSimulator(dataclasses.replace(EMPTY, place="any", road_length=2000))
    line = simulator.start(12, np.random.default_rng(0)).worlds.line
    assert np.abs(np.diff(line[:, :, 3], axis=1)).max() < 2e-3
    assert np.abs(line[:, :, 2]).max() < np.pi / 4
    assert np.abs(line[:, :, 3]).max() > 2e-3
    steps = np.hypot(np.diff(line[:, :, 0]), np.diff(line[:, :, 1]))
    np.testing.assert_allclose(steps, 1.0, rtol=1e-9)


def test_what_moves_by_the_flow_looks_alike():
    # Nothing flickers: a frame, fetched from where the flow says, is the one before.
    simulator = RoadSimulator(dataclasses.replace(EMPTY, place="suburb", vehicles=6, rows=96, columns=160))
    state = simulator.start(2, np.random.default_rng(1))
    after = simulator.move(state, np.zeros((2, 2)))
    flow = by_products(simulator, state, after).flow
    now, then = (simulator.image(one, np.random.default_rng(0)).frames.astype(float) for one in (state, after))
    y, x = np.mgrid[:96, :160]
    for c in range(2):
        u, v = np.nan_to_num(x + flow[c, ..., 0], nan=-9), np.nan_to_num(y + flow[c, ..., 1], nan=-9)
        inside = (u > 0) & (u < 158) & (v > 0) & (v < 94)
        i, j = v[inside].astype(int), u[inside].astype(int)
        a, b = (v[inside] - i)[:, None], (u[inside] - j)[:, None]
        top = (1 - b) * then[c, i, j] + b * then[c, i, j + 1]
        fetched = (1 - a) * top + a * ((1 - b) * then[c, i + 1, j] + b * then[c, i + 1, j + 1])
        error, change = np.abs(fetched - now[c][inside]), np.abs(then[c][inside] - now[c][inside])
        assert error.mean() < 0.6 * change.mean()
        assert np.median(error) < 1.5


def test_flow_between_different_drives_is_refused():
    simulator = RoadSimulator(EMPTY)
    state = simulator.start(2, np.random.default_rng(0))
    with pytest.raises(SimulatorError, match="same drives"):
        by_products(simulator, state, state.take(np.array([1, 0])))
