"""Baselines guess what their definitions say, on recordings whose rule is linear."""

import numpy as np
import pytest

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import RecordingError
from sciworld.evaluate.baselines import Climatology, Linear, Persistence

Y, X, T = 4, 6, 40


def made(seed, shape=(Y, X), unknown=None):
    """A pattern that turns and decays, and another that its control lifts; a third that never changes."""
    rng = np.random.default_rng(seed)
    patterns = np.linalg.qr(np.random.default_rng(9).normal(size=(shape[0] * shape[1], 4)))[0].T
    rule = np.array([[0.9, 0.3, 0.0], [-0.3, 0.9, 0.0], [0.0, 0.0, 0.8]])
    z, rows, push = rng.normal(size=3), [], rng.uniform(-1, 1, (T, 1))
    for t in range(T):
        rows.append(np.concatenate([z, [2.0]]) @ patterns)
        z = rule @ z + np.array([0.0, 0.0, 1.0]) * push[t]
    controls = push.copy()
    controls[-1] = np.nan
    if unknown is not None:
        controls[unknown] = np.nan
    return recording.make(
        np.stack(rows).reshape(T, *shape, 1), np.arange(T) * 0.5,
        channels=ColumnTable((Column("height", "m", role="measured"),)), controls=controls,
        control_table=ColumnTable((Column("push", "N", -1.0, 1.0),)), session=f"s{seed}", source="a linear rule",
        licence="CC0-1.0", citation="", history="made",
    )  # fmt: skip


@pytest.fixture(scope="module")
def recordings():
    return [made(seed) for seed in range(4)]


def test_persistence_and_climatology(recordings):
    frames = np.stack([ds["frames"].values[0] for ds in recordings])
    controls = np.zeros((4, 3, 1))
    np.testing.assert_array_equal(Persistence().futures(frames, controls)[:, 2], frames)
    mean = np.concatenate([ds["frames"].values for ds in recordings]).mean(axis=0)
    guess = Climatology.fit(recordings).futures(frames, controls)
    assert guess.shape == (4, 3, Y, X, 1)
    np.testing.assert_allclose(guess[2, 1], mean)


def test_a_linear_rule_is_found_with_its_controls_and_only_partly_without(recordings):
    other = made(11)
    present, controls = other["frames"].values[5:6], other["controls"].values[None, 5:15]
    truth = other["frames"].values[6:16]
    guess = Linear.fit(recordings).futures(present, controls)[0]
    np.testing.assert_allclose(guess, truth, atol=0.01)
    blind = Linear.fit(recordings, heeds=False)
    assert np.abs(blind.futures(present, controls)[0] - truth).max() > 0.3
    np.testing.assert_array_equal(blind.futures(present, controls), blind.futures(present, 0 * controls))
    still = Persistence().futures(present, controls)[0]
    assert np.abs(guess - truth).mean() < 0.1 * np.abs(still - truth).mean()


def test_steps_that_are_unknown_are_left_out(recordings):
    held = [made(seed, unknown=slice(10, 20)) for seed in range(4)]
    other = made(11)
    guess = Linear.fit(held).futures(other["frames"].values[5:6], other["controls"].values[None, 5:15])[0]
    np.testing.assert_allclose(guess, other["frames"].values[6:16], atol=0.01)
    with pytest.raises(RecordingError, match="no step with known controls"):
        Linear.fit([made(0, unknown=slice(None))])


def test_recordings_that_do_not_fit_are_refused(recordings):
    odd = made(5, shape=(5, 7))
    for fit in (Climatology.fit, Linear.fit):
        with pytest.raises(RecordingError, match="one shape"):
            fit([recordings[0], odd])
        with pytest.raises(RecordingError):
            fit([])
