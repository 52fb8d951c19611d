"""What any model has to beat: guesses that nobody had to train for long.

Each is made from recordings and guesses futures of frames (row, y, x, channel) under controls (row, step, control) :
(row, step, y, x, channel) float64, in the units of the frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import ColumnTable
from sciworld.errors import RecordingError
from sciworld.evaluate.imagine import controls_of
from sciworld.lazy import blocks
from sciworld.measures.known import ratio
from sciworld.streamed import sampled

FRAMES = 1000  # at most, evenly from all recordings, from which modes are found
MODES = 32
RIDGE = 1e-4  # of the mean square of what is regressed on
PERSISTENCE, CLIMATOLOGY, BLIND, LINEAR = "persistence", "climatology", "control-blind", "linear"


class Baseline(Protocol):
    """Guesses futures; see the module."""

    def futures(self, present: np.ndarray, controls: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Persistence:
    """Nothing changes: the present, again and again."""

    def futures(self, present: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """See the module."""
        return np.repeat(np.asarray(present, dtype=np.float64)[:, None], controls.shape[1], axis=1)


@dataclass(frozen=True, eq=False)
class Climatology:
    """The mean frame of all recordings, whatever was seen. mean : (y, x, channel), NaN where nothing ever was."""

    mean: np.ndarray

    def futures(self, present: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """See the module."""
        return np.broadcast_to(self.mean, (len(present), controls.shape[1], *self.mean.shape)).copy()


@dataclass(frozen=True, eq=False)
class Linear:
    """Dynamic mode decomposition, with control or blind to it: modes of the frames whose amplitudes step linearly.

    z' = A z + B u + c in the amplitudes z of up to 32 modes of largest variance, by least squares: Proctor, Brunton and
    Kutz, SIAM J. Appl. Dyn. Syst. 15, 142 (2016). What the modes leave out of the present stays as it is; a pixel that
    is unknown there stays unknown.

    Parameters
    ----------
    mean : (pixel,), modes : (mode, pixel) orthonormal, of frames as one row. step : (mode + number + 1, mode), the
        rows of A, B and c. controls : what they are, as numbers that `ColumnTable.encoded` makes of them; None if B is
        not there.
    """

    mean: np.ndarray
    modes: np.ndarray
    step: np.ndarray
    controls: ColumnTable | None

    def futures(self, present: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """See the module."""
        n, steps = controls.shape[:2]
        away = np.asarray(present, dtype=np.float64).reshape(n, -1) - self.mean
        now = np.nan_to_num(away) @ self.modes.T
        rest = away - now @ self.modes + self.mean
        found = np.empty((n, steps, away.shape[1]))
        for step in range(steps):
            given = [] if self.controls is None else [self.controls.encoded(controls[:, step])[0]]
            now = np.concatenate([now, *given, np.ones((n, 1))], axis=1) @ self.step
            found[:, step] = rest + now @ self.modes
        return found.reshape(n, steps, *present.shape[1:])


def fit(recordings: Iterable[xr.Dataset]) -> dict[str, Baseline]:
    """All of them by name, from recordings that are gone through three times, some frames at a time.

    Linear ones are fitted on all steps whose controls are known and whose field of view stands still; pixels that are
    unknown count as their mean there. Raises RecordingError without a recording or such a step, or where frames differ
    in shape.
    """
    mean = _mean(recordings)
    modes = _modes(recordings, np.nan_to_num(mean).reshape(-1))
    square, table = _normal(recordings, np.nan_to_num(mean).reshape(-1), modes)
    amplitudes = np.arange(len(modes))
    ones = len(square) - len(modes) - 1
    after = ones + 1 + amplitudes
    linear = {}
    for name, heeded in ((BLIND, None), (LINEAR, table)):
        given = np.arange(len(modes), len(modes) if heeded is None else ones)
        known = np.concatenate([amplitudes, given, [ones]])
        left, right = square[np.ix_(known, known)], square[np.ix_(known, after)]
        sizes = np.maximum(np.diag(left), 1e-300)
        step = np.linalg.solve(left + np.diag(RIDGE * sizes), right)
        linear[name] = Linear(np.nan_to_num(mean).reshape(-1), modes, step, heeded)
    return {PERSISTENCE: Persistence(), CLIMATOLOGY: Climatology(mean), **linear}


def _mean(recordings: Iterable[xr.Dataset]) -> np.ndarray:
    """Over all frames, of what is known : (y, x, channel)."""
    total, count = None, None
    for ds in recordings:
        shape = ds["frames"].shape[1:]
        if total is None or count is None:
            total, count = np.zeros(shape), np.zeros(shape)
        if total.shape != shape:
            raise RecordingError(f"baselines: frames of {shape} after {total.shape}; give frames of one shape")
        for _, frames in blocks(ds["frames"].variable):
            known = np.isfinite(frames)
            total += np.where(known, frames, 0).sum(axis=0, dtype=np.float64)
            count += known.sum(axis=0)
    if total is None or count is None:
        raise RecordingError("baselines: no recordings; give at least one")
    return ratio(total, count)


def _modes(recordings: Iterable[xr.Dataset], mean: np.ndarray) -> np.ndarray:
    """Orthonormal modes (mode, pixel) of frames that are drawn evenly."""
    drawn = [_away(frames, mean) for _, _, _, frames in sampled(recordings, FRAMES)]
    _, size, modes = np.linalg.svd(np.concatenate(drawn), full_matrices=False)
    return np.asarray(modes[: min(MODES, int((size > 1e-9 * max(size[0], 1e-300)).sum()))])


def _normal(recordings: Iterable[xr.Dataset], mean: np.ndarray, modes: np.ndarray) -> tuple[np.ndarray, ColumnTable]:
    """The sums of products of (amplitudes, controls, 1, amplitudes a step later), and what the controls are."""
    square, table = None, ColumnTable(())
    for ds in recordings:
        table = recording.control_table(ds)
        view, controls = ds["view"].values, table.encoded(controls_of(ds))[0]
        fine = (view[1:] == view[:-1]).all(axis=1) & ~np.isnan(controls[:-1]).any(axis=1)
        last = np.empty((0, len(modes)))  # of the block before, which the first frame of this one follows
        for start, frames in blocks(ds["frames"].variable):
            amplitude = np.concatenate([last, _away(frames, mean) @ modes.T])
            steps, last = slice(start - len(last), start + len(frames) - 1), amplitude[-1:]
            parts = [amplitude[:-1], controls[steps], np.ones((len(amplitude) - 1, 1)), amplitude[1:]]
            both = np.concatenate(parts, axis=1)[fine[steps]]
            square = both.T @ both if square is None else square + both.T @ both
    ones = 0 if square is None else len(square) - len(modes) - 1
    if square is None or not square[ones, ones]:
        raise RecordingError("baselines: no step with known controls and a field of view that stands still")
    return square, table


def _away(frames: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Frames less their mean : (frame, pixel) float64, 0 where one is unknown."""
    away = frames.reshape(len(frames), -1) - mean
    away[~np.isfinite(away)] = 0
    return away
