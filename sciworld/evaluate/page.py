"""The page of an evaluation: errors by step, controls, certainty, scales, physics, recordings, and single cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sciworld import plots
from sciworld.evaluate import page_cases, page_heed, page_physics
from sciworld.evaluate.baselines import PERSISTENCE
from sciworld.evaluate.evaluate import caption, means
from sciworld.evaluate.report import Section, write_report
from sciworld.evaluate.scores import UNITS
from sciworld.evaluate.table import Table, interval, number
from sciworld.evaluate.trial import MEAN
from sciworld.measures.intervals import mean
from sciworld.streamed import Recordings
from sciworld.surrogate.surrogate import Surrogate

LEVELS = 8  # of a covariate that are shown one by one; what has more is cut into as many equal parts
ENDS = 12  # recordings that are listed of the best, and of the worst
DRAWN = ("rmse", "rmse_moving", "false_motion", "crps", "psnr_moving", "ssim")  # others are in the table
SIGNED = ("psnr_moving", "ssim")  # which no logarithm can show


def write(path: str | Path, found: xr.Dataset, surrogate: Surrogate, recordings: Recordings, seed: int = 0) -> Path:
    """Write the page of what `evaluate` found on the recordings; returns the path."""
    return write_report(path, "A model, measured", sections(found, surrogate, recordings, seed))


def sections(found: xr.Dataset, surrogate: Surrogate, recordings: Recordings, seed: int = 0) -> list[Section]:
    """The parts of the page, for reports that hold more.

    recordings : those whose numbers `found` has. The best and the worst of them are those of the lowest and highest
    RMSE of the model over that of the present again, over all steps and channels: what is hard for the one is hard for
    the other too.
    """
    ratio = _ratio(found)
    parts = [_errors(found), *page_heed.sections(found), *page_physics.sections(found)]
    parts += [_recordings(found, ratio), *_covariates(found, ratio)]
    if np.isfinite(ratio).any():
        parts.append(page_cases.section(found, surrogate, recordings, ratio, seed))
    return parts


def _ratio(found: xr.Dataset) -> np.ndarray:
    """RMSE of the model over that of persistence, the mean over steps and channels : (recording,)."""
    model, still = (found.rmse.sel(guess=guess) for guess in (MEAN, PERSISTENCE))
    return np.asarray((model / still.where(still > 0)).mean(("step", "channel"), skipna=True).values)


def _errors(found: xr.Dataset) -> Section:
    items = []
    for measure in DRAWN:
        for channel, unit in zip(found.channel.values, found.channel_units.values, strict=True):
            values = found[measure].sel(channel=channel)
            if not np.isfinite(values).any():
                continue
            guesses = [str(guess) for guess in found.guess.values if np.isfinite(values.sel(guess=guess)).any()]
            mean_of = means(found, measure).sel(channel=channel)
            rows = [
                {"step": float(step), **{name: float(mean_of.sel(guess=name, step=step)) for name in guesses}}
                for step in found.step.values
            ]
            rows = [{name: value for name, value in row.items() if np.isfinite(value)} for row in rows]
            bands = {MEAN: _band(values.sel(guess=MEAN), found.session.values)}
            title, units = f"{measure} of {channel}", UNITS[measure] or str(unit)
            items.append(
                plots.curves(rows, guesses, "step", title=title, y_title=units, log=measure not in SIGNED, bands=bands)
            )
    return Section(
        "By step",
        f"{caption(found)} The band is the model's bootstrap interval of 95 % over sessions. Lower is better but for "
        "PSNR, SSIM and correlation. Moving pixels are those whose truth changed since the start by more than "
        f"{_least(found)}: {_moving(found)}; false motion is the error of all others.",
        [_all(found), *items],
    )


def _band(values: xr.DataArray, sessions: np.ndarray) -> tuple[list[float], list[float]]:
    """Low and high ends by step, of values (recording, step)."""
    ends = [mean(np.asarray(column), groups=sessions) for column in values.transpose("step", "recording").values]
    return [end.low for end in ends], [end.high for end in ends]


def _all(found: xr.Dataset) -> Table:
    """Every measure of every guess at the last step."""
    rows = []
    for channel, unit in zip(found.channel.values, found.channel_units.values, strict=True):
        for measure, units in UNITS.items():
            values = means(found, measure).sel(channel=channel).isel(step=-1).values
            if np.isfinite(values).any():
                rows.append((f"{measure} of {channel} ({units or unit})", *map(number, values.tolist())))
        for scale in found.scale.values:
            values = means(found, "spectral_error").sel(channel=channel, scale=scale).isel(step=-1).values
            rows.append((f"error of {scale} scales of {channel} (1)", *map(number, values.tolist())))
        times = means(found, "correlation_time").sel(channel=channel).values
        rows.append((f"correlation time of {channel} (s)", *map(number, times.tolist())))
    text = (
        f"At step {int(found.step.values[-1])}, {number(float(found.seconds[-1]))} s after the start. Correlation time "
        "is how long a guess correlates with the truth by 0.8, at most as long as was compared. VRMSE and NRMSE are of "
        "frames in the standard deviations of training."
    )
    return Table(("", *map(str, found.guess.values)), tuple(rows), text)


def _least(found: xr.Dataset) -> str:
    """What a pixel must change by to have moved."""
    stated = found.attrs["least"]
    return f"{stated}" if stated else "4 times the noise that most pixels show (where most move, state what is least)"


def _moving(found: xr.Dataset) -> str:
    """How many have, at the first and the last step."""
    shares = found.moving.mean("recording", skipna=True).isel(step=[0, -1]).transpose("channel", "step").values
    told = [
        f"{first:.0%} and {last:.0%} of {name}"
        for name, (first, last) in zip(found.channel.values, shares, strict=True)
    ]
    return f"{', '.join(told)} at the first and the last step"


def _recordings(found: xr.Dataset, ratio: np.ndarray) -> Section:
    order = np.argsort(np.where(np.isnan(ratio), np.inf, ratio))
    names = [
        f"{number_of} ({session})"
        for number_of, session in zip(found.recording.values, found.session.values, strict=True)
    ]
    left_out = ""
    if len(order) > 2 * ENDS:
        order = np.concatenate([order[:ENDS], order[-ENDS:]])
        left_out = f" The {ENDS} best and the {ENDS} worst of {len(names)}."
    rows = tuple((names[place], number(float(ratio[place]))) for place in order)
    return Section(
        "By recording",
        "RMSE of the model over that of the present again, means over steps and channels: below 1 it knows more."
        f"{left_out}",
        [Table(("recording (session)", "RMSE over persistence"), rows)],
    )


def _covariates(found: xr.Dataset, ratio: np.ndarray) -> list[Section]:
    """One table a covariate that differs between recordings, with intervals over them."""
    tables = []
    for name, coordinate in found.coords.items():
        if not str(name).startswith("covariate_"):
            continue
        values = coordinate.values.astype(np.float64)
        known = np.isfinite(values)
        levels = np.unique(values[known])
        if len(levels) < 2:
            continue
        edges = levels
        if len(levels) > LEVELS and "levels" not in coordinate.attrs:
            edges = np.quantile(values[known], np.linspace(0, 1, LEVELS + 1)[:-1])
        group = np.searchsorted(edges, values, side="right") - 1
        rows = []
        for place in range(len(edges)):
            chosen = known & (group == place)
            if chosen.any():
                label = number(float(values[chosen].min()))
                if "levels" in coordinate.attrs:
                    label = str(np.atleast_1d(coordinate.attrs["levels"])[int(values[chosen][0])])
                elif values[chosen].max() > values[chosen].min():
                    label += f" to {number(float(values[chosen].max()))}"
                told = interval(mean(ratio[chosen], groups=found.session.values[chosen]))
                rows.append((label, str(int(chosen.sum())), told))
        heading = f"{str(name).removeprefix('covariate_')} ({coordinate.attrs.get('units', '1')})"
        tables.append(Table((heading, "recordings", "RMSE over persistence"), tuple(rows)))
    if not tables:
        return []
    return [
        Section("By covariate", "Where the model is better and worse; intervals are a bootstrap over sessions.", tables)
    ]
