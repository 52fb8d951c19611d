"""Generated wakes: valid, decided by seed and number alone, with controls of four kinds and the truth beside them."""

import numpy as np
import pytest

from sciworld import recording
from sciworld.domains import generated
from sciworld.domains.fluid.generate import CONTROLS, draw, generate, make_episodes
from sciworld.domains.fluid.simulator import CylinderSettings, CylinderSimulator
from sciworld.domains.generated import generator_of
from sciworld.errors import SettingsError, StoreError
from sciworld.windows import Windows

SMALL = {"cells": 10, "lattice_speed": 0.05, "columns": 40, "rows": 24}
ACTIONS, EPISODES, SEED = 24, 8, 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("wakes") / "store", SEED, EPISODES, ACTIONS, **SMALL)


def controls(store, kind):
    return np.stack([ds["controls"].values[:-1, 0] for k, ds in enumerate(store) if CONTROLS[k % 4] == kind])


def test_the_store_is_valid(store):
    store.check()
    assert len(store) == EPISODES == len(set(store.sessions()))
    for k, ds in enumerate(store):
        recording.check(ds)
        assert ds["frames"].shape == (ACTIONS + 1, 24, 40, 2) and ds["frames"].dtype == np.float32
        assert np.isnan(ds["controls"].values[-1]).all() and np.isfinite(ds["controls"].values[:-1]).all()
        (column,) = recording.control_table(ds)
        assert (column.name, column.units, column.low, column.high) == ("jet", "m/s", -1.0, 1.0)
        assert ds["view"].attrs["row_direction"] == "up" and ds["view"].attrs["units"] == "m"
        assert CONTROLS[k % 4] in ds.attrs["history"] and ds.attrs["licence"] == "CC0-1.0"
        assert np.diff(ds["time"].values) == pytest.approx(0.025)
    assert len(Windows(store, context=2, horizon=1)) > 100


def test_covariates(store):
    table, values = recording.covariate_table(store[0]), store[0]["covariates"].values
    facts = dict(zip(table.names, values, strict=True))
    baseline = CylinderSimulator(CylinderSettings(**SMALL)).baseline
    assert facts == {
        "reynolds": 100.0, "blockage": pytest.approx(1 / 4.1), "limit": 1.0,
        "baseline_drag": pytest.approx(baseline.drag), "baseline_lift_rms": pytest.approx(baseline.lift_rms),
    }  # fmt: skip
    assert table["limit"].units == "m/s"


def test_replaying_the_controls_gives_the_recording(store):
    """The states of a frame are of the action that led to it, and the controls of a row act after its frame."""
    simulator = CylinderSimulator(CylinderSettings(**SMALL))
    for k in (1, 3):
        ds, rng = store[k], generator_of(SEED, k)
        state = simulator.start(1, rng)
        for t in range(ACTIONS):
            np.testing.assert_array_equal(simulator.image(state, rng).frames[0], ds["frames"].values[t])
            state = simulator.act(state, ds["controls"].values[t : t + 1])
            truth = [*state.coefficients[0], state.momentum[0], state.amplitude[0]]
            np.testing.assert_array_equal(ds["states"].values[t + 1], truth)
        assert np.isnan(ds["states"].values[0, :4]).all() and ds["states"].values[0, 4] == 0.0


def test_kinds_of_controls(store):
    change = {kind: np.abs(np.diff(controls(store, kind), axis=1)) for kind in CONTROLS}
    assert (change["held"] == 0).mean() > 0.5 and (change["random"] == 0).mean() == 0
    assert 0 < change["smooth"].mean() < 0.5 * change["random"].mean()
    for kind in CONTROLS:
        values = controls(store, kind)
        assert np.abs(values).max() <= 1.0 and values.std() > 0.15
        assert not np.array_equal(values[0], values[1])


def test_the_expert_heeds_the_flow(store):
    """What the expert does goes with the cross velocity behind the cylinder, and not only with it."""
    simulator = CylinderSimulator(CylinderSettings(**SMALL))
    view = simulator.view()
    column, row = round((0.35 - view[2]) / view[0]), round((0.2 - view[5]) / view[4])
    told = {}
    for kind in ("expert", "random"):
        pairs = [
            (ds["controls"].values[:-1, 0], ds["frames"].values[:-1, row, column, 1])
            for k, ds in enumerate(store)
            if CONTROLS[k % 4] == kind
        ]
        told[kind] = max(abs(np.corrcoef(*pair)[0, 1]) for pair in pairs)
    assert 0.5 < told["expert"] < 0.999 and told["random"] < 0.45


def test_neither_batches_nor_first_change_an_episode(store, tmp_path, monkeypatch):
    monkeypatch.setattr(generated, "MOST_TOGETHER", 3)
    generate(tmp_path / "again", SEED, 5, ACTIONS, **SMALL)
    again = generate(tmp_path / "again", SEED, 3, ACTIONS, first=5, **SMALL)
    assert len(again.parts) == 3
    for one, two in zip(store, again, strict=True):
        assert one.identical(two)


def test_workers_make_the_same(store, tmp_path, monkeypatch):
    monkeypatch.setattr(generated, "MOST_TOGETHER", 4)
    for one, two in zip(store, generate(tmp_path / "w", SEED, EPISODES, ACTIONS, workers=1, **SMALL), strict=True):
        assert one.identical(two)


def test_another_seed_makes_others(store):
    (other,) = make_episodes(CylinderSettings(**SMALL), SEED + 1, ACTIONS, CONTROLS, [0])
    assert not np.array_equal(other["controls"].values[:-1], store[0]["controls"].values[:-1])
    assert other.attrs["session"] not in store.sessions()


def test_controls_are_cut_to_their_bounds(monkeypatch):
    monkeypatch.setattr("sciworld.domains.fluid.generate.NOISE", 2.0)
    (ds,) = make_episodes(CylinderSettings(**SMALL), SEED, ACTIONS, ("expert",), [0])
    assert np.abs(ds["controls"].values[:-1]).max() == 1.0


def test_rotation_too(tmp_path):
    store = generate(tmp_path / "s", 0, 2, 3, "smooth, expert", actuator="rotation", **SMALL)
    column = recording.control_table(store[0])["rotation"]
    assert (column.units, column.high) == ("rad/s", 40.0)
    assert recording.table(store[0], "states")["amplitude"].units == "rad/s"
    assert np.abs(store[0]["controls"].values[:-1]).max() > 1.0


def test_what_cannot_be_generated(store, tmp_path):
    for settings, message in (
        ({"colour": "red"}, "generate: unknown setting colour"),
        ({"actions": 0}, "actions is 0"),
        ({"controls": "expert,lazy"}, "controls are"),
        ({"episodes": 0}, "episodes is 0"),
    ):
        with pytest.raises(SettingsError, match=message):
            generate(tmp_path / "a", 0, **{**SMALL, **settings})
    with pytest.raises(SettingsError, match="seed is -1"):
        generate(tmp_path / "a", -1, **SMALL)
    with pytest.raises(StoreError, match="already"):
        generate(store.path, SEED, 1, ACTIONS, **SMALL)


def test_laws_are_drawn_from_all_over_the_bounds():
    """Gains of both signs, while the expert's are about good ones; and the same laws for the same seed."""
    simulator = CylinderSimulator(CylinderSettings(**SMALL))
    gains = {
        kind: np.stack([draw(simulator, kind, 4, generator_of(SEED, k)).gains[:, 0] for k in range(40)])
        for kind in ("law", "expert")
    }
    scale = simulator.settings.most / simulator.settings.speed
    assert np.abs(gains["law"]).max() <= scale < 1.1 * np.abs(gains["law"]).max()
    assert gains["law"].mean(axis=0) == pytest.approx(0, abs=0.3 * scale)
    assert gains["expert"].mean(axis=0)[0] > 0.35 * scale
