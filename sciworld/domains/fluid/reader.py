"""Drag and lift read from velocity fields: a reader that is fitted on recordings in which they were measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.errors import RecordingError

BLOCK = 4  # pixels along a block over which fields are averaged
RIDGE = 1e-3  # of the mean square of a feature
NAMES = ("drag", "lift")


@dataclass(frozen=True, eq=False)
class WakeReader:
    """Drag and lift coefficients as a linear function of block means of u, v, u^2, u v and v^2.

    The forces on a body follow from the momentum that the flow about it carries, which is quadratic in the velocity.

    Parameters
    ----------
    mean, scale : (feature,) by which features are centred and divided. weights : (feature, 2), offset : (2,).
    error : (2,) root mean square of drag and lift on recordings that were left out of the fit.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    error: np.ndarray

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Drag and lift coefficients : (..., 2), of frames (..., y, x, 2) in m/s."""
        return np.asarray((_features(frames) - self.mean) / self.scale @ self.weights + self.offset)


def fit_reader(recordings: Iterable[xr.Dataset]) -> WakeReader:
    """Fit on recordings with the states `drag` and `lift`, every fifth left out to tell the error.

    Raises RecordingError where they were not measured, or there are fewer than five recordings.
    """
    features, values, number = [], [], []
    for index, ds in enumerate(recordings):
        coefficients = measured(ds)
        known = np.isfinite(coefficients).all(axis=1)
        features.append(_features(ds["frames"].values[known]))
        values.append(coefficients[known])
        number.append(np.full(int(known.sum()), index))
    if len(features) < 5:
        raise RecordingError(f"{len(features)} recordings; a reader needs five or more")
    x, y, out = np.concatenate(features), np.concatenate(values), np.concatenate(number) % 5 == 4
    mean, scale = x[~out].mean(axis=0), x[~out].std(axis=0) + 1e-9
    z, offset = (x - mean) / scale, y[~out].mean(axis=0)
    normal = z[~out].T @ z[~out] / (~out).sum() + RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(normal, z[~out].T @ (y[~out] - offset) / (~out).sum())
    error = np.sqrt(((z[out] @ weights + offset - y[out]) ** 2).mean(axis=0))
    return WakeReader(mean, scale, weights, offset, error)


def measured(ds: xr.Dataset) -> np.ndarray:
    """The drag and lift coefficients of a recording : (time, 2), NaN where unknown. Raises RecordingError."""
    table = recording.table(ds, "states")
    if not set(NAMES) <= set(table.names):
        raise RecordingError(f"{ds.attrs['source']}: no states drag and lift; a reader is fitted on what was measured")
    return np.asarray(ds["states"].values[:, [table.index(name) for name in NAMES]])


def _features(frames: np.ndarray) -> np.ndarray:
    """Block means of u, v and their products : (..., feature) float64."""
    *lead, y, x, _ = frames.shape
    u, v = np.moveaxis(np.asarray(frames, dtype=np.float64), -1, 0)
    products = np.stack([u, v, u * u, u * v, v * v], axis=-3)
    rows, columns = y // BLOCK, x // BLOCK
    blocks = products[..., : rows * BLOCK, : columns * BLOCK].reshape(*lead, 5, rows, BLOCK, columns, BLOCK)
    return np.asarray(blocks.mean(axis=(-3, -1)).reshape(*lead, 5 * rows * columns))
