"""A model held against recordings: every measure by step and recording, with the baselines beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import LARGEST, whole
from sciworld.controls import ColumnTable
from sciworld.domains.base import Physics, domain
from sciworld.errors import RecordingError, SettingsError
from sciworld.evaluate import baselines
from sciworld.evaluate.readings import ControlReader, measured, physics_of, recovered, responses
from sciworld.evaluate.scores import OF_MODEL, SCALES, UNITS, ranges, scores
from sciworld.evaluate.table import Table, number
from sciworld.evaluate.trial import GUESSES, SOURCES, Trial, hold
from sciworld.measures import fields
from sciworld.streamed import Recordings, Streamed
from sciworld.surrogate.surrogate import Surrogate

Row = dict[str, np.ndarray]
# Variable -> its dimensions and units; "" are those of the channel, None differ along the last dimension.
OTHERS: dict[str, tuple[tuple[str, ...], str | None]] = {
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
    steps : that are guessed from each start. starts : in each recording, evenly. samples : futures that a model draws.
    data_range : of PSNR and SSIM, one number or one a channel, in the channels' units; by default the bounds of a
        channel, or 255 of bytes, else these are NaN. least : what a pixel must change by to have moved, see
        `pixels.moving`. domain : whose physics is read from the frames, such as "stem"; none by default. seed : of the
        samples.
    """

    steps: int = 8
    starts: int = 4
    samples: int = 4
    data_range: float | tuple[float, ...] | None = None
    least: float | None = None
    domain: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "starts", "samples"):
            whole(getattr(self, name), name, 1)
        whole(self.seed, "seed", 0, LARGEST)
        if self.domain:
            domain(self.domain)


def evaluate(
    surrogate: Surrogate,
    recordings: Recordings,
    fit: Recordings | None = None,
    settings: EvaluateSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Every measure of the model's guesses, and of guesses that know less, on recordings that it did not see.

    A guess is of `steps` frames after a start whose controls are known; its measures are means over the starts of a
    recording. `model` is the mean of its samples, `model, one sample` their first, `model, other controls` the mean
    under the controls of another start, which is worse by what the model heeds its controls. The baselines, see
    `baselines`, are always there.

    Parameters
    ----------
    recordings : a store, a selection or a list; one is looked at after the other, and of one in a store only the frames
        that are compared. fit : what the baselines and readers are fitted on, best what the model was trained on; by
        default the recordings themselves, which favours the baselines.
    progress : called with the recordings that are done, and all.

    Returns a Dataset. By (guess, recording, step, channel): rmse, rmse_moving, false_motion, crps and energy_score
    (units of the channel; of a guess without samples the mean absolute error and the Euclidean distance), psnr,
    psnr_moving (dB), ssim, ssim_moving, vrmse, nrmse, correlation; spectral_error by scale too. By (recording, step,
    channel), of the model: spread_skill, ranks of the truth among its samples, control_gain (by how much its RMSE is
    lower than under other controls), delta_psnr (dB, the same of PSNR: Genie's at step 4), counterfactual_divergence.
    correlation_time (s) by (guess, recording, channel). recoverability by (source, control): the share of a control's
    variance that is read back from frames, where source is the truth or a guess. power by (source, recording, channel,
    wavenumber) of the last step. With a domain: physics and fails, see `readings.physics_of`, by (source, recording,
    start, step, quantity), measured by (recording, start, step, quantity) where a quantity is a state of the
    recordings, physics_error by (guess, recording, step, quantity), and response (Spearman) by (source, control,
    quantity).

    Recordings have the numbers that they were given with, sessions and covariates; one without so many steps is left
    out. Raises RecordingError where none has so many steps, or tells nothing of the domain's physics; RecordingError,
    ControlError or ModelError where they are of another kind than the model's.
    """
    settings = settings or EvaluateSettings()
    held, fitted = Streamed(recordings), Streamed(recordings if fit is None else fit)
    rivals, reader = baselines.fit(fitted), ControlReader.fit(fitted)
    physics = domain(settings.domain).physics(fitted) if settings.domain else None
    rows: list[Row] = []
    kept, numbers = [], []
    read: dict[str, list[np.ndarray]] = {}
    for place, ds in enumerate(held):
        rng = np.random.default_rng([settings.seed, place])
        trial = hold(surrogate, ds, rivals, settings.steps, settings.starts, settings.samples, rng)
        if trial is not None:
            scales = ranges(settings.data_range, surrogate.model.signature.channels, ds["frames"].dtype)
            rows.append(scores(trial, scales, settings.least) | _of_starts(ds, trial, physics, settings.starts))
            for source in SOURCES if reader is not None else ():
                there = source in trial.sources
                values = reader(trial, source) if there else np.full_like(read[SOURCES[0]][-1], np.nan)  # type: ignore[misc]
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
    table = _dataset(rows, kept, surrogate, settings, physics).assign_coords(recording=numbers)
    table.attrs["baselines_fitted_on"] = "the evaluated recordings themselves" if fit is None else "other recordings"
    return _with_answers(table, {name: np.concatenate(values) for name, values in read.items()})


def _of_starts(ds: xr.Dataset, trial: Trial, physics: Physics | None, starts: int) -> Row:
    """What is kept of each start, NaN of those that a recording has no room for."""
    found = {"controls": trial.controls, "start_frame": trial.starts.astype(np.float64)}
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
    rows: list[Row], kept: list[xr.Dataset], surrogate: Surrogate, settings: EvaluateSettings, physics: Physics | None
) -> xr.Dataset:
    """The table, with who is who."""
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
        "session": ("recording", [ds.attrs["session"] for ds in kept]),
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
    for end in ("low", "high") if physics is not None else ():
        bounds = [getattr(column, end) for column in physics.quantities]  # type: ignore[union-attr]
        coords[f"quantity_{end}"] = ("quantity", [np.nan if bound is None else bound for bound in bounds])
    coords |= dict(_covariates(kept))
    attributes: dict[str, Any] = {"samples": settings.samples, "starts": settings.starts, "domain": settings.domain}
    if physics is not None and physics.rates:
        attributes["rates"] = [f"{by}:{event}" for by, event in physics.rates]
    return xr.Dataset(variables, coords, attributes)


def _with_answers(table: xr.Dataset, read: dict[str, np.ndarray]) -> xr.Dataset:
    """The table with what is of all recordings together: controls read back, and how quantities answer to controls."""
    found = table
    if read:
        given = table.controls.values.reshape(-1, table.sizes["control"])
        known = ~np.isnan(given).any(axis=1)
        values = recovered(given[known], read)
        found = found.assign(recoverability=(("source", "control"), values, {"units": "1"}))
    if "physics" in table:
        error = np.abs(table.physics.sel(source=list(GUESSES)) - table.physics.sel(source=SOURCES[0], drop=True))
        error = error.mean("start", skipna=True).rename(source="guess")
        found = found.assign(physics_error=error)
        if table.sizes["control"]:
            answers = responses(table.physics.values, table.controls.values)
            found = found.assign(response=(("source", "control", "quantity"), answers, {"units": "1"}))
    return found


def _wavenumbers(surrogate: Surrogate) -> np.ndarray:
    """Of the rings of a spectrum : (wavenumber,) rad a pixel."""
    found: np.ndarray = fields.power(np.zeros(surrogate.model.signature.shape[:2]), 1.0)[0]
    return found


def _covariates(kept: list[xr.Dataset]) -> Iterator[tuple[str, Any]]:
    """Each covariate that any recording has, as a coordinate of the recordings; NaN where one lacks it."""
    found: dict[str, tuple[str, list[float]]] = {}
    for place, ds in enumerate(kept):
        if "covariates" not in ds:
            continue
        for column, value in zip(recording.covariate_table(ds), ds["covariates"].values, strict=True):
            _, values = found.setdefault(f"covariate_{column.name}", (column.units, [np.nan] * len(kept)))
            values[place] = float(value)
    for name, (units, values) in found.items():
        yield name, ("recording", values, {"units": units})


def to_table(found: xr.Dataset, measure: str) -> Table:
    """One measure : a row for each guess and channel, means over recordings at the first, middle and last step.

    Raises SettingsError for a measure that the Dataset of `evaluate` has not.
    """
    if measure not in UNITS:
        raise SettingsError(f"measure is {measure!r:.80}; there are {', '.join(UNITS)}")
    last = found.sizes["step"]
    steps = sorted({1, (last + 1) // 2, last})
    means = found[measure].mean("recording", skipna=True)
    rows = []
    for channel, unit in zip(found.channel.values, found.channel_units.values, strict=True):
        own = UNITS[measure] or unit
        for guess in found.guess.values:
            values = means.sel(guess=guess, channel=channel)
            rows.append((f"{channel} ({own})", str(guess), *(number(float(values.sel(step=step))) for step in steps)))
    caption = (
        f"Means over {found.sizes['recording']} recordings, {found.attrs['starts']} starts in each. Baselines were "
        f"fitted on {found.attrs['baselines_fitted_on']}."
    )
    return Table((measure, "guess", *(f"step {step}" for step in steps)), tuple(rows), caption)
