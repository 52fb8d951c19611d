"""Plain video of a drive: frames without controls, which a table brings (`ingest --controls`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from sciworld import recording
from sciworld.controls import colours
from sciworld.domains.media import open_video
from sciworld.errors import SettingsError

if TYPE_CHECKING:
    from sciworld.domains.driving.readers import DrivingOptions

RAW = (".hevc", ".h265", ".265", ".h264", ".264")
# The boxes that begin a film of MPEG-4 or QuickTime, and the brands of pictures and sound that begin likewise.
BOXES = (b"ftyp", b"moov", b"mdat", b"wide")
NO_FILM = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"M4A ", b"M4B ", b"crx ", b"jp2 ")
MATROSKA, FLASH, ASF = b"\x1a\x45\xdf\xa3", b"FLV\x01", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
# A raw stream: a start code, then the unit that begins one of H.264 (parameters or delimiter), H.265 or MPEG.
STREAM = re.compile(
    rb"\x00?\x00\x00\x01([\x27\x47\x67]|\x09[\x10\x30\x50\x70\x90\xb0\xd0\xf0]|[\x40\x46]\x01|\xb3|\xba)"
)
PACKET = 188  # bytes from one sync byte of a transport stream to the next
HEAD = 1024


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its first bytes; a raw stream of H.264 or H.265 also by its suffix."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    if head[4:8] in BOXES:
        return head[4:8] != b"ftyp" or head[8:12] not in NO_FILM
    transport = len(head) > 3 * PACKET and all(head[k * PACKET] == 0x47 for k in range(4))
    return (
        head.startswith((MATROSKA, FLASH, ASF))
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or transport
        or STREAM.match(head) is not None
        or path.suffix.lower() in RAW
    )


def read_video(path: Path, settings: DrivingOptions) -> list[xr.Dataset]:
    """The frames of a video, without controls. Raises FormatError, SettingsError for times that the file states."""
    step = settings.frame_seconds
    video = open_video(path, rate=None if step is None else 1.0 / step)
    if video.stated_times and step is not None:
        raise SettingsError(f"{path}: states the times of its frames; leave out frame_seconds")
    ds = recording.make(
        video.frames,
        video.time,
        channels=colours(video.frames.shape[-1]),
        session=path.stem,
        source=path.name,
        licence="",
        citation="",
        history=f"read {path.name} as video: {video.note}",
    )
    return [ds]
