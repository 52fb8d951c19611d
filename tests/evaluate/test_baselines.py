"""Baselines guess what their definitions say, on recordings whose rule is linear."""

import numpy as np
import pytest

from sciworld import lazy, recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import RecordingError
from sciworld.evaluate import baselines
from sciworld.evaluate.baselines import BLIND, CLIMATOLOGY, LINEAR, PERSISTENCE, fit

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
    np.testing.assert_array_equal(fit(recordings)[PERSISTENCE].futures(frames, controls)[:, 2], frames)
    mean = np.concatenate([ds["frames"].values for ds in recordings]).mean(axis=0)
    guess = fit(recordings)[CLIMATOLOGY].futures(frames, controls)
    assert guess.shape == (4, 3, Y, X, 1)
    np.testing.assert_allclose(guess[2, 1], mean)


def test_a_linear_rule_is_found_with_its_controls_and_only_partly_without(recordings):
    other = made(11)
    present, controls = other["frames"].values[5:6], other["controls"].values[None, 5:15]
    truth = other["frames"].values[6:16]
    guess = fit(recordings)[LINEAR].futures(present, controls)[0]
    np.testing.assert_allclose(guess, truth, atol=0.01)
    blind = fit(recordings)[BLIND]
    assert np.abs(blind.futures(present, controls)[0] - truth).max() > 0.3
    np.testing.assert_array_equal(blind.futures(present, controls), blind.futures(present, 0 * controls))
    still = fit(recordings)[PERSISTENCE].futures(present, controls)[0]
    assert np.abs(guess - truth).mean() < 0.1 * np.abs(still - truth).mean()


def test_steps_that_are_unknown_are_left_out(recordings):
    held = [made(seed, unknown=slice(10, 20)) for seed in range(4)]
    other = made(11)
    guess = fit(held)[LINEAR].futures(other["frames"].values[5:6], other["controls"].values[None, 5:15])[0]
    np.testing.assert_allclose(guess, other["frames"].values[6:16], atol=0.01)
    with pytest.raises(RecordingError, match="no step with known controls"):
        fit([made(0, unknown=slice(None))])


def test_recordings_that_do_not_fit_are_refused(recordings):
    odd = made(5, shape=(5, 7))
    with pytest.raises(RecordingError, match="one shape"):
        fit([recordings[0], odd])
    with pytest.raises(RecordingError, match="no recordings"):
        fit([])


def test_unknown_pixels_stay_unknown_and_spoil_nothing_else(recordings):
    masked = [ds.copy(deep=True) for ds in recordings]
    for ds in masked:
        ds["frames"].values[:, 2, 3] = np.nan  # never seen
    masked[0]["frames"].values[4, 0, 0] = np.nan  # lost once
    found = fit(masked)
    assert np.isnan(found[CLIMATOLOGY].mean[2, 3]).all() and np.isfinite(found[CLIMATOLOGY].mean[0, 0]).all()
    other = made(11)
    present, controls = other["frames"].values[5:6].copy(), other["controls"].values[None, 5:15]
    present[0, 2, 3] = np.nan
    guess = found[LINEAR].futures(present, controls)[0]
    assert np.isnan(guess[:, 2, 3]).all() and np.isnan(guess).sum() == len(guess)
    others = np.isfinite(guess)
    np.testing.assert_allclose(guess[others], other["frames"].values[6:16][others], atol=0.05)


def test_blocks_of_frames_give_the_same_as_whole_recordings(recordings, monkeypatch):
    whole = fit(recordings)
    monkeypatch.setattr(lazy, "BLOCK_BYTES", 3 * Y * X * 8)
    some = fit(recordings)
    np.testing.assert_allclose(some[CLIMATOLOGY].mean, whole[CLIMATOLOGY].mean, rtol=1e-12)
    np.testing.assert_allclose(some[LINEAR].step, whole[LINEAR].step, rtol=1e-9, atol=1e-12)


def test_modes_are_those_of_evenly_drawn_frames(recordings, monkeypatch):
    monkeypatch.setattr(baselines, "FRAMES", 40)  # every fourth of 160
    monkeypatch.setattr(lazy, "BLOCK_BYTES", 7 * Y * X * 8)
    mean = fit(recordings)[CLIMATOLOGY].mean
    drawn = np.concatenate([ds["frames"].values for ds in recordings])[::4].reshape(40, -1) - mean.reshape(-1)
    modes = baselines._modes(recordings, mean.reshape(-1))
    _, _, expected = np.linalg.svd(drawn, full_matrices=False)
    np.testing.assert_allclose(np.abs(modes @ expected[: len(modes)].T), np.eye(len(modes)), atol=1e-6)
