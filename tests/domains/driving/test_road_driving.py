"""What a good drive is, on states and on frames; and the expert, who drives well."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from sciworld.domains.driving.road.checks import assess, collided, lane_kept, off_road, out_of_lane, overlaps
from sciworld.domains.driving.road.expert import drive, expert_controls
from sciworld.domains.driving.road.objectives import KeepLane, lane_position
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.kernels import road_motion

SETTINGS = RoadSettings(rows=48, columns=80, road_length=800)


def beside(simulator, state, metres):
    """The state with every vehicle moved to the left by metres : (candidate,)."""
    pose, road = state.pose.copy(), state.road.copy()
    pose[:, 0] -= metres * np.sin(pose[:, 2])
    pose[:, 1] += metres * np.cos(pose[:, 2])
    road_motion.locate(pose, state.which, state.worlds.line, road)
    return dataclasses.replace(state, pose=pose, road=road)


@pytest.mark.parametrize(
    ("box", "hit"),
    [
        ((0.0, 0.0, 0.3, 1.0, 1.0), True),
        ((3.4, 0.0, 0.0, 2.0, 2.0), False),
        ((3.2, 0.0, 0.0, 2.0, 2.0), True),
        ((2.95, 1.75, np.pi / 4, 1.0, 1.0), False),
        ((2.6, 1.4, np.pi / 4, 1.0, 1.0), True),
    ],
)
def test_boxes_overlap(box, hit):
    one = np.array([0.0, 0.0, 0.0, 4.5, 2.0])
    assert overlaps(one, np.array([box]))[0] == hit


def test_running_into_a_car_is_a_collision():
    simulator = RoadSimulator(dataclasses.replace(SETTINGS, place="desert", vehicles=1))
    state = simulator.start(1, np.random.default_rng(0))
    assert not collided(simulator, state)[0]
    cars = state.cars.copy()
    cars[0, 0] = [state.road[0, 0] + 5.0, state.road[0, 1], 0.0]
    assert collided(simulator, dataclasses.replace(state, cars=cars))[0]
    cars[0, 0, 1] += 3.5
    assert not collided(simulator, dataclasses.replace(state, cars=cars))[0]


def test_leaving_the_lane_and_the_road():
    simulator = RoadSimulator(dataclasses.replace(SETTINGS, place="forest"))
    state = simulator.start(5, np.random.default_rng(0))
    moved = beside(simulator, state, np.array([0.0, 0.9, -0.9, 2.0, -2.5]))
    assert out_of_lane(moved).tolist() == [False, True, True, True, True]
    assert off_road(moved).tolist() == [False, False, False, True, True]


def test_the_expert_keeps_its_lane_and_hits_nothing():
    simulator = RoadSimulator(dataclasses.replace(SETTINGS, rows=8, columns=8))
    rng = np.random.default_rng(1)
    _, controls, states = drive(simulator, simulator.start(6, rng), 120, rng)
    how = assess(simulator, states[::4])
    assert not how.collision.any()
    assert not how.departure.any()
    assert how.offset.max() < 0.35
    assert how.lateral.max() < 4.0
    assert (how.distance > 20.0).all()
    simulator.space.check(controls)


def test_the_expert_comes_back_to_the_lane_s_middle():
    simulator = RoadSimulator(dataclasses.replace(SETTINGS, place="desert", rows=8, columns=8, vehicles=0))
    state = beside(simulator, simulator.start(2, np.random.default_rng(0)), np.array([0.8, -0.8]))
    for _ in range(100):
        state = simulator.move(state, expert_controls(simulator, state))
    np.testing.assert_allclose(state.road[:, 1], state.lane, atol=0.2)


def test_driving_blindly_leaves_the_road():
    simulator = RoadSimulator(dataclasses.replace(SETTINGS, place="forest", rows=8, columns=8))
    states = [simulator.start(4, np.random.default_rng(0))]
    for _ in range(150):
        states.append(simulator.move(states[-1], np.zeros((4, 2))))
    assert assess(simulator, states).departure.any()


@pytest.mark.parametrize("place", ["city", "highway", "countryside"])
def test_the_lane_s_place_is_read_from_frames(place):
    simulator = RoadSimulator(dataclasses.replace(SETTINGS, place=place))
    rng = np.random.default_rng(2)
    state = simulator.start(60, rng)
    for _ in range(20):
        state = simulator.move(state, expert_controls(simulator, state))
    state = beside(simulator, state, rng.uniform(-0.8, 0.8, 60))
    true = state.road[:, 1] - state.lane
    read = lane_position(simulator.image(state, rng).frames, SETTINGS)
    seen = np.isfinite(read)
    assert seen.mean() > 0.9
    assert stats.spearmanr(read[seen], true[seen]).statistic > 0.75


def test_the_objective_prefers_the_middle_and_calm_steering():
    simulator = RoadSimulator(dataclasses.replace(SETTINGS, place="highway", vehicles=0))
    state = simulator.start(1, np.random.default_rng(0)).take(np.zeros(3, dtype=int))
    state = beside(simulator, state, np.array([0.0, 0.7, -0.7]))
    frames = simulator.image(state, np.random.default_rng(0)).frames
    futures, controls = frames[:, None, None], np.zeros((3, 4, 2))
    score = KeepLane(SETTINGS)(futures, controls)
    assert score.shape == (3, 1)
    assert lane_kept(frames, SETTINGS, most=0.4).tolist() == [True, False, False]
    assert score[0, 0] > score[1:, 0].max() + 0.1
    wild = controls.copy()
    wild[:, 1, 0] = 0.5
    assert (KeepLane(SETTINGS)(futures, wild) < score).all()


def test_no_line_is_no_number():
    assert np.isnan(lane_position(np.full((2, 48, 80, 3), 90, dtype=np.uint8), SETTINGS)).all()
