"""Images on axes: strips on one scale, maps side by side, a path over a frame.

Images are drawn as they lie in memory, row 0 at the top, at equal aspect. An extent is (x of the first column, x of
the last column, y of the first row, y of the last row), of pixel centres; without one the axes count pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sciworld.errors import SettingsError
from sciworld.plots.style import COLOURS, DIVERGING, GAP, GREY, INK, SEQUENTIAL, WIDTH, colorbar, finish
from sciworld.plots.thumbnails import LOST
from sciworld.plots.values import light, limits, numbers, panels, reach

MARKS = ("#ffffff", "#f2b134", "#e4572e")

Extent = tuple[float, float, float, float]


def image_strip(
    rows: Mapping[str, np.ndarray],
    column_titles: Sequence[str] = (),
    title: str = "",
    units: str = "",
) -> go.Figure:
    """Rows of small images on one colour scale: context, truth, samples.

    rows : label -> frames (column, y, x); rows may differ in length, an image of NaN leaves its place empty. units :
    of the brightness, which runs from the least finite value to the greatest. Raises SettingsError where there are no
    rows or images, and where these are of several shapes.
    """
    images = dict(zip(rows, panels(list(rows.items()), "image strip", "column"), strict=True))
    columns = max(len(frames) for frames in images.values())
    low, high = limits(images.values())
    _, y, x = next(iter(images.values())).shape
    # Panels as large as the page allows, but no larger than thumbnails need to be.
    wide = min(WIDTH / columns - GAP, 170 * max(1.0, x / y))
    width, height = columns * (wide + GAP), len(images) * (wide * y / x + GAP)
    figure = make_subplots(
        len(images), columns, column_titles=list(column_titles) or None, horizontal_spacing=GAP / width,
        vertical_spacing=GAP / height,
    )  # fmt: skip
    for row, (label, frames) in enumerate(images.items(), start=1):
        for column, frame in enumerate(frames, start=1):
            image_panel(figure, light(frame), None, row, column, "coloraxis")
        figure.update_yaxes(title={"text": label, "font": {"size": 13}, "standoff": 8}, row=row, col=1)
    figure.update_xaxes(showticklabels=False, showgrid=False, zeroline=False, ticks="")
    figure.update_yaxes(showticklabels=False, showgrid=False, zeroline=False, ticks="")
    figure.update_layout(coloraxis={"colorscale": GREY, "cmin": low, "cmax": high, "colorbar": colorbar(units)})
    return finish(figure, title, width, height)


def compare_maps(
    learned: np.ndarray,
    true: np.ndarray,
    extent: Extent,
    title: str = "",
    axis_titles: tuple[str, str] = ("x", "y"),
    units: str = "",
    points: Mapping[str, np.ndarray] | None = None,
    names: tuple[str, str] = ("learned", "true"),
) -> go.Figure:
    """Two maps (y, x) on one colour scale, and their difference on a diverging one.

    axis_titles : with units, e.g. "beam x (A)". units : of the value. points : name -> (n, 2) x, y to mark.
    What is not finite is dark grey, which is on neither scale. Raises SettingsError unless both maps have one shape.
    """
    learned, true = (numbers(values, f"maps: {name}") for values, name in zip((learned, true), names, strict=True))
    if learned.shape != true.shape or learned.ndim != 2 or not learned.size:
        raise SettingsError(f"maps: {learned.shape} and {true.shape}; give two (y, x) of one grid, of a cell or more")
    with np.errstate(over="ignore", invalid="ignore"):
        difference = learned - true
    headings = (*names, f"{names[0]} − {names[1]}")  # noqa: RUF001 - a minus sign
    figure = make_subplots(1, 3, subplot_titles=headings, horizontal_spacing=0.09)
    for column, values in enumerate((learned, true, difference), start=1):
        image_panel(figure, values, extent, 1, column, "coloraxis" if column < 3 else "coloraxis2")
        for colour, (name, xy) in zip(cycle(MARKS), (points or {}).items(), strict=False):
            _mark(figure, name, np.asarray(xy), colour, column)
        figure.update_xaxes(title=axis_titles[0], row=1, col=column)
    figure.update_yaxes(title=axis_titles[1], row=1, col=1)
    (low, high), most = limits([learned, true]), reach([difference])
    if not np.isfinite(difference).all():
        figure.update_layout(plot_bgcolor=f"rgb{LOST}")  # shows where a cell has no colour
    right = figure.layout.xaxis2.domain[1]
    figure.update_layout(
        coloraxis={"colorscale": SEQUENTIAL, "cmin": low, "cmax": high, "colorbar": colorbar(units, right + 0.008)},
        coloraxis2={"colorscale": DIVERGING, "cmin": -most, "cmax": most, "colorbar": colorbar(units, 1.008)},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.12, "yanchor": "bottom"},
    )
    return finish(figure, title, WIDTH, (right - figure.layout.xaxis2.domain[0]) * WIDTH * _aspect(extent))


def path_on_image(
    frame: np.ndarray,
    path: np.ndarray,
    goal: np.ndarray | None = None,
    extent: Extent | None = None,
    title: str = "",
    axis_titles: tuple[str, str] = ("x (pixel)", "y (pixel)"),
) -> go.Figure:
    """Where something went : (step, 2) x, y, over the frame (y, x) from which it started, and where it should go (2,).

    The axes grow to hold a path that leaves the frame.
    """
    path = np.asarray(path, dtype=np.float64)
    figure = make_subplots(1, 1)
    image_panel(figure, light(numbers(frame, "path: the frame")), extent, 1, 1, "coloraxis")
    figure.add_scatter(
        x=path[:, 0], y=path[:, 1], mode="lines+markers", name="path", line={"color": COLOURS[3], "width": 2},
        marker={"size": 6}, text=[f"step {i}" for i in range(len(path))], hovertemplate="%{text}: %{x:.2f}, %{y:.2f}",
    )  # fmt: skip
    _star(figure, path[0], "start", "circle", COLOURS[0])
    if goal is not None:
        _star(figure, np.asarray(goal), "goal", "star", COLOURS[1])
    figure.update_xaxes(title=axis_titles[0], constrain="domain")
    figure.update_yaxes(title=axis_titles[1])
    figure.update_layout(
        coloraxis={"colorscale": GREY, "showscale": False},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
    )
    y, x = np.shape(frame)
    return finish(figure, title, 480, 480 * _aspect(extent or (0, x, 0, y)))


def image_panel(
    figure: go.Figure, frame: np.ndarray, extent: Extent | None, row: int, column: int, coloraxis: str
) -> None:
    """Draw frame (y, x) into a panel, row 0 at the top, at equal aspect."""
    y, x = frame.shape
    left, right, top, bottom = extent or (0, x - 1, 0, y - 1)
    figure.add_heatmap(
        z=frame, x=np.linspace(left, right, x), y=np.linspace(top, bottom, y), coloraxis=coloraxis,
        hovertemplate="%{x:.2f}, %{y:.2f}: %{z:.3g}<extra></extra>", row=row, col=column,
    )  # fmt: skip
    horizontal = figure.get_subplot(row, column).xaxis.plotly_name.replace("axis", "")
    figure.update_xaxes(
        autorange="reversed" if right < left else True,
        constrain="domain",
        showgrid=False,
        zeroline=False,
        row=row,
        col=column,
    )
    figure.update_yaxes(
        autorange="reversed" if bottom > top else True, scaleanchor=horizontal, constrain="domain", showgrid=False,
        zeroline=False, row=row, col=column,
    )  # fmt: skip


def _mark(figure: go.Figure, name: str, xy: np.ndarray, colour: str, column: int) -> None:
    """Mark points (n, 2) in a panel of maps, with one entry in the legend for all panels."""
    xy = np.atleast_2d(xy)
    figure.add_scatter(
        x=xy[:, 0], y=xy[:, 1], mode="markers", name=name, legendgroup=name, showlegend=column == 1, row=1, col=column,
        marker={"color": colour, "size": 9, "line": {"color": INK, "width": 1.5}},
    )  # fmt: skip


def _star(figure: go.Figure, xy: np.ndarray, name: str, symbol: str, colour: str) -> None:
    marker = {"symbol": symbol, "size": 15, "color": colour, "line": {"color": "#ffffff", "width": 1.5}}
    figure.add_scatter(x=[xy[0]], y=[xy[1]], mode="markers", name=name, marker=marker)


def _aspect(extent: Extent) -> float:
    """Height over width of what the extent holds."""
    left, right, top, bottom = extent
    return abs(bottom - top) / abs(right - left)
