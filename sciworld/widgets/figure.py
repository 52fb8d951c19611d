"""How chosen controls and their futures are drawn: pictures of a step, and curves over all steps."""

from __future__ import annotations

import html
import textwrap
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sciworld.controls import COLOURS as RGB
from sciworld.controls import Column
from sciworld.plots.images import MARKS, image_panel
from sciworld.plots.style import COLOURS, DIVERGING, GREY, INK, QUIET, RULE, WIDTH, colorbar, finish
from sciworld.plots.thumbnails import data_uri
from sciworld.plots.values import light, limits, reach

if TYPE_CHECKING:
    from sciworld.widgets.compare import Compared

TALL = 220  # pixels: of a picture at most
CURVE = 170  # pixels: of the curves at least
BETWEEN = (14, 58)  # pixels: between pictures across, and between rows
LETTERS = 105  # in a line of the title
LAST = 2  # column below which the curves end


def draw(compared: Compared, step: int, channel: str | None) -> go.Figure:
    """See `Compared.figure`; step from 1 on.

    Frames are on one colour scale, and the spread and the difference on another, so that an error can be seen beside
    the spread that should hold it; both are those of all steps.
    """
    colour = channel is None and _in_colour(compared)
    places = list(range(3)) if colour else [0 if channel is None else compared.channels.index(channel)]
    label = "brightness (counts)" if colour else compared.channels.columns[places[0]].label
    frames = {"present": compared.present.frames[0], "predicted mean": compared.mean[step - 1]}
    frames[f"sample 1 of {len(compared.samples)}"] = compared.samples[0, step - 1]
    apart = {"spread of samples": compared.spread}
    if compared.truth is not None and compared.difference is not None:
        frames["trusted simulator"] = compared.truth[step - 1]
        moved = "" if compared.still[step - 1] else "<br>(field of view moved)"
        apart[f"mean − trusted{moved}"] = compared.difference  # noqa: RUF001 - a minus sign
    figure, width, height = _panels([*frames], [*apart], compared.present.frames.shape[1:3])
    for column, frame in enumerate(frames.values(), start=1):
        if colour:
            picture = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
            figure.add_image(source=data_uri(picture), hoverinfo="skip", row=1, col=column)
        else:
            image_panel(figure, light(frame[..., places[0]].astype(np.float64)), None, 1, column, "coloraxis")
    # Of a picture in colour, how far brightness is apart.
    grey = {label: values[..., places].mean(axis=-1) for label, values in apart.items()}
    for column, values in enumerate(grey.values(), start=LAST + 1):
        image_panel(figure, light(values[step - 1]), None, 2, column, "coloraxis2")
    _frame_axes(figure, compared.present.frames.shape[1:3])
    _mark_positions(figure, compared, step, len(frames))
    _curves(figure, compared, step, places, f"mean {label}")
    # Not of samples, whose odd pixels would leave the rest without contrast.
    shown = [compared.present.frames, compared.mean, *([] if compared.truth is None else [compared.truth])]
    low, high = limits([values[..., places] for values in shown])
    _scale(figure, "coloraxis", GREY, low, high, "" if colour else label, 1)
    most = reach(grey.values())
    _scale(figure, "coloraxis2", DIVERGING, -most, most, label, 2)
    return finish(figure, _title(compared, step), width, height)


def _in_colour(compared: Compared) -> bool:
    """Whether the frames are pictures: red, green and blue bytes."""
    return compared.channels.names == RGB and compared.present.frames.dtype == np.uint8


def _panels(frames: list[str], apart: list[str], shape: tuple[int, ...]) -> tuple[go.Figure, float, float]:
    """Empty panels, width and height in pixels: frames above; below them the curves, and what is apart."""
    y, x = shape
    across, down = BETWEEN
    wide = min((WIDTH - across * (len(frames) - 1)) / len(frames), TALL * max(1.0, x / y))
    tall = min(wide * y / x, TALL)
    heights = [tall, max(tall, CURVE)]
    width, height = wide * len(frames) + across * (len(frames) - 1), sum(heights) + down
    figure = make_subplots(
        2, len(frames), specs=[[{}] * len(frames), [{"colspan": LAST}, *[None] * (LAST - 1), *[{}] * len(apart)]],
        row_heights=heights, horizontal_spacing=across / width, vertical_spacing=down / height,
        subplot_titles=[*frames, "", *apart],
    )  # fmt: skip
    return figure, width, height


def _frame_axes(figure: go.Figure, shape: tuple[int, ...]) -> None:
    """All of each picture and no more, whatever is marked on it."""
    y, x = shape
    plain = {"showticklabels": False, "showgrid": False, "zeroline": False, "ticks": "", "constrain": "domain"}
    for axis in {trace.xaxis for trace in figure.data}:
        figure.update_layout({axis.replace("x", "xaxis"): {**plain, "range": [-0.5, x - 0.5]}})
        reversed_ = {**plain, "range": [y - 0.5, -0.5], "autorange": False, "scaleanchor": axis}
        figure.update_layout({axis.replace("x", "yaxis"): reversed_})


def _mark_positions(figure: go.Figure, compared: Compared, step: int, pictures: int) -> None:
    """Mark on every frame where the controls that are positions are, in the step shown."""
    v = compared.present.view[0]
    for colour, (group, pair) in zip(MARKS[1:], compared.columns.positions().items(), strict=False):
        at = compared.controls[step - 1, list(pair)]
        if compared.columns.columns[pair[0]].frame == "lab":
            at = np.linalg.solve([[v[0], v[1]], [v[3], v[4]]], at - v[[2, 5]])
        for column in range(1, pictures + 1):
            figure.add_scatter(
                x=at[:1], y=at[1:], mode="markers", name=group, legendgroup=group, showlegend=column == 1,
                marker={"symbol": "cross-thin", "size": 12, "line": {"color": colour, "width": 2}},
                hovertemplate=f"{html.escape(group)}<extra></extra>", row=1, col=column,
            )  # fmt: skip


def _curves(figure: go.Figure, compared: Compared, step: int, places: list[int], title: str) -> None:
    """Draw each sample thin, their mean thick, and the truth dashed, over the seconds since the present."""
    times, samples, truth = compared.times, compared.scores, compared.truth_scores
    if samples is None:
        before = compared.present.frames[..., places].mean()
        times = np.append(0.0, times)

        def averaged(frames: np.ndarray) -> np.ndarray:
            found = frames[..., places].mean(axis=(-3, -2, -1))
            return np.concatenate([np.full((*found.shape[:-1], 1), before), found], axis=-1)

        samples, truth = averaged(compared.samples), None if compared.truth is None else averaged(compared.truth)
    figure.add_vline(x=compared.times[step - 1], line={"color": RULE, "width": 6}, layer="below", row=2, col=1)
    said = {"mode": "lines+markers", "hovertemplate": "%{x:.3g} s: %{y:.4g}", "row": 2, "col": 1}
    for i, values in enumerate(samples):
        figure.add_scatter(
            x=times, y=values, name="samples", legendgroup="samples", showlegend=i == 0,
            line={"color": COLOURS[0], "width": 1}, opacity=0.4, marker={"size": 2}, **said,
        )  # fmt: skip
    thick = {"line": {"color": COLOURS[0], "width": 3}, "marker": {"size": 5}}
    figure.add_scatter(x=times, y=samples.mean(axis=0), name="predicted mean", **thick, **said)
    if truth is not None:
        dashed = {"line": {"color": COLOURS[1], "width": 2, "dash": "dash"}, "marker": {"size": 5}}
        figure.add_scatter(x=times, y=truth, name="trusted simulator", **dashed, **said)
    line = {"showline": True, "linecolor": QUIET, "zeroline": False}
    figure.update_xaxes(title="time after the present (s)", showgrid=False, ticks="outside", **line, row=2, col=1)
    figure.update_yaxes(title=title if compared.scores is None else "score", gridcolor=RULE, **line, row=2, col=1)
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": figure.layout.yaxis.domain[0], "yanchor": "top"}
    figure.update_layout(legend={**legend, "font": {"size": 11, "color": INK}})


def _scale(figure: go.Figure, axis: str, colours: str, low: float, high: float, label: str, row: int) -> None:
    """Give a row of pictures its colours, and a bar beside it if it has a label."""
    bottom, top = figure.get_subplot(row, LAST + 1).yaxis.domain
    bar = colorbar(label) | {"lenmode": "fraction", "len": top - bottom, "y": (top + bottom) / 2}
    figure.update_layout(
        {axis: {"colorscale": colours, "cmin": low, "cmax": high, "showscale": bool(label), "colorbar": bar}}
    )


def _title(compared: Compared, step: int) -> str:
    """The step, and the controls that act in it, with their units."""
    pairs = zip(compared.columns, compared.controls[step - 1], strict=True)
    said = f"step {step} of {len(compared.times)}, {compared.times[step - 1]:.3g} s: "
    said += ", ".join(_value(column, value) for column, value in pairs)
    return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(said, LETTERS))


def _value(column: Column, value: float) -> str:
    """A control's name, value and units."""
    if column.levels:
        return f"{column.name} {column.levels[int(value)]}"
    return f"{column.name} {value:.3g}" + ("" if column.units == "1" else f" {column.units}")
