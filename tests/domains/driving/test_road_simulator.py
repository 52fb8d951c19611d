"""The road simulator: its contract, its errors, and that no weather changes what happens or where anything is."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.config import to_dict
from sciworld.domains.driving.road.conditions import PRESETS, RANGES, RoadConditions
from sciworld.domains.driving.road.places import NAMES
from sciworld.domains.driving.road.settings import COUNTS, RoadSettings
from sciworld.domains.driving.road.settings import RANGES as SETTING_RANGES
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.truth import CLASSES, by_products
from sciworld.errors import ControlError, SettingsError, SimulatorError
from sciworld.simulator import rollout

SMALL = RoadSettings(rows=24, columns=40, road_length=600)
weather = st.fixed_dictionaries({name: st.floats(low, high) for name, (low, high) in RANGES.items()}).map(
    lambda values: RoadConditions(**values)
)


def started(n=3, seed=0, simulator=None):
    simulator = simulator or RoadSimulator(SMALL)
    return simulator, simulator.start(n, np.random.default_rng(seed))


class Steady:
    """Holds its controls."""

    def start(self, n, rng):
        return None

    def act(self, state, observation):
        return np.tile([0.02, 0.5], (len(observation), 1)), state


def test_a_rollout_gives_frames_of_the_right_kind():
    simulator, state = started()
    rng = np.random.default_rng(1)
    done = rollout(simulator, state, simulator.image(state, rng), Steady(), 5, rng)
    for k, observation in enumerate(done.observations):
        assert observation.frames.shape == (3, 24, 40, 3)
        assert observation.frames.dtype == np.uint8
        np.testing.assert_allclose(observation.time, 0.05 * k)
        np.testing.assert_array_equal(observation.view, np.tile([1, 0, 0, 0, 1, 0], (3, 1)))


@pytest.mark.parametrize(("rows", "columns"), [(24, 40), (64, 64), (33, 120), (192, 320)])
def test_frames_of_any_size_show_the_same_scene(rows, columns):
    simulator = RoadSimulator(dataclasses.replace(SMALL, rows=rows, columns=columns))
    state = simulator.start(1, np.random.default_rng(0))
    frames = simulator.image(state, np.random.default_rng(0)).frames
    assert frames.shape == (1, rows, columns, 3)
    # In the middle of the picture, right before the car, is road; above it is none.
    mask = by_products(simulator, state).mask[0]
    assert mask[-1, columns // 2] == CLASSES.index("road")
    assert not np.isin(mask[0], [CLASSES.index("road"), CLASSES.index("marking")]).any()


def test_the_same_seed_gives_the_same_frames_and_another_gives_others():
    simulator, state = started(seed=4)
    frames = simulator.image(state, np.random.default_rng(0)).frames
    again = simulator.image(started(seed=4)[1], np.random.default_rng(0)).frames
    np.testing.assert_array_equal(frames, again)
    assert (frames != simulator.image(started(seed=5)[1], np.random.default_rng(0)).frames).mean() > 0.3


def test_candidates_do_not_depend_on_each_other():
    simulator, state = started(4)
    index = np.array([2, 0, 2])
    controls = np.array([[0.1, 1.0], [0.0, 0.0], [-0.1, -2.0], [0.05, 0.0]])
    rng = np.random.default_rng(0)
    frames, after = simulator.step(state, controls, rng)
    some, later = simulator.step(state.take(index), controls[index], rng)
    np.testing.assert_array_equal(frames.frames[index], some.frames)
    assert later.worlds is state.worlds
    for field in dataclasses.fields(after):
        if field.name != "worlds":
            np.testing.assert_array_equal(getattr(after, field.name)[index], getattr(later, field.name))


def test_a_step_and_an_image_leave_the_state_as_it_was():
    simulator, state = started()
    before = [getattr(state, f.name).copy() for f in dataclasses.fields(state) if f.name != "worlds"]
    rng = np.random.default_rng(0)
    simulator.step(state, np.full((3, 2), 0.3), rng)
    simulator.image(state, rng)
    after = [getattr(state, f.name) for f in dataclasses.fields(state) if f.name != "worlds"]
    for one, two in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, two)


@given(one=weather, two=weather, seed=st.integers(0, 5))
@settings(max_examples=25)
def test_no_weather_changes_masks_depths_poses_or_traffic(one, two, seed):
    simulator, state = started(2, seed)
    runs = []
    for conditions in (one, two):
        now, rng = state.under(conditions), np.random.default_rng(0)
        for _ in range(2):
            _, now = simulator.step(now, np.tile([0.1, -1.0], (2, 1)), rng)
        runs.append((now, by_products(simulator, now, simulator.move(now, np.zeros((2, 2))))))
    (a, first), (b, second) = runs
    for name in ("mask", "depth", "objects", "flow", "pose"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in ("pose", "motion", "road", "cars", "walkers"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_every_preset_looks_unlike_the_others():
    simulator, state = started(1, 3)
    many = state.take(np.zeros(len(PRESETS), dtype=int)).under(list(PRESETS))
    frames = simulator.image(many, np.random.default_rng(0)).frames.astype(float)
    for k in range(len(frames)):
        for m in range(k):
            assert np.abs(frames[k] - frames[m]).mean() > 2.0, (list(PRESETS)[k], list(PRESETS)[m])


@pytest.mark.parametrize("place", NAMES)
def test_every_place_has_a_road_and_what_belongs_there(place):
    simulator = RoadSimulator(dataclasses.replace(SMALL, place=place))
    truth = by_products(simulator, simulator.start(6, np.random.default_rng(0)))
    share = np.bincount(truth.mask.ravel(), minlength=len(CLASSES)) / truth.mask.size
    assert share[CLASSES.index("road")] > 0.12
    assert share[CLASSES.index("marking")] > 0.005
    own = {"city": "building", "suburb": "building", "highway": "barrier"}.get(place, "vegetation")
    assert share[CLASSES.index(own)] > 0.004


def test_controls_act_no_faster_than_their_rate_limits():
    simulator, state = started(1)
    rates = [column.rate_limit for column in simulator.space.table]
    assert rates == [simulator.settings.steering_rate, simulator.settings.jerk]
    after = simulator.move(state, np.array([[0.5, 3.0]]))
    assert after.motion[0, 1] == pytest.approx(rates[0] * 0.05)
    assert after.motion[0, 2] == pytest.approx(rates[1] * 0.05)


def test_the_camera_s_noise_is_of_the_generator_and_of_the_size_that_is_set():
    noisy, state = started(simulator=RoadSimulator(dataclasses.replace(SMALL, noise=5.0)))
    clean = RoadSimulator(SMALL).image(state, np.random.default_rng(0)).frames.astype(float)
    one = noisy.image(state, np.random.default_rng(0)).frames
    np.testing.assert_array_equal(one, noisy.image(state, np.random.default_rng(0)).frames)
    assert (one != noisy.image(state, np.random.default_rng(1)).frames).any()
    middle = (clean > 30) & (clean < 225)
    assert (one - clean)[middle].std() == pytest.approx(5.0, rel=0.05)


def test_more_samples_smooth_edges_and_change_nothing_else():
    one, state = started()
    fine = RoadSimulator(dataclasses.replace(SMALL, samples=3))
    many = RoadSimulator(dataclasses.replace(SMALL, rows=72, columns=120))
    frames = fine.image(state, np.random.default_rng(0)).frames
    large = many.image(state, np.random.default_rng(0)).frames.astype(float)
    mean = large.reshape(3, 24, 3, 40, 3, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(frames, mean, atol=0.51)
    np.testing.assert_array_equal(by_products(fine, state).depth, by_products(one, state).depth)
    noisy = RoadSimulator(dataclasses.replace(SMALL, samples=2, noise=4.0))
    clean = RoadSimulator(dataclasses.replace(SMALL, samples=2)).image(state, np.random.default_rng(0)).frames
    middle = (clean > 40) & (clean < 210)
    change = noisy.image(state, np.random.default_rng(0)).frames.astype(float) - clean
    assert change[middle].std() == pytest.approx(4.0, rel=0.08)


def test_traffic_answers_to_the_vehicle():
    # A car that is cut off brakes harder than one that has a free road.
    simulator = RoadSimulator(dataclasses.replace(SMALL, place="desert", vehicles=1))
    state = simulator.start(1, np.random.default_rng(0))
    cars = state.cars.copy()
    cars[0, 0] = [state.road[0, 0] - 15.0, state.road[0, 1], 26.0]
    still = np.array([[0.0, 0.0, 0.0, 0.0]])
    near = dataclasses.replace(state, cars=cars, motion=still)
    beside = dataclasses.replace(near, cars=cars + np.array([0.0, 3.5, 0.0]))
    slow, free = (simulator.move(one, np.zeros((1, 2))).cars[0, 0, 2] for one in (near, beside))
    assert slow < free - 0.1


def test_controls_out_of_bounds_or_unknown_are_refused():
    simulator, state = started(1)
    rng = np.random.default_rng(0)
    with pytest.raises(ControlError, match="NaN"):
        simulator.step(state, np.array([[np.nan, 0.0]]), rng)
    with pytest.raises(ControlError, match=r"steering.*outside"):
        simulator.step(state, np.array([[1.0, 0.0]]), rng)
    with pytest.raises(ControlError, match="last axis"):
        simulator.step(state, np.zeros((1, 3)), rng)
    with pytest.raises(SimulatorError, match="one row a candidate"):
        simulator.step(state, np.zeros((2, 2)), rng)
    with pytest.raises(SimulatorError, match="at least 1"):
        simulator.start(0, rng)


@pytest.mark.parametrize("name", [*COUNTS, *SETTING_RANGES, "place"])
def test_settings_that_cannot_work_are_refused(name):
    low, high = {**COUNTS, **SETTING_RANGES}.get(name, (0, 1))[:2]
    for value in (None, "12", [12], float("nan"), True, 10**400, low - 1, 1.1 * high + 1, np.array([1, 2])):
        with pytest.raises(SettingsError, match=name):
            RoadSettings(**{name: value})


def test_samples_of_too_many_pixels_are_refused_in_the_user_s_words():
    with pytest.raises(SettingsError, match="rows is 2048 and samples 4; use rows of 1024 at most"):
        RoadSettings(samples=4, rows=2048)


def test_numbers_of_numpy_become_plain_ones():
    given = {"rows": np.int64(64), "vehicles": np.int32(3), "step": np.float32(0.25), "noise": np.int64(2)}
    settings = RoadSettings(**given)
    assert settings == RoadSettings(**to_dict(settings))
    assert [type(getattr(settings, name)) for name in given] == [int, int, float, float]


@pytest.mark.parametrize("end", [0, 1])
def test_the_ends_of_all_ranges_give_finite_poses(end):
    extremes = {name: bounds[end] for name, bounds in SETTING_RANGES.items()}
    simulator = RoadSimulator(RoadSettings(rows=8, columns=8, road_length=300, vehicles=4, **extremes))
    state = simulator.start(2, np.random.default_rng(0))
    for controls in (simulator.space.low, simulator.space.high) * 3:
        state = simulator.move(state, np.tile(controls, (2, 1)))
        assert all(np.isfinite(part).all() for part in (state.pose, state.motion, state.road, state.cars))
    simulator.image(state, np.random.default_rng(0))
