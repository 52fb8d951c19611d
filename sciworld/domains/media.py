"""Pictures and video as arrays: decoded by PyAV, in the order in which they were coded, only when they are used."""

from __future__ import annotations

import contextlib
import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from sciworld.errors import FormatError
from sciworld.lazy import Key, lazy

OPEN_VIDEOS = 4  # decoders that a process keeps, each where it last stood


def read_image(source: Path | bytes) -> np.ndarray:
    """A picture : (y, x, channel) uint8 or uint16, with 1 channel if it is grey and 3 (red, green, blue) if not.

    A palette of greys counts as grey. source : a file, or its content. Transparency is dropped.
    Raises whatever PyAV does; readers turn that into FormatError.
    """
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source), mode="r") as container:
        frame = next(container.decode(video=0))
        return _pixels(frame, _layout(frame.format))


@dataclass(frozen=True)
class Video:
    """A video whose frames stay in their file.

    Parameters
    ----------
    frames : lazy (time, y, x, channel) uint8 or uint16: 1 grey channel or 3 of red, green, blue.
    time : (time,) float64 s, when each is shown, from the file; counted by its rate if it states none.
    rate : mean frames a second that the file states, None if it states none.
    note : one clause for a history: codec, layout of pixels, where the times are from.
    """

    frames: Any
    time: np.ndarray
    rate: float | None
    note: str


def open_video(path: Path, rate: float | None = None) -> Video:
    """Open a video of any container and codec that FFmpeg knows; packets are listed, nothing is decoded.

    rate : frames a second, for a raw stream that states no times.
    Raises FormatError, also if there is no frame, or no way to tell the times.
    """
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise FormatError(f"{path}: no video in it; name the file that has the frames")
        stream = container.streams.video[0]
        stamps = [packet.pts for packet in container.demux(stream) if packet.size and not packet.is_discard]
        base, frequency = stream.time_base, stream.average_rate or stream.guessed_rate
        stated = float(frequency) if frequency else None
        codec = stream.codec_context
        layout = _layout(codec.format) if codec.format else None
        width, height = codec.width, codec.height
    if not stamps or layout is None or not (width and height):
        raise FormatError(f"{path}: a video without frames; it was cut off, or never closed: copy it anew")
    known = all(stamp is not None for stamp in stamps) and base is not None
    # Packets come in the order of decoding, times are wanted in that of showing.
    ticks = np.sort(np.array(stamps, dtype=np.int64)) if known else np.arange(len(stamps))
    if known and (np.diff(ticks) <= 0).any():
        at = int(np.argmax(np.diff(ticks) <= 0))
        raise FormatError(f"{path}: frames {at} and {at + 1} have the same time; encode it anew, e.g. with ffmpeg")
    if known and base is not None:
        time, origin = ticks * float(base), "times from the file"
    elif counted := rate or stated:
        time, origin = ticks / counted, f"no times in the file: {counted:g} frames a second"
    else:
        raise FormatError(f"{path}: states neither times nor a rate; give frame_seconds")
    colour, dtype, _ = layout
    shape = (len(ticks), height, width, 3 if colour else 1)
    read = partial(_read_video, path, tuple(ticks.tolist()) if known else None)
    note = f"decoded {codec.name} {codec.pix_fmt} as {'red, green, blue' if colour else 'grey'}, {origin}"
    return Video(lazy(path, shape, dtype, read), time, stated, note)


def _layout(pixels: Any) -> tuple[bool, np.dtype, str]:
    """Whether a pixel format has colours, the dtype that holds it without loss, and FFmpeg's name for that."""
    bits = max((component.bits for component in pixels.components), default=8)
    colour = pixels.has_palette or len([c for c in pixels.components if not c.is_alpha]) > 1
    if bits > 8:
        return colour, np.dtype(np.uint16), "rgb48le" if colour else "gray16le"
    return colour, np.dtype(np.uint8), "rgb24" if colour else "gray"


def _pixels(frame: Any, layout: tuple[bool, np.dtype, str]) -> np.ndarray:
    pixels: np.ndarray = frame.to_ndarray(format=layout[2])
    if pixels.ndim == 2:
        return pixels[..., None]
    if frame.format.has_palette and (pixels[..., :1] == pixels[..., 1:]).all():
        return pixels[..., :1]
    return pixels


class _Decoder:
    """A video that is decoded forwards; `at` is the number of the frame that comes next.

    ticks : when each frame is shown, in ticks of the stream; None if the file does not say.
    """

    def __init__(self, path: Path, ticks: tuple[int, ...] | None) -> None:
        self._path, self._ticks, self.lock = path, ticks, threading.Lock()
        self.at = 0
        self._open()

    def read(self, numbers: range) -> np.ndarray:
        """The frames `numbers`, in increasing order : (time, y, x, channel)."""
        if numbers.start < self.at:
            self._back(numbers.start)
        found = []
        for frame in self._frames:
            number, self.at = self.at, self.at + 1
            if number in numbers:
                found.append(_pixels(frame, _layout(frame.format)))
            if self.at > numbers[-1]:
                break
        if len(found) < len(numbers):
            raise FormatError(
                f"{self._path}: frame {numbers[len(found)]} cannot be decoded, the file promises more than it holds; "
                "copy it anew"
            )
        return np.stack(found)

    def close(self) -> None:
        self._container.close()

    def _open(self) -> None:
        self._container = av.open(str(self._path))
        stream = self._container.streams.video[0]
        self._frames: Iterator[Any] = iter(self._container.decode(stream))
        self.at = 0

    def _back(self, number: int) -> None:
        """Go to a key frame at or before `number`."""
        if self._ticks is not None:
            stream = self._container.streams.video[0]
            with contextlib.suppress(av.FFmpegError):
                self._container.seek(self._ticks[number], stream=stream, backward=True)
                frames = iter(self._container.decode(stream))
                first = next(frames, None)
                if first is not None and first.pts is not None and first.pts in self._ticks[: number + 1]:
                    self.at = self._ticks.index(first.pts)
                    self._frames = _chained(first, frames)
                    return
        self.close()
        self._open()


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


_decoders: OrderedDict[tuple[str, int, int], _Decoder] = OrderedDict()
_lock = threading.Lock()


def _read_video(path: Path, ticks: tuple[int, ...] | None, key: Key) -> np.ndarray:
    """A block of the frames. Blocks that follow each other are decoded once, from beginning to end."""
    facts = path.stat()
    name = (str(path), facts.st_mtime_ns, facts.st_size)
    with _lock:
        decoder = _decoders.pop(name, None) or _Decoder(path, ticks)
        _decoders[name] = decoder
        while len(_decoders) > OPEN_VIDEOS:
            _decoders.popitem(last=False)[1].close()
    which, rest = key[0], key[1:]
    numbers = range(which, which + 1) if isinstance(which, int) else range(which.start, which.stop, which.step or 1)
    forward = numbers if numbers.step > 0 else numbers[::-1]
    with decoder.lock:
        try:
            frames = decoder.read(forward)
        except Exception:
            with _lock:
                _decoders.pop(name, None)
            raise
    frames = frames if numbers.step > 0 else frames[::-1]
    return frames[(0 if isinstance(which, int) else slice(None), *rest)]
