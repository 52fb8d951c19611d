"""Whether a model heeds its controls: it must be worse without them, and show what they do.

Formulas on arrays in float64; which frames a model made under which controls is the caller's. What is masked is NaN;
what is no array of real numbers raises SettingsError.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sciworld.errors import SettingsError
from sciworld.measures.known import floats, quiet, ratio

RIDGES = 10.0 ** np.arange(-4, 5)  # of the features' mean variance; the one with the least left-out error is taken


@quiet
def control_gain(under_true: np.ndarray, under_shuffled: np.ndarray, better: str = "higher") -> np.ndarray:
    """How much better a measure is under the true controls than under shuffled ones : as given, in its units; 0 on.

    under_true - under_shuffled where higher is better, the other way round where lower is. 0 is a model that ignores
    its controls. For "delta_t PSNR" give the PSNR of frame t = 4 under the controls that were, and under others: Bruce
    et al., "Genie", ICML 2024, section 3.
    """
    if better not in ("higher", "lower"):
        raise SettingsError(f"control_gain: better is {better!r}; use 'higher' or 'lower'")
    one, other = _alike(under_true, under_shuffled, "control_gain")
    return one - other if better == "higher" else other - one


@quiet
def counterfactual_divergence(one: np.ndarray, other: np.ndarray, again: np.ndarray) -> np.ndarray:
    """How far apart futures are under other controls, over how far under the same ones : (...), no unit.

    rms(other - one) / rms(again - one) over the last three axes (y, x, channel). one, again : futures under the same
    controls by other noise, other : under other controls, all (..., y, x, channel). 1 is a model whose controls change
    no more than chance does; infinite where the same controls give the same to the bit and others do not. Raises
    SettingsError for fewer axes, and shapes that differ.
    """
    one, other = _alike(one, other, "counterfactual_divergence")
    one, again = _alike(one, again, "counterfactual_divergence")
    if one.ndim < 3:
        raise SettingsError(f"counterfactual_divergence: futures are {one.shape}; give (..., y, x, channel)")
    apart, chance = (((two - one) ** 2).mean(axis=(-3, -2, -1)) for two in (other, again))
    return np.asarray(np.sqrt(apart / chance))


class InverseModel(NamedTuple):
    """Reads controls back from pairs of frames; see `fit_inverse`."""

    mean: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    @quiet
    def __call__(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Controls (pair, control) of frames before and after (pair, y, x, channel)."""
        return np.asarray((_features(before, after) - self.mean) @ self.weights + self.bias)


@quiet
def fit_inverse(before: np.ndarray, after: np.ndarray, controls: np.ndarray) -> InverseModel:
    """Ridge regression of controls (pair, control) on true frames (pair, y, x, channel) and their differences.

    It is linear, and fitted in the space of the pairs, so that many pixels cost nothing: what it reads back it reads
    from where things are, not from what a network made of them. How much it trusts the pixels is decided by how well
    each control is read from pairs that are left out, one at a time (Allen, Technometrics 16, 125 (1974)); of a control
    that pixels do not show it reads little but the mean. Raises SettingsError for what does not fit, and for frames and
    controls that are not finite.
    """
    features, controls = _features(before, after), floats(controls, "fit_inverse: controls")
    if controls.ndim != 2 or len(controls) != len(features) or len(controls) < 2:
        raise SettingsError(f"fit_inverse: controls are {controls.shape} for {len(features)} pairs; give two or more")
    mean, bias = features.mean(axis=0), controls.mean(axis=0)
    centred = features - mean
    products = centred @ centred.T
    if not (np.isfinite(products).all() and np.isfinite(controls).all()):
        raise SettingsError("fit_inverse: frames or controls are NaN, or too large to be squared; leave such pairs out")
    size, axes = np.linalg.eigh(products)
    size = np.maximum(size, 0.0)
    ridges = RIDGES * (size.mean() or 1.0)
    along = axes.T @ (controls - bias)
    kept = size / (size + ridges[:, None])  # (ridge, axis)
    fitted = np.einsum("pa,ra,ac->rpc", axes, kept, along)
    leverage = np.einsum("pa,ra->rp", axes**2, kept) + 1 / len(controls)
    left_out = (((controls - bias) - fitted) / np.maximum(1 - leverage, 1e-9)[..., None]) ** 2
    chosen = ridges[left_out.mean(axis=1).argmin(axis=0)]  # (control,)
    return InverseModel(mean, centred.T @ (axes @ (along / (size[:, None] + chosen))), bias)


@quiet
def recoverability(controls: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Share of each control's variance that is read back, 1 - mean((read - c)^2) / var(c) : (control,), no unit.

    controls, read : (pair, control). 1 is perfect, 0 no better than the mean, below worse. Read from generated frames
    it says what they lost, beside what the same inverse model reads from true ones. NaN for a control that never
    changes. Raises SettingsError for shapes that differ, and no pairs.
    """
    controls, read = _alike(controls, read, "recoverability")
    if controls.ndim < 1 or not len(controls):
        raise SettingsError(f"recoverability: controls are {controls.shape}; give (pair, control), of one pair or more")
    # A variance may round: whether a control changes is not read off it.
    variance = np.where(controls.max(axis=0) > controls.min(axis=0), controls.var(axis=0), 0.0)
    return np.asarray(1 - ratio(((read - controls) ** 2).mean(axis=0), variance))


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of two rows (n,) : -1 to 1, with equal values at their mean rank; no unit.

    Pairs with a NaN are left out; NaN where fewer than three are left, or either is constant. Spearman, Am. J. Psychol.
    15, 72 (1904).
    """
    one, other = _alike(one, other, "spearman")
    if one.ndim != 1:
        raise SettingsError(f"spearman: rows are {one.shape}; give (n,)")
    known = ~(np.isnan(one) | np.isnan(other))
    if known.sum() < 3:
        return float("nan")
    a, b = (ranks(row[known]) for row in (one, other))
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / size) if size > 0 else float("nan")


def ranks(row: np.ndarray) -> np.ndarray:
    """Ranks of a row (n,), from 1; equal values share their mean rank."""
    _, inverse, counts = np.unique(row, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


def _features(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    before, after = _alike(before, after, "frames")
    if before.ndim < 2:
        raise SettingsError(f"frames are {before.shape}; give (pair, y, x, channel)")
    n = len(before)
    return np.concatenate([before.reshape(n, -1), (after - before).reshape(n, -1)], axis=1)


def _alike(one: np.ndarray, other: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    one, other = floats(one, what), floats(other, what)
    if one.shape != other.shape:
        raise SettingsError(f"{what}: shapes are {one.shape} and {other.shape}; give one shape")
    return one, other
