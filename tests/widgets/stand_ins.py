"""Surrogates that know the answer, for views that only show it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import blob
import numpy as np

from sciworld.controls import Column, ColumnTable, ControlSpace, colours

SECONDS = 2.0  # a step
LIGHT = ColumnTable((Column("light", "counts"),))


@dataclass
class Seer(blob.BlobForecaster):
    """Imagines blobs as they are, blurred by `noise` mm."""

    channels: ColumnTable = LIGHT

    @property
    def model(self) -> Any:
        return SimpleNamespace(signature=SimpleNamespace(channels=self.channels))

    def lasts(self, controls: np.ndarray) -> np.ndarray:
        return np.full(controls.shape[:-1], SECONDS)


@dataclass
class Still(Seer):
    """Imagines that every frame is the present, plus the first control."""

    space: ControlSpace = blob.SPACE

    def start(self, history):
        return history[-1].frames.astype(np.float64)

    def futures(self, state, controls, samples, rng):
        n, steps = controls.shape[1:3]
        frames = np.tile(state[:, None, None, None], (1, n, samples, steps, 1, 1, 1))
        return frames + controls[:, :, None, :, None, None, None, 0]


PAINT = Still(channels=colours(3), space=ControlSpace(ColumnTable((Column("tint", "counts", -300.0, 300.0),))))
