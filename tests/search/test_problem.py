"""What a problem accepts, and how it hands each objective its own futures."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from blob import SPACE, Brightness, Nearness
from numpy.testing import assert_array_equal

from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.errors import ControlError, SearchError
from sciworld.search.constraints import Constraint
from sciworld.search.problem import Problem, searched, whole


def test_bounds_default_to_the_space_and_broadcast_to_every_problem():
    low, high = Problem(Brightness(0, 0), 1, SPACE).bounds(3)
    assert_array_equal(low, np.tile(SPACE.low, (3, 1)))
    assert_array_equal(high, np.tile(SPACE.high, (3, 1)))
    region = np.array([[-1.0, -1, 0], [0, -0.5, 1]])
    assert_array_equal(Problem(Brightness(0, 0), 1, SPACE, low=region).bounds(2)[0], region)


@pytest.mark.parametrize(
    ("low", "error", "message"),
    [
        ([-3.0, 0, 0], ControlError, "problem: low: 'push_x' is -3 mm"),
        ([0.0, 0], SearchError, r"low is \(2,\); use \(3,\)"),
        ([[0.0, 0, 0]] * 3, SearchError, r"or \(2, 3\)"),
        ([[0.0, 0, 0], [0.0, 0.9, 0]], SearchError, "problem 1: 'push_y' has low 0.9 above high 0.5"),
    ],
)
def test_a_region_that_is_none_is_named(low, error, message):
    with pytest.raises(error, match=message):
        Problem(Brightness(0, 0), 1, SPACE, low=np.array(low), high=np.array([1.0, 0.5, 2])).bounds(2)


def test_a_control_without_bounds_is_searched_where_the_problem_has_some():
    space = ControlSpace(SPACE.table.unbounded())
    low, high = SPACE.low, SPACE.high
    assert_array_equal(Problem(Brightness(0, 0), 1, space, low, high).bounds(2), [[low] * 2, [high] * 2])
    for given in ({}, {"low": low}, {"high": high}):
        with pytest.raises(ControlError, match="control 'push_x' has no bounds; one that is searched needs low"):
            Problem(Brightness(0, 0), 1, space, **given).bounds(2)


def test_a_horizon_of_nothing_is_refused():
    with pytest.raises(SearchError, match="horizon is 0"):
        Problem(Brightness(0, 0), 0, SPACE)


def test_each_problem_has_its_own_objective():
    rng = np.random.default_rng(0)
    futures = rng.random((2, 3, 4, 11, 5, 7, 1), dtype=np.float32)
    controls = np.zeros((2, 3, 11, 3))
    problem = Problem([Brightness(6, 4), Brightness(1, 2)], 11, SPACE)
    scores = problem.score(futures, controls)
    assert_array_equal(scores[0], futures[0, :, :, -1, 4, 6, 0])
    assert_array_equal(scores[1], futures[1, :, :, -1, 2, 1, 0])
    with pytest.raises(SearchError, match="2 objectives for 3 problems"):
        problem.bounds(3), problem.score(futures[[0, 0, 1]], controls[[0, 0, 1]])


def test_an_objective_of_the_wrong_shape_is_told_the_right_one():
    problem = Problem(lambda futures, controls: futures[:, 0, 0, 0, 0, 0], 1, SPACE)
    with pytest.raises(SearchError, match=r"returned \(3,\); it must return \(candidate, sample\), here \(3, 4\)"):
        problem.score(np.zeros((1, 3, 4, 1, 5, 7, 1)), np.zeros((1, 3, 1, 3)))


@pytest.mark.parametrize("value", [1j, "high", None])
def test_an_objective_of_no_real_numbers_is_refused(value):
    problem = Problem(lambda futures, controls: np.full((3, 4), value), 1, SPACE)
    with pytest.raises(SearchError, match="must return real numbers"):
        problem.score(np.zeros((1, 3, 4, 1, 5, 7, 1)), np.zeros((1, 3, 1, 3)))


def test_an_infinite_score_is_none():
    problem = Problem(lambda futures, controls: np.array([[1, np.inf, -np.inf, np.nan, -1e200]]), 1, SPACE)
    scores = problem.score(np.zeros((1, 1, 5, 1, 5, 7, 1)), np.zeros((1, 1, 1, 3)))
    assert_array_equal(scores, [[[1, *[np.nan] * 4]]])
    masked = Problem(lambda futures, controls: np.ma.masked_less(np.arange(3.0)[None], 1), 1, SPACE)
    assert_array_equal(masked.score(np.zeros((1, 1, 3, 1, 5, 7, 1)), np.zeros((1, 1, 1, 3))), [[[np.nan, 1, 2]]])


def test_nobody_writes_into_what_others_are_shown():
    def writes(futures, controls):
        controls *= 2
        return futures.mean(axis=(2, 3, 4, 5))

    futures, controls = np.ones((1, 2, 3, 1, 5, 7, 1)), np.ones((1, 2, 1, 3))
    scores, why = Problem(writes, 1, SPACE).marked(futures, controls)
    assert np.isnan(scores).all() and "read-only" in why and (controls == 1).all()
    with pytest.raises(SearchError, match=r"constraint 'own' failed: ValueError: .*read-only"):
        Problem(writes, 1, SPACE, constraints=(Constraint("own", 1.0, writes),)).amounts(futures, controls)


def test_one_who_leaves_is_marked():
    scores, why = Problem(lambda futures, controls: sys.exit("enough"), 1, SPACE).marked(
        np.ones((1, 2, 3, 1, 5, 7, 1)), np.ones((1, 2, 1, 3))
    )
    assert np.isnan(scores).all() and why == "SystemExit: enough"


def test_amounts_that_nobody_knows_are_said():
    def amount(futures, controls):
        return np.array([[np.nan, 1.0], [-np.inf, 1.0], [np.inf, 1.0]])

    problem = Problem(None, 1, SPACE, constraints=(Constraint("gap", 1.0, amount),))
    found, why = problem.amounts(np.zeros((1, 3, 2, 1, 5, 7, 1)), np.zeros((1, 3, 1, 3)))
    assert np.isnan(found[0, 0]) and found[0, 1] < -1e100 and found[0, 2] > 1e100
    assert why == "constraint 'gap' returned NaN"


def test_whole_numbers_need_room():
    columns = ColumnTable((Column("gear", "1", 0, 5, rate_limit=0.5, kind="integer"),))
    space = ControlSpace(columns)
    with pytest.raises(SearchError, match=r"'gear' is a whole number, and there is none from 1.2 to 1.8"):
        Problem(None, 1, space, np.array([1.2]), np.array([1.8])).bounds(1)
    with pytest.raises(SearchError, match=r"'gear' is a whole number that changes by at most 0.5 a second"):
        Problem(None, 1, space, seconds=1.5)
    assert Problem(None, 1, space, seconds=2.0).seconds == 2.0


@pytest.mark.parametrize("horizon", [0, 1.5, True, "two"])
def test_a_horizon_is_a_number_of_steps(horizon):
    with pytest.raises(SearchError, match=r"horizon is .* steps; use an integer"):
        Problem(None, horizon, SPACE)


def test_only_an_objective_that_says_so_is_linear():
    assert Problem(Brightness(0, 0), 1, SPACE).linear(2)
    assert not Problem([Brightness(0, 0), Nearness(0, 0)], 1, SPACE).linear(2)


def test_take_keeps_what_belongs_to_the_chosen_problems():
    low = np.arange(9).reshape(3, 3) / 10
    problem = Problem([Brightness(i, 0) for i in range(3)], 1, SPACE, low, SPACE.high, np.array([True, False, True]))
    taken = problem.take(np.array([0, 2]))
    assert [objective.x for objective in taken.objectives(2)] == [0, 2]
    assert_array_equal(taken.low, low[[0, 2]])
    assert_array_equal(taken.high, SPACE.high)
    assert_array_equal(taken.active, [True, True])


def test_whole_numbers_get_equal_room_and_stay_inside():
    low, high = SPACE.low, SPACE.high
    wide_low, wide_high = searched(SPACE, low, high)
    drawn = np.random.default_rng(0).uniform(wide_low, wide_high, (9000, 3))
    controls = whole(SPACE, drawn, low, high)
    SPACE.check(controls)
    values, counts = np.unique(controls[:, 2], return_counts=True)
    assert_array_equal(values, [0, 1, 2])
    assert (abs(counts - 3000) < 200).all()
    assert_array_equal(controls[:, :2], drawn[:, :2])
    assert_array_equal(whole(SPACE, np.stack([wide_low, wide_high]), low, high), np.stack([low, high]))
