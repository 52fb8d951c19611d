"""The controlled wake: what its states tell, what its controls do, and the cost of both."""

import numpy as np
import pytest

from sciworld.domains.fluid import simulator as module
from sciworld.domains.fluid.controllers import Feedback, Signals, feedback, probe, probe_places
from sciworld.domains.fluid.generate import GAINS
from sciworld.domains.fluid.objectives import wake_cost
from sciworld.domains.fluid.simulator import CylinderSettings, CylinderState, simulator
from sciworld.errors import ControlError, SettingsError, SimulatorError
from sciworld.simulator import Observation, rollout

COARSE = {"cells": 10, "lattice_speed": 0.05}


@pytest.fixture(scope="module")
def wakes():
    """Jets and rotation in a coarse wake, which takes two seconds to develop and is then in the cache."""
    return {name: simulator(actuator=name, **COARSE) for name in ("jets", "rotation")}


def zeros(n):
    return np.zeros((n, 1))


def test_a_wake_sheds_as_it_should(wakes):
    baseline = wakes["jets"].baseline
    assert baseline == wakes["rotation"].baseline  # the same flow, kept once
    assert 3.1 < baseline.drag < 3.4 and 0.28 < baseline.strouhal < 0.31 and 0.4 < baseline.lift_rms < 0.8


def test_a_wake_begins_with_the_forces_of_its_phase(wakes):
    wake = wakes["jets"]
    coefficients, baseline = wake._developed().coefficients, wake.baseline
    assert len(coefficients) == round(4 / baseline.strouhal)
    assert coefficients[:, 1].std() == pytest.approx(baseline.lift_rms, rel=0.05)
    state = wake.start(40, np.random.default_rng(0))
    after = wake.act(state, zeros(40)).coefficients
    phase = np.array([np.flatnonzero((coefficients == one).all(axis=1))[0] for one in state.coefficients])
    inner = phase < len(coefficients) - 1
    np.testing.assert_allclose(after[inner], coefficients[phase[inner] + 1], atol=1e-5)


@pytest.mark.parametrize("actuator", ["jets", "rotation"])
def test_states_are_values_and_phases_differ(wakes, actuator):
    wake, rng = wakes[actuator], np.random.default_rng(0)
    state = wake.start(5, rng)
    before = wake.image(state, rng)
    most = wake.space.high[0]
    one, after = wake.step(state, np.full((5, 1), most), np.random.default_rng(1))
    two, _ = wake.step(state, np.full((5, 1), most), np.random.default_rng(2))
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(wake.image(state, rng).frames, before.frames)
    still, _ = wake.step(state, zeros(5), rng)
    assert np.abs(still.frames - one.frames).max() > 0.05
    assert len({frame.tobytes() for frame in before.frames}) > 2
    assert before.frames.shape == (5, 32, 96, 2) and before.frames.dtype == np.float32
    np.testing.assert_allclose(after.seconds, 0.025)
    kept = after.take(np.array([2, 2]))
    np.testing.assert_array_equal(wake.image(kept, rng).frames[0], wake.image(after, rng).frames[2])


def test_frames_lie_where_the_view_says(wakes):
    """The cylinder, which is still, is a disc of 0.1 m about (0.2, 0.2) m; the stream before it is a parabola."""
    wake, rng = wakes["jets"], np.random.default_rng(0)
    observation = wake.image(wake.start(1, rng), rng)
    row, column = np.mgrid[:32, :96]
    v = observation.view[0]
    x, y = v[0] * column + v[1] * row + v[2], v[3] * column + v[4] * row + v[5]
    distance = np.hypot(x - 0.2, y - 0.2)
    speed = np.hypot(*np.moveaxis(observation.frames[0], -1, 0))
    assert (speed[distance < 0.04] == 0).all() and (speed[distance > 0.06] > 0).all()
    inflow = observation.frames[0, :, 0, 0]
    np.testing.assert_allclose(inflow, 6 * y[:, 0] * (0.41 - y[:, 0]) / 0.41**2, rtol=0.1)


def test_coarser_pixels_are_means_of_finer_ones(wakes):
    wake, rng = wakes["jets"], np.random.default_rng(0)
    coarse = simulator(**COARSE, rows=16, columns=48, pixel=0.2)
    state = wake.start(1, rng)
    fine = wake.image(state, rng).frames.reshape(1, 16, 2, 48, 2, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(coarse.image(state, rng).frames, fine, atol=1e-6)
    np.testing.assert_allclose(coarse.view(), wake.view() * [2, 1, 1, 1, 2, 1] + [0, 0, 0.005, 0, 0, 0.005])


def test_the_actuator_follows_with_its_lag(wakes):
    """A tenth nearer in 0.005 D/U: after a quarter of D/U, 0.9^50 is left of the way."""
    wake = wakes["jets"]
    state = wake.act(wake.start(1, np.random.default_rng(0)), np.array([[0.8]]))
    assert state.amplitude[0] == pytest.approx(0.8 * (1 - 0.9**50))
    assert wake.act(state, zeros(1)).amplitude[0] == pytest.approx(0.8 * (1 - 0.9**50) * 0.9**50)


def test_constant_jets_cheat_and_are_charged_for_it(wakes):
    """Constant jets lower the drag at the price of lift: the cost says no."""
    wake, rng = wakes["jets"], np.random.default_rng(0)
    state = wake.start(1, rng).take(np.zeros(2, int))
    states = []
    for _ in range(120):
        state = wake.act(state, np.array([[0.0], [wake.space.high[0]]]))
        states.append(state)
    momentum = np.pi**2 / 8 * np.radians(10) / 2 / 0.5  # of a jet as fast as the stream, by hand
    np.testing.assert_allclose(states[-1].momentum, [0.0, momentum], rtol=1e-6)
    coefficients = np.stack([one.coefficients for one in states[40:]], axis=1)
    amplitudes = np.tile([[0.0], [1.0]], (1, 80))
    cost = wake_cost(coefficients, amplitudes, wake.settings.most, wake.baseline.drag, wake.baseline.lift_rms)
    assert abs(cost.drag_change[0]) < 1 and abs(cost.total[0]) < 1.5 and cost.energy.tolist() == [0.0, 1.0]
    assert cost.drag_change[1] < -3 and abs(cost.lift[1]) > 1.5 and cost.total[1] > 5


def test_a_cost_is_what_its_definition_says():
    """By hand: drag 3.3 and 3.1 against 3.0, lift 0.4 and 0.0 with squares 0.5 and 0.3, against an rms of 0.5."""
    coefficients = np.array([[[3.3, 0.4, 0.5], [3.1, 0.0, 0.3]]])
    cost = wake_cost(coefficients, np.array([[1.0, 3.0]]), 2.0, 3.0, 0.5)
    fluctuation = np.sqrt(0.4 - 0.2**2)
    assert cost.drag[0] == pytest.approx(3.2) and cost.lift[0] == pytest.approx(0.2)
    assert cost.lift_rms[0] == pytest.approx(fluctuation) and cost.energy[0] == pytest.approx(5 / 4)
    assert cost.total[0] == pytest.approx(100 * (0.2 + 0.2 * 0.2 + 0.05 * (fluctuation - 0.5)) / 3.0)
    calm = wake_cost(coefficients, np.array([[1.0, 3.0]]), 2.0, 3.0, 0.9)
    assert calm.total[0] == pytest.approx(100 * (0.2 + 0.2 * 0.2) / 3.0)


def test_feedback_calms_the_wake(wakes):
    """Gains that direct search found, and the expert's: the lift hardly swings any more, for next to no effort."""
    wake, rng = wakes["jets"], np.random.default_rng(0)
    controller = feedback(np.array([[0.6, 0.77, 0.17], [0.0, 0.0, 0.0], GAINS]), wake.settings)
    state = wake.start(1, rng).take(np.zeros(3, int))
    told = CylinderState.without_flow
    run = rollout(wake, state, wake.image(state, rng), controller, 120, rng, keep_states=told)
    assert all(len(one.populations.f) == 0 for one in run.states)
    rms = np.sqrt(np.stack([one.coefficients[:, 2] for one in run.states[80:]]).mean(axis=0))
    assert rms[0] < 0.3 * rms[1] and np.abs(run.controls[0, 80:]).mean() < 0.1 and rms[2] < 0.8 * rms[1]


def test_signals_are_what_they_say():
    waves = np.array([[0.5, 2.0, 0.3, 1.5], [9.0, 1.0, np.pi / 2, 1e9]])
    controller, frame = Signals(waves, 0.1, 1.0), Observation(np.zeros((2, 3, 4, 2)), np.zeros(2), np.zeros((2, 6)))
    memory, found = controller.start(2, np.random.default_rng(0)), []
    for _ in range(6):
        controls, memory = controller.act(memory, frame)
        found.append(controls)
    t = 0.1 * (np.arange(6) + 0.5)
    np.testing.assert_allclose(np.array(found)[:, 0, 0], 0.5 * np.exp(-t / 1.5) * np.sin(4 * np.pi * t + 0.3))
    np.testing.assert_allclose(np.array(found)[:, 1, 0], np.clip(9 * np.cos(2 * np.pi * t), -1, 1), atol=1e-12)


def test_probes_are_interpolated_and_stay_inside():
    row, column = np.mgrid[:5, :7]
    frames = np.stack([2.0 * column + row, -row], axis=-1)[None]
    view = np.array([[0.5, 0, 1.0, 0, 0.25, -1.0]])
    observation = Observation(frames, np.zeros(1), view)
    found = probe(observation, np.array([[2.2, -0.3], [1.0, -1.0], [4.0, 0.0]]))
    np.testing.assert_allclose(found[0], [[2 * 2.4 + 2.8, -2.8], [0, 0], [12 + 4, -4]])
    with pytest.raises(SimulatorError, match=r"probe 1 at \(4.1, 0\) m is outside the frame"):
        probe(observation, np.array([[2.0, 0.0], [4.1, 0.0]]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.array([[np.nan]]), "'jet' is NaN"),
        (np.array([[1.01]]), r"'jet' is 1.01 m/s, outside \[-1, 1\]"),
        (np.zeros((1, 2)), "the last axis must hold 1: jet"),
    ],
)
def test_controls_that_are_none_are_refused(wakes, wrong, message):
    wake, rng = wakes["jets"], np.random.default_rng(0)
    with pytest.raises(ControlError, match=message):
        wake.step(wake.start(1, rng), wrong, rng)


def test_shapes_and_settings_that_do_not_fit_are_refused(wakes):
    wake, rng = wakes["jets"], np.random.default_rng(0)
    with pytest.raises(SimulatorError, match=r"controls have shape \(1, 1\); expected \(2, 1\)"):
        wake.step(wake.start(2, rng), zeros(1), rng)
    with pytest.raises(SettingsError, match="start: n is 0"):
        wake.start(0, rng)
    with pytest.raises(SimulatorError, match=r"gains are \(3,\); expected \(episode, 3 lags\)"):
        feedback(np.zeros(3), wake.settings)
    with pytest.raises(SimulatorError, match=r"waves are \(1, 3\)"):
        Signals(np.zeros((1, 3)), 0.1, 1.0)
    with pytest.raises(SimulatorError, match="gains are"):
        Feedback(np.zeros((1, 2, 1)), 1.0, probe_places(0.1, (0.2, 0.2)))
    with pytest.raises(SimulatorError, match="a controller for 1 episodes was started for 2"):
        Signals(np.zeros((1, 4)), 0.1, 1.0).start(2, rng)
    for settings, message in (
        ({"actuator": "flaps"}, "actuator is 'flaps'; use one of jets, rotation"),
        ({"rows": 0}, "rows is 0"),
        ({"rows": 42}, "rows is 42; use an integer, at least 2 and at most 40"),
        ({"rows": 7}, "rows is 7; use an even number"),
        ({"columns": 217}, "columns is 217; use an integer, at least 2 and at most 216"),
        ({"columns": 96.0}, r"columns is 96\.0"),
        ({"actuator": ["jets"]}, "actuator is"),
        ({"pixel": None}, "pixel is None"),
        ({"length": True}, "length is True"),
        ({"reynolds": 10**400}, "reynolds is 1000"),
        ({"limit": 3.0}, r"limit is 3\.0; use a positive number, at most 2"),
        (
            {"lattice_speed": 0.1, "cells": 10},
            r"limit: the jet may reach a Mach number of 0\.47",
        ),
        ({"pixel": 0.13}, "pixel is 0.13 diameters of 20 cells; use one of whole cells"),
        ({"limit": -1.0}, "limit is -1"),
        ({"cell": 20}, "unknown setting cell"),
        ({"lattice_speed": 0.4}, "Mach number"),
    ):
        with pytest.raises(SettingsError, match=message):
            simulator(**settings)
    with pytest.raises(SettingsError, match="drag without control is 0"):
        wake_cost(np.zeros((1, 2, 3)), np.zeros((1, 2)), 1.0, 0.0, 0.0)
    with pytest.raises(SettingsError, match="most is 0"):
        wake_cost(np.zeros((1, 2, 3)), np.zeros((1, 2)), 0.0, 1.0, 0.0)
    assert CylinderSettings(actuator="rotation", limit=1.5).most == 30.0
    assert CylinderSettings(rows=np.int64(16), length=np.float32(0.5)) == CylinderSettings(rows=16, length=0.5)
    assert module.CylinderSimulator.judge.startswith("lattice Boltzmann")
