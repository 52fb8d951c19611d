"""Frames measured in one pass: against NumPy."""

import numpy as np
import pytest

from sciworld.kernels.quality import climb, measure

N, Y, X, CHANNELS = 4, 5, 7, 2


def frames(dtype):
    rng = np.random.default_rng(3)
    if np.dtype(dtype).kind == "f":
        made = (300 + rng.normal(0, 1, (N, Y, X, CHANNELS))).astype(dtype)
        made[1, 2, 3, 0], made[2, 2, 3, 0], made[3, 0, 0, 1] = np.nan, np.inf, -np.inf
        return made
    return rng.integers(0, 12, (N, Y, X, CHANNELS)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
def test_change_spread_and_counts(dtype):
    made = frames(dtype)
    flat = made.reshape(N, Y, X * CHANNELS)
    change, spread, counts = measure(flat[1:], flat[0], CHANNELS, made.dtype.type(11))
    for t in range(1, N):
        finite, before = np.isfinite(made[t]), np.isfinite(made[t - 1])
        assert counts[t - 1].tolist() == [(~finite).sum(), (finite != before).any(), (made[t] == 11).sum()]
        for c in range(CHANNELS):
            both, here = (finite & before)[..., c], finite[..., c]
            after, old = made[t, ..., c].astype(float), made[t - 1, ..., c].astype(float)
            np.testing.assert_allclose(change[t - 1, c], np.abs(after - old)[both].sum() / here.sum(), rtol=1e-12)
            np.testing.assert_allclose(spread[t - 1, c], after[here].std(), rtol=1e-9)


@pytest.mark.parametrize("value", [65535, 0])
def test_a_flat_frame_has_no_spread(value):
    flat = np.full((1, Y, X), value, dtype=np.uint16)
    change, spread, _ = measure(flat, flat[0], 1, np.uint16(7))
    assert (change, spread) == (0, 0)


def test_a_small_spread_far_from_zero_is_not_lost():
    flat = np.full((1, Y, X), 1e6) + np.arange(X) * 2.0**-20
    flat[0, 0, 0] = np.nan
    spread = measure(flat, flat[0], 1, 0.0)[1]
    np.testing.assert_allclose(spread[0, 0], flat[0].ravel()[1:].std(), rtol=1e-6)


def test_frames_without_a_finite_number():
    flat = np.full((1, Y, X), np.nan)
    change, spread, counts = measure(flat, flat[0], 1, 0.0)
    assert (change, spread, counts.tolist()) == (0, 0, [[Y * X, 0, 0]])


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_the_two_largest_values_are_counted(dtype):
    made = frames(dtype)
    tops, counts = np.full((CHANNELS, 2), -np.inf), np.zeros((CHANNELS, 2), np.int64)
    bottoms = np.full(CHANNELS, np.inf)
    for frame in made:
        climb(frame.reshape(1, Y, X * CHANNELS), CHANNELS, tops, counts, bottoms)
    for c in range(CHANNELS):
        values, times = np.unique(made[..., c][np.isfinite(made[..., c])], return_counts=True)
        assert (tops[c].tolist(), bottoms[c]) == ([values[-1], values[-2]], values[0])
        assert counts[c].tolist() == [times[-1], times[-2]]


def test_of_one_value_there_is_no_second():
    tops, counts, bottoms = np.full((1, 2), -np.inf), np.zeros((1, 2), np.int64), np.full(1, np.inf)
    climb(np.array([[[np.nan, -np.inf, np.inf, 3.0]]]), 1, tops, counts, bottoms)
    assert (tops.tolist(), counts.tolist(), bottoms) == ([[3.0, -np.inf]], [[1, 0]], 3)
