"""What any model has to beat: guesses that nobody had to train for long.

Each is made from recordings and guesses futures of frames (row, y, x, channel) under controls (row, step, control) :
(row, step, y, x, channel) float64, in the units of the frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld.errors import RecordingError

FRAMES = 1000  # at most, evenly from all recordings, from which modes are found
MODES = 32
RIDGE = 1e-4  # of the mean square of what is regressed on


@dataclass(frozen=True)
class Persistence:
    """Nothing changes: the present, again and again."""

    def futures(self, present: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """See the module."""
        return np.repeat(np.asarray(present, dtype=np.float64)[:, None], controls.shape[1], axis=1)


@dataclass(frozen=True, eq=False)
class Climatology:
    """The mean frame of all recordings, whatever was seen. mean : (y, x, channel)."""

    mean: np.ndarray

    @classmethod
    def fit(cls, recordings: Iterable[xr.Dataset]) -> Climatology:
        """The mean over all frames. Raises RecordingError without any, or where frames differ in shape."""
        total, count = None, 0
        for ds in recordings:
            frames = ds["frames"].values
            here = frames.sum(axis=0, dtype=np.float64)
            if total is not None and total.shape != here.shape:
                raise RecordingError(
                    f"climatology: frames of {here.shape} after {total.shape}; give frames of one shape"
                )
            total, count = (here if total is None else total + here), count + len(frames)
        if total is None:
            raise RecordingError("climatology: no recordings; give at least one")
        return cls(total / count)

    def futures(self, present: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """See the module."""
        return np.broadcast_to(self.mean, (len(present), controls.shape[1], *self.mean.shape)).copy()


@dataclass(frozen=True, eq=False)
class Linear:
    """Dynamic mode decomposition, with control or blind to it: modes of the frames whose amplitudes step linearly.

    z' = A z + B u + c in the amplitudes z of up to 32 modes of largest variance, by least squares: Proctor, Brunton and
    Kutz, SIAM J. Appl. Dyn. Syst. 15, 142 (2016). What the modes leave out of the present stays as it is.

    Parameters
    ----------
    mean : (pixel,), modes : (mode, pixel) orthonormal, of frames as one row. step : (mode + control + 1, mode), the
        rows of A, B and c. heeds : whether B is there.
    """

    mean: np.ndarray
    modes: np.ndarray
    step: np.ndarray
    heeds: bool

    @classmethod
    def fit(cls, recordings: Iterable[xr.Dataset], heeds: bool = True) -> Linear:
        """Fit on all steps whose controls are known and whose field of view stands still.

        recordings : anything that can be gone through twice, such as a store. Raises RecordingError where there is no
        such step, or frames differ in shape.
        """
        mean, modes = _modes(recordings)
        square: np.ndarray | None = None
        for ds in recordings:
            rows, after = _steps(ds, mean, modes, heeds)
            both = np.concatenate([rows, after], axis=1)
            square = both.T @ both if square is None else square + both.T @ both
        known = len(modes)
        if square is None or not square[-known - 1, -known - 1]:
            raise RecordingError("linear: no step with known controls and a field of view that stands still")
        left, right = square[:-known, :-known], square[:-known, -known:]
        sizes = np.maximum(np.diag(left), 1e-300)
        return cls(mean, modes, np.linalg.solve(left + np.diag(RIDGE * sizes), right), heeds)

    def futures(self, present: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """See the module."""
        n, steps = controls.shape[:2]
        flat = np.asarray(present, dtype=np.float64).reshape(n, -1) - self.mean
        now = flat @ self.modes.T
        rest = flat - now @ self.modes + self.mean
        found = np.empty((n, steps, flat.shape[1]))
        for step in range(steps):
            given = [controls[:, step]] if self.heeds else []
            now = np.concatenate([now, *given, np.ones((n, 1))], axis=1) @ self.step
            found[:, step] = rest + now @ self.modes
        return found.reshape(n, steps, *present.shape[1:])


def _modes(recordings: Iterable[xr.Dataset]) -> tuple[np.ndarray, np.ndarray]:
    """The mean (pixel,) and orthonormal modes (mode, pixel) of frames that are drawn evenly."""
    shares = [ds.sizes["time"] for ds in recordings]
    every = max(1, -(-sum(shares) // FRAMES))
    drawn = [ds["frames"].values[::every].copy() for ds in recordings]  # no view, which would hold the whole recording
    if not drawn or len({one.shape[1:] for one in drawn}) > 1:
        raise RecordingError("linear: give recordings with frames of one shape, one at least")
    frames = np.concatenate(drawn).reshape(sum(map(len, drawn)), -1).astype(np.float64)
    if not np.isfinite(frames).all():
        raise RecordingError("linear: frames are not all finite; leave out recordings with unknown pixels")
    mean = frames.mean(axis=0)
    _, size, modes = np.linalg.svd(frames - mean, full_matrices=False)
    return mean, modes[: min(MODES, int((size > 1e-9 * max(size[0], 1e-300)).sum()))]


def _steps(ds: xr.Dataset, mean: np.ndarray, modes: np.ndarray, heeds: bool) -> tuple[np.ndarray, np.ndarray]:
    """What is regressed on (step, mode + control + 1), and the amplitudes after it (step, mode)."""
    frames, view = ds["frames"].values, ds["view"].values
    flat = frames.reshape(len(frames), -1).astype(np.float64) - mean
    amplitude = flat @ modes.T
    controls = ds["controls"].values if "controls" in ds else np.empty((len(frames), 0))
    fine = (view[1:] == view[:-1]).all(axis=1) & ~np.isnan(controls[:-1]).any(axis=1)
    parts = [amplitude[:-1], *([controls[:-1]] if heeds else []), np.ones((len(frames) - 1, 1))]
    return np.concatenate(parts, axis=1)[fine], amplitude[1:][fine]
