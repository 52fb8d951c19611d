"""What a surrogate's promises are worth for choosing: the same candidate controls, judged by it and by the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld.errors import SettingsError
from sciworld.evaluate.table import Table, interval
from sciworld.measures import decisions
from sciworld.measures.intervals import mean
from sciworld.simulator import Objective, Observation, Simulator, State
from sciworld.surrogate.surrogate import Surrogate


@dataclass(frozen=True)
class Limited:
    """What must stay within bounds along a future.

    Parameters
    ----------
    values : of futures (candidate, sample, time, y, x, channel) and controls (candidate, time, control) : (candidate,
        sample, time), such as a car's place in its lane. low, high : its bounds, in its units.
    """

    values: Callable[[np.ndarray, np.ndarray], np.ndarray]
    low: float = -np.inf
    high: float = np.inf

    def violations(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """The share of moments out of bounds, over samples : (candidate,)."""
        return np.asarray(decisions.violations(self.values(futures, controls), self.low, self.high).mean(axis=1))


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
    limited: Limited | None = None,
) -> xr.Dataset:
    """Score candidates from the same starts in the surrogate and in the trusted simulator; larger is better.

    state, first : n starts of the trusted simulator, and what is seen of them. controls : (start, candidate, step,
    control). objective : one for all, or one a start, which scores frames of both alike. samples : futures of the
    surrogate, 0 for its mean; trials : of the trusted simulator, where chance decides. limited : what must stay within
    bounds. Returns what `table_of` returns.
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
    broken = None
    if limited is not None:
        broken = tuple(
            np.stack([limited.violations(futures[k], controls[k]) for k in range(n)]) for futures in (imagined, true)
        )
    return table_of(promised, came, units, broken)


def table_of(
    promised: np.ndarray, true: np.ndarray, units: str = "1", broken: tuple[np.ndarray, ...] | None = None
) -> xr.Dataset:
    """Scores (start, candidate) of both, with regret, optimism and rank correlation (start); see `measures.decisions`.

    regret_of_chance : what a candidate that is drawn blindly gives up on average, which makes a regret large or small.
    broken : the shares of moments in which a bound is broken, promised and true, (start, candidate) each; of the
    candidate with the best promise they are promised_violations and violations (start).
    """
    promised, true = np.asarray(promised, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if promised.ndim != 2 or promised.shape != true.shape:
        raise SettingsError(f"promises are {promised.shape}, true scores {true.shape}; give (start, candidate) of both")
    scored, of_start = {"units": units}, ("start",)
    more = {}
    if broken is not None:
        chosen = promised.argmax(axis=1)[:, None]
        for name, shares in zip(("promised_violations", "violations"), broken, strict=True):
            more[name] = (of_start, np.take_along_axis(np.asarray(shares), chosen, 1)[:, 0], {"units": "1"})
    return xr.Dataset(
        {
            "promised": (("start", "candidate"), promised, scored),
            "true": (("start", "candidate"), true, scored),
            "regret": (of_start, decisions.regret(promised, true), scored),
            "regret_of_chance": (of_start, true.max(axis=1) - true.mean(axis=1), scored),
            "optimism": (of_start, decisions.optimism(promised, true), scored),
            "rank_correlation": (of_start, decisions.rank_correlation(promised, true), {"units": "1"}),
            **more,
        }
    )


def to_table(found: xr.Dataset) -> Table:
    """Means over the starts with bootstrap intervals."""
    rows = tuple(
        (f"{str(name).replace('_', ' ')} ({found[name].attrs['units']})", interval(mean(found[name].values)))
        for name in found
        if found[name].dims == ("start",)
    )
    starts, candidates = found.true.shape
    caption = (
        f"{candidates} candidates from each of {starts} starts. Regret: the best true score less that of the candidate "
        "with the best promise; of chance, less that of one drawn blindly. Optimism: the best promise less what came."
    )
    return Table(("choosing by promises", "mean"), rows, caption)
