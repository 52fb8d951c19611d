"""What the figures of the search are made of."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import toy


@pytest.fixture(scope="module")
def parts(benchmarks: Callable[..., SimpleNamespace]) -> SimpleNamespace:
    return benchmarks("search_trust", "search_flow", "search_optimizers")


def test_the_area_is_the_chance_that_what_is_outside_is_farther(parts: SimpleNamespace) -> None:
    auroc = parts.search_trust.auroc
    low, high = np.array([0.1, 0.2]), np.array([0.3, 0.4, 0.5])
    assert auroc(low, high) == 1 and auroc(high, low) == 0 and auroc(low, low) == 0.5
    assert auroc(np.array([1.0, 3.0]), np.array([2.0])) == 0.5


def test_windows_are_presents_with_the_controls_that_followed(parts: SimpleNamespace) -> None:
    held = [toy.make(seed=1), toy.make(frames=3, seed=2)]
    frames, view, plans = parts.search_trust._windows(held, 4, 20, np.random.default_rng(0))
    assert frames.shape == (20, toy.Y, toy.X, 2) and view.shape == (20, 6) and plans.shape == (20, 4, 3)
    assert np.isfinite(plans).all()  # none reaches beyond the last frame, and none is of the short recording
    where = [k for k in range(7) if np.array_equal(held[0]["frames"].values[k], frames[0])]
    np.testing.assert_array_equal(plans[0], held[0]["controls"].values[where[0] : where[0] + 4])


def test_the_optima_are_where_they_are_known_to_be(parts: SimpleNamespace) -> None:
    for name, function in parts.search_optimizers.FUNCTIONS.items():
        best = np.ones(5) if name == "rosenbrock" else np.zeros(5)
        assert function(best) == 0 < function(best + 0.3)


def test_a_fraction_is_of_direct_search_and_an_equal_budget_of_the_worst_size(
    parts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"size": size, "verified": -6.0 - extra, "first": -5.0, "direct": [-2.0] * 11 + [-4.0] * 60 + [-7.0]}
        for size, extra in ((12, 0.0), (60, 1.0))
        for _ in range(3)
    ]
    seconds = {"direct": 20.0, "verified": 1.0, "data": 38.0}
    run = SimpleNamespace(quick=False, cached=lambda *asked: seconds)
    monkeypatch.setattr(parts.search_flow, "SIZES", (12, 60))
    monkeypatch.setattr(parts.search_flow, "_found", lambda run, size: [row for row in rows if row["size"] == size])
    found = parts.search_flow.fractions(run)
    assert found["fluid_fraction_verified"].value == 1 and found["fluid_fraction_top1"].value == pytest.approx(5 / 7)
    assert found["fluid_equal_budget"].value == 1.5 and found["fluid_break_even"].value == 2
    assert [one["ratio"] for one in found["fluid_equal_budget"].rows[:2]] == [1.5, 1.75]
