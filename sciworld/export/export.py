"""Recordings become files that other programs read; what a format cannot carry is said, never dropped silently."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import require
from sciworld.errors import SciworldError, SettingsError, StoreError
from sciworld.files import staged
from sciworld.store import Store

# Each is called as write(recordings, path, settings, tell) -> notes.
FORMATS = {
    "well": "sciworld.export.well:write_well",
    "ome-zarr": "sciworld.export.ome:write_ome",
    "mp4": "sciworld.export.mp4:write_mp4",
    "lerobot": "sciworld.export.lerobot:write_lerobot",
}
STORE = b'"sciworld_schema"'  # what zarr.json of a store has
NAME_BYTES = 100  # of a file's name, before its suffix
Tell = Callable[[int], None]


@dataclass(frozen=True)
class ExportSettings:
    """What an export may be told; a format takes what concerns it.

    Parameters
    ----------
    camera : the frames that are exported, where a format holds those of one camera: "frames" or "frames_<camera>".
    channel : mp4: the channel that is shown in grey; None for colours where there are 8-bit colours, else the first.
    rate : mp4: frames a second; None for that of the recording, if eyes can follow it.
    black, white : mp4: percentiles of the pixels that become so.
    task : lerobot: what all episodes are of, where no covariate `task` says.
    scale : lerobot: the values that become 0 and 255, for frames that are not 8 bits of three colours; what lies
        outside is clipped and counted.
    lossless : lerobot: pictures (PNG) in place of video, of 8 or 16 bits, grey or coloured.
    codec : lerobot: of videos, a name in `lerobot_files.CODECS`.
    """

    camera: str = "frames"
    channel: int | None = None
    rate: float | None = None
    black: float = 1.0
    white: float = 99.0
    task: str = ""
    scale: tuple[float, float] | None = None
    lossless: bool = False
    codec: str = "h264"

    def __post_init__(self) -> None:
        known = self.camera == "frames" or self.camera.startswith("frames_")
        require(known, f"camera is {self.camera!r}; use 'frames' or 'frames_<camera>'")
        require(self.channel is None or self.channel >= 0, f"channel is {self.channel}; use 0 or more")
        require(self.rate is None or 0 < self.rate < 1e5, f"rate is {self.rate}; use frames a second, 0 to 1e5")
        good = 0 <= self.black < self.white <= 100
        require(good, f"black and white are {self.black} and {self.white}; use percentiles, 0 to 100, black below")


@dataclass(frozen=True)
class Exported:
    """What an export made: `path`, and `notes` of what is not as in the recordings."""

    path: Path
    notes: tuple[str, ...]


def export(
    source: Store | str | Path | xr.Dataset | Iterable[xr.Dataset],
    out: str | Path,
    format: str,
    settings: ExportSettings | None = None,
    *,
    recordings: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write recordings to `out`, which appears whole at the end, or not at all.

    source : a store or its path, a recording, or several. format : a name in FORMATS. recordings : which of them, by
    index; None for all. progress : called with the frames that are done, and all of them.
    The frames of stores and of lazy recordings are read in blocks. Raises SettingsError if `out` exists or is inside a
    store, or a format cannot hold what is asked, RecordingError for a broken recording, StoreError if it cannot be
    written.
    """
    if format not in FORMATS:
        raise SettingsError(f"no format '{format}'; there are {', '.join(sorted(FORMATS))}")
    out = Path(out)
    _require_outside(out)
    found = _chosen(source, recordings)
    total, done = sum(ds.sizes["time"] for ds in found), 0

    def tell(frames: int) -> None:
        nonlocal done
        done += frames
        if progress is not None:
            progress(done, total)

    module, name = FORMATS[format].split(":")
    write = getattr(importlib.import_module(module), name)
    with _whole(out) as stage:
        notes = write(found, stage, settings or ExportSettings(), tell)
    return Exported(out, tuple(dict.fromkeys(notes)))


def _require_outside(out: Path) -> None:
    """Raise SettingsError if `out` is no path, or is or would be made inside a store, which holds its parts alone."""
    if "\0" in str(out):
        raise SettingsError(f"{str(out)!r}: has a zero byte, which no path can have; choose another path")
    for folder in dict.fromkeys((*out.absolute().parents, *Path(os.path.realpath(out)).parents)):
        with contextlib.suppress(OSError):  # nothing there, or nothing that we may read
            if STORE in (folder / "zarr.json").read_bytes():
                raise SettingsError(f"{out}: is inside the store {folder}; choose a path outside of it")


@contextlib.contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A path at which to make what then appears at `out`.

    Raises SettingsError if `out` exists, or comes to be meanwhile; StoreError if it cannot be written.
    """
    if not out.name or os.path.lexists(out):
        raise SettingsError(f"{out}: exists; choose a new path, nothing is overwritten")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with staged(out) as stage:
            yield stage
    except SciworldError:
        raise
    except OSError as error:
        if os.path.lexists(out):
            raise SettingsError(
                f"{out}: came to be while the export ran; choose a new path, nothing is overwritten"
            ) from error
        raise StoreError(
            f"{out}: cannot be written ({error}); free some space, mend the permissions or choose another path"
        ) from error


def camera_of(ds: xr.Dataset, settings: ExportSettings) -> xr.Variable:
    """The frames that are exported. Raises SettingsError if a recording has no such camera."""
    if settings.camera not in ds.variables:
        known = ", ".join(recording.cameras(ds))
        raise SettingsError(f"{ds.attrs['source']}: no camera '{settings.camera}'; there are {known}")
    return ds.variables[settings.camera]


def view_of(ds: xr.Dataset, settings: ExportSettings) -> xr.Variable:
    """The view of the frames that are exported : (time, affine)."""
    return ds.variables[f"view{settings.camera.removeprefix('frames')}"]


def still_view(view: xr.Variable) -> tuple[float, float, float, float] | None:
    """(x a column, x of the first, y a row, y of the first) of a view along the axes that never moves; else None."""
    rows = view.values
    if (rows != rows[0]).any() or rows[0, 1] != 0 or rows[0, 3] != 0:
        return None
    return float(rows[0, 0]), float(rows[0, 2]), float(rows[0, 4]), float(rows[0, 5])


def controls_to_end(ds: xr.Dataset) -> np.ndarray:
    """Controls : (time, control) with what is logged to act after the last frame; NaN where that is unknown."""
    values = np.array(ds["controls"].values)
    if "log_time" in ds.variables:
        logged = recording.table(ds, "log_column").names
        at_end = ds["log_time"].values == ds["time"].values[-1]
        for k, name in enumerate(recording.control_table(ds).names):
            mine = at_end & (ds["log_column"].values == (logged.index(name) if name in logged else -1))
            if np.isnan(values[-1, k]) and mine.any():
                values[-1, k] = ds["log_value"].values[mine][-1]
    return values


def file_names(recordings: Sequence[xr.Dataset], suffix: str) -> list[str]:
    """A file's name for each recording, by its session: safe on every file system, and no two alike."""
    taken: set[str] = set()
    names = []
    for ds in recordings:
        text = unicodedata.normalize("NFC", ds.attrs["session"])
        text = re.sub(r"[^\w.\-+]+", "_", text).strip("._") or "recording"
        stem = text.encode()[:NAME_BYTES].decode(errors="ignore")
        name, count = stem, 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name.casefold())
        names.append(name + suffix)
    return names


def _chosen(
    source: Store | str | Path | xr.Dataset | Iterable[xr.Dataset], recordings: Sequence[int] | None
) -> list[xr.Dataset]:
    """The recordings that are exported, checked; those of a store with frames that are read when they are used."""
    if isinstance(source, str | Path):
        source = Store.open(source)
    held = source if isinstance(source, Store) else [source] if isinstance(source, xr.Dataset) else list(source)
    count = len(held)
    wanted = range(count) if recordings is None else recordings
    for index in wanted:
        if not 0 <= index < count:
            raise SettingsError(f"no recording {index}; there are {count}, counted from 0")
    if not len(wanted):
        raise SettingsError("export: no recordings; give at least one")
    found = [held.lazily(index) if isinstance(held, Store) else held[index] for index in wanted]
    return [recording.check(ds, f"recording {index}") for index, ds in zip(wanted, found, strict=True)]
