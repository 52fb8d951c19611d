"""A replay says what really came of the controls: counted to each episode's own end, beside what was promised."""

from __future__ import annotations

import numpy as np
import pytest
from blob import SPACE, Blob, BlobForecaster, Brightness, locate, observation, render
from numpy.testing import assert_array_equal

from sciworld.errors import SettingsError
from sciworld.evaluate.replay import replay
from sciworld.search.problem import Problem
from sciworld.search.receding import FixedPlan, RandomController, RecedingHorizon
from sciworld.search.search import SearchSettings
from sciworld.simulator import Observation

# The first is there at once, the second after one step of 2 mm, the third after three, the fourth never in time.
START = np.array([[6.0, 2.0], [4.0, 2.0], [0.0, 2.0], [0.0, 0.0]])
GOAL = np.array([6.0, 2.0])
RIGHT = np.array([2.0, 0.0, 2.0])


def goal_reached(state, seen) -> np.ndarray:
    return np.linalg.norm(state.position - GOAL, axis=1) < 0.5


def judge(controller, steps=5, trusted=Blob(), start=START, **changed):  # noqa: B008
    arguments = {
        "goal_reached": goal_reached,
        "steps": steps,
        "rng": np.random.default_rng(0),
        "judge": "blob",
        "made_training_data": False,
    }
    return replay(controller, trusted, *trusted.start(start), **(arguments | changed))


def test_episodes_are_counted_to_their_own_end():
    verdict = judge(FixedPlan(np.tile(RIGHT, (5, 1))))
    assert_array_equal(verdict.success, [True, True, True, False])
    assert_array_equal(verdict.actions, [0, 1, 3, 5])
    assert_array_equal(verdict.seconds, [0, 2, 6, 10])
    assert_array_equal(verdict.dose, [0, 2, 6, 10])
    assert verdict.controller == "FixedPlan" and verdict.promise.shape == (4, 0)


def test_what_was_spent_before_does_not_count():
    trusted = Blob()
    state, first = trusted.start(START)
    _, state = trusted.step(state, np.tile([0.0, 0, 2], (4, 1)), np.random.default_rng(0))
    plan = FixedPlan(np.tile(RIGHT, (5, 1)))
    verdict = replay(
        plan, trusted, state, first, goal_reached=goal_reached, steps=5, rng=np.random.default_rng(0), judge="blob",
        made_training_data=True, limit=6.0, name="right",
    )  # fmt: skip
    assert_array_equal(verdict.seconds, [0, 2, 6, 6])
    assert_array_equal(verdict.success, [True, True, True, False])
    assert verdict.controller == "right" and verdict.made_training_data


def test_a_goal_reached_too_late_does_not_count():
    verdict = judge(FixedPlan(np.tile(RIGHT, (5, 1))), limit=5.0, promise_units="mm")
    assert_array_equal(verdict.success, [True, True, False, False])
    assert_array_equal(verdict.seconds, [0, 2, 6, 6])
    assert verdict.promise_units == "mm"


def to_goal(seen) -> Problem:
    active = np.linalg.norm(locate(seen.frames) - GOAL, axis=1) >= 0.5
    return Problem(Brightness(6, 2), 1, SPACE, active=active)


def brightness(before, after, controls) -> np.ndarray:
    assert controls.shape == (len(after.position), 1, 3)
    return render(after.position)[:, 2, 6, 0]


def test_a_right_surrogate_promises_what_comes_true():
    verdict = judge(RecedingHorizon(BlobForecaster(), to_goal, settings=SearchSettings(budget=640)), outcome=brightness)
    assert verdict.success.all()
    known = ~np.isnan(verdict.promise)
    assert_array_equal(known, ~np.isnan(verdict.outcome))
    assert_array_equal(known.sum(axis=1), verdict.actions)
    np.testing.assert_allclose(verdict.promise[known], verdict.outcome[known], atol=0.05)  # located to 0.25 mm


def test_a_surrogate_that_overrates_its_reach_is_seen_to_be_optimistic():
    class Boaster(BlobForecaster):
        def futures(self, state, controls, samples, rng):
            return super().futures(state, controls * [3.0, 3.0, 1.0], samples, rng)

    far = np.tile(START[2:], (10, 1))
    verdict = judge(RecedingHorizon(Boaster(), to_goal), start=far, outcome=brightness)
    summary = verdict.summary()
    assert summary["optimism"].low > 0.1
    assert "promises more than comes true" in verdict.warnings()[0]


def test_a_surrogate_blind_to_controls_does_no_better_than_chance():
    class Blind(BlobForecaster):
        def futures(self, state, controls, samples, rng):
            shuffled = rng.permuted(controls, axis=1)
            return super().futures(state, shuffled, samples, rng)

    start = np.random.default_rng(1).uniform([0, 0], [3, 4], (60, 2))
    shares = [
        judge(controller, steps=4, start=start).summary()["success"]
        for controller in (
            RecedingHorizon(Blind(), to_goal),
            RandomController(SPACE),
            RecedingHorizon(BlobForecaster(), to_goal),
        )
    ]
    blind, chance, planned = shares
    assert chance.low <= blind.value <= chance.high
    assert planned.low > chance.high


def test_the_promise_of_a_plan_is_set_beside_its_end():
    """A plan of three steps promises what comes after three, or at the goal if that is earlier."""
    seen = []

    def where(before, after, controls):
        seen.append(controls.shape[1])
        assert_array_equal(before.position, START)
        return after.position[:, 0]

    plan = FixedPlan(np.tile(RIGHT, (3, 1)), promise=np.full(4, 6.0))
    verdict = judge(plan, steps=3, outcome=where)
    assert_array_equal(verdict.outcome[:, 0], [np.nan, 6, 6, 6])
    assert_array_equal(verdict.promise[:, 0], [np.nan, 6, 6, 6])
    assert seen == [1, 3]


def test_states_may_be_dicts_and_need_not_say_what_they_spent():
    class Plain:
        space = SPACE

        def step(self, state, controls, rng):
            return observation(state["position"]), state | {"seconds": state["seconds"] + 1}

        def observe(self, state, seen: Observation):
            return state

    state = {"position": START, "seconds": np.zeros(4)}
    rest = {"goal_reached": lambda now, seen: np.zeros(4, bool), "steps": 2, "rng": np.random.default_rng(0)}
    args = FixedPlan(np.tile(RIGHT, (2, 1))), Plain(), state, observation(START)
    with pytest.raises(SettingsError, match="state has no 'dose'; pass dose="):
        replay(*args, **rest, judge="plain", made_training_data=False)
    verdict = replay(*args, **rest, judge="plain", made_training_data=False, dose=lambda now: 3 * now["seconds"])
    assert_array_equal(verdict.seconds, np.full(4, 2.0))
    assert_array_equal(verdict.dose, np.full(4, 6.0))


def test_a_goal_that_is_no_mask_is_named():
    with pytest.raises(SettingsError, match=r"goal_reached returned float64 \(4,\); it must return bool \(4,\)"):
        judge(FixedPlan(np.tile(RIGHT, (5, 1))), goal_reached=lambda state, seen: np.zeros(4))


def test_regret_is_counted_from_what_direct_search_reaches_and_bounds_are_watched():
    asked = []

    def best(state, rows: np.ndarray, steps: int) -> np.ndarray:
        """The most light at the goal that one step can bring: 2 mm in either direction."""
        asked.append(len(rows))
        moved = state.position[rows] + np.clip(GOAL - state.position[rows], -2.0, 2.0)
        return render(moved)[:, 2, 6, 0]

    def far_left(before, after, controls) -> np.ndarray:
        return after.position[:, 0] < 3.0

    found = judge(
        RecedingHorizon(BlobForecaster(), to_goal, settings=SearchSettings(budget=640)),
        outcome=brightness, best=best, violations=far_left,
    )  # fmt: skip
    summary = found.summary()
    assert -1e-6 <= summary["regret"].value < 0.05
    assert asked == [3, 2, 2] and found.actions.max() == 3, "it is asked of those that go on"
    assert_array_equal(found.violations[:2], [0.0, 0.0])
    assert 0 < found.violations[2] < 1
    lazy = judge(FixedPlan(np.zeros((5, 3)), promise=np.zeros(4)), outcome=lambda *_: np.zeros(4), best=best)
    assert "regret" in lazy.summary()
