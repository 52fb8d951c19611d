"""HDF5: the layout of the silicon movie (one frame a file, with labels), and Nion's."""

from __future__ import annotations

import dataclasses
import json
import math
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from sciworld.domains.base import reading
from sciworld.domains.hdf5 import dataset, opened, require_stored
from sciworld.domains.stem.arrays import pick
from sciworld.domains.stem.blocks import Blocks
from sciworld.domains.stem.nion import interpret
from sciworld.domains.stem.raw import Raw, ReadOptions, stack
from sciworld.errors import FormatError
from sciworld.lazy import Key


def load_hdf5(path: Path, options: ReadOptions) -> Raw:
    """An HDF5 file with `nn_input` and `defect_coord_*`, or of Nion, or with one array that can be frames."""
    with reading(path, "an HDF5 file"), opened(path) as file:
        if "nn_input" in file and not options.array:
            return _told(_labelled(file, path), file["nn_input"])
        images: list[str] = []
        file.visititems(lambda name, node: images.append(name) if _is_image(node) else None)
        name = pick(images, options.array, "data", path)
        node = file[name]
        if "properties" in node.attrs:
            return _told(interpret(_blocks(node, path), json.loads(node.attrs["properties"]), path), node)
        return _told(Raw(stack(_blocks(node, path)), f"the HDF5 array '{name}'"), node)


def _is_image(node: object) -> bool:
    return isinstance(node, h5py.Dataset) and node.dtype.kind in "biuf" and node.ndim >= 2


def _told(raw: Raw, node: h5py.Dataset) -> Raw:
    """What was read, with a note if some of it was never written: a recording that was cut short."""
    chunks = math.prod(-(-n // c) for n, c in zip(node.shape, node.chunks, strict=True)) if node.chunks else 1
    absent = chunks - node.id.get_num_chunks() if node.chunks else int(node.id.get_storage_size() == 0)
    note = f"{absent} of {chunks} chunks were never written and read as {node.fillvalue}"
    return dataclasses.replace(raw, notes=(*raw.notes, note)) if absent else raw


def _blocks(node: h5py.Dataset, path: Path) -> Blocks:
    require_stored(node, path)
    shape, dtype = tuple(node.shape), node.dtype.newbyteorder("=")
    return Blocks(path, shape, dtype, partial(_read, path, node.name, shape, dtype))


def _read(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, key: Key) -> np.ndarray:
    with h5py.File(path, "r") as file:
        node = dataset(file, name, path)
        if node.shape != shape:
            raise FormatError(f"{path}: '{name}' is {node.shape} and was {shape} when it was opened; open it anew")
        return np.asarray(node[key]).astype(dtype, copy=False)


def _labelled(file: h5py.File, path: Path) -> Raw:
    """`nn_input` (time, y, x, channel) and, for frame k, `defect_coord_k`: rows of column, row and species."""
    data = file["nn_input"]
    frames = stack(_blocks(data, path))
    notes, facts, step = [], {}, None
    metadata = json.loads(data.attrs.get("metadata", "{}"))
    if "acc voltage" in metadata:
        facts["voltage"] = (1000.0 * float(metadata["acc voltage"]), "V")
        notes.append(f"'acc voltage' {metadata['acc voltage']:g} is taken as kV")
    if "scan size" in data.attrs:
        # The file gives no unit; 2000 for a field of 2 nm is documented with the data.
        size = 0.01 * float(data.attrs["scan size"])
        step = (size / frames.shape[2], size / frames.shape[2])
        notes.append(f"'scan size' {float(data.attrs['scan size']):g} is taken as pm across, and nominal")
    channel = str(metadata.get("type of data") or "intensity").lower()
    labels = np.full((len(frames), 2), np.nan)
    for k in range(len(frames)):
        if f"defect_coord_{k}" in file:
            labels[k] = _silicon(file[f"defect_coord_{k}"][()], path, k, notes)
    extra = [name for name in file if name.startswith("defect_coord_") and not _counts(name, len(frames))]
    if extra:
        raise FormatError(
            f"{path}: labels '{extra[0]}' for {len(frames)} frames; drop the labels or restore the frames"
        )
    known = bool(np.isfinite(labels).any())
    return Raw(
        frames, "a labelled HDF5 movie", step=step, channel=channel, facts=facts,
        silicon=labels if known else None, notes=tuple(notes),
    )  # fmt: skip


def _counts(name: str, n: int) -> bool:
    number = name.removeprefix("defect_coord_")
    return number.isdigit() and int(number) < n


def _silicon(rows: np.ndarray, path: Path, frame: int, notes: list[str]) -> tuple[float, float]:
    """Column and row of the one row whose species is Si; NaN if there is none, or more than one."""
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise FormatError(f"{path}: labels of shape {rows.shape}; each row holds column, row and species")
    atoms = rows[np.char.decode(rows[:, 2].astype("S"), "utf-8") == "Si"]
    if len(atoms) != 1:
        notes.append(f"frame {frame} has {len(atoms)} labels of silicon, and none is used")
        return np.nan, np.nan
    return float(atoms[0, 0]), float(atoms[0, 1])
