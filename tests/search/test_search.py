"""A search finds the known best control, counts what it used, and says why it stopped."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from blob import SPACE, BlobForecaster, Brightness, Nearness, move, observation
from numpy.testing import assert_array_equal

from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.errors import ControlError, FormatError, SearchError, SettingsError
from sciworld.search.optimizers import cem
from sciworld.search.parameters import Parameters
from sciworld.search.plan import Plan
from sciworld.search.problem import Problem
from sciworld.search.risk import Risk
from sciworld.search.search import SearchSettings, search

START = np.array([[1.0, 1.0], [5.0, 3.0], [3.0, 2.0]])
GOALS = [Brightness(2, 2), Brightness(4, 3), Brightness(3, 2)]


def found(plan, start=START) -> np.ndarray:
    """Where the plan really leads : (problem, 2)."""
    position = start
    for step in range(plan.controls.shape[1]):
        position = move(position, plan.controls[:, step])
    return position


def test_every_problem_gets_its_own_best_control():
    plan = search(
        BlobForecaster(), observation(START), Problem(GOALS, 1, SPACE), np.random.default_rng(0),
        settings=SearchSettings(budget=1280),
    )  # fmt: skip
    SPACE.check(plan.controls)
    np.testing.assert_allclose(found(plan), [[goal.x, goal.y] for goal in GOALS], atol=0.15)
    np.testing.assert_allclose(plan.promise, 1.0, atol=0.01)
    assert np.isnan(plan.uncertainty).all()
    assert (np.diff(plan.trace, axis=0) >= 0).all() and plan.trace.shape[1] == 3


def test_several_steps_reach_what_one_cannot():
    start, goal = np.array([[0.0, 0.0]]), Nearness(6.0, 3.0)
    problem = Problem(goal, 3, SPACE)
    plan = search(
        BlobForecaster(), observation(start), problem, np.random.default_rng(0),
        settings=SearchSettings(budget=40_000, samples=0), optimizer_settings=cem.Settings(population=256),
    )  # fmt: skip
    assert plan.controls.shape == (1, 3, 3)
    np.testing.assert_allclose(found(plan, start), [[6.0, 3.0]], atol=0.3)


@pytest.mark.parametrize(
    ("objective", "horizon", "samples", "each"),
    [(Brightness(2, 2), 1, 4, 1), (Brightness(2, 2), 2, 4, 8), (Nearness(2, 2), 1, 3, 3), (Nearness(2, 2), 1, 0, 1)],
)
def test_the_budget_counts_every_model_evaluation(objective, horizon, samples, each):
    surrogate = BlobForecaster(noise=0.1)
    steps = []
    plan = search(
        surrogate, observation(START), Problem(objective, horizon, SPACE), np.random.default_rng(0),
        settings=SearchSettings(budget=1000, samples=samples, tolerance=0.0),
        optimizer_settings=cem.Settings(population=20), progress=lambda used, budget: steps.append((used, budget)),
    )  # fmt: skip
    assert plan.stopped == "budget"
    assert np.isnan(plan.uncertainty).all() == (each == horizon), "the mean is asked for where it answers, no more"
    assert plan.evaluations == surrogate.imagined <= 1000 < plan.evaluations + 20 * each
    assert len(plan.trace) == len(steps) and steps[-1] == (plan.evaluations, 1000)


@pytest.mark.parametrize(("horizon", "total"), [(1, 256), (2, 2 * (16 + 3 * 48 * 4))])
def test_the_budget_left_open_pays_for_three_generations(horizon, total):
    """At least; for what one posterior mean answers it is 256."""
    goal = Brightness(2, 2) if horizon == 1 else Nearness(2, 2)
    surrogate = BlobForecaster(noise=0.1)
    steps = []
    plan = search(
        surrogate, observation(START), Problem(goal, horizon, SPACE), np.random.default_rng(0),
        settings=SearchSettings(tolerance=0), progress=lambda used, budget: steps.append(budget),
    )  # fmt: skip
    assert set(steps) == {total} and len(steps) >= 3 and plan.evaluations <= total


def test_it_stops_early_when_every_problem_has_converged():
    plan = search(
        BlobForecaster(), observation(START), Problem(GOALS, 1, SPACE), np.random.default_rng(0),
        settings=SearchSettings(budget=100_000, tolerance=0.05),
    )  # fmt: skip
    assert plan.stopped == "converged" and plan.evaluations < 10_000


def test_the_promise_of_sampled_futures_is_not_the_score_that_won():
    """The best of many noisy scores is too good; a fresh look is unbiased."""
    start = np.tile([[3.0, 2.0]], (40, 1))
    plan = search(
        BlobForecaster(noise=0.5), observation(start), Problem(Nearness(3.0, 2.0), 1, SPACE), np.random.default_rng(0),
        settings=SearchSettings(budget=900, samples=2, final_samples=20),
    )  # fmt: skip
    honest = -0.5 * np.sqrt(np.pi / 2)  # mean distance of two normals of 0.5 mm, at best
    assert plan.trace[-1].mean() > honest + 0.3
    assert plan.promise.mean() == pytest.approx(honest, abs=0.1)
    assert plan.uncertainty.mean() == pytest.approx(0.5 * np.sqrt(2 - np.pi / 2), rel=0.2)


def test_the_region_of_each_problem_is_kept():
    low = np.array([[-2.0, -1, 2], [0.5, 0.0, 1], [0, 0, 2]])
    high = np.array([[-0.5, 1, 2], [1.0, 0.5, 1], [0, 0, 2]])
    plan = search(
        BlobForecaster(), observation(START), Problem(GOALS, 1, SPACE, low, high), np.random.default_rng(0)
    )  # fmt: skip
    assert ((plan.controls[:, 0] >= low) & (plan.controls[:, 0] <= high)).all()
    assert plan.controls[0, 0, 0] == -0.5  # the bound nearest to its goal
    assert_array_equal(plan.controls[:, 0, 2], [2, 1, 2])


def test_a_guess_is_where_the_search_begins():
    best = np.array([[[1.0, 1.0, 2.0]], [[-1.0, 0.0, 2.0]], [[0.0, 0.0, 2.0]]])
    settings = {"settings": SearchSettings(budget=64), "optimizer_settings": cem.Settings(guess_spread=0.01)}
    args = BlobForecaster(), observation(START), Problem(GOALS, 1, SPACE)
    guessed = search(*args, np.random.default_rng(0), **settings, guess=best)
    np.testing.assert_allclose(guessed.controls, best, atol=0.2)
    with pytest.raises(
        SearchError, match=r"guess is \(3, 3\); it must be \(problem, step, control\), here \(3, 1, 3\)"
    ):
        search(*args, np.random.default_rng(0), **settings, guess=best[:, 0])


def test_memory_is_bounded_and_does_not_change_the_answer():
    plans = []
    for chunk in (8192, 7):
        surrogate = BlobForecaster()
        problem = Problem(GOALS, 1, SPACE)
        settings = SearchSettings(chunk=chunk)
        plans.append(search(surrogate, observation(START), problem, np.random.default_rng(0), settings=settings))
        assert surrogate.largest <= chunk
    assert_array_equal(plans[0].controls, plans[1].controls)


@pytest.mark.parametrize("free", [2**33, 2**40])
def test_free_memory_does_not_decide_what_is_found(free, monkeypatch):
    """Every part of the futures has a chance of its own, so that parts must be the same on all machines."""

    def plan():
        problem, settings = Problem(Nearness(2.0, 1.0), 1, SPACE), SearchSettings(budget=2000)
        return search(BlobForecaster(0.3), observation(START), problem, np.random.default_rng(0), settings=settings)

    monkeypatch.setattr("sciworld.search.look.AT_ONCE", 7 * 4 * 35)  # bytes of seven futures
    monkeypatch.setattr("sciworld.search.look._free_memory", lambda: 2**34)
    known = plan()
    monkeypatch.setattr("sciworld.search.look._free_memory", lambda: free)
    assert_array_equal(plan().controls, known.controls)


@pytest.mark.parametrize("risk", [Risk(within=5.0), Risk(worst=0.1)])
def test_risk_of_samples_asks_for_them_even_where_the_mean_is_linear(risk):
    """Far pushes are the best on average, and the least certain."""

    class Shaky(BlobForecaster):
        def futures(self, state, controls, samples, rng):
            seen = super().futures(state, controls, samples, rng)
            if not samples:
                return seen
            far = np.abs(controls[:, :, 0, 0] * controls[:, :, 0, 2])[:, :, None]
            luck = far * rng.choice([-0.5, 0.5], seen.shape[:3])
            return seen + luck[..., None, None, None, None]

    start, pushes = observation(np.array([[1.0, 2.0]])), []
    for one in (Risk(), risk):
        problem = Problem([Brightness(3, 2)], 1, SPACE, risk=one)
        plan = search(Shaky(), start, problem, np.random.default_rng(0), settings=SearchSettings(budget=20_000))
        pushes.append(abs(plan.controls[0, 0, 0] * plan.controls[0, 0, 2] / 2))
    assert pushes[0] > 1.8 and pushes[1] < 1.5


def test_risk_of_what_nobody_tells_is_refused():
    start, rng = observation(START), np.random.default_rng(0)
    with pytest.raises(SearchError, match="between the members of an ensemble, but the surrogate is one model"):
        search(BlobForecaster(), start, Problem(GOALS, 1, SPACE, risk=Risk(between=1.0)), rng)
    with pytest.raises(SearchError, match="of samples, but there are 0"):
        problem = Problem(GOALS, 1, SPACE, risk=Risk(within=1.0))
        search(BlobForecaster(), start, problem, rng, settings=SearchSettings(samples=0))


def test_futures_that_score_nothing_do_not_hide_the_promise_of_the_others():
    def seldom(futures, controls):
        found = Nearness(2.0, 1.0)(futures, controls)
        found[np.random.default_rng(len(found)).random(found.shape) < 0.2] = np.nan
        return found

    settings = SearchSettings(budget=4000)
    for seed in range(5):
        plan = search(
            BlobForecaster(0.1), observation(START), Problem(seldom, 1, SPACE), np.random.default_rng(seed),
            settings=settings,
        )  # fmt: skip
        assert np.isfinite(plan.promise).all() and np.isfinite(plan.uncertainty).all() and plan.failed.all()


def test_what_an_objective_fails_at_is_counted_and_the_search_goes_on():
    """Candidates to the left get nothing, one way or another; the best is to the right of them."""

    def fails(futures, controls):
        if (controls[:, 0, 0] < 0).any():
            raise ValueError("no wind\nfrom there")
        return Nearness(2.0, 1.0)(futures, controls)

    def missing(futures, controls):
        found = Nearness(2.0, 1.0)(futures, controls)
        found[controls[:, 0, 0] < 0] = np.nan
        return found

    start = observation(np.array([[1.0, 1.0]]))
    plans = [
        search(
            BlobForecaster(), start, Problem(objective, 1, SPACE), np.random.default_rng(0),
            settings=SearchSettings(budget=900, samples=2),
        )
        for objective in (fails, missing)
    ]  # fmt: skip
    assert_array_equal(plans[0].controls, plans[1].controls)
    assert plans[0].failed == plans[1].failed > 10
    assert plans[0].why == "ValueError: no wind from there" and plans[1].why == "it returned NaN or infinity"
    assert plans[0].warnings() == [f"{plans[0].failed[0]} candidates got no score (ValueError: no wind from there)"]
    with pytest.raises(SearchError, match=r"objective: problem 0: the objective returned \(2,\); it must return"):
        search(
            BlobForecaster(), start, Problem(lambda futures, controls: np.zeros(2), 1, SPACE), np.random.default_rng(0)
        )


def test_verification_sees_through_luck():
    """Of several that won by luck a careful look finds the one that is good."""
    start = np.tile([[3.0, 2.0]], (30, 1))
    gone = []
    for verify in (1, 8):
        plan = search(
            BlobForecaster(noise=0.5), observation(start), Problem(Nearness(3.0, 2.0), 1, SPACE),
            np.random.default_rng(0), "shooting",
            SearchSettings(budget=1000, samples=1, final_samples=50, verify=verify),
        )  # fmt: skip
        gone.append(np.linalg.norm(found(plan, start) - start, axis=1).mean())
    assert gone[1] < 0.7 * gone[0]


def test_the_better_half_is_looked_at_twice():
    surrogate = BlobForecaster(noise=0.1)
    plan = search(
        surrogate, observation(START), Problem(Nearness(2, 2), 1, SPACE), np.random.default_rng(0),
        settings=SearchSettings(budget=1000, samples=3, halving=True, tolerance=0.0),
        optimizer_settings=cem.Settings(population=20),
    )  # fmt: skip
    assert plan.evaluations == surrogate.imagined == 16 + 10 * (60 + 30)


def test_it_stops_when_nothing_gets_better():
    plan = search(
        BlobForecaster(), observation(START), Problem(GOALS, 1, SPACE), np.random.default_rng(0),
        settings=SearchSettings(budget=100_000, tolerance=0.0, patience=3),
    )  # fmt: skip
    assert plan.stopped == "no better"
    assert_array_equal(plan.trace[-1], plan.trace[-4])


def test_few_numbers_make_a_long_plan():
    start = np.array([[0.0, 0.0]])
    problem = Problem(Nearness(6.0, 3.0), 6, SPACE, parameters=Parameters("linear", 2))
    plan = search(
        BlobForecaster(), observation(start), problem, np.random.default_rng(0),
        settings=SearchSettings(budget=6000, samples=0),
    )  # fmt: skip
    np.testing.assert_allclose(found(plan, start), [[6.0, 3.0]], atol=0.3)
    pushes = plan.controls[0, :, 0]
    np.testing.assert_allclose(np.diff(pushes, 2), 0, atol=1e-9)


def test_rate_limits_are_kept_from_what_was_played_before():
    slow = ControlSpace(ColumnTable(tuple(dataclasses.replace(one, rate_limit=0.5) for one in SPACE.table)))
    surrogate = BlobForecaster()
    surrogate.space = slow
    problem = Problem(Nearness(6.0, 2.0), 4, slow, seconds=2.0, previous=np.array([-1.0, 0.0, 1.0]))
    plan = search(
        surrogate, observation(np.array([[3.0, 2.0]])), problem, np.random.default_rng(0),
        settings=SearchSettings(budget=4000, samples=0),
    )  # fmt: skip
    path = np.concatenate([[[-1.0, 0.0, 1.0]], plan.controls[0]])
    assert np.abs(np.diff(path, axis=0)).max() <= 1.0 + 1e-12
    assert_array_equal(path[:, 2], np.rint(path[:, 2]))
    with pytest.raises(SearchError, match="a step lasts 0 s"):
        Problem(Brightness(2, 2), 1, SPACE, seconds=0)


@dataclasses.dataclass
class Divided(BlobForecaster):
    """Two members that agree on short pushes, and not on long ones, of which one expects too much."""

    def each(self, state):
        return [(Member(push=1.0), state), (Member(push=1.8), state)]


@dataclasses.dataclass
class Member(BlobForecaster):
    push: float = 1.0

    def futures(self, state, controls, samples, rng):
        controls = controls.copy()
        far = np.maximum(np.abs(controls[..., 0]) - 1.0, 0.0)
        controls[..., 0] += np.sign(controls[..., 0]) * (self.push - 1.0) * far
        return super().futures(state, controls, samples, rng)


def test_pessimism_keeps_to_what_the_members_agree_on():
    start, settings = observation(np.array([[0.0, 2.0]])), SearchSettings(budget=20_000, samples=0)
    pushes = []
    for between in (1e-6, 5.0):
        problem = Problem(Nearness(3.0, 2.0), 1, SPACE, risk=Risk(between=between))
        plan = search(Divided(), start, problem, np.random.default_rng(0), settings=settings)
        pushes.append(abs(plan.controls[0, 0, 0] * plan.controls[0, 0, 2] / 2))
    assert pushes[0] > 1.5 and pushes[1] < 1.3


def test_the_same_seed_gives_the_same_plan():
    args = observation(START), Problem(Nearness(2.0, 2.0), 1, SPACE)
    one, two = (search(BlobForecaster(noise=0.2), *args, np.random.default_rng(5)) for _ in range(2))
    assert_array_equal(one.controls, two.controls)
    assert_array_equal(one.promise, two.promise)


def test_searches_that_cannot_be_done_say_why():
    def run(objective=Brightness(2, 2), space=SPACE, optimizer="cem", budget=512):  # noqa: B008
        problem = Problem(objective, 1, space)
        settings = SearchSettings(budget=budget)
        return search(BlobForecaster(), observation(START), problem, np.random.default_rng(0), optimizer, settings)

    with pytest.raises(SearchError, match="one generation needs 48 model evaluations, the budget is 47"):
        run(budget=47)
    with pytest.raises(SearchError, match="no candidate of problem 0 got a score"):
        run(lambda futures, controls: np.full(futures.shape[:2], np.nan))
    with pytest.raises(SearchError, match="no optimizer 'magic'"):
        run(optimizer="magic")
    with pytest.raises(ControlError, match="expected"):
        run(space=ControlSpace(ColumnTable((Column("other", "mm", 0, 1),))))
    for name, value in {"budget": 0, "samples": -1, "final_samples": 0, "tolerance": -1.0, "chunk": 0}.items():
        with pytest.raises(SettingsError, match=name):
            SearchSettings(**{name: value})


def test_a_plan_goes_to_json_and_back_with_its_columns():
    plan = search(BlobForecaster(), observation(START), Problem(GOALS, 1, SPACE), np.random.default_rng(0))
    back = Plan.from_json(plan.to_json())
    assert back.space == SPACE
    for name in ("controls", "promise", "uncertainty", "trace"):
        assert_array_equal(getattr(back, name), getattr(plan, name))
    assert (back.evaluations, back.stopped) == (plan.evaluations, plan.stopped)
    assert np.isnan(back.uncertainty).all() and "NaN" not in plan.to_json()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"space": []}', '{"space": [{"name": "x"}], "promise": [1]}'])
def test_a_file_that_is_no_plan_is_named(text):
    with pytest.raises(FormatError, match=r"plan\.json: not a plan"):
        Plan.from_json(text, "plan.json")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("controls", [[[9.0, 0, 0]]]),
        ("controls", [[["0", 0, 0]]]),
        ("controls", [[[None, 0, 0]]]),
        ("controls", [[10**400, 0, 0]]),
        ("promise", [True]),
        ("promise", [math.inf]),
        ("uncertainty", [1.0, 2.0]),
        ("evaluations", 2.5),
        ("stopped", None),
    ],
)
def test_json_of_other_types_is_no_plan(name, value):
    args = BlobForecaster(), observation(START[:1]), Problem(GOALS[:1], 1, SPACE)
    fields = json.loads(search(*args, np.random.default_rng(0)).to_json())
    assert Plan.from_json(json.dumps(fields | {"goal": [1, 2]})).promise.shape == (1,)
    with pytest.raises(FormatError, match="not a plan"):
        Plan.from_json(json.dumps(fields | {name: value}))
    with pytest.raises(FormatError, match="not a plan"):
        Plan.from_json("[" * 100_000)


def test_a_plan_with_controls_missing_is_no_plan():
    plan = search(BlobForecaster(), observation(START), Problem(GOALS, 1, SPACE), np.random.default_rng(0))
    text = plan.to_json()
    cut = text[: text.index('"controls"')] + '"controls": [1.0, 2.0], ' + text[text.index('"promise"') :]
    with pytest.raises(FormatError, match="not a plan"):
        Plan.from_json(cut)
