"""Files of drives become recordings: a camera's frames with the controls of the car, and what it measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from sciworld import config
from sciworld.config import require_positive
from sciworld.domains.base import reading
from sciworld.domains.driving.comma import is_comma, read_comma
from sciworld.domains.driving.donkeycar import is_donkeycar, read_donkeycar
from sciworld.domains.driving.kitti import is_kitti, read_kitti
from sciworld.domains.driving.lerobot import is_lerobot, read_lerobot
from sciworld.domains.driving.nuscenes import is_nuscenes, read_nuscenes
from sciworld.domains.driving.video import is_video, read_video
from sciworld.errors import FormatError, SettingsError


@dataclass(frozen=True)
class DrivingOptions:
    """What the user states where files are silent.

    Parameters
    ----------
    frame_seconds : seconds from one frame to the next, for a stream that states no times.
    session, licence, citation : texts of the recordings; without them what the format says, or the file's name.
    """

    frame_seconds: float | None = None
    session: str = ""
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        require_positive(self, "frame_seconds")


# Whether a file or folder is of the format, by what it holds; and its reader. The first that says so reads it.
FORMATS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, DrivingOptions], list[xr.Dataset]]]] = {
    "donkeycar": (is_donkeycar, read_donkeycar),
    "comma": (is_comma, read_comma),
    "kitti": (is_kitti, read_kitti),
    "video": (is_video, read_video),
    "lerobot": (is_lerobot, read_lerobot),
    "nuscenes": (is_nuscenes, read_nuscenes),
}


def kind_of(path: Path) -> str | None:
    """The format of a file or folder by what it holds; None if it is none of a drive. Never raises for a bad file."""
    return next((name for name, (is_one, _) in FORMATS.items() if is_one(path)), None)


def read(path: str | Path | Sequence[str | Path], reader: str = "", **options: Any) -> list[xr.Dataset]:
    """Read a drive: one recording a tub, segment, episode, scene or video.

    path : a file or a folder. reader : a name in FORMATS, in place of the one that the file shows. options : the
    fields of `DrivingOptions`.
    Raises FormatError naming the file, SettingsError for an option or reader that nobody knows.
    """
    settings = config.from_dict(DrivingOptions, options, "read")
    if not isinstance(path, str | Path):
        raise SettingsError("read: a list of files; drives are read one by one")
    path = Path(path)
    if reader and reader not in FORMATS:
        raise SettingsError(f"no reader '{reader}' of drives; there are {', '.join(FORMATS)}")
    with reading(path, "a drive"):
        kind = reader or kind_of(path)
    if not kind:
        raise FormatError(f"{path}: no format of a drive; name the reader: {', '.join(FORMATS)}")
    with reading(path, kind):
        found = FORMATS[kind][1](path, settings)
    texts = {key: getattr(settings, key) for key in ("licence", "citation") if getattr(settings, key)}
    if settings.session:
        names = [settings.session] if len(found) == 1 else [f"{settings.session}/{i}" for i in range(len(found))]
        return [ds.assign_attrs(texts, session=name) for ds, name in zip(found, names, strict=True)]
    return [ds.assign_attrs(texts) for ds in found]
