"""How a search looks at its problem: an optimizer's vectors become controls, futures, scores and merits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sciworld.errors import SearchError
from sciworld.search.optimizers import Optimizer
from sciworld.search.plan import Kept
from sciworld.search.problem import LARGEST, Forecaster, Problem, limited, searched, whole
from sciworld.simulator import Observation

AT_ONCE = 2**28  # bytes of futures at a time: a constant, as every part of them is drawn by random numbers of its own
SHARE = 0.125  # of the free memory that they may take at most
PRICE = 3  # model evaluations of a gradient: one forward, and twice as much arithmetic back
TAPED = 256  # futures of which gradients are kept at a time
FREE = 2**31  # bytes, where the system does not tell


@dataclass(eq=False)
class Look:
    """One search's view of a surrogate; low and high are (problem, control). present : what was seen last.

    failed : (problem,), candidates whose score was no number so far; why : what the first of them raised.
    used : model evaluations so far, for each problem.
    """

    surrogate: Forecaster
    state: Any
    problem: Problem
    low: np.ndarray
    high: np.ndarray
    rng: np.random.Generator
    chunk: int | None
    present: Observation
    failed: np.ndarray = field(init=False)
    why: str = ""
    used: int = 0

    def __post_init__(self) -> None:
        self.failed = np.zeros(len(self.low), dtype=np.int64)

    @property
    def constraints(self) -> tuple[Kept, ...]:
        """What plans must keep to."""
        found = [Kept(one.name, float(one.limit), one.units) for one in self.problem.constraints]
        familiar = self.problem.familiar
        return (
            (*found, Kept("distance from recorded controls", familiar.farthest, "edges")) if familiar else tuple(found)
        )

    def start(self, method: Optimizer, settings: Any, guess: np.ndarray | None) -> Any:
        """The optimizer's first state; its dimensions are all controls of the first knot, then of the second, ..."""
        mean, knots = None, self.problem.parameters.count(self.problem.horizon)
        low, high = searched(self.problem.space, self.low, self.high)
        low, high = np.tile(low, (1, knots)), np.tile(high, (1, knots))
        if guess is not None:
            shape = (len(self.low), self.problem.horizon, len(self.problem.space))
            if np.shape(guess) != shape:
                raise SearchError(
                    f"search: guess is {np.shape(guess)}; it must be (problem, step, control), here {shape}"
                )
            inside = np.clip(guess, self.low[:, None], self.high[:, None])
            mean = np.clip(self.problem.parameters.values(inside).reshape(low.shape), low, high)
        return method.start(low, high, settings, mean, knots)

    def decode(self, vectors: np.ndarray) -> np.ndarray:
        """Controls (problem, candidate, step, control) of vectors (problem, candidate, dimension)."""
        p, n, _ = vectors.shape
        values = vectors.reshape(p, n, -1, len(self.problem.space))
        controls = self.problem.parameters.plans(values, self.problem.horizon)
        controls = whole(self.problem.space, controls, self.low[:, None, None], self.high[:, None, None])
        return limited(self.problem, controls)

    def cost(self, candidates: int, samples: int) -> int:
        """Model evaluations of one problem's candidates."""
        each = self._each()
        return sum(one.evaluations(candidates, self.problem.horizon, samples) for one, _ in each)

    def scores(self, controls: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
        """Of controls (problem, candidate, step, control): scores (problem, candidate, member, sample), and amounts of
        constraints (problem, candidate, constraint). A bounded number of futures is imagined at a time."""
        bytes_each = 4 * self.present.frames[0].size * self.problem.horizon
        chunk = self.chunk or max(1, int(min(AT_ONCE, SHARE * _free_memory()) / bytes_each))
        at_once = max(1, chunk // (len(controls) * max(samples, 1)))
        found = [self._part(controls[:, k : k + at_once], samples) for k in range(0, controls.shape[1], at_once)]
        self.used += self.cost(controls.shape[1], samples)
        scores, amounts = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        self.failed += np.isnan(scores).any(axis=(2, 3)).sum(axis=1)
        return scores, amounts

    def slopes(self, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (problem, candidate) of the posterior mean, and their gradients by the optimizer's vectors (problem,
        candidate, dimension)."""
        from sciworld.search.gradient import gradients  # torch, which other searches need not load

        p, n = controls.shape[:2]
        scores, slopes = gradients(self.surrogate, self.state, self.problem, controls, self.chunk or TAPED)
        self.used += PRICE * self.cost(n, 0)
        scores = np.where(np.abs(scores) <= LARGEST, scores, np.nan)
        self.failed += np.isnan(scores).sum(axis=1)
        matrix = self.problem.parameters.matrix(self.problem.horizon)
        return scores, np.einsum("sk,pnsc->pnkc", matrix, slopes).reshape(p, n, -1)

    def _part(self, controls: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
        scores, amounts = [], []
        for member, state in self._each():
            futures = member.futures(state, controls, samples, self.rng)
            found, why = self.problem.marked(futures, controls)
            self.why = self.why or why
            amount, unsaid = self.problem.amounts(futures, controls)
            self.why = self.why or unsaid
            found[np.isnan(amount).any(axis=-1)] = np.nan  # nothing tells whether it keeps to what it must
            scores.append(found)
            amounts.append(amount)
        kept = np.mean(amounts, axis=0)
        if (familiar := self.problem.familiar) is not None:
            kept = np.concatenate([kept, familiar.plans(self.present, controls)[..., None]], axis=-1)
        return np.stack(scores, axis=2), kept

    def _each(self) -> Sequence[tuple[Any, Any]]:
        """Whoever imagines, with its own state: the members of an ensemble where they must be told apart."""
        each = getattr(self.surrogate, "each", None)
        if each is None or not self.problem.risk.by_member:
            return [(self.surrogate, self.state)]
        found: Sequence[tuple[Any, Any]] = each(self.state)
        return found


def _free_memory() -> int:
    """Bytes, as far as the system tells."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not of every system
        return FREE
