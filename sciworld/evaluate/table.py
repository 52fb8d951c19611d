"""A small table that reads well in a terminal, a notebook and a report."""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass

from sciworld.measures.intervals import Interval

DASH = "–"  # noqa: RUF001 - what stands where nothing was measured


@dataclass(frozen=True)
class Table:
    """Columns of text.

    Parameters
    ----------
    columns : the headings.
    rows : one cell a column.
    caption : a line below the table.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        text.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join(line.rstrip() for line in [*text, *([self.caption] if self.caption else [])])

    def fit(self, width: int) -> str:
        """The table as text; one that is wider than `width` and has more columns than rows lies on its side."""
        lines = str(Table(self.columns, self.rows)).splitlines()
        if len(lines[1]) <= width or len(self.columns) <= len(self.rows) + 1:
            return str(self)
        first, *rest = zip(self.columns, *self.rows, strict=True)
        return str(Table(first, tuple(rest), self.caption))

    def _repr_html_(self) -> str:
        def line(tag: str, cells: tuple[str, ...]) -> str:
            return "<tr>" + "".join(f"<{tag}>{_cell(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(line("td", row) for row in self.rows)
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        return (
            f'<table class="sciworld">{caption}<thead>{line("th", self.columns)}</thead><tbody>{body}</tbody></table>'
        )


def _cell(text: str) -> str:
    """A cell as HTML, in which no line breaks within the brackets of an interval."""
    return re.sub(r"\[[^]]*\]", lambda found: found[0].replace(" ", "&nbsp;"), html.escape(text))


def number(value: float) -> str:
    """A number to three significant digits; whole ones above that in full."""
    if not math.isfinite(value):
        return DASH if math.isnan(value) else str(value)
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.2e}"
    return f"{value:.{min(max(2 - math.floor(math.log10(abs(value))), 0), 3)}f}"


def interval(found: Interval) -> str:
    """A value with its interval: 0.970 [0.915, 0.990]; one without spread alone."""
    if math.isnan(found.value):
        return DASH
    if math.isnan(found.low) or found.low == found.value == found.high:
        return number(found.value)
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"
