"""Generated drives: valid, decided by seed and number alone, in many places and weathers, with the truth beside."""

import dataclasses

import numpy as np
import pytest

from sciworld import recording
from sciworld.domains import generated
from sciworld.domains.driving.road.conditions import PRESETS, RANGES, RoadConditions
from sciworld.domains.driving.road.generate import CONTROLS, STATES, end_of, generate, make_episodes
from sciworld.domains.driving.road.joined import join
from sciworld.domains.driving.road.places import NAMES
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.generated import generator_of
from sciworld.errors import SettingsError
from sciworld.windows import Windows

SMALL = {"rows": 24, "columns": 40, "noise": 2.0, "road_length": 600}
STEPS, EPISODES, SEED = 60, 20, 5


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("drives") / "store", SEED, EPISODES, STEPS, **SMALL)


def state(ds, name):
    return ds["states"].values[:, STATES.index(name)]


def test_the_store_is_valid(store):
    store.check()
    assert len(store) == EPISODES == len(set(store.sessions()))
    for k, ds in enumerate(store):
        recording.check(ds)
        n = len(ds["time"])
        assert 2 <= n <= STEPS + 1 and ds["frames"].shape == (n, 24, 40, 3) and ds["frames"].dtype == np.uint8
        assert np.isnan(ds["controls"].values[-1]).all() and np.isfinite(ds["controls"].values[:-1]).all()
        assert recording.control_table(ds).names == ("steering", "acceleration")
        assert f"{CONTROLS[k % 4]} controls" in ds.attrs["history"] and ds.attrs["licence"] == "CC0-1.0"
    assert len(Windows(store, context=2, horizon=1)) > 400


def test_replaying_the_controls_gives_the_recording(store):
    """In a world without noise, since that is drawn after what controls the drive."""
    quiet = RoadSettings(**{**SMALL, "noise": 0.0})
    (ds,) = make_episodes(quiet, SEED, 12, ("held",), "fog_day", [2])
    simulator, rng = RoadSimulator(quiet, "fog_day"), generator_of(SEED, 2)
    here = simulator.start(1, rng)
    for t in range(12):
        np.testing.assert_array_equal(simulator.image(here, rng).frames[0], ds["frames"].values[t])
        assert here.speed[0] == state(ds, "speed")[t]
        here = simulator.move(here, ds["controls"].values[t : t + 1])


def test_places_and_weathers_are_many(store):
    table = recording.covariate_table(store[0])
    assert table.names == (*RANGES, "place") and table["place"].levels == tuple(NAMES)
    facts = np.stack([ds["covariates"].values for ds in store])
    presets = {tuple(dataclasses.astuple(preset)) for preset in PRESETS.values()}
    assert {tuple(row[:-1]) for row in facts} <= presets
    assert len(set(facts[:, -1])) >= 4 and len(np.unique(facts[:, :-1], axis=0)) >= 8


def test_the_expert_keeps_its_lane_and_others_stray():
    tiny = RoadSettings(rows=8, columns=8, road_length=900)
    most = {}
    for kind in ("expert", "held"):
        drives = make_episodes(tiny, 0, 140, (kind,), "clear_noon", list(range(8)))
        most[kind] = [np.abs(state(ds, "lane_offset")).max() for ds in drives]
    assert max(most["expert"]) < 2.0 < max(most["held"]) and min(most["held"]) < 1.5


def test_kinds_of_controls():
    made = {
        kind: np.stack(
            [
                ds["controls"].values[:20]
                for ds in make_episodes(RoadSettings(**SMALL), 1, 24, (kind,), "any", [0, 1, 2])
            ]
        )
        for kind in ("random", "smooth")
    }
    rough = {kind: np.abs(np.diff(c[..., 1], axis=1)).mean() / c[..., 1].std() for kind, c in made.items()}
    assert rough["smooth"] < 0.6 * rough["random"]


def test_commands_may_change_faster_than_the_vehicle_follows():
    (ds,) = make_episodes(RoadSettings(**SMALL), 1, 24, ("random",), "any", [0])
    steering, acceleration = recording.control_table(ds)
    commands, step = ds["controls"].values[:-1], np.diff(ds["time"].values).mean()
    assert np.abs(np.diff(commands[:, 1])).max() > acceleration.rate_limit * step
    for column, name in ((steering, "wheel_angle"), (acceleration, "acceleration_done")):
        assert np.abs(np.diff(state(ds, name))).max() <= column.rate_limit * step + 1e-9
    assert "follow faster commands late" in ds.attrs["history"]


def test_a_drive_ends_where_it_should():
    states = np.zeros((50, len(STATES)))
    assert end_of(states, 0.05) == (50, "all of it")
    states[20:, STATES.index("departure")] = 1.0
    assert end_of(states, 0.05) == (41, "until it had left the road")
    states[30, STATES.index("collision")] = 1.0
    assert end_of(states, 0.05) == (31, "until it hit something")
    assert end_of(states[:10], 0.05) == (10, "all of it")


def test_ends_of_the_store(store):
    for ds in store:
        assert not state(ds, "collision")[1:-1].any()
        assert ("hit something" in ds.attrs["history"]) == bool(state(ds, "collision")[-1])
        assert state(ds, "departure")[1:-20].sum() == 0


def test_neither_batches_nor_first_change_a_drive(store, tmp_path, monkeypatch):
    monkeypatch.setattr(generated, "MOST_TOGETHER", 7)
    generate(tmp_path / "again", SEED, 9, STEPS, **SMALL)
    again = generate(tmp_path / "again", SEED, EPISODES - 9, STEPS, first=9, **SMALL)
    for one, two in zip(store, again, strict=True):
        assert one.identical(two)


def test_a_drive_alone_is_as_it_is_among_others(store):
    (alone,) = make_episodes(RoadSettings(**SMALL), SEED, STEPS, CONTROLS, "any", [6])
    assert alone.identical(store[6])


def test_another_seed_makes_others(store):
    (other,) = make_episodes(RoadSettings(**SMALL), SEED + 1, STEPS, CONTROLS, "any", [0])
    assert not np.array_equal(other["frames"].values[0], store[0]["frames"].values[0])


def test_conditions_can_be_sampled_or_named(tmp_path):
    (sampled,) = make_episodes(RoadSettings(**SMALL), 0, 2, CONTROLS, "sampled", [0])
    RoadConditions(*sampled["covariates"].values[:-1])
    assert len(set(sampled["covariates"].values)) > 10
    store = generate(tmp_path / "s", 0, 3, 2, conditions="snow_day", place="desert", **SMALL)
    facts = np.stack([ds["covariates"].values for ds in store])
    assert (facts == [*dataclasses.astuple(PRESETS["snow_day"]), NAMES.index("desert")]).all()


def test_what_cannot_be_generated(tmp_path):
    for settings, message in (
        ({"colour": "red"}, "generate: unknown setting colour"),
        ({"steps": 0}, "steps is 0"),
        ({"conditions": "hail"}, "conditions are 'hail'"),
        ({"conditions": np.array(["any", "sunset"])}, "conditions are"),
        ({"controls": ""}, "controls are"),
    ):
        with pytest.raises(SettingsError, match=message):
            generate(tmp_path / "a", 0, **{**SMALL, **settings})


def test_joined_drives_are_in_their_own_worlds():
    simulator = RoadSimulator(RoadSettings(**{**SMALL, "noise": 0.0}))
    parts = [simulator.start(3, np.random.default_rng(k)) for k in range(2)]
    chosen = [parts[0].take(np.array([2, 2, 0])), parts[1].take(np.array([1]))]
    both = join(chosen)
    assert len(both) == 4 and both.which.tolist() == [1, 1, 0, 2]
    assert len(both.worlds.line) == 3 and both.worlds.objects.shape[1] == both.worlds.count.max()
    rng, controls = np.random.default_rng(0), np.full((4, 2), 0.1)
    frames = simulator.step(both, controls, rng)[0].frames
    alone = [simulator.step(one, controls[: len(one)], rng)[0].frames for one in chosen]
    np.testing.assert_array_equal(frames, np.concatenate(alone))
