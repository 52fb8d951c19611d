"""The page of verdicts opens anywhere, and says what came of promises."""

from __future__ import annotations

import re

import numpy as np

from sciworld.evaluate import verdict_page
from sciworld.evaluate.verdict import Verdict, compare


def verdict(name: str, promise: list[float]) -> Verdict:
    n = len(promise)
    return Verdict(
        controller=name, judge="the <judge>", made_training_data=True, success=np.ones(n), actions=np.ones(n),
        seconds=np.ones(n), dose=np.ones(n), promise=promise, outcome=np.arange(n) - 9.0, promise_units="m^2",
    )  # fmt: skip


def test_the_page_stands_alone_and_says_what_came_of_promises() -> None:
    verdicts = {"planned": verdict("planned", [1.0, 2.0, 3.0, 4.0]), "chance": verdict("chance", [np.nan] * 4)}
    page = verdict_page.page(verdicts, compare(verdicts))
    body = re.sub(r"<script>.*?</script>", "", page, count=1, flags=re.DOTALL)
    assert len(page) - len(body) > 1_000_000 and "src=" not in body and 'href="http' not in body
    assert body.count('class="plotly-graph-div"') == 1 and "the &lt;judge&gt;" in body and "<judge>" not in body
    assert "Without promises whose outcome is known: chance." in body
    assert "promises more than comes true" in body and "planned: the judge" in body
    assert "promise (m^2)" in body and "of all decisions: 1.00." in body
    assert "<td>1.00</td><td>-9.00</td>" in body
