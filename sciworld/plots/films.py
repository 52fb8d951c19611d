"""Pictures of a recording over time, and below them what its controls did."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sciworld.plots.style import COLOURS, GAP, QUIET, RULE, WIDTH, finish
from sciworld.plots.thumbnails import data_uri


@dataclass(frozen=True)
class Line:
    """What one control did.

    Parameters
    ----------
    label : its name and units.
    values : (time,), each until the next; NaN is a gap.
    low, high : its bounds, None where there is none. levels : names of the values 0, 1, ...
    """

    label: str
    values: np.ndarray
    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()


def film(
    rows: Mapping[str, np.ndarray],
    shown: np.ndarray,
    time: np.ndarray,
    lines: Sequence[Line] = (),
    title: str = "",
    time_title: str = "time (s)",
    captions: Mapping[str, str] | None = None,
) -> go.Figure:
    """Rows of pictures : (picture, y, x, 3) uint8, and below them a panel for each line.

    shown : (picture,) s, when each picture of a row was taken. time : (time,) of the lines' values. captions : what
    each row shows, where the mouse points at it.
    """
    columns = len(shown)
    aspects = [images.shape[1] / images.shape[2] for images in rows.values()]
    wide = min(WIDTH / columns - GAP, 170 * max(1.0, 1 / max(aspects)))
    heights = [wide * aspect for aspect in aspects] + [95.0] * len(lines)
    # Below a few lines the page is wide enough to read a time series from.
    width, between = max(columns * (wide + GAP), 480.0 if lines else 0.0), 2.0 * GAP
    height = sum(heights) + between * (len(heights) - 1)
    specs: list[list[dict[str, int] | None]] = [[{}] * columns for _ in rows]
    specs += [[{"colspan": columns}, *[None] * (columns - 1)] for _ in lines]
    figure = make_subplots(
        len(heights), columns, specs=specs, row_heights=heights, column_titles=[f"{at:.4g} s" for at in shown],
        horizontal_spacing=GAP / width, vertical_spacing=between / height,
    )  # fmt: skip
    for row, (label, images) in enumerate(rows.items(), start=1):
        hover = f"{html.escape((captions or {}).get(label, label))}<extra></extra>"
        for column, picture in enumerate(images, start=1):
            figure.add_image(source=data_uri(picture), hovertemplate=hover, row=row, col=column)
        figure.update_xaxes(showticklabels=False, ticks="", row=row)
        figure.update_yaxes(showticklabels=False, ticks="", row=row)
        figure.update_yaxes(title={"text": label, "font": {"size": 13}, "standoff": 8}, row=row, col=1)
    for row, line in enumerate(lines, start=len(rows) + 1):
        _line(figure, line, time, shown, row)
    if lines:
        figure.update_xaxes(title=time_title, showticklabels=True, row=len(heights), col=1)
    return finish(figure, title, width, height)


def _line(figure: go.Figure, line: Line, time: np.ndarray, shown: np.ndarray, row: int) -> None:
    """Draw a line with its bounds into a panel, and where the pictures were taken."""
    figure.add_scatter(
        # Each value until the next, also where the next is unknown.
        x=np.repeat(time, 2)[1:], y=np.repeat(line.values, 2)[:-1], mode="lines", name=line.label,
        line={"color": COLOURS[0], "width": 2}, showlegend=False, row=row, col=1,
    )  # fmt: skip
    for bound in (line.low, line.high):
        if bound is not None:
            figure.add_hline(y=bound, line={"color": QUIET, "width": 1, "dash": "dot"}, row=row, col=1)
    for at in shown:
        figure.add_vline(x=at, line={"color": RULE, "width": 1}, layer="below", row=row, col=1)
    figure.update_xaxes(range=[float(time[0]), float(time[-1])] if len(time) > 1 else None, row=row, col=1)
    figure.update_xaxes(showgrid=False, showticklabels=False, zeroline=False, row=row, col=1)
    label = {"text": line.label.replace(" (", "<br>("), "font": {"size": 12}}
    figure.update_yaxes(title=label, zeroline=False, row=row, col=1)
    if line.levels:
        ticks = list(range(len(line.levels)))
        figure.update_yaxes(tickvals=ticks, ticktext=list(line.levels), row=row, col=1)
