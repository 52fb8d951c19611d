"""Part of the page of an evaluation: what the domain reads from guessed frames, and where along a rollout it fails."""

from __future__ import annotations

import itertools
import json

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
    pairs = json.loads(found.attrs["rates"])
    for by, event in pairs:
        items += _rate(found, by, event)
    items += [_reliability(found, event) for event in dict.fromkeys(event for _, event in pairs)]
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
        cells = [interval(mean(error.sel(guess=guess).values, groups=found.session.values)) for guess in guesses]
        true_known, one_known = (np.isfinite(found.physics.sel(source=s, quantity=name)) for s in (TRUTH, ONE))
        share = (one_known & true_known).sum() / true_known.sum() if true_known.any() else np.nan
        cells.append(f"{float(share):.0%}" if np.isfinite(share) else DASH)
        off = np.abs(found.physics.sel(quantity=name) - found.measured.sel(quantity=name))
        told = [number(float(off.sel(source=source).mean(skipna=True))) for source in (TRUTH, MEAN)]
        rows.append((f"{name} ({units})", bounds, number(float(true)), *cells, *told))
    caption = (
        "Mean absolute differences from what is read from the truth, over all steps that can be read, and how many of "
        "the truth's one sample can; of events the mean square, Brier's score. Intervals over sessions. The last two "
        "are differences from what instrument or solver measured, where the recordings have it as a state."
    )
    errors = [f"error of {guess}" for guess in guesses]
    headings = ("quantity", "must be", "truth, mean", *errors, "read", f"{TRUTH} off measured", f"{MEAN} off measured")
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


def _once(found: xr.Dataset) -> np.ndarray:
    """Of starts whose steps overlap each transition once : bool (recording, start, step)."""
    frames = found.start_frame.values[:, :, None] + found.step.values
    once = np.zeros(frames.shape, dtype=bool)
    for row, chosen in zip(frames, once, strict=True):
        _, first = np.unique(row, return_index=True)
        chosen.ravel()[first] = True
    return once & np.isfinite(frames)


def _rate(found: xr.Dataset, by: str, event: str) -> list[Table | Figure]:
    """How often an event is, by what it depends on: in the truth, and in one sample."""
    once = _once(found)

    def of(source: str, name: str) -> np.ndarray:
        return np.asarray(found.physics.sel(source=source, quantity=name).values[once])

    pairs = {source: (of(source, by), of(source, event)) for source in (TRUTH, ONE)}
    cause = pairs[TRUTH][0]
    cause = cause[np.isfinite(cause)]
    if not len(cause):
        return []
    edges = np.unique(np.quantile(cause, np.linspace(0, 1, BINS + 1)))
    rows, cells = [], []
    bands: dict[str, tuple[list[float], list[float]]] = {source: ([], []) for source in pairs}
    for low, high in itertools.pairwise(edges):
        row, cell = {by: float(0.5 * (low + high))}, [f"{number(low)} to {number(high)}"]
        for source, (x, happened) in pairs.items():
            chosen = (x >= low) & ((x <= high) if high == edges[-1] else (x < high)) & np.isfinite(happened)
            share = wilson(int((happened[chosen] > 0.5).sum()), int(chosen.sum()))
            row[source] = share.value
            bands[source][0].append(share.low)
            bands[source][1].append(share.high)
            cell += [interval(share), str(int(chosen.sum()))]
        rows.append({name: value for name, value in row.items() if np.isfinite(value)})
        cells.append(tuple(cell))
    units = str(found.quantity_units.sel(quantity=by).values)
    caption = f"Share of steps with '{event}', however long they last, with Wilson's intervals of 95 %."
    table = Table((f"{by} ({units})", TRUTH, "steps", ONE, "steps"), tuple(cells), caption)
    figure = plots.curves(rows, list(pairs), by, title=f"{event} by {by}", y_title="share", log=False, bands=bands)
    return [table, figure]


def _reliability(found: xr.Dataset, event: str) -> Figure:
    """How often happened what was given a probability, and Brier's score beside that of the mean frequency."""
    once = _once(found)
    truth, given = (found.physics.sel(source=source, quantity=event).values[once] for source in (TRUTH, MEAN))
    both = np.isfinite(truth) & np.isfinite(given)
    truth, given = truth[both], given[both]
    told = reliability(truth, given, PROBABILITIES)
    usual = np.full(truth.shape, truth.mean() if len(truth) else np.nan)
    title = f"{event}: Brier score {number(brier(truth, given))}, of its mean frequency {number(brier(truth, usual))}"
    rows = [
        {"probability given": float(p), "came": float(c), "right": float(p)}
        for p, c in zip(told.promised, told.came, strict=True)
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
