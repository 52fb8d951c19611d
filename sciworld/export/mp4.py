"""Recordings as video for eyes: 8 bits, compressed with loss, brightness scaled. It shows data and is none."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import xarray as xr
from av.codec import Codec

from sciworld.errors import SettingsError, StoreError
from sciworld.export.export import ExportSettings, Tell, camera_of, file_names
from sciworld.lazy import blocks

SLOWEST, FASTEST, SHOWN = 1.0, 60.0, 25.0  # frames a second that eyes follow, and those that they get otherwise
SAMPLED_FRAMES, SAMPLED_PIXELS = 32, 1 << 16  # from which brightness is found; of each frame
FOR_EYES = "videos are for eyes: compressed with loss, 8 bits, no controls, and brightness is no measurement"
LARGEST = 16384  # pixels along an axis, what H.264 decoders take at most


def write_mp4(recordings: Sequence[xr.Dataset], out: Path, settings: ExportSettings, tell: Tell) -> list[str]:
    """One recording is the file `out`; several are files in the folder `out`, named by their sessions. Notes.

    Raises SettingsError for frames that no video holds, StoreError if the encoder fails.
    """
    notes = [FOR_EYES]
    if len(recordings) == 1 and out.suffix == ".mp4":
        return notes + _write(recordings[0], out, settings, tell)
    if out.suffix == ".mp4":
        raise SettingsError(f"{out.name}: is one file for {len(recordings)} recordings; name a folder, or choose one")
    out.mkdir()
    for ds, name in zip(recordings, file_names(recordings, ".mp4"), strict=True):
        notes += [f"{name}: {note}" for note in _write(ds, out / name, settings, tell)]
    return notes


def _write(ds: xr.Dataset, path: Path, settings: ExportSettings, tell: Tell) -> list[str]:
    frames = camera_of(ds, settings)
    shown, notes = _shown(frames, settings)
    low, high, scaled = _brightness(shown, settings)
    rate, paced = _rate(ds["time"].values, settings.rate)
    notes += scaled + paced
    y, x = shown.shape[1:3]
    if max(y, x) > LARGEST:
        raise SettingsError(f"{ds.attrs['source']}: frames are {y} x {x}; videos hold at most {LARGEST} a side")
    padded = (y + y % 2, x + x % 2)
    if padded != (y, x):
        notes.append(f"padded from {y} x {x} to {padded[0]} x {padded[1]} pixels, since video needs even sizes")
    try:
        with av.open(str(path), "w", format="mp4") as container:
            container.metadata["title"] = f"{ds.attrs['session']} (for eyes: brightness and time are not data)"
            container.metadata["comment"] = "; ".join([FOR_EYES, *notes])
            stream = _stream(container, rate, padded)
            for _, block in blocks(shown):
                for frame in _bytes(block, low, high):
                    container.mux(stream.encode(_picture(frame, padded)))
                tell(len(block))
            container.mux(stream.encode())
    except av.FFmpegError as error:
        raise StoreError(
            f"{ds.attrs['source']}: the video cannot be written ({error}); free some space, or export it to another "
            "format"
        ) from error
    return notes


def _shown(frames: xr.Variable, settings: ExportSettings) -> tuple[xr.Variable, list[str]]:
    """Frames : (time, y, x, 1 or 3) as they are shown, still to be scaled, and notes."""
    notes = []
    if frames.ndim == 5:
        middle = frames.shape[1] // 2
        notes.append(f"plane {middle} of {frames.shape[1]} along z")
        frames = frames[:, middle]
    count = frames.shape[-1]
    if settings.channel is None and count == 3 and frames.dtype == np.uint8:
        return frames, notes
    channel = settings.channel or 0
    if channel >= count:
        raise SettingsError(f"channel is {channel}; there are {count}, counted from 0")
    if count > 1:
        notes.append(f"channel {channel} of {count}, in grey")
    return frames[..., channel : channel + 1], notes


def _brightness(frames: xr.Variable, settings: ExportSettings) -> tuple[float, float, list[str]]:
    """The values that become black and white, and a note; colours stay as they are."""
    if frames.shape[-1] == 3:
        stated = (settings.black, settings.white) != (ExportSettings.black, ExportSettings.white)
        return 0.0, 255.0, ["colours stay as they are: black and white scale one channel alone"] * stated
    count, y, x, _ = frames.shape
    stride = max(1, int(np.sqrt(y * x / SAMPLED_PIXELS)))
    numbers = np.unique(np.linspace(0, count - 1, min(count, SAMPLED_FRAMES)).astype(int))
    seen = np.concatenate([frames[int(n), ::stride, ::stride].values.ravel() for n in numbers]).astype(np.float64)
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        return 0.0, 1.0, ["no pixel is finite, all are black"]
    low, high = (float(value) for value in np.percentile(seen, [settings.black, settings.white]))
    taken = f"(percentiles {settings.black:g} and {settings.white:g})"
    return low, high, [f"brightness scaled: {low:g} is black, {high:g} is white {taken}"]


def _bytes(block: np.ndarray, low: float, high: float) -> np.ndarray:
    """Frames as they are shown : (time, y, x, 1 or 3) uint8; what is not finite is black."""
    if block.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return block
    # Halves, so that the difference of the largest floats does not overflow.
    span = high / 2 - low / 2
    share = (block.astype(np.float64) / 2 - low / 2) / (span or 1.0)
    return np.nan_to_num(np.clip(share, 0.0, 1.0) * 255.0, nan=0.0).round().astype(np.uint8)


def _rate(time: np.ndarray, given: float | None) -> tuple[Fraction, list[str]]:
    """Frames a second, and notes."""
    steps = np.diff(time)
    notes = []
    if len(steps) and not np.allclose(steps, np.median(steps), rtol=1e-3, atol=0):
        notes.append(f"times are uneven ({steps.min():g} to {steps.max():g} s apart) and are shown evenly")
    own = 1.0 / float(np.median(steps)) if len(steps) else SHOWN
    rate = given if given is not None else own if SLOWEST <= own <= FASTEST else SHOWN
    if not np.isclose(rate, own, rtol=1e-6):
        notes.append(f"shown at {rate:g} frames a second, recorded at {own:g}: a second is {rate / own:g} s of it")
    return Fraction(rate).limit_denominator(100_000) or Fraction(1, 100_000), notes


def _stream(container: Any, rate: Fraction, size: tuple[int, int]) -> Any:
    """A stream of H.264, or of MPEG-4 where FFmpeg was built without its encoder."""
    try:
        Codec("libx264", "w")
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
    except ValueError:  # av.codec.codec.UnknownCodecError
        stream = container.add_stream("mpeg4", rate=rate, options={"q:v": "3"})
    stream.height, stream.width = size
    stream.pix_fmt = "yuv420p"
    return stream


def _picture(frame: np.ndarray, size: tuple[int, int]) -> Any:
    """A frame : (y, x, 1 or 3) uint8, its last row and column repeated to an even size."""
    y, x, c = frame.shape
    frame = np.pad(frame, ((0, size[0] - y), (0, size[1] - x), (0, 0)), mode="edge")
    pixels = np.ascontiguousarray(frame if c == 3 else frame[..., 0])
    return av.VideoFrame.from_ndarray(pixels, format="rgb24" if c == 3 else "gray").reformat(format="yuv420p")
