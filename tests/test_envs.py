"""The Gymnasium faces: checked by Gymnasium itself, alike alone and in a vector, in units, deterministic by seed."""

import dataclasses
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.domains.gym.episodes import Recipe, record
from sciworld.domains.stem.constants import BOND, LATTICE
from sciworld.domains.stem.greedy import Greedy
from sciworld.domains.stem.objectives import REACHED
from sciworld.domains.stem.simulator import StemSimulator
from sciworld.envs import ENVIRONMENTS
from sciworld.envs.road import END_COST, LANE_COST
from sciworld.envs.runs import action_box
from sciworld.envs.single import Environment
from sciworld.envs.stem import TIME_COST, nearest_site
from sciworld.envs.vector import Environments
from sciworld.errors import ControlError, SettingsError, SimulatorError
from sciworld.simulator import Observation

STEM, CYLINDER, ROAD = "sciworld/StemSilicon-v0", "sciworld/Cylinder-v0", "sciworld/Road-v0"
SMALL = {
    STEM: {"rows": 26, "columns": 38, "imaging_hops": True, "current": 1.0},
    CYLINDER: {"cells": 10, "lattice_speed": 0.05, "columns": 40},
    ROAD: {"rows": 24, "columns": 40, "noise": 2.0, "road_length": 400, "conditions": "any"},
}
# Advice that physical units cannot follow: gymnasium.wrappers.RescaleAction does for who wants it.
ADVICE = ("we recommend using a symmetric and normalized space", "This is probably too")
every = pytest.mark.parametrize("name", [name for name in ENVIRONMENTS if name in SMALL])


def make(name, **changes):
    return gymnasium.make(name, **{**SMALL[name], **changes})


def same(one, two):
    """Whether two infos are the same, arrays and dictionaries in them included."""
    assert one.keys() == two.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            same(value, two[key])
        else:
            np.testing.assert_array_equal(value, two[key], err_msg=key)


@every
def test_gymnasium_finds_nothing_wrong(name):
    env = make(name, render_mode="rgb_array").unwrapped
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env)
    assert [w for w in caught if not any(advice in str(w.message) for advice in ADVICE)] == []


def test_a_plain_make_imports_the_faces():
    code = (
        "import sys, gymnasium\n"
        "import sciworld.envs; assert 'numba' not in sys.modules\n"
        "del sys.modules['sciworld.envs']; gymnasium.registry.clear()\n"
        "env = gymnasium.make('sciworld.envs:sciworld/StemSilicon-v0')\n"
        "assert env.spec.max_episode_steps == 100 and env.reset(seed=0)[0].shape == (32, 32, 1)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@every
def test_a_vector_does_what_each_would_do_alone(name):
    """Frames, rewards, ends and truth, through truncation and the start after it, bit by bit."""
    vector = gymnasium.make_vec(name, 3, max_episode_steps=4, **SMALL[name])
    alone = gymnasium.make_vec(gymnasium.spec(name), 3, vectorization_mode="sync", **SMALL[name], max_episode_steps=4)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert vector.single_observation_space == alone.single_observation_space
    assert vector.action_space == alone.action_space and vector.observation_space == alone.observation_space
    (one, info), (two, other) = vector.reset(seed=5), alone.reset(seed=5)
    np.testing.assert_array_equal(one, two)
    same(info, other)
    vector.action_space.seed(0)
    truncated = []
    for _ in range(11):
        action = vector.action_space.sample()
        *mine, info = vector.step(action)
        *theirs, other = alone.step(action)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        same(info, other)
        truncated.append(mine[3].all())
    assert truncated == [False, False, False, True, False] * 2 + [False]


@every
def test_runs_that_end_apart_do_not_disturb_each_other(name):
    """Of three runs the second starts anew by itself: the others go on as they were, bit by bit."""
    envs = [gymnasium.make_vec(name, 3, **SMALL[name]).unwrapped for _ in range(2)]
    actions = [envs[0].action_space.sample() for _ in range(4)]
    for env in envs:
        env.reset(seed=[1, None, 3])
    for step, action in enumerate(actions):
        envs[1]._over[1] = step == 1
        seen = [env.step(action)[0] for env in envs]
        np.testing.assert_array_equal(seen[0][[0, 2]], seen[1][[0, 2]])
    same_frame = (seen[0][1] == seen[1][1]).all()
    assert not same_frame


@every
def test_the_seed_decides(name):
    env, again = make(name), make(name)
    actions = [env.action_space.sample() for _ in range(3)]

    def play(env, seed):
        frames, info = env.reset(seed=seed)
        return [(frames, 0.0, info), *((o, r, i) for o, r, _, _, i in (env.step(a) for a in actions))]

    one, two, other = play(env, 7), play(again, 7), play(env, 8)
    for (a, r, i), (b, s, j) in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
        assert r == s
        same(i, j)
    assert not (one[-1][0] == other[-1][0]).all()


@every
def test_spaces_units_and_the_truth(name):
    env = make(name, render_mode="rgb_array")
    frame, info = env.reset(seed=0)
    assert env.observation_space.contains(frame) and frame.dtype == env.observation_space.dtype
    assert set(info) == {*info["units"], "units"} and all(info["units"].values())
    assert all(type(value) is float for key, value in info.items() if key != "units")
    picture = env.render()
    assert picture.dtype == np.uint8 and picture.shape == (*frame.shape[:2], 3) and picture.std() > 1
    assert env.metadata["render_fps"] == pytest.approx({STEM: 0.5, CYLINDER: 40.0, ROAD: 20.0}[name], rel=0.01)
    assert make(name).unwrapped.render() is None


@every
def test_actions_outside_the_bounds(name):
    env, clips = make(name), make(name, clip=True)
    n = env.action_space.shape[0]
    env.reset(seed=0)
    for bad in (np.full(n, np.nan), 1.01 * env.action_space.high, np.full(n, np.inf), np.zeros(n + 1), np.full(n, "a")):
        with pytest.raises(ControlError):
            env.step(bad)
    env.step(env.action_space.low)
    with pytest.raises(ControlError, match="NaN"):
        clips.reset(seed=0)
        clips.step(np.full(n, np.nan))
    found = []
    for factor in (1.0, 7.0):
        clips.reset(seed=0)
        found.append(clips.step(factor * env.action_space.high.astype(np.float64))[0])
    np.testing.assert_allclose(found[0].astype(float), found[1].astype(float), atol=1e-4)
    with pytest.raises(SimulatorError, match="call reset first"):
        make(name).unwrapped.step(env.action_space.low)


def test_rounding_never_leaves_the_bounds():
    rng = np.random.default_rng(0)
    bounds = [
        (0.1, 0.3),
        (-0.3, -0.1),
        (1e-9, 1 / 3),
        *np.sort(rng.normal(size=(200, 2)) * 10.0 ** rng.integers(-6, 6)),
    ]
    columns = (Column(f"c{k}", "1", float(low), float(high)) for k, (low, high) in enumerate(bounds))
    space = ControlSpace(ColumnTable(tuple(columns)))
    box = action_box(space)
    assert (box.low.astype(np.float64) >= space.low).all() and (box.high.astype(np.float64) <= space.high).all()
    np.testing.assert_allclose(box.low, space.low, rtol=2e-7)
    np.testing.assert_allclose(box.high, space.high, rtol=2e-7)


@pytest.mark.parametrize(("name", "frames"), [(STEM, "observation"), (CYLINDER, "observation"), (ROAD, "render")])
def test_episodes_are_recorded(name, frames):
    env = make(name, render_mode="rgb_array")
    infos = tuple(env.unwrapped.face.units)
    (ds,) = record(env, 1, "held", Recipe(seed=3, max_steps=5, frames=frames, channels="last", infos=infos))
    assert ds["frames"].dtype == env.observation_space.dtype and ds["frames"].shape[1:] == env.observation_space.shape
    assert 1 < len(ds["time"]) <= 6 and np.isfinite(ds["rewards"].values[:-1]).all()
    env.reset(seed=int(ds.attrs["environment_seed"]))
    for row, frame in zip(ds["controls"].values[:-1], ds["frames"].values[1:], strict=True):
        np.testing.assert_array_equal(env.step(row.astype(np.float32))[0], frame)


def test_a_controller_steers_the_silicon_to_its_goal():
    env = make(STEM, rates="simple", imaging_hops=False, current=0.1, drift=0.0)
    frame, info = env.reset(seed=2)
    began, total, over = info["distance"], 0.0, False
    assert began > 1.5 * BOND - 1e-9
    greedy = Greedy(np.array([[info["goal_x"], info["goal_y"]]]), BOND, 1.5)
    simulator = env.unwrapped.face.simulator
    while not over:
        view = simulator.view(env.unwrapped._runs.moment.truth)
        controls, _ = greedy.act(None, Observation(frame[None], np.zeros(1), view))
        frame, reward, over, truncated, info = env.step(controls[0])
        total += reward
        assert over == (info["distance"] < REACHED) and not truncated
    # The first image, of 2 s, comes before the first reward.
    assert total == pytest.approx(began - info["distance"] - TIME_COST * (info["time"] - 2.0))


def test_a_goal_can_be_set():
    _, info = make(STEM, goal=(4.0, -3.0)).reset(seed=1)
    assert np.hypot(info["goal_x"] - 4.0, info["goal_y"] + 3.0) < BOND + 1e-9
    env = make(STEM)
    _, free = env.reset(seed=1)
    _, info = env.reset(seed=1, options={"goal": [free["goal_x"] + 0.2, free["goal_y"] - 0.2]})
    assert (info["goal_x"], info["goal_y"]) == pytest.approx((free["goal_x"], free["goal_y"]))
    for goal in ((1.0,), "there", (np.nan, 0.0)):
        with pytest.raises(SettingsError, match="goal"):
            env.reset(options={"goal": goal})


def test_the_nearest_site_is_a_site():
    state = StemSimulator().start(4, np.random.default_rng(0))
    assert nearest_site(state, np.array([0.3, 9.0])).shape == (4, 2)
    for k in range(3):
        here = nearest_site(state.take(np.array([1])), state.neighbours[1, k] + 0.3)
        np.testing.assert_allclose(here[0], state.neighbours[1, k], atol=1e-9)
    far = nearest_site(state, np.array([3 * LATTICE, 0.0]))
    assert (np.linalg.norm(far - [3 * LATTICE, 0.0], axis=1) <= BOND + 1e-9).all()


def test_beams_outside_the_field_stand_at_its_edge():
    env = make(STEM, reach=60.0, imaging_hops=False)
    env.reset(seed=0)
    _, _, _, _, info = env.step(np.array([60.0, -60.0, 0.5], dtype=np.float32))
    assert info["hops"] == 0.0  # far from the silicon


def test_a_silicon_beyond_the_beam_is_lost():
    face = make(STEM).unwrapped.face
    state = face.start(np.random.default_rng(0), {}).truth
    half = face.simulator.settings.half_field
    for centre, lost in ((19.9 + half, False), (20.1 + half, True), (-20.1 - half, True), (0 * half, False)):
        assert face.lost(dataclasses.replace(state, centre=centre[None])) == lost


@every
def test_only_runs_that_go_on_look_at_their_action(name):
    env = gymnasium.make_vec(name, 2, **SMALL[name])
    env.reset(seed=0)
    good = env.action_space.sample()
    env.unwrapped._over[0] = True
    bad = good.copy()
    bad[1] = np.nan
    with pytest.raises(ControlError, match="NaN"):
        env.step(bad)
    frames, rewards, *_ = env.step(np.where([[True], [False]], np.nan, good).astype(np.float32))
    assert rewards[0] == 0.0 and rewards[1] != 0.0 and env.observation_space.contains(frames)
    with pytest.raises(ControlError, match="shape"):
        env.step(good[:1])


@every
def test_seeds_of_each(name):
    env = gymnasium.make_vec(name, 2, **SMALL[name])
    frames, _ = env.reset(seed=np.array([4, 4]))
    again, _ = env.reset(seed=[4, 9])
    np.testing.assert_array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[0], again[0])
    assert not (again[0] == again[1]).all()
    alone, one = make(name), np.int64(4)
    np.testing.assert_array_equal(alone.reset(seed=one)[0], frames[0])
    for same_seed in (one, [one, None], range(4, 6)):
        np.testing.assert_array_equal(env.reset(seed=same_seed)[0][0], frames[0])
    for wrong, message in (
        ([1, 2, 3], "3 seeds for 2 environments"),
        *((seed, "seed is .*use an integer") for seed in (1.5, [1.7, 2], True, "abc", [1, "a"], -1, np.array(5))),
        *(
            (seed, "seed is .*use an integer")
            for seed in ([True, False], [[1], [2, 3]], np.array([1.0, 2.0]), {1: 2}, 2**63)
        ),
    ):
        with pytest.raises(SettingsError, match=message):
            env.reset(seed=wrong)
        with pytest.raises(SettingsError, match="seed is"):
            alone.reset(seed=wrong)


def test_gymnasium_s_wrappers_fit():
    vector = gymnasium.make_vec(ROAD, 2, max_episode_steps=3, render_mode="rgb_array", **SMALL[ROAD])
    env = DictInfoToList(RecordEpisodeStatistics(vector))
    env.reset(seed=0)
    for _ in range(3):
        *_, truncated, infos = env.step(env.action_space.sample())
    assert truncated.all() and infos[1]["units"]["speed"] == "m/s" and infos[1]["episode"]["l"] == 3
    assert [picture.shape for picture in env.render()] == [(24, 40, 3)] * 2
    scaled = gymnasium.wrappers.RescaleAction(make(CYLINDER, actuator="rotation"), np.float32(-1), np.float32(1))
    scaled.reset(seed=0)
    assert scaled.step(np.ones(1, dtype=np.float32))[-1]["amplitude"] > 30.0


def test_a_wake_left_alone_costs_nothing_and_a_steady_jet_does():
    found = {}
    for jet in (0.0, 1.0):
        env = make(CYLINDER)
        env.reset(seed=0)
        rewards = [env.step(np.array([jet], dtype=np.float32))[1] for _ in range(40)]
        found[jet] = np.mean(rewards[14:])
    assert abs(found[0.0]) < 0.01 and found[1.0] < -0.05


def test_colours_of_vorticity():
    face = make(CYLINDER).unwrapped.face
    rows, columns = face.frame.shape[:2]
    y, x = np.mgrid[:rows, :columns] * 0.01
    turning = np.stack([-10.0 * y, 10.0 * x], axis=-1).astype(np.float32)
    counter, clock, rest = (face.picture(f)[5, 5] for f in (turning, -turning, 0 * turning))
    assert counter[0] > 2 * counter[2] and clock[2] > 2 * clock[0] and np.ptp(rest) < 5
    half = np.where((y > y.mean())[..., None], turning, 0)
    assert np.ptp(face.picture(half)[2, 3].astype(int)) > 50 > np.ptp(face.picture(half)[-3, 3].astype(int))  # up is up


def test_the_road_is_left_and_the_drive_is_over():
    env = make(ROAD, vehicles=0, pedestrians=0, conditions="clear_noon", place="desert")
    _, before = env.reset(seed=0)
    total, over, steps = 0.0, False, 0
    offsets = []
    while not over:
        _, reward, over, _, info = env.step(np.array([0.2, 0.0], dtype=np.float32))
        offsets.append(info["lane_offset"])
        total += reward
        steps += 1
    assert steps < 200 and (info["departure"] or info["collision"])
    lane = LANE_COST * 0.05 * (np.array(offsets) ** 2).sum()
    assert total == pytest.approx(info["distance"] - before["distance"] - lane - END_COST)


def test_conditions_change_the_light_and_not_the_world():
    env = make(ROAD, noise=0.0)
    noon, one = env.reset(seed=4, options={"conditions": "clear_noon"})
    night, two = env.reset(seed=4, options={"conditions": "clear_night"})
    assert one["lane_offset"] == two["lane_offset"] and one["speed"] == two["speed"]
    assert noon.mean() > 1.5 * night.mean()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (STEM, {"colour": 1}, "unknown setting colour"),
        (STEM, {"colour": 1}, "known are .*current.* goal, .* radius, .*reach"),
        (STEM, {"radius": 1.0}, "radius is 1.0"),
        (CYLINDER, {"cells": 11}, "cells is 11"),
        (ROAD, {"conditions": "hail"}, "hail"),
        (ROAD, {"conditions": ["clear_noon"]}, "conditions are several"),
        (ROAD, {"clip": 1}, "clip is 1"),
        (ROAD, {"face": ["road"]}, r"no face \['road'\]; there are stem"),
    ],
)
def test_settings_that_nobody_knows(name, settings, message):
    with pytest.raises(SettingsError, match=message):
        gymnasium.make(name, **settings)
    with pytest.raises(SettingsError, match=message):
        gymnasium.make_vec(name, 2, **settings)


@every
def test_options_that_nobody_knows(name):
    for env in (make(name), gymnasium.make_vec(name, 2, **SMALL[name])):
        for options, message in (
            ({"speed": 1}, "unknown option speed"),
            ({3: 1, "a": 2}, "unknown option 3, a"),
            *((wrong, "give a dict, or None") for wrong in ([1], [], 5, 0, "goal")),
        ):
            with pytest.raises(SettingsError, match=message):
                env.reset(options=options)


@pytest.mark.parametrize("kind", [Environment, Environments])
def test_modes_of_rendering(kind):
    for mode in ("human", 5, ["rgb_array"]):
        with pytest.raises(SettingsError, match="use 'rgb_array' or None"):
            kind("stem", render_mode=mode)
