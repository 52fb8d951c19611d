"""How long measures take: all of them on a thousand clips, and SSIM beside scikit-image's."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from skimage.metrics import structural_similarity

from harness import Figure, Run, alternate, median
from sciworld.measures import fields, pixels, probability

CLIPS, SHAPE, BATCH, SAMPLES = 1000, (16, 64, 64), 25, 4
RANGE = 8.0


def suite(run: Run) -> Figure:
    """Seconds for all pixel, field and probability measures on 1,000 clips, by two threads; rows are of each measure.

    A clip is 16 x 64 x 64 float32, its guess as large, its forecast four samples. One batch of 25 clips stands for all.
    """
    batches = 2 if run.quick else CLIPS // BATCH
    true, guess, samples = _clips(BATCH)
    each = {}
    for name, measure in measures(true, guess, samples).items():
        measure()
        begin = time.perf_counter()
        measure()
        each[name] = time.perf_counter() - begin

    def batch(_: int) -> None:
        for measure in measures(true, guess, samples).values():
            measure()

    seconds = []
    for _ in range(1 if run.quick else 3):
        begin = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(batch, range(batches)))
        seconds.append((time.perf_counter() - begin) * CLIPS / (batches * BATCH))
    found = median(seconds, "s")
    rows = [{"seconds": one} for one in seconds]
    rows += [{"measure": name, "ms_a_clip": 1e3 * value / BATCH} for name, value in each.items()]
    return Figure(found.value, "s", found.spread, rows)


def measures(true: np.ndarray, guess: np.ndarray, samples: np.ndarray) -> dict[str, Callable[[], object]]:
    """All of them, ready to be called on clips (clip, time, y, x), samples (sample, clip, time, y, x)."""
    present = true[:, 0]
    seconds = np.arange(true.shape[1], dtype=np.float64)
    moved = pixels.moving(true, present)
    event = (true > 1.0).astype(np.float64)
    chance = (samples > 1.0).mean(axis=0)
    return {
        "moving": lambda: pixels.moving(true, present),
        "rmse": lambda: pixels.rmse(true, guess),
        "mae": lambda: pixels.mae(true, guess),
        "psnr": lambda: pixels.psnr(true, guess, RANGE),
        "ssim": lambda: pixels.ssim(true, guess, RANGE),
        "rmse on moving pixels": lambda: pixels.rmse(true, guess, moved),
        "psnr on moving pixels": lambda: pixels.psnr(true, guess, RANGE, moved),
        "ssim on moving pixels": lambda: pixels.ssim(true, guess, RANGE, moved),
        "false motion": lambda: pixels.false_motion(true, guess, moved),
        "vrmse": lambda: fields.vrmse(true, guess),
        "nrmse": lambda: fields.nrmse(true, guess),
        "spectral error": lambda: fields.spectral_error(true, guess),
        "enstrophy": lambda: fields.enstrophy(true, guess, 1.0),
        "divergence": lambda: fields.divergence(true, guess, 1.0),
        "mass drift": lambda: fields.mass_drift(true),
        "correlation": lambda: fields.correlation(true, guess),
        "correlation time": lambda: fields.correlation_time(true, guess, seconds),
        "crps": lambda: probability.crps(true, samples),
        "energy score": lambda: probability.energy_score(true, samples, 2),
        "spread over skill": lambda: probability.spread_skill(true, samples),
        "rank histogram": lambda: probability.rank_histogram(true, samples),
        "coverage": lambda: probability.coverage(true, samples, 0.5),
        "brier": lambda: probability.brier(event, chance),
        "reliability": lambda: probability.reliability(event, chance),
    }


def ssim(run: Run) -> Figure:
    """Seconds that scikit-image takes for SSIM of 160 frames of 64 x 64 over ours, float64, the same definition."""
    true, guess, _ = _clips(10)
    true, guess = (one.reshape(-1, *SHAPE[1:]).astype(np.float64) for one in (true, guess))
    named = {"data_range": RANGE, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    seconds = alternate(
        {
            "ours": lambda: pixels.ssim(true, guess, RANGE),
            "scikit-image": lambda: [structural_similarity(a, b, **named) for a, b in zip(true, guess, strict=True)],
        },
        repeats=3 if run.quick else 15,
    )
    return median([slow / fast for slow, fast in zip(seconds["scikit-image"], seconds["ours"], strict=True)], "x")


def _clips(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(n, *SHAPE)).astype(np.float32)
    noise = rng.normal(size=(1 + SAMPLES, n, *SHAPE)).astype(np.float32)
    return true, true + 0.5 * noise[0], true + 0.5 * noise[1:]
