"""A heat map names its rows, numbers its columns, and says each value in its own cell."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sciworld import plots
from sciworld.errors import SettingsError

CHECKS, STEPS = ["brightness", "mass", "position"], [1, 2, 5, 10, 20]


def values(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((len(CHECKS), len(STEPS)))


def test_cells_lie_under_their_names():
    grid = values()
    grid[1, 2] = np.nan
    figure = plots.heat(grid, CHECKS, STEPS, "Failures", "seconds", "share", 0, 1)
    (panel,) = figure.data
    assert_array_equal(panel.z, grid)
    assert list(panel.y) == CHECKS and list(panel.x) == ["1", "2", "5", "10", "20"]
    assert figure.layout.yaxis.autorange == "reversed", "row 0 is at the top"
    assert figure.layout.xaxis.type == "category", "columns are evenly apart, whatever their numbers"
    assert figure.layout.xaxis.title.text == "seconds" and figure.layout.title.text == "Failures"
    scale = figure.layout.coloraxis
    assert (scale.cmin, scale.cmax, scale.colorbar.title.text) == (0, 1, "share")
    assert panel.hoverongaps is False and panel.texttemplate == "%{z:.2~g}"


def test_panels_share_one_scale():
    truth, model = values() * 0.1, values(1) * 3 + 1
    model[0, 0] = np.inf
    figure = plots.heat({"truth": truth, "model": model}, CHECKS, STEPS)
    assert [panel.coloraxis for panel in figure.data] == ["coloraxis"] * 2
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (truth.min(), np.delete(model, 0).max())
    assert [note.text for note in figure.layout.annotations] == ["truth", "model"]
    assert figure.layout.yaxis2.showticklabels is False, "the rows are named once"


@pytest.mark.parametrize("grid", [np.zeros((3, 5)), np.full((3, 5), np.nan)])
def test_nothing_to_scale_by_has_a_scale_too(grid):
    figure = plots.heat(grid, CHECKS, STEPS)
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0.0, 1.0)


@pytest.mark.parametrize("panels", [1, 3])
@pytest.mark.parametrize("count", [2, 100])
@pytest.mark.parametrize("name", ["a", "the brightness stays within the limits"])
def test_a_heat_map_fits_the_page_and_its_numbers_their_cells(panels, count, name):
    grid = np.zeros((2, count))
    figure = plots.heat({str(i): grid for i in range(panels)}, [name, "b"], range(count))
    width = figure.layout.width - figure.layout.margin.l - figure.layout.margin.r
    assert figure.layout.width <= plots.WIDTH + 200
    cell = (figure.layout.xaxis.domain[1] - figure.layout.xaxis.domain[0]) * width / count
    assert (figure.data[0].texttemplate is not None) == (cell > 30)
    assert figure.layout.xaxis.dtick * cell > 30, "the numbers of columns do not run into one another"
    assert figure.layout.margin.l > 6 * len(name)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1.7e308, -1.7e308])
def test_the_scale_is_of_numbers_whatever_cells_hold(odd):
    grid = values()
    grid[1, 2] = odd
    for one in (grid, np.full_like(grid, odd)):
        scale = plots.heat(one, CHECKS, STEPS).layout.coloraxis
        assert scale.cmin < scale.cmax and np.isfinite(scale.cmax - scale.cmin)


def test_large_values_are_not_cut_to_two_digits():
    assert plots.heat(values() + 123, CHECKS, STEPS).data[0].texttemplate == "%{z:.3~g}"


@pytest.mark.parametrize(
    ("grid", "rows", "columns", "text"),
    [
        (values().T, CHECKS, STEPS, r"values have shape \(5, 3\) for 3 rows and 5 columns"),
        ({"truth": values(), "model": values()[:2]}, CHECKS, STEPS, r"values of model have shape \(2, 5\)"),
        (np.zeros((3, 0)), CHECKS, [], "at least one of each"),
        ({}, CHECKS, STEPS, "heat: no values"),
        (values(), [], [], "for 0 rows and 0 columns"),
        ({"model": [[1.0, 2.0], [3.0]]}, CHECKS[:2], STEPS[:2], "values of 'model' are no array of numbers"),
        (values(), ["mass", "mass", "position"], STEPS, "names two alike"),
        (values(), CHECKS, [1, 2, 2, 3, 4], "names two alike"),
    ],
)
def test_values_that_do_not_fit_are_named(grid, rows, columns, text):
    with pytest.raises(SettingsError, match=text):
        plots.heat(grid, rows, columns)


def test_names_are_text():
    figure = plots.heat({"<a>": values()}, ["x < 1", *CHECKS[1:]], STEPS)
    assert figure.data[0].y[0] == "x &lt; 1" and figure.layout.annotations[0].text == "&lt;a&gt;"
