"""Recordings become files that other programs read; what a format cannot carry is said, never dropped silently."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import require
from sciworld.errors import SciworldError, SettingsError, StoreError
from sciworld.lazy import Key, lazy
from sciworld.parts import RESERVED, SIZES
from sciworld.store import Store

# Each is called as write(recordings, path, settings, tell) -> notes.
FORMATS = {
    "well": "sciworld.ingest.export_well:write_well",
    "ome-zarr": "sciworld.ingest.export_ome:write_ome",
    "mp4": "sciworld.ingest.export_mp4:write_mp4",
    "lerobot": "sciworld.ingest.export:write_lerobot",
}
BLOCK_BYTES = 16 << 20  # of frames in memory at once
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
    low, high : mp4: percentiles of the pixels that become black and white.
    task, scale, lossless : lerobot: see `export_lerobot.write_lerobot`.
    """

    camera: str = "frames"
    channel: int | None = None
    rate: float | None = None
    low: float = 1.0
    high: float = 99.0
    task: str = ""
    scale: tuple[float, float] | None = None
    lossless: bool = False

    def __post_init__(self) -> None:
        known = self.camera == "frames" or self.camera.startswith("frames_")
        require(known, f"camera is {self.camera!r}; use 'frames' or 'frames_<camera>'")
        require(self.channel is None or self.channel >= 0, f"channel is {self.channel}; use 0 or more")
        require(self.rate is None or 0 < self.rate < 1e5, f"rate is {self.rate}; use frames a second, 0 to 1e5")
        good = 0 <= self.low < self.high <= 100
        require(good, f"low and high are {self.low} and {self.high}; use percentiles, 0 to 100, low below high")


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
    The frames of stores and of lazy recordings are read in blocks. Raises SettingsError if `out` exists or a format
    cannot hold what is asked, RecordingError for a broken recording, StoreError if it cannot be written.
    """
    if format not in FORMATS:
        raise SettingsError(f"no format '{format}'; there are {', '.join(sorted(FORMATS))}")
    out = Path(out)
    found = _chosen(source, recordings)
    total, done = sum(ds.sizes["time"] for ds in found), 0

    def tell(frames: int) -> None:
        nonlocal done
        done += frames
        if progress is not None:
            progress(done, total)

    module, name = FORMATS[format].split(":")
    write = getattr(importlib.import_module(module), name)
    with staged(out) as stage:
        notes = write(found, stage, settings or ExportSettings(), tell)
    return Exported(out, tuple(dict.fromkeys(notes)))


def write_lerobot(recordings: Sequence[xr.Dataset], out: Path, settings: ExportSettings, tell: Tell) -> list[str]:
    """A LeRobot data set; see `export_lerobot.write_lerobot`."""
    from sciworld.ingest import export_lerobot

    def told() -> Iterator[xr.Dataset]:
        for ds in recordings:
            yield ds
            tell(ds.sizes["time"])

    notes: list[str] = export_lerobot.write_lerobot(
        told(), out, task=settings.task, scale=settings.scale, lossless=settings.lossless
    )
    return notes


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A path beside `out`, of its name, at which to make a file or folder; it is moved to `out` at the end.

    Nothing is left of it if anything fails. Raises SettingsError if `out` exists, StoreError if it cannot be written.
    """
    if not out.name or os.path.lexists(out):
        raise SettingsError(f"{out}: exists; choose a new path, nothing is overwritten")
    folder: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".export.", dir=out.parent))
        yield folder / out.name
        _move(folder / out.name, out)
    except SciworldError:
        raise
    except OSError as error:
        raise StoreError(
            f"{out}: cannot be written ({error}); free some space, mend the permissions or choose another path"
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


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


def block_rows(frames: xr.Variable) -> int:
    """How many frames `blocks` gives at a time."""
    a_frame = max(1, int(np.prod(frames.shape[1:], dtype=np.int64)) * frames.dtype.itemsize)
    rows = max(1, BLOCK_BYTES // a_frame)
    return rows // 16 * 16 or rows


def blocks(frames: xr.Variable) -> Iterator[tuple[int, np.ndarray]]:
    """Frames : (time, ...) in blocks of BLOCK_BYTES, whole 16s of frames if they fit; each with its first number."""
    step = block_rows(frames)
    for start in range(0, frames.shape[0], step):
        yield start, frames[start : start + step].values


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


def _move(made: Path, out: Path) -> None:
    """Move what was made to `out`, unless something came to be there meanwhile."""
    if made.is_file():
        try:
            os.link(made, out)  # unlike a rename, this never replaces a file
            return
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not os.path.lexists(out):
                os.rename(made, out)
                return
    elif not os.path.lexists(out):
        os.rename(made, out)
        return
    raise SettingsError(f"{out}: came to be while the export ran; choose a new path, nothing is overwritten")


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
    found = [_stored(held, index) if isinstance(held, Store) else held[index] for index in wanted]
    return [recording.check(ds, f"recording {index}") for index, ds in zip(wanted, found, strict=True)]


def _stored(store: Store, index: int) -> xr.Dataset:
    """A recording of a store whose frames stay in it until they are used."""
    part, local = store.locate(index)
    variables: dict[str, Any] = {}
    for name in part.names:
        if name in RESERVED:
            continue
        array = part.array(name)
        dims, values = array.dims, None
        if dims[0] in SIZES:
            start, stop = part.offsets(dims[0])[local : local + 2].tolist()
            if name == "frames" or name.startswith("frames_"):
                shape = (stop - start, *array.shape[1:])
                values = lazy(array.folder, shape, array.dtype, partial(_rows, array, start))
            else:
                values = array[start:stop]
        else:
            values, dims = array[local : local + 1][0], dims[1:]
        variables[name] = xr.Variable(dims, values, dict(array.attributes))
    return xr.Dataset(variables, attrs=dict(part.attributes[local]))


def _rows(array: Any, start: int, key: Key) -> np.ndarray:
    """A block of an array of a part; rows count from `start`."""
    rows = key[0]
    if isinstance(rows, int):
        block: np.ndarray = array[start + rows : start + rows + 1][0]
        return block[key[1:]]
    first, last = (rows.start, rows.stop) if (rows.step or 1) > 0 else (rows.stop + 1, rows.start + 1)
    return array[start + first : start + last][(slice(None, None, rows.step), *key[1:])]
