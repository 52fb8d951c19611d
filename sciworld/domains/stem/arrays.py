"""Plain arrays: .npy, .npz and .zarr."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from sciworld.domains.base import reading
from sciworld.domains.stem.raw import Raw, ReadOptions, stack
from sciworld.errors import FormatError


def load_npy(path: Path, options: ReadOptions) -> Raw:
    """A .npy file of (y, x), (time, y, x) or (time, y, x, channel)."""
    # np.load leaves a file open if it fails on a path.
    with reading(path, "a NumPy array"), path.open("rb") as file:
        return Raw(stack(np.load(file, allow_pickle=False), path), "a NumPy array")


def load_npz(path: Path, options: ReadOptions) -> Raw:
    """A .npz file: `frames` (or the only array, or `array=`), and, if they are there, `time` (s), `pixel_size` (A)."""
    with reading(path, "a NumPy archive"), path.open("rb") as file:
        arrays = dict(np.load(file, allow_pickle=False))
        time, size = arrays.pop("time", None), arrays.pop("pixel_size", None)
        frames = arrays[pick(sorted(arrays), options.array, "frames", path)]
        if size is not None and (size.size != 1 or not size.item() > 0):
            raise FormatError(f"{path}: pixel_size is {size}; store one positive number, in A")
        step = None if size is None else (float(size.item()), float(size.item()))
        if time is not None:
            time = time.astype(np.float64).reshape(-1)
        return Raw(stack(frames, path), "a NumPy archive", step=step, time=time)


def load_zarr(path: Path, options: ReadOptions) -> Raw:
    """A Zarr array, or the array `array=` of a group; (y, x), (time, y, x) or (time, y, x, channel)."""
    import zarr

    with reading(path, "a Zarr array"):
        node = zarr.open(path, mode="r")
        if isinstance(node, zarr.Group):
            node = node[pick(sorted(node.array_keys()), options.array, "frames", path)]
        if not isinstance(node, zarr.Array):
            raise FormatError(f"{path}: '{options.array}' is not an array; name one with array=")
        absent = math.prod(node.cdata_shape) - node.nchunks_initialized if not node.shards else 0
        notes = (f"{absent} chunks are absent and read as {node.fill_value}",) if absent else ()
        return Raw(stack(np.asarray(node[...]), path), "a Zarr array", notes=notes)


def pick(names: list[str], wanted: str, usual: str, path: Path) -> str:
    """The array to read: the one that was asked for, else the usual one, else the only one. Raises FormatError."""
    if wanted.isdigit() and wanted not in names and int(wanted) < len(names):
        return names[int(wanted)]
    for name in (wanted, usual) if not wanted else (wanted,):
        if name in names:
            return name
    if len(names) == 1 and not wanted:
        return names[0]
    found = ", ".join(names) or "none"
    asked = f"no array '{wanted}'" if wanted else f"{len(names)} arrays"
    raise FormatError(f"{path}: {asked}; choose one with array=: {found}")
