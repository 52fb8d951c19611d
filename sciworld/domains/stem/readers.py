"""Files of scanning transmission electron microscopes become recordings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from sciworld import config
from sciworld.domains.stem.arrays import load_npy, load_npz, load_raw, load_zarr
from sciworld.domains.stem.hdf5 import load_hdf5
from sciworld.domains.stem.microscope import load_microscope
from sciworld.domains.stem.nion import load_ndata
from sciworld.domains.stem.ome import is_own, is_zarr, restored
from sciworld.domains.stem.raw import Raw, ReadOptions, as_recording, join
from sciworld.domains.stem.tiff import load_tiff
from sciworld.errors import FormatError, SettingsError

READERS: dict[str, Callable[[Path, ReadOptions], Raw]] = {
    ".npy": load_npy,
    ".npz": load_npz,
    ".raw": load_raw,
    ".zarr": load_zarr,
    ".tif": load_tiff,
    ".tiff": load_tiff,
    ".hdf5": load_hdf5,
    ".h5": load_hdf5,
    ".nhdf": load_hdf5,
    ".ndata": load_ndata,
    ".ndata1": load_ndata,
    ".dm3": load_microscope,
    ".dm4": load_microscope,
    ".emd": load_microscope,
    ".mrc": load_microscope,
    ".ser": load_microscope,
}


def read(path: str | Path | Sequence[str | Path], reader: str = "", **options: Any) -> xr.Dataset:
    """Read a file into a recording: frames as they are, and the calibration that the file states, never a guess.

    A list of files, or a folder, is one movie, its files in the order of the numbers in their names; a Zarr folder is
    what it holds.

    path : what to read. reader : a suffix, such as ".tif", in place of the file's own. options : the fields of
    `ReadOptions`. The recording's `history` says what the file stated, what contradicted, and what was chosen.
    Raises FormatError naming the file, SettingsError for an option that nobody knows.
    """
    settings = config.from_dict(ReadOptions, options, "read")
    if isinstance(path, str | Path):
        whole, paths = Path(path), _files(Path(path), reader)
    else:
        paths = [Path(one) for one in path]
        if not paths:
            raise SettingsError("read: an empty list of files; give at least one")
        whole = paths[0].absolute().parent if len(paths) > 1 else paths[0]
    own = [one for one in paths if is_own(one)]
    if own:
        if len(paths) > 1:
            raise FormatError(f"{own[0]}: is an exported recording, no file of a movie; open such one by one")
        return restored(own[0], settings)
    raws = [_loader(one, reader)(one, settings) for one in paths]
    raw = raws[0] if len(raws) == 1 else join(raws, paths)
    return as_recording(raw, whole, settings)


def _loader(path: Path, reader: str) -> Callable[[Path, ReadOptions], Raw]:
    suffix = (reader or (".zarr" if is_zarr(path) else path.suffix)).lower()
    if suffix not in READERS:
        raise FormatError(
            f"{path}: no reader for '{suffix}'; give reader= as one of {', '.join(READERS)}, or save it as one of these"
        )
    return READERS[suffix]


def _files(path: Path, reader: str) -> list[Path]:
    """The files of a folder that are frames of one movie; a file, or a Zarr folder, is itself."""
    if not path.is_dir() or (reader or path.suffix).lower() == ".zarr" or is_zarr(path):
        return [path]
    found = [file for file in path.iterdir() if not file.name.startswith(".") and file.suffix.lower() in READERS]
    suffixes = sorted({file.suffix.lower() for file in found})
    if len(suffixes) != 1:
        raise FormatError(
            f"{path}: a folder with {', '.join(suffixes) or 'no'} files of known formats; "
            "a movie has files of one format: keep these alone in a folder, or list them"
        )
    return sorted(found, key=_by_number)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """A sort key by which 2 comes before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
