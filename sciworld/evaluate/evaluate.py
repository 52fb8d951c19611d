"""A model held against recordings: every measure by step and recording, with the baselines beside it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from sciworld import __version__, recording
from sciworld.config import LARGEST, is_number, real, whole
from sciworld.controls import Column, ColumnTable
from sciworld.domains.base import Physics
from sciworld.errors import RecordingError, SettingsError
from sciworld.evaluate.imagine import require_kind
from sciworld.evaluate.readings import measured, physics_of, recovered, responses
from sciworld.evaluate.references import OWN, References
from sciworld.evaluate.scores import OF_MODEL, SCALES, UNITS, ranges, scores
from sciworld.evaluate.table import Table, number
from sciworld.evaluate.trial import GUESSES, MEAN, SOURCES, TRUTH, Others, Span, Trial, forecast
from sciworld.measures import fields
from sciworld.streamed import Recordings, Streamed
from sciworld.surrogate.surrogate import Surrogate

Row = dict[str, np.ndarray]
# Variable -> its dimensions and units; "" are those of the channel, None differ along the last dimension.
OTHERS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "lost": (("guess", "recording", "step"), "1"),
    "moving": (("recording", "step", "channel"), "1"),
    "spectral_error": (("guess", "recording", "step", "channel", "scale"), "1"),
    "correlation_time": (("guess", "recording", "channel"), "s"),
    "ranks": (("recording", "step", "channel", "rank"), "1"),
    "power": (("source", "recording", "channel", "wavenumber"), None),
    "physics": (("source", "recording", "start", "step", "quantity"), None),
    "fails": (("source", "recording", "start", "step", "quantity"), "1"),
    "measured": (("recording", "start", "step", "quantity"), None),
    "controls": (("recording", "start", "step", "control"), None),
}


@dataclass(frozen=True)
class EvaluateSettings:
    """What is compared.

    Parameters
    ----------
    steps : that are guessed from each start. starts : in each recording, at most, evenly. samples : futures that a
        model draws.
    data_range : of PSNR and SSIM, one number or one a channel, in the channels' units; by default the bounds of a
        channel, or 255 of bytes, else these are NaN. least : what a pixel must change by to have moved, in the
        channels' units, see `pixels.moving`: flows, in which most pixels change, need it. context : frames before a
        start, where a recording has as many, by default the model's; models that are compared want the same.
    seed : of the samples and of the controls of others.
    """

    steps: int = 8
    starts: int = 4
    samples: int = 4
    data_range: float | tuple[float, ...] | None = None
    least: float | None = None
    context: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "starts", "samples"):
            whole(getattr(self, name), name, 1)
        whole(self.seed, "seed", 0, LARGEST)
        if self.context is not None:
            whole(self.context, "context", 1)
        if self.least is not None:
            real(self.least, "least", 0.0, math.inf)
        given = self.data_range if isinstance(self.data_range, tuple | list) else (self.data_range,)
        for span in given:
            if span is not None and not (is_number(span) and 0 < span <= sys.float_info.max):
                raise SettingsError(f"data_range is {self.data_range!r:.80}; give one above 0, or one for each channel")


def evaluate(
    surrogate: Surrogate,
    recordings: Recordings,
    references: References | None = None,
    settings: EvaluateSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Every measure of the model's guesses, and of guesses that know less, on recordings that it did not see.

    A guess is of `steps` frames after a start whose controls are known; its measures are means over the starts of a
    recording. `model` is the mean of its samples, `model, one sample` their first, `model, other controls` the mean
    under the controls of another recording, which is worse by what the model heeds its own. The baselines, see
    `baselines`, are always there.

    Parameters
    ----------
    recordings : a store, a selection or a list; one is looked at after the other, and of one in a store only the frames
        that are compared. references : baselines, and with a domain its physics, best fitted on what the model was
        trained on; by default on the recordings themselves, which favours the baselines.
    progress : called with the recordings that are done, and all.

    Returns a Dataset. By (guess, recording, step, channel): rmse, rmse_moving, false_motion, crps and energy_score
    (units of the channel; of a guess without samples the mean absolute error and the Euclidean distance), psnr,
    psnr_moving (dB), ssim, ssim_moving, correlation, and vrmse and nrmse of frames in the standard deviations of the
    model's training; spectral_error by scale too. lost by (guess, recording, step): the share of starts whose guess is
    not finite, whose measures are NaN. By (recording, step, channel): moving, the share of pixels that moved; of the
    model: spread_skill, ranks of the truth among its samples, control_gain (by how much its RMSE is lower than under
    other controls), delta_psnr (dB, the same of PSNR: Genie's at step 4), counterfactual_divergence. correlation_time
    (s) by (guess, recording, channel). recoverability by (source, control): the share of a control's variance that a
    linear reader finds in frames, where source is the truth or a guess. power by (source, recording, channel,
    wavenumber) of the last step. With a domain: physics and fails, see `readings.physics_of`, by (source, recording,
    start, step, quantity), measured by (recording, start, step, quantity) where a quantity is a state of the
    recordings, physics_error by (guess, recording, step, quantity), absolute, and of events squared, which is Brier's
    score, and response (Spearman) by (source, control, quantity).

    Recordings have the numbers that they were given with, sessions and covariates; one without so many steps is left
    out. Raises RecordingError where none has so many steps; RecordingError, ControlError or ModelError where they are
    of another kind than the model's or the references'.
    """
    settings, held = settings or EvaluateSettings(), Streamed(recordings)
    for ds in held:
        require_kind(surrogate, ds)
    references = references or References.fit(recordings, fitted_on=OWN)
    span = Span(settings.steps, settings.starts, settings.context or surrogate.model.context)
    others, signature = Others(held, span), surrogate.model.signature
    rows: list[Row] = []
    kept, numbers = [], []
    read: dict[str, list[np.ndarray]] = {}
    for place, ds in enumerate(held):
        references.require_kind(ds)
        rng = np.random.default_rng([settings.seed, place])
        trial = forecast(surrogate, ds, references.rivals, span, settings.samples, others.of(place, rng), rng)
        if trial is not None:
            spans = ranges(settings.data_range, signature.channels, ds["frames"].dtype)
            found = scores(trial, spans, settings.least, signature.scale)
            rows.append(found | _of_starts(ds, trial, references.physics, settings.starts))
            for source in SOURCES if references.reader is not None else ():
                there = source in trial.sources
                values = references.reader(trial, source) if there else np.full_like(read[TRUTH][-1], np.nan)  # type: ignore[misc]
                read.setdefault(source, []).append(values)
            numbers.append(place)
            kept.append(ds.drop_vars([name for name in ("frames",) if name in ds]))
        if progress is not None:
            progress(place + 1, len(held))
    if not rows:
        raise RecordingError(
            f"no recording has {settings.steps} steps whose controls are known and whose field of view stands still; "
            "ask for fewer steps"
        )
    table = _dataset(rows, kept, surrogate, settings, references).assign_coords(recording=numbers)
    return _with_answers(table, surrogate.space.table, {name: np.concatenate(values) for name, values in read.items()})


def _of_starts(ds: xr.Dataset, trial: Trial, physics: Physics | None, starts: int) -> Row:
    """What is kept of each start, NaN of those that a recording has no room for."""
    found = {"controls": trial.controls, "start_frame": trial.starts.astype(np.float64), "seconds": trial.seconds}
    axes = dict.fromkeys(found, 0)
    if physics is not None:
        found["measured"] = measured(ds, trial, physics)
        found["physics"], found["fails"] = physics_of(trial, physics)
        axes |= {"measured": 0, "physics": 1, "fails": 1}
    for name, axis in axes.items():
        padding = [(0, starts - len(trial.starts) if axis == place else 0) for place in range(found[name].ndim)]
        found[name] = np.pad(found[name], padding, constant_values=np.nan)
    return found


def _dataset(
    rows: list[Row], kept: list[xr.Dataset], surrogate: Surrogate, settings: EvaluateSettings, references: References
) -> xr.Dataset:
    """The table, with who is who."""
    physics = references.physics
    columns = list(surrogate.model.signature.channels)
    of_channel = ", ".join(dict.fromkeys(column.units for column in columns))
    dims = ("guess", "recording", "step", "channel")
    kinds: dict[str, tuple[tuple[str, ...], str | None]] = {name: (dims, units) for name, units in UNITS.items()}
    kinds |= {name: (dims[1:], units) for name, units in OF_MODEL.items()} | OTHERS
    variables: dict[str, Any] = {}
    for name, (own, units) in kinds.items():
        if name in rows[0]:
            values = np.stack([row[name] for row in rows], axis=own.index("recording"))
            variables[name] = (own, values, {} if units is None else {"units": units or of_channel})
    coords: dict[str, Any] = {
        "guess": list(GUESSES), "source": list(SOURCES), "step": np.arange(1, settings.steps + 1),
        "scale": list(SCALES), "rank": np.arange(settings.samples + 1), "channel": [column.name for column in columns],
        "channel_units": ("channel", [column.units for column in columns]),
        "session": ("recording", [str(ds.attrs["session"]).replace("\0", "") for ds in kept]),  # NetCDF ends at it
        "seconds": ("step", np.nanmedian([row["seconds"] for row in rows], axis=(0, 1)), {"units": "s"}),
        "start_frame": (("recording", "start"), np.stack([row["start_frame"] for row in rows])),
        "wavenumber": ("wavenumber", _wavenumbers(surrogate), {"units": "rad/pixel"}),
    }  # fmt: skip
    for name, table in (
        ("control", surrogate.space.table),
        ("quantity", ColumnTable(()) if physics is None else physics.quantities),
    ):
        if len(table):
            coords[name] = [column.name for column in table]
            coords[f"{name}_units"] = (name, [column.units for column in table])
            coords[f"{name}_kind"] = (name, [column.kind for column in table])
    for end in ("low", "high") if physics is not None else ():
        bounds = [getattr(column, end) for column in physics.quantities]  # type: ignore[union-attr]
        coords[f"quantity_{end}"] = ("quantity", [np.nan if bound is None else bound for bound in bounds])
    coords |= dict(_covariates(kept))
    attributes: dict[str, Any] = {
        "samples": settings.samples, "starts": settings.starts, "seed": settings.seed, "domain": references.domain,
        "baselines_fitted_on": references.fitted_on, "sciworld": __version__,
        "data_range": "" if settings.data_range is None else str(settings.data_range),
        "least": "" if settings.least is None else str(settings.least),
        "rates": json.dumps([] if physics is None else physics.rates),
    }  # fmt: skip
    return xr.Dataset(variables, coords, attributes)


def _with_answers(table: xr.Dataset, controls: ColumnTable, read: dict[str, np.ndarray]) -> xr.Dataset:
    """The table with what is of all recordings together: controls read back, and how quantities answer to controls."""
    found = table
    if read:
        given = table.controls.values.reshape(-1, table.sizes["control"])
        shares = recovered(given[~np.isnan(given).any(axis=1)], controls, read)
        found = found.assign(recoverability=(("source", "control"), shares, {"units": "1"}))
    if "physics" in table:
        error = np.abs(table.physics.sel(source=list(GUESSES)) - table.physics.sel(source=TRUTH, drop=True))
        error = xr.where(table.quantity_kind == "event", error**2, error).transpose(*table.physics.dims)
        found = found.assign(physics_error=error.mean("start", skipna=True).rename(source="guess"))
        if table.sizes["control"]:
            answers = responses(table.physics.values, table.controls.values, controls)
            found = found.assign(response=(("source", "control", "quantity"), answers, {"units": "1"}))
    return found


def _wavenumbers(surrogate: Surrogate) -> np.ndarray:
    """Of the rings of a spectrum : (wavenumber,) rad a pixel."""
    found: np.ndarray = fields.power(np.zeros(surrogate.model.signature.shape[:2]), 1.0)[0]
    return found


def _covariates(kept: list[xr.Dataset]) -> Iterator[tuple[str, Any]]:
    """Each covariate that any recording has, as a coordinate of the recordings; NaN where one lacks it."""
    found: dict[str, tuple[Column, list[float]]] = {}
    for place, ds in enumerate(kept):
        if "covariates" not in ds:
            continue
        for column, value in zip(recording.covariate_table(ds), ds["covariates"].values, strict=True):
            name = f"covariate_{column.name.replace('/', '_per_')}"  # NetCDF takes it for a folder
            known, values = found.setdefault(name, (column, [np.nan] * len(kept)))
            if (known.units, known.levels) != (column.units, column.levels):
                raise RecordingError(
                    f"{ds.attrs['session']}: the covariate '{column.name}' is in {column.units}, elsewhere in "
                    f"{known.units}; give recordings in the same units"
                )
            values[place] = float(value)
    for name, (column, values) in found.items():
        levels = {"levels": list(column.levels)} if column.levels else {}
        yield name, ("recording", values, {"units": column.units, **levels})


def require_measure(measure: str) -> None:
    """Raise SettingsError unless `to_table` can show it."""
    known = (*UNITS, *OF_MODEL)
    if measure not in known:
        raise SettingsError(f"measure is {measure!r:.80}; there are {', '.join(known)}")


def means(found: xr.Dataset, measure: str) -> xr.DataArray:
    """A measure's mean over the recordings that have an answer; NaN where a guess was lost in any of them."""
    mean = found[measure].mean("recording", skipna=True)
    if "guess" not in mean.dims:
        return mean
    lost = (found.lost > 0).any("recording")
    return mean.where(~(lost if "step" in mean.dims else lost.any("step"))).transpose(*mean.dims)


def to_table(found: xr.Dataset, measure: str) -> Table:
    """One measure : a row for each guess and channel, means over recordings at the first, middle and last step.

    Raises SettingsError for a measure that the Dataset of `evaluate` has not by step and channel.
    """
    require_measure(measure)
    last = found.sizes["step"]
    steps = sorted({1, (last + 1) // 2, last})
    values = means(found, measure)
    guesses = found.guess.values if "guess" in values.dims else [MEAN]
    rows = []
    for channel, unit in zip(found.channel.values, found.channel_units.values, strict=True):
        own = (UNITS | OF_MODEL)[measure] or unit
        for guess in guesses:
            row = values.sel(channel=channel)
            row = row.sel(guess=guess) if "guess" in values.dims else row
            rows.append((f"{channel} ({own})", str(guess), *(number(float(row.sel(step=step))) for step in steps)))
    return Table((measure, "guess", *(f"step {step}" for step in steps)), tuple(rows), caption(found))


def caption(found: xr.Dataset) -> str:
    """What the means are of, and what a reader must know of them."""
    text = (
        f"Means over {found.sizes['recording']} recordings, at most {found.attrs['starts']} starts in each. Baselines "
        f"were fitted on {found.attrs['baselines_fitted_on']}."
    )
    lost = (found.lost > 0).any(("recording", "step"))
    names = [str(name) for name in found.guess.values[lost.values]] if lost.ndim == 1 else []
    if names:
        text += f" Not finite somewhere, and so without a mean: {', '.join(names)}."
    if not np.isfinite(found.psnr).any():
        text += " PSNR and SSIM need a data range."
    return text
