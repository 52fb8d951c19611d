"""What may be wrong with a recording, told while its frames pass by once: stillness, repeats, saturation."""

from __future__ import annotations

import numpy as np

from sciworld.controls import ColumnTable
from sciworld.errors import RecordingError
from sciworld.kernels.quality import climb, measure, measure_bytes
from sciworld.measures.known import floats, plain

STATIC = 0.02  # of a channel's spread: a mean change up to this is what the noise of a camera or a codec leaves
ROWS = 33_000  # of which squares of uint8 have a sum in 32 bits
LARGE, SCALE = 1e140, 2.0**-540  # numbers from which on sums of squares overflow; what brings them back, exactly
STEP = 0.1  # of the range of values: a step at its end that only data of few levels take
UNKNOWN = "quality_unknown_controls"
VARIANCE = "quality_variance_"


class Quality:
    """Measures of the frames that are added, whatever the blocks they come in.

    quality_static : share of the gaps between frames in which nothing changed beyond noise: the frames are the same to
        the bit, or the same pixels are finite and in every channel the mean absolute change over them is at most
        STATIC standard deviations of the later frame's channel.
    quality_duplicate : share of the gaps over which the frames are the same to the bit.
    quality_saturated : share of numbers at the top of their range. That is 255 for uint8. For other dtypes it is the
        largest finite value of the recording in the channel, if it is the largest of an integer dtype; or if more
        numbers have it than have the next lower value of the recording, and that is less than STEP of the range below.
        What exceeds a detector's range piles up at its end (4095 of 12 bits), where a maximum met by chance is rarer
        than what is below; flags and few counts go in larger steps. A field that is flat at its maximum cannot be told
        from one that was cut off there.
    quality_not_finite : share of numbers that are NaN or infinite.

    A share of nothing (the gaps of a single frame) is NaN, unknown. Zeros are not counted: no counts are good data.

    Parameters
    ----------
    channels : of a frame. dtype : of the frames: integers or floats of up to 64 bits.

    Raises RecordingError for another dtype.
    """

    def __init__(self, channels: int, dtype: np.dtype | type | str) -> None:
        self._channels, self._dtype = channels, np.dtype(dtype)
        if self._dtype.kind not in "iuf" or self._dtype.itemsize > 8:
            raise RecordingError(f"quality: frames are {self._dtype}; use integers or floats of up to 64 bits")
        # Kernels take no float16, all of whose numbers float32 holds.
        self._wide = np.dtype(np.float32) if self._dtype == np.float16 else self._dtype
        self._full = self._wide.type(np.iinfo(self._dtype).max if self._dtype.kind in "iu" else 0)
        self._last: np.ndarray | None = None
        self._frames = self._numbers = self._absent = self._at_full = self._static = self._repeated = 0
        self._tops, self._counts = np.full((channels, 2), -np.inf), np.zeros((channels, 2), dtype=np.int64)
        self._bottoms = np.full(channels, np.inf)

    def add(self, block: np.ndarray) -> None:
        """The next frames : (n, y, x, channel) or (n, z, y, x, channel). Raises RecordingError for other frames.

        Masked floats are NaN; masked integers have no number that says so, and are refused.
        """
        block = plain(block, "quality: frames")
        if block.dtype != self._dtype or block.ndim not in (4, 5) or block.shape[-1] != self._channels:
            raise RecordingError(
                f"quality: frames {block.shape} {block.dtype}; expected {self._channels} channels of {self._dtype}"
            )
        if not len(block):
            return
        frames = np.ascontiguousarray(block, self._wide).reshape(len(block), -1, block.shape[-2] * block.shape[-1])
        last = frames[0] if self._last is None else self._last
        if self._dtype != np.uint8:
            climb(frames, self._channels, self._tops, self._counts, self._bottoms)
        change, spread, counts = self._measured(frames, last)
        absent, differ, full = counts.T
        same = ~differ.astype(bool)
        repeated = same & (change == 0).all(axis=1)
        for t in np.flatnonzero(repeated):  # what compares as equal may have other bits: -0.0, and what is not finite
            repeated[t] = self._dtype.kind != "f" or _bits(frames[t]) == _bits(frames[t - 1] if t else last)
        static = repeated | (same & (change <= STATIC * spread).all(axis=1))
        first = 1 if self._last is None else 0  # no gap before the first frame of all
        self._static += int(static[first:].sum())
        self._repeated += int(repeated[first:].sum())
        self._absent += int(absent.sum())
        self._at_full += int(full.sum())
        self._frames += len(block)
        self._numbers += block.size
        self._last = frames[-1].copy()

    def _measured(self, frames: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the kernel tells of frames (n, row, column * channel) after `last`; only ratios of change and spread
        are right where numbers are large."""
        kernel = measure_bytes if self._dtype == np.uint8 and frames.shape[1] <= ROWS else measure
        found = kernel(frames, last, self._channels, self._full)
        ends = np.abs([self._tops[:, 0], self._bottoms])
        if (ends[np.isfinite(ends)] > LARGE).any():
            pairs = [(frames[t - 1] if t else last, frame) for t, frame in enumerate(frames)]
            for t, pair in enumerate(pairs):
                if any(np.abs(one[np.isfinite(one)]).max(initial=0.0) > LARGE for one in pair):
                    before, after = (SCALE * one for one in pair)
                    scaled = kernel(after[None], before, self._channels, self._full)
                    found[0][t], found[1][t] = scaled[0][0], scaled[1][0]
        return found

    def end(self) -> None:
        """No frame follows: the last one, to which the next would be compared, need not be kept."""
        self._last = None

    def result(self) -> dict[str, float]:
        """The measures by name."""
        gaps = self._frames - 1
        return {
            "quality_static": _share(self._static, gaps),
            "quality_duplicate": _share(self._repeated, gaps),
            "quality_saturated": _share(self._saturated(), self._numbers),
            "quality_not_finite": _share(self._absent, self._numbers),
        }

    def _saturated(self) -> int:
        if self._dtype == np.uint8:
            return self._at_full
        (top, below), (most, next_most) = self._tops.T, self._counts.T
        at_end = (self._dtype.kind in "iu") & (top == float(self._full))
        step = np.full(self._channels, np.inf)
        # In halves: the difference of the largest numbers there are would be infinite.
        np.subtract(top / 2, below / 2, out=step, where=next_most > 0)
        piled = (most > next_most) & (step < STEP * (top / 2 - self._bottoms / 2))
        return int(most[at_end | piled].sum())


def control_quality(controls: np.ndarray, table: ColumnTable) -> dict[str, float]:
    """Variance of each control over what is known of it, and the share of rows in which one is unknown.

    controls : (time, control) in the units of `table`, NaN or masked where unknown. The last row, after which there is
    no frame, does not count as unknown. Of a categorical control the variance is 1 minus the summed squares of the
    shares of its levels: 0 if it never changed. A control that is known nowhere has the variance NaN, and so has one
    whose variance no float64 holds.
    """
    found, controls = {}, floats(controls, "controls")
    for column, series in zip(table, controls.T, strict=True):
        known = series[np.isfinite(series)]
        if not known.size:
            variance = np.nan
        elif column.kind == "categorical":
            shares = np.unique(known, return_counts=True)[1] / known.size
            variance = 1.0 - np.square(shares).sum()
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                variance = known.var()
            variance = variance if np.isfinite(variance) else np.nan
        found[f"{VARIANCE}{column.name}"] = float(variance)
    rows = controls[:-1]
    return found | {UNKNOWN: _share(int(np.isnan(rows).any(axis=1).sum()), len(rows))}


def _bits(frame: np.ndarray) -> bytes:
    return np.ascontiguousarray(frame).tobytes()


def _share(part: int, whole: int) -> float:
    return part / whole if whole > 0 else float("nan")
