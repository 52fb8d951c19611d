"""Search for a law: few numbers that make a controller, tried in whole episodes of anything that steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciworld.errors import SearchError
from sciworld.search import optimizers
from sciworld.simulator import Controller, Observation, Simulator, Trajectory, rollout

Start = Callable[[np.ndarray], tuple[Any, Observation]]


@dataclass(frozen=True, eq=False)
class Law:
    """What a search for a law found.

    Parameters
    ----------
    parameters : (dimension,). promise : mean score of its episodes, uncertainty : their standard deviation; NaN of one.
    episodes : how many were run in all. trace : (generation,) best score so far. tried : (generation, candidate,
        dimension) and scores : (generation, candidate) of all.
    """

    parameters: np.ndarray
    promise: float
    uncertainty: float
    episodes: int
    trace: np.ndarray
    tried: np.ndarray
    scores: np.ndarray


def search_law(
    simulator: Simulator,
    start: Start,
    make: Callable[[np.ndarray], Controller],
    score: Callable[[Trajectory], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    *,
    starts: int,
    steps: int,
    generations: int,
    rng: np.random.Generator,
    optimizer: str = "cem",
    settings: Any = None,
    guess: np.ndarray | None = None,
    pessimism: float = 0.0,
    keep_states: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Law:
    """Find the parameters whose controllers score best over whole episodes.

    Parameters
    ----------
    simulator : a surrogate, or a trusted simulator, whose direct search a surrogate has to match.
    start : indices (episode,) of `starts` beginnings -> the state and the first observation of each.
    make : parameters (episode, dimension) -> one controller of so many episodes.
    score : the episodes -> (episode,), larger is better; NaN is the worst.
    low, high : (dimension,) bounds. guess : (dimension,) where the search begins, by default everywhere.
    pessimism : standard deviations over the starts that a mean score is lowered by where laws are compared; what is
        promised stays the mean.
    steps : of an episode. generations : of the optimizer, a name in `sciworld.search.optimizers`, with its settings.
    keep_states : whether `score` is given the states after every step, see `rollout`.
    progress : called with the generations that are done, and all.

    Raises SearchError if nothing scored, or numbers do not fit.
    """
    if starts < 1 or steps < 1 or generations < 1:
        raise SearchError(f"search_law: {starts} starts, {steps} steps, {generations} generations; use at least 1 each")
    method = optimizers.named(optimizer)
    first = None if guess is None else np.atleast_2d(guess)
    state = method.start(np.atleast_2d(low), np.atleast_2d(high), settings or method.Settings(), first)
    tried, scores, trace = [], [], []
    for generation in range(generations):
        candidates = method.ask(state, rng)
        found = _scores(simulator, start, make, score, candidates[0], starts, steps, rng, keep_states)
        state = method.tell(state, candidates, _compared(found, pessimism)[None])
        tried.append(candidates[0])
        scores.append(found)
        trace.append(float(state.best_score[0]))
        if progress is not None:
            progress(generation + 1, generations)
    everything, every = np.stack(tried), np.stack(scores)
    compared = _compared(every, pessimism)
    if np.isnan(compared).all():
        raise SearchError("search_law: no episode got a score; the objective returned NaN for all of them")
    best = np.unravel_index(np.nanargmax(compared), compared.shape)
    spread = float(every[best].std(ddof=1)) if starts > 1 else np.nan
    promise = float(every[best].mean())
    return Law(everything[best], promise, spread, every.size, np.array(trace), everything, every.mean(axis=2))


def _compared(scores: np.ndarray, pessimism: float) -> np.ndarray:
    """What laws are compared by : (...), of scores (..., start)."""
    return np.asarray(scores.mean(axis=-1) - pessimism * scores.std(axis=-1))


def _scores(
    simulator: Simulator, start: Start, make: Callable[[np.ndarray], Controller],
    score: Callable[[Trajectory], np.ndarray], candidates: np.ndarray, starts: int, steps: int,
    rng: np.random.Generator, keep_states: bool,
) -> np.ndarray:  # fmt: skip
    """Scores : (candidate, start) of candidates (candidate, dimension), all episodes side by side."""
    state, first = start(np.tile(np.arange(starts), len(candidates)))
    controller = make(np.repeat(candidates, starts, axis=0))
    run = rollout(simulator, state, first, controller, steps, rng, keep_states=keep_states)
    found = np.asarray(score(run), dtype=np.float64)
    if found.shape != (len(candidates) * starts,):
        raise SearchError(f"search_law: score returned {found.shape}; it must return ({len(candidates) * starts},)")
    return found.reshape(len(candidates), starts)
