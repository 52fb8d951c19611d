"""Curves of numbers over steps, and bands about them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import plotly.graph_objects as go

from sciworld.errors import SettingsError
from sciworld.plots.style import COLOURS, QUIET, RULE, finish

Band = tuple[Sequence[float | None], Sequence[float | None]]


def curves(
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str] | None = None,
    x: str = "step",
    title: str = "",
    y_title: str = "",
    log: bool = True,
    bands: Mapping[str, Band] | None = None,
) -> go.Figure:
    """Curves from the rows of a log, each a mapping of names to numbers, on a logarithmic axis unless told otherwise.

    names : those to draw, by default every number that appears but x. A row that lacks a name is left out of its
    curve; so are values that a logarithm cannot show. bands : name -> low and high, (row,) each, drawn behind the
    curve of that name; None or NaN is a gap, and a name without a curve has no band. Where a logarithm cannot show a
    low, the band reaches down to the least number that is drawn. Raises SettingsError for a band without a low and a
    high for each row.
    """
    if names is None:
        found = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, int | float))
        names = [name for name in found if name != x]
    lines = {name: [(row[x], row[name]) for row in rows if x in row and row.get(name) is not None] for name in names}
    if log:
        lines = {name: [point for point in points if point[1] > 0] for name, points in lines.items()}
    areas = {name: _runs(rows, x, name, band, log) for name, band in (bands or {}).items()}
    areas = {name: runs for name, runs in areas.items() if name in lines}
    if log:
        drawn = [value for points in lines.values() for _, value in points]
        drawn += [end for runs in areas.values() for run in runs for _, *ends in run for end in ends]
        least = min((value for value in drawn if value > 0), default=1.0)
        areas = {
            name: [[(at, max(low, least), high) for at, low, high in run] for run in runs]
            for name, runs in areas.items()
        }
    figure = go.Figure()
    colours = dict(zip(names, cycle(COLOURS), strict=False))
    for name, runs in areas.items():
        _area(figure, runs, name, colours[name])
    for name, points in lines.items():
        figure.add_scatter(
            x=[point[0] for point in points], y=[point[1] for point in points], mode="lines", name=name,
            legendgroup=name if name in areas else None, line={"color": colours[name], "width": 2},
        )  # fmt: skip
    figure.update_xaxes(title=x, showgrid=False, showline=True, linecolor=QUIET, ticks="outside")
    figure.update_yaxes(title=y_title, type="log" if log else "linear", gridcolor=RULE, zeroline=False)
    if log:
        figure.update_yaxes(dtick="D2", tickformat="~g")
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"})
    return finish(figure, title, 680, 280)


def _runs(
    rows: Sequence[Mapping[str, Any]], x: str, name: str, band: Band, log: bool
) -> list[list[tuple[Any, float, float]]]:
    """The stretches of a band without a gap, each a list of (x, low, high)."""
    lows, highs = band
    if not len(lows) == len(highs) == len(rows):
        raise SettingsError(
            f"curves: the band of '{name}' has {len(lows)} lows and {len(highs)} highs for {len(rows)} rows; "
            "give one for each, NaN where there is none"
        )
    runs: list[list[tuple[Any, float, float]]] = [[]]
    for row, low, high in zip(rows, lows, highs, strict=True):
        bottom, top = (math.nan if end is None else float(end) for end in (low, high))
        if x in row and math.isfinite(bottom) and math.isfinite(top) and (top > 0 or not log):
            runs[-1].append((row[x], bottom, top))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _area(figure: go.Figure, runs: list[list[tuple[Any, float, float]]], name: str, colour: str) -> None:
    """Draw the stretches of a band, each a closed outline: there along its highs, back along its lows."""
    x: list[Any] = []
    y: list[float | None] = []
    for run in runs:
        back = run[::-1]
        x += [*(at for at, _, _ in run), *(at for at, _, _ in back), None]
        y += [*(high for _, _, high in run), *(low for _, low, _ in back), None]
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    shade = f"rgba({red},{green},{blue},0.18)"
    # An outline as well, or a stretch of one row would not be seen.
    figure.add_scatter(
        x=x[:-1], y=y[:-1], mode="lines", fill="toself", fillcolor=shade, line={"color": shade, "width": 1},
        name=name, legendgroup=name, showlegend=False, hoverinfo="skip",
    )  # fmt: skip
