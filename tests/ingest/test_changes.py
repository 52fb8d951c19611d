"""Changes from frame to frame: the same in whatever blocks the frames come, and of whatever shape they are."""

import pickle

import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.ingest import changes
from sciworld.ingest.changes import Changes, changes_of

FRAMES = 90


def moving(y=24, x=33, frames=FRAMES):
    """A toy recording with frames of noise in which a bright spot walks."""
    ds = toy.make(frames=frames)
    rng = np.random.default_rng(0)
    values = rng.integers(0, 50, (frames, y, x, ds.sizes["channel"])).astype(ds["frames"].dtype)
    for t in range(frames):
        values[t, (7 * t) % y, (5 * t) % x] = 200
    return ds.drop_vars("frames").assign(frames=(ds["frames"].dims, values, ds["frames"].attrs))


def told(found):
    return np.concatenate([found.energy[:, None], found.moved, found.left["pixel"], found.arrived["pixel"]], axis=1)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
@settings(max_examples=20)
def test_blocks_do_not_matter_also_where_gaps_are_left_out(sizes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "MOST", 50)
        patch.setattr(changes, "RUN", 7)
        ds = moving()
        frames, found, start = ds["frames"].values, Changes(ds), 0
        while start < FRAMES:
            for size in sizes:
                found.add(frames[start : start + size])
                start += size
        whole = changes_of(ds)
    np.testing.assert_array_equal(told(found), told(whole))
    looked = np.arange(FRAMES - 1) // 7 % 2 == 0
    np.testing.assert_array_equal(np.isfinite(whole.energy), looked)
    np.testing.assert_allclose(told(whole)[looked], told(changes_of(ds))[looked])  # as if all are looked at


@pytest.mark.parametrize("shape", [(4, 1000), (1000, 3), (1, 500)])
def test_line_scans_are_looked_at(shape):
    assert np.isfinite(changes_of(moving(*shape, frames=5)).energy).all()


def test_only_what_was_measured_is_kept():
    ds = moving()
    assert len(pickle.dumps(changes_of(ds))) < 100 * FRAMES + len(pickle.dumps(ds["view"].values))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_planes_that_are_infinite_or_large_warn_of_nothing(dtype):
    ds = moving(frames=6)
    values = np.stack([ds["frames"].values.astype(dtype)] * 3, axis=1)
    values[2, 0, 3, 4], values[2, 1, 3, 4] = np.inf, -np.inf
    values[3, :, 5, 6] = np.finfo(dtype).max
    dims = ("time", "z", "y", "x", "channel")
    found = changes_of(ds.drop_vars("frames").assign(frames=(dims, values, ds["frames"].attrs)))
    assert np.isfinite(found.energy[[0, 4]]).all() and np.isnan(found.energy[1:3]).all()
