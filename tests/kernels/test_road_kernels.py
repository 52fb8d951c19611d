"""Kernels of the road: the vehicle's arcs, drivers' gaps, triangles, stripes and the air, against closed forms."""

import math

import numpy as np
import pytest

from sciworld.domains.driving.road.places import NAMES as PLACES
from sciworld.kernels import (
    road_flow,
    road_glow,
    road_ground,
    road_line,
    road_motion,
    road_noise,
    road_raster,
    road_sky,
)
from sciworld.kernels import road_layout as layout

SECTION = np.array([2.0, 3.5, 0.0, 0.5, 1.5, 0.0, 0.0, 0.0, 0.0])


def drive(speed, steering, steps, dt=0.05, grip=8.0, rate=1e6):
    """Poses (step, 3) and the last motion of one vehicle that holds its speed and steering."""
    motion, pose = np.array([[speed, 0.0, 0.0, 0.0]]), np.zeros((1, 3))
    controls, poses = np.array([[steering, 0.0]]), []
    for _ in range(steps):
        road_motion.move_ego(motion, pose, controls, np.array([rate, 1e6]), 2.8, grip, 50.0, dt)
        poses.append(pose[0].copy())
    return np.array(poses), motion[0]


def test_the_turning_circle_is_the_wheelbase_over_the_tangent_of_the_steering():
    poses, motion = drive(speed=3.0, steering=0.3, steps=400)
    radius = 2.8 / math.tan(0.3)
    np.testing.assert_allclose(np.hypot(poses[:, 0], poses[:, 1] - radius), radius, rtol=1e-5)
    assert motion[3] == pytest.approx(9.0 / radius)


def test_tyres_limit_the_lateral_acceleration():
    poses, motion = drive(speed=20.0, steering=0.4, steps=100, grip=6.0)
    assert motion[3] == pytest.approx(6.0)
    radius = 400.0 / 6.0
    np.testing.assert_allclose(np.hypot(poses[:, 0], poses[:, 1] - radius), radius, rtol=1e-5)


def test_steering_turns_no_faster_than_its_rate():
    _, motion = drive(speed=5.0, steering=0.4, steps=4, rate=0.6)
    assert motion[1] == pytest.approx(4 * 0.6 * 0.05)


def test_a_vehicle_brakes_to_a_stand_and_does_not_reverse():
    motion, pose = np.array([[1.0, 0.0, -8.0, 0.0]]), np.zeros((1, 3))
    for _ in range(40):
        road_motion.move_ego(motion, pose, np.array([[0.0, -8.0]]), np.array([1.0, 100.0]), 2.8, 8.0, 50.0, 0.05)
    assert motion[0, 0] == 0.0
    assert 0.0 < pose[0, 0] < 0.2


def test_a_driver_settles_at_the_gap_where_the_model_is_at_rest():
    speed, gap = 15.0, 60.0
    for _ in range(4000):
        wish = road_motion.idm(speed, 20.0, gap, speed - 12.0)
        speed = max(0.0, speed + 0.05 * wish)
        gap += 0.05 * (12.0 - speed)
    rest = (2.0 + 12.0 * 1.5) / math.sqrt(1.0 - (12.0 / 20.0) ** 4)  # 2 m and 1.5 s: Kesting et al. (2010)
    assert speed == pytest.approx(12.0, rel=1e-3)
    assert gap == pytest.approx(rest, rel=1e-3)


def test_pedestrians_step_out_before_a_vehicle_that_is_near():
    people = np.zeros((1, 2, 6))
    people[0, :, layout.WALK_S], people[0, :, layout.WALK_FROM], people[0, :, layout.WALK_TO] = 100.0, -6.0, 6.0
    people[0, :, layout.WALK_SPEED], people[0, :, layout.WALK_TRIGGER] = 1.5, [30.0, 10.0]
    walkers = people[:, :, [layout.WALK_S, layout.WALK_FROM]].copy()
    tables = np.zeros(1, dtype=np.int64), np.zeros((1, 0, 8)), people
    for s, expected in ((60.0, (-6.0, -6.0)), (80.0, (-5.25, -6.0)), (120.0, (-4.5, -6.0))):
        road_motion.move_traffic(np.zeros((1, 0, 3)), walkers, *tables, np.array([[s, -2.0, 10.0, 4.5]]), 0.5)
        np.testing.assert_allclose(walkers[0, :, 1], expected)


def test_points_of_a_vehicle_turn_with_it():
    before, after = np.zeros((1, 10)), np.zeros((1, 10))
    before[0, [layout.X, layout.Y, layout.YAW]] = 5.0, 1.0, 0.5
    after[0, [layout.X, layout.Y, layout.Z, layout.YAW]] = 6.0, 2.0, 0.2, 0.5 + math.pi / 2
    moved = road_flow.carried(before, after, 0, 7.0, 1.0, 0.8)
    np.testing.assert_allclose(moved, (6.0, 4.0, 1.0))


def test_only_the_countryside_has_fields():
    colours, looks = np.array([[0.1, 0.2, 0.1], [0.3, 0.3, 0.2]]), {}
    for number, name in enumerate(PLACES):
        section = SECTION.copy()
        section[layout.PLACE] = number
        looks[name] = [road_ground.terrain(colours, section, s, -60.0, 0.5, 0.5, 7) for s in (50.0, 200.0, 400.0)]
    assert [name for name, look in looks.items() if look != looks["desert"]] == ["countryside"]


def test_stripes_hold_their_paint_in_any_footprint():
    # The mean of point samples over a footprint is what the footprint's own coverage says.
    rng = np.random.default_rng(3)
    for _ in range(10):
        s, n = rng.uniform(0, 50), rng.uniform(-8, 8)
        long, wide = rng.uniform(0.2, 12.0), rng.uniform(0.05, 2.0)
        samples = [
            road_line.marking(SECTION, s + long * (i / 60 - 0.5), n + wide * (k / 60 - 0.5), 1e-6, 1e-6)
            for i in range(61)
            for k in range(61)
        ]
        assert road_line.marking(SECTION, s, n, long, wide) == pytest.approx(np.mean(samples), abs=0.03)


@pytest.mark.parametrize(
    ("n", "klass"),
    [
        (0.0, layout.MARKING),
        (1.0, layout.ROAD),
        (-7.0, layout.MARKING),
        (7.3, layout.ROAD),
        (8.0, layout.PAVED),
        (-9.5, layout.TERRAIN),
    ],
)
def test_classes_across_the_road(n, klass):
    assert road_line.class_of_ground(SECTION, 1.0, n) == klass


def test_points_go_to_the_camera_and_back():
    axes = road_raster.axes_of(np.array([3.0, -2.0, 1.4, 0.7, -0.1, 80.0, 31.5, 19.5]))
    point = (21.0, 9.0, 0.3)
    np.testing.assert_allclose(road_raster.to_world(axes, *road_raster.to_camera(axes, *point)), point)


def buffers(rows=7, cols=11):
    return np.zeros((rows, cols, 3), np.float32), np.zeros((rows, cols, 3), np.int32)


def test_a_triangle_covers_the_pixels_whose_centres_it_holds_and_the_nearest_wins():
    values, labels = buffers()
    corners = np.array([[1.5, 0.5, 0.1, 0, 0], [8.5, 0.5, 0.1, 0, 0], [1.5, 5.5, 0.1, 0, 0]])
    road_raster.fill(values, labels, corners, 0, 1, 2, (7, 3), 1, road_raster.WHOLE, 0.0)
    expected = [[(x - 1.5) / 7 + (y - 0.5) / 5 <= 1 and x > 1.5 and y > 0.5 for x in range(11)] for y in range(7)]
    np.testing.assert_array_equal(labels[..., 0] == 7, expected)
    corners[:, 2] = 0.05
    road_raster.fill(values, labels, corners, 0, 1, 2, (9, 4), 1, road_raster.WHOLE, 0.0)
    assert not (labels[..., 0] == 9).any()


def test_triangles_with_a_common_edge_leave_no_gap():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values, labels = buffers(23, 31)
        middle = rng.uniform(4, 18, 2)
        rim = np.array([[-2, -2], [33, -2], [33, 25], [-2, 25]])
        corners = np.array([[*point, 0.1, 0, 0] for point in (middle, *rim)], dtype=np.float64)
        for k in range(4):
            road_raster.fill(values, labels, corners, 0, 1 + k, 1 + (k + 1) % 4, (1, 0), 0, road_raster.WHOLE, 0.0)
        assert (labels[..., 0] == 1).all()


def test_surface_coordinates_are_in_perspective():
    # A floor 1 m below a camera with its axis level: its s is the depth.
    axes = road_raster.axes_of(np.array([0.0, 0.0, 1.0, 0.0, 0.0, 20.0, 15.0, 5.0]))
    values, labels = buffers(19, 31)
    corners, scratch = np.zeros((road_raster.CORNERS, 5)), np.zeros((road_raster.CORNERS, 5))
    for k, (x, y) in enumerate([(-1.0, -50.0), (60.0, -50.0), (60.0, 50.0), (-1.0, 50.0)]):
        road_raster.put(corners, k, axes, x, y, 0.0, x, y)
    road_raster.polygon(values, labels, axes, corners, 4, scratch, (1, 0), 0, road_raster.WHOLE, 0.0)
    seen = labels[..., 0] == 1
    assert seen[8:].all()
    np.testing.assert_allclose(values[seen][:, 1] * values[seen][:, 0], 1.0, rtol=1e-4)


def test_decay_is_an_exponential():
    x = np.linspace(0.0, 12.0, 200)
    np.testing.assert_allclose([road_noise.decay(v) for v in x], np.exp(-x), atol=2e-3)


def test_noise_is_smooth_even_and_of_its_seed():
    x = np.linspace(-20.0, 20.0, 4001)
    values = np.array([road_noise.noise(v, 0.3, 5) for v in x])
    assert np.abs(np.diff(values)).max() < 0.03
    assert 0.3 < values.mean() < 0.7
    assert values.std() > 0.1
    assert not np.allclose(values, [road_noise.noise(v, 0.3, 6) for v in x])


@pytest.mark.parametrize("start", [0.0, 25.0, 50.0])
@pytest.mark.parametrize(("falloff", "rise"), [(0.0, 0.0), (0.05, 12.0), (0.05, -8.0), (0.002, 3.0), (0.05, 40.0)])
def test_fog_follows_the_integral_along_the_ray(falloff, rise, start):
    light = np.zeros(layout.LIGHT_COLUMNS, dtype=np.float32)
    light[layout.FOG], light[layout.FOG_FALLOFF], light[layout.FOG_START] = 0.02, falloff, start
    way = np.linspace(start, 60.0, 2001)
    thick = 0.02 * np.trapezoid(np.exp(-falloff * rise * way / 60.0), way)
    assert road_sky.clearness(light, 60.0, rise) == pytest.approx(math.exp(-thick), abs=4e-3)


@pytest.mark.parametrize("start", [0.0, 30.0])
def test_the_sky_is_seen_through_all_of_the_fog(start):
    light = np.zeros(layout.LIGHT_COLUMNS, dtype=np.float32)
    light[layout.FOG], light[layout.FOG_FALLOFF], light[layout.FOG_START] = 0.03, 0.05, start
    way = np.linspace(start, 2000.0, 20001)
    thick = (0.03 - layout.HAZE) * np.trapezoid(np.exp(-0.05 * 0.4 * way), way)
    assert road_sky.sky_clearness(light, 0.4) == pytest.approx(math.exp(-thick), abs=4e-3)


def test_fog_begins_where_it_is_said_to():
    light = np.zeros(layout.LIGHT_COLUMNS, dtype=np.float32)
    light[layout.FOG], light[layout.FOG_START] = 0.1, 40.0
    assert road_sky.clearness(light, 39.0, 0.0) == 1.0
    assert road_sky.clearness(light, 80.0, 0.0) < 0.1


def test_the_mirror_image_of_a_lamp_has_no_hard_end():
    colour = np.zeros((90, 31, 3), np.float32)
    road_glow.streak(colour, np.ones((90, 31), np.float32), 15.0, 45.0, 15.0, 4.0, 1.0, (1.0, 0.6, 0.3))
    light = colour[..., 0]
    assert light.argmax() == 45 * 31 + 15 and not light[:15].any() and not light[82:].any()
    assert np.abs(np.diff(light, axis=0)).max() < 0.06 * light.max()
