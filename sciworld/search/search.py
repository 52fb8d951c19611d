"""Search controls against a surrogate: never against anything that knows the truth."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciworld.config import array, require
from sciworld.controls import ColumnTable, ControlSpace
from sciworld.errors import FormatError, SciworldError, SearchError
from sciworld.search import optimizers
from sciworld.search.optimizers import Optimizer
from sciworld.search.problem import Forecaster, Problem, searched, whole
from sciworld.simulator import Observation


@dataclass(frozen=True)
class SearchSettings:
    """How long a search goes on, and how it looks at futures.

    Parameters
    ----------
    budget : model evaluations that each problem may use; None for 256, or for what three generations of the
        optimizer need where that is more: sampled futures and long horizons take many.
    samples : futures imagined per candidate where the posterior mean does not answer: for objectives that are not
        linear, and beyond one step. 0 looks at the posterior mean in every case.
    final_samples : fresh futures of the chosen candidate, from which the promise is read where samples are used:
        the score that won is biased upward by winning.
    tolerance : a search has converged once its spread is below this share of the bounds, for every problem.
    chunk : futures imagined at a time, over all problems; bounds the memory.
    """

    budget: int | None = None
    samples: int = 4
    final_samples: int = 16
    tolerance: float = 0.01
    chunk: int = 8192

    def __post_init__(self) -> None:
        enough = self.budget is None or self.budget >= 1
        require(enough, f"budget is {self.budget} model evaluations; use at least 1")
        require(self.samples >= 0, f"samples is {self.samples}; use 0 for the posterior mean, or more")
        require(self.final_samples >= 1, f"final_samples is {self.final_samples}; use at least 1")
        require(self.tolerance >= 0, f"tolerance is {self.tolerance}; it is a share of the bounds, at least 0")
        require(self.chunk >= 1, f"chunk is {self.chunk} futures; use at least 1")


BUDGET, GENERATIONS = 256, 3  # where the settings leave the budget open: so many evaluations, or generations if more
_NUMBERS = (int, float, type(None))  # null is NaN
_ARRAYS = ("controls", "promise", "uncertainty", "trace")


@dataclass(frozen=True, eq=False)
class Plan:
    """Controls that a search found, and what it promises of them.

    Parameters
    ----------
    space : what the controls are.
    controls : (problem, step, control) float64, in the units of the space.
    promise : (problem,) mean score that the surrogate gives them, unpenalised.
    uncertainty : (problem,) standard deviation of the score over samples; NaN where there was one.
    evaluations : model evaluations used for each problem.
    stopped : why the search stopped: "budget" or "converged".
    trace : (generation, problem) best score so far; NaN before anything scored.
    """

    space: ControlSpace
    controls: np.ndarray
    promise: np.ndarray
    uncertainty: np.ndarray
    evaluations: int
    stopped: str
    trace: np.ndarray

    def to_json(self) -> str:
        """The plan as JSON, its controls with their names and units; NaN is null."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["space"] = json.loads(self.space.table.to_json())
        for name in _ARRAYS:
            array = fields[name].astype(object)
            array[np.isnan(fields[name])] = None
            fields[name] = array.tolist()
        return json.dumps(fields, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str = "plan") -> Plan:
        """Read what `to_json` wrote. Raises FormatError, naming `where`, for anything else."""
        try:
            fields = json.loads(text)
            space = ControlSpace(ColumnTable.from_json(json.dumps(fields["space"]), where))
            promise, uncertainty, trace = (array(fields[name], _NUMBERS, np.float64) for name in _ARRAYS[1:])
            controls = array(fields["controls"], (int, float), np.float64)
            n, used, stopped = len(promise), fields["evaluations"], fields["stopped"]
            trace = trace.reshape(-1, n)
            if controls.ndim != 3 or len(controls) != n or promise.shape != (n,) or uncertainty.shape != (n,):
                raise ValueError(f"controls {controls.shape}, promise {promise.shape}, uncertainty {uncertainty.shape}")
            if type(used) is not int or type(stopped) is not str:
                raise TypeError(f"evaluations {used!r:.40}, stopped {stopped!r:.40}")
            return cls(space, space.check(controls), promise, uncertainty, used, stopped, trace)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, SciworldError) as error:
            raise FormatError(f"{where}: not a plan ({error!r}); write it with Plan.to_json") from error


def search(
    surrogate: Forecaster,
    history: Observation | Sequence[Observation],
    problem: Problem,
    rng: np.random.Generator,
    optimizer: str = "cem",
    settings: SearchSettings | None = None,
    optimizer_settings: Any = None,
    guess: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Find the controls whose futures score best, for every problem in `history` side by side.

    Parameters
    ----------
    surrogate : imagines futures; the only thing, beside the observations, that is looked at.
    history : what was seen, oldest first, one row a problem; the last observation is the present.
    problem : objective, horizon, space and region.
    optimizer, optimizer_settings : a name in `sciworld.search.optimizers`, and its Settings.
    guess : (problem, step, control), controls to start from; without one the whole region is looked at first.
    progress : called as progress(evaluations used, budget) after each generation.

    Raises SearchError where the budget does not pay for a generation, or nothing scored.
    """
    history = [history] if isinstance(history, Observation) else list(history)
    settings = settings or SearchSettings()
    problem.space.require_same(surrogate.space, "search")
    n, steps = len(history[-1]), problem.horizon
    samples = 0 if problem.linear(n) and steps == 1 else settings.samples
    look = _Look(surrogate, surrogate.start(history), problem, *problem.bounds(n), rng, settings.chunk)
    method = optimizers.named(optimizer)
    state = look.start(method, optimizer_settings, guess)
    final = surrogate.evaluations(1, steps, settings.final_samples) if samples else 0
    used, trace, stopped, budget = final, [], "budget", settings.budget
    while True:
        candidates = method.ask(state, rng)
        cost = surrogate.evaluations(candidates.shape[1], steps, samples)
        if budget is None:
            budget = max(BUDGET, final + GENERATIONS * cost)
        if used + cost > budget:
            break
        state = method.tell(state, candidates, look.score(look.decode(candidates), samples).mean(axis=-1))
        used += cost
        trace.append(state.best_score)
        if progress is not None:
            progress(used, budget)
        if (method.spread(state) < settings.tolerance).all():
            stopped = "converged"
            break
    _require_found(state.best, len(trace), cost + final, budget)
    controls = look.decode(state.best[:, None])
    scores = look.score(controls, settings.final_samples)[:, 0] if samples else state.best_score[:, None]
    uncertainty = scores.std(axis=1, ddof=1) if scores.shape[1] > 1 else np.full(n, np.nan)
    best = np.array(trace)
    best[np.isneginf(best)] = np.nan
    return Plan(problem.space, controls[:, 0], scores.mean(axis=1), uncertainty, used, stopped, best)


@dataclass(frozen=True, eq=False)
class _Look:
    """How the optimizer's vectors become controls, futures and scores; low and high are (problem, control)."""

    surrogate: Forecaster
    state: Any
    problem: Problem
    low: np.ndarray
    high: np.ndarray
    rng: np.random.Generator
    chunk: int

    def start(self, method: Optimizer, settings: Any, guess: np.ndarray | None) -> Any:
        """The optimizer's first state; its dimensions are all controls of the first step, then of the second, ..."""
        mean = None
        if guess is not None:
            shape = (len(self.low), self.problem.horizon, len(self.problem.space))
            if np.shape(guess) != shape:
                raise SearchError(
                    f"search: guess is {np.shape(guess)}; it must be (problem, step, control), here {shape}"
                )
            mean = np.clip(guess, self.low[:, None], self.high[:, None]).reshape(len(self.low), -1)
        low, high = searched(self.problem.space, self.low, self.high)
        steps = (1, self.problem.horizon)
        return method.start(np.tile(low, steps), np.tile(high, steps), settings or method.Settings(), mean)

    def decode(self, vectors: np.ndarray) -> np.ndarray:
        """Controls (problem, candidate, step, control) of vectors (problem, candidate, dimension)."""
        p, n, _ = vectors.shape
        controls = vectors.reshape(p, n, self.problem.horizon, -1)
        return whole(self.problem.space, controls, self.low[:, None, None], self.high[:, None, None])

    def score(self, controls: np.ndarray, samples: int) -> np.ndarray:
        """Scores (problem, candidate, sample) of controls, with a bounded number of futures imagined at a time."""
        at_once = max(1, self.chunk // (len(controls) * max(samples, 1)))
        parts = []
        for first in range(0, controls.shape[1], at_once):
            part = controls[:, first : first + at_once]
            futures = self.surrogate.futures(self.state, part, samples, self.rng)
            parts.append(self.problem.score(futures, part))
        return np.concatenate(parts, axis=1)


def _require_found(best: np.ndarray, generations: int, cost: int, budget: int) -> None:
    """Raise SearchError unless every problem's best : (problem, dimension) is known."""
    if not generations:
        raise SearchError(
            f"search: one generation needs {cost} model evaluations, the budget is {budget}; raise the budget, or "
            "lower the optimizer's population or samples"
        )
    lost = np.flatnonzero(np.isnan(best).any(axis=1))
    if len(lost):
        raise SearchError(
            f"search: no candidate of problem {lost[0]} got a score ({len(lost)} such of {len(best)}); its objective "
            "returned NaN, inf or -inf for all of them"
        )
