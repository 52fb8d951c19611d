"""A movie shows each frame of each panel at its time, in colours that mean what the colour bars say."""

from __future__ import annotations

import base64
import io

import av
import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sciworld import plots
from sciworld.errors import SettingsError
from sciworld.plots.movies import EMPTY, SHADES

TIME, Y, X = 4, 5, 7
TITLES = [f"step {i + 1}" for i in range(TIME)]


def frames(n: int = TIME, seed: int = 0, y: int = Y, x: int = X) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, y, x))


def picture(address: str) -> np.ndarray:
    """The picture (y, x, 3) that an independent reader finds in an address."""
    name, content = address.split(",", 1)
    assert name == "data:image/png;base64"
    with av.open(io.BytesIO(base64.b64decode(content))) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def colours(figure: go.Figure, axis: str, values: np.ndarray) -> np.ndarray:
    """The colours (..., 3) of values on a colour axis of the figure."""
    axis = figure.layout[axis]
    stops = np.array([[int(part) for part in colour[4:-1].split(",")] for _, colour in axis.colorscale])
    places = [place for place, _ in axis.colorscale]
    bright = (values - axis.cmin) / (axis.cmax - axis.cmin)
    return np.stack([np.interp(bright, places, stops[:, channel]) for channel in range(3)], axis=-1)


def shown(figure: go.Figure, panel: int, time: int) -> np.ndarray:
    return picture(figure.frames[time].data[panel].source)


@given(
    image=st.integers(1, 9).flatmap(
        lambda x: st.lists(st.lists(st.integers(0, 4), min_size=x, max_size=x), min_size=1, max_size=6)
    )
)
@settings(max_examples=40)
def test_a_picture_with_a_palette_reads_back_as_it_was(image):
    image = np.array(image, np.uint8)
    palette = np.random.default_rng(0).integers(0, 256, (5, 3)).astype(np.uint8)
    assert_array_equal(picture(plots.indexed_uri(image, palette)), palette[image])


@pytest.mark.parametrize(
    "image", [np.arange(200)[None].repeat(90, 0), np.random.default_rng(1).integers(0, 200, (90, 200))]
)
def test_smooth_and_noisy_pictures_read_back_and_are_shorter_than_without_a_palette(image):
    image = image.astype(np.uint8)
    palette = np.arange(200, dtype=np.uint8)[:, None].repeat(3, 1)
    address = plots.indexed_uri(image, palette)
    assert_array_equal(picture(address), palette[image])
    assert image[0, 1] == 1 or len(address) < 0.8 * len(plots.data_uri(palette[image]))


def test_every_pixel_has_the_colour_that_the_bar_gives_its_value():
    truth, sample = frames(), frames(seed=1) + 3
    figure = plots.movie(
        {"truth": truth, "sample": sample}, TITLES, "Futures", "counts", differences={"error": sample - truth}
    )
    most = np.abs(sample - truth).max()
    grey, diverging = figure.layout.coloraxis, figure.layout.coloraxis2
    assert (grey.cmin, grey.cmax) == (truth.min(), sample.max())
    assert (diverging.cmin, diverging.cmax) == (-most, most)
    assert grey.colorbar.title.text == diverging.colorbar.title.text == "counts"
    step = 255 / SHADES * 3  # half a shade, where a colour scale is up to 6 times as steep as on average
    for time in range(TIME):
        for panel, (axis, values) in enumerate(
            [("coloraxis", truth), ("coloraxis", sample), ("coloraxis2", sample - truth)]
        ):
            np.testing.assert_allclose(shown(figure, panel, time), colours(figure, axis, values[time]), atol=step)
    assert figure.layout.title.text == "Futures"
    assert [note.text for note in figure.layout.annotations] == ["truth", "sample", "error"]


def test_colour_bars_belong_to_a_trace_and_stand_right_of_their_panels():
    figure = plots.movie({"a": frames(), "b": frames()}, TITLES, differences={"c": frames(), "d": frames()})
    assert [trace.marker.coloraxis for trace in figure.data[4:]] == ["coloraxis", "coloraxis2"]
    right = [figure.layout[axis].domain[1] for axis in ("xaxis2", "xaxis4")]
    bars = [figure.layout[axis].colorbar.x for axis in ("coloraxis", "coloraxis2")]
    assert right[0] < bars[0] < figure.layout.xaxis3.domain[0] and right[1] < bars[1]
    assert "coloraxis2" not in plots.movie({"a": frames()}, TITLES).to_json()


def test_it_plays_every_frame_and_the_slider_reaches_each():
    figure = plots.movie({"a": frames(), "b": frames(seed=1)}, TITLES, seconds=0.25)
    names = [frame.name for frame in figure.frames]
    assert len(set(names)) == TIME
    assert all(frame.traces == (0, 1) for frame in figure.frames)
    assert all(isinstance(figure.data[i], go.Image) for i in figure.frames[0].traces)
    assert figure.data[0].source == figure.frames[0].data[0].source, "it begins with the first frame"
    (slider,), (menu,) = figure.layout.sliders, figure.layout.updatemenus
    assert [step.label for step in slider.steps] == TITLES
    assert [step.args[0] for step in slider.steps] == [(name,) for name in names]
    play, pause = menu.buttons
    assert play.args[0] is None and play.args[1]["frame"] == {"duration": 250, "redraw": True}
    assert pause.args[0] == (None,) and pause.args[1]["mode"] == "immediate"


def test_titles_may_repeat():
    figure = plots.movie({"a": frames()}, ["present"] * TIME)
    assert len({step.args[0][0] for step in figure.layout.sliders[0].steps}) == TIME


def test_what_is_not_finite_is_red_and_what_is_not_there_is_empty():
    truth, sample = frames(), frames(2, seed=1)
    truth[1, 2, 3], truth[2], sample[1, 0, 6] = np.nan, np.nan, np.inf
    figure = plots.movie({"truth": truth, "sample": sample}, TITLES)
    red = (shown(figure, 0, 1) == plots.ODD).all(axis=-1)
    assert red[2, 3] and red.sum() == 1
    assert (shown(figure, 0, 2) == plots.ODD).all()
    assert (shown(figure, 1, 1)[0, 6] == plots.ODD).all()
    assert all((shown(figure, 1, time) == EMPTY).all() for time in (2, 3))
    assert figure.layout.coloraxis.cmax == max(truth[np.isfinite(truth)].max(), sample[np.isfinite(sample)].max())


def test_what_is_not_finite_in_differences_is_a_grey_that_no_difference_has():
    error = np.linspace(-1, 1, Y * X).reshape(1, Y, X)
    error[0, 2, 3], error[0, 4, 6] = np.nan, np.inf
    figure = plots.movie({"a": frames(1)}, ["now"], differences={"error": error})
    picture = shown(figure, 1, 0).astype(int)
    lost = (picture == plots.LOST).all(axis=-1)
    np.testing.assert_array_equal(np.argwhere(lost), [[2, 3], [4, 6]])
    assert len(set(plots.LOST)) == 1 and max(plots.LOST) < 100
    scale = np.array(
        [[int(part) for part in colour[4:-1].split(",")] for _, colour in figure.layout.coloraxis2.colorscale]
    )
    between = np.linspace(scale[:-1], scale[1:], 50).reshape(-1, 3)
    assert np.abs(between - plots.LOST).sum(axis=1).min() > 40


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1.7e308, -1.7e308])
@pytest.mark.parametrize("shape", [(Y, X), (190, 170)])
def test_a_movie_of_anything_is_drawn_with_numbers_on_its_scales(odd, shape):
    some, whole = frames(2, 0, *shape), np.full((2, *shape), odd)
    some[0, 1, 2], some[1, 0, 0] = odd, -odd
    for one in (some, whole):
        figure = plots.movie({"a": one, "b": frames(1, 1, *shape)}, ["one", "two"], differences={"c": one})
        for axis in (figure.layout.coloraxis, figure.layout.coloraxis2):
            assert axis.cmin < axis.cmax and np.isfinite(axis.cmax - axis.cmin)
        alone = plots.movie({"a": one}, ["one", "two"]).layout.coloraxis
        assert alone.cmin < alone.cmax
    if abs(odd) < np.inf:
        ends = shown(plots.movie({"a": [[[-odd, 0.0, odd]]]}, ["now"]), 0, 0)[0, :, 0]
        assert len(set(ends.tolist())) == 3 and ends[1] == sorted(ends)[1]


def test_nothing_to_scale_by_has_a_scale_too():
    figure = plots.movie({"a": np.full((1, Y, X), 4.0)}, ["now"], differences={"b": np.zeros((1, Y, X))})
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (4.0, 5.0)
    assert (figure.layout.coloraxis2.cmin, figure.layout.coloraxis2.cmax) == (-1.0, 1.0)
    lost = plots.movie({"a": np.full((1, Y, X), np.nan)}, ["now"])
    assert (shown(lost, 0, 0) == plots.ODD).all()


def test_row_0_is_on_top_and_aspect_is_equal():
    figure = plots.movie({"a": frames()}, TITLES, differences={"b": frames()})
    for x, y in (("xaxis", "yaxis"), ("xaxis2", "yaxis2")):
        assert figure.layout[y].range == (Y - 0.5, -0.5) and figure.layout[x].range == (-0.5, X - 0.5)
        assert figure.layout[y].scaleanchor == x.replace("axis", "")
    wide = np.diff(figure.layout.xaxis.domain)[0] * (figure.layout.width - 150)
    tall = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    assert tall / wide == pytest.approx(Y / X, rel=0.02)


@pytest.mark.parametrize("count", [1, 4, 9])
@pytest.mark.parametrize("shape", [(Y, X), (3, 40), (40, 3)])
def test_a_movie_fits_the_page(count, shape):
    many = {str(i): frames(1, i, *shape) for i in range(count)}
    figure = plots.movie(many, ["now"], differences=many if count > 1 else None)
    assert 400 < figure.layout.width <= plots.WIDTH + 200 and figure.layout.height < 2200
    assert figure.layout.sliders[0].len * (figure.layout.width - 150) > 200


def test_large_frames_are_shown_as_thumbnails():
    large = np.add.outer(np.zeros(2), np.add.outer(np.arange(200.0), np.arange(330.0)))
    figure = plots.movie({"a": large}, ["one", "two"])
    y, x, _ = shown(figure, 0, 1).shape
    assert (y, x) == (67, 110), "blocks of 3"
    assert figure.layout.coloraxis.cmin == pytest.approx(2.0)
    assert figure.layout.coloraxis.cmax == pytest.approx(198.5 + 328.0)


def test_a_movie_is_light():
    n, y, x = 9, 64, 128
    waves = np.sin(np.arange(x) / 9 + np.arange(n)[:, None, None]) * np.cos(np.arange(y) / 7)[:, None]
    noisy = waves + 0.01 * frames(n, 1, y, x)
    rows = {"truth": waves, "sampled future": noisy, "mean of samples": waves}
    figure = plots.movie(rows, [f"{i} s" for i in range(n)], differences={"error": noisy - waves})
    assert len(figure.to_html(full_html=False, include_plotlyjs=False)) < 300_000


@pytest.mark.parametrize(
    ("rows", "differences", "titles", "text"),
    [
        ({}, {"error": frames()}, TITLES, "movie: no rows"),
        ({"a": frames()[0]}, None, TITLES, r"'a' has shape \(5, 7\); give frames \(time, y, x\)"),
        ({"a": [[[1.0, 2.0], [3.0]]]}, None, ["now"], "the frames of 'a' are no array of numbers"),
        ({"a": frames(0)}, None, [], "'a' has shape .0, 5, 7."),
        ({"a": frames()}, {"b": frames().swapaxes(1, 2)}, TITLES, r"'a' has images of \(5, 7\) pixels and 'b' of"),
        ({"a": frames(2)}, {"b": frames()}, TITLES[:2], "2 titles for 4 frames"),
    ],
)
def test_panels_that_do_not_fit_are_named(rows, differences, titles, text):
    with pytest.raises(SettingsError, match=text):
        plots.movie(rows, titles, differences=differences)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_a_frame_stays_for_a_while(seconds):
    with pytest.raises(SettingsError, match="a frame cannot stay for"):
        plots.movie({"a": frames()}, TITLES, seconds=seconds)


def test_names_are_text():
    figure = plots.movie({"<b>'x'": frames()}, [f"<{title}>" for title in TITLES])
    assert figure.layout.annotations[0].text == "&lt;b&gt;'x'"
    assert figure.layout.sliders[0].steps[0].label == "&lt;step 1&gt;"
