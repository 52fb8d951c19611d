"""Drag and lift read from velocity fields: fitted on recordings in which they were measured."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from sciworld.domains.reader import APART, Reader, labelled
from sciworld.errors import RecordingError
from sciworld.tensors import cast, functions

BLOCK = 4  # pixels along a block over which fields are averaged
RIDGE = 1e-3  # of the mean square of a feature
NAMES = ("drag", "lift")


def fit_reader(recordings: Iterable[xr.Dataset]) -> Reader:
    """What reads drag and lift coefficients as a linear function of block means of u, v, u^2, u v and v^2.

    The forces on a body follow from the momentum that the flow about it carries, which is quadratic in the velocity.
    Fitted on recordings with the states `drag` and `lift`, every fifth left out to tell the error. Raises
    RecordingError where they were not measured, or there are fewer than five recordings.
    """
    told = labelled(recordings, NAMES, products)
    if told.recordings < APART:
        raise RecordingError(f"{told.recordings} recordings; a reader needs five or more")
    return told.fit(RIDGE)


def products(frames: np.ndarray) -> np.ndarray:
    """Block means of u, v and their products : (..., feature) float64, of frames (..., y, x, 2) in m/s."""
    *lead, y, x, _ = frames.shape
    frames = cast(frames, "float64")
    u, v = frames[..., 0], frames[..., 1]
    terms = functions(frames).stack([u, v, u * u, u * v, v * v], axis=-3)
    rows, columns = y // BLOCK, x // BLOCK
    blocks = terms[..., : rows * BLOCK, : columns * BLOCK].reshape(*lead, 5, rows, BLOCK, columns, BLOCK)
    features: np.ndarray = blocks.mean(axis=(-3, -1)).reshape(*lead, 5 * rows * columns)
    return features
