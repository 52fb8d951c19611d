"""Contact sheets: coloured films beside each other, that play together."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sciworld.errors import SettingsError
from sciworld.plots.movies import play_buttons
from sciworld.plots.style import GAP, WIDTH, finish
from sciworld.plots.thumbnails import SIDE, data_uri

LARGE = 2 * SIDE  # pixels of a film along its longer side, at most
TITLE = 22  # pixels above each film


def contact_sheet(films: Mapping[str, np.ndarray], across: int = 4, title: str = "", step: float = 0.1) -> go.Figure:
    """Films side by side, in rows of `across`, with a button that plays them; a single picture each has none.

    films : label -> frames (time, y, x, 3) uint8, all of one shape. step : s between frames. Raises SettingsError.
    """
    shapes = {np.shape(frames) for frames in films.values()}
    odd = [label for label, frames in films.items() if np.asarray(frames).dtype != np.uint8]
    one = next(iter(shapes), ())
    if len(shapes) != 1 or len(one) != 4 or one[-1] != 3 or odd:
        found = ", ".join(map(str, sorted(shapes))) or "none"
        raise SettingsError(f"contact sheet: films are {found}; give (time, y, x, 3) uint8, all of one shape")
    if across < 1 or not step > 0:
        raise SettingsError(f"contact sheet: {across} films a row, {step} s a frame; use 1 or more, and a time above 0")
    count, y, x, _ = one
    k = max(1, -(-max(y, x) // LARGE))
    small = [np.asarray(frames)[:, ::k, ::k] for frames in films.values()]
    columns = min(across, len(films))
    rows = -(-len(films) // columns)
    wide = min(WIDTH / columns - GAP, float(LARGE))
    high = wide * y / x
    width, height = columns * (wide + GAP), rows * (high + TITLE)
    figure = make_subplots(
        rows, columns, horizontal_spacing=GAP / width, vertical_spacing=TITLE / height,
        subplot_titles=[html.escape(label, quote=False) for label in films],
    )  # fmt: skip
    for index, frames in enumerate(small):
        figure.add_image(
            source=data_uri(frames[0]), hoverinfo="skip", row=index // columns + 1, col=index % columns + 1
        )
    plain = {"showticklabels": False, "showgrid": False, "zeroline": False, "ticks": ""}
    figure.update_xaxes(plain, constrain="domain")
    figure.update_yaxes(plain, constrain="domain")
    finish(figure, title, width, height)
    if count == 1:
        return figure
    figure.frames = [
        go.Frame(name=str(t), data=[go.Image(source=data_uri(frames[t])) for frames in small],
                 traces=list(range(len(small))))
        for t in range(count)
    ]  # fmt: skip
    return play_buttons(figure, [f"{step * t:.4g} s" for t in range(count)], step)
