"""What frames of simulated drives tell; and that a fault in them changes what is meant to see it."""

import dataclasses

import numpy as np
import pytest

from sciworld.domains.base import domain
from sciworld.domains.driving import physics
from sciworld.domains.driving.physics import PhysicsSettings, fit, turned
from sciworld.domains.driving.road.expert import drive
from sciworld.domains.driving.road.generate import generate
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.driving.road.turning import motions
from sciworld.domains.driving.road.vehicles import VehicleFinder
from sciworld.errors import RecordingError, SettingsError

SMALL = PhysicsSettings(frames=1500, pairs=600, scenes=400, steps=800)
CAMERA = {"place": "countryside", "rows": 24, "columns": 40, "step": 0.2, "max_steering": 0.1, "pedestrians": 0}
VIEW = np.tile([1.0, 0, 0, 0, 1, 0], (1, 1))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Drives among others, at noon."""
    path = tmp_path_factory.mktemp("roads") / "store"
    return generate(path, 0, 100, 25, conditions="clear_noon", low_acceleration=-4.0, **CAMERA)


@pytest.fixture(scope="module")
def found(store):
    return fit(store, SMALL)


@pytest.fixture(scope="module")
def film(store):
    """Unseen drives that keep their lane : frames (n, 9, y, x, 3), controls (n, 8, 2), states after each step."""
    simulator = RoadSimulator(RoadSettings(low_acceleration=-4.0, **CAMERA), "clear_noon")
    rng = np.random.default_rng(7)
    seen, controls, states = drive(simulator, simulator.start(24, rng), 8, rng, 0.5)
    return np.stack([one.frames for one in seen], axis=1), controls, states


def column(found, read, name):
    return read[..., found.quantities.index(name)]


def outside(found, read, name):
    """Share of what was read that is out of the quantity's bounds."""
    one, values = found.quantities[name], column(found, read, name)
    below = values < one.low if one.low is not None else np.zeros(values.shape, dtype=bool)
    return (below | (values > one.high)).mean()


def test_what_is_read_is_true(found, film):
    frames, controls, states = film
    read = found(frames, VIEW, controls)
    assert read.shape == (24, 8, len(found.quantities)) and read.dtype == np.float64
    assert found.quantities.names == (
        "lane_offset", "heading_error", "lane_seen", "line_offset", "turn", "turn_error", "vehicles", "jump",
    )  # fmt: skip
    true = np.stack([state.road[:, 1] - state.lane for state in states[1:]], axis=1)
    assert np.sqrt(np.square(column(found, read, "lane_offset") - true).mean()) < 0.3
    seen = column(found, read, "lane_seen") == 1
    assert seen.mean() > 0.7 and (np.isfinite(column(found, read, "line_offset")) == seen).all()
    assert np.median(np.abs(column(found, read, "line_offset") - true)[seen]) < 0.15
    yaw = np.stack([state.pose[:, 2] for state in states], axis=1)
    assert np.corrcoef(column(found, read, "turn").ravel(), np.diff(yaw, axis=1).ravel())[0, 1] > 0.5
    for name in ("lane_offset", "heading_error", "turn", "turn_error"):
        assert outside(found, read, name) < 0.02


def test_a_film_that_stands_still_does_not_turn(found, film):
    frames, controls, _ = film
    still = found(np.repeat(frames[:, :1], 9, axis=1), VIEW, controls)
    assert np.ptp(column(found, still, "turn")) < 1e-6 and (column(found, still, "jump") == 0).all()
    steered = np.tan(controls[..., 0])
    error = column(found, still, "turn_error")
    assert np.corrcoef(error.ravel(), -steered.ravel())[0, 1] > 0.999  # what was steered is what is missing


def test_frames_that_are_shifted_sideways_show_another_place_and_a_turn(found, film):
    frames, controls, _ = film
    shifted = frames.copy()
    shifted[:, 5:] = np.roll(frames[:, 5:], 3, axis=3)  # what is seen goes to the right
    before, after = found(frames, VIEW, controls), found(shifted, VIEW, controls)
    # A camera that is turned on the spot to the left carries the axle behind it to the right.
    for name, sign in (("turn", 1), ("turn_error", 1), ("heading_error", 1), ("line_offset", -1), ("lane_offset", 1)):
        rise = sign * (column(found, after, name) - column(found, before, name))[:, 4]
        assert np.nanmean(rise) > 0.5 * np.nanstd(column(found, before, name))
    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert outside(found, after[:, 4:5], "turn_error") > 0.3 > 10 * outside(found, before, "turn_error")


def test_a_vehicle_that_vanishes_or_comes_from_nowhere_has_jumped(found):
    """In scenes with one vehicle just ahead, which is drawn at another place or not at all."""
    settings = RoadSettings(low_acceleration=-4.0, bends=0.0, relief=0.0, **CAMERA)
    simulator, rng = RoadSimulator(settings, "clear_noon"), np.random.default_rng(3)
    state = simulator.start(12, rng)

    def shown(ahead, aside=0.0):
        cars = state.cars.copy()
        cars[:, :, 0] = 5000.0
        cars[:, 0, :2] = np.stack([state.road[:, 0] + ahead, state.lane + aside], axis=1)
        return simulator.image(dataclasses.replace(state, cars=cars), rng).frames

    here, near, gone, there = shown(9.0), shown(8.5), shown(5000.0), shown(9.0, 3.4)
    controls = np.zeros((12, 1, 2))

    def after(frames):
        read = found(np.stack([here, frames], axis=1), VIEW, controls)
        return column(found, read, "vehicles")[:, 0], column(found, read, "jump")[:, 0]

    count, moved = after(near)
    assert np.median(count) == 1 and np.median(moved) < 1.5
    count, vanished = after(gone)
    assert np.median(count) == 0 and np.median(vanished) > 4.0
    _, leapt = after(there)
    assert np.median(leapt) > np.median(moved) + 1.0


def test_bounds_are_what_the_recordings_show(found):
    columns = {one.name: one for one in found.quantities}
    for name in ("lane_offset", "heading_error", "line_offset", "turn", "turn_error"):
        assert columns[name].low < 0 < columns[name].high
    assert [(columns[name].low, columns[name].high) for name in ("lane_seen", "vehicles")] == [(None, None)] * 2
    assert columns["jump"].low is None and columns["jump"].high > 0 and found.rates == ()


def test_frames_that_are_not_finite_are_not_read(found, film):
    frames, controls, _ = film
    broken = frames[:2].astype(np.float32)
    broken[1, 3, 5, 7, 1] = np.nan
    read, whole = found(broken, VIEW, controls[:2]), found(frames[:2], VIEW, controls[:2])
    assert np.isnan(read[1, 2:4]).all()
    np.testing.assert_allclose(np.delete(read[1], [2, 3], axis=0), np.delete(whole[1], [2, 3], axis=0), rtol=1e-5)
    with pytest.raises(RecordingError, match=r"frames of \(23, 40, 3\).*fitted on \(24, 40, 3\)"):
        found(frames[:, :, 1:], VIEW, controls)


def test_empty_roads_have_no_vehicles_and_other_drives_only_their_lane(tmp_path, monkeypatch):
    monkeypatch.setattr(physics, "fit_finder", None)  # is not asked
    few = dataclasses.replace(SMALL, pairs=60, frames=500)
    empty = generate(tmp_path / "store", 0, 30, 15, conditions="clear_noon", vehicles=0, **CAMERA)
    held = list(empty)
    names = fit(held, few).quantities.names
    assert {"lane_offset", "lane_seen"} <= set(names) and "vehicles" not in names
    untold = [ds.drop_vars(["states", "covariates", "controls"]) for ds in held]
    assert fit(untold, few).quantities.names == ("lane_seen", "line_offset")
    foreign = [ds.assign_attrs(source="a car") for ds in held]
    assert set(fit(foreign, few).quantities.names) <= {"lane_offset", "heading_error"}
    with pytest.raises(RecordingError, match="a car: frames of these recordings tell nothing"):
        domain("driving").physics([ds.drop_vars("states") for ds in foreign])
    with pytest.raises(RecordingError, match="no recordings"):
        fit([])
    with pytest.raises(RecordingError, match="shape of frames"):
        fit([held[0], held[1].isel(y=slice(1, None))], SMALL)
    with pytest.raises(RecordingError, match="control 0 is none"):
        fit([held[0], held[1].drop_vars("controls")], SMALL)
    with pytest.raises(SettingsError, match="scenes"):
        PhysicsSettings(scenes=0)


def unknown(ds, *names):
    """A recording with NaN in place of all that variables hold."""
    return ds.assign({name: ds[name].copy(data=np.full(ds[name].shape, np.nan)) for name in names})


@pytest.mark.parametrize("lose", [lambda ds, *names: ds.drop_vars(list(names)), unknown])
def test_what_was_not_recorded_is_left_out(store, monkeypatch, lose):
    asked = []

    def finder(camera, weather, *learning):
        asked.append(weather)
        return VehicleFinder(np.zeros(1), np.ones(1), (), 1), np.zeros((2, 24, 40)), np.zeros((2, 24, 40), dtype=bool)

    monkeypatch.setattr(physics, "fit_finder", finder)
    few, held = dataclasses.replace(SMALL, pairs=20, frames=100), [store[k] for k in range(10)]
    lines = {"lane_seen", "line_offset"}
    assert set(fit([lose(ds, "states") for ds in held], few).quantities.names) == lines
    assert len(asked.pop()) == len(held)
    assert lines <= set(fit([lose(ds, "covariates") for ds in held], few).quantities.names)
    assert not asked
    assert set(fit([lose(ds, "controls", "states", "covariates") for ds in held], few).quantities.names) == lines
    one, *others = held
    fit([lose(one, "covariates"), *others], few)
    assert len(asked[0]) == len(others) and np.isfinite(asked[0]).all()


def test_a_turn_is_learned_from_the_pairs_that_are_known(store):
    few = dataclasses.replace(SMALL, frames=100)
    held = list(store)
    some = [ds if k % 4 else unknown(ds, "states") for k, ds in enumerate(held)]
    camera, first = physics._camera(held), held[0]
    (part,) = physics._turn(camera, physics._pairs(some, first, few.pairs), first)
    assert part.columns[0].name == "turn"


def test_a_camera_that_turned_is_told_from_the_simulator_s_frames():
    camera = RoadSettings(rows=40, columns=64, place="city", vehicles=0)
    simulator, rng = RoadSimulator(camera), np.random.default_rng(1)
    state = simulator.start(6, rng)
    angles = np.array([-0.02, -0.015, -0.01, 0.0, 0.01, 0.02])
    pose = state.pose + np.stack([0 * angles, 0 * angles, angles], axis=1)
    turned_left = simulator.image(dataclasses.replace(state, pose=pose), rng).frames
    found = motions(simulator.image(state, rng).frames, turned_left, camera)
    assert found.shape == (6, 10)
    np.testing.assert_allclose(np.arctanh(np.clip(found[:, 5] / 0.03, -0.99, 0.99)) * 0.03, angles, atol=0.008)


def test_a_bicycle_turns_as_the_simulator_s_does():
    simulator, rng = RoadSimulator(RoadSettings(rows=8, columns=9, grip=2.0)), np.random.default_rng(2)
    before = simulator.start(30, rng)
    after = simulator.move(before, np.column_stack([rng.uniform(-0.3, 0.3, 30), rng.uniform(-3, 3, 30)]))
    found = turned(before.speed, after.speed, after.motion[:, 1], simulator.settings)
    np.testing.assert_allclose(found, after.pose[:, 2] - before.pose[:, 2], atol=1e-12)
