"""Search for a law: few numbers that make a controller, tried in whole episodes of anything that steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciworld.config import is_number, whole
from sciworld.errors import SearchError
from sciworld.search import optimizers
from sciworld.search.optimizers.base import Optimizer
from sciworld.search.problem import LARGEST
from sciworld.simulator import Controller, Observation, Simulator, Trajectory, rollout

EMPTY = 2  # generations in which nothing scored, after which a search for a law gives up

Start = Callable[[np.ndarray], tuple[Any, Observation]]


@dataclass(frozen=True, eq=False)
class Law:
    """What a search for a law found.

    Parameters
    ----------
    parameters : (dimension,). promise : mean score of episodes that were run once more, as the best of many scores owes
        a part of them to luck; uncertainty : their standard deviation, NaN of one.
    episodes : how many were run in all. trace : (generation,) best score so far. tried : (generation, candidate,
        dimension) and scores : (generation, candidate) of all, NaN where a generation had fewer.
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
    keep_states: bool | Callable[[Any], Any] = False,
    progress: Callable[[int, int], None] | None = None,
) -> Law:
    """Find the parameters whose controllers score best over whole episodes.

    Parameters
    ----------
    simulator : a surrogate, or a trusted simulator, whose direct search a surrogate has to match.
    start : indices (episode,) of `starts` beginnings -> the state and the first observation of each.
    make : parameters (episode, dimension) -> one controller of so many episodes.
    score : the episodes -> (episode,) real numbers, larger is better; NaN is the worst, infinite ones are refused.
    low, high : (dimension,) bounds. guess : (dimension,) where the search begins, by default everywhere.
    price, pessimism : what a mean score is lowered by where laws are compared, while the promise stays the mean score:
        the mean of price(episodes), (episode,), and so many standard deviations over the starts.
    steps : of an episode. generations : of the optimizer, a name in `sciworld.search.optimizers`, with its settings.
    keep_states : whether `score` is given the states after every step, see `rollout`.
    progress : called with the generations that are done, and all.

    Raises SettingsError for counts below 1; SearchError, before any episode is run, for bounds, a guess, settings or a
    pessimism that cannot be, and later for scores that are no numbers, or if nothing scored.
    """
    starts, steps = whole(starts, "starts", 1), whole(steps, "steps", 1)
    generations = whole(generations, "generations", 1)
    method = optimizers.named(optimizer)
    if getattr(method, "GRADIENTS", False):
        raise SearchError(f"search_law: '{optimizer}' climbs gradients, which episodes have none of; use another")
    state = _begun(method, low, high, guess, optimizers.settings_of(optimizer, settings))
    if not (is_number(pessimism) and 0 <= pessimism < np.inf):
        raise SearchError(f"search_law: pessimism is {pessimism!r:.80}; use a number of standard deviations, 0 or more")
    kept: list[tuple[np.ndarray, ...]] = []
    trace: list[float] = []

    def tried(candidates: np.ndarray) -> Trajectory:
        """Every candidate (candidate, dimension) from every beginning."""
        begun, first = start(np.tile(np.arange(starts), len(candidates)))
        controller = make(np.repeat(candidates, starts, axis=0))
        return rollout(simulator, begun, first, controller, steps, rng, keep_states=keep_states)

    for generation in range(generations):
        candidates = method.ask(state, rng)
        run = tried(candidates[0])
        found = _of_episodes(score, run, "score").reshape(-1, starts)
        merit = found.mean(axis=1) - pessimism * found.std(axis=1)
        if price is not None:
            merit = merit - _of_episodes(price, run, "price").reshape(-1, starts).mean(axis=1)
        state = method.tell(state, candidates, merit[None])
        trace.append(float(state.best_score[0]))
        kept.append((candidates[0], found, merit))
        if generation + 1 == EMPTY or generation + 1 == generations:
            _require_some(kept)
        if progress is not None:
            progress(generation + 1, generations)
    everything, every, compared = (_stacked(part) for part in zip(*kept, strict=True))
    best = np.unravel_index(np.nanargmax(compared), compared.shape)
    again = _of_episodes(score, tried(everything[best][None]), "score")
    spread = float(again.std(ddof=1)) if starts > 1 else np.nan
    episodes = sum(found.size for _, found, _ in kept) + starts
    return Law(everything[best], float(again.mean()), spread, episodes, np.array(trace), everything, every.mean(axis=2))


def _require_some(kept: list[tuple[np.ndarray, ...]]) -> None:
    """Raise SearchError where nothing scored."""
    if all(np.isnan(merit).all() for _, _, merit in kept):
        episodes = sum(found.size for _, found, _ in kept)
        raise SearchError(
            f"search_law: none of {episodes} episodes got a score, the objective returned NaN for all of them; narrow "
            "the bounds to laws that do little, or begin from others"
        )


def _stacked(generations: tuple[np.ndarray, ...]) -> np.ndarray:
    """Generations (candidate, ...) as one array, filled up with NaN: those of some optimizers shrink."""
    most = max(map(len, generations))
    wide = [(0, 0)] * (generations[0].ndim - 1)
    return np.stack([np.pad(one, [(0, most - len(one)), *wide], constant_values=np.nan) for one in generations])


def _begun(method: Optimizer, low: Any, high: Any, guess: Any, settings: Any) -> Any:
    """The optimizer's state before the first generation. Raises SearchError."""
    given = {"low": low, "high": high, **({} if guess is None else {"guess": guess})}
    rows = {name: _real(value, name) for name, value in given.items()}
    shapes = {name: row.shape for name, row in rows.items()}
    if rows["low"].ndim != 1 or len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise SearchError(f"search_law: shapes are {found}; give one number for each parameter, (dimension,)")
    return method.start(
        rows["low"][None], rows["high"][None], settings, rows["guess"][None] if "guess" in rows else None
    )


def _real(values: Any, name: str) -> np.ndarray:
    """What a user gave, or made of episodes, as float64 of any shape; NaN may be among them. Raises SearchError."""
    try:
        found = np.asarray(values)
    except ValueError:  # rows of unequal lengths
        found = np.empty(0, dtype=object)
    if found.dtype.kind not in "biuf" or np.ma.is_masked(values):
        shown = " ".join(repr(values).split())
        raise SearchError(f"search_law: {name} is {shown:.80}; use real numbers, none of them masked")
    found = found.astype(np.float64)
    odd = found[np.abs(found) > LARGEST]
    if odd.size:
        raise SearchError(f"search_law: {name} has {odd[0]:g}; use numbers from {-LARGEST:g} to {LARGEST:g}")
    return found


def _of_episodes(function: Callable[[Trajectory], np.ndarray], run: Trajectory, name: str) -> np.ndarray:
    """What a user's function makes of episodes : (episode,)."""
    found = _real(function(run), name)
    if found.shape != run.length.shape:
        raise SearchError(f"search_law: {name} returned {found.shape}; it must return {run.length.shape}")
    return found
