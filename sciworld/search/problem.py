"""What is searched for, and what a search asks of a surrogate."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sciworld.config import is_number
from sciworld.controls import ControlSpace
from sciworld.errors import SearchError
from sciworld.familiar.familiar import Familiar
from sciworld.search.constraints import Constraint
from sciworld.search.parameters import Parameters
from sciworld.search.risk import Risk
from sciworld.simulator import Objective, Observation

LARGEST = 1e150  # of scores and bounds, whose squares are numbers, too
FAILURES = (Exception, SystemExit)  # of a scientist's code, which may raise anything, and call sys.exit


class Forecaster(Protocol):
    """What a search asks of a surrogate: futures from what was seen, and what they cost."""

    @property
    def space(self) -> ControlSpace:
        """The controls that `futures` takes, in its order and units."""
        ...

    def start(self, history: Sequence[Observation]) -> Any:
        """Encode what was seen, oldest first; the last observation is the present. One row a problem."""
        ...

    def futures(self, state: Any, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Imagine what controls : (problem, candidate, step, control) lead to.

        Returns (problem, candidate, sample, time, y, x, channel) float32, in the units of the recording, one time
        a step. samples = 0 asks for the posterior mean, returned as one sample.
        """
        ...

    def asking(self, evaluations: int) -> Forecaster:
        """The same, with so many model evaluations for a sampled frame."""
        ...

    def evaluations(self, candidates: int, steps: int, samples: int) -> int:
        """How many model evaluations `futures` needs for that many candidates of one problem."""
        ...


@dataclass(frozen=True, eq=False)
class Problem:
    """What to look for, for one problem or for many side by side.

    Parameters
    ----------
    objective : one for all problems, or a sequence with one for each.
    horizon : steps to plan ahead.
    space : the controls.
    low, high : bounds of the region searched, (control,) or (problem, control), inside those of `space`, which
        they default to.
    active : (problem,) bool, which problems are worth a search; a controller does not spend evaluations on one
        whose goal is seen to be reached. All by default.
    constraints : what a plan must keep to, beside scoring well.
    risk : what candidates are compared by, of the scores of their samples.
    parameters : what is searched in place of every step.
    seconds : that a step lasts, by which plans keep to the rate limits of the space; None for plans that need not.
    previous : the controls before the first step, (control,) or (problem, control), from which it may not be farther
        than they allow; None if anything was.
    familiar : what the surrogate was trained on: presents that look unlike it are refused, and plans keep near the
        controls that were played; None for a search that goes anywhere.
    """

    objective: Objective | Sequence[Objective]
    horizon: int
    space: ControlSpace
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    active: np.ndarray | None = None
    constraints: tuple[Constraint, ...] = ()
    risk: Risk = field(default_factory=Risk)
    parameters: Parameters = field(default_factory=Parameters)
    seconds: float | None = None
    previous: np.ndarray | None = None
    familiar: Familiar | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.horizon, int | np.integer) or isinstance(self.horizon, bool) or self.horizon < 1:
            raise SearchError(f"problem: horizon is {self.horizon!r:.80} steps; use an integer, at least 1")
        if self.seconds is not None and not (is_number(self.seconds) and 0 < self.seconds < np.inf):
            raise SearchError(f"problem: a step lasts {self.seconds!r:.80} s; use a positive number, or None")
        self._require_movable()
        if self.previous is not None:
            self.space.check(np.asarray(self.previous), "problem: previous")
        if self.familiar is not None:
            self.space.require_same(self.familiar.space, "problem: familiar")

    def _require_movable(self) -> None:
        """Raise SearchError for whole numbers that rate limits never let change."""
        seconds = np.inf if self.seconds is None else self.seconds
        for column in self.space.table:
            if column.is_whole and column.rate_limit is not None and column.rate_limit * seconds < 1:
                raise SearchError(
                    f"problem: '{column.name}' is a whole number that changes by at most {column.rate_limit:g} a "
                    f"second, and a step lasts {seconds:g} s: it never could; make steps longer, or leave out "
                    "`seconds`"
                )

    def objectives(self, n: int) -> list[Objective]:
        """One objective for each of n problems. Raises SearchError if their number differs."""
        if not isinstance(self.objective, Sequence):
            return [self.objective] * n
        if len(self.objective) != n:
            raise SearchError(f"problem: {len(self.objective)} objectives for {n} problems; give one, or one for each")
        return list(self.objective)

    def bounds(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The region searched: low and high, (problem, control) float64.

        Raises SearchError if it is no region, ControlError where neither the problem nor its space has a bound.
        """
        found = []
        for name, limit in (("low", self.low), ("high", self.high)):
            if limit is None:
                limit = getattr(self.space, name)
                self.space.require_bounds(limit)
            limit = np.asarray(limit, dtype=np.float64)
            if limit.shape not in ((len(self.space),), (n, len(self.space))):
                raise SearchError(
                    f"problem: {name} is {limit.shape}; use ({len(self.space)},) or ({n}, {len(self.space)}) for "
                    f"{', '.join(self.space.names)}"
                )
            self.space.check(limit, f"problem: {name}")
            found.append(np.array(np.broadcast_to(limit, (n, len(self.space)))))
        low, high = found
        empty = np.argwhere(low > high)
        if len(empty):
            i, c = empty[0]
            raise SearchError(
                f"problem {i}: '{self.space.names[c]}' has low {low[i, c]:g} above high {high[i, c]:g}; swap them"
            )
        is_whole = np.array([column.is_whole for column in self.space.table])
        none = np.argwhere(is_whole & (np.ceil(low) > np.floor(high)))
        if len(none):
            i, c = none[0]
            raise SearchError(
                f"problem {i}: '{self.space.names[c]}' is a whole number, and there is none from {low[i, c]:g} to "
                f"{high[i, c]:g}; widen the region"
            )
        return low, high

    def linear(self, n: int) -> bool:
        """Whether all objectives are linear in the frame; one that does not say so is not."""
        return all(getattr(objective, "linear", False) for objective in self.objectives(n))

    def score(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Score futures : (problem, candidate, sample, time, y, x, channel) under controls
        (problem, candidate, step, control): (problem, candidate, sample) float64, larger is better.

        What is infinite or beyond LARGEST is no score, as NaN is none: nothing could be compared with it. Raises
        SearchError if an objective returns another shape, or what are no real numbers.
        """
        each = enumerate(self.objectives(len(futures)))
        return np.stack([_scored(objective, futures[i], controls[i], f"problem {i}") for i, objective in each])

    def marked(self, futures: np.ndarray, controls: np.ndarray) -> tuple[np.ndarray, str]:
        """As `score`, but candidates that an objective fails at have NaN; and why the first has none, or "".

        An objective that fails at all of them together is asked for one after the other.
        """
        scores, why = np.full(futures.shape[:3], np.nan), ""
        for i, objective in enumerate(self.objectives(len(futures))):
            where = f"problem {i}"
            try:
                scores[i] = _scored(objective, futures[i], controls[i], where)
            except FAILURES as whole_error:
                why = why or _said(whole_error)
                for c in range(futures.shape[1]):
                    with contextlib.suppress(*FAILURES):
                        scores[i, c] = _scored(objective, futures[i, c : c + 1], controls[i, c : c + 1], where)[0]
            if not why and np.isnan(scores[i]).any():
                why = getattr(objective, "nan_means", "it returned NaN or infinity")
        return scores, why

    def amounts(self, futures: np.ndarray, controls: np.ndarray) -> tuple[np.ndarray, str]:
        """What candidates have of each constraint, in the mean over samples : (problem, candidate, constraint); and
        which constraint is the first that is NaN of one, or "".

        Raises SearchError if a constraint raises, or returns another shape.
        """
        found, why = np.empty((*futures.shape[:2], len(self.constraints))), ""
        for k, one in enumerate(self.constraints):
            where = f"constraint '{one.name}'"
            for i in range(len(futures)):
                try:
                    amount = _returned(one.amount, futures[i], controls[i], where)
                except SearchError:
                    raise
                except FAILURES as error:
                    raise SearchError(f"{where} failed: {_said(error)}") from error
                found[i, :, k] = np.clip(amount, -LARGEST, LARGEST).mean(axis=1)
            if np.isnan(found[..., k]).any():
                why = why or f"{where} returned NaN"
        return found, why

    def take(self, index: np.ndarray) -> Problem:
        """The problem of those that `index` (integers) names."""
        chosen = {
            name: limit[index]
            for name in ("low", "high", "active", "previous")
            if (limit := getattr(self, name)) is not None and (name == "active" or np.ndim(limit) == 2)
        }
        if isinstance(self.objective, Sequence):
            chosen["objective"] = [self.objective[i] for i in index]
        return dataclasses.replace(self, **chosen)


def _scored(objective: Any, futures: np.ndarray, controls: np.ndarray, where: str) -> np.ndarray:
    """What an objective makes of one problem's futures : (candidate, sample), see `Problem.score`."""
    found = _returned(objective, futures, controls, where)
    return np.where(np.abs(found) <= LARGEST, found, np.nan)


def _returned(function: Any, futures: np.ndarray, controls: np.ndarray, where: str) -> np.ndarray:
    """What a user's function makes of one problem's futures : (candidate, sample) float64; what is masked is NaN.

    It may not write into what it is given, which others are given, too.
    """
    expected = futures.shape[:2]
    found = function(shown(futures), shown(controls))
    found = found if isinstance(found, np.ma.MaskedArray) else np.asarray(found)
    what = "amount" if where.startswith("constraint") else "objective"
    if found.shape != expected:
        raise SearchError(
            f"{where}: the {what} returned {found.shape}; it must return (candidate, sample), here {expected}"
        )
    if found.dtype.kind not in "biuf":
        raise SearchError(f"{where}: the {what} returned {found.dtype}; it must return real numbers")
    return np.ma.filled(found.astype(np.float64), np.nan)


def shown(values: np.ndarray) -> np.ndarray:
    """A view of values, into which nobody can write."""
    view = values.view()
    view.flags.writeable = False
    return view


def _said(error: BaseException) -> str:
    """In one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, SearchError) else f"{type(error).__name__}: {text}"


def limited(problem: Problem, controls: np.ndarray) -> np.ndarray:
    """Controls (problem, candidate, step, control) that change no faster than the space allows, step after step."""
    table = problem.space.table
    if problem.seconds is None or all(column.rate_limit is None for column in table):
        return controls
    most = np.array([np.inf if one.rate_limit is None else one.rate_limit * problem.seconds for one in table])
    is_whole = np.array([column.is_whole for column in table])
    found = controls.copy()
    before = None if problem.previous is None else np.broadcast_to(problem.previous, controls[:, 0, 0].shape)[:, None]
    for step in range(controls.shape[2]):
        if before is not None:
            change = np.clip(found[:, :, step] - before, -most, most)
            found[:, :, step] = before + np.where(is_whole, np.trunc(change), change)
        before = found[:, :, step]
    return found


def searched(space: ControlSpace, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (..., control) for an optimizer of real numbers: whole-numbered controls get half a unit more on either
    side, so that `whole` gives every value the same room."""
    half = np.where([column.is_whole for column in space.table], 0.5, 0.0)
    return low - half, high + half


def whole(space: ControlSpace, controls: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Controls (..., control) moved between low and high, with whole numbers where a control's kind asks for them."""
    is_whole = np.array([column.is_whole for column in space.table])
    rounded = np.clip(np.rint(controls), np.ceil(low), np.floor(high))
    return np.where(is_whole, rounded, np.clip(controls, low, high))
