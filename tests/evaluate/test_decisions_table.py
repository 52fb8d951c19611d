"""Candidates in a surrogate and in the truth: who is right has no regret, who is wrong has all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sciworld.errors import SettingsError
from sciworld.evaluate.decisions import Limited, ranked, table_of, to_table
from sciworld.simulator import Observation

Y, X = 3, 5


class Level:
    """Frames as bright as the sum of what was done, times a sign: a surrogate that may have it upside down."""

    def __init__(self, sign: float = 1.0) -> None:
        self.sign = sign

    def start(self, observation: Observation) -> np.ndarray:
        return observation.frames[:, 0, 0, 0]

    def futures(self, state: np.ndarray, controls: np.ndarray, samples: int, rng: Any) -> np.ndarray:
        level = state[:, None, None] + self.sign * np.cumsum(controls[..., 0], axis=2)
        shape = (*level.shape[:2], max(samples, 1), level.shape[2], Y, X, 1)
        return np.broadcast_to(level[:, :, None, :, None, None, None], shape)

    def step(self, state: Any, controls: np.ndarray, rng: np.random.Generator) -> tuple[Observation, Any]:
        level = state + self.sign * controls[:, 0]
        frames = np.broadcast_to(level[:, None, None, None], (len(level), Y, X, 1))
        return Observation(frames, np.zeros(len(level)), np.zeros((len(level), 6))), level


class Bright:
    linear = True

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        return futures[:, :, -1].mean(axis=(-3, -2, -1))


def of(sign: float, **more: Any) -> Any:
    rng = np.random.default_rng(0)
    state = rng.normal(size=4)
    first = Observation(np.broadcast_to(state[:, None, None, None], (4, Y, X, 1)), np.zeros(4), np.zeros((4, 6)))
    controls = rng.normal(size=(4, 6, 2, 1))
    return ranked(Level(sign), Level(), state, first, controls, Bright(), rng, **more), controls  # type: ignore[arg-type]


def test_a_right_surrogate_orders_candidates_and_a_wrong_one_reverses_them() -> None:
    found, controls = of(1.0, samples=2, trials=3, units="counts")
    np.testing.assert_allclose(found.promised, found.true)
    np.testing.assert_allclose(found.regret, 0)
    np.testing.assert_allclose(found.optimism, 0, atol=1e-12)
    np.testing.assert_allclose(found.rank_correlation, 1)
    total = controls.sum(axis=(2, 3))
    np.testing.assert_allclose(found.regret_of_chance, total.max(axis=1) - total.mean(axis=1))
    wrong, _ = of(-1.0, samples=0)
    np.testing.assert_allclose(wrong.regret, total.max(axis=1) - total.min(axis=1))
    np.testing.assert_allclose(wrong.rank_correlation, -1)
    assert (wrong.optimism > 0).all() and wrong.regret.attrs["units"] == "1"
    table = to_table(found)
    assert table.rows[0][0] == "regret (counts)" and "6 candidates from each of 4 starts" in table.caption


def test_numbers_that_do_not_fit_are_refused() -> None:
    rng = np.random.default_rng(0)
    first = Observation(np.zeros((2, Y, X, 1)), np.zeros(2), np.zeros((2, 6)))
    with pytest.raises(SettingsError, match="3 objectives, 2 first frames, 1 trials for 2 starts"):
        ranked(Level(), Level(), np.zeros(2), first, np.zeros((2, 4, 1, 1)), [Bright()] * 3, rng)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="promises are"):
        table_of(np.zeros((2, 3)), np.zeros((2, 4)))


def test_bounds_that_the_chosen_candidate_breaks_are_told_as_promised_and_as_true() -> None:
    level = Limited(lambda futures, controls: futures[..., 0, 0, 0], high=1.0)
    found, _ = of(-1.0, samples=1, limited=level)
    start, candidate = np.arange(4), found.promised.values.argmax(axis=1)
    rng = np.random.default_rng(0)
    state, controls = rng.normal(size=4), rng.normal(size=(4, 6, 2, 1))
    path = np.cumsum(controls[start, candidate, :, 0], axis=1)
    np.testing.assert_allclose(found.violations, (state[:, None] + path > 1).mean(axis=1))
    np.testing.assert_allclose(found.promised_violations, (state[:, None] - path > 1).mean(axis=1))
    assert found.promised_violations.max() > 0 and not found.violations.equals(found.promised_violations)
    assert "violations (1)" in [row[0] for row in to_table(found).rows]
    assert "violations" not in table_of(np.zeros((2, 3)), np.zeros((2, 3)))
