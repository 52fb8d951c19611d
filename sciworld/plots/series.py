"""Curves of numbers over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import plotly.graph_objects as go

from sciworld.plots.style import COLOURS, QUIET, RULE, finish


def curves(
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str] | None = None,
    x: str = "step",
    title: str = "",
    y_title: str = "",
    log: bool = True,
) -> go.Figure:
    """Curves from the rows of a log, each a mapping of names to numbers, on a logarithmic axis unless told otherwise.

    names : those to draw, by default every number that appears but x. A row that lacks a name is left out of its
    curve; so are values that a logarithm cannot show.
    """
    if names is None:
        found = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, int | float))
        names = [name for name in found if name != x]
    figure = go.Figure()
    for colour, name in zip(cycle(COLOURS), names, strict=False):
        points = [(row[x], row[name]) for row in rows if x in row and row.get(name) is not None]
        if log:
            points = [point for point in points if point[1] > 0]
        figure.add_scatter(
            x=[point[0] for point in points], y=[point[1] for point in points], mode="lines", name=name,
            line={"color": colour, "width": 2},
        )  # fmt: skip
    figure.update_xaxes(title=x, showgrid=False, showline=True, linecolor=QUIET, ticks="outside")
    figure.update_yaxes(title=y_title, type="log" if log else "linear", gridcolor=RULE, zeroline=False)
    if log:
        figure.update_yaxes(dtick="D2", tickformat="~g")
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"})
    return finish(figure, title, 680, 280)
