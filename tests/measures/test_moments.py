"""Statistics that add up are those of all values together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.measures.moments import Moments


def parts_of(seed: int, sizes: list[int], offset: float) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(offset, 1, (n, 5, 3)) for n in sizes]
    for part in parts:
        part[rng.random(part.shape) < 0.3] = rng.choice([np.nan, np.inf])
        part[..., 2] = np.nan
    return parts


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 99), st.sampled_from([0.0, 1e6]))
def test_parts_make_the_whole(sizes: list[int], seed: int, offset: float) -> None:
    found = Moments(3)
    parts = parts_of(seed, [7, *sizes], offset)
    for part in parts:
        found.add(part)
    values = np.concatenate(parts).reshape(-1, 3)
    for k in range(2):
        known = values[np.isfinite(values[:, k]), k]
        assert (found.count[k], found.low[k], found.high[k]) == (len(known), known.min(), known.max())
        np.testing.assert_allclose([found.mean[k], found.deviation()[k]], [known.mean(), known.std()], rtol=1e-7)
    assert (found.count[2], found.low[2], found.high[2], found.deviation()[2]) == (0, np.inf, -np.inf, 0)
    assert found.normal()[1][2] == 1


@pytest.mark.parametrize("weights", [(0.75, 0.25), (3.0, 1.0)])
def test_a_mixture_counts_each_part_by_its_weight(weights: tuple[float, float]) -> None:
    parts = parts_of(1, [11, 4], 2.0)
    parts[1][..., 1] = np.nan  # known to the first alone
    mixed = Moments(3)
    for part, weight in zip(parts, weights, strict=True):
        mixed.merge(Moments.of(part).weighted(weight))
    known = [part[..., 0][np.isfinite(part[..., 0])] for part in parts]
    mean = np.average([values.mean() for values in known], weights=weights)
    variance = np.average([((values - mean) ** 2).mean() for values in known], weights=weights)
    np.testing.assert_allclose([mixed.mean[0], mixed.deviation()[0]], [mean, np.sqrt(variance)], rtol=1e-12)
    alone = Moments.of(parts[0])
    np.testing.assert_allclose(mixed.mean[1], alone.mean[1], rtol=1e-12)
    np.testing.assert_allclose(mixed.deviation()[1], alone.deviation()[1], rtol=1e-12)


def test_masked_and_huge_values() -> None:
    values = parts_of(0, [9], 2.0)[0]
    hidden = np.random.default_rng(1).random(values.shape) < 0.2
    found = Moments.of(np.ma.array(values, mask=hidden))
    expected = Moments.of(np.where(hidden, np.nan, values))
    for name in ("count", "mean", "square", "low", "high"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    huge = Moments.of(np.array([[1e300], [-1e300], [1.7e308]]))
    huge.add(np.array([[-1.7e308]]))
    assert not np.isfinite(huge.deviation()[0]) and huge.high[0] == 1.7e308
