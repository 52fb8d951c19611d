"""The measures of a trial that compare guesses with the truth: by step and channel, means over the starts.

Of PSNRs it is the squared errors whose mean is taken, or one start without any error would make it infinite.
"""

from __future__ import annotations

import numpy as np

from sciworld.controls import ColumnTable
from sciworld.errors import SettingsError
from sciworld.evaluate.trial import GUESSES, MEAN, ONE, SHUFFLED, SOURCES, Trial
from sciworld.measures import control, fields, known, pixels, probability

# Measure -> its units, where "" stands for those of the channel. Each has (guess, recording, step, channel).
UNITS = {
    "rmse": "", "rmse_moving": "", "false_motion": "", "crps": "", "energy_score": "", "psnr": "dB",
    "psnr_moving": "dB", "ssim": "1", "ssim_moving": "1", "vrmse": "1", "nrmse": "1", "correlation": "1",
}  # fmt: skip
# Those of the model alone, which have (recording, step, channel).
OF_MODEL = {"spread_skill": "1", "control_gain": "", "delta_psnr": "dB", "counterfactual_divergence": "1"}
SCALES = ("large", "middle", "small")
BYTES = 255.0

Scores = dict[str, np.ndarray]


def scores(trial: Trial, spans: list[float], least: float | None, deviation: tuple[float, ...]) -> Scores:
    """All of them, without the axis of recordings; NaN where nobody guessed, or nothing is known.

    spans : the data range of each channel, 0 where nobody knows. deviation : of each channel, in which VRMSE and NRMSE
    count, or they would depend on its units. Where a guess is not finite at one start all its measures are NaN:
    what is left would be a choice of the easy ones.

    Beside UNITS and OF_MODEL: lost (guess, step), the share of starts whose guess is not finite; moving (step, channel)
    the share of pixels that moved; spectral_error (guess, step, channel, scale); correlation_time (guess, channel) s,
    at most the last second; ranks (step, channel, rank) counts of the truth's rank among the model's samples; power
    (source, channel, wavenumber) of the last step.
    """
    steps, channels = trial.truth.shape[1], trial.truth.shape[-1]
    found = {name: np.full((len(GUESSES), steps, channels), np.nan) for name in UNITS}
    found["spectral_error"] = np.full((len(GUESSES), steps, channels, len(SCALES)), np.nan)
    found["correlation_time"] = np.full((len(GUESSES), channels), np.nan)
    found["lost"] = np.full((len(GUESSES), steps), np.nan)
    found["moving"] = np.full((steps, channels), np.nan)
    known_pixels = np.isfinite(trial.truth)
    for name, ensemble in trial.ensembles.items():
        gone = (known_pixels & ~np.isfinite(ensemble).all(axis=0)).any(axis=(2, 3, 4))
        found["lost"][GUESSES.index(name)] = gone.mean(axis=0)
    for channel, span in enumerate(spans):
        true = trial.truth[..., channel]
        moved = pixels.moving(true, trial.present[..., channel], least)
        found["moving"][:, channel] = known.mean(moved.astype(np.float64), (0, 2, 3), known_pixels[..., channel])
        for name, ensemble in trial.ensembles.items():
            place, one = GUESSES.index(name), ensemble[..., channel]
            lost = found["lost"][place] > 0
            values = _of_guess(true, one, moved, span, trial.seconds, deviation[channel])
            values["spectral_error"] = fields.spectral_error(true, one.mean(axis=0))
            for measure, value in values.items():
                mean, gone = _over_starts(measure, value), lost.any() if measure == "correlation_time" else lost
                mean[gone] = np.nan
                target = (place, slice(None), channel) if measure == "spectral_error" else (place, ..., channel)
                found[measure][target] = mean
    return found | _of_model(trial, found) | {"power": _power(trial)}


def ranges(stated: float | tuple[float, ...] | None, channels: ColumnTable, dtype: np.dtype) -> list[float]:
    """The data range of each channel; 0 where nobody knows. Raises SettingsError for other numbers of them."""
    columns = list(channels)
    if stated is not None:
        given = np.atleast_1d(np.asarray(stated, dtype=np.float64))
        if given.shape not in ((1,), (len(columns),)):
            raise SettingsError(f"data_range is {stated!r:.80}; give one, or one for each of {len(columns)} channels")
        return [float(one) for one in np.broadcast_to(given, len(columns))]
    usual = BYTES if dtype == np.uint8 else 0.0
    return [
        float(column.high - column.low) if column.low is not None and column.high is not None else usual
        for column in columns
    ]


def _of_guess(
    true: np.ndarray, ensemble: np.ndarray, moved: np.ndarray, scale: float, seconds: np.ndarray, deviation: float
) -> Scores:
    """Of one channel: true, moved (start, step, y, x), ensemble (sample, start, step, y, x) -> (start, step).

    The correlation time is of all steps : (start,).
    """
    guess = ensemble.mean(axis=0)
    scaled = true / deviation, guess / deviation
    found = {
        "rmse": pixels.rmse(true, guess), "rmse_moving": pixels.rmse(true, guess, moved),
        "false_motion": pixels.false_motion(true, guess, moved), "vrmse": fields.vrmse(*scaled),
        "nrmse": fields.nrmse(*scaled), "correlation": fields.correlation(true, guess),
    }  # fmt: skip
    if scale > 0:
        found |= {"psnr": pixels.psnr(true, guess, scale), "psnr_moving": pixels.psnr(true, guess, scale, moved)}
        if min(true.shape[-2:]) > 2 * pixels.REACH:
            found |= {"ssim": pixels.ssim(true, guess, scale), "ssim_moving": pixels.ssim(true, guess, scale, moved)}
    if len(ensemble) > 1:
        found["crps"] = known.mean(probability.crps(true, ensemble), (-2, -1), np.isfinite(true))
        found["energy_score"] = probability.energy_score(true, ensemble, axes=2)
    else:
        found["crps"] = pixels.mae(true, guess)
        found["energy_score"] = np.sqrt(((guess - true) ** 2).sum(axis=(-2, -1)))
    times = [fields.correlation_time(*one) for one in zip(true, guess, seconds, strict=True)]
    found["correlation_time"] = np.minimum(times, seconds[:, -1])
    return found


def _of_model(trial: Trial, found: Scores) -> Scores:
    """What only a model that samples and heeds controls has."""
    own, truth = trial.ensembles[MEAN], trial.truth
    places = [(step, channel) for step in range(truth.shape[1]) for channel in range(truth.shape[-1])]

    def each(formula: object, *shape: int) -> np.ndarray:
        values = [formula(truth[:, t, ..., c], own[:, :, t, ..., c]) for t, c in places]  # type: ignore[operator]
        return np.array(values).reshape(truth.shape[1], truth.shape[-1], *shape)

    mean, other = GUESSES.index(MEAN), GUESSES.index(SHUFFLED)
    result = {
        "spread_skill": each(probability.spread_skill),
        "ranks": each(probability.rank_histogram, len(own) + 1),
        "control_gain": control.control_gain(found["rmse"][mean], found["rmse"][other], "lower"),
        "delta_psnr": control.control_gain(found["psnr"][mean], found["psnr"][other]),
        "counterfactual_divergence": np.full((truth.shape[1], truth.shape[-1]), np.nan),
    }
    if SHUFFLED in trial.ensembles and len(own) > 1:
        one, again, others = own[0], own[1], trial.ensembles[SHUFFLED][0]
        divergence = [
            known.mean(control.counterfactual_divergence(*(frames[..., c, None] for frames in (one, others, again))))
            for c in range(truth.shape[-1])
        ]
        result["counterfactual_divergence"] = np.stack(divergence, axis=-1)
    return result


def _power(trial: Trial) -> np.ndarray:
    """Of the last step, of the mean of the model's samples and of the first of others' : (source, channel, wavenumber).

    The first is at wave number 0: the square of the mean over pixels.
    """
    last = {source: np.moveaxis(trial.of(source)[0, :, -1], -1, 1) for source in trial.sources}
    last[MEAN] = np.moveaxis(trial.ensembles[MEAN].mean(axis=0)[:, -1], -1, 1)
    values = {source: known.mean(fields.power(frames, 1.0)[1]) for source, frames in last.items()}
    unknown = np.full_like(values[ONE], np.nan)
    return np.stack([values.get(source, unknown) for source in SOURCES])


def _over_starts(measure: str, values: np.ndarray) -> np.ndarray:
    """The mean over the first axis, of what is known."""
    if not measure.startswith("psnr"):
        return known.mean(values)
    with np.errstate(divide="ignore"):
        return np.asarray(-10 * np.log10(known.mean(10 ** (-values / 10))))
