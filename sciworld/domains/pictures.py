"""Single pictures in BMP, JPEG, PNG and TIFF, decoded only if they are whole.

A decoder fills what is missing with grey and says nothing, and believes any size that a header states. So each file is
walked before it is decoded: its pixels must all be there, and as many as its bytes can hold.
"""

from __future__ import annotations

import contextlib
import io
import logging
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile

from sciworld.domains.base import reading
from sciworld.domains.media import read_image
from sciworld.errors import FormatError

SUFFIXES = {".bmp": "BMP", ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF"}
HEADS = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG\r\n\x1a\n"}
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
# Compressed, a picture holds at most so many bytes a byte: deflate (RFC 1951) 1032, a BMP's run 255 of 2, a JPEG's
# block of 8 by 8 pixels at least one bit.
DEFLATE, RUN, JPEG = 1032, 128, 512
LZW = 5


def picture_kind(head: bytes) -> str | None:
    """BMP, JPEG, PNG or TIFF, by the first 18 bytes of a file; None if it is none of them."""
    for kind, magic in HEADS.items():
        if head.startswith(magic):
            return kind
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    bmp = head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in BMP_HEADERS
    return "BMP" if bmp else None


def read_picture(path: Path) -> np.ndarray:
    """A picture : (y, x, channel), as stored; a palette of greys is one channel. Raises FormatError naming the file."""
    with reading(path, "a picture"):
        content = path.read_bytes()
        kind = picture_kind(content[:18])
        if kind is None:
            raise FormatError(f"{path}: neither BMP, JPEG, PNG nor TIFF, by what it holds; save it as one of these")
        if kind == "TIFF":
            return _read_tiff(path, content)
        room = _WALKS[kind](content)
        if room is None:
            raise FormatError(f"{path}: a truncated or damaged {kind} file; copy it anew")
        if room < 0:
            raise FormatError(f"{path}: a {kind} file that states more pixels than it can hold; copy it anew")
        return read_image(content)


def _walk_bmp(content: bytes) -> int | None:
    """What is left of the room for pixels, once those that are stated are counted; None if the file is cut."""
    offset, header = struct.unpack_from("<II", content, 10)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
        packing = 0
    else:
        width, height, _, bits, packing = struct.unpack_from("<iiHHI", content, 18)
    if packing in (1, 2):
        return len(content) * RUN - abs(width * height)
    rows = abs(height) * ((abs(width) * bits + 31) // 32 * 4)
    return None if offset + rows > len(content) or not rows else 0


def _walk_jpeg(content: bytes) -> int | None:
    """As `_walk_bmp`: the segments up to the first scan, and the marker of the end somewhere after it."""
    place, pixels = 2, 0
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], struct.unpack_from(">H", content, place + 2)[0]
        if marker == 0xFF:  # filling
            place += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, place + 5)
            pixels = height * width
        place += 2 + length
        if marker == 0xDA:
            whole = pixels > 0 and content.find(b"\xff\xd9", place) >= 0
            return len(content) * JPEG - pixels if whole else None
    return None


def _walk_png(content: bytes) -> int | None:
    """As `_walk_bmp`: every chunk with its checksum, up to the end."""
    place, packed, size = 8, 0, 0
    while place + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        end = place + 8 + length
        if end + 4 > len(content) or zlib.crc32(content[place + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            return None
        if name == b"IHDR":
            width, height, bits, colour = struct.unpack_from(">IIBB", content, place + 8)
            size = width * height * bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 4) // 8
        packed += length if name == b"IDAT" else 0
        if name == b"IEND":
            return packed * DEFLATE - size if packed else None
        place = end + 4
    return None


_thread = threading.local()
_WALKS: dict[str, Callable[[bytes], int | None]] = {"BMP": _walk_bmp, "JPEG": _walk_jpeg, "PNG": _walk_png}


def _read_tiff(path: Path, content: bytes) -> np.ndarray:
    """The one page of a TIFF file : (y, x, channel), its numbers as stored."""
    with quiet(), tifffile.TiffFile(io.BytesIO(content)) as file:
        if len(file.pages) != 1:
            raise FormatError(
                f'{path}: {len(file.pages)} pages; a file of several is a movie: read it with "stem:.tif"'
            )
        page = file.pages.first
        ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if not ends or max(ends) > len(content):
            raise FormatError(f"{path}: truncated, its pixels would end beyond its {len(content)} bytes; copy it anew")
        if page.size * page.bitspersample // 8 > sum(page.databytecounts) * (1 if page.compression == 1 else DEFLATE):
            raise FormatError(f"{path}: states more pixels than it can hold; it is damaged: copy it anew")
        if page.axes not in ("YX", "YXS"):
            raise FormatError(f"{path}: axes {page.axes}; a picture has (y, x), and its colours last")
        # tifffile needs another package for these; FFmpeg would turn white to black where 0 is said to be white.
        foreign = page.photometric in (1, 2) and (page.compression == LZW or page.bitspersample % 8)
        pixels = read_image(content) if foreign else page.asarray()
    return pixels if pixels.ndim == 3 else pixels[..., None]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What tifffile logs of a damaged file is said by the error that follows."""
    tifffile.logger().addFilter(_unless_quiet)  # once: the same filter again is none more
    before = getattr(_thread, "quiet", False)
    _thread.quiet = True
    try:
        yield
    finally:
        _thread.quiet = before


def _unless_quiet(record: logging.LogRecord) -> bool:
    """Not by the logger's own switch, which other threads that read pictures would turn as well."""
    return not getattr(_thread, "quiet", False)
