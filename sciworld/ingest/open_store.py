"""A recording of a store whose frames stay on disk until they are used."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import xarray as xr

from sciworld.errors import SettingsError, StoreError
from sciworld.lazy import Key, lazy
from sciworld.parts import RESERVED, SIZES
from sciworld.store import Store
from sciworld.stored import StoredArray

HANDLES = 32  # arrays that a process keeps open


def open_stored(store: Store, index: int) -> xr.Dataset:
    """`store[index]`, of which only the frames are not read yet. Raises SettingsError for one that is not there."""
    try:
        part, local = store.locate(index)
    except IndexError as error:
        raise SettingsError(f"{error}; choose one of 0 to {len(store) - 1}") from error
    variables = {}
    for name in part.names:
        if name in RESERVED:
            continue
        array = part.array(name)
        if array.dims[0] not in SIZES:
            variables[name] = xr.Variable(array.dims[1:], array[local : local + 1][0], dict(array.attributes))
            continue
        start, stop = part.offsets(array.dims[0])[local : local + 2].tolist()
        if name == "frames" or name.startswith("frames_"):
            shape = (stop - start, *array.shape[1:])
            values = lazy(array.folder, shape, array.dtype, partial(_read, array.folder, start))
        else:
            values = array[start:stop]
        variables[name] = xr.Variable(array.dims, values, dict(array.attributes))
    return xr.Dataset(variables, attrs=dict(part.attributes[local]))


def _read(folder: Path, start: int, key: Key) -> np.ndarray:
    """A block of the recording whose rows begin at `start`; whole rows are read."""
    which, rest = key[0], key[1:]
    try:
        facts = (folder / "zarr.json").stat()
    except OSError as error:
        raise StoreError(f"{folder}: gone ({error}); if the store was compacted meanwhile open it anew") from error
    array = _array(folder, facts.st_ino, facts.st_mtime_ns)
    if isinstance(which, int):
        return array[start + which : start + which + 1][(0, *rest)]
    return array[start + which.start : start + which.stop][(slice(None, None, which.step), *rest)]


@lru_cache(HANDLES)
def _array(folder: Path, inode: int, changed: int) -> StoredArray:
    """An array, opened once as long as its metadata are the same file."""
    return StoredArray(folder, "tensorstore")
