"""Search controls against a surrogate: never against anything that knows the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sciworld.config import flag, real, require_positive, whole
from sciworld.errors import NothingFoundError, SearchError
from sciworld.search import optimizers
from sciworld.search.constraints import Multipliers
from sciworld.search.finalists import Finalists
from sciworld.search.look import PRICE, Look
from sciworld.search.optimizers import Optimizer
from sciworld.search.plan import Plan
from sciworld.search.problem import Forecaster, Problem
from sciworld.search.risk import Risk
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
    halving : the better half of each generation gets as many samples again, so that chance decides less who is best.
    evaluations : model evaluations for a sampled frame while searching; None for the surrogate's own. Few find what
        many verify.
    verify : how many of the best candidates, over all generations, are looked at again with the surrogate's own
        evaluations and `final_samples`; the best of these is chosen.
    final_samples : fresh futures of each of them, and of the chosen one, from which the promise is read where samples
        are used: the score that won is biased upward by winning.
    tolerance : a search has converged once its spread is below this share of the bounds, for every problem.
    patience : generations after which a search stops if no problem got better; None for no such end.
    seconds : on the clock, after which no further generation is begun: for controllers that must answer in time. What
        is found then depends on how fast the machine is; None for no such end.
    chunk : futures imagined at a time, over all problems, which decides what their chance is drawn from; None for
        256 MiB of them, and fewer where an eighth of the free memory holds fewer.
    """

    budget: int | None = None
    samples: int = 4
    halving: bool = False
    evaluations: int | None = None
    verify: int = 1
    final_samples: int = 16
    tolerance: float = 0.01
    patience: int | None = None
    seconds: float | None = None
    chunk: int | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("budget", 1), ("evaluations", 1), ("verify", 1), ("patience", 1), ("chunk", 1), ("final_samples", 1),
            ("samples", 0),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None or name in ("samples", "verify", "final_samples"):
                whole(value, name, least)
        flag(self.halving, "halving")
        require_positive(self, "seconds")
        real(self.tolerance, "tolerance", 0, np.inf, ", a share of the bounds")


BUDGET, GENERATIONS = 256, 3  # where the settings leave the budget open: so many evaluations, or generations if more


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
    problem : objective, horizon, space, region, constraints and risk.
    optimizer, optimizer_settings : a name in `sciworld.search.optimizers`, and its Settings.
    guess : (problem, step, control), controls to start from; without one the whole region is looked at first.
    progress : called as progress(evaluations used, budget) after each generation.

    Raises SearchError where the budget does not pay for a generation, a present is not familiar, no plan can keep to a
    constraint, or the risk asks for members or samples that there are none of; NothingFoundError where nothing scored.
    What an objective fails at is counted in the plan, whose promise is the mean of what scored.
    """
    history = [history] if isinstance(history, Observation) else list(history)
    settings = settings or SearchSettings()
    problem.space.require_same(surrogate.space, "search")
    n, method = len(history[-1]), optimizers.named(optimizer)
    low, high = problem.bounds(n)
    for constraint in problem.constraints:
        for i in range(n):
            constraint.require_possible(low[i], high[i], problem.horizon)
    few = surrogate if settings.evaluations is None else surrogate.asking(settings.evaluations)
    if getattr(method, "GRADIENTS", False) and (problem.constraints or problem.familiar or problem.risk != Risk()):
        raise SearchError(
            f"search: '{optimizer}' climbs the mean score alone, without constraints, risk and what is familiar; leave "
            "these out (--anywhere leaves out the last), or use another optimizer"
        )
    if problem.familiar is not None:
        problem.familiar.require(history[-1])
    samples = 0 if problem.linear(n) and problem.horizon == 1 and not problem.risk.of_samples else settings.samples
    _require_told(problem.risk, surrogate, samples)
    began, given = surrogate.start(history), (settings.chunk, history[-1])
    look, careful = (Look(one, began, problem, low, high, rng, *given) for one in (few, surrogate))
    hunt = _Hunt(look, method, settings, samples, _final_cost(careful, settings, samples))
    finalists = hunt.run(look.start(method, optimizers.settings_of(optimizer, optimizer_settings), guess), progress)
    _require_some(~np.isneginf(finalists.merit[:, 0]), look)
    controls, mean, amounts, scores = _verified(careful, finalists, settings, samples)
    told = np.isfinite(scores)
    _require_some(told.any(axis=1), careful)
    enough = told.sum(axis=1) > 1
    deviation = np.full(n, np.nan)
    deviation[enough] = np.nanstd(np.where(told, scores, np.nan)[enough], axis=1, ddof=1)
    return Plan(
        problem.space, controls, mean, deviation, look.used + careful.used, hunt.stopped, np.array(hunt.trace),
        look.failed + careful.failed, look.why or careful.why,
        look.constraints, amounts,
    )  # fmt: skip


def _require_told(risk: Risk, surrogate: Forecaster, samples: int) -> None:
    """Raise SearchError where the risk is of what nobody tells."""
    if risk.between and not hasattr(surrogate, "each"):
        raise SearchError(
            "search: risk is between the members of an ensemble, but the surrogate is one model; train several, or "
            "shy away from `within`, the spread of its samples"
        )
    if risk.of_samples and samples < 2:
        raise SearchError(f"search: the risk is of samples, but there are {samples}; use 2 or more")


def _require_some(scored: np.ndarray, look: Look) -> None:
    """Raise NothingFoundError unless all problems (problem,) have something that scored."""
    lost = np.flatnonzero(~scored)
    if len(lost):
        raise NothingFoundError(
            f"search: no candidate of problem {lost[0]} got a score ({len(lost)} such of {len(scored)}); of its "
            f"objective: {look.why or 'it has none'}"
        )


def _final_cost(careful: Look, settings: SearchSettings, samples: int) -> int:
    """Evaluations that verification and the promise take."""
    if not samples:
        return 0
    compared = careful.cost(settings.verify, settings.final_samples) if settings.verify > 1 else 0
    return compared + careful.cost(1, settings.final_samples)


@dataclass
class _Hunt:
    """The generations of a search. trace : (problem,) each, the best merit so far; stopped : why it ended."""

    look: Look
    method: Optimizer
    settings: SearchSettings
    samples: int
    reserved: int  # model evaluations that are kept for the end
    trace: list[np.ndarray] = field(default_factory=list)
    stopped: str = "budget"

    def run(self, state: Any, progress: Callable[[int, int], None] | None) -> Finalists:
        """The best candidates. Raises SearchError where the budget does not pay for a generation."""
        look, settings, problem = self.look, self.settings, self.look.problem
        limits = np.array([one.limit for one in look.constraints])
        n, budget, began = len(look.low), settings.budget, time.perf_counter()
        finalists = Finalists.none(n, settings.verify, problem.horizon, len(problem.space), limits)
        multipliers = Multipliers.start(n, len(limits))
        while not self.trace or self._goes_on(state):
            candidates = self.method.ask(state, look.rng)
            cost = self._cost(candidates.shape[1])
            if budget is None:
                budget = max(BUDGET, self.reserved + GENERATIONS * cost)
            if look.used + self.reserved + cost > budget:
                break
            controls = look.decode(candidates)
            merit, mean, amounts, slopes = self._looked(controls)
            multipliers = multipliers.scaled(merit, amounts - limits)
            compared = merit - multipliers.penalty(amounts - limits)
            tell: Any = self.method.tell  # those that climb take gradients, too
            state = tell(state, candidates, compared, *slopes)
            multipliers = multipliers.updated(_of_best(compared, amounts - limits))
            finalists = finalists.joined(controls, merit, mean, amounts)
            best = finalists.merit[:, 0]
            self.trace.append(np.where(np.isneginf(best), np.nan, best))
            if progress is not None:
                progress(look.used + self.reserved, budget)
            if settings.seconds is not None and time.perf_counter() - began > settings.seconds:
                self.stopped = "time"
                break
        if not self.trace:
            raise SearchError(
                f"search: one generation needs {cost + self.reserved} model evaluations, the budget is {budget}; raise "
                "the budget, or lower the optimizer's population or samples"
            )
        return finalists

    def _goes_on(self, state: Any) -> bool:
        """Whether another generation may find more; else `stopped` says why not."""
        if (self.method.spread(state) < self.settings.tolerance).all():
            self.stopped = "converged"
        patience = self.settings.patience
        if patience is not None and len(self.trace) > patience:
            now, before = self.trace[-1], self.trace[-1 - patience]
            if not (now > np.where(np.isnan(before), -np.inf, before)).any():
                self.stopped = "no better"
        return self.stopped == "budget"

    def _cost(self, candidates: int) -> int:
        if self._climbs:
            return PRICE * self.look.cost(candidates, 0)
        again = -(-candidates // 2) if self.settings.halving and self.samples else 0
        return self.look.cost(candidates, self.samples) + self.look.cost(again, self.samples)

    @property
    def _climbs(self) -> bool:
        """Whether the optimizer is told gradients."""
        return getattr(self.method, "GRADIENTS", False)

    def _looked(self, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        """Merit and mean score (problem, candidate), and amounts (problem, candidate, constraint), of controls; and
        the gradients that the optimizer is told, if it is."""
        if self._climbs:
            mean, slopes = self.look.slopes(controls)
            return mean, mean, np.zeros((*mean.shape, 0)), (slopes,)
        scores, amounts = self.look.scores(controls, self.samples)
        merit, mean = self.look.problem.risk.merit(scores), scores.mean(axis=(2, 3))
        if not (self.settings.halving and self.samples):
            return merit, mean, amounts, ()
        rows = np.arange(len(merit))[:, None]
        better = np.argsort(-merit, axis=1, kind="stable")[:, : -(-merit.shape[1] // 2)]
        more, others = self.look.scores(controls[rows, better], self.samples)
        both = np.concatenate([scores[rows, better], more], axis=3)
        merit[rows, better], mean[rows, better] = self.look.problem.risk.merit(both), both.mean(axis=(2, 3))
        amounts[rows, better] = (amounts[rows, better] + others) / 2
        return merit, mean, amounts, ()


def _of_best(compared: np.ndarray, above: np.ndarray) -> np.ndarray:
    """What the best by (problem, candidate) has : (problem, constraint), NaN where nothing scored."""
    best = np.where(np.isnan(compared), -np.inf, compared).argmax(axis=1)
    chosen = above[np.arange(len(above)), best]
    return np.where(np.isnan(compared).all(axis=1)[:, None], np.nan, chosen)


def _verified(
    careful: Look, finalists: Finalists, settings: SearchSettings, samples: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The chosen one of each problem: controls (problem, step, control), mean score (problem,), amounts (problem,
    constraint), and the scores (problem, sample) that the mean is of."""
    controls, mean, amounts = finalists.controls[:, 0], finalists.mean[:, 0], finalists.amounts[:, 0]
    if not samples:
        return controls, mean, amounts, mean[:, None]
    rows = np.arange(len(controls))
    if settings.verify > 1:
        # A place that nobody has taken is the best one's, a second time.
        taken = np.where(np.isneginf(finalists.merit)[..., None, None], finalists.controls[:, :1], finalists.controls)
        scores, each = careful.scores(taken, settings.final_samples)
        merit = careful.problem.risk.merit(scores)
        merit = np.where(np.isnan(merit), -np.inf, merit)
        best = np.lexsort((-merit, finalists.excess(each)), axis=-1)[:, 0]
        controls = taken[rows, best]
    scores, amounts = careful.scores(controls[:, None], settings.final_samples)
    flat = scores[:, 0].reshape(len(controls), -1)
    told = np.isfinite(flat)
    # A future that got no score is counted as failed; it must not hide what is promised of the others.
    mean = np.where(told, flat, 0.0).sum(axis=1) / np.maximum(told.sum(axis=1), 1)
    return controls, mean, amounts[:, 0], flat
