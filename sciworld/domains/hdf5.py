"""HDF5 files before a reader trusts them: nothing in them leads to another file, and what is read at once is small."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from sciworld.errors import FormatError

MOST = 1 << 24  # numbers of an array that is read whole when a file is opened: a coordinate, a label
LEAST = 64 << 20  # bytes of an array, from which on as many must be in the file as deflate can make of it
DEFLATE = 1032  # what deflate makes smaller at most so many times (RFC 1951)
LINKS = (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT)  # those that stay in the file


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file for reading. Raises FormatError if anything in it leads to another file.

    HDF5 follows external links and reads external raw storage without a word: a file from elsewhere could so put any
    file of this machine into a recording.
    """
    with h5py.File(path, "r") as file:
        outside = file.id.links.visit(_outside_link, info=True)
        if outside is None:
            outside = h5py.h5o.visit(file.id, lambda name, info: _outside_data(file, name, info), info=True)
        if outside is not None:
            name = outside.decode(errors="replace")
            raise FormatError(f"{path}: '{name}' lies in another file, which is not followed; save all in one file")
        yield file


def dataset(file: h5py.Group, name: str, path: Path) -> h5py.Dataset:
    """The dataset called `name` in `file`. Raises FormatError if there is none, or nearly nothing in it."""
    node = file.get(name)
    if not isinstance(node, h5py.Dataset):
        what = "no dataset" if node is None else f"a {type(node).__name__.lower()}"
        where = f"{file.name.rstrip('/')}/{name}".lstrip("/")
        raise FormatError(f"{path}: {what} '{where}', where an array is expected; copy the file anew")
    require_stored(node, path)
    return node


def require_stored(node: h5py.Dataset, path: Path) -> None:
    """Raise FormatError for a large array of which nearly nothing was written: all else would be read as zeros."""
    size = 0 if node.shape is None else node.size * node.dtype.itemsize
    held = path.stat().st_size if node.is_virtual else node.id.get_storage_size()
    if size > max(LEAST, DEFLATE * held):
        raise FormatError(
            f"{path}: '{node.name}' states {size} bytes of which {held} are in the file; it was never written, or "
            "the file is damaged: copy it anew"
        )


def numbers(file: h5py.Group, name: str, path: Path) -> np.ndarray:
    """A small array of real numbers, whole : float64. Raises FormatError for text, complex numbers, or a huge one."""
    node = dataset(file, name, path)
    if node.dtype.kind not in "biuf":
        raise FormatError(f"{path}: '{node.name}' is {node.dtype}; save it as float64")
    if node.shape is None or node.size > MOST:
        raise FormatError(
            f"{path}: '{node.name}' states {node.shape} values where at most {MOST} are expected; it is damaged, or "
            "another layout: name the reader that fits"
        )
    return np.asarray(node[()], dtype=np.float64)


def _outside_link(name: bytes, info: h5py.h5l.LinkInfo) -> bytes | None:
    return None if info.type in LINKS else name


def _outside_data(file: h5py.File, name: bytes, info: h5py.h5o.ObjInfo) -> bytes | None:
    """The name of a dataset whose values lie in other files; None of any other object."""
    if info.type != h5py.h5o.TYPE_DATASET:
        return None
    plan = h5py.h5d.open(file.id, name).get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL:
        sources = [plan.get_virtual_filename(k) for k in range(plan.get_virtual_count())]
        return name if any(source != "." for source in sources) else None
    return name if plan.get_external_count() else None
