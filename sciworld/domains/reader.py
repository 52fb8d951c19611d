"""States read from frames: ridge regressions that are fitted on recordings in which they were known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.errors import RecordingError
from sciworld.lazy import block_rows
from sciworld.tensors import cast, constant

APART = 5  # one recording in so many is left out of a fit, to tell its error

Features = Callable[[np.ndarray], np.ndarray]  # of frames (..., y, x, channel) : (..., feature)


@dataclass(frozen=True, eq=False)
class Reader:
    """States as a linear function of features of a frame.

    Parameters
    ----------
    names : (state,) what is read. features : of frames (..., y, x, channel) : (..., feature).
    weights : (feature, state). offset : (state,).
    error : (state,) root mean square on recordings that were left out of the fit, NaN without any.
    """

    names: tuple[str, ...]
    features: Features
    weights: np.ndarray
    offset: np.ndarray
    error: np.ndarray

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """The states : (..., state), of frames (..., y, x, channel); tensors of tensors, where features are so, too."""
        features = self.features(frames)
        states: np.ndarray = features @ constant(self.weights, features) + constant(self.offset, features)
        return states


@dataclass(frozen=True, eq=False)
class Labelled:
    """Frames whose states are known.

    Parameters
    ----------
    names : (state,). of : what makes features of frames. features : (n, feature). values : (n, state). number : (n,)
        which of the `recordings` a frame is of.
    """

    names: tuple[str, ...]
    of: Features
    features: np.ndarray
    values: np.ndarray
    number: np.ndarray
    recordings: int

    def __len__(self) -> int:
        return len(self.number)

    def left(self, apart: int = APART) -> np.ndarray:
        """Which are left out of a fit, those of every so many-th recording : (n,) bool; none for 0."""
        return self.number % apart == apart - 1 if apart else np.zeros(len(self), dtype=bool)

    def fit(self, ridge: float, apart: int = APART, alike: bool = False) -> Reader:
        """Ridge regression of the states on the features.

        ridge : of the mean square of a feature, which is centred and divided by its standard deviation, or, if they are
        `alike`, by that of all features. apart : every so many-th recording is left out to tell the error; 0 is none.
        """
        left = self.left(apart)
        x, y = (values[~left] if apart else values for values in (self.features, self.values))
        mean = x.mean(axis=0)
        scale = np.full_like(mean, float(x.std()) or 1.0) if alike else x.std(axis=0) + 1e-9
        z, offset = (x - mean) / scale, y.mean(axis=0)
        normal = z.T @ z
        normal[np.diag_indices_from(normal)] += ridge * len(z)
        weights = np.linalg.solve(normal, z.T @ (y - offset)) / scale[:, None]
        offset = offset - mean @ weights
        wrong = self.features[left] @ weights + offset - self.values[left]
        error = np.sqrt((wrong**2).mean(axis=0)) if left.any() else np.full(len(offset), np.nan)
        return Reader(self.names, self.of, weights, offset, error)


def labelled(
    recordings: Iterable[xr.Dataset],
    names: tuple[str, ...],
    features: Features,
    most: int | None = None,
    near: float = np.inf,
) -> Labelled:
    """Features of the recorded frames whose states called `names` are all known, and nearer to 0 than `near`.

    most : about how many frames, evenly from all recordings; None is all. The recordings are gone through twice, their
    frames once. Raises RecordingError where one lacks a state, or none is known.
    """
    known = [measured(ds, names) for ds in recordings]
    share = None if most is None else -(-most // max(len(known), 1))
    found, values, number = [], [], []
    for index, (ds, states) in enumerate(zip(recordings, known, strict=True)):
        rows = np.flatnonzero((np.abs(states) < near).all(axis=1))
        if share is not None:
            rows = rows[:: max(1, -(-len(rows) // share))]
        if len(rows):
            found.append(np.concatenate([features(frames) for frames in _frames(ds, rows)]))
            values.append(states[rows].astype(found[-1].dtype))
            number.append(np.full(len(rows), index))
    if not found:
        bound = f" within {near:g} of 0" * bool(np.isfinite(near))
        raise RecordingError(
            f"no frame of {len(known)} recordings has {' and '.join(names)}{bound}; record more of them"
        )
    x, y, of = (np.concatenate(one) for one in (found, values, number))
    return Labelled(names, features, x, y, of, len(known))


def _frames(ds: xr.Dataset, rows: np.ndarray) -> Iterator[np.ndarray]:
    """The frames in `rows`, which increase, in blocks: of a recording in a file no more is in memory at once."""
    frames = ds["frames"].variable
    size = block_rows(frames)
    for block in np.split(rows, np.flatnonzero(np.diff(rows // size)) + 1):
        yield frames[block[0] : block[-1] + 1].values[block - block[0]]


def measured(ds: xr.Dataset, names: tuple[str, ...]) -> np.ndarray:
    """The states of a recording that are called `names` : (time, state), NaN where unknown. Raises RecordingError."""
    there = recording.table(ds, "states").names if "states" in ds else ()
    missing = [name for name in names if name not in there]
    if missing:
        raise RecordingError(
            f"{ds.attrs['session']}: its states have no '{missing[0]}', from which it is learned how to read it from "
            "frames; use recordings in which it was measured"
        )
    return np.asarray(ds["states"].values[:, [there.index(name) for name in names]])


def pixels(frames: np.ndarray) -> np.ndarray:
    """The pixels themselves as features : (..., y * x * channel) float32, of frames (..., y, x, channel)."""
    features: np.ndarray = cast(frames, "float32").reshape(*frames.shape[:-3], -1)
    return features


def block_means(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Means over blocks of so many pixels : (..., y // height, x // width, channel), of frames (..., y, x, channel).

    What is left over at the end is left out.
    """
    *lead, y, x, channel = frames.shape
    rows, columns = y // height, x // width
    cut = frames[..., : rows * height, : columns * width, :]
    return np.asarray(cut.reshape(*lead, rows, height, columns, width, channel).mean(axis=(-4, -2)))
