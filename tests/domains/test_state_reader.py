"""States read from frames: what is linear is recovered, and what is left out tells the error."""

import numpy as np
import pytest

from sciworld import recording
from sciworld.controls import Column, ColumnTable, colours
from sciworld.domains import reader
from sciworld.domains.reader import labelled, measured, pixels
from sciworld.errors import RecordingError

Y, X, TIME = 5, 7, 11
STATES = ColumnTable((Column("tilt", "rad", role="measured"), Column("width", "m", role="measured")))
TRUTH = np.random.default_rng(0).normal(size=(Y * X * 2, 2))


def made(seed, wrong=0.0):
    """A recording whose states are linear in its pixels but for what is wrong."""
    rng = np.random.default_rng(seed)
    frames = rng.normal(size=(TIME, Y, X, 2)).astype(np.float32)
    states = frames.reshape(TIME, -1) @ TRUTH + [3.0, -2.0] + wrong * rng.normal(size=(TIME, 2))
    states[4] = np.nan
    return recording.make(
        frames, np.arange(TIME) * 0.1, channels=colours(2), states=states, state_table=STATES, session=f"s{seed}",
        source=f"made {seed}", licence="CC0-1.0", citation="", history="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def recordings():
    return [made(seed) for seed in range(20)]


@pytest.mark.parametrize("alike", [False, True])
def test_what_is_linear_is_read_from_any_frames(recordings, alike):
    found = labelled(recordings, ("width", "tilt"), pixels).fit(1e-6, alike=alike)
    other = made(99)
    read = found(other["frames"].values.reshape(1, TIME, Y, X, 2))
    true = measured(other, ("width", "tilt"))
    np.testing.assert_allclose(read[0, [0, 7]], true[[0, 7]], atol=1e-2)
    assert found.names == ("width", "tilt") and (found.error < 1e-2).all()


def test_the_error_is_that_of_recordings_that_were_left_out(recordings):
    astray = [made(seed, 5.0 if seed % 5 == 4 else 0.0) for seed in range(20)]
    clean, found = (labelled(held, ("tilt",), pixels).fit(1e-6) for held in (recordings, astray))
    np.testing.assert_array_equal(clean.weights, found.weights)
    assert clean.error[0] < 1e-2 and 3.0 < found.error[0] < 8.0
    assert np.isnan(labelled(recordings, ("tilt",), pixels).fit(1e-6, apart=0).error).all()


def test_frames_are_chosen_evenly_and_only_where_states_are_known_and_near(recordings, monkeypatch):
    told = labelled(recordings, ("tilt", "width"), pixels)
    assert len(told) == 20 * (TIME - 1) and told.recordings == 20
    few = labelled(recordings, ("tilt", "width"), pixels, most=60)
    np.testing.assert_array_equal(np.bincount(few.number), np.full(20, 3))
    near = labelled(recordings, ("tilt",), pixels, near=4.0)
    assert 0 < len(near) < len(told) and np.abs(near.values).max() < 4.0
    monkeypatch.setattr(reader, "block_rows", lambda frames: 3)  # read in blocks, the same
    np.testing.assert_array_equal(labelled(recordings, ("tilt", "width"), pixels).features, told.features)


def test_recordings_without_a_state_are_refused(recordings):
    with pytest.raises(RecordingError, match="s3: its states have no 'speed'"):
        labelled([recordings[3]], ("tilt", "speed"), pixels)
    with pytest.raises(RecordingError, match="have no 'tilt'"):
        measured(recordings[0].drop_vars("states"), ("tilt",))
    with pytest.raises(RecordingError, match=r"no frame of 20 recordings has tilt within 1e-09 of 0"):
        labelled(recordings, ("tilt",), pixels, near=1e-9)
