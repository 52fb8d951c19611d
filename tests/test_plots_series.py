"""A band lies about its own curve, with gaps where it is not known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import plots
from sciworld.errors import SettingsError

NAN = math.nan
ROWS = [{"step": i, "model": float(i + 1), "still": 2.0} for i in range(5)]
LOW, HIGH = [0.5, 1.0, 1.5, 2.0, 2.5], [2.0, 4.0, 6.0, 8.0, 10.0]


def outlines(trace):
    """The closed outlines of a band, each a list of (x, y)."""
    found = [[]]
    for x, y in zip(trace.x, trace.y, strict=True):
        if x is None:
            found.append([])
        else:
            found[-1].append((x, y))
    return found


@pytest.mark.parametrize("log", [False, True])
def test_a_band_lies_behind_its_curve_in_its_colour(log):
    figure = plots.curves(ROWS, bands={"still": (LOW, HIGH)}, log=log)
    band, model, still = figure.data
    assert (model.name, still.name) == ("model", "still")
    there = list(zip(range(5), HIGH, strict=True))
    back = list(zip(range(5), LOW, strict=True))[::-1]
    assert outlines(band) == [there + back]
    assert band.fill == "toself" and band.showlegend is False and band.hoverinfo == "skip"
    red, green, blue = (int(still.line.color[i : i + 2], 16) for i in (1, 3, 5))
    assert band.fillcolor == f"rgba({red},{green},{blue},0.18)" != model.line.color
    assert band.legendgroup == still.legendgroup, "it is hidden with its curve"


def test_a_band_has_a_gap_where_it_is_not_known():
    low, high = [0.5, None, 1.5, NAN, 2.5], [2.0, 4.0, 6.0, 8.0, math.inf]
    band = plots.curves(ROWS, bands={"model": (low, high)}).data[0]
    assert outlines(band) == [[(0, 2.0), (0, 0.5)], [(2, 6.0), (2, 1.5)]]
    rows = [ROWS[0], {"model": 2.0}, *ROWS[2:]]
    band = plots.curves(rows, bands={"model": (LOW, HIGH)}).data[0]
    assert [len(outline) for outline in outlines(band)] == [2, 6], "a row without x has no place"


def test_a_logarithm_shows_a_band_down_to_the_least_number_drawn():
    low, high = [-1.0, 0.0, 0.25, 1.0, -2.0], [2.0, 4.0, 6.0, 8.0, -1.0]
    band = plots.curves(ROWS, bands={"model": (low, high)}).data[0]
    (outline,) = outlines(band)
    assert outline == [(0, 2.0), (1, 4.0), (2, 6.0), (3, 8.0), (3, 1.0), (2, 0.25), (1, 0.25), (0, 0.25)]
    linear = plots.curves(ROWS, bands={"model": (low, high)}, log=False).data[0]
    assert min(linear.y) == -2.0


ends = st.one_of(st.none(), st.floats(-5, 5), st.just(NAN))


@given(st.lists(st.tuples(ends, ends), min_size=1, max_size=8))
@settings(max_examples=20)
def test_a_logarithm_is_given_nothing_that_it_cannot_show(band):
    rows = [{"step": i, "model": 1.0} for i in range(len(band))]
    figure = plots.curves(rows, bands={"model": tuple(zip(*band, strict=True))})
    assert all(y is None or y > 0 for trace in figure.data for y in trace.y)


def test_a_band_of_nothing_draws_nothing():
    band = plots.curves(ROWS, bands={"model": ([NAN] * 5, [NAN] * 5)}).data[0]
    assert len(band.x) == 0


@pytest.mark.parametrize("lost", [{}, {"lost": None}, {"lost": NAN}])
@pytest.mark.parametrize("log", [False, True])
def test_a_band_of_what_is_not_drawn_is_not_drawn_either(lost, log):
    rows = [row | lost for row in ROWS]
    figure = plots.curves(rows, bands={"lost": ([None] * 5, [NAN] * 5), "model": (LOW, HIGH)}, log=log)
    assert [trace.name for trace in figure.data if trace.fill and len(trace.x)] == ["model"]
    unseen = plots.curves(rows, ["model"], bands={"still": (LOW, HIGH)}, log=log)
    assert [trace.name for trace in unseen.data] == ["model"]


def test_without_bands_figures_are_as_they_were():
    assert [trace.legendgroup for trace in plots.curves(ROWS).data] == [None, None]


@pytest.mark.parametrize(
    ("bands", "text"),
    [
        ({"gone": (LOW[:3], HIGH)}, "band of 'gone' has 3 lows and 5 highs for 5 rows"),
        ({"model": (LOW, HIGH[:3])}, "band of 'model' has 5 lows and 3 highs for 5 rows"),
        ({"model": (LOW[:3], HIGH[:3])}, "3 lows and 3 highs for 5 rows"),
    ],
)
def test_a_band_that_does_not_fit_is_named(bands, text):
    with pytest.raises(SettingsError, match=text):
        plots.curves(ROWS, bands=bands)
