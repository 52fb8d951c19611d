"""What changed from frame to frame of a recording, measured while its frames pass by once."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import COLOURS
from sciworld.kernels.change import compare, shrink
from sciworld.lazy import blocks

SIDE = 80  # pixels to which a frame is shrunk at least: an image's motion is told by far fewer than it has
MOST, RUN = 2000, 200  # gaps that are looked at, in runs of consecutive ones
FRAMES = 32  # that are looked at together
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
        factor = max(1, max(y, x) // SIDE)
        self._factor = np.array([min(factor, x), min(factor, y)])  # of a line scan, fewer across
        channels = recording.channel_table(ds)
        self._colour = channels.names == COLOURS
        self._counts = np.array([column.units == "counts" and not self._colour for column in channels])
        self._view, self._next = view, 0
        self._size = (1 if self._colour else len(channels), y // self._factor[1], x // self._factor[0])
        # Half a pixel of drift is no move of the field of view.
        corner = np.array([[0, 0, 1], [x - 1, 0, 1], [0, y - 1, 1]]).T
        place = np.einsum("tij,jk->tik", view.reshape(t, 2, 3), corner)
        pixel = np.sqrt(np.abs(view[:, 0] * view[:, 4] - view[:, 1] * view[:, 3]))
        still = np.abs(np.diff(place, axis=0)).max(axis=(1, 2)) <= 0.5 * pixel[1:]
        runs = -(-(t - 1) // MOST)
        self._wanted = np.append(still & (np.arange(t - 1) // RUN % max(1, runs) == 0), False)
        self.energy, self._ends = np.full(t - 1, np.nan), np.full((t - 1, 2, 2), np.nan)
        self.moved = np.full((t - 1, 2), np.nan)
        self._images = self._scratch = np.empty(0)

    def add(self, block: np.ndarray) -> None:
        """The next frames : (n, y, x, channel) or (n, z, y, x, channel)."""
        for start in range(0, len(block), FRAMES):
            self._add(block[start : start + FRAMES])

    def _add(self, frames: np.ndarray) -> None:
        first, self._next = self._next, self._next + len(frames)
        if first == 0:
            # The last image of the frames before and those of the next; their differences. Made once: memory that is
            # new takes the system as long as the images take.
            self._images = np.empty((1 + FRAMES, *self._size))
            self._scratch = np.empty((FRAMES * self._size[0], *self._size[1:]))
        gaps = self._wanted[first : self._next]  # that begin with each frame
        before = bool(first and self._wanted[first - 1])
        looked = gaps | np.append(before, gaps[:-1])
        if looked.any():
            numbers = np.flatnonzero(looked) + first
            self._shrink(frames if looked.all() else frames[looked], self._images[1 : 1 + len(numbers)])
            images = self._images[0 if before else 1 : 1 + len(numbers)]
            numbers = np.append(first - 1, numbers) if before else numbers
            if len(images) > 1:
                self._measure(numbers[:-1], images)
            self._images[0] = images[-1]
        if self._next == len(self._wanted):
            self._images = self._scratch = np.empty(0)  # what was measured may be kept for long

    @property
    def left(self) -> dict[str, np.ndarray]:
        """From where brightness moved."""
        return self._places(0)

    @property
    def arrived(self) -> dict[str, np.ndarray]:
        """To where brightness moved."""
        return self._places(1)

    def _shrink(self, frames: np.ndarray, images: np.ndarray) -> None:
        if frames.ndim == 5:
            with np.errstate(over="ignore", invalid="ignore"):  # infinite, or not a number, where its planes are
                frames = frames.mean(axis=1)
        frames, counts = np.ascontiguousarray(frames), self._counts
        columns, rows = self._factor
        if self._colour:  # brightness is enough: colours lie beside each other, and are averaged as pixels are
            columns, counts = columns * frames.shape[-1], counts[:1]
            frames = frames.reshape(*frames.shape[:2], -1, 1)
        small = frames.dtype.kind in "iu" and frames.dtype.itemsize <= 2  # of which thousands have a sum in 32 bits
        line = np.empty(frames.shape[2] * frames.shape[3], np.int32 if small else np.float64)
        shrink(frames, rows, columns, counts, line, images)

    def _measure(self, numbers: np.ndarray, images: np.ndarray) -> None:
        """Measure those of the gaps that are wanted, between images (1 + gap, channel, y, x) from frames `numbers` on:
        of the channel that tells most."""
        n, channels, *size = images[1:].shape
        pair = (half.reshape(n * channels, *size) for half in (images[:-1], images[1:]))
        found = compare(*pair, self._scratch[: n * channels])
        # Where frames were left out, an image and the next are of no gap.
        wanted = self._wanted[numbers]
        energy, strength, ends, moved = (value.reshape(n, channels, *value.shape[1:])[wanted] for value in found)
        gaps, rows = numbers[wanted], np.arange(int(wanted.sum()))
        strongest = np.where(strength > STRENGTH, strength, -np.inf).argmax(axis=1)
        told = strength[rows, strongest] > STRENGTH
        self._ends[gaps[told]] = self._factor * ends[rows, strongest][told] + (self._factor - 1) / 2
        most = np.where(energy >= 0, energy, -1.0).argmax(axis=1)
        self.moved[gaps] = self._factor * moved[rows, most]
        total = energy.sum(axis=1)
        sure = (total > 0) & np.isfinite(total)
        self.energy[gaps[sure]] = np.log(total[sure])

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
