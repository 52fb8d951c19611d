"""What is found in recorded frames, held against what is true in the simulator."""

import numpy as np
import pytest

from sciworld.domains.driving.road.expert import expert_controls
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.truth import by_products
from sciworld.domains.driving.scene import Optics, find_scene, find_sky, ways
from sciworld.errors import RecordingError, SettingsError
from sciworld.kernels import road_layout as layout

SETTINGS = RoadSettings(place="forest", rows=48, columns=72, vehicles=0, pedestrians=0, road_length=900)
OPTICS = Optics(SETTINGS.field_of_view, SETTINGS.camera_height, 23.5 + SETTINGS.focal * np.tan(np.radians(-2.0)))


@pytest.fixture(scope="module")
def drives():
    """Grey frames (drive, time, y, x), speed and yaw (drive, time), and sky in truth (drive, time, y, x)."""
    simulator, rng = RoadSimulator(SETTINGS, "cloudy_noon"), np.random.default_rng(4)
    state = simulator.start(3, rng)
    grey, speed, yaw, sky = [], [], [], []
    for _ in range(24):
        grey.append(simulator.image(state, rng).frames.mean(axis=-1) / 255.0)
        speed.append(state.speed.copy())
        yaw.append(state.pose[:, 2].copy())
        sky.append(by_products(simulator, state).mask == layout.SKY)
        controls = expert_controls(simulator, state)
        controls[:, 0] += 0.06 * np.sin(0.7 * len(grey))  # it weaves
        state = simulator.move(state, controls)
    return [np.stack(each, axis=1) for each in (grey, speed, yaw, sky)]


TIME = 0.05 * np.arange(24)


def test_speed_is_found_to_a_factor_of_two(drives):
    grey, speed, _, _ = drives
    for k in range(3):
        scene = find_scene(grey[k], TIME, OPTICS)
        way = np.linalg.norm(scene.pose[-1, :2])
        true = (speed[k, :-1] * 0.05).sum()
        assert 0.5 < way / true < 2.0
        assert "from the motion" in scene.told


def test_turns_go_the_way_that_the_car_turned():
    rng = np.random.default_rng(0)
    wide = rng.uniform(0, 1, (8, 60))
    wide = np.kron(wide, np.ones((6, 6)))
    wide = (wide + np.roll(wide, 1, 1) + np.roll(wide, -1, 1) + np.roll(wide, 2, 1) + np.roll(wide, -2, 1)) / 5
    # What is seen moves to the right by a pixel: the camera turned to the left.
    frames = np.stack([wide[:, 100 - k : 172 - k] for k in range(6)])
    _, turn = ways(frames, 60.0, 24.0)
    assert turn == pytest.approx(np.full(5, 1 / 60.0), rel=0.35)


def test_a_car_that_weaves_is_followed_from_step_to_step(drives):
    grey, speed, yaw, _ = drives
    for k in range(3):
        true = np.diff(yaw[k])
        for known in (None, speed[k, :-1] * 0.05 / 1.4):
            _, turn = ways(grey[k], SETTINGS.focal, OPTICS.horizon, known)
            assert ((turn - true) ** 2).mean() < 0.1 * true.var()


def test_sky_is_found_where_it_is(drives):
    grey, _, _, sky = drives
    for k in range(3):
        found = find_sky(grey[k], OPTICS.horizon) > 0.5
        assert (found == sky[k]).mean() > 0.9
    assert not find_sky(grey[0], OPTICS.horizon, wanted=False).any()
    assert not find_sky(1.0 - grey[0], OPTICS.horizon).any()  # dark above bright ground: a ceiling


def test_what_was_measured_or_given_goes_before_what_is_guessed(drives):
    grey = drives[0]
    recorded = find_scene(grey[0], TIME, OPTICS, speed=np.full(24, 8.0))
    assert np.linalg.norm(recorded.pose[-1, :2]) == pytest.approx(8.0 * TIME[-1], rel=0.02)
    given = find_scene(grey[0], TIME, Optics(speed=3.0), depth=np.full((48, 72), 17.0), speed=np.full(24, 8.0))
    assert np.linalg.norm(given.pose[-1, :2]) == pytest.approx(3.0 * TIME[-1], rel=0.02)
    assert (given.depth == 17).all()
    assert given.take(slice(3, 5)).pose.shape == (2, 3)


def test_depth_grows_toward_the_horizon_and_has_a_ceiling_where_there_is_no_sky(drives):
    grey = drives[0]
    scene = find_scene(grey[0], TIME, OPTICS)
    column = scene.depth[0, :, 36]
    below = int(np.ceil(scene.horizon)) + 1
    assert (np.diff(column[below:]) < 0).all()
    assert column[-1] == pytest.approx(1.4 * scene.focal / (47 - scene.horizon), rel=1e-3)
    closed = find_scene(grey[0], TIME, Optics(horizon=23.0, sky=False))
    assert closed.depth[0, 0, 36] < 20 < 100 < scene.depth[0, 0, 36]


@pytest.mark.parametrize(
    ("time", "depth", "why"),
    [
        (np.zeros(24), None, "times that grow"),
        (np.full(24, np.nan), None, "times that grow"),
        (TIME[:-1], None, "times that grow"),
        (TIME, np.ones((72, 48)), r"depth is \(72, 48\)|the frames need"),
        (TIME, np.zeros((48, 72)), "0 m"),
        (TIME, np.full((48, 72), np.nan), "0 m"),
    ],
)
def test_what_cannot_be_used_is_refused(drives, time, depth, why):
    with pytest.raises(RecordingError, match=why):
        find_scene(drives[0][0], time, OPTICS, depth)


@pytest.mark.parametrize("odd", [{"field_of_view": 5}, {"height": 0}, {"speed": -1}, {"sky": 1}, {"horizon": np.nan}])
def test_optics_that_no_camera_has_are_refused(odd):
    with pytest.raises(SettingsError, match=next(iter(odd))):
        Optics(**odd)


def test_one_frame_and_tiny_frames_have_a_scene():
    assert find_scene(np.full((1, 9, 11), 0.5), np.zeros(1)).pose.shape == (1, 3)
    assert find_scene(np.full((3, 5, 7), 0.5), np.arange(3.0)).depth.shape == (1, 5, 7)
