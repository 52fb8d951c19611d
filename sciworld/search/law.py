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
    price: Callable[[Trajectory], np.ndarray] | None = None,
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
    price, pessimism : what a mean score is lowered by where laws are compared, while the promise stays the mean score:
        the mean of price(episodes), (episode,), and so many standard deviations over the starts.
    steps : of an episode. generations : of the optimizer, a name in `sciworld.search.optimizers`, with its settings.
    keep_states : whether `score` is given the states after every step, see `rollout`.
    progress : called with the generations that are done, and all.

    Raises SearchError if nothing scored, or numbers do not fit.
    """
    if starts < 1 or steps < 1 or generations < 1:
        raise SearchError(f"search_law: {starts} starts, {steps} steps, {generations} generations; use at least 1 each")
    method = optimizers.named(optimizer)
    middle = None if guess is None else np.atleast_2d(guess)
    state = method.start(np.atleast_2d(low), np.atleast_2d(high), settings or method.Settings(), middle)
    kept: list[tuple[np.ndarray, ...]] = []
    trace: list[float] = []
    for generation in range(generations):
        candidates = method.ask(state, rng)
        begun, first = start(np.tile(np.arange(starts), len(candidates[0])))
        controller = make(np.repeat(candidates[0], starts, axis=0))
        run = rollout(simulator, begun, first, controller, steps, rng, keep_states=keep_states)
        found = _of_episodes(score, run, "score").reshape(-1, starts)
        merit = found.mean(axis=1) - pessimism * found.std(axis=1)
        if price is not None:
            merit = merit - _of_episodes(price, run, "price").reshape(-1, starts).mean(axis=1)
        state = method.tell(state, candidates, merit[None])
        trace.append(float(state.best_score[0]))
        kept.append((candidates[0], found, merit))
        if progress is not None:
            progress(generation + 1, generations)
    everything, every, compared = (np.stack(part) for part in zip(*kept, strict=True))
    if np.isnan(compared).all():
        raise SearchError("search_law: no episode got a score; the objective returned NaN for all of them")
    best = np.unravel_index(np.nanargmax(compared), compared.shape)
    spread = float(every[best].std(ddof=1)) if starts > 1 else np.nan
    promise = float(every[best].mean())
    return Law(everything[best], promise, spread, every.size, np.array(trace), everything, every.mean(axis=2))


def _of_episodes(function: Callable[[Trajectory], np.ndarray], run: Trajectory, name: str) -> np.ndarray:
    """What a user's function makes of episodes : (episode,)."""
    found = np.asarray(function(run), dtype=np.float64)
    if found.shape != run.length.shape:
        raise SearchError(f"search_law: {name} returned {found.shape}; it must return {run.length.shape}")
    return found
