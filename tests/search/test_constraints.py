"""Plans that must keep to limits: what is refused before a search, and what a search does about the rest."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from blob import SPACE, BlobForecaster, Brightness, Nearness, observation

from sciworld.errors import SearchError, SettingsError
from sciworld.search.constraints import Constraint, Multipliers, effort, total
from sciworld.search.finalists import Finalists
from sciworld.search.plan import Plan
from sciworld.search.problem import Problem
from sciworld.search.search import SearchSettings, search

START = np.array([[1.0, 1.0]])
STEP = SPACE.names[0]


def best(limit: float, optimizer: str = "cem", settings: SearchSettings | None = None) -> Plan:
    """One step toward a blob that is two to the right, of which only `limit` is allowed."""
    right = Constraint(
        "right", limit, lambda futures, controls: np.repeat(controls[:, :1, 0], futures.shape[1], 1), "mm"
    )
    problem = Problem(Nearness(3.0, 1.0), 1, SPACE, constraints=(right,))
    return search(
        BlobForecaster(), observation(START), problem, np.random.default_rng(0), optimizer,
        settings or SearchSettings(budget=4000, samples=1, final_samples=1),
    )  # fmt: skip


@pytest.mark.parametrize("optimizer", ["cem", "icem", "mppi", "cmaes", "de", "shooting"])
def test_the_best_plan_that_keeps_to_the_limit_is_found(optimizer):
    free, bound = best(10.0, optimizer), best(0.5, optimizer)
    assert free.controls[0, 0, 0] > 0.8 and free.satisfied.all()
    assert 0.2 <= bound.controls[0, 0, 0] <= 0.5 and bound.satisfied.all()
    assert bound.amounts[0, 0] == pytest.approx(bound.controls[0, 0, 0]) and not bound.warnings()


def test_a_limit_that_nothing_keeps_to_is_reported():
    plan = best(-50.0)
    assert not plan.satisfied.any()
    assert plan.controls[0, 0, 0] == pytest.approx(SPACE.low[0], abs=0.05), "the least violation is chosen"
    assert plan.warnings() == [f"right: {plan.amounts[0, 0]:.4g} mm, above its limit of -50, in 1 of 1 problems"]


def test_what_no_plan_in_the_region_can_keep_to_is_refused_before_anything_is_imagined():
    low, high = np.maximum(SPACE.low, 0.5), SPACE.high
    surrogate = BlobForecaster()
    for limit in (total(SPACE, STEP, 1.0), effort(SPACE, STEP, 0.25)):
        problem = Problem(Brightness(2, 2), 3, SPACE, low, high, constraints=(limit,))
        with pytest.raises(SearchError, match=f"constraint '.* {STEP}': every plan in the region has at least"):
            search(surrogate, observation(START), problem, np.random.default_rng(0))
    assert surrogate.imagined == 0


def test_amounts_of_controls():
    controls = np.array([[[1.0, 0, 0], [-3.0, 0, 0]]])
    futures = np.zeros((1, 2, 2, 3, 3, 1))
    dose = total(SPACE, STEP, 1.0, rate=2.0, units="e")
    assert dose.amount(futures, controls).tolist() == [[-4.0, -4.0]] and dose.units == "e"
    assert total(SPACE, STEP, 1.0).units == SPACE.table[STEP].units
    with pytest.raises(SettingsError, match=f"total {STEP}': a rate of 2.0 changes the units, .* mm; give units"):
        total(SPACE, STEP, 1.0, rate=2.0)
    np.testing.assert_allclose(effort(SPACE, STEP, 1.0).amount(futures, controls), np.sqrt([[5.0, 5.0]]))
    with pytest.raises(SettingsError, match="limit is nan"):
        dataclasses.replace(total(SPACE, STEP, 1.0), limit=np.nan)


def test_a_constraint_of_another_shape_is_named():
    odd = Constraint("odd", 1.0, lambda futures, controls: np.zeros(3))
    with pytest.raises(SearchError, match=r"constraint 'odd': the amount returned \(3,\)"):
        search(
            BlobForecaster(), observation(START), Problem(Brightness(2, 2), 1, SPACE, constraints=(odd,)),
            np.random.default_rng(0),
        )  # fmt: skip


def test_multipliers_press_until_the_limit_is_kept():
    """The maximum of -(x - 2)^2 where x <= 1 has the multiplier 2."""
    x = np.linspace(-1, 3, 401)[None]
    score, above = -((x - 2) ** 2), (x - 1)[..., None]
    one = Multipliers.start(1, 1).scaled(score, above)
    for _ in range(60):
        chosen = (score - one.penalty(above)).argmax(axis=1)
        one = one.updated(above[0, chosen])
    assert x[0, chosen[0]] == pytest.approx(1.0, abs=0.02) and one.price[0, 0] == pytest.approx(2.0, abs=0.1)


def test_finalists_keep_to_limits_first_and_are_all_different():
    empty = Finalists.none(1, 3, 1, 1, np.array([1.0]))
    controls = np.array([0.0, 1.0, 2.0, 3.0, 1.0]).reshape(1, 5, 1, 1)
    merit = np.array([[0.0, np.nan, 9.0, 5.0, -1.0]])
    amounts = np.array([[0.0, 0.0, 4.0, 1.0, 0.5]])[..., None]
    found = empty.joined(controls, merit, merit, amounts)
    assert found.controls[0, :, 0, 0].tolist() == [3.0, 0.0, 1.0]
    again = found.joined(controls[:, 3:4], merit[:, 3:4] + 100, merit[:, 3:4], amounts[:, 3:4])
    assert again.merit.tolist() == found.merit.tolist(), "what is known already is not taken twice"
