"""The page of an evaluation: curves by step, recordings, covariates, and the best and worst cases as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sciworld import plots
from sciworld.evaluate.evaluate import MEAN, PERSISTENCE, SPREAD, UNITS, Recordings, to_table
from sciworld.evaluate.imagine import imagine
from sciworld.evaluate.report import Section, write_report
from sciworld.evaluate.table import Table, interval, number
from sciworld.measures.intervals import mean
from sciworld.surrogate.surrogate import Surrogate

LEVELS = 8  # of a covariate that are shown one by one; what has more is cut into as many equal parts
FIRST = ("rmse", "rmse_moving", "false_motion", "crps")
SIGNED = ("psnr", "ssim", "correlation")  # which no logarithm can show


def write(path: str | Path, found: xr.Dataset, surrogate: Surrogate, recordings: Recordings, seed: int = 0) -> Path:
    """Write the page of what `evaluate` found on the recordings; returns the path.

    The best and the worst recording are those of the lowest and highest RMSE of the model over that of the present
    again, over all steps and channels: what is hard for the one is hard for the other too.
    """
    ratio = _ratio(found)
    sections = [_curves(found), _recordings(found, ratio), *_covariates(found, ratio)]
    if np.isfinite(ratio).any():
        sections.append(_cases(found, surrogate, recordings, ratio, seed))
    return write_report(path, "A model, measured", sections)


def _ratio(found: xr.Dataset) -> np.ndarray:
    """RMSE of the model over that of persistence, the mean over steps and channels : (recording,)."""
    model, still = (found.rmse.sel(guess=guess) for guess in (MEAN, PERSISTENCE))
    return np.asarray((model / still.where(still > 0)).mean(("step", "channel"), skipna=True).values)


def _curves(found: xr.Dataset) -> Section:
    items = []
    for measure in (*FIRST, *(name for name in UNITS if name not in FIRST)):
        if not np.isfinite(found[measure].values).any():
            continue
        for channel, unit in zip(found.channel.values, found.channel_units.values, strict=True):
            values = found[measure].sel(channel=channel).mean("recording", skipna=True)
            guesses = [str(guess) for guess in found.guess.values]
            rows = [
                {"step": float(step)} | {name: float(values.sel(guess=name, step=step)) for name in guesses}
                for step in found.step.values
            ]
            names = [name for name in guesses if np.isfinite(values.sel(guess=name)).any()]
            title, units = f"{measure} of {channel}", UNITS[measure] or str(unit)
            items.append(plots.curves(rows, names, "step", title=title, y_title=units, log=measure not in SIGNED))
    spread = found[SPREAD].mean(("recording", "channel"), skipna=True).values
    told = ", ".join(number(float(value)) for value in spread)
    return Section(
        "By step",
        f"Means over {found.sizes['recording']} recordings. Lower is better but for PSNR, SSIM and correlation. "
        f"Spread over skill of the model's samples, 1 being right, step by step: {told}.",
        [to_table(found, "rmse"), *items],
    )


def _recordings(found: xr.Dataset, ratio: np.ndarray) -> Section:
    order = np.argsort(np.where(np.isnan(ratio), np.inf, ratio))
    names = [
        f"{number_of} ({session})"
        for number_of, session in zip(found.recording.values, found.session.values, strict=True)
    ]
    rows = tuple((names[place], number(float(ratio[place]))) for place in order)
    return Section(
        "By recording",
        "RMSE of the model over that of the present again, means over steps and channels: below 1 it knows more.",
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
        edges = levels if len(levels) <= LEVELS else np.quantile(values[known], np.linspace(0, 1, LEVELS + 1)[:-1])
        group = np.searchsorted(edges, values, side="right") - 1
        rows = []
        for place in range(len(edges)):
            chosen = known & (group == place)
            if chosen.any():
                label = number(float(values[chosen].min()))
                if values[chosen].max() > values[chosen].min():
                    label += f" to {number(float(values[chosen].max()))}"
                rows.append((label, str(int(chosen.sum())), interval(mean(ratio[chosen]))))
        heading = f"{str(name).removeprefix('covariate_')} ({coordinate.attrs.get('units', '1')})"
        tables.append(Table((heading, "recordings", "RMSE over persistence"), tuple(rows)))
    if not tables:
        return []
    return [
        Section(
            "By covariate", "Where the model is better and worse; intervals are a bootstrap over recordings.", tables
        )
    ]


def _cases(found: xr.Dataset, surrogate: Surrogate, recordings: Recordings, ratio: np.ndarray, seed: int) -> Section:
    """The best and the worst recording, truth above, sampled futures below."""
    items, told = [], []
    for name, place in (("best", int(np.nanargmin(ratio))), ("worst", int(np.nanargmax(ratio)))):
        which, share = int(found.recording.values[place]), number(float(ratio[place]))
        ds = recordings[which]
        pictured = imagine(surrogate, ds, np.random.default_rng(seed), steps=found.sizes["step"], samples=2)
        items += pictured.figures()
        session = ds.attrs["session"]
        told.append(
            f"{name}: recording {which} ({session}), from frame {pictured.start} on, {share} of persistence's RMSE"
        )
    return Section("Best and worst", f"Above what was recorded, below sampled futures. {'; '.join(told)}.", items)
