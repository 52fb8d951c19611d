"""A report that opens in any browser, without internet."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from sciworld.errors import SettingsError
from sciworld.files import replace_file

SCRIPT = "plotly.min.js"

# By default the toolbar offers to send a figure's data to plotly's server.
_CONFIG = {"displaylogo": False, "showSendToCloud": False}

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 1240px; padding: 2.5rem 1.5rem 5rem; background: #fff; color: #1f2933;
  font: 16px/1.55 Inter, "Segoe UI", Helvetica, Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1.5rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .5rem; padding-top: 1rem; border-top: 1px solid #e4e7eb; }
p { max-width: 46rem; margin: .6rem 0; }
p.warning { color: #b42318; font-weight: 600; border-left: 3px solid #b42318; padding-left: .75rem; }
nav { font-size: .9rem; } nav a { margin-right: 1.1rem; color: #2563a8; text-decoration: none; }
.item { margin: 1.2rem 0; overflow-x: auto; }
table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem .35rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e4e7eb; }
th { font-weight: 600; border-bottom: 1.5px solid #7b8794; }
caption { caption-side: bottom; text-align: left; color: #616e7c; padding-top: .5rem; }
"""


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Parameters
    ----------
    heading : plain text.
    prose : plain text; an empty line begins a new paragraph.
    items : plotly Figures, and anything that has `_repr_html_` (tables, verdicts, Datasets).
    warnings : shown in red above the prose.
    """

    heading: str
    prose: str = ""
    items: Sequence[Any] = ()
    warnings: Sequence[str] = ()


def write_report(path: str | Path, title: str, sections: Sequence[Section]) -> Path:
    """Write an HTML report at `path`, with plotly's script stored once beside it; returns the path.

    An earlier page is replaced in one go. Raises SettingsError for an item that has no HTML, OSError if the page
    cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path.parent / SCRIPT, get_plotlyjs().encode())
    replace_file(path.resolve(), _page(title, sections, f'<script src="{SCRIPT}"></script>').encode())
    return path


def single_page(title: str, sections: Sequence[Section]) -> str:
    """The same report as HTML that holds plotly's script itself, some 5 MB: it needs no file beside it."""
    return _page(title, sections, f"<script>{get_plotlyjs()}</script>")


def _page(title: str, sections: Sequence[Section], script: str) -> str:
    links = "".join(f'<a href="#section-{i}">{html.escape(s.heading)}</a>' for i, s in enumerate(sections))
    body = "\n".join(_section(i, section) for i, section in enumerate(sections))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{html.escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n{script}\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n<nav>{links}</nav>\n{body}\n</body>\n</html>\n"
    )


def _section(index: int, section: Section) -> str:
    parts = [f'<section id="section-{index}">', f"<h2>{html.escape(section.heading)}</h2>"]
    parts += [f'<p class="warning">{html.escape(text)}</p>' for text in section.warnings]
    parts += [f"<p>{html.escape(text)}</p>" for text in section.prose.split("\n\n") if text.strip()]
    for number, item in enumerate(section.items):
        parts.append(f'<div class="item">{_item(item, f"figure-{index}-{number}", section.heading)}</div>')
    return "\n".join([*parts, "</section>"])


def _item(item: Any, name: str, heading: str) -> str:
    if isinstance(item, Figure):
        text: str = item.to_html(
            full_html=False,
            include_plotlyjs=False,
            include_mathjax=False,
            div_id=name,
            config=_CONFIG,
            auto_play=False,
        )
        return text
    if not hasattr(item, "_repr_html_"):
        raise SettingsError(f"report, '{heading}': {type(item).__name__} has no HTML; pass a Figure or a Table")
    return str(item._repr_html_())
