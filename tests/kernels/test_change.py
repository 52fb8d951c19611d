"""What changed between two images: against NumPy, and against motion that is known."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from sciworld.kernels.change import compare, shrink

Y, X = 21, 34


def smooth_image(dx=0.0, dy=0.0):
    """A sum of waves, moved by dx columns and dy rows."""
    rows, cols = np.mgrid[:Y, :X].astype(float)
    return 10 + np.sin(0.35 * (cols - dx)) + np.cos(0.4 * (rows - dy)) + np.sin(0.2 * (cols - dx + rows - dy))


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_shrinking_is_the_mean_of_blocks(dtype):
    frames = np.random.default_rng(0).integers(0, 4000, (5, 11, 14, 2)).astype("uint16")
    small = np.empty((5, 2, 3, 4))
    shrink(frames, 3, 3, np.array([False, True]), np.empty(28, dtype), small)
    blocks = frames[:, :9, :12].reshape(5, 3, 3, 4, 3, 2).mean(axis=(2, 4)).transpose(3, 0, 1, 2)
    np.testing.assert_allclose(small, np.stack([blocks[0], np.sqrt(blocks[1])], axis=1))


@pytest.mark.parametrize(("dx", "dy"), [(0.3, 0.0), (0.0, -0.4), (-0.5, 0.2)])
def test_motion_of_the_whole_image_is_found(dx, dy):
    moved = compare(smooth_image()[None], smooth_image(dx, dy)[None], np.empty((1, Y, X)))[3]
    np.testing.assert_allclose(moved, [[dx, dy]], atol=0.05)


def test_where_brightness_left_and_arrived():
    rng = np.random.default_rng(1)
    before, after = rng.normal(0, 1, (2, Y, X))
    before[4:7, 5:8] += 40
    after[12:15, 25:28] += 40
    energy, strength, ends, _ = compare(np.stack([before, after]), np.stack([after, before]), np.empty((2, Y, X)))
    np.testing.assert_allclose(ends[0], [[6, 5], [26, 13]], atol=0.3)
    np.testing.assert_allclose(ends[1], ends[0, ::-1], atol=1e-3)
    assert (strength > 20).all() and (energy > 5).all()


def test_nothing_that_moved_is_no_number():
    flat = np.full((1, Y, X), 3.0)
    energy, strength, ends, moved = compare(flat, flat, np.empty_like(flat))
    assert energy == 0 and strength == 0 and np.isnan(ends).all() and np.isnan(moved).all()


@pytest.mark.parametrize("size", [1e-200, 1e-310, 1e200])
def test_tiny_and_huge_changes_are_measured(size):
    rng = np.random.default_rng(3)
    before, after = rng.normal(0, 1, (2, 1, Y, X))
    one = compare(before, after, np.empty((1, Y, X)))
    other = compare(size * before, size * after, np.empty((1, Y, X)))
    np.testing.assert_allclose(other[0], one[0], rtol=0.01)
    np.testing.assert_allclose(other[1], one[1], rtol=0.01)


def twin(before, after):
    """`compare` of one pair by its definitions, in NumPy."""
    change = sliding_window_view(np.pad(after - before, 1, mode="edge"), (3, 3)).mean(axis=(2, 3))
    noise = 1.4826 * np.median(np.abs(change - np.median(change)))
    excess = np.clip(np.abs(change) - 3 * noise, 0, None) ** 2
    places = np.stack(np.mgrid[:Y, : change.shape[1]][::-1], axis=-1)
    ends = np.array([np.average(places.reshape(-1, 2), axis=0, weights=(excess * side).ravel())
                     for side in (change < 0, change > 0)])  # fmt: skip
    mean, inner = (before + after) / 2, (slice(1, -1), slice(1, -1))
    gy, gx = (gradient[inner].ravel() for gradient in np.gradient(mean))
    moved = np.linalg.lstsq(np.stack([gx, gy], axis=1), -(after - before)[inner].ravel(), rcond=None)[0]
    scaled = change / noise
    return np.mean(scaled**2), min(-scaled.min(), scaled.max()), ends, moved


def test_compare_is_its_definition():
    """Of an odd number of pixels, all of which are samples, the median is the one in the middle."""
    rng = np.random.default_rng(4)
    before, after = rng.normal(0, 1, (2, 3, Y, X - 1))
    after[:, 3:6, 20:24] += 30
    after[:, 12:15, 2:7] -= 30
    found = compare(before, after, np.empty_like(before))
    for t in range(3):
        for one, other in zip(found, twin(before[t], after[t]), strict=True):
            np.testing.assert_allclose(one[t], other, rtol=1e-10)
