"""Figures on arrays: strips of images, maps side by side, paths, curves. Every function returns a plotly Figure.

Images are drawn as they lie in memory, row 0 at the top, at equal aspect. An extent is (x of the first column, x of
the last column, y of the first row, y of the last row), of pixel centres; without one the axes count pixels.
"""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

Extent = tuple[float, float, float, float]

INK, QUIET, RULE = "#1f2933", "#7b8794", "#e4e7eb"
COLOURS = ("#2563a8", "#d1495b", "#2a9d76", "#e09f3e", "#7b5ea7", "#4d5d6c", "#8c5a2b")
MARKS = ("#ffffff", "#f2b134", "#e4572e")
SEQUENTIAL, GREY, DIVERGING = "Viridis", "Gray", "RdBu_r"
WIDTH, GAP = 900, 8  # pixels: of the widest plotted area, and between small images
SIDE = 160  # pixels: of a thumbnail, along its longer side
ODD = (209, 73, 91)  # the colour of pixels that are not finite
FONT = {"family": "Inter, 'Segoe UI', Helvetica, Arial, sans-serif", "size": 13, "color": INK}


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


def image_strip(
    rows: Mapping[str, np.ndarray],
    column_titles: Sequence[str] = (),
    title: str = "",
    units: str = "",
) -> go.Figure:
    """Rows of small images on one colour scale: context, truth, samples.

    rows : label -> frames (column, y, x); rows may differ in length, an image of NaN leaves its place empty. units :
    of the brightness.
    """
    images = {label: np.asarray(frames, dtype=np.float32) for label, frames in rows.items()}
    columns = max(len(frames) for frames in images.values())
    low = min(float(np.nanmin(frames)) for frames in images.values())
    high = max(float(np.nanmax(frames)) for frames in images.values())
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
            _image(figure, frame, None, row, column, "coloraxis")
        figure.update_yaxes(title={"text": label, "font": {"size": 13}, "standoff": 8}, row=row, col=1)
    figure.update_xaxes(showticklabels=False, showgrid=False, zeroline=False, ticks="")
    figure.update_yaxes(showticklabels=False, showgrid=False, zeroline=False, ticks="")
    figure.update_layout(coloraxis={"colorscale": GREY, "cmin": low, "cmax": high, "colorbar": _colorbar(units)})
    return _finish(figure, title, width, height)


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
    """
    learned, true = np.asarray(learned, dtype=np.float64), np.asarray(true, dtype=np.float64)
    difference = learned - true
    headings = (*names, f"{names[0]} − {names[1]}")  # noqa: RUF001 - a minus sign
    figure = make_subplots(1, 3, subplot_titles=headings, horizontal_spacing=0.09)
    for column, values in enumerate((learned, true, difference), start=1):
        _image(figure, values, extent, 1, column, "coloraxis" if column < 3 else "coloraxis2")
        for colour, (name, xy) in zip(cycle(MARKS), (points or {}).items(), strict=False):
            _mark(figure, name, np.asarray(xy), colour, column)
        figure.update_xaxes(title=axis_titles[0], row=1, col=column)
    figure.update_yaxes(title=axis_titles[1], row=1, col=1)
    low, high = float(np.nanmin([learned, true])), float(np.nanmax([learned, true]))
    most = float(np.nanmax(np.abs(difference))) or 1.0
    right = figure.layout.xaxis2.domain[1]
    figure.update_layout(
        coloraxis={"colorscale": SEQUENTIAL, "cmin": low, "cmax": high, "colorbar": _colorbar(units, right + 0.008)},
        coloraxis2={"colorscale": DIVERGING, "cmin": -most, "cmax": most, "colorbar": _colorbar(units, 1.008)},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.12, "yanchor": "bottom"},
    )
    return _finish(figure, title, WIDTH, (right - figure.layout.xaxis2.domain[0]) * WIDTH * _aspect(extent))


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
    _image(figure, np.asarray(frame, dtype=np.float32), extent, 1, 1, "coloraxis")
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
    return _finish(figure, title, 480, 480 * _aspect(extent or (0, x, 0, y)))


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
    return _finish(figure, title, 680, 280)


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
    return _finish(figure, title, width, height)


def thumbnail(frame: np.ndarray) -> np.ndarray:
    """A frame (y, x, channel) as a small one, float64: means of blocks over what is finite; NaN where nothing is."""
    step = max(1, max(frame.shape[:2]) // (4 * SIDE))  # of a large frame a few pixels of each block are enough
    frame = frame[::step, ::step].astype(np.float64)
    factor = -(-max(frame.shape[:2]) // SIDE)
    finite = np.isfinite(frame)

    def total(values: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            values = np.add.reduceat(values, np.arange(0, values.shape[axis], factor), axis)
        return values

    counts = total(finite.astype(np.int64))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # Divided first: a sum of the largest floats is none.
        return np.where(counts > 0, total(np.where(finite, frame, 0) / factor**2) * (factor**2 / counts), np.nan)


def pictures(small: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Thumbnails (n, y, x) or (n, y, x, 3) as pictures (n, y, x, 3) uint8, and the values that are black and white.

    These are 1 % and 99 % of all finite values given. Where one is not finite a pixel is red.
    """
    finite = np.isfinite(small)
    low, high = np.percentile(small[finite], (1, 99)) if finite.any() else (0.0, 1.0)
    span = high / 2 - low / 2  # halves: the span of floats may be too large for one
    bright = (np.where(finite, small, low) / 2 - low / 2) / (span if span > 0 else 1.0)
    shades = np.round(255 * np.clip(bright, 0, 1)).astype(np.uint8)
    if small.ndim == 3:
        shades, finite = np.repeat(shades[..., None], 3, axis=-1), finite[..., None]
    return np.where(finite.all(axis=-1, keepdims=True), shades, np.array(ODD, np.uint8)), float(low), float(high)


def data_uri(picture: np.ndarray) -> str:
    """A picture (y, x, 3) uint8 as a PNG within an address (PNG specification, third edition, section 11)."""
    y, x, _ = picture.shape

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = np.concatenate([np.zeros((y, 1), np.uint8), picture.reshape(y, 3 * x)], axis=1)  # 0: no filter
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", x, y, 8, 2, 0, 0, 0))
    png += chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


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


def _image(figure: go.Figure, frame: np.ndarray, extent: Extent | None, row: int, column: int, coloraxis: str) -> None:
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


def _colorbar(units: str, x: float = 1.01) -> dict[str, Any]:
    return {"title": {"text": units, "side": "right"}, "thickness": 10, "outlinewidth": 0, "x": x, "xpad": 0}


def _aspect(extent: Extent) -> float:
    """Height over width of what the extent holds."""
    left, right, top, bottom = extent
    return abs(bottom - top) / abs(right - left)


def _finish(figure: go.Figure, title: str, width: float, height: float) -> go.Figure:
    """The look that all figures share; width and height are those of the plotted area, in pixels."""
    left, right, above, below = 70, 80, 90 if title else 50, 55
    figure.update_annotations(font={**FONT, "size": 13})
    return figure.update_layout(
        template="plotly_white",
        title={"text": title, "x": 0, "xref": "container", "y": 1, "yref": "container", "yanchor": "top",
               "pad": {"l": 12, "t": 14}, "font": {"size": 16}},
        font=FONT,
        width=round(width) + left + right,
        height=round(height) + above + below,
        margin={"l": left, "r": right, "t": above, "b": below},
        hoverlabel={"font": {"family": FONT["family"]}},
    )  # fmt: skip
