"""A model held against recordings: every measure by step and recording, with the baselines beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import LARGEST, whole
from sciworld.controls import ColumnTable, ControlSpace
from sciworld.errors import RecordingError, SettingsError
from sciworld.evaluate.baselines import Climatology, Linear, Persistence
from sciworld.evaluate.imagine import controls_of, observed, steps_ahead
from sciworld.evaluate.table import Table, number
from sciworld.measures import fields, pixels, probability
from sciworld.simulator import Observation
from sciworld.surrogate.surrogate import Surrogate

MEAN, ONE, SHUFFLED = "model", "model, one sample", "model, other controls"
PERSISTENCE, CLIMATOLOGY, BLIND, LINEAR = "persistence", "climatology", "control-blind", "linear"
GUESSES = (MEAN, ONE, SHUFFLED, PERSISTENCE, CLIMATOLOGY, BLIND, LINEAR)
# Measure -> its units, where "" stands for those of the channel.
UNITS = {
    "rmse": "", "rmse_moving": "", "false_motion": "", "crps": "", "psnr": "dB", "ssim": "1", "vrmse": "1",
    "correlation": "1",
}  # fmt: skip
SPREAD = "spread_skill"
BYTES = 255.0


class Recordings(Protocol):
    """A store, a selection or a list: gone through one at a time, more than once."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[xr.Dataset]: ...

    def __getitem__(self, index: int, /) -> xr.Dataset: ...


@dataclass(frozen=True)
class EvaluateSettings:
    """What is compared.

    Parameters
    ----------
    steps : that are guessed from each start. starts : in each recording, evenly. samples : futures that a model draws.
    data_range : of PSNR and SSIM, one number or one a channel, in the channels' units; by default the bounds of a
        channel, or 255 of bytes, else these two are NaN. least : what a pixel must change by to have moved, see
        `pixels.moving`. seed : of the samples.
    """

    steps: int = 8
    starts: int = 4
    samples: int = 4
    data_range: float | tuple[float, ...] | None = None
    least: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "starts", "samples"):
            whole(getattr(self, name), name, 1)
        whole(self.seed, "seed", 0, LARGEST)


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
    recordings : a store, a selection or a list; one is looked at after the other. fit : what the baselines are fitted
        on, best what the model was trained on; by default the recordings themselves, which favours the baselines.
    progress : called with the recordings that are done, and all.

    Returns a Dataset of rmse, rmse_moving, false_motion, crps (units of the channel; of one guess the mean absolute
    error), psnr (dB), ssim, vrmse, correlation : (guess, recording, step, channel), and of spread_skill : (recording,
    step, channel), with the sessions and covariates of the recordings, which have the numbers that they were given
    with: one without so many steps is left out. Raises RecordingError where no recording has so
    many steps, ControlError or ModelError where they are of another kind than the model's.
    """
    settings = settings or EvaluateSettings()
    fitted = recordings if fit is None else fit
    rivals: dict[str, Any] = {
        PERSISTENCE: Persistence(), CLIMATOLOGY: Climatology.fit(fitted), BLIND: Linear.fit(fitted, heeds=False),
        LINEAR: Linear.fit(fitted),
    }  # fmt: skip
    rows, kept, numbers = [], [], []
    for place, ds in enumerate(recordings):
        found = _of_recording(surrogate, ds, rivals, settings, np.random.default_rng([settings.seed, place]))
        if found is not None:
            rows.append(found)
            numbers.append(place)
            kept.append(ds.drop_vars([name for name in ("frames",) if name in ds]))
        if progress is not None:
            progress(place + 1, len(recordings))
    if not rows:
        raise RecordingError(
            f"no recording has {settings.steps} steps whose controls are known and whose field of view stands still; "
            "ask for fewer steps"
        )
    table = _dataset(rows, kept, surrogate.model.signature.channels, settings, fit is None)
    return table.assign_coords(recording=numbers)


def _of_recording(
    surrogate: Surrogate, ds: xr.Dataset, rivals: dict[str, Any], settings: EvaluateSettings, rng: np.random.Generator
) -> dict[str, np.ndarray] | None:
    """Measures of one recording: (guess, step, channel), of `spread_skill` (step, channel); None without a start."""
    surrogate.space.require_same(ControlSpace(recording.control_table(ds)), "the recording")
    ahead = steps_ahead(ds)
    possible = np.flatnonzero(ahead >= settings.steps)
    possible = possible[possible >= min(surrogate.model.context - 1, possible[-1])] if len(possible) else possible
    if not len(possible):
        return None
    starts = np.unique(possible[np.linspace(0, len(possible) - 1, settings.starts).round().astype(int)])
    history = _together([observed(ds, int(start), surrogate.model.context) for start in starts])
    window = starts[:, None] + np.arange(settings.steps)
    controls, truth = controls_of(ds)[window], ds["frames"].values[window + 1].astype(np.float64)
    state, present = surrogate.start(history), history[-1].frames.astype(np.float64)
    samples = np.moveaxis(surrogate.futures(state, controls[:, None], settings.samples, rng)[:, 0], 1, 0)
    samples = samples.astype(np.float64)
    guesses = {MEAN: samples.mean(axis=0), ONE: samples[0]}
    if len(starts) > 1:
        other = surrogate.futures(state, np.roll(controls, 1, axis=0)[:, None], settings.samples, rng)
        guesses[SHUFFLED] = other[:, 0].mean(axis=1, dtype=np.float64)
    guesses |= {name: rival.futures(present, controls) for name, rival in rivals.items()}
    scales = _scales(settings.data_range, surrogate.model.signature.channels, ds["frames"].dtype)
    found = {name: np.full((len(GUESSES), settings.steps, truth.shape[-1]), np.nan) for name in UNITS}
    for place, name in enumerate(GUESSES):
        if name in guesses:
            ensemble = samples if name == MEAN else guesses[name][None]
            for measure, values in _scores(truth, guesses[name], ensemble, present, scales, settings.least).items():
                found[measure][place] = values
    channels = range(truth.shape[-1])
    found[SPREAD] = np.array(
        [
            [probability.spread_skill(truth[:, t, ..., c], samples[:, :, t, ..., c]) for c in channels]
            for t in range(settings.steps)
        ]
    )
    return found


def _scores(
    truth: np.ndarray, guess: np.ndarray, ensemble: np.ndarray, present: np.ndarray, scales: list[float],
    least: float | None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Means over the starts : (step, channel), of truth and guess (start, step, y, x, channel)."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in UNITS}
    small = min(truth.shape[2:4]) < 2 * pixels.REACH + 1
    for channel, scale in enumerate(scales):
        true, one = truth[..., channel], guess[..., channel]
        moved = pixels.moving(true, present[..., channel], least)
        unknown = np.full(true.shape[:2], np.nan)
        scores = {
            "rmse": pixels.rmse(true, one), "rmse_moving": pixels.rmse(true, one, moved),
            "false_motion": pixels.false_motion(true, one, moved), "vrmse": fields.vrmse(true, one),
            "correlation": fields.correlation(true, one),
            "psnr": pixels.psnr(true, one, scale) if scale > 0 else unknown,
            "ssim": pixels.ssim(true, one, scale) if scale > 0 and not small else unknown,
        }  # fmt: skip
        members = ensemble[..., channel]
        crps = probability.crps(true, members) if len(members) > 1 else np.abs(members[0] - true)
        scores["crps"] = crps.mean(axis=(-2, -1))
        for name, values in scores.items():
            found[name].append(_mean(values))
    return {name: np.stack(values, axis=-1) for name, values in found.items()}


def _mean(values: np.ndarray) -> np.ndarray:
    """Over starts, of those that have an answer : (step,)."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _together(histories: list[list[Observation]]) -> list[Observation]:
    """Histories of several starts as one, the shorter ones filled up with their oldest frame."""
    longest = max(map(len, histories))
    filled = [[history[0]] * (longest - len(history)) + history for history in histories]
    return [
        Observation(*(np.concatenate([getattr(seen, name) for seen in row]) for name in ("frames", "time", "view")))
        for row in zip(*filled, strict=True)
    ]


def _scales(stated: float | tuple[float, ...] | None, channels: ColumnTable, dtype: np.dtype) -> list[float]:
    """The data range of each channel; 0 where nobody knows. Raises SettingsError for other numbers of them."""
    columns = list(channels)
    if stated is not None:
        given = np.atleast_1d(np.asarray(stated, dtype=np.float64))
        if given.shape not in ((1,), (len(columns),)) or not (np.isfinite(given) & (given > 0)).all():
            raise SettingsError(
                f"data_range is {stated!r:.80}; give one above 0, or one for each of {len(columns)} channels"
            )
        return [float(one) for one in np.broadcast_to(given, len(columns))]
    usual = BYTES if dtype == np.uint8 else 0.0
    return [
        float(column.high - column.low) if column.low is not None and column.high is not None else usual
        for column in columns
    ]


def _dataset(
    rows: list[dict[str, np.ndarray]], kept: list[xr.Dataset], channels: ColumnTable, settings: EvaluateSettings,
    own: bool,
) -> xr.Dataset:  # fmt: skip
    """The table, with who is who."""
    columns = list(channels)
    of_channel = ", ".join(dict.fromkeys(column.units for column in columns))
    dims = ("guess", "recording", "step", "channel")
    variables: dict[str, Any] = {
        name: (dims, np.stack([row[name] for row in rows], axis=1), {"units": unit or of_channel})
        for name, unit in UNITS.items()
    }
    variables[SPREAD] = (dims[1:], np.stack([row[SPREAD] for row in rows]), {"units": "1"})
    coords: dict[str, Any] = {
        "guess": list(GUESSES), "step": np.arange(1, settings.steps + 1),
        "channel": [column.name for column in columns],
        "channel_units": ("channel", [column.units for column in columns]),
        "session": ("recording", [ds.attrs["session"] for ds in kept]),
    }  # fmt: skip
    coords |= dict(_covariates(kept))
    fitted = "the evaluated recordings themselves" if own else "other recordings"
    attributes = {"baselines_fitted_on": fitted, "samples": settings.samples, "starts": settings.starts}
    return xr.Dataset(variables, coords, attributes)


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
    if measure not in found or "guess" not in found[measure].dims:
        known = ", ".join(str(name) for name in found if "guess" in found[name].dims)
        raise SettingsError(f"measure is {measure!r:.80}; there are {known}")
    last = found.sizes["step"]
    steps = sorted({1, (last + 1) // 2, last})
    means = found[measure].mean("recording", skipna=True)
    rows = []
    for channel, unit in zip(found.channel.values, found.channel_units.values, strict=True):
        own = UNITS.get(measure) or unit
        for guess in found.guess.values:
            values = means.sel(guess=guess, channel=channel)
            rows.append((f"{channel} ({own})", str(guess), *(number(float(values.sel(step=step))) for step in steps)))
    caption = (
        f"Means over {found.sizes['recording']} recordings, {found.attrs['starts']} starts in each. Baselines were "
        f"fitted on {found.attrs['baselines_fitted_on']}."
    )
    return Table((measure, "guess", *(f"step {step}" for step in steps)), tuple(rows), caption)
