"""The look that all figures share: colours, sizes, colour bars, margins."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

INK, QUIET, RULE = "#1f2933", "#7b8794", "#e4e7eb"
COLOURS = ("#2563a8", "#d1495b", "#2a9d76", "#e09f3e", "#7b5ea7", "#4d5d6c", "#8c5a2b")
SEQUENTIAL, GREY, DIVERGING = "Viridis", "Gray", "RdBu_r"
WIDTH, GAP = 900, 8  # pixels: of the widest plotted area, and between small images
FONT = {"family": "Inter, 'Segoe UI', Helvetica, Arial, sans-serif", "size": 13, "color": INK}


def colorbar(units: str, x: float = 1.01) -> dict[str, Any]:
    """A colour bar, its left edge at x of the plotted area."""
    return {"title": {"text": units, "side": "right"}, "thickness": 10, "outlinewidth": 0, "x": x, "xpad": 0}


def finish(figure: go.Figure, title: str, width: float, height: float) -> go.Figure:
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
