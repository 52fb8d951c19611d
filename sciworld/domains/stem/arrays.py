"""Plain arrays: .npy, .npz, .zarr, and .raw with a .json beside it that says what it holds."""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from sciworld.domains.base import reading
from sciworld.domains.hdf5 import MOST
from sciworld.domains.stem.blocks import mapped
from sciworld.domains.stem.chunks import zarr_blocks
from sciworld.domains.stem.npy import npy, zipped
from sciworld.domains.stem.ome import load_image, metadata
from sciworld.domains.stem.raw import Raw, ReadOptions, stack
from sciworld.errors import FormatError


def load_npy(path: Path, options: ReadOptions) -> Raw:
    """A .npy file of (y, x), (time, y, x) or (time, y, x, channel)."""
    with reading(path, "a NumPy array"):
        return Raw(stack(npy(path)), "a NumPy array")


def load_npz(path: Path, options: ReadOptions) -> Raw:
    """A .npz file: `frames` (or the only array, or `array=`), and, if they are there, `time` (s), `pixel_size` (A)."""
    with reading(path, "a NumPy archive"), zipfile.ZipFile(path) as archive:
        arrays = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        time, size = (_small(archive, name, path) if name in arrays else None for name in ("time", "pixel_size"))
        names = sorted(set(arrays) - {"time", "pixel_size"})
        frames = zipped(archive, f"{pick(names, options.array, 'frames', path)}.npy", path)
        if size is not None and (size.size != 1 or not size.item() > 0):
            raise FormatError(f"{path}: pixel_size is {size}; store one positive number, in A")
        step = None if size is None else (float(size.item()), float(size.item()))
        if time is not None:
            time = time.astype(np.float64).reshape(-1)
        return Raw(stack(frames), "a NumPy archive", step=step, time=time)


def load_raw(path: Path, options: ReadOptions) -> Raw:
    """Numbers alone, one after the other, and what they are in NAME.json beside NAME.raw.

    The .json has `shape`, (y, x), (time, y, x) or (time, y, x, channel); `dtype` as NumPy writes it, with the byte
    order where it matters ("uint8", "<u2", ">f4"); and `offset`, bytes before the first number, if there are any.
    """
    beside = path.with_suffix(".json")
    with reading(path, "raw numbers"):
        if not beside.is_file():
            cure = '{"shape": [100, 512, 512], "dtype": "<u2"}'
            raise FormatError(f"{path}: no {beside.name} beside it to say what it holds; write one, such as {cure}")
    with reading(beside, f"what {path.name} holds"):
        stated = json.loads(beside.read_text("utf-8"))
        odd = set(stated) ^ {"shape", "dtype"} if isinstance(stated, dict) else {"shape", "dtype"}
        if odd - {"offset"}:
            raise FormatError(f"{beside}: states {stated!r:.80}; write shape and dtype, and offset if there is one")
        shape, offset, dtype = stated["shape"], stated.get("offset", 0), np.dtype(str(stated["dtype"]))
        sizes = [offset, *shape] if isinstance(shape, list) else [None]
        if not all(type(size) is int and size >= 0 for size in sizes):
            raise FormatError(f"{beside}: shape {shape}, offset {offset}; write whole numbers")
        if dtype.itemsize > 1 and stated["dtype"][:1] not in ("<", ">"):
            raise FormatError(f"{beside}: dtype '{stated['dtype']}' has no byte order; write '<' or '>' before it")
        size = path.stat().st_size - offset
        frames = mapped(path, offset, shape, dtype, size, "an array")
        need = math.prod(shape) * dtype.itemsize
        if size > need:
            raise FormatError(f"{path}: {size} bytes from {offset} on, {need} by {beside.name}; mend its shape")
        return Raw(stack(frames), f"raw numbers, as {beside.name} says")


def load_zarr(path: Path, options: ReadOptions) -> Raw:
    """An OME-Zarr image; or a Zarr array, or the array `array=` of a group, as `stack` takes them."""
    import zarr

    with reading(path, "a Zarr array"):
        node, name = zarr.open(path, mode="r"), ""
        if isinstance(node, zarr.Group):
            if "sciworld_schema" in node.attrs:
                raise FormatError(f"{path}: is a store of recordings already; open it with Store.open")
            if metadata(node):
                return load_image(path, node, options)
            images = [name for name, group in node.groups() if metadata(group)]
            if images:
                name = pick(sorted(images), options.array, "", path)
                return load_image(path / name, zarr.open_group(path / name, mode="r"), replace(options, array=""))
            name = pick(sorted(node.array_keys()), options.array, "frames", path)
            node = node[name]
        if not isinstance(node, zarr.Array):
            raise FormatError(f"{path}: '{options.array}' is not an array; name one with array=")
        frames, notes = zarr_blocks(path, name, node)
        return Raw(stack(frames), "a Zarr array", notes=notes)


def _small(archive: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    """A member that is read whole."""
    values = zipped(archive, f"{name}.npy", path)
    if math.prod(values.shape) > MOST:
        raise FormatError(f"{path}: '{name}' has {values.shape} values, at most {MOST} are expected; mend the file")
    return values.read(tuple(slice(0, n, 1) for n in values.shape))


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
