"""Pictures and video as arrays: decoded by PyAV, in the order in which they were coded, only when they are used."""

from __future__ import annotations

import contextlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from sciworld.errors import FormatError
from sciworld.lazy import Key, lazy

OPEN_VIDEOS = 4  # decoders that a process keeps, each where it last stood
FEW = 4  # frames by which a file may state a longer time than its frames take
MOST_PIXELS = 1 << 26  # of a picture; more are a bomb, as no camera here has them
BOUNDS = {"max_pixels": str(MOST_PIXELS)}
# Containers that only name other files, which are not followed, and streams that do not say where they end.
LISTS = ("concat", "dash", "hls", "imf", "sdp")
ENDLESS = ("h264", "hevc", "m4v", "mpegvideo", "obu")
FAR = 64  # frames ahead from which a key frame is looked for, in place of decoding all between


def read_image(source: Path | bytes) -> np.ndarray:
    """A picture : (y, x, channel) uint8 or uint16, with 1 channel if it is grey and 3 (red, green, blue) if not.

    A palette of greys counts as grey. source : a file, or its content. Transparency is dropped.
    Raises EOFError for a JPEG that was cut off, and whatever PyAV does; readers turn that into FormatError.
    """
    content = source if isinstance(source, bytes) else source.read_bytes()
    # FFmpeg paints over what is missing. In the scan itself neither of these two marks can occur.
    if content.startswith(b"\xff\xd8"):
        if content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda"):
            raise EOFError("the JPEG ends before its end mark")
        return _jpeg(content)
    with av.open(io.BytesIO(content), mode="r", options=BOUNDS) as container:
        frame = next(container.decode(video=0))
        return _pixels(frame, _layout(frame.format.name))


def _jpeg(content: bytes) -> np.ndarray:
    """A JPEG without the detour of a container, which takes as long as its pixels do."""
    # A decoder of its own for each: one that is kept would lend its tables to a picture that lacks some.
    decoder = av.CodecContext.create(_mjpeg())
    decoder.thread_count, decoder.options = 1, BOUNDS
    frames = decoder.decode(av.Packet(content))
    if not frames:
        raise EOFError("the JPEG holds no picture")
    return _pixels(frames[0], _layout(frames[0].format.name))


@lru_cache(1)
def _mjpeg() -> Any:
    return av.Codec("mjpeg", "r")


def _picture(file: Path) -> np.ndarray:
    """`read_image`, which raises FormatError naming the file."""
    try:
        return read_image(file)
    except Exception as error:  # a damaged picture may raise anything at all in what decodes it
        raise FormatError(
            f"{file}: cannot be read as a picture ({type(error).__name__}: {error}); it is missing, truncated or "
            "damaged: copy it anew, or take it out of the recording"
        ) from error


def open_images(files: Sequence[Path], read: Callable[[Path], np.ndarray] = _picture) -> Any:
    """Pictures of one shape and dtype as lazy frames (time, y, x, channel), each decoded when it is used.

    read : a file -> its picture (y, x, channel), or FormatError naming it; picklable. The first picture tells what all
    are. Raises FormatError naming the picture that cannot be read, or is another.
    """
    first = read(files[0])
    dtype, names = first.dtype.newbyteorder("="), tuple(map(str, files))
    block = partial(_read_images, read, names, first.shape, dtype)
    return lazy(files[0].parent, (len(files), *first.shape), dtype, block)


def _read_images(
    read: Callable[[Path], np.ndarray], names: tuple[str, ...], shape: tuple[int, ...], dtype: np.dtype, key: Key
) -> np.ndarray:
    """A block of pictures that lie in files of their own."""
    wanted = names[key[0]]
    found = np.empty((len(wanted), *(len(range(size)[one]) for size, one in zip(shape, key[1:], strict=True))), dtype)
    for place, name in zip(found, wanted, strict=True):
        pixels = read(Path(name))
        if pixels.shape != shape or pixels.dtype.newbyteorder("=") != dtype:
            raise FormatError(
                f"{name}: {pixels.shape} {pixels.dtype} where {Path(names[0]).name} has {shape} {dtype}; read them "
                "apart"
            )
        place[:] = pixels[key[1:]]
    return found


@dataclass(frozen=True)
class Video:
    """A video whose frames stay in their file.

    Parameters
    ----------
    frames : lazy (time, y, x, channel) uint8 or uint16: 1 grey channel or 3 of red, green, blue.
    time : (time,) float64 s, when each is shown, from the file; counted by its rate if it states none.
    rate : mean frames a second that the file states, None if it states none.
    note : one clause for a history: codec, layout of pixels, what is missing, where the times are from.
    stated_times : whether the times are from the file.
    """

    frames: Any
    time: np.ndarray
    rate: float | None
    note: str
    stated_times: bool


def open_video(path: Path, rate: float | None = None, at_most: int | None = None) -> Video:
    """Open a video of any container and codec that FFmpeg knows; packets are listed, nothing is decoded.

    rate : frames a second, for a raw stream that states no times. at_most : leave out the frames after so many.
    Raises FormatError, also if there is no frame, or no way to tell the times.
    """
    with _container(path) as container:
        if container.format.name in LISTS:
            raise FormatError(
                f"{path}: a list of other files, which are not followed; name the file that has the frames"
            )
        if not container.streams.video:
            raise FormatError(f"{path}: no video in it; name the file that has the frames")
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        listed = len(packets)
        while packets and packets[-1].is_corrupt:
            packets.pop()
        stamps = [packet.pts for packet in packets]
        codec = stream.codec_context
        if not stamps or codec is None or codec.format is None or not (codec.width and codec.height):
            raise FormatError(f"{path}: a video without frames; it was cut off, or never closed: copy it anew")
        layout = _layout(codec.format.name)
        known = all(stamp is not None for stamp in stamps) and stream.time_base is not None
        # Where a stream has no times, FFmpeg's mean rate is its own: only the codec's is stated.
        frequency = stream.average_rate or stream.guessed_rate if known else codec.framerate
        stated = float(frequency) if frequency else None
        notes = [f"decoded {codec.name} {codec.pix_fmt} as {'red, green, blue' if layout[0] else 'grey'}"]
        notes += _missing(container, listed, stamps if known else [])
        if container.format.name in ENDLESS:
            notes.append("a raw stream, of which the last frame may be cut")
        base, size = stream.time_base, (codec.height, codec.width, 3 if layout[0] else 1)
    if at_most is not None and at_most < len(stamps):
        notes.append(f"only the first {at_most} of {len(stamps)} frames")
    # Packets come in the order of decoding, times are wanted in that of showing.
    ticks = np.sort(np.array(stamps, dtype=np.int64)) if known else np.arange(len(stamps))
    ticks = ticks[:at_most]
    if known and (np.diff(ticks) <= 0).any():
        at = int(np.argmax(np.diff(ticks) <= 0))
        raise FormatError(f"{path}: frames {at} and {at + 1} have the same time; encode it anew, e.g. with ffmpeg")
    if known and base is not None:
        time, origin = ticks * float(base), "times from the file"
    elif counted := rate or stated:
        time, origin = ticks / counted, f"no times in the file: {counted:g} frames a second"
    else:
        raise FormatError(f"{path}: states neither times nor a rate; give frame_seconds")
    read = partial(_read_video, path, tuple(ticks.tolist()) if known else None)
    return Video(
        lazy(path, (len(ticks), *size), layout[1], read), time, stated, ", ".join([*notes, origin]), stated_times=known
    )


def _container(path: Path) -> Any:
    """The open file. Its absolute path: FFmpeg takes others for addresses if they look so."""
    return av.open(str(path.absolute()), options=BOUNDS)


def _missing(container: Any, listed: int, stamps: Sequence[Any]) -> list[str]:
    """Clauses that say what of the video is not there.

    listed : packets in the file. stamps : ticks at which the whole ones among them are shown; empty if unknown.
    """
    stream, found = container.streams.video[0], []
    if stamps and len(stamps) < listed:
        found.append(f"its last {listed - len(stamps)} frames are cut off and left out")
    if stream.frames > listed:
        found.append(f"the file promises {stream.frames} frames and holds {listed}: it was cut off")
    elif stamps and len(container.streams) == 1 and container.duration:
        promised, ends = container.duration / av.time_base, max(stamps) * float(stream.time_base)
        # A few frames of slack: a duration counts from zero, and to the end of the last frame.
        if promised > ends + FEW * (ends - min(stamps) * float(stream.time_base)) / len(stamps):
            found.append(f"the file promises {promised:.4g} s and its frames end at {ends:.4g} s: it was cut off")
    return found


@lru_cache(64)
def _layout(name: str) -> tuple[bool, np.dtype, str]:
    """Whether a pixel format has colours, the dtype that holds it without loss, and FFmpeg's name for that."""
    pixels = av.VideoFormat(name)
    bits = max((component.bits for component in pixels.components), default=8)
    if bits > 16:
        raise FormatError(f"pixels of {bits} bits ({pixels.name}) have no lossless frames here; convert the file")
    colour = pixels.has_palette or len([c for c in pixels.components if not c.is_alpha]) > 1
    if bits > 8:
        # A format of as many bits: to a wider one FFmpeg would stretch the values.
        return colour, np.dtype(np.uint16), "rgb48le" if colour else f"gray{bits}le"
    return colour, np.dtype(np.uint8), "rgb24" if colour else "gray"


def _pixels(frame: Any, layout: tuple[bool, np.dtype, str]) -> np.ndarray:
    # One thread: by default FFmpeg begins and ends several for every frame, which takes longer than what they do.
    pixels: np.ndarray = frame.reformat(format=layout[2], threads=1).to_ndarray()
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
        if not self.at <= numbers.start <= self.at + FAR:
            self._seek(numbers.start)
        found = []
        for frame in self._frames:
            number, self.at = self.at, self.at + 1
            if self._misplaced(frame, number) or frame.is_corrupt:
                raise FormatError(
                    f"{self._path}: frame {number} is damaged, or the key frame before it is missing; copy the file "
                    "anew, or cut it at a key frame"
                )
            if number in numbers:
                found.append(_pixels(frame, _layout(frame.format.name)))
            if self.at > numbers[-1]:
                break
        if len(found) < len(numbers):
            raise FormatError(
                f"{self._path}: frame {numbers[len(found)]} cannot be decoded, the file promises more than it holds; "
                "copy it anew"
            )
        return np.stack(found)

    def _misplaced(self, frame: Any, number: int) -> bool:
        """Whether a frame is shown at another time than the one it stands for: a decoder may skip some."""
        if self._ticks is None or frame.pts is None:
            return False
        return number >= len(self._ticks) or bool(frame.pts != self._ticks[number])

    def _open(self) -> None:
        self._container = _container(self._path)
        stream = self._container.streams.video[0]
        self._frames: Iterator[Any] = iter(self._container.decode(stream))
        self.at = 0

    def _seek(self, number: int) -> None:
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
        self._container.close()
        self._open()


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


_decoders: OrderedDict[tuple[str, int, int, int], _Decoder] = OrderedDict()
_lock = threading.Lock()


def _read_video(path: Path, ticks: tuple[int, ...] | None, key: Key) -> np.ndarray:
    """A block of the frames. Blocks that follow each other are decoded once, from beginning to end."""
    facts = path.stat()
    # Of a video that was opened in part only the first ticks are known.
    name = (str(path), facts.st_mtime_ns, facts.st_size, 0 if ticks is None else len(ticks))
    with _lock:
        decoder = _decoders.pop(name, None) or _Decoder(path, ticks)
        _decoders[name] = decoder
        while len(_decoders) > OPEN_VIDEOS:
            _decoders.popitem(last=False)  # not closed: another thread may be reading from it
    with decoder.lock:
        try:
            frames = decoder.read(range(key[0].start, key[0].stop, key[0].step))
        except Exception:
            with _lock:
                _decoders.pop(name, None)
            raise
    return frames[(slice(None), *key[1:])]
