"""Frames as small pictures, and pictures as PNG within a page."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

SIDE = 160  # pixels: of a thumbnail, along its longer side
ODD = (209, 73, 91)  # the colour of pixels that are not finite
LOST = (84, 84, 84)  # of such in differences, where red is a large number


def thumbnail(frame: np.ndarray) -> np.ndarray:
    """A frame (y, x, channel) as a small one, float64: means of blocks over what is finite; NaN where nothing is."""
    step = max(1, max(frame.shape[:2]) // (4 * SIDE))  # of a large frame a few pixels of each block are enough
    frame = frame[::step, ::step].astype(np.float64)
    factor = -(-max(frame.shape[:2]) // SIDE)
    finite = np.isfinite(frame)

    def total(values: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            values = np.add.reduceat(values, np.arange(0, values.shape[axis], factor), axis)
        return values

    counts = total(finite.astype(np.int64))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # Divided first: a sum of the largest floats is none.
        return np.where(counts > 0, total(np.where(finite, frame, 0) / factor**2) * (factor**2 / counts), np.nan)


def pictures(small: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Thumbnails (n, y, x) or (n, y, x, 3) as pictures (n, y, x, 3) uint8, and the values that are black and white.

    These are 1 % and 99 % of all finite values given. Where one is not finite a pixel is red.
    """
    finite = np.isfinite(small)
    low, high = np.percentile(small[finite], (1, 99)) if finite.any() else (0.0, 1.0)
    span = high / 2 - low / 2  # halves: the span of floats may be too large for one
    bright = (np.where(finite, small, low) / 2 - low / 2) / (span if span > 0 else 1.0)
    shades = np.round(255 * np.clip(bright, 0, 1)).astype(np.uint8)
    if small.ndim == 3:
        shades, finite = np.repeat(shades[..., None], 3, axis=-1), finite[..., None]
    return np.where(finite.all(axis=-1, keepdims=True), shades, np.array(ODD, np.uint8)), float(low), float(high)


def data_uri(picture: np.ndarray) -> str:
    """A picture (y, x, 3) uint8 as a PNG within an address (PNG specification, third edition, section 11)."""
    y, x, _ = picture.shape
    rows = np.concatenate([np.zeros((y, 1), np.uint8), picture.reshape(y, 3 * x)], axis=1)  # 0: no filter
    return _png(x, y, 2, _chunk(b"IDAT", zlib.compress(rows.tobytes())))


def indexed_uri(image: np.ndarray, palette: np.ndarray) -> str:
    """An image (y, x) uint8 of places in a palette (n, 3) uint8, as `data_uri` gives it and about half as long.

    Images without noise are smaller as differences of neighbours (the filter "Sub" of section 9), others as they are.
    """
    y, x = image.shape
    plain = np.concatenate([np.zeros((y, 1), np.uint8), image], axis=1)
    # Differences are modulo 256; the 1 before each row names the filter, the 0 the pixel before the first.
    differences = np.concatenate([np.ones((y, 1), np.uint8), np.diff(image, axis=1, prepend=np.uint8(0))], axis=1)
    content = min((zlib.compress(rows.tobytes(), 9) for rows in (plain, differences)), key=len)
    return _png(x, y, 3, _chunk(b"PLTE", palette.tobytes()) + _chunk(b"IDAT", content))


def _png(x: int, y: int, colour_type: int, chunks: bytes) -> str:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", x, y, 8, colour_type, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunks + _chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
