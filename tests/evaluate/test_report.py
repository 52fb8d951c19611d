"""A report opens without internet and shows exactly what it was given."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from sciworld import plots
from sciworld.errors import SettingsError
from sciworld.evaluate.report import SCRIPT, Section, write_report
from sciworld.evaluate.table import Table


class Loaded(HTMLParser):
    """Collects what a browser would fetch, and counts tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "src" or (name == "href" and tag == "link"):
                self.fetched.append(value)


def figure():
    return plots.image_strip({"truth": np.arange(70.0).reshape(2, 5, 7)})


def test_a_report_fetches_nothing_but_the_script_beside_it(tmp_path):
    sections = [Section("Futures", "One.\n\nTwo.", [figure(), figure()]), Section("Table", items=[figure()])]
    path = write_report(tmp_path / "new" / "report.html", "A report", sections)
    text = path.read_text(encoding="utf-8")
    page = Loaded(text)
    assert page.fetched == [SCRIPT]
    assert "plotly.js v" in (path.parent / SCRIPT).read_text(encoding="utf-8")[:200]
    assert sorted(file.name for file in path.parent.iterdir()) == [SCRIPT, "report.html"]
    assert len(text) < 200_000, "the script is stored beside the report, not in it"
    names = re.findall(r'<div id="(figure-[\d-]+)"', text)
    assert names == ["figure-0-0", "figure-0-1", "figure-1-0"]
    assert text.count('"showSendToCloud": false') == 3, "no button sends the data away"
    assert page.tags.count("h2") == 2 and text.count("<p>") == 2


def test_the_same_input_gives_the_same_report(tmp_path):
    one, two = (write_report(tmp_path / name, "T", [Section("S", items=[figure()])]) for name in ("a.html", "b.html"))
    assert one.read_bytes() == two.read_bytes()


def test_warnings_are_red_and_all_text_is_escaped(tmp_path):
    table = Table(("<th>",), (("<td> [1, 2]",),))
    section = Section("a < b", "x <script>alert(1)</script>", [table], ["controls are <ignored>"])
    text = write_report(tmp_path / "r.html", "T & <T>", [section]).read_text(encoding="utf-8")
    assert '<p class="warning">controls are &lt;ignored&gt;</p>' in text
    assert re.search(r"p\.warning \{ color: #b42318", text)
    assert "<script>alert" not in text and "<h2>a &lt; b</h2>" in text and "T &amp; &lt;T&gt;" in text
    assert "<td>&lt;td&gt; [1,&nbsp;2]</td>" in text


def test_an_item_without_html_is_named(tmp_path):
    with pytest.raises(SettingsError, match="report, 'Numbers': list has no HTML"):
        write_report(tmp_path / "r.html", "T", [Section("Numbers", items=[[1, 2]])])
