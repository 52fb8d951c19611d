"""Panels of frames that play side by side: truth, sampled future, mean of samples, error."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from sciworld.errors import SettingsError
from sciworld.plots.style import DIVERGING, GAP, GREY, WIDTH, colorbar, finish
from sciworld.plots.thumbnails import LOST, ODD, SIDE, indexed_uri, thumbnail
from sciworld.plots.values import limits, panels, reach

SHADES = 128  # of a colour scale: finer ones cost page, and differ by less than an eye sees
TALL = 280  # pixels: of a panel at most
BAR = 70  # pixels: of a colour bar with its numbers, between panels
BUTTONS = 130  # pixels: of the buttons below the panels, left of the slider
LEAST = 360  # pixels: of the buttons and a slider
EMPTY = (255, 255, 255)  # the colour of the page, where a row has no frame


def movie(
    rows: Mapping[str, np.ndarray],
    titles: Sequence[str],
    title: str = "",
    units: str = "",
    seconds: float = 0.4,
    differences: Mapping[str, np.ndarray] | None = None,
) -> go.Figure:
    """Panels side by side on one colour scale, with a button that plays them and a slider over time.

    rows : label -> frames (time, y, x); rows may differ in length, after its last frame a panel is empty. titles :
    (time,), what the slider says. seconds : that each frame stays. differences : label -> frames (time, y, x), panels
    on a diverging scale of their own about 0. Both are in units. A pixel that is not finite is red, but dark grey in
    differences, where red is a large number. Frames larger than a thumbnail are shown as its means of blocks. The
    colours run from the least finite value shown to the greatest, in 128 shades. Raises SettingsError where there are
    no rows, and where the panels or the titles do not fit one another.
    """
    if not rows:
        raise SettingsError("movie: no rows; give at least one, a label and its frames (time, y, x)")
    differences = differences or {}
    small = [_small(frames) for frames in panels([*rows.items(), *differences.items()], "movie", "time")]
    shown, apart = small[: len(rows)], small[len(rows) :]
    count = _count(small, titles)
    if not seconds > 0:
        raise SettingsError(f"movie: a frame cannot stay for {seconds} s; give a time above 0")
    (low, high), most = limits(shown), reach(apart)
    pictures = [_addresses(frames, count, low, high, GREY, ODD) for frames in shown]
    pictures += [_addresses(frames, count, -most, most, DIVERGING, LOST) for frames in apart]
    figure, width, height = _panels(list(rows), list(differences), small[0].shape[1:])
    places = [*range(1, len(shown) + 1), *range(len(shown) + 2, len(pictures) + 2)]
    for label, column, uris in zip([*rows, *differences], places, pictures, strict=True):
        hover = f"{html.escape(label, quote=False)}<extra></extra>"
        figure.add_image(source=uris[0], hovertemplate=hover, row=1, col=column)
    _bar(figure, "coloraxis", GREY, low, high, units, len(shown), width)
    if apart:
        _bar(figure, "coloraxis2", DIVERGING, -most, most, units, places[-1], width)
    figure.frames = [
        go.Frame(name=str(i), data=[go.Image(source=uris[i]) for uris in pictures], traces=list(range(len(pictures))))
        for i in range(count)
    ]
    finish(figure, title, width, height)
    return play_buttons(figure, titles, seconds)


def _small(frames: np.ndarray) -> np.ndarray:
    """Frames (time, y, x), no side longer than a thumbnail's."""
    if max(frames.shape[1:]) <= SIDE:
        return frames
    return np.stack([thumbnail(frame[..., None])[..., 0] for frame in frames])


def _count(panels: Sequence[np.ndarray], titles: Sequence[str]) -> int:
    """How many frames the longest panel has."""
    count = max(map(len, panels))
    if len(titles) != count:
        raise SettingsError(f"movie: {len(titles)} titles for {count} frames; give one for each")
    return count


def _addresses(
    frames: np.ndarray, count: int, low: float, high: float, scale: str, odd: tuple[int, int, int]
) -> list[str]:
    """Frames (time, y, x) as PNG addresses, `count` of them: where there is no frame the page shows.

    odd : the colour of what is not finite.
    """
    colours = np.array(sample_colorscale(scale, np.linspace(0, 1, SHADES), colortype="tuple"))
    palette = np.concatenate([np.round(255 * colours), [odd, EMPTY]]).astype(np.uint8)
    finite = np.isfinite(frames)
    bright = (np.clip(np.where(finite, frames, low), low, high) - low) / (high - low)
    shades = np.where(finite, np.round((SHADES - 1) * bright), SHADES).astype(np.uint8)
    empty = np.full((count - len(frames), *frames.shape[1:]), SHADES + 1, np.uint8)
    return [indexed_uri(image, palette) for image in np.concatenate([shades, empty])]


def _panels(rows: list[str], differences: list[str], shape: tuple[int, int]) -> tuple[go.Figure, float, float]:
    """Empty panels for images of (y, x) pixels; width and height in pixels of the plotted area.

    A column without a panel holds the colour bar of the rows, and another what the slider needs beyond the panels.
    """
    y, x = shape
    wide = min((WIDTH - (BAR if differences else 0)) / len([*rows, *differences]) - GAP, TALL * max(0.5, x / y))
    widths: list[float] = [wide] * len(rows)
    specs: list[dict[str, int] | None] = [{}] * len(rows)
    if differences:
        widths += [BAR, *[wide] * len(differences)]
        specs += [None, *[{}] * len(differences)]
    spare = LEAST - sum(widths) - GAP * len(widths)
    if spare > 0:
        widths, specs = [*widths, spare], [*specs, None]
    width, height = sum(widths) + GAP * (len(widths) - 1), wide * y / x
    figure = make_subplots(
        1, len(widths), specs=[specs], column_widths=widths, horizontal_spacing=GAP / width,
        subplot_titles=[html.escape(label, quote=False) for label in (*rows, *differences)],
    )  # fmt: skip
    # Said outright, as the traces of the colour bars have no place.
    figure.update_xaxes(range=[-0.5, x - 0.5], constrain="domain")
    figure.update_yaxes(range=[y - 0.5, -0.5], constrain="domain")
    figure.for_each_yaxis(lambda axis: axis.update(scaleanchor=axis.anchor))
    plain = {"showticklabels": False, "showgrid": False, "zeroline": False, "ticks": ""}
    figure.update_xaxes(plain)
    figure.update_yaxes(plain)
    return figure, width, height


def _bar(
    figure: go.Figure, axis: str, scale: str, low: float, high: float, units: str, column: int, width: float
) -> None:
    """Draw a colour bar to the right of a panel: a picture has none of its own, so a point without a place has it."""
    marker = {"color": [low], "coloraxis": axis}
    figure.add_scatter(
        x=[None], y=[None], mode="markers", marker=marker, showlegend=False, hoverinfo="skip", row=1, col=column
    )
    right = figure.get_subplot(1, column).xaxis.domain[1]
    bar = {"colorscale": scale, "cmin": low, "cmax": high, "colorbar": colorbar(units, right + GAP / width)}
    figure.update_layout({axis: bar})


def play_buttons(figure: go.Figure, titles: Sequence[str], seconds: float) -> go.Figure:
    """Put two buttons, play and pause, and a slider below the panels of a figure that has frames."""

    def animation(stay: float) -> dict[str, object]:
        # Without redraw plotly changes only lines and points.
        still = {"duration": 0}
        frame = {"duration": round(1000 * stay), "redraw": True}
        return {"mode": "immediate", "fromcurrent": True, "frame": frame, "transition": still}

    buttons = [
        {"label": "Play", "method": "animate", "args": [None, animation(seconds)]},
        {"label": "Pause", "method": "animate", "args": [[None], animation(0)]},
    ]
    steps = [
        {"label": html.escape(text, quote=False), "method": "animate", "args": [[frame.name], animation(0)]}
        for text, frame in zip(titles, figure.frames, strict=True)
    ]
    more = 50  # pixels: of what stands below the panels, beyond the margin
    area = figure.layout.width - figure.layout.margin.l - figure.layout.margin.r
    menu = {"type": "buttons", "direction": "left", "showactive": False, "buttons": buttons}
    menu |= {"x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "pad": {"t": 28}}
    slider = {"active": 0, "steps": steps, "x": BUTTONS / area, "len": 1 - BUTTONS / area, "y": 0, "yanchor": "top"}
    slider |= {"currentvalue": {"prefix": "", "xanchor": "left"}, "pad": {"t": 10}}
    return figure.update_layout(
        updatemenus=[menu],
        sliders=[slider],
        height=figure.layout.height + more,
        margin={"b": figure.layout.margin.b + more},
    )
