"""What a good drive is, on states and on frames; and the expert, who drives well."""

import dataclasses

import numpy as np
import pytest

from sciworld.domains.driving.road.checks import assess, collided, ego_boxes, lane_kept, off_road, out_of_lane
from sciworld.domains.driving.road.expert import drive, expert_controls
from sciworld.domains.driving.road.objectives import KeepLane, lane_position
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.envs.faces import Moment
from sciworld.envs.road import RoadFace
from sciworld.errors import SettingsError
from sciworld.kernels import road_contact, road_motion
from sciworld.kernels import road_layout as layout

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
    one = (0.0, 0.0, 0.0, 4.5, 2.0)
    assert road_contact.overlap(one, box) == hit
    assert separated(np.array(one), np.array([box]))[0] != hit


def separated(one, boxes):
    """Whether each of boxes : (n, 5) is apart from the box one : (5,), by NumPy."""
    delta, apart = boxes[:, :2] - one[:2], np.zeros(len(boxes), dtype=bool)
    for yaw in (np.full(len(boxes), one[2]), boxes[:, 2]):
        for turn in (0.0, 0.5 * np.pi):
            reach = np.full(len(boxes), road_contact.GAP)
            for box in (np.broadcast_to(one, boxes.shape), boxes):
                turned = box[:, 2] - yaw - turn
                reach += 0.5 * (np.abs(np.cos(turned)) * box[:, 3] + np.abs(np.sin(turned)) * box[:, 4])
            axis = np.column_stack([np.cos(yaw + turn), np.sin(yaw + turn)])
            apart |= np.abs((delta * axis).sum(axis=1)) > reach
    return apart


def test_collisions_are_those_of_all_outlines():
    simulator = RoadSimulator(dataclasses.replace(SETTINGS, vehicles=12))
    rng = np.random.default_rng(0)
    state = simulator.start(200, rng)
    worlds, movers = state.worlds, simulator.movers(state)
    # Each beside something that stands or moves, turned anyhow.
    beside = worlds.objects[np.arange(200), rng.integers(0, worlds.count)]
    beside[::2] = movers[np.arange(0, 200, 2), rng.integers(0, movers.shape[1], 100)]
    pose = np.column_stack([beside[:, 1:3] + rng.normal(0.0, 2.5, (200, 2)), rng.uniform(-3.0, 3.0, 200)])
    state = dataclasses.replace(state, pose=pose, road=np.column_stack([beside[:, 0], np.zeros(200)]))
    expected = []
    for c, ego in enumerate(ego_boxes(pose, simulator.settings)):
        rows = np.concatenate([movers[c], worlds.objects[c, : worlds.count[c]]])
        boxes = rows[:, [layout.X, layout.Y, layout.YAW, layout.LENGTH, layout.WIDTH]]
        thin = [layout.TREE, layout.CONIFER, layout.POST, layout.SIGN, layout.LAMP]
        boxes[np.isin(rows[:, layout.KIND], thin), 3:] = 0.3
        expected.append(not separated(ego, boxes).all())
    assert 40 < sum(expected) < 160
    assert collided(simulator, state).tolist() == expected


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


@pytest.fixture(scope="module")
def strayed():
    """Drives in all places beside their lanes' middles and turned, the simulator, and where they truly are."""
    simulator = RoadSimulator(SETTINGS)
    rng = np.random.default_rng(2)
    state = simulator.start(120, rng)
    for _ in range(20):
        state = simulator.move(state, expert_controls(simulator, state))
    state = beside(simulator, state, rng.uniform(-0.8, 0.8, 120))
    pose = state.pose.copy()
    pose[:, 2] += rng.uniform(-0.1, 0.1, 120)
    return simulator, dataclasses.replace(state, pose=pose), state.road[:, 1] - state.lane


@pytest.mark.parametrize(
    ("conditions", "most", "unseen"),
    [
        *((name, 0.06, 0.2) for name in ("clear_noon", "cloudy_noon", "clear_dawn", "sunset", "clear_night")),
        *((name, 0.06, 0.25) for name in ("fog_dawn", "fog_day", "fog_night", "dust_storm")),
        *((name, 0.12, 0.3) for name in ("wet_noon", "drizzle_dusk")),
        *((name, 0.15, 0.7) for name in ("rain_noon", "rain_night")),
    ],
)
def test_the_lane_s_place_is_read_from_frames(strayed, conditions, most, unseen):
    simulator, state, true = strayed
    read = lane_position(simulator.image(state.under(conditions), np.random.default_rng(0)).frames, SETTINGS)
    seen = np.isfinite(read)
    assert seen.mean() >= 1.0 - unseen
    assert np.abs(read - true)[seen].mean() < most
    assert np.corrcoef(read[seen], true[seen])[0, 1] > 0.9


@pytest.mark.parametrize("conditions", ["snow_day", "snow_night", "snow_clear"])
def test_a_lane_under_snow_is_not_read(strayed, conditions):
    simulator, state, _ = strayed
    frames = simulator.image(state.under(conditions), np.random.default_rng(0)).frames
    assert np.isnan(lane_position(frames, SETTINGS)).mean() >= 0.97


def test_a_lane_is_read_only_where_it_has_the_width_that_is_asked_for(strayed):
    simulator, state, _ = strayed
    frames = simulator.image(state, np.random.default_rng(0)).frames
    assert np.isnan(lane_position(frames, SETTINGS, lane_width=4.8)).mean() > 0.8
    futures, controls = frames[:, None, None], np.zeros((120, 4, 2))
    usual, wide = (KeepLane(SETTINGS, lane_width=width)(futures, controls).mean() for width in (3.4, 4.8))
    assert usual > wide + 0.5
    for width in (0.0, float("nan"), None):
        with pytest.raises(SettingsError, match="lane_width"):
            lane_position(frames, SETTINGS, lane_width=width)


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 8, "columns": 8},
        {"camera_pitch": -30.0, "field_of_view": 10.0},
        {"camera_pitch": -30.0, "field_of_view": 20.0},
        {"camera_pitch": 30.0},
    ],
)
def test_a_camera_that_sees_too_little_road_reads_no_lane(changes):
    camera = dataclasses.replace(SETTINGS, place="highway", **changes)
    simulator = RoadSimulator(camera)
    frames = simulator.image(simulator.start(3, np.random.default_rng(0)), np.random.default_rng(0)).frames
    assert np.isnan(lane_position(frames, camera)).all()


def test_a_pitched_camera_reads_the_same_lane():
    camera = dataclasses.replace(SETTINGS, place="highway", vehicles=0, camera_pitch=-12.0)
    simulator = RoadSimulator(camera)
    state = simulator.start(8, np.random.default_rng(0))
    state = beside(simulator, state, np.linspace(-0.6, 0.6, 8))
    read = lane_position(simulator.image(state, np.random.default_rng(0)).frames, camera)
    assert np.isfinite(read).sum() >= 5
    np.testing.assert_allclose(read, np.where(np.isfinite(read), state.road[:, 1] - state.lane, np.nan), atol=0.15)


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


def test_an_environment_s_distance_is_what_was_driven():
    face = RoadFace({"rows": 8, "columns": 8, "road_length": 400, "vehicles": 0})
    rng = np.random.default_rng(0)
    begun = [face.start(rng, {}) for _ in range(2)]
    moment = Moment(face.join([one.truth for one in begun]), np.concatenate([one.memory for one in begun]))
    assert face.facts(moment)["distance"].tolist() == [0.0, 0.0]
    states = [moment.truth]
    for _ in range(5):
        moment = face.step(moment, np.zeros((2, 2)), rng).moment
        states.append(moment.truth)
    np.testing.assert_array_equal(face.facts(moment)["distance"], assess(face.simulator, states).distance)


@pytest.mark.parametrize("odd", [{}, {"sunset"}, ["sunset"], None, 3.0])
def test_an_environment_refuses_what_are_no_conditions(odd):
    with pytest.raises(SettingsError, match="conditions are"):
        RoadFace({"conditions": odd})
