"""How frames answer to light and weather: particles that move and do not flicker, fog that knows depth, light."""

import dataclasses

import numpy as np
import pytest

from sciworld.domains.driving.road.conditions import RoadConditions
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.truth import CLASSES, by_products
from sciworld.kernels import road_layout as layout
from sciworld.kernels import road_line, road_sky

SETTINGS = RoadSettings(place="countryside", rows=48, columns=80, road_length=600, vehicles=0, pedestrians=0)
SIMULATOR = RoadSimulator(SETTINGS)
STILL = RoadConditions(wind_intensity=0.0, cloudiness=60.0)


@pytest.fixture(scope="module")
def state():
    """One drive, halted."""
    found = SIMULATOR.start(1, np.random.default_rng(3))
    return dataclasses.replace(found, motion=np.zeros((1, 4)))


def frame(state, conditions=STILL, seconds=0.0):
    now = dataclasses.replace(state.under(conditions), seconds=np.array([seconds]))
    return SIMULATOR.image(now, np.random.default_rng(0)).frames[0].astype(float)


def moved(state, conditions, seconds):
    """Mean change of a frame in that many seconds, of nothing but time."""
    return np.abs(frame(state, conditions, 7.0 + seconds) - frame(state, conditions, 7.0)).mean()


def test_nothing_changes_in_dry_still_air(state):
    for conditions in (STILL, STILL.replace(wetness=90.0, precipitation_deposits=50.0, sun_altitude_angle=-20.0)):
        assert moved(state, conditions, 0.05) == 0.0


def test_wind_moves_the_clouds(state):
    assert moved(state, STILL.replace(wind_intensity=100.0), 5.0) > 0.2


@pytest.mark.parametrize("name", ["precipitation", "snow"])
def test_particles_move_between_frames_and_are_the_same_ones(state, name):
    conditions = STILL.replace(**{name: 90.0})
    # Were they drawn anew, a thousandth of a second would change the frame as much as a twentieth.
    brief, step = moved(state, conditions, 1e-3), moved(state, conditions, 0.05)
    assert step > 0.8
    assert brief < 0.35 * step
    np.testing.assert_array_equal(frame(state, conditions, 3.0), frame(state, conditions, 3.0))


@pytest.mark.parametrize("name", ["precipitation", "snow"])
def test_as_much_falls_in_every_frame(state, name):
    conditions = STILL.replace(**{name: 90.0})
    frames = np.stack([frame(state, conditions, 0.05 * k) for k in range(12)])
    energy = np.abs(frames - np.median(frames, axis=0)).mean(axis=(1, 2, 3))
    assert energy.min() > 0.4
    assert energy.std() < 0.2 * energy.mean()
    brightness = frames.mean(axis=(1, 2, 3))
    assert brightness.std() < 1.0


def test_snow_falls_at_its_speed(state):
    # A flake 5 m ahead falls 1.2 m/s: in 0.02 s by 24 mm, f / 5 m times that on the screen.
    conditions = STILL.replace(snow=12.0, sun_altitude_angle=-30.0)
    base = frame(state, conditions.replace(snow=0.0))
    now, later = (np.maximum(frame(state, conditions, 2.0 + t) - base, 0.0)[..., 0] for t in (0.0, 0.05))
    scores = {dy: (np.roll(now, dy, axis=0) * later)[5:-5].sum() for dy in range(-3, 4)}
    assert max(scores, key=scores.get) >= 0
    assert sum(scores[k] for k in (1, 2, 3)) > sum(scores[k] for k in (-1, -2, -3))


def test_wind_blows_to_the_left_at_the_road_s_start(state):
    # Flakes 5 m ahead go 12 m/s: in 0.01 s by about a pixel.
    windy = STILL.replace(snow=12.0, sun_altitude_angle=-30.0, wind_intensity=100.0)
    base = frame(state, windy.replace(snow=0.0))
    now, later = (np.maximum(frame(state, windy, 2.0 + t) - base, 0.0)[..., 0] for t in (0.0, 0.01))
    left, right = (sum((np.roll(now, way * k, axis=1) * later).sum() for k in (1, 2)) for way in (-1, 1))
    assert left > 1.5 * right
    # Drops slant from the upper right to the lower left.
    rainy = STILL.replace(precipitation=60.0, sun_altitude_angle=-30.0, wind_intensity=100.0)
    drops = frame(state, rainy) - frame(state, rainy.replace(wind_intensity=0.0))
    drops = np.maximum(drops, 0.0)[..., 0]
    assert (drops[:-1, 1:] * drops[1:, :-1]).sum() > 1.5 * (drops[:-1, :-1] * drops[1:, 1:]).sum()


def test_street_lamps_light_the_ground_where_they_stand():
    worlds = RoadSimulator(dataclasses.replace(SETTINGS, place="suburb")).start(1, np.random.default_rng(0)).worlds
    section, objects = worlds.section[0], worlds.objects[0, : worlds.count[0]]
    lamps = objects[objects[:, layout.KIND] == layout.LAMP]
    assert len(lamps) > 20
    for lamp in lamps:
        s, at = road_line.project(worlds.line[0], lamp[layout.X], lamp[layout.Y], lamp[layout.S])
        n = at - np.sign(at) * layout.LAMP_ARM
        under, beside = (road_sky.street_light(section, s + d, n) for d in (0.0, 4.0))
        assert under > 1.0 and under > 1.1 * beside


def test_fog_takes_what_is_far_and_leaves_what_is_near(state):
    truth = by_products(SIMULATOR, state)
    depth, ground = truth.depth[0], np.isin(truth.mask[0], [1, 2, 4])
    foggy = STILL.replace(fog_density=50.0, fog_falloff=0.0, fog_distance=10.0)
    clear, fog = frame(state, STILL), frame(state, foggy)
    far, near = ground & (depth > 60) & (depth < 1e4), ground & (depth < 7)
    assert far.sum() > 20
    assert fog[far].std(axis=0).max() < 0.4 * clear[far].std(axis=0).max() + 3.0
    # Fog dims the sun, and so all of the ground alike; its pattern stays where it begins farther away.
    assert np.corrcoef(fog[near].ravel(), clear[near].ravel())[0, 1] > 0.9


def test_light_follows_the_hour_and_the_weather(state):
    mean = {
        name: frame(state, conditions).mean()
        for name, conditions in {
            "noon": STILL,
            "night": STILL.replace(sun_altitude_angle=-30.0),
            "snow": STILL.replace(snow_deposits=90.0),
        }.items()
    }
    assert mean["night"] < 0.4 * mean["noon"] < 0.8 * mean["snow"]


def test_headlights_light_the_road_ahead_at_night(state):
    night = frame(state, STILL.replace(sun_altitude_angle=-30.0))
    road = by_products(SIMULATOR, state).mask[0] == CLASSES.index("road")
    depth = by_products(SIMULATOR, state).depth[0]
    near, far = night[road & (depth > 6) & (depth < 12)].mean(), night[road & (depth > 50)].mean()
    assert near > 2.0 * far


def test_wet_ground_mirrors_the_sky(state):
    road = by_products(SIMULATOR, state).mask[0] == CLASSES.index("road")
    dry, wet = frame(state), frame(state, STILL.replace(wetness=100.0, precipitation_deposits=100.0))
    far = road & (by_products(SIMULATOR, state).depth[0] > 12)
    assert wet[far].mean() > dry[far].mean() + 15.0


def test_shadows_lie_away_from_the_sun():
    settings = dataclasses.replace(SETTINGS, place="desert", vehicles=1, bends=0.0, relief=0.0)
    simulator = RoadSimulator(settings)
    state = simulator.start(1, np.random.default_rng(0))
    cars = state.cars.copy()
    cars[0, 0] = [state.road[0, 0] + 12.0, state.road[0, 1], 0.0]
    state = dataclasses.replace(state, cars=cars)
    truth = by_products(simulator, state)
    ground = np.isin(truth.mask[0], [1, 2, 4])
    columns, rows = np.arange(80)[None, :], np.arange(48)[:, None]
    box = np.argwhere(truth.mask[0] == CLASSES.index("vehicle"))
    foot = ground & (abs(rows - box[:, 0].max()) <= 1)
    right = foot & (columns > box[:, 1].max()) & (columns < box[:, 1].max() + 5)
    left = foot & (columns < box[:, 1].min()) & (columns > box[:, 1].min() - 5)
    frames = {}
    for azimuth in (90.0, 270.0):
        sun = STILL.replace(sun_azimuth_angle=azimuth, sun_altitude_angle=30.0, cloudiness=0.0)
        frames[azimuth] = simulator.image(state.under(sun), np.random.default_rng(0)).frames[0].astype(float)
    assert frames[90.0][right].mean() < 0.85 * frames[270.0][right].mean()
    assert frames[270.0][left].mean() < 0.85 * frames[90.0][left].mean()
