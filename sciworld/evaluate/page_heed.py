"""Parts of the page of an evaluation: whether the model heeds its controls, how sure it is, which scales it keeps."""

from __future__ import annotations

import numpy as np
import xarray as xr
from plotly.graph_objects import Figure

from sciworld import plots
from sciworld.evaluate.baselines import LINEAR
from sciworld.evaluate.report import Section
from sciworld.evaluate.table import Table, interval, number
from sciworld.evaluate.trial import MEAN, ONE, SHUFFLED, TRUTH
from sciworld.measures.intervals import mean

GENIE = 4  # the step of its delta_t PSNR: Bruce et al., ICML 2024, section 3


def sections(found: xr.Dataset) -> list[Section]:
    """The parts that the Dataset of `evaluate` has something for."""
    return [*_controls(found), *_certainty(found), _spectra(found)]


def _controls(found: xr.Dataset) -> list[Section]:
    """None where nothing is controlled."""
    if not found.sizes.get("control"):
        return []
    items: list[Table | Figure] = []
    warnings = []
    last = int(found.step.values[-1])
    rows = []
    for channel, unit in zip(found.channel.values, found.channel_units.values, strict=True):
        of = found.sel(channel=channel)
        sessions = found.session.values
        gain = mean(of.control_gain.isel(step=-1).values, groups=sessions)
        row = [f"{channel} ({unit})", interval(gain)]
        if last >= GENIE:
            row.append(interval(mean(of.delta_psnr.sel(step=GENIE).values, groups=sessions)))
        row.append(interval(mean(of.counterfactual_divergence.isel(step=-1).values, groups=sessions)))
        rows.append(tuple(row))
        if np.isnan(gain.value):
            warnings.append(f"{channel}: all recordings have the same controls; nothing tells whether they are heeded.")
        elif not gain.low > 0:
            warnings.append(f"Under other controls {channel} is not surely worse: the model may ignore its controls.")
    headings = ["channel", f"control gain at step {last}"]
    headings += [f"PSNR gain at step {GENIE} (dB)"] * (last >= GENIE) + [f"divergence at step {last}"]
    caption = (
        "Control gain: RMSE under another recording's controls less that under the true ones. Divergence: how far "
        "futures are under other controls, over how far samples under the same are. Intervals over sessions."
    )
    items.append(Table(tuple(headings), tuple(rows), caption))
    if "recoverability" in found:
        items.append(_recovered(found))
    prose = "A model that ignores its controls is as good under other ones: a gain of 0, a divergence of 1."
    return [Section("Whether it heeds its controls", prose, items, warnings)]


def _recovered(found: xr.Dataset) -> Table:
    rows = []
    for source in found.source.values:
        values = found.recoverability.sel(source=source).values
        if np.isfinite(values).any():
            rows.append((str(source), *map(number, values.tolist())))
    caption = (
        "Share of each control's variance that a linear reader, fitted on true frames, finds in frames that follow "
        "each other. What it does not find in the truth it cannot find in a guess."
    )
    return Table(("controls read back from", *map(str, found.control.values)), tuple(rows), caption)


def _certainty(found: xr.Dataset) -> list[Section]:
    """None of a single sample."""
    samples = found.sizes["rank"] - 1
    if samples < 2:
        return []
    items = []
    for channel in found.channel.values:
        counts = found.ranks.sel(channel=channel).sum(("recording", "step")).values
        if not counts.sum():
            continue
        promised, came = np.arange(1, samples + 1) / (samples + 1), np.cumsum(counts)[:-1] / counts.sum()
        rows = [
            {"promised": float(p), "came": float(q), "right": float(p)} for p, q in zip(promised, came, strict=True)
        ]
        items.append(
            plots.curves(
                rows, ["came", "right"], "promised", title=f"Share of truths below a sample of that rank, {channel}",
                y_title="share", log=False,
            )
        )  # fmt: skip
    spread = found.spread_skill.mean(("recording", "channel"), skipna=True).values
    told = ", ".join(number(float(value)) for value in spread)
    prose = (
        f"Of {samples} samples each has the truth below it in a known share of cases, if the model is as sure as it "
        "should be. A curve steeper than the diagonal is too unsure, a flatter one too sure. Spread over skill, 1 "
        f"being right, the mean over channels, step by step: {told}."
    )
    return [Section("How sure it is", prose, items)]


def _spectra(found: xr.Dataset) -> Section:
    items = []
    for channel in found.channel.values:
        power = found.power.sel(channel=channel).mean("recording", skipna=True)
        names = [name for name in (TRUTH, MEAN, ONE, SHUFFLED, LINEAR) if np.isfinite(power.sel(source=name)).any()]
        rows = [
            {"wave number (rad/pixel)": float(k)} | {name: float(power.sel(source=name).values[at]) for name in names}
            for at, k in enumerate(found.wavenumber.values)
            if k > 0
        ]
        items.append(plots.curves(rows, names, "wave number (rad/pixel)", title=f"Power of {channel}, last step"))
    return Section(
        "Which scales it keeps",
        "Mean square by wave number. What falls below the truth at high wave numbers is blurred, which a mean of "
        "samples should be where the future is uncertain, and a single sample should not.",
        items,
    )
