"""A verdict where there is no simulator: what was promised of recorded controls, and what the recordings show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from sciworld.config import whole
from sciworld.errors import RecordingError, SearchError
from sciworld.evaluate.imagine import controls_of, covariates_of, observed, require_kind, steps_ahead
from sciworld.evaluate.verdict import LIKELY, Verdict
from sciworld.search.arrays import OfArrays
from sciworld.search.problem import Problem
from sciworld.selection import Selection
from sciworld.simulator import Objective
from sciworld.store import Store
from sciworld.streamed import Recordings
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.find_controls import as_objective, objective_in
from sciworld.tasks.wanted import wanted
from sciworld.training.run import Run
from sciworld.training.seen import unseen

JUDGE = "held-out recordings, not trusted, as they show what their own controls did and no others"
OTHERS = JUDGE.replace("held-out recordings", "recordings that the run does not name as its own")


def held_out_verdict(
    surrogate: Surrogate,
    recordings: Recordings,
    objective: OfArrays | Objective,
    horizon: int,
    *,
    starts: int = 4,
    samples: int = 16,
    units: str = "1",
    judge: str = JUDGE,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Score recordings that training did not see, imagined under their own controls, and as they went on.

    An episode is a recording, a decision one of at most `starts` frames from which `horizon` steps can be held against
    it. Promise and uncertainty are mean and standard deviation of the objective over `samples` futures, the outcome is
    that of the recorded frames. An episode succeeds if most of its outcomes lie where nine in ten were expected;
    recordings without a start that tells so are left out.

    recordings : a store, or a choice of one, such as those that `training.seen.unseen` names. objective : as of
    `find_controls`. units : of the objective. judge : what the recordings are called. Raises RecordingError where no
    recording has so many steps, or all futures of a start are the same; SearchError where the objective fails, or
    returns NaN.
    """
    whole(horizon, "horizon", 1)
    whole(starts, "starts", 1)
    whole(samples, "samples", 2)
    rng, n, why, lost = np.random.default_rng(seed), len(recordings), "", 0
    promise, unsure, outcome = (np.full((n, starts), np.nan) for _ in range(3))
    seconds = np.zeros(n)
    for k in range(n):
        ds = recordings[k]
        require_kind(surrogate, ds)
        frames = np.flatnonzero(steps_ahead(ds) >= horizon)
        frames = frames[np.unique(np.linspace(0, len(frames) - 1, min(starts, len(frames))).astype(int))]
        for decision, frame in enumerate(frames.tolist()):
            scores, true, said = _scored(surrogate, ds, objective, frame, horizon, samples, rng)
            promise[k, decision], unsure[k, decision] = scores.mean(), scores.std(ddof=1)
            outcome[k, decision] = true
            why, lost = why or said, lost + bool(said)
            seconds[k] += float(ds["time"].values[frame + horizon] - ds["time"].values[frame])
        if progress is not None:
            progress(k + 1, n)
    known = ~np.isnan(promise + outcome)
    if lost:
        # Which of them could be scored is no chance: a verdict on the others alone would look better than it is.
        raise SearchError(f"{lost} of {int(known.sum()) + lost} starts got no score; of the objective: {why}")
    if not known.any():
        raise RecordingError(f"no recording has {horizon} steps with known controls; shorten the horizon")
    told = known & (unsure > 0)
    if not told.any():
        raise RecordingError(
            "all futures of a start are the same: this model learned nothing of chance, so nothing says how far off "
            "its promises may be; judge an ensemble, or a model that learned chance"
        )
    rows = np.flatnonzero(told.any(axis=1))  # others are too short, or tell nothing
    told, promise, outcome, seconds = told[rows], promise[rows], outcome[rows], seconds[rows]
    unsure = np.where(told, unsure[rows], np.nan)
    kept = told & (np.abs(outcome - promise) <= LIKELY * unsure)
    return Verdict(
        controller="recorded controls",
        judge=judge,
        made_training_data=False,
        success=kept.sum(axis=1) > 0.5 * told.sum(axis=1),
        actions=horizon * known[rows].sum(axis=1),
        seconds=seconds,
        dose=np.full(len(rows), np.nan),
        promise=promise,
        outcome=outcome,
        uncertainty=unsure,
        promise_units=units,
        goal="most outcomes lie where nine in ten of them were expected",
    )


def judge(
    run: Run,
    surrogate: Surrogate,
    store: str | Path,
    objective: str,
    horizon: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """The verdict of the recordings in a store that the run did not see; of all, where it was trained on others.

    objective : as of the command `search`. Raises RecordingError where the run has seen them all.
    """
    stored = Store.open(store)
    left = unseen(run, stored)
    if left is not None and not len(left):
        raise RecordingError(f"{store}: training has seen all of its recordings; give others")
    # What a wish is read by is fitted on what was not held out.
    seen = stored if left is None else Selection(stored, np.setdiff1d(np.arange(len(stored)), left))
    wish = objective_in(objective) if ":" in objective else wanted(objective, seen, surrogate.space)
    recordings = stored if left is None else Selection(stored, left)
    name = OTHERS if left is None else JUDGE
    units = getattr(wish, "units", "1")
    return held_out_verdict(surrogate, recordings, wish, horizon, units=units, judge=name, seed=seed, progress=progress)


def _scored(
    surrogate: Surrogate,
    ds: xr.Dataset,
    objective: OfArrays | Objective,
    frame: int,
    horizon: int,
    samples: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float, str]:
    """Scores (sample,) of imagined futures under the recorded controls, that of what was recorded, and why there are
    none, or ""."""
    wish, _ = as_objective(objective, surrogate, ds, frame)
    problem = Problem(wish, horizon, surrogate.space)
    controls = controls_of(ds)[frame : frame + horizon][None, None]
    history = observed(ds, frame, surrogate.model.context)
    state = surrogate.start(history, covariates_of(surrogate, ds), ds.attrs.get("description"))
    futures = surrogate.futures(state, controls, samples, rng)
    true = ds["frames"][frame + 1 : frame + 1 + horizon].values.astype(np.float32)[None, None, None]
    scores, why = problem.marked(futures, controls)
    came, why_not = problem.marked(true, controls)
    return scores[0, 0], float(came[0, 0, 0]), why or why_not
