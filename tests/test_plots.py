"""Figures show the data where they are: row 0 on top, equal aspect, shared scales, axes with units."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
from numpy.testing import assert_array_equal

from sciworld import plots
from sciworld.errors import SettingsError

Y, X = 5, 7
EXTENT = (-3.0, 3.0, -1.0, 1.0)


def frames(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, Y, X)).astype(np.float32)


def heatmaps(figure: go.Figure) -> list[go.Heatmap]:
    return [trace for trace in figure.data if isinstance(trace, go.Heatmap)]


def text(figure: go.Figure) -> str:
    return figure.to_json()


def test_a_strip_shows_every_image_on_one_scale():
    truth, samples = frames(3), frames(2, seed=1) + 5
    figure = plots.image_strip({"truth": truth, "sample": samples}, ["0 s", "5 s", "10 s"], "Futures", "counts")
    shown = heatmaps(figure)
    assert len(shown) == 5
    assert_array_equal(shown[1].z, truth[1])
    assert_array_equal(shown[4].z, samples[1])
    assert {trace.coloraxis for trace in shown} == {"coloraxis"}
    assert figure.layout.coloraxis.cmin == pytest.approx(truth.min())
    assert figure.layout.coloraxis.cmax == pytest.approx(samples.max())
    assert figure.layout.coloraxis.colorbar.title.text == "counts"
    assert figure.layout.yaxis.title.text == "truth" and figure.layout.yaxis4.title.text == "sample"
    assert [note.text for note in figure.layout.annotations] == ["0 s", "5 s", "10 s"]


@pytest.mark.parametrize("count", [1, 2, 12])
def test_a_strip_fits_the_page_whatever_its_length(count):
    figure = plots.image_strip({"a": frames(count), "b": frames(count)})
    assert 150 < figure.layout.width <= plots.WIDTH + 200
    assert figure.layout.height < 700


def test_row_0_is_on_top_and_aspect_is_equal():
    for figure in (
        plots.image_strip({"a": frames(2)}),
        plots.compare_maps(*frames(2), EXTENT),
        plots.path_on_image(frames(1)[0], np.zeros((2, 2))),
    ):
        panels = [figure.layout[name] for name in figure.layout if str(name).startswith("yaxis")]
        assert all(axis.autorange == "reversed" for axis in panels)
        assert all(axis.scaleanchor == "x" + axis.plotly_name[5:] for axis in panels)
        assert figure.layout.xaxis.autorange is True
    upward = plots.compare_maps(*frames(2), (-3.0, 3.0, 1.0, -1.0))
    assert upward.layout.yaxis.autorange is True, "rows that go down the axis stay on top without reversing it"
    leftward = plots.compare_maps(*frames(2), (3.0, -3.0, -1.0, 1.0))
    assert leftward.layout.xaxis.autorange == "reversed"


def test_maps_share_a_scale_and_the_difference_diverges_from_zero():
    learned, true = frames(2)
    marks = {"Si": np.array([0.0, 0.0]), "C": np.array([[1.0, 0.5], [-1.0, 0.5]])}
    figure = plots.compare_maps(learned, true, EXTENT, "Hop", ("beam x (A)", "beam y (A)"), "P", marks)
    one, two, difference = heatmaps(figure)
    assert (one.coloraxis, two.coloraxis, difference.coloraxis) == ("coloraxis", "coloraxis", "coloraxis2")
    np.testing.assert_allclose(difference.z, learned.astype(float) - true)
    assert figure.layout.coloraxis2.cmin == -figure.layout.coloraxis2.cmax
    assert figure.layout.coloraxis.cmax == pytest.approx(max(learned.max(), true.max()))
    assert_array_equal(one.x, np.linspace(-3, 3, X))
    assert_array_equal(one.y, np.linspace(-1, 1, Y))
    assert figure.layout.xaxis3.title.text == "beam x (A)" and figure.layout.yaxis.title.text == "beam y (A)"
    named = [trace.name for trace in figure.data if isinstance(trace, go.Scatter) and trace.showlegend]
    assert named == ["Si", "C"], "one legend entry each, not one a panel"


ODD = [np.nan, np.inf, -np.inf, 1.7e308, -1.7e308]


@pytest.mark.parametrize("odd", ODD)
def test_images_of_anything_are_drawn_with_numbers_on_their_scales(odd):
    some, whole = frames(2).astype(np.float64), np.full((2, Y, X), odd)
    some[0, 1, 2], some[1, 3, 4] = odd, -odd
    for one in (some, whole):
        figures = [
            plots.image_strip({"a": one, "b": frames(1, seed=1)}), plots.image_strip({"a": one}),
            plots.compare_maps(one[0], one[1], EXTENT), plots.compare_maps(frames(1)[0], one[0], EXTENT),
        ]  # fmt: skip
        for figure in figures:
            axes = {trace.coloraxis for trace in heatmaps(figure)}
            scales = [figure.layout[axis] for axis in axes]
            assert all(scale.cmin < scale.cmax and np.isfinite(scale.cmax - scale.cmin) for scale in scales)
    strip = heatmaps(plots.image_strip({"a": some}))
    assert_array_equal(strip[0].z, some[0] if abs(odd) < np.inf else some[0].astype(np.float32))
    assert plots.image_strip({"a": [[[-3.0, odd, 2.0]]]}).layout.coloraxis.cmin <= -3.0
    if not abs(odd) < np.inf:
        ends = plots.image_strip({"a": [[[-3.0, odd, 2.0]]]}).layout.coloraxis
        assert (ends.cmin, ends.cmax) == (-3.0, 2.0)


def test_maps_show_what_is_not_finite_in_a_grey_of_neither_scale():
    learned, true = frames(2)
    assert plots.compare_maps(learned, true, EXTENT).layout.plot_bgcolor is None
    learned[2, 3] = np.inf
    figure = plots.compare_maps(learned, true, EXTENT)
    assert figure.layout.plot_bgcolor == "rgb(84, 84, 84)" == f"rgb{plots.LOST}"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.image_strip({}), "image strip: no rows"),
        (lambda: plots.image_strip({"a": frames(0)}), r"image strip: 'a' has shape \(0, 5, 7\)"),
        (lambda: plots.image_strip({"a": frames(1)[0]}), r"'a' has shape \(5, 7\); give frames \(column, y, x\)"),
        (lambda: plots.image_strip({"a": frames(2), "b": frames(2)[:, 1:]}), r"of \(5, 7\) pixels and 'b' of \(4, 7\)"),
        (lambda: plots.image_strip({"a": [np.ones((2, 3)), np.ones((2, 4))]}), "frames of 'a' are no array of numbers"),
        (lambda: plots.compare_maps(frames(1)[0], frames(1)[0, 1:], EXTENT), r"maps: \(5, 7\) and \(4, 7\)"),
        (lambda: plots.compare_maps(np.ones((0, 3)), np.ones((0, 3)), EXTENT), "of a cell or more"),
        (lambda: plots.compare_maps([[1.0], [1.0, 2.0]], np.ones((2, 1)), EXTENT), "maps: learned are no array"),
    ],
)
def test_images_that_cannot_be_drawn_are_named(draw, message):
    with pytest.raises(SettingsError, match=message):
        draw()


def test_equal_maps_have_a_scale_too():
    figure = plots.compare_maps(np.zeros((Y, X)), np.zeros((Y, X)), EXTENT)
    assert figure.layout.coloraxis2.cmax == 1.0


def test_a_path_has_a_start_and_a_goal():
    path = np.array([[0.0, 0.5], [1.0, 0.2], [2.0, -0.5]])
    figure = plots.path_on_image(frames(1)[0], path, np.array([2.5, -0.5]), EXTENT, "Path", ("x (A)", "y (A)"))
    line, start, goal = (trace for trace in figure.data if isinstance(trace, go.Scatter))
    assert_array_equal(np.column_stack([line.x, line.y]), path)
    assert (start.name, start.x[0], start.y[0]) == ("start", 0.0, 0.5)
    assert (goal.name, goal.x[0], goal.y[0]) == ("goal", 2.5, -0.5)
    assert figure.layout.title.text == "Path" and figure.layout.yaxis.title.text == "y (A)"
    assert "goal" not in text(plots.path_on_image(frames(1)[0], path))


def test_curves_take_what_each_row_has():
    rows = [
        {"step": 0, "loss": 4.0, "note": "first"},
        {"step": 1, "loss": 0.0, "validation": 3.0},
        {"step": 2, "loss": 1.0, "validation": None},
    ]
    figure = plots.curves(rows, title="Training", y_title="loss")
    loss, validation = figure.data
    assert (list(loss.x), list(loss.y)) == ([0, 2], [4.0, 1.0]), "a logarithm has no 0"
    assert (validation.name, list(validation.x)) == ("validation", [1])
    assert figure.layout.yaxis.type == "log" and figure.layout.xaxis.title.text == "step"
    linear = plots.curves(rows, ["loss"], log=False)
    assert list(linear.data[0].y) == [4.0, 0.0, 1.0] and linear.layout.yaxis.type == "linear"
    many = plots.curves([{"step": 0} | {f"c{i}": 1.0 for i in range(9)}])
    assert len(many.data) == 9
