"""Open a file of any domain as a recording."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from sciworld import recording
from sciworld.errors import SettingsError

# A domain's reader: read(path or paths, reader=suffix, **options) -> recording.
READERS = {"stem": "sciworld.domains.stem.readers:read"}


def open_recording(
    path: str | Path | Sequence[str | Path], reader: str | None = None, options: Mapping[str, object] | None = None
) -> xr.Dataset:
    """Read a file, or the files of one movie, into a checked recording.

    path : a file, a folder or list of files that are one movie. reader : a domain's name ("stem"), or one with the
    suffix to read as ("stem:.tif"); by default the only domain there is. options : those of the domain's reader, by
    name.
    Raises FormatError naming the file, SettingsError for an unknown reader or option.
    """
    domain, _, suffix = (reader or "stem").partition(":")
    if domain not in READERS:
        raise SettingsError(f"no reader '{domain}'; there are {', '.join(sorted(READERS))}")
    module, function = READERS[domain].split(":")
    read = getattr(importlib.import_module(module), function)
    where = str(path) if isinstance(path, str | Path) else f"{len(path)} files"
    return recording.check(read(path, reader=suffix, **(options or {})), where)
