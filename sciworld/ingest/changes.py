"""What changed from frame to frame of a recording, measured while its frames pass by once."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import COLOURS
from sciworld.kernels.change import compare, shrink
from sciworld.lazy import blocks

SIDE = 80  # pixels to which a frame is shrunk at least: an image's motion is told by far fewer than it has
MOST, RUN = 2000, 200  # gaps that are looked at, in runs of consecutive ones
STRENGTH = 5.0  # standard deviations from which on brightness moved


class Changes:
    """What changed between frames t and t+1; NaN where nothing moved, the field of view did, or it was not looked at.

    Parameters
    ----------
    ds : the recording; its frames are given by `add`, block by block.

    energy : (gap,) logarithm of how much changed.
    left, arrived : (gap, 2) x and y from where and to where brightness moved, by frame ("pixel", "lab").
    moved : (gap, 2) columns and rows by which the whole image moved, in pixels.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        variable, view = ds.variables["frames"], ds["view"].values
        t, (y, x) = variable.shape[0], variable.shape[-3:-1]
        self._factor = max(1, max(y, x) // SIDE)
        channels = recording.channel_table(ds)
        self._colour = channels.names == COLOURS
        self._counts = np.array([column.units == "counts" and not self._colour for column in channels])
        self._view, self._next, self._last = view, 0, np.empty((0, 0, 0))
        # Half a pixel of drift is no move of the field of view.
        corner = np.array([[0, 0, 1], [x - 1, 0, 1], [0, y - 1, 1]]).T
        place = np.einsum("tij,jk->tik", view.reshape(t, 2, 3), corner)
        pixel = np.sqrt(np.abs(view[:, 0] * view[:, 4] - view[:, 1] * view[:, 3]))
        still = np.abs(np.diff(place, axis=0)).max(axis=(1, 2)) <= 0.5 * pixel[1:]
        runs = -(-(t - 1) // MOST)
        self._wanted = np.append(still & (np.arange(t - 1) // RUN % max(1, runs) == 0), False)
        self.energy, self._ends = np.full(t - 1, np.nan), np.full((t - 1, 2, 2), np.nan)
        self.moved = np.full((t - 1, 2), np.nan)

    def add(self, block: np.ndarray) -> None:
        """The next frames : (n, y, x, channel) or (n, z, y, x, channel)."""
        for frame in block:
            number, self._next = self._next, self._next + 1
            before = number > 0 and self._wanted[number - 1]
            if not (before or self._wanted[number]):
                continue
            image = self._shrunk(frame)
            if before:
                self._measure(number - 1, self._last, image)
            self._last = image

    @property
    def left(self) -> dict[str, np.ndarray]:
        """From where brightness moved."""
        return self._places(0)

    @property
    def arrived(self) -> dict[str, np.ndarray]:
        """To where brightness moved."""
        return self._places(1)

    def _shrunk(self, frame: np.ndarray) -> np.ndarray:
        if frame.ndim == 4:
            frame = frame.mean(axis=0)
        frame, columns, counts = np.ascontiguousarray(frame), self._factor, self._counts
        if self._colour:  # brightness is enough: colours lie beside each other, and are averaged as pixels are
            frame, columns, counts = frame.reshape(len(frame), -1, 1), columns * frame.shape[-1], counts[:1]
        image: np.ndarray = shrink(frame, self._factor, columns, counts)
        return image

    def _measure(self, gap: int, before: np.ndarray, after: np.ndarray) -> None:
        total, strongest, most = 0.0, STRENGTH, -1.0
        for first, second in zip(before, after, strict=True):
            energy, strength, ends, moved = compare(first, second)
            total += energy
            if strength > strongest:
                strongest, self._ends[gap] = strength, self._factor * ends + (self._factor - 1) / 2
            if energy > most:
                most, self.moved[gap] = energy, self._factor * moved
        self.energy[gap] = math.log(total) if total > 0 and math.isfinite(total) else math.nan

    def _places(self, side: int) -> dict[str, np.ndarray]:
        places = self._ends[:, side]
        whole = np.concatenate([places, np.ones((len(places), 1))], axis=1)
        lab = np.einsum("tij,tj->ti", self._view[:-1].reshape(-1, 2, 3), whole)
        return {"pixel": places, "lab": lab}


def changes_of(ds: xr.Dataset) -> Changes:
    """The changes of a recording, read in blocks."""
    found = Changes(ds)
    for _, block in blocks(ds.variables["frames"]):
        found.add(block)
    return found
