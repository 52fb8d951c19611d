"""Frames as LeRobot data sets hold them: eight bits of three colours in videos, or pictures; and their statistics."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from sciworld.errors import SettingsError
from sciworld.measures.moments import Moments

PNG = {("uint8", 1): "gray", ("uint8", 3): "rgb24", ("uint16", 1): "gray16be", ("uint16", 3): "rgb48be"}


@dataclass(frozen=True)
class Pixels:
    """How frames become what is written.

    Parameters
    ----------
    scale : the values that become 0 and 255; None for frames that are written as they are.
    lossless : whether pictures (PNG) are written, not video.
    """

    scale: tuple[float, float] | None
    lossless: bool

    def __post_init__(self) -> None:
        scale = self.scale
        if scale is not None and not (len(scale) == 2 and np.isfinite(scale).all() and scale[0] < scale[1]):
            raise SettingsError(f"scale is {scale}; give a low and a higher finite number")

    def require_fit(self, shape: tuple[int, ...], dtype: np.dtype, where: str) -> None:
        """Raise SettingsError unless frames fit into what is written."""
        if len(shape) != 3:
            raise SettingsError(f"{where} is {shape}; LeRobot has no depth axis: choose one plane, e.g. isel(z=0)")
        height, width, channels = shape
        if self.scale is not None and channels > 3:
            raise SettingsError(
                f"{where} has {channels} channels, colours are 3; choose at most 3, with isel(channel=...)"
            )
        fits = (dtype.name, channels) in PNG if self.lossless else (dtype.name, channels) == ("uint8", 3)
        if self.scale is None and not fits:
            held = "8 or 16 bits, grey or three colours" if self.lossless else "8 bits of three colours"
            raise SettingsError(
                f"{where} is {dtype} of {channels} channels, and LeRobot's {'pictures' if self.lossless else 'video'} "
                f"hold {held}; give scale=(low, high), which loses precision, or export to another format"
            )
        if not self.lossless and (height % 2 or width % 2):
            raise SettingsError(
                f"{where} has {height} x {width} pixels, video needs even numbers; crop it, or use lossless"
            )

    def written(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[tuple[int, ...], np.dtype]:
        """The shape and dtype of a frame as it is written."""
        return (shape, dtype) if self.scale is None else ((*shape[:2], 3), np.dtype(np.uint8))

    def convert(self, block: np.ndarray, where: str) -> tuple[np.ndarray, int]:
        """Frames as they are written : (time, y, x, channel), and how many values were clipped.

        Raises SettingsError for pixels that are not finite, where they are scaled.
        """
        if self.scale is None:
            return block, 0
        if not np.isfinite(block).all():
            raise SettingsError(f"{where}: has pixels that are not finite, which no colour shows; fill them first")
        low, high = self.scale
        scaled = np.rint((block.astype(np.float64) - low) / (high - low) * 255)
        clipped = int(((scaled < 0) | (scaled > 255)).sum())
        pixels = np.clip(scaled, 0, 255).astype(np.uint8)
        if pixels.shape[-1] == 1:
            return np.repeat(pixels, 3, axis=-1), clipped
        blank = np.zeros((*pixels.shape[:-1], 3 - pixels.shape[-1]), dtype=np.uint8)
        return np.concatenate([pixels, blank], axis=-1), clipped


def png(pixels: np.ndarray) -> bytes:
    """A picture : (y, x, channel) of a dtype and channels in PNG, as a file's content, without loss."""
    height, width, channels = pixels.shape
    layout = PNG[pixels.dtype.name, channels]
    whole = np.ascontiguousarray(pixels[..., 0] if channels == 1 else pixels)
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, layout
    encoder.time_base, encoder.thread_count = Fraction(1), 1
    frame = av.VideoFrame.from_ndarray(whole, format=layout)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def stated(moments: Moments, rows: int, pixels: bool, unit: float) -> dict[str, list[Any]]:
    """Statistics as LeRobot has them, of so many rows: of pixels each channel is (1, 1), in units of `unit`.

    NaN where nothing is known.
    """
    known = moments.count > 0
    found = {"min": moments.low, "max": moments.high, "mean": moments.mean, "std": moments.deviation()}
    numbers = {name: np.where(known, values, np.nan) / unit for name, values in found.items()}
    shaped = {name: (v.reshape(-1, 1, 1) if pixels else v).tolist() for name, v in numbers.items()}
    return {**shaped, "count": [rows]}
