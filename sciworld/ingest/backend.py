"""xarray opens what sciworld reads: `xarray.open_dataset(path, engine="sciworld")`, a file of any domain or a store."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint

from sciworld.config import whole
from sciworld.errors import FormatError, SettingsError


class SciworldBackend(BackendEntrypoint):
    """Recordings as xarray opens them: frames stay on disk, and `chunks=` makes dask arrays of them."""

    description = "Frames and controls of microscopes, flows and drives, and sciworld stores"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "reader", "recording", "options")
    supports_groups = True

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        reader: str | None = None,
        recording: int | None = None,
        options: Mapping[str, object] | None = None,
        **unknown: Any,
    ) -> xr.Dataset:
        """The recording number `recording` of a file or store; it need not be said where there is one.

        filename_or_obj : a file, a folder, a list of files that are one movie, or a store. reader, options : see
        `sciworld.ingest.open.open_recordings`. unknown : arguments that this engine does not have, which are refused.
        Raises FormatError, StoreError, SettingsError.
        """
        _require_known(unknown, self.open_dataset_parameters[1:])
        found = _recordings(filename_or_obj, reader, options)
        if not len(found) or (recording is None and len(found) != 1):
            cure = f"choose one with recording=0 to recording={len(found) - 1}, or open all with open_datatree"
            raise FormatError(f"{filename_or_obj}: holds {len(found)} recordings; {cure if found else 'append some'}")
        number = 0 if recording is None else recording
        number = whole(number, f"{filename_or_obj}: recording", -len(found), len(found) - 1)
        return _without(found[number], drop_variables)

    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        reader: str | None = None,
        options: Mapping[str, object] | None = None,
        **unknown: Any,
    ) -> dict[str, xr.Dataset]:
        """All recordings of a file or store, as the groups /recording_0, /recording_1, ..."""
        _require_known(unknown, ("drop_variables", "reader", "options"))
        found = _recordings(filename_or_obj, reader, options)
        groups = {f"/recording_{k}": _without(found[k], drop_variables) for k in range(len(found))}
        return {"/": xr.Dataset(), **groups}

    def open_datatree(self, filename_or_obj: Any, **options: Any) -> xr.DataTree:
        """`open_groups_as_dict` as a tree."""
        return xr.DataTree.from_dict(self.open_groups_as_dict(filename_or_obj, **options))

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether it is a store. Files are left to others, unless this engine is named."""
        return isinstance(filename_or_obj, str | os.PathLike) and _is_store(Path(filename_or_obj))


def _require_known(unknown: Mapping[str, object], known: Sequence[str]) -> None:
    if unknown:
        raise SettingsError(
            f"engine 'sciworld': no argument {', '.join(unknown)}; there are {', '.join(known)}, and xarray's chunks"
        )


# What reads is loaded when it is asked for: xarray loads this module before it opens anything at all.


class _Stored:
    """The recordings of a store, by number."""

    def __init__(self, path: Path) -> None:
        from sciworld.store import Store

        self._store = Store(path)

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, index: int) -> xr.Dataset:
        return self._store.lazily(index)


def _recordings(path: Any, reader: str | None, options: Mapping[str, object] | None) -> _Stored | list[xr.Dataset]:
    from sciworld.ingest.open import open_recordings, require_reading

    several = isinstance(path, list | tuple) and all(isinstance(one, str | os.PathLike) for one in path)
    if not (several or isinstance(path, str | os.PathLike)):
        raise SettingsError(
            f"engine 'sciworld': {type(path).__name__} cannot be opened; give a path, or a list of paths"
        )
    require_reading(reader, options)
    if several or not _is_store(Path(path)):
        return open_recordings([Path(one) for one in path] if several else Path(path), reader, options)
    if reader or options:
        raise SettingsError(f"{path}: a store, which has no readers; leave out reader and options")
    return _Stored(Path(path))


def _without(ds: xr.Dataset, names: str | Iterable[str] | None) -> xr.Dataset:
    if not (names is None or isinstance(names, str | Iterable)):
        raise SettingsError(f"engine 'sciworld': drop_variables is {names!r:.80}; use a name, or a list of names")
    wanted = [names] if isinstance(names, str) else list(names or ())
    return ds.drop_vars(wanted, errors="ignore")


def _is_store(path: Path) -> bool:
    try:
        attributes = json.loads((path / "zarr.json").read_bytes())["attributes"]
        return "sciworld_schema" in attributes and "arrays" not in attributes  # a part has arrays
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
