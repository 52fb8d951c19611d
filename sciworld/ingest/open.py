"""Open a file of any domain as recordings."""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from sciworld import recording
from sciworld.config import paths_of, require
from sciworld.errors import FormatError, SettingsError

# The module of each domain's readers: read(path or paths, reader="", **options) -> recording or list of recordings.
READERS = {
    "stem": "sciworld.domains.stem.readers",
    "fluid": "sciworld.domains.fluid.readers",
    "driving": "sciworld.domains.driving.readers",
}
# What files of the other domains are usually called; they are known by what they hold.
SUFFIXES = {
    "fluid": (".hdf5", ".h5", ".nc", ".mat", ".txt", ".vec", ".dat", ".bmp", ".jpg", ".png"),
    "driving": (".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".flv", ".h264", ".h265", ".tar", ".tar.gz"),
}


def open_recordings(
    path: str | Path | Sequence[str | Path], reader: str | None = None, options: Mapping[str, object] | None = None
) -> list[xr.Dataset]:
    """Read a file, or the files of one movie, into checked recordings: most formats hold one, some hold many.

    path : a file, a folder or list of files that are one movie. reader : a domain's name ("stem", "fluid"), or one
    with the format to read as ("stem:.tif", "fluid:openpiv"); by default what the file shows itself to be. options :
    those of the domain's reader, by name. Frames may stay in the file until they are used.
    Raises FormatError naming the file, SettingsError for an unknown reader or option, or what is no path.
    """
    require_reading(reader, options)
    paths = paths_of(path, "path")
    path = path if isinstance(path, str | Path) else paths[0] if isinstance(path, os.PathLike) else paths
    for one in paths:
        _require_no_pipes(one)
    domain, _, kind = (reader or _domain_of(path)).partition(":")
    if not reader and domain == "stem":
        _require_known(Path(path if isinstance(path, str | Path) else next(iter(path), "")))
    if domain not in READERS:
        raise SettingsError(f"no reader '{domain}'; there are {', '.join(sorted(READERS))}")
    found = _module(domain).read(path, reader=kind, **(options or {}))
    return [recording.check(ds, _where(path)) for ds in (found if isinstance(found, list) else [found])]


def open_recording(
    path: str | Path | Sequence[str | Path], reader: str | None = None, options: Mapping[str, object] | None = None
) -> xr.Dataset:
    """The one recording of a file, or of the files of one movie; see `open_recordings`.

    Raises FormatError also for a file that holds several.
    """
    found = open_recordings(path, reader, options)
    if len(found) != 1:
        raise FormatError(f"{_where(path)}: holds {len(found)} recordings; use open_recordings and choose one")
    return found[0]


def require_reading(reader: str | None, options: Mapping[str, object] | None) -> None:
    """Raise SettingsError unless these can be a reader and its options."""
    known = reader is None or isinstance(reader, str)
    require(known, f"reader is {reader!r:.80}; use a name, such as 'stem:.tif'")
    named = options is None or (isinstance(options, Mapping) and all(isinstance(name, str) for name in options))
    free = named and not {"path", "reader"} & {*(options or ())}
    require(free, f"options are {options!r:.80}; use a dict of the reader's options")


def _module(domain: str) -> Any:
    return importlib.import_module(READERS[domain])


def _domain_of(path: str | Path | Sequence[str | Path]) -> str:
    """The domain that knows the file by its content; the readers of "stem" take any array."""
    first = Path(path if isinstance(path, str | Path) else next(iter(path), ""))
    return next((domain for domain in ("driving", "fluid") if _module(domain).kind_of(first)), "stem")


def _require_known(path: Path) -> None:
    """Raise FormatError for a file that no domain knows by what it holds, and "stem" not by its suffix."""
    suffixes = {"stem": tuple(_module("stem").READERS), **SUFFIXES}
    if path.is_dir() or path.suffix.lower() in suffixes["stem"]:
        return
    if not path.exists():
        raise FormatError(f"{path}: no such file or folder; mend the path")
    known = "; ".join(f"{domain}: {' '.join(names)}" for domain, names in suffixes.items())
    raise FormatError(
        f"{path}: no reader for '{path.suffix}' with what it holds; there are {known}; save it as one of these, or "
        "name its reader, such as 'stem:.tif' or 'fluid:netcdf'"
    )


def _require_no_pipes(path: Path) -> None:
    """Raise FormatError for a folder with a pipe or a device in it: who opens one may wait for ever."""
    try:
        folders = [str(path)] if path.is_dir() else []
    except OSError as error:
        raise FormatError(f"{str(path)[:200]}: no file can be called so ({error.strerror}); mend the path") from error
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_symlink() or not entry.is_file():
                    with contextlib.suppress(OSError):  # a link into nowhere, or into itself
                        mode = entry.stat().st_mode
                        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                            raise FormatError(f"{entry.path}: a pipe or device; take it out of the folder")


def _where(path: str | Path | Sequence[str | Path]) -> str:
    return str(path) if isinstance(path, str | Path) else f"{len(path)} files"
