"""Controllers act on what they see, remember as a value, and a search never touches the trusted simulator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from blob import SPACE, Blob, BlobForecaster, Brightness, locate, observation
from numpy.testing import assert_array_equal

from sciworld.controls import ColumnTable, ControlSpace
from sciworld.errors import ControlError, SearchError, SettingsError
from sciworld.search import receding
from sciworld.search.optimizers import cem
from sciworld.search.problem import Problem
from sciworld.search.receding import FixedPlan, RandomController, RecedingHorizon
from sciworld.search.search import SearchSettings, search
from sciworld.simulator import rollout

START = np.array([[0.0, 0.0], [5.0, 3.0], [6.0, 0.0]])
GOALS = np.array([[6, 4], [4, 3], [0, 4]])


def make_problem(seen) -> Problem:
    """As a domain does it: objectives from the goals, active where the located blob is not there yet."""
    away = np.linalg.norm(locate(seen.frames) - GOALS, axis=1)
    return Problem([Brightness(x, y) for x, y in GOALS], 1, SPACE, active=away > 0.4)


def planner(**settings) -> RecedingHorizon:
    return RecedingHorizon(BlobForecaster(), make_problem, settings=SearchSettings(budget=512, **settings))


def run(controller, steps: int, seed: int = 0, noise: float = 0.0):
    trusted = Blob(noise)
    return rollout(trusted, *trusted.start(START), controller, steps, np.random.default_rng(seed), keep_states=True)


def test_a_receding_horizon_reaches_goals_that_one_step_does_not():
    trajectory = run(planner(), 5, noise=0.05)
    assert np.linalg.norm(trajectory.states[1].position - GOALS, axis=1).max() > 2
    np.testing.assert_allclose(trajectory.states[-1].position, GOALS, atol=0.6)


def test_promises_are_remembered_and_idle_episodes_have_none():
    controller = planner()
    memory = controller.start(3, np.random.default_rng(0))
    seen = observation(np.array([[0.0, 0.0], [4.0, 3.0], [1.0, 4.0]]))
    chosen, after = controller.act(memory, seen)
    assert memory.promises == () and memory.step == 0, "the memory is a value"
    (promise,) = after.promises
    assert (promise.step, promise.steps) == (0, 1)
    assert np.isnan(promise.value[1]) and promise.value[2] == pytest.approx(1.0, abs=0.02)
    assert_array_equal(chosen[1], [0, 0, 1])
    again, _ = controller.act(memory, seen)
    assert_array_equal(chosen, again)


def test_nothing_is_searched_once_all_goals_are_seen_to_be_reached():
    controller = planner()
    chosen, memory = controller.act(controller.start(3, np.random.default_rng(0)), observation(GOALS.astype(float)))
    assert controller.surrogate.imagined == 0
    assert np.isnan(memory.promises[0].value).all()
    SPACE.check(chosen)


def test_only_the_last_observations_are_kept_and_the_latest_is_the_present():
    seen = [observation(START + np.array([0, step * 0.25]), time=step) for step in range(4)]
    histories = []

    class Remembering(BlobForecaster):
        def start(self, history):
            histories.append([float(item.time[0]) for item in history])
            return super().start(history)

    controller = RecedingHorizon(Remembering(), make_problem, context=3)
    memory = controller.start(3, np.random.default_rng(0))
    for item in seen:
        _, memory = controller.act(memory, item)
    assert histories == [[0], [0, 1], [0, 1, 2], [1, 2, 3]]
    assert len(memory.history) == 3


def test_a_search_never_touches_the_trusted_simulator(monkeypatch):
    """The trusted simulator and every part of its state raise for as long as a search runs."""
    searching = False

    class Guarded:
        def __init__(self, inside):
            self.inside = inside

        def __getattr__(self, name):
            if searching:
                raise AssertionError(f"a search looked at the trusted simulator's '{name}'")
            return getattr(self.inside, name)

    class GuardedBlob(Guarded):
        def step(self, state, controls, rng):
            assert not searching, "a search stepped the trusted simulator"
            seen, after = self.inside.step(state.inside, controls, rng)
            return seen, Guarded(after)

    searches = 0
    real = receding.search

    def watched(*args):
        nonlocal searching, searches
        searching, searches = True, searches + 1
        with pytest.raises(AssertionError, match="looked at the trusted"):
            _ = trusted.space
        with pytest.raises(AssertionError, match="stepped"):
            trusted.step(None, None, None)
        try:
            return real(*args)
        finally:
            searching = False

    monkeypatch.setattr(receding, "search", watched)
    trusted = GuardedBlob(Blob())
    state, first = Blob().start(START)
    trajectory = rollout(trusted, Guarded(state), first, planner(), 4, np.random.default_rng(0))
    assert searches == 4
    np.testing.assert_allclose(trajectory.states[-1].position, GOALS, atol=0.6)


def test_a_fixed_plan_is_played_and_has_an_end():
    plan = np.tile([[1.0, 0.5, 2.0], [-1.0, -0.5, 2.0]], (3, 1, 1))
    trajectory = run(FixedPlan(plan), 2)
    assert_array_equal(trajectory.controls, plan)
    assert_array_equal(run(FixedPlan(plan[0]), 2).controls, plan)
    with pytest.raises(SearchError, match="it has 2 steps"):
        run(FixedPlan(plan), 3)
    with pytest.raises(SearchError, match="controls for 2 episodes, but 3 run"):
        run(FixedPlan(plan[:2]), 2)
    with pytest.raises(SearchError, match="plan: controls"):
        FixedPlan(np.zeros(3))


def test_a_fixed_plan_hands_on_what_was_promised_of_all_of_it():
    memory = FixedPlan(np.zeros((2, 3)), promise=np.array([0.1, 0.2, 0.3])).start(3, np.random.default_rng(0))
    (promise,) = memory.promises
    assert (promise.step, promise.steps) == (0, 2)
    assert_array_equal(promise.value, [0.1, 0.2, 0.3])


def test_chance_stays_in_its_region_and_repeats_with_its_seed():
    def region(seen):
        middle = locate(seen.frames) / 10
        low = np.column_stack([middle - 0.1, np.ones(len(seen))])
        return low, low + np.array([0.2, 0.2, 0])

    controller = RandomController(SPACE, region)
    first, second = run(controller, 5, seed=1), run(controller, 5, seed=1)
    assert_array_equal(first.controls, second.controls)
    assert (run(controller, 5, seed=2).controls != first.controls).any()
    assert (first.controls[:, 0, :2] >= START / 10 - 0.1).all() and (first.controls[:, 0, :2] <= START / 10 + 0.1).all()
    assert (first.controls[..., 2] == 1).all()
    anywhere = run(RandomController(SPACE), 11).controls
    assert set(np.unique(anywhere[..., 2])) == {0, 1, 2} and np.ptp(anywhere[..., 0]) > 2
    assert len(np.unique(anywhere[:, :, 0])) == 33, "every step draws anew"


def test_chance_needs_bounds():
    free = ControlSpace(SPACE.table.unbounded())
    with pytest.raises(ControlError, match="control 'push_x' has no bounds"):
        run(RandomController(free), 2)
    bounded = RandomController(
        free, lambda seen: (np.tile(SPACE.low, (len(seen), 1)), np.tile(SPACE.high, (len(seen), 1)))
    )
    assert (run(bounded, 2).controls == run(RandomController(SPACE), 2).controls).all()


def test_a_context_of_nothing_is_refused():
    with pytest.raises(SettingsError, match="context is 0"):
        RecedingHorizon(BlobForecaster(), make_problem, context=0)


def test_a_warm_search_begins_with_the_rest_of_the_last_plan():
    """Where a search can afford one generation alone, it is as good as what it begins with."""
    guesses = []

    class Spying(BlobForecaster):
        def futures(self, state, controls, samples, rng):
            guesses.append(controls.mean(axis=1))
            return super().futures(state, controls, samples, rng)

    def far(seen) -> Problem:
        return Problem([Brightness(6, 4)] * len(seen), 2, SPACE)

    cold, warm = (
        RecedingHorizon(
            Spying(), far, settings=SearchSettings(budget=96, samples=0),
            optimizer_settings=cem.Settings(guess_spread=0.01), warm=one,
        )
        for one in (False, True)
    )  # fmt: skip
    seen = observation(np.array([[0.0, 0.0]]))
    memory = warm.start(1, np.random.default_rng(0))
    _, memory = warm.act(memory, seen)
    before = memory.plan
    assert before is not None and before.shape == (1, 2, 3)
    guesses.clear()
    warm.act(memory, seen)
    np.testing.assert_allclose(guesses[0][0, 0, :2], before[0, 1, :2], atol=0.05)
    guesses.clear()
    cold.act(memory, seen)
    assert np.abs(guesses[0][0, 0, :2] - before[0, 1, :2]).max() > 0.2


def test_nothing_is_searched_before_enough_was_seen():
    surrogate = BlobForecaster()
    waits = np.array([0.0, -0.5, 1.0])
    planner = RecedingHorizon(surrogate, lambda seen: Problem(Brightness(6, 2), 1, SPACE), context=3, wait=waits)
    seen, memory, played = observation(np.array([[3.0, 2.0]])), planner.start(1, np.random.default_rng(0)), []
    for _ in range(4):
        controls, memory = planner.act(memory, seen)
        played.append(controls[0])
    assert_array_equal(played[:2], [waits] * 2)
    assert np.isnan([promise.value[0] for promise in memory.promises]).tolist() == [True, True, False, False]
    assert played[2][0] > 1 and not np.any(memory.safe)


def test_what_is_safe_is_played_where_a_search_finds_nothing():
    blind = lambda seen: Problem([lambda futures, controls: np.full(futures.shape[:2], np.nan)], 1, SPACE)  # noqa: E731
    seen, rng = observation(np.array([[1.0, 1.0]])), np.random.default_rng(0)
    safe = RecedingHorizon(BlobForecaster(), blind, fallback=np.array([0.0, 0.0, 0.0]))
    chosen, memory = safe.act(safe.start(1, rng), seen)
    assert_array_equal(chosen, [[0, 0, 0]])
    assert memory.safe[0].tolist() == [True] and np.isnan(memory.promises[0].value).all()
    with pytest.raises(SearchError, match="no candidate of problem 0"):
        careless = RecedingHorizon(BlobForecaster(), blind)
        careless.act(careless.start(1, rng), seen)
    with pytest.raises(ControlError):
        RecedingHorizon(BlobForecaster(), blind, fallback=np.array([9.0, 0.0, 0.0]))


def test_what_is_safe_does_not_hide_a_mistake():
    seen, rng = observation(np.array([[1.0, 1.0]])), np.random.default_rng(0)
    problem = Problem([Brightness(6, 4)], 1, SPACE)
    for mistake in ({"optimizer": "cemm"}, {"settings": SearchSettings(budget=3)}):
        wrong = RecedingHorizon(BlobForecaster(), lambda seen: problem, fallback=np.zeros(3), **mistake)
        with pytest.raises(SearchError, match=r"cemm|budget is 3"):
            wrong.act(wrong.start(1, rng), seen)


def test_rate_limits_are_kept_from_step_to_step():
    table = ColumnTable((dataclasses.replace(SPACE.table.columns[0], rate_limit=1.0), *SPACE.table.columns[1:]))
    space = ControlSpace(table)
    surrogate = BlobForecaster()
    surrogate.space = space
    goals = iter((Brightness(6, 2), Brightness(0, 2), Brightness(6, 2)))
    planner = RecedingHorizon(surrogate, lambda seen: Problem([next(goals)], 1, space, seconds=0.5))
    seen, memory, played = observation(np.array([[3.0, 2.0]])), planner.start(1, np.random.default_rng(0)), []
    for _ in range(3):
        controls, memory = planner.act(memory, seen)
        played.append(controls[0, 0])
    assert np.abs(np.diff(played)).max() <= 0.5 + 1e-12 and np.abs(np.diff(played)).min() > 0.4


def test_rate_limits_bind_what_is_safe_and_who_waits_too():
    table = ColumnTable((dataclasses.replace(SPACE.table.columns[0], rate_limit=1.0), *SPACE.table.columns[1:]))
    surrogate = BlobForecaster()
    surrogate.space = space = ControlSpace(table)
    lost = lambda futures, controls: np.full(futures.shape[:2], np.nan)  # noqa: E731
    turns = iter(([Brightness(6, 2), lost], [lost, lost], [lost, lost]))

    def problem(seen):
        wished = next(turns)
        return Problem(wished, 1, space, active=np.array([one is not lost for one in wished]), seconds=0.5)

    planner = RecedingHorizon(surrogate, problem, fallback=np.array([-2.0, 0, 0]))
    seen, memory, played = observation(np.array([[3.0, 2.0]] * 2)), planner.start(2, np.random.default_rng(0)), []
    for _ in range(3):
        controls, memory = planner.act(memory, seen)
        played.append(controls[:, 0])
    assert played[0][0] > 1 and np.abs(np.diff(played, axis=0)).max() <= 0.5 + 1e-12
    assert played[2][0] < played[1][0] < played[0][0], "it goes on toward the middle, which those who wait play"


def test_a_search_that_must_answer_in_time_stops():
    problem = Problem([Brightness(6, 4)], 1, SPACE)
    plan = search(
        BlobForecaster(), observation(np.array([[0.0, 0.0]])), problem, np.random.default_rng(0),
        settings=SearchSettings(budget=10**9, tolerance=0.0, seconds=0.05),
    )  # fmt: skip
    assert plan.stopped == "time" and len(plan.trace) >= 1
