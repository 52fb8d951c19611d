"""Small tables of numbers as coloured cells: the share of futures that fail a check, by step."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sciworld.errors import SettingsError
from sciworld.plots.style import SEQUENTIAL, WIDTH, colorbar, finish
from sciworld.plots.values import limits, numbers

CELL = (64, 30)  # pixels: x and y of a cell at most
LEGIBLE = 34  # pixels: of a cell that holds its number, and of the number of a column
LEAST = 90  # pixels: of a colour bar
LETTER = 7.5  # pixels: of a letter in the name of a row, on average
MARGIN = 50  # pixels: of the names that the page holds anyway
SPACE = 24  # pixels: between panels


def heat(
    values: np.ndarray | Mapping[str, np.ndarray],
    rows: Sequence[str],
    columns: Sequence[float],
    title: str = "",
    x_title: str = "step",
    units: str = "",
    low: float | None = None,
    high: float | None = None,
) -> go.Figure:
    """Values (row, column) as coloured cells with their numbers, row 0 at the top.

    values : of one panel, or label -> values of panels side by side on one scale; NaN leaves its cell empty. rows :
    (row,) names. columns : (column,) numbers, along x_title. units : of the values. low, high : where the colours
    begin and end, by default the least and the greatest finite value. Cells too narrow to read show no number. Raises
    SettingsError where values, rows and columns do not fit one another.
    """
    given = values if isinstance(values, Mapping) else {"": values}
    panels = {label: numbers(grid, f"heat: values of '{label}'") for label, grid in given.items()}
    ticks = [f"{number:g}" for number in columns]
    _check(panels, rows, ticks)
    least, most = limits(panels.values())
    low, high = least if low is None else low, most if high is None else high
    high = high if high > low else low + 1.0
    digits = 2 if max(abs(low), abs(high)) < 100 else 3  # as many as a cell has room for
    more = max(0.0, LETTER * max(map(len, rows)) - MARGIN)
    wide = min((WIDTH - more - SPACE * (len(panels) - 1)) / (len(panels) * len(columns)), CELL[0])
    width = wide * len(panels) * len(columns) + SPACE * (len(panels) - 1)
    figure = make_subplots(
        1, len(panels), shared_yaxes=True, horizontal_spacing=SPACE / width,
        subplot_titles=[html.escape(label, quote=False) for label in panels],
    )  # fmt: skip
    hover = f"%{{y}}, {html.escape(x_title, quote=False)} %{{x}}: %{{z:.4~g}}<extra></extra>"
    for column, grid in enumerate(panels.values(), start=1):
        figure.add_heatmap(
            z=grid, x=ticks, y=[html.escape(name, quote=False) for name in rows],
            coloraxis="coloraxis", xgap=1, ygap=1, texttemplate=f"%{{z:.{digits}~g}}" if wide >= LEGIBLE else None,
            hovertemplate=hover, hoverongaps=False,
            row=1, col=column,
        )  # fmt: skip
    figure.update_xaxes(title=x_title, type="category", showgrid=False, tickangle=0, dtick=math.ceil(LEGIBLE / wide))
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, automargin=True)
    height = CELL[1] * len(rows)
    bar = colorbar(units, 1 + 8 / width) | {"lenmode": "pixels", "len": max(LEAST, height)}
    figure.update_layout(coloraxis={"colorscale": SEQUENTIAL, "cmin": low, "cmax": high, "colorbar": bar})
    finish(figure, title, width, height)
    return figure.update_layout(width=figure.layout.width + more, margin={"l": figure.layout.margin.l + more})


def _check(panels: Mapping[str, np.ndarray], rows: Sequence[str], columns: Sequence[str]) -> None:
    if not panels:
        raise SettingsError("heat: no values; give at least one panel, a label and its values (row, column)")
    for label, grid in panels.items():
        if grid.shape != (len(rows), len(columns)) or not grid.size:
            raise SettingsError(
                f"heat: values{f' of {label}' if label else ''} have shape {grid.shape} for {len(rows)} rows and "
                f"{len(columns)} columns; give (row, column), at least one of each"
            )
    for names in (rows, columns):
        if len(set(names)) < len(names):
            raise SettingsError(f"heat: {list(names)} names two alike, which would share their cells; tell them apart")
