"""Environments as recordings: nothing of what they show or were told is lost, and the controls play again."""

import gymnasium
import numpy as np
import pytest
import typer
import xarray as xr
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sciworld import recording
from sciworld.cli.record import record as record_command
from sciworld.controls import colours
from sciworld.domains.gym.episodes import Recipe, opened, record, record_to
from sciworld.domains.gym.policies import POLICIES
from sciworld.domains.gym.spaces import Actions
from sciworld.errors import SettingsError, SimulatorError
from sciworld.store import Store

Y, X, STEPS = 5, 7, 11

FLOATS = spaces.Box(np.float32([-1.0, 0.0, -np.inf]), np.float32([2.0, np.inf, np.inf]))
ALL = {
    "box": FLOATS,
    "double": spaces.Box(-0.1, 0.3, (2, 3), np.float64),
    "point": spaces.Box(-0.1, 0.3, (), np.float32),
    "half": spaces.Box(-1.0, 1.0, (2,), np.float16),
    "bytes": spaces.Box(0, 255, (2,), np.uint8),
    "whole": spaces.Box(-3, 4, (2,), np.int64),
    "discrete": spaces.Discrete(4, start=-2),
    "many": spaces.Discrete(5000),
    "multi": spaces.MultiDiscrete([3, 5], start=[1, -4]),
    "multi2": spaces.MultiDiscrete(np.array([[3, 5], [2, 2]])),
    "binary": spaces.MultiBinary((2, 2)),
}
ALL["nested"] = spaces.Dict(
    {"arm": spaces.Tuple((spaces.Discrete(3), FLOATS)), "grip": spaces.MultiBinary(2), "deep": spaces.Dict(ALL)}
)


class Toy(gymnasium.Env):
    """A picture that every action and the seed change; its step fails, or shows something odd, when told to."""

    def __init__(self, action=FLOATS, observation=None, odd=None, render_mode="rgb_array", fps=20, image=None):
        self.action_space = action
        self.observation_space = observation or spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": fps}
        self.render_mode, self.odd, self.image, self.closed = render_mode, odd or {}, image, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.step_, self.total, self.options = 0, self.np_random.uniform(), options
        return self._observed(), {"speed": 1}

    def step(self, action):
        assert self.action_space.contains(action)
        self.step_ += 1
        flat = spaces.flatten(self.action_space, action)
        self.total = float(np.sin(self.total + np.nansum(np.nan_to_num(flat.astype(np.float64), posinf=0, neginf=0))))
        if self.odd.get("raise") == self.step_:
            raise KeyError("the arm fell off")
        reward = np.nan if self.odd.get("reward") == self.step_ else self.total
        end = self.step_ == self.odd.get("end")
        cut = self.step_ == self.odd.get("cut")
        return self._observed(), reward, end, cut, {"speed": self.step_ + 0.5} if self.step_ % 2 else {}

    def render(self):
        if self.odd.get("blank") == self.step_:
            return None
        wide = X + (self.odd.get("size") == self.step_)
        ramp = np.arange(Y * wide * 3, dtype=np.float64).reshape(Y, wide, 3)
        return (127 + 120 * np.sin(ramp + 10 * self.total)).astype(np.uint8)

    def close(self):
        self.closed += 1

    def _observed(self):
        if self.image is not None:
            return self.image(self.total)
        bad = np.inf if self.odd.get("infinite") == self.step_ else self.total
        return np.array([bad, self.step_], np.float32)


RECIPE = Recipe(seed=5, max_steps=STEPS)


def one(env, **changes) -> xr.Dataset:
    given = {"policy": "random", "seed": 3, "max_steps": STEPS} | changes
    (found,) = record(env, 1, given.pop("policy"), Recipe(**given))
    return found


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("name", ALL)
def test_recorded_controls_play_again(name: str, policy: str) -> None:
    env = Toy(ALL[name])
    ds = one(env, policy=policy)
    assert ds["frames"].shape == (STEPS + 1, Y, X, 3) and ds["frames"].dtype == np.uint8
    actions = Actions(env.action_space)
    assert actions.table == recording.control_table(ds)
    again = Toy(ALL[name])
    again.reset(seed=int(ds.attrs["environment_seed"]))
    frames, rewards = [again.render()], []
    for row in ds["controls"].values[:-1]:
        _, reward, *_ = again.step(actions.to_action(row))
        frames.append(again.render())
        rewards.append(reward)
    np.testing.assert_array_equal(ds["frames"].values, np.stack(frames))
    np.testing.assert_array_equal(ds["rewards"].values[:, 0], [*rewards, np.nan])
    assert len(np.unique(ds["controls"].values[:-1], axis=0)) > 1
    with pytest.raises(SettingsError, match="NaN"):
        actions.to_action(ds["controls"].values[-1])


@settings(max_examples=40)
@given(name=st.sampled_from(sorted(ALL)), seed=st.integers(0, 2**64))
def test_rows_are_actions_bit_by_bit(name: str, seed: int) -> None:
    actions = Actions(ALL[name])
    action = actions.sample(np.random.default_rng(seed))
    back = actions.to_action(actions.to_row(action))
    assert ALL[name].contains(back)
    before, after = spaces.flatten(ALL[name], action), spaces.flatten(ALL[name], back)
    assert before.dtype == after.dtype and before.tobytes() == after.tobytes()


def test_columns_say_what_the_space_says() -> None:
    table = Actions(ALL["nested"]).table
    assert table.names[:4] == ("arm_0", "arm_1_0", "arm_1_1", "arm_1_2") and "deep_multi2_1_0" in table.names
    assert table["arm_0"].levels == ("0", "1", "2")
    assert [(c.low, c.high) for c in Actions(FLOATS).table] == [(-1.0, 2.0), (0.0, None), (None, None)]
    assert Actions(ALL["discrete"]).table["action"].levels == ("-2", "-1", "0", "1")
    assert Actions(ALL["many"]).table["action"].kind == "integer" and Actions(ALL["many"]).table["action"].high == 4999
    assert Actions(FLOATS, ("a", "b", "c")).table.names == ("a", "b", "c")
    with pytest.raises(SettingsError, match="2 names for 3 columns"):
        Actions(FLOATS, ("a", "b"))
    with pytest.raises(SettingsError, match=r"action_0.*give names"):
        Actions(spaces.Dict({"action_0": spaces.Discrete(2), "action": spaces.MultiBinary(2)}))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(5),
        spaces.Sequence(spaces.Discrete(2)),
        spaces.Graph(FLOATS, None),
        spaces.Dict({"a": spaces.Tuple([spaces.Text(3)])}),
        spaces.Box(0, 1, (100, 100)),
    ],
)
def test_a_space_without_columns_is_refused(space: spaces.Space) -> None:
    with pytest.raises(SettingsError, match="wrap the environment"):
        one(Toy(space))
    if not isinstance(space, spaces.Box):
        with pytest.raises(SettingsError, match=r"observation space.*wrap the environment"):
            one(Toy(observation=space))


def test_whole_numbers_beyond_float64_are_not_rounded() -> None:
    with pytest.raises(SettingsError, match=r"beyond 2\*\*53"):
        Actions(spaces.Box(-(2**62), 2**62, (1,), np.int64)).to_row(np.array([2**53 + 1]))


@pytest.mark.parametrize("value", [[3.0, 0.0, 0.0], [0.5, -1.0, 0.0], [0.0, 0.0], "left", [np.nan, 0.0, 0.0], None])
def test_an_action_outside_the_space_is_refused(value: object) -> None:
    with pytest.raises(SimulatorError, match="Toy: episode 0, step 0: "):
        one(Toy(), policy=lambda observation, rng: value)


def test_a_function_acts_and_what_it_did_is_what_is_recorded() -> None:
    seen = []

    def act(observation, rng):
        seen.append(observation)
        return [rng.uniform(), 0.1, 1e300 * 0]  # float64, not exact in the float32 of the space

    ds = one(Toy(), policy=act, infos=("speed",))
    controls = ds["controls"].values[:-1]
    np.testing.assert_array_equal(controls[:, 1], np.full(STEPS, np.float32(0.1)))
    np.testing.assert_array_equal(ds["states"].values[:-1, :2], np.stack(seen))
    assert recording.table(ds, "states").names == (
        "observation_0",
        "observation_1",
        "info_speed",
        "terminated",
        "truncated",
    )
    np.testing.assert_array_equal(ds["states"].values[:4, 2], [1.0, 1.5, np.nan, 3.5])
    assert "act" in ds.attrs["history"]


def test_the_kinds_of_end_stay_apart() -> None:
    for odd, row in ({"end": 4}, [1, 0]), ({"cut": 4}, [0, 1]), ({"end": 4, "cut": 4}, [1, 1]), ({}, [0, 0]):
        ds = one(Toy(odd=odd))
        last = 4 if odd else STEPS
        assert ds.sizes["time"] == last + 1
        np.testing.assert_array_equal(ds["states"].values[:, -2:], [[0, 0]] * last + [row])
    assert f"cut after {STEPS} steps" in ds.attrs["history"]


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        ({"raise": 4}, "step 3: KeyError: 'the arm fell off'"),
        ({"blank": 4}, r"step 4: render\(\) gave NoneType"),
        ({"size": 4}, r"step 4: the frame is \(5, 8, 3\).*before \(5, 7, 3\)"),
        ({"reward": 4}, "step 3: .*reward is nan"),
        ({"infinite": 4}, "step 4: an observation is infinite"),
    ],
)
def test_a_broken_environment_is_named_with_episode_and_step(odd: dict[str, int], text: str) -> None:
    stream = record(Toy(odd=odd), 2, "random", RECIPE)
    with pytest.raises(SimulatorError, match=f"Toy: episode 0, {text}"):
        list(stream)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"policy": "wild"}, "wild"),
        ({"policy": 3}, "policy"),
        ({"seed": -1}, "seed is -1"),
        ({"max_steps": 0}, "max_steps"),
        ({"max_steps": None}, "may never end; give max_steps"),
        ({"frames": "pixels"}, "'observation:KEY'"),
        ({"frames": "observation"}, "0 observations are images.*frames='render'"),
        ({"channels": "middle"}, "middle"),
        ({"dt": 0.0}, "dt is 0.0"),
        ({"hold": 0}, "hold is 0"),
        ({"options": {"a": 1}}, "JSON"),
        ({"options": "[1]"}, "JSON"),
    ],
)
def test_settings_that_cannot_work(changes: dict[str, object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        one(Toy(), **changes)


def test_episodes_and_environments_that_cannot_work() -> None:
    with pytest.raises(SettingsError, match="episodes is 0"):
        record(Toy(), 0)
    with pytest.raises(SettingsError, match=r"render_mode is None.*rgb_array"):
        one(Toy(render_mode=None))
    with pytest.raises(SettingsError, match="give dt"):
        one(Toy(fps=None))
    with pytest.raises(SettingsError, match=r"NoSuch-v0: cannot be made .*NameNotFound"):
        one("NoSuch-v0")
    with pytest.raises(SettingsError, match="not one of vectors"):
        one(gymnasium.make_vec("CartPole-v1", num_envs=2))
    with pytest.raises(SimulatorError, match="speed"):
        one(Toy(observation=spaces.Discrete(3), image=lambda total: 1.5 + (total > 9)), infos=("speed",), policy=_bad)


def _bad(observation, rng):
    raise RuntimeError("no speed")


def _image(shape, dtype):
    return lambda total: (100 * np.cos(np.arange(np.prod(shape)) + total) + 100).astype(dtype).reshape(shape)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_observations_that_are_images_are_frames_as_they_are(dtype: type) -> None:
    for shape, channels, moved in (
        ((Y, X), "", None),
        ((Y, X, 2), "", None),
        ((3, Y, X), "first", 0),
        ((3, Y, X), "last", None),
    ):
        env = Toy(observation=spaces.Box(0, 255, shape, dtype), image=_image(shape, dtype), render_mode=None)
        ds = one(env, frames="observation", channels=channels)
        env.reset(seed=int(ds.attrs["environment_seed"]))
        first = env._observed()
        wanted = first[..., None] if len(shape) == 2 else first if moved is None else np.moveaxis(first, moved, -1)
        np.testing.assert_array_equal(ds["frames"].values[0], wanted)
        assert ds["frames"].dtype == dtype
        assert ("moved last" in ds.attrs["history"]) == (moved == 0)
    with pytest.raises(SettingsError, match="say channels='first'"):
        one(env, frames="observation")


def test_images_of_a_dict_are_chosen_by_name_and_the_rest_are_states() -> None:
    space = spaces.Dict(
        {
            "low": spaces.Box(0, 9, (Y, X)),
            "cam": spaces.Box(0, 255, (Y, X, 3), np.uint8),
            "at": spaces.Discrete(3, start=5),
        }
    )
    make = lambda total: {"low": np.full((Y, X), 2, np.float32), "cam": np.full((Y, X, 3), 7, np.uint8), "at": 6}  # noqa: E731
    with pytest.raises(SettingsError, match=r"'observation:(cam|low)', 'observation:(cam|low)'"):
        one(Toy(observation=space, image=make), frames="observation")
    ds = one(Toy(observation=space, image=make), frames="observation:cam")
    assert ds["frames"].dtype == np.uint8 and (ds["frames"].values == 7).all()
    table = recording.table(ds, "states")
    assert table["at"].levels == ("5", "6", "7") and (ds["states"].values[:, table.index("at")] == 1).all()
    assert "observation:low left out" in ds.attrs["history"]
    rendered = one(Toy(observation=space, image=make))
    assert "left out" in rendered.attrs["history"] and recording.channel_table(rendered) == colours(3)
    bad = Toy(observation=spaces.Box(0, 9, (Y, X), np.int64), image=_image((Y, X), np.int64))
    with pytest.raises(SettingsError, match=r"images are int64.*TransformObservation"):
        one(bad, frames="observation")


def test_the_same_seed_gives_the_same_recordings_and_every_episode_another() -> None:
    for policy in POLICIES:
        first, second = (list(record(Toy(), 3, policy, Recipe(2**60, STEPS))) for _ in range(2))
        for a, b in zip(first, second, strict=True):
            xr.testing.assert_identical(a, b)
        assert len({ds["frames"].values.tobytes() for ds in first}) == 3
        assert [ds.attrs["session"] for ds in first] == [f"Toy/seed-{2**60}/episode-{k}" for k in range(3)]
        assert len({ds["controls"].values.tobytes() for ds in first}) == 3
    other = one(Toy(), policy=policy, seed=2**60 + 1)
    assert other["controls"].values.tobytes() != first[0]["controls"].values.tobytes()


def test_smooth_is_smooth_fills_its_bounds_and_holds_what_is_discrete() -> None:
    space = spaces.Tuple(
        (spaces.Box(-2.0, 6.0, (1,), np.float64), spaces.Discrete(3), spaces.Box(-np.inf, np.inf, (1,)))
    )
    (walk,) = record(Toy(space), 1, "smooth", Recipe(max_steps=6000, hold=8))
    steered, chosen, free = walk["controls"].values[:-1].T
    assert steered.min() < -1.8 and steered.max() > 5.8
    share = np.histogram(steered, 4, (-2, 6))[0] / len(steered)
    np.testing.assert_allclose(share, 0.25, atol=0.05)
    for series in (steered, free):
        lagged = [np.corrcoef(series[:-lag], series[lag:])[0, 1] for lag in (1, 8, 80)]
        assert lagged[0] > 0.8 and 0.25 < lagged[1] < 0.5 and abs(lagged[2]) < 0.15
    spells = len(chosen) / (1 + np.count_nonzero(np.diff(chosen)))
    assert 9 < spells < 15  # 8 steps, and a third of the draws repeat the value
    (held,) = record(Toy(), 1, "held", Recipe(max_steps=STEPS, hold=4))
    changes = np.flatnonzero(np.diff(held["controls"].values[:-1, 0]))
    np.testing.assert_array_equal(changes, [3, 7])


def test_time_is_of_the_rate_or_as_given() -> None:
    ds = one(Toy(fps=20))
    np.testing.assert_allclose(ds["time"].values, np.arange(STEPS + 1) / 20)
    assert "render_fps, 20" in ds.attrs["history"]
    ds = one(Toy(fps=20), dt=0.3)
    np.testing.assert_allclose(ds["time"].values, np.arange(STEPS + 1) * 0.3)
    assert "0.3 s a step as given" in ds.attrs["history"]


def test_an_environment_of_ours_is_closed_and_a_given_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(name, **kwargs):
        made.append(Toy(odd={"raise": 3} if name == "bad" else None))
        return made[-1]

    given = Toy()
    list(record(given, 1, recipe=RECIPE))
    assert given.closed == 0
    monkeypatch.setattr(gymnasium, "make", make)
    list(record("good", 2, recipe=RECIPE))
    stream = record("good", 3, recipe=RECIPE)
    next(stream)
    stream.close()
    with pytest.raises(SimulatorError):
        list(record("bad", 1, recipe=RECIPE))
    assert [env.closed for env in made] == [1, 1, 1]


def test_a_store_takes_episodes_one_by_one_and_a_killed_run_goes_on(tmp_path) -> None:
    class KilledError(Exception):
        pass

    def stop(done, total):
        if done == 2:
            raise KilledError

    with pytest.raises(KilledError):
        record_to(tmp_path / "s", Toy(), 4, "random", RECIPE, progress=stop)
    assert len(Store.open(tmp_path / "s")) == 2
    told = []
    count = record_to(
        tmp_path / "s", Toy(), 4, "random", RECIPE, progress=lambda done, total: told.append((done, total))
    )
    assert count == 2 and told == [(3, 4), (4, 4)]
    store = Store.open(tmp_path / "s")
    for got, wanted in zip(store, record(Toy(), 4, "random", RECIPE), strict=True):
        xr.testing.assert_identical(got, wanted)
    assert len(store.parts) == 4  # merging is for whoever owns the store
    assert record_to(tmp_path / "s", Toy(), 4, "random", RECIPE) == 0
    with pytest.raises(SettingsError, match="another recipe"):
        record_to(tmp_path / "s", Toy(), 4, "smooth", RECIPE)
    with pytest.raises(SimulatorError):
        record_to(tmp_path / "none", Toy(odd={"raise": 2}), 4, recipe=RECIPE)
    assert not (tmp_path / "none").exists()


def test_recipes_are_settings() -> None:
    assert '"seed": 9007199254740993' in Recipe(seed=2**53 + 1).to_json("smooth")
    assert '"seed": 5' in Recipe(seed=np.int64(5), hold=np.int32(2), max_steps=np.uint8(3)).to_json("smooth")  # type: ignore[arg-type]
    for name, value in (("seed", 2**63), ("hold", 2**31), ("max_steps", 2**31), ("hold", True), ("seed", -1)):
        with pytest.raises(SettingsError, match=f"{name} is .*; use an integer, at least"):
            Recipe(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"episodes is 2\.0; use an integer, at least 1"):
        record(Toy(), 2.0)  # type: ignore[arg-type]


def test_cart_pole_records_its_state() -> None:
    ds = one(gymnasium.make("CartPole-v1", render_mode="rgb_array"), policy="held")
    assert ds["frames"].shape[1:] == (400, 600, 3)
    assert recording.control_table(ds)["action"].levels == ("0", "1")
    assert ds["states"].values[-1, -2:].sum() <= 1 and ds.attrs["source"] == "CartPole-v1"
    np.testing.assert_allclose(np.diff(ds["time"].values), 0.02)


def test_counterfactual_pairs_of_car_racing_differ_in_pixels_alone() -> None:
    pair = []
    for colour in (1, 2):
        env = _car_racing()
        env.reset(seed=colour)
        recipe = Recipe(3, max_steps=4, names=("steering", "gas", "brake"), options='{"randomize": false}')
        (ds,) = record(env, 1, "smooth", recipe)
        env.close()
        pair.append(ds)
    one_, two = pair
    assert one_["frames"].shape[-1] == 3 and one_["frames"].dtype == np.uint8
    assert (one_["frames"].values != two["frames"].values).mean() > 0.2
    np.testing.assert_array_equal(one_["controls"].values, two["controls"].values)
    np.testing.assert_array_equal(one_["rewards"].values, two["rewards"].values)
    assert one_.attrs["session"] == two.attrs["session"]


def _car_racing() -> gymnasium.Env:
    with opened("CarRacing-v3"):  # what it imports warns, and is imported quietly here
        return gymnasium.make("CarRacing-v3", render_mode="rgb_array", domain_randomize=True)


def test_the_command_records_and_goes_on(tmp_path) -> None:
    app = typer.Typer()
    app.command()(record_command)
    arguments = ["CarRacing-v3", "--out", str(tmp_path / "s"), "--frames", "observation", "--max-steps", "2"]
    arguments += ["--names", "steering, gas,brake"]
    first = CliRunner().invoke(app, [*arguments, "--episodes", "1"])
    assert first.exit_code == 0 and "1 episodes recorded" in first.output
    again = CliRunner().invoke(app, [*arguments, "--episodes", "1"])
    assert "0 episodes recorded, 1 were there" in again.output
    (ds,) = Store.open(tmp_path / "s")
    assert recording.control_table(ds).names == ("steering", "gas", "brake")
    assert ds["frames"].shape == (3, 96, 96, 3)


def test_an_environment_that_reuses_its_arrays_is_recorded_moment_by_moment() -> None:
    class Reusing(Toy):
        pixels = np.zeros((Y, X, 3), np.uint8)
        seen = np.zeros(2, np.float32)

        def render(self):
            self.pixels[...] = super().render()
            return self.pixels

        def _observed(self):
            self.seen[...] = super()._observed()
            return self.seen

    plain, reused = one(Toy()), one(Reusing())
    np.testing.assert_array_equal(reused["frames"].values, plain["frames"].values)
    np.testing.assert_array_equal(reused["states"].values, plain["states"].values)
