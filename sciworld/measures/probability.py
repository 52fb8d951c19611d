"""How good a forecast is that says how sure it is: scores of ensembles, and whether what is promised comes true.

An ensemble is samples (sample, ...), its truth (...); every function returns what its docstring says, in float64. NaN
in truth or samples makes the score there NaN, and leaves it out of counts; what is masked is NaN. What is no array of
real numbers raises SettingsError.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sciworld.errors import SettingsError
from sciworld.measures.known import floats, mean, quiet, ratio


@quiet
def crps(truth: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Fair continuous ranked probability score : (...), in the units of the truth, 0 on (or slightly below by chance).

    mean_i |x_i - y| - sum_ij |x_i - x_j| / (2 n (n - 1)): what an ensemble of any size would score on average with
    endless members. Ferro, Q. J. R. Meteorol. Soc. 140, 1917 (2014), equation 3. NaN of one sample, of which nobody can
    tell how sure it is; mean |x - y| is `mae`.
    """
    truth, samples = _ensemble(truth, samples)
    n = len(samples)
    error = np.abs(samples - truth).mean(axis=0)
    if n < 2:
        return np.full(truth.shape, np.nan)
    # Of sorted samples the sum of all differences is that of (2 i - n + 1) x_i.
    weights = 2.0 * np.arange(n) - n + 1
    apart = np.tensordot(weights, np.sort(samples, axis=0), 1)
    return np.asarray(error - apart / (n * (n - 1)))


@quiet
def energy_score(truth: np.ndarray, samples: np.ndarray, axes: int = 1) -> np.ndarray:
    """Fair energy score : (...), in the units of the truth: `crps` of vectors, their last `axes` axes.

    mean_i |x_i - y| - sum_ij |x_i - x_j| / (2 n (n - 1)) with Euclidean norms: it sees whether parts belong together.
    Gneiting and Raftery, J. Am. Stat. Assoc. 102, 359 (2007), equation 22. NaN of one sample.
    """
    truth, samples = _ensemble(truth, samples)
    if not 1 <= axes <= truth.ndim:
        raise SettingsError(f"energy_score: axes is {axes}; use 1 to {truth.ndim} of truth {truth.shape}")
    shape = truth.shape[: truth.ndim - axes]
    y, x = truth.reshape(*shape, -1), samples.reshape(len(samples), *shape, -1)
    n = len(x)
    if n < 2:
        return np.full(shape, np.nan)
    apart = np.zeros(shape)
    for i in range(n):
        apart += np.linalg.norm(x[i + 1 :] - x[i], axis=-1).sum(axis=0)
    return np.asarray(np.linalg.norm(x - y, axis=-1).mean(axis=0) - apart / (n * (n - 1)))


@quiet
def spread_skill(truth: np.ndarray, samples: np.ndarray) -> float:
    """Spread over skill, no unit; 1 is right, less is too sure, more too unsure.

    sqrt((n + 1) / n mean(variance of the samples)) / sqrt(mean((mean of the samples - truth)^2)), variances with n - 1:
    Fortin, Abaza, Anctil and Turcotte, J. Hydrometeorol. 15, 1708 (2014), equation 15. One number over all that is
    known; NaN of one sample and where nothing is ever wrong, infinite where the mean alone is not.
    """
    truth, samples = _ensemble(truth, samples)
    n = len(samples)
    if n < 2:
        return float("nan")
    known = np.isfinite(truth) & np.isfinite(samples).all(axis=0)
    if not known.any():
        return float("nan")
    if not known.all():
        truth, samples = truth[known], samples[:, known]
    errors = samples - truth  # of which none that is 0 is rounded, whatever the truth
    middle = errors.mean(axis=0)
    spread = (n + 1) / n * ((errors - middle) ** 2).sum(axis=0).mean() / (n - 1)
    skill = (middle**2).mean()
    if skill == 0:
        return float("nan") if spread == 0 else float("inf")
    return float(np.sqrt(spread / skill))


def rank_histogram(truth: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """How often the truth has each rank among the samples : (sample + 1,) counts; flat where it is one of them.

    A truth that equals samples counts in equal parts at all ranks that it may have. Hamill, Mon. Weather Rev. 129, 550
    (2001). The counts add up to how many truths are known.
    """
    truth, samples = _ensemble(truth, samples)
    known = np.isfinite(truth) & np.isfinite(samples).all(axis=0)
    below = (samples < truth).sum(axis=0)[known]
    equal = (samples == truth).sum(axis=0)[known]
    n = len(samples)
    found = np.zeros(n + 2)
    share = 1.0 / (equal + 1)
    np.add.at(found, below, share)  # from the first possible rank on ...
    np.add.at(found, below + equal + 1, -share)  # ... to the last
    return np.cumsum(found)[: n + 1]


@quiet
def coverage(truth: np.ndarray, samples: np.ndarray, level: float = 0.9) -> float:
    """Share of truths within the central interval of the samples, no unit; `level` is right.

    The interval lies between the (1 - level) / 2 quantiles from both ends, by the plotting position i / (n + 1), which
    is right for samples of any number: Makkonen, J. Appl. Meteorol. Climatol. 45, 334 (2006). NaN where so few samples
    have no such interval: n samples reach (n - 1) / (n + 1).
    """
    truth, samples = _ensemble(truth, samples)
    if not 0 < level < 1:
        raise SettingsError(f"coverage: level is {level}; use a share between 0 and 1")
    n = len(samples)
    known = np.isfinite(truth) & np.isfinite(samples).all(axis=0)
    if level > (n - 1) / (n + 1) + 1e-12 or not known.any():
        return float("nan")
    ordered, below = np.sort(samples, axis=0), (1 - level) / 2 * (n + 1) - 1
    place = min(max(int(below), 0), n - 2)
    share = below - place
    low = (1 - share) * ordered[place] + share * ordered[place + 1]
    high = (1 - share) * ordered[n - 1 - place] + share * ordered[n - 2 - place]
    return float(((truth >= low) & (truth <= high))[known].mean())


def brier(happened: np.ndarray, probability: np.ndarray) -> float:
    """mean((probability - happened)^2), 0 to 1; 0 is perfect, 0.25 that of a half each time.

    Brier, Mon. Weather Rev. 78, 1 (1950), in the form for one event. NaN where nothing is known."""
    happened, probability = _events(happened, probability)
    return float(mean((probability - happened) ** 2))


class Reliability(NamedTuple):
    """How often happened what was given a probability, by bins of it.

    promised : (bin,) mean probability. came : (bin,) share that happened. counts : (bin,). NaN of empty bins.
    """

    promised: np.ndarray
    came: np.ndarray
    counts: np.ndarray


def reliability(happened: np.ndarray, probability: np.ndarray, bins: int = 10) -> Reliability:
    """The reliability diagram: bins of equal width from 0 to 1; the last holds 1 too. Diagonal is right.

    Murphy and Winkler, J. R. Stat. Soc. C 26, 41 (1977).
    """
    happened, probability = _events(happened, probability)
    if not (isinstance(bins, int | np.integer) and bins >= 1):
        raise SettingsError(f"reliability: bins is {bins!r}; use 1 or more")
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    means = []
    for values in (probability, happened):
        total = np.bincount(place, values, minlength=bins)
        means.append(ratio(total, count))
    return Reliability(means[0], means[1], count)


def _ensemble(truth: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64. Raises SettingsError for shapes that do not fit."""
    truth, samples = floats(truth, "truth"), floats(samples, "samples")
    if samples.ndim < 1 or samples.shape[1:] != truth.shape or not len(samples):
        raise SettingsError(f"truth is {truth.shape}, samples {samples.shape}; give (...) and (sample, ...)")
    return truth, samples


def _events(happened: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, flat, of what is known. Raises SettingsError for shapes that differ and odd values."""
    happened, probability = floats(happened, "happened"), floats(probability, "probability")
    if happened.shape != probability.shape:
        raise SettingsError(f"happened is {happened.shape}, probability {probability.shape}; give one shape")
    known = np.isfinite(happened) & np.isfinite(probability)
    happened, probability = happened[known], probability[known]
    if ((probability < 0) | (probability > 1)).any() or ((happened != 0) & (happened != 1)).any():
        raise SettingsError("give probabilities from 0 to 1, and for what happened 0 or 1")
    return happened, probability
