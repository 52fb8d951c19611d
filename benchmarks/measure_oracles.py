"""Every measure beside another library's, or beside its definition written out once more in another way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scoringrules
from scipy import stats
from skimage import metrics

from harness import Figure, Run
from sciworld.measures import control, decisions, fields, pixels, probability

Y, X, RANGE = 24, 37, 4.0


def worst(run: Run) -> Figure:
    """The worst relative difference of all measures on drawn inputs, float64; rows name the oracle of each."""
    rows = []
    for seed in range(2 if run.quick else 20):
        rows += [{"seed": seed, **row} for row in compared(np.random.default_rng(seed))]
    return Figure(max(row["relative"] for row in rows), "1", None, rows)


def compared(rng: np.random.Generator) -> list[dict[str, Any]]:
    """One row a measure: oracle, ours, theirs and the relative difference."""
    true, guess = rng.normal(size=(2, 5, Y, X))
    truth, samples = rng.normal(size=(30, 3)), rng.normal(size=(6, 30, 3))
    happened, chance = rng.integers(0, 2, 200), rng.uniform(size=200)
    rows = []

    def add(measure: str, oracle: str, ours: Any, theirs: Any) -> None:
        a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
        scale = np.maximum(np.abs(b), 1e-9 * max(float(np.abs(b).max(initial=0.0)), 1.0))
        rows.append({"measure": measure, "oracle": oracle, "relative": float((np.abs(a - b) / scale).max())})

    pairs = list(zip(true, guess, strict=True))
    decibels = [metrics.peak_signal_noise_ratio(*both, data_range=RANGE) for both in pairs]
    similar = {"data_range": RANGE, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for measure, ours, theirs in (
        ("mse", pixels.mse(true, guess), [metrics.mean_squared_error(*both) for both in pairs]),
        ("psnr", pixels.psnr(true, guess, RANGE), decibels),
        ("ssim", pixels.ssim(true, guess, RANGE), [metrics.structural_similarity(*both, **similar) for both in pairs]),
        ("nrmse", fields.nrmse(true, guess), [metrics.normalized_root_mse(*both) for both in pairs]),
    ):
        add(measure, "scikit-image", ours, theirs)
    add("crps", "scoringrules", probability.crps(truth, samples), _fair_crps(truth, samples))
    energy = scoringrules.es_ensemble(truth, np.moveaxis(samples, 0, 1), estimator="fair")
    add("energy_score", "scoringrules", probability.energy_score(truth, samples), energy)
    brier = scoringrules.brier_score(happened, chance).mean()
    add("brier", "scoringrules", probability.brier(happened, chance), brier)
    row = rng.integers(0, 5, (2, 30)).astype(float)
    add("spearman", "scipy", control.spearman(*row), stats.spearmanr(*row).statistic)
    alike = [stats.pearsonr(a.ravel(), b.ravel())[0] for a, b in pairs]
    add("correlation", "scipy", fields.correlation(true, guess), alike)
    root = [math.sqrt(math.fsum(((b - a) ** 2).ravel()) / a.size) for a, b in pairs]
    add("rmse", "by hand", pixels.rmse(true, guess), root)
    add("mae", "by hand", pixels.mae(true, guess), [math.fsum(np.abs(b - a).ravel()) / a.size for a, b in pairs])
    variance = [np.mean(a * a) - np.mean(a) ** 2 for a, _ in pairs]
    scaled = [math.sqrt(r**2 / (v + 1e-7)) for r, v in zip(root, variance, strict=True)]
    add("vrmse", "by hand", fields.vrmse(true, guess), scaled)
    add("spectral_error", "by hand", fields.spectral_error(true, guess, 0.5), [_spectral(*both) for both in pairs])
    add("enstrophy", "by hand", fields.enstrophy(true, guess, (0.3, 0.2)), [_enstrophy(*both) for both in pairs])
    add("spread_skill", "by hand", probability.spread_skill(truth, samples), _spread_skill(truth, samples))
    ranks = np.bincount((samples < truth).sum(axis=0).ravel(), minlength=7)
    add("rank_histogram", "by hand", probability.rank_histogram(truth, samples), ranks)
    inside = ((truth >= samples.min(axis=0)) & (truth <= samples.max(axis=0))).mean()
    add("coverage", "by hand", probability.coverage(truth, samples, 5 / 7), inside)
    promised, scores = rng.normal(size=(2, 4, 9))
    chosen = [(p.max(), s[p.argmax()], s.max()) for p, s in zip(promised, scores, strict=True)]
    add("regret", "by hand", decisions.regret(promised, scores), [most - got for _, got, most in chosen])
    add("optimism", "by hand", decisions.optimism(promised, scores), [said - got for said, got, _ in chosen])
    return rows


def _fair_crps(truth: np.ndarray, samples: np.ndarray) -> np.ndarray:
    return np.asarray(scoringrules.crps_ensemble(truth, np.moveaxis(samples, 0, -1), estimator="fair"))


def _spectral(true: np.ndarray, guess: np.ndarray) -> list[float]:
    """Rings of wave numbers one at a time, cell by cell."""
    wrong, right = (np.abs(np.fft.fft2(one)) ** 2 for one in (guess - true, true))
    width = 2 * math.pi / (0.5 * min(Y, X))
    rings: dict[int, list[float]] = {}
    for i, ky in enumerate(2 * math.pi * np.fft.fftfreq(Y, 0.5)):
        for j, kx in enumerate(2 * math.pi * np.fft.fftfreq(X, 0.5)):
            ring = round(math.hypot(kx, ky) / width)
            sums = rings.setdefault(ring, [0.0, 0.0])
            sums[0] += wrong[i, j]
            sums[1] += right[i, j]
    last, found = max(rings), []
    edges = [last ** (k / 3) for k in range(4)]
    for k in range(3):
        inside = [
            r for r in rings if r > 0 and edges[k] * (1 - 1e-9) <= r and (r < edges[k + 1] * (1 - 1e-9) or k == 2)
        ]
        found.append(math.sqrt(sum(rings[r][0] for r in inside) / sum(rings[r][1] for r in inside)))
    return found


def _enstrophy(u: np.ndarray, v: np.ndarray) -> float:
    total = 0.0
    for y in range(Y):
        for x in range(X):
            a, b = max(x - 1, 0), min(x + 1, X - 1)
            c, d = max(y - 1, 0), min(y + 1, Y - 1)
            total += ((v[y, b] - v[y, a]) / (0.2 * (b - a)) - (u[d, x] - u[c, x]) / (0.3 * (d - c))) ** 2
    return 0.5 * total / (Y * X)


def _spread_skill(truth: np.ndarray, samples: np.ndarray) -> float:
    n = len(samples)
    mean = samples.sum(axis=0) / n
    variance = ((samples - mean) ** 2).sum(axis=0) / (n - 1)
    return math.sqrt((n + 1) / n * variance.mean() / ((mean - truth) ** 2).mean())
