"""Part of the page of an evaluation: what the domain reads from guessed frames, and where along a rollout it fails."""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr
from plotly.graph_objects import Figure

from sciworld import plots
from sciworld.evaluate.baselines import LINEAR, PERSISTENCE
from sciworld.evaluate.report import Section
from sciworld.evaluate.table import DASH, Table, interval, number
from sciworld.evaluate.trial import MEAN, ONE, SHUFFLED, TRUTH
from sciworld.measures.intervals import mean, wilson
from sciworld.measures.probability import brier, reliability

BINS = 6  # of what an event depends on, with as many cases in each
PROBABILITIES = 5  # bins of a reliability diagram


def sections(found: xr.Dataset) -> list[Section]:
    """The part, where `evaluate` was given a domain."""
    if "physics" not in found:
        return []
    items: list[Table | Figure] = [_errors(found)]
    if "fails" in found and np.isfinite(found.fails).any():
        items.append(_drift(found))
    items += _curves(found)
    for pair in np.atleast_1d(found.attrs.get("rates", [])):
        items += _rate(found, *str(pair).split(":"))
    if "response" in found:
        items.append(_responses(found))
    return [
        Section(
            "What holds of it",
            f"What the domain '{found.attrs['domain']}' reads from frames, of the truth and of guesses alike. Of a "
            "model with several samples the reading is their mean, so that an event becomes a probability. The drift "
            "view shows the share of futures that fail: a quantity lies outside of its bounds, or cannot be read "
            "though the truth's can.",
            items,
        )
    ]


def _names(found: xr.Dataset) -> list[tuple[str, str]]:
    """Quantities and their units."""
    return [(str(n), str(u)) for n, u in zip(found.quantity.values, found.quantity_units.values, strict=True)]


def _errors(found: xr.Dataset) -> Table:
    guesses = (MEAN, ONE, SHUFFLED, PERSISTENCE, LINEAR)
    rows = []
    for name, units in _names(found):
        low, high = (float(found[f"quantity_{end}"].sel(quantity=name)) for end in ("low", "high"))
        bounds = DASH if np.isnan([low, high]).all() else f"{number(low)} to {number(high)}"
        true = found.physics.sel(source=TRUTH, quantity=name).mean(skipna=True)
        error = found.physics_error.sel(quantity=name).mean("step", skipna=True)
        cells = [interval(mean(error.sel(guess=guess).values)) for guess in guesses]
        off = np.abs(found.physics.sel(quantity=name) - found.measured.sel(quantity=name))
        told = [number(float(off.sel(source=source).mean(skipna=True))) for source in (TRUTH, MEAN)]
        rows.append((f"{name} ({units})", bounds, number(float(true)), *cells, *told))
    caption = (
        "Mean absolute differences from what is read from the truth, over all steps; intervals over recordings. The "
        "last two are differences from what instrument or solver measured, where the recordings have it as a state."
    )
    headings = ("quantity", "must be", "truth, mean", *guesses, f"{TRUTH} off measured", f"{MEAN} off measured")
    return Table(headings, tuple(rows), caption)


def _drift(found: xr.Dataset) -> Figure:
    bounded = [name for name, _ in _names(found) if np.isfinite(found.fails.sel(quantity=name)).any()]
    shares = found.fails.sel(quantity=bounded).mean(("recording", "start"), skipna=True)
    sources = [s for s in (TRUTH, ONE, SHUFFLED, LINEAR) if np.isfinite(shares.sel(source=s)).any()]
    return plots.heat(
        {source: shares.sel(source=source).transpose("quantity", "step").values for source in sources}, bounded,
        found.step.values.tolist(), title="Drift: share that fails a check, by step", x_title="step",
        units="share", low=0.0, high=1.0,
    )  # fmt: skip


def _curves(found: xr.Dataset) -> list[Figure]:
    items = []
    for name, units in _names(found):
        values = found.physics.sel(quantity=name).mean(("recording", "start"), skipna=True)
        sources = [s for s in (TRUTH, MEAN, SHUFFLED, PERSISTENCE, LINEAR) if np.isfinite(values.sel(source=s)).any()]
        rows = [
            {"step": float(step)} | {s: float(values.sel(source=s, step=step)) for s in sources}
            for step in found.step.values
        ]
        items.append(plots.curves(rows, sources, "step", title=f"{name}, mean", y_title=units, log=False))
    return items


def _rate(found: xr.Dataset, by: str, event: str) -> list[Table | Figure]:
    """How often an event is, by what it depends on; and how often it is where it was given a probability."""
    cause, truth, given = (
        found.physics.sel(source=source, quantity=name).values.ravel()
        for source, name in ((TRUTH, by), (TRUTH, event), (MEAN, event))
    )
    one, source_cause = (found.physics.sel(source=ONE, quantity=name).values.ravel() for name in (event, by))
    known = np.isfinite(cause) & np.isfinite(truth)
    if not known.any():
        return []
    edges = np.unique(np.quantile(cause[known], np.linspace(0, 1, BINS + 1)))
    rows, bands = [], {TRUTH: ([], []), ONE: ([], [])}  # type: ignore[var-annotated]
    cells = []
    for low, high in itertools.pairwise(edges):
        row, cell = {by: float(0.5 * (low + high))}, [f"{number(low)} to {number(high)}"]
        for source, x, happened in ((TRUTH, cause, truth), (ONE, source_cause, one)):
            last = high == edges[-1]
            chosen = (x >= low) & ((x <= high) if last else (x < high)) & np.isfinite(happened)
            share = wilson(int((happened[chosen] > 0.5).sum()), int(chosen.sum()))
            row[source] = share.value
            bands[source][0].append(share.low)
            bands[source][1].append(share.high)
            cell += [interval(share), str(int(chosen.sum()))]
        rows.append(row)
        cells.append(tuple(cell))
    units = str(found.quantity_units.sel(quantity=by).values)
    caption = f"Share of steps with '{event}', with Wilson's intervals of 95 %."
    table = Table((f"{by} ({units})", TRUTH, "steps", ONE, "steps"), tuple(cells), caption)
    figure = plots.curves(rows, [TRUTH, ONE], by, title=f"{event} by {by}", y_title="share", log=False, bands=bands)
    return [table, figure, _reliability(event, truth, given)]


def _reliability(event: str, truth: np.ndarray, given: np.ndarray) -> Figure:
    found = reliability(truth, given, PROBABILITIES)
    both = np.isfinite(truth) & np.isfinite(given)
    usual = np.full(truth.shape, truth[both].mean() if both.any() else np.nan)
    title = f"{event}: Brier score {number(brier(truth, given))}, of its mean frequency {number(brier(truth, usual))}"
    rows = [
        {"probability given": float(p), "came": float(c), "right": float(p)}
        for p, c in zip(found.promised, found.came, strict=True)
        if np.isfinite(p)
    ]
    return plots.curves(rows, ["came", "right"], "probability given", title=title, y_title="share", log=False)


def _responses(found: xr.Dataset) -> Table:
    rows = []
    for control in found.control.values:
        for name, _ in _names(found):
            values = found.response.sel(control=control, quantity=name)
            if np.isfinite(values.sel(source=TRUTH)):
                cells = [number(float(values.sel(source=source))) for source in (TRUTH, MEAN, SHUFFLED, LINEAR)]
                rows.append((str(control), name, *cells))
    caption = "Spearman's correlation of a control with what is read after it, over all steps: the truth's is right."
    return Table(("control", "quantity", TRUTH, MEAN, SHUFFLED, LINEAR), tuple(rows), caption)
