"""Chosen controls beside the truth: what is computed, and what a figure shows of it."""

from __future__ import annotations

import dataclasses

import blob
import numpy as np
import pytest
from stand_ins import PAINT, SECONDS, Seer, Still

from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.domains.stem.simulator import StemSettings, StemSimulator
from sciworld.errors import ControlError, SettingsError, SimulatorError
from sciworld.simulator import Observation
from sciworld.widgets.compare import compare

PLAN = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0], [1.0, -0.5, 2.0]])
START = np.array([[1.0, 1.0]])


class Short(blob.Blob):
    """A world in which a push moves half as far."""

    def step(self, state, controls, rng):
        return super().step(state, controls * [0.5, 0.5, 1.0], rng)


def looked(surrogate=None, world=None, samples=4, seed=0, objective=None):
    state, present = (world or blob.Blob()).start(START)
    rng, state = np.random.default_rng(seed), None if world is None else state
    return compare(surrogate or Seer(), present, PLAN, samples, rng, world, state, objective)


def panel(figure, title):
    """What is drawn in the panel whose title begins so."""
    (note,) = (note for note in figure.layout.annotations if note.text.startswith(title))

    def below(trace):
        x, y = (figure.layout[name[0] + "axis" + name[1:]].domain for name in (trace.xaxis, trace.yaxis))
        return np.allclose([note.x, note.y], [np.mean(x), y[1]])

    return [trace for trace in figure.data if below(trace)]


def test_futures_truth_and_scores_of_a_world_that_is_known():
    found = looked(world=blob.Blob(), objective=blob.Brightness(3, 1))
    position, expected = START, []
    for row in PLAN:
        position = blob.move(position, row)
        expected.append(blob.render(position)[0])
    np.testing.assert_allclose(found.mean, expected, atol=1e-6)
    np.testing.assert_allclose(found.truth, expected, atol=1e-6)
    assert found.samples.shape == (4, 3, blob.Y, blob.X, 1)
    assert np.abs(found.spread).max() == np.abs(found.difference).max() == 0
    np.testing.assert_allclose(found.times, SECONDS * np.arange(1, 4))
    # Up to each step: the score of a prefix is that of its last frame.
    brightness = [frame[1, 3, 0] for frame in expected]
    np.testing.assert_allclose(found.scores, np.tile(brightness, (4, 1)), atol=1e-6)
    np.testing.assert_allclose(found.truth_scores, brightness, atol=1e-6)


def test_spread_is_the_deviation_of_samples():
    found = looked(Seer(noise=0.3), samples=6)
    np.testing.assert_allclose(found.spread, found.samples.std(axis=0, ddof=1))
    assert found.spread.max() > 0.05
    assert found.truth is found.difference is found.scores is found.truth_scores is None
    assert np.isnan(looked(Seer(noise=0.3), samples=1).spread).all()


def test_the_same_seed_shows_the_same_futures_and_the_same_truth_beside_any_surrogate():
    one, again = (looked(Seer(noise=0.3), blob.Blob(noise=0.2)) for _ in range(2))
    np.testing.assert_array_equal(one.samples, again.samples)
    np.testing.assert_array_equal(one.truth, again.truth)
    np.testing.assert_array_equal(one.truth, looked(Seer(noise=0.1), blob.Blob(noise=0.2), samples=2).truth)
    assert np.abs(one.samples - looked(Seer(noise=0.3), seed=1).samples).max() > 0.05


def test_a_truth_that_differs_is_shown_with_the_difference():
    found = looked(world=Short())
    figure = found.figure(2)
    (mean,), (truth,), (apart,) = (panel(figure, title) for title in ("predicted", "trusted", "mean"))
    np.testing.assert_allclose(mean.z, found.mean[1, :, :, 0], atol=1e-6)
    np.testing.assert_allclose(truth.z, found.truth[1, :, :, 0], atol=1e-6)
    np.testing.assert_allclose(apart.z, mean.z - truth.z, atol=1e-6)
    assert np.abs(apart.z).max() > 0.2
    assert figure.layout.coloraxis2.cmax == pytest.approx(np.abs(found.difference).max())
    curves = {trace.name: trace for trace in figure.select_traces(selector={"mode": "lines+markers"})}
    assert curves["trusted simulator"].line.dash == "dash" and curves["predicted mean"].line.width == 3
    np.testing.assert_allclose(curves["trusted simulator"].y[1:], found.truth.mean(axis=(1, 2, 3)))
    assert curves["predicted mean"].x == pytest.approx([0.0, 2.0, 4.0, 6.0])


def test_a_figure_names_controls_and_units():
    figure = looked(objective=blob.Brightness(3, 1)).figure(3)
    assert figure.layout.title.text == "step 3 of 3, 6 s: push_x 1 mm, push_y -0.5 mm, gear 2"
    assert figure.layout.coloraxis.colorbar.title.text == "light (counts)"
    picture = figure.layout
    assert (picture.xaxis.range, picture.yaxis.range, picture.yaxis.scaleanchor) == ((-0.5, 6.5), (4.5, -0.5), "x")
    titles = {axis.title.text for axis in (*figure.select_xaxes(), *figure.select_yaxes())}
    assert {"time after the present (s)", "score"} <= titles
    assert not [note for note in figure.layout.annotations if note.text.startswith("trusted")]


def test_difference_ends_where_the_field_of_view_moves():
    class Moving(blob.Blob):
        def step(self, state, controls, rng):
            seen, after = super().step(state, controls, rng)
            return dataclasses.replace(seen, view=seen.view + (after.seconds[0] > SECONDS)), after

    found = looked(world=Moving())
    assert found.still.tolist() == [True, False, False]
    assert np.isfinite(found.difference[0]).all() and np.isnan(found.difference[1:]).all()
    assert "moved" in str(found.figure(2).layout.annotations) and "moved" not in str(found.figure(1).layout.annotations)


def test_red_green_and_blue_bytes_are_a_picture():
    frames = np.random.default_rng(0).integers(0, 256, (1, 5, 7, 3)).astype(np.uint8)
    present = Observation(frames, np.zeros(1), np.array([[1.0, 0, 0, 0, 1, 0]]))
    found = compare(PAINT, present, np.full((2, 1), 300.0), 3, np.random.default_rng(0))
    figure = found.figure(1)
    shown = [panel(figure, title)[0].type for title in ("present", "predicted", "sample")]
    assert shown == ["image"] * 3
    assert panel(figure, "spread")[0].type == "heatmap" and not figure.layout.coloraxis.showscale
    (green,) = panel(found.figure(1, "green"), "present")
    np.testing.assert_array_equal(green.z, frames[0, :, :, 1])
    floats = dataclasses.replace(present, frames=frames.astype(np.float32))
    red = compare(PAINT, floats, np.zeros((1, 1)), 1, np.random.default_rng(0)).figure(1)
    np.testing.assert_array_equal(panel(red, "present")[0].z, frames[0, :, :, 0])


def test_the_beam_is_marked_where_it_hits_the_silicon():
    simulator = StemSimulator(StemSettings(rows=20, columns=28, drift=0.0))
    state = simulator.start(1, np.random.default_rng(5))
    present = simulator.image(state, np.random.default_rng(0), noisy=False)
    controls = np.tile([*state.silicon[0], 0.5], (2, 1))
    surrogate = Still(channels=ColumnTable((Column("haadf", "counts"),)), space=simulator.space)
    found = compare(surrogate, present, controls, 2, np.random.default_rng(0), simulator, state)
    picture, mark = panel(found.figure(2), "present")
    row, column = np.unravel_index(np.argmax(picture.z), picture.z.shape)
    assert mark.x[0] == pytest.approx(column, abs=0.51) and mark.y[0] == pytest.approx(row, abs=0.51)
    assert len(panel(found.figure(2), "trusted")) == 2
    assert found.truth.shape == (2, 20, 28, 1) and (np.diff(found.truth, axis=0) != 0).any()
    with pytest.raises(SimulatorError, match="beam"):  # the simulator's own word on what it cannot do
        compare(surrogate, present, controls + np.array([20, 0, 0]), 2, np.random.default_rng(0), simulator, state)


def test_to_xarray_has_units():
    ds = looked(world=Short(), objective=blob.Brightness(3, 1)).to_xarray()
    assert dict(ds.sizes) == {"y": 5, "x": 7, "channel": 1, "sample": 4, "step": 3, "control": 3}
    assert ds["time"].attrs["units"] == "s" and ds["control_units"].values.tolist() == ["mm", "mm", "1"]
    assert ds["channel_units"].values.tolist() == ["counts"]
    np.testing.assert_allclose(ds["samples"].mean("sample"), ds["mean"])
    np.testing.assert_array_equal(ds["controls"].sel(control="push_y"), PLAN[:, 1])
    assert ds["scores"].dims == ("sample", "step") and ds["truth_scores"].dims == ("step",)
    assert not {"truth", "scores", "truth_scores"} & set(looked().to_xarray().variables)


def refused(**changes):
    state, present = blob.Blob().start(START)
    given = {"surrogate": Seer(), "history": present, "controls": PLAN, "samples": 2, "rng": np.random.default_rng(0)}
    return compare(**given | {name: make(state, present) for name, make in changes.items()})


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"controls": lambda *_: PLAN + np.array([3, 0, 0])}, ControlError, "'push_x' is 4 mm, outside"),
        ({"controls": lambda *_: PLAN[0]}, ControlError, r"controls are \(3,\); give \(step, 3\)"),
        ({"controls": lambda *_: PLAN[:0]}, ControlError, r"controls are \(0, 3\)"),
        ({"samples": lambda *_: 0}, SettingsError, "samples is 0"),
        ({"state": lambda state, _: state}, SettingsError, "give both trusted and state"),
        ({"trusted": lambda *_: blob.Blob()}, SettingsError, "give both trusted and state"),
        ({"history": lambda _, seen: seen.take(np.array([0, 0]))}, SettingsError, "of 2 rows"),
        ({"history": lambda _, seen: [seen.take(np.array([0, 0])), seen]}, SettingsError, "of 2 rows"),
        (
            {"trusted": lambda *_: blob.Blob(), "state": lambda *_: blob.Blob().start([[1, 1], [2, 2]])[0]},
            SimulatorError,
            "give the state of one candidate",
        ),
        (
            {"trusted": lambda *_: StemSimulator(), "state": lambda state, _: state},
            ControlError,
            "the trusted simulator: controls are beam_x, beam_y, dwell",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, error, said):
    with pytest.raises(error, match=said):
        refused(**changes)


def test_a_step_or_channel_that_there_is_none_of_is_refused():
    found = looked()
    for step in (0, 4):
        with pytest.raises(SettingsError, match=f"step is {step}"):
            found.figure(step)
    for channel in ("heat", ""):
        with pytest.raises(ControlError, match=f"no column '{channel}'; there are light"):
            found.figure(1, channel)


def test_levels_are_named_in_the_title():
    mode = ControlSpace(ColumnTable((Column("mode", "1", kind="categorical", levels=("off", "<on>")),)))
    _, present = blob.Blob().start(START)
    figure = compare(Still(space=mode), present, np.ones((1, 1)), 2, np.random.default_rng(0)).figure(1)
    assert figure.layout.title.text.endswith("mode &lt;on&gt;")
