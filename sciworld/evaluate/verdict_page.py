"""The page of verdicts: who did better, what a reader must not overlook, and what came of promises, small to large."""

from __future__ import annotations

import xarray as xr

from sciworld.evaluate.report import Section, single_page
from sciworld.evaluate.table import Table, number
from sciworld.evaluate.verdict import Verdict, judged


def page(verdicts: dict[str, Verdict], compared: Table) -> str:
    """Verdicts by their names as one HTML page that opens without internet and needs no file beside it.

    compared : they side by side, such as `verdict.compare` makes. Who promised nothing has no part but that.
    """
    warnings = [text for verdict in verdicts.values() for text in verdict.warnings()]
    known = {name: verdict.calibration() for name, verdict in verdicts.items()}
    silent = [name for name, found in known.items() if not found.sizes["bin"]]
    prose = f"Without promises whose outcome is known: {', '.join(silent)}." if silent else ""
    parts = [
        Section(
            f"Promise and outcome: {name}",
            f"Decisions in the order of their promises, in parts of equal numbers; {judged(verdicts[name])}.",
            [verdicts[name].figure(), _table(found)],
        )
        for name, found in known.items()
        if name not in silent
    ]
    return single_page(
        "What was promised, and what came", [Section("The verdict", prose, [compared], warnings), *parts]
    )


def _table(found: xr.Dataset) -> Table:
    """What `Verdict.calibration` found, a part a row."""
    unit = found.promise.attrs["units"]
    heads = [name + f" ({unit})" * (unit != "1") for name in ("promise", "outcome", "standard error")]
    columns = (found[name].values for name in ("promise", "outcome", "standard_error"))
    rows = [
        (*(number(value) for value in values), str(count))
        for *values, count in zip(*columns, found.decisions.values, strict=True)
    ]
    rank = f"Rank correlation of promises and outcomes, of all decisions: {number(float(found.rank_correlation))}."
    return Table((*heads, "decisions"), tuple(rows), rank)
