"""Sliders that are moved change the figure; no browser is needed."""

from __future__ import annotations

import dataclasses
import sys

import blob
import numpy as np
import pytest
import toy
from stand_ins import SECONDS, Seer, Still
from toy_model import tiny
from toy_simulator import ToySimulator

from sciworld.controls import ColumnTable, ControlSpace
from sciworld.errors import ControlError, MissingDependencyError, SettingsError
from sciworld.surrogate.surrogate import Surrogate
from sciworld.widgets.steer import steer

START = np.array([[3.0, 2.0]])


def parts(box):
    """The sliders of controls, of the step, the message, and the figure."""
    *sliders, step, message, figure = box.children
    return sliders, step, message, figure


def opened(surrogate=None, **settings):
    state, present = blob.Blob().start(START)
    settings = {"horizon": 3, "samples": 2, "trusted": blob.Blob(), "state": state} | settings
    return steer(surrogate or Seer(), present, **settings)


def pictures(figure):
    """The mean and the truth, as they are shown."""
    mean, truth = (trace.z for trace in figure.data if trace.xaxis in ("x2", "x4") and trace.type == "heatmap")
    return np.array(mean), np.array(truth)


def test_a_moved_slider_changes_what_is_shown():
    box = opened()
    (push, _, gear), step, message, figure = parts(box)
    assert [each.value for each in (*parts(box)[0], step)] == [0, 0, 0, 3]
    before = pictures(figure)[0]
    np.testing.assert_allclose(before, blob.render(START)[0, :, :, 0], atol=1e-6)
    push.value, gear.value = 0.5, 2
    np.testing.assert_allclose(pictures(figure)[0], blob.render(START + np.array([1.5, 0]))[0, :, :, 0], atol=1e-6)
    np.testing.assert_array_equal(*pictures(figure))
    assert figure.layout.title.text == "step 3 of 3, 6 s: push_x 0.5 mm, push_y 0 mm, gear 2"
    np.testing.assert_array_equal(box.compared.controls, np.tile([0.5, 0.0, 2.0], (3, 1)))
    step.value = 1
    np.testing.assert_allclose(pictures(figure)[1], blob.render(START + np.array([0.5, 0]))[0, :, :, 0], atol=1e-6)
    assert figure.layout.title.text.startswith("step 1 of 3") and message.value == ""


def test_controls_moved_back_show_the_same_futures():
    box = opened(Seer(noise=0.3))
    (_, push, gear), _, _, figure = parts(box)
    gear.value = 2
    before = box.compared.samples, pictures(figure)[0]
    push.value = 1.0
    assert np.abs(pictures(figure)[0] - before[1]).max() > 0.1
    push.value = 0.0
    np.testing.assert_array_equal(box.compared.samples, before[0])
    np.testing.assert_array_equal(pictures(figure)[0], before[1])


def test_kinds_bounds_and_units_of_sliders():
    (fan_x, fan_y, mode), _, _, _ = parts(toy_view())
    assert (fan_x.description, fan_x.min, fan_x.max, fan_x.value) == ("fan_x (mm)", 0, toy.WIDTH, toy.WIDTH / 2)
    assert fan_y.max == toy.HEIGHT and mode.options == (("off", 0.0), ("blow", 1.0), ("pull", 2.0))
    (push, _, gear), _, _, _ = parts(opened(low=np.array([-0.5, 0, 1]), high=np.array([0.5, 0, 2])))
    assert (push.min, push.max, push.step) == (-0.5, 0.5, pytest.approx(0.01))
    assert (type(gear).__name__, gear.min, gear.max, gear.value) == ("IntSlider", 1, 2, 1)


def toy_view(**settings):
    simulator = ToySimulator()
    state, present = simulator.start(1, np.random.default_rng(0))
    surrogate = Surrogate(tiny(), evaluations=1)
    return steer(surrogate, present, 2, 2, simulator, state, channel="heat", **settings)


def test_a_learned_surrogate_is_steered():
    box = toy_view()
    sliders, _, message, figure = parts(box)
    before = box.compared
    sliders[2].value = 1.0
    assert message.value == "" and "mode blow" in figure.layout.title.text
    assert (box.compared.truth != before.truth).any() and (box.compared.samples != before.samples).any()
    np.testing.assert_allclose(pictures(figure)[0], box.compared.mean[1, :, :, 1], atol=1e-3)
    assert figure.layout.coloraxis.colorbar.title.text == "heat (K)"


def test_a_position_is_moved_within_the_field_of_view():
    fan = [dataclasses.replace(column, low=-50.0, high=50.0) for column in toy.CONTROLS.columns[:2]]
    _, present = blob.Blob().start(START)
    for frame, pitch, shift in (("lab", 0.5, -1.0), ("pixel", 1.0, 0.0)):
        space = ControlSpace(ColumnTable(tuple(dataclasses.replace(column, frame=frame) for column in fan)))
        seen = dataclasses.replace(present, view=np.array([[0.5, 0, -1, 0, 0.5, -1]]))
        x, y = parts(steer(Still(space=space), seen, 1, 2))[0]
        assert (x.min, x.max) == (shift, shift + pitch * (blob.X - 1))
        assert (y.min, y.max, y.value) == (shift, shift + pitch * (blob.Y - 1), shift + pitch * (blob.Y - 1) / 2)


def test_what_fails_is_said_and_the_figure_stays():
    def fails(futures, controls):
        if controls[0, 0, 0] > 1:
            raise ZeroDivisionError("a <scientist's> slip")
        return futures.isel(time=-1).mean(("y", "x", "channel"))

    box = opened(objective=fails)
    (push, _, _), _, message, figure = parts(box)
    shown, title = box.compared, figure.layout.title.text
    push.value = 1.5
    assert "ZeroDivisionError: a &lt;scientist" in message.value and box.compared is shown
    assert figure.layout.title.text == title
    push.value = 0.5
    assert message.value == "" and "push_x 0.5 mm" in figure.layout.title.text


def test_an_objective_is_written_on_arrays_with_names_or_without():
    """As `find_controls` takes it; its times are those of the surrogate."""
    seen = []

    def light(futures, controls):
        seen.append(futures.time.values)
        return futures.sel(channel="light").isel(time=-1).mean(("y", "x"))

    class Light:
        linear = True

        def __call__(self, futures, controls):
            return futures[:, :, -1, :, :, 0].mean(axis=(2, 3))

    named, plain = (opened(objective=wish).compared for wish in (light, Light()))
    np.testing.assert_allclose(named.scores, plain.scores)
    np.testing.assert_allclose(named.truth_scores, plain.truth_scores)
    assert named.scores.shape == (2, 3)
    np.testing.assert_array_equal(seen[-1], SECONDS * np.arange(1, 4))


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"low": [0, 0]}, SettingsError, r"low is \(2,\); give \(3,\): push_x, push_y, gear"),
        ({"high": [9, 1, 2]}, ControlError, "steer: high: 'push_x' is 9 mm, outside"),
        ({"low": [1, 0, 0], "high": [0, 1, 2]}, SettingsError, "'push_x' has low 1 above high 0"),
        ({"horizon": 0}, SettingsError, "horizon is 0"),
        ({"channel": "heat"}, ControlError, "no column 'heat'"),
        ({"trusted": None}, SettingsError, "give both trusted and state"),
    ],
)
def test_what_cannot_be_steered_is_refused(settings, error, said):
    with pytest.raises(error, match=said):
        opened(**settings)


def test_controls_without_bounds_need_them_given():
    free = Still(space=ControlSpace(blob.SPACE.table.unbounded()))
    with pytest.raises(ControlError, match="'push_x' has no bounds; give low and high"):
        opened(free, trusted=None, state=None)
    low, high = np.array([-1.0, -1, 0]), np.array([1.0, 1, 2])
    assert parts(opened(free, trusted=None, state=None, low=low, high=high))[0][2].max == 2
    with pytest.raises(SettingsError, match="history is empty"):
        steer(free, [], low=low, high=high)


@pytest.mark.parametrize("package", ["ipywidgets", "anywidget"])
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    if package == "ipywidgets":
        monkeypatch.setitem(sys.modules, package, None)
    else:
        from plotly import missing_anywidget

        monkeypatch.setattr("plotly.graph_objects.FigureWidget", missing_anywidget.FigureWidget)
    with pytest.raises(MissingDependencyError, match=rf"{package}.*pip install 'sciworld\[notebook\]'"):
        opened()
