"""How the figure of the active loop is read off the curves of success."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture(scope="module")
def active(benchmarks: Callable[..., SimpleNamespace]) -> SimpleNamespace:
    return benchmarks("search_active").search_active


def test_a_curve_is_a_line_over_the_logarithm_of_the_size(active: SimpleNamespace) -> None:
    sizes = np.array([4, 8, 16])
    assert active.needed(sizes, np.array([0.0, 0.9, 1.0])) == pytest.approx(8 * 2**0.5)
    assert active.needed(sizes, np.array([0.0, 0.95, 0.9])) == pytest.approx(8)
    assert active.needed(sizes, np.array([1.0, 1.0, 1.0])) == 4
    assert np.isnan(active.needed(sizes, np.array([0.0, 0.5, 0.94])))


def test_the_gain_is_of_the_mean_over_the_seeds(active: SimpleNamespace) -> None:
    curves = {("random", 0): (0, 0, 1), ("random", 1): (0, 1, 1), ("active", 0): (0, 1, 1), ("active", 1): (1, 1, 1)}
    rows = [
        {"arm": arm, "seed": seed, "transitions": size, "success": share}
        for (arm, seed), curve in curves.items()
        for size, share in zip((4, 8, 16), curve, strict=True)
    ]
    assert active._gain(rows, np.array([0])) == pytest.approx(2)
    means = active.needed(np.array([4, 8, 16]), np.array([0, 0.5, 1])) / active.needed(
        np.array([4, 8, 16]), np.array([0.5, 1, 1])
    )
    assert active._gain(rows, np.array([0, 1])) == pytest.approx(means) == pytest.approx(2)


def test_who_never_comes_to_it_is_not_left_out(active: SimpleNamespace) -> None:
    def gain(random: float, curious: float) -> float:
        ends = {"random": random, "active": curious}
        return active._gain(
            [{"arm": arm, "seed": 0, "transitions": size, "success": ends[arm] * (size == 16)}
             for arm in ends for size in (4, 8, 16)], np.array([0]),
        )  # fmt: skip

    assert gain(1.0, 0.5) == 0 and gain(0.5, 1.0) == pytest.approx(
        16 / active.needed(np.array([8, 16]), np.array([0, 1]))
    )
