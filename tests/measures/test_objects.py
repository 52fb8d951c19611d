"""Objects are what SciPy's labels say, and are told from those that jump, vanish or double."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sciworld.errors import SettingsError
from sciworld.kernels.label import label
from sciworld.measures.objects import count, count_error, jump, places


@settings(max_examples=100)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 13))))
def test_labels_are_those_of_scipy(mask):
    found = np.zeros(mask.shape, dtype=np.int32)
    expected, n = ndimage.label(mask, np.ones((3, 3)))
    assert label(mask, found) == n
    assert len({(int(a), int(b)) for a, b in zip(found.ravel(), expected.ravel(), strict=True)}) == n + (~mask).any()


def spots(*centres, size=(12, 20)):
    y, x = np.mgrid[: size[0], : size[1]]
    return sum(np.exp(-0.5 * ((y - r) ** 2 + (x - c) ** 2)) for r, c in centres) + np.zeros(size)


def test_places_are_middles_and_small_things_do_not_count():
    frame = spots((3, 4), (8, 15))
    np.testing.assert_allclose(places(frame, 0.3), [[3, 4], [8, 15]], atol=0.05)
    frame[0, 19] = 1.0
    assert len(places(frame, 0.3)) == 3 and len(places(frame, 0.3, least=2)) == 2
    assert places(np.full((4, 5), np.nan), 0.3).shape == (0, 2)


def test_what_is_removed_doubled_or_teleported_is_told():
    true = np.stack([spots((3, 4 + t), (8, 15 - t)) for t in range(4)])
    removed, doubled, teleported = true.copy(), true.copy(), true.copy()
    removed[2:] = [spots((3, 4 + t)) for t in (2, 3)]
    doubled[2:] += spots((10, 2))
    teleported[2:] = [spots((3, 4 + t), (8, 3 - t)) for t in (2, 3)]
    assert count(true, 0.3).tolist() == [2, 2, 2, 2]
    assert count_error(true, removed, 0.3).tolist() == [0, 0, -1, -1]
    assert count_error(true, doubled, 0.3).tolist() == [0, 0, 1, 1]
    assert count_error(true, teleported, 0.3).tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(jump(true, 0.3), 1, atol=0.05)
    assert jump(teleported, 0.3)[1] > 6
    assert jump(np.stack([true[0], 0 * true[0], 0 * true[0]]), 0.3).tolist() == [np.inf, 0.0]


def test_masked_pixels_are_no_object_and_infinite_ones_are():
    frame = spots((3, 4), (8, 15))
    hidden = np.ma.array(frame, mask=np.arange(20) * np.ones((12, 1)) > 9)
    assert count([hidden, frame], 0.3).tolist() == [1, 2] and len(places(hidden, 0.3)) == 1
    for value, size in ((np.inf, 2), (1e300, 2), (1.7e308, 2), (1.7e308, 1)):
        frame[8, 14:16], frame[8, 14 : 14 + size] = 0.5, value
        assert count(frame[None], 0.3).tolist() == [2] and len(jump(np.stack([frame, frame]), 0.3)) == 1


@pytest.mark.parametrize("threshold", [np.nan, np.inf, -np.inf, "high", None])
@pytest.mark.parametrize("clip", [np.zeros((2, 4, 5)), np.zeros((0, 4, 5))])
def test_a_threshold_is_a_finite_number(threshold, clip):
    for measure in (count, jump, lambda clip, threshold: count_error(clip, clip, threshold)):
        with pytest.raises(SettingsError, match="threshold is"):
            measure(clip, threshold)


def test_what_is_no_clip_is_refused():
    with pytest.raises(SettingsError, match=r"give \(time, y, x\)"):
        count(np.zeros((3, 4)), 0.5)
    with pytest.raises(SettingsError, match=r"give \(y, x\)"):
        places(np.zeros(3), 0.5)
    with pytest.raises(SettingsError, match="frames: complex128"):
        count(np.zeros((2, 3, 4)) + 1j, 0.5)
