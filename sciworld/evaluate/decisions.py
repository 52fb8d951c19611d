"""What a surrogate's promises are worth for choosing: the same candidate controls, judged by it and by the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from sciworld.errors import SettingsError
from sciworld.evaluate.table import Table, interval
from sciworld.measures import decisions
from sciworld.measures.intervals import mean
from sciworld.simulator import Objective, Observation, Simulator, State
from sciworld.surrogate.surrogate import Surrogate


def ranked(
    surrogate: Surrogate,
    trusted: Simulator,
    state: State,
    first: Observation,
    controls: np.ndarray,
    objective: Objective | Sequence[Objective],
    rng: np.random.Generator,
    samples: int = 4,
    trials: int = 1,
    units: str = "1",
) -> xr.Dataset:
    """Score candidates from the same starts in the surrogate and in the trusted simulator; larger is better.

    state, first : n starts of the trusted simulator, and what is seen of them. controls : (start, candidate, step,
    control). objective : one for all, or one a start, which scores frames of both alike. samples : futures of the
    surrogate, 0 for its mean; trials : of the trusted simulator, where chance decides. Returns what `table_of` returns.
    """
    if controls.ndim != 4:
        raise SettingsError(f"controls are {controls.shape}; give (start, candidate, step, control)")
    n, c, steps, _ = controls.shape
    objectives = list(objective) if isinstance(objective, Sequence) else [objective] * n
    if len(objectives) != n or len(first) != n or trials < 1:
        raise SettingsError(f"{len(objectives)} objectives, {len(first)} first frames, {trials} trials for {n} starts")
    imagined = surrogate.futures(surrogate.start(first), controls, samples, rng)
    many = np.repeat(np.arange(n), c * trials)
    now, given = state.take(many), np.repeat(controls.reshape(n * c, steps, -1), trials, axis=0)
    frames = []
    for step in range(steps):
        observation, now = trusted.step(now, given[:, step], rng)
        frames.append(observation.frames)
    true = np.stack(frames, axis=1).reshape(n, c, trials, steps, *frames[0].shape[1:])
    promised, came = (
        np.stack([score(futures[k], controls[k]).mean(axis=1) for k, score in enumerate(objectives)])
        for futures in (imagined, true)
    )
    return table_of(promised, came, units)


def table_of(promised: np.ndarray, true: np.ndarray, units: str = "1") -> xr.Dataset:
    """Scores (start, candidate) of both, with regret, optimism and rank correlation (start); see `measures.decisions`.

    regret_of_chance : what a candidate that is drawn blindly gives up on average, which makes a regret large or small.
    """
    promised, true = np.asarray(promised, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if promised.ndim != 2 or promised.shape != true.shape:
        raise SettingsError(f"promises are {promised.shape}, true scores {true.shape}; give (start, candidate) of both")
    scored, of_start = {"units": units}, ("start",)
    return xr.Dataset(
        {
            "promised": (("start", "candidate"), promised, scored),
            "true": (("start", "candidate"), true, scored),
            "regret": (of_start, decisions.regret(promised, true), scored),
            "regret_of_chance": (of_start, true.max(axis=1) - true.mean(axis=1), scored),
            "optimism": (of_start, decisions.optimism(promised, true), scored),
            "rank_correlation": (of_start, decisions.rank_correlation(promised, true), {"units": "1"}),
        }
    )


def to_table(found: xr.Dataset) -> Table:
    """Means over the starts with bootstrap intervals."""
    rows = tuple(
        (f"{str(name).replace('_', ' ')} ({found[name].attrs['units']})", interval(mean(found[name].values)))
        for name in ("regret", "regret_of_chance", "optimism", "rank_correlation")
    )
    starts, candidates = found.true.shape
    caption = (
        f"{candidates} candidates from each of {starts} starts. Regret: the best true score less that of the candidate "
        "with the best promise; of chance, less that of one drawn blindly. Optimism: the best promise less what came."
    )
    return Table(("choosing by promises", "mean"), rows, caption)
