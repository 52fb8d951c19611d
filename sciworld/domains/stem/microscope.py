"""DM3, DM4, EMD, MRC and SER files, through rosettasciio (the extra `em`)."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sciworld.domains.base import reading
from sciworld.domains.stem.blocks import Blocks
from sciworld.domains.stem.raw import Raw, ReadOptions, choose, length, stack
from sciworld.errors import FormatError, MissingDependencyError
from sciworld.lazy import Key

_PLUGINS = {
    ".dm3": "digitalmicrograph", ".dm4": "digitalmicrograph", ".emd": "emd", ".mrc": "mrc", ".ser": "tia",
}  # fmt: skip
# rosettasciio's own `metadata` leaves out dwell and rotation. Here: quantity, units, and for each place in
# `original_metadata` that may state it the factor to these units; the documented place first.
_DM = "ImageList.TagGroup0.ImageTags"
_PLACES = {
    "voltage": ("V", ((f"{_DM}.Microscope Info.Voltage", 1.0), ("Optics.AccelerationVoltage", 1.0),
                      (f"{_DM}.ImageScanned.EHT", 1.0))),
    "pixel_time": ("s", ((f"{_DM}.DigiScan.Sample Time", 1e-6), (f"{_DM}.SuperScan.PixelTime(us)", 1e-6),
                         ("Scan.DwellTime", 1.0))),
    "scan_rotation": ("rad", ((f"{_DM}.DigiScan.Rotation", np.pi / 180), ("Scan.ScanRotation", 1.0))),
    "frame_time": ("s", (("Scan.FrameTime", 1.0),)),
}  # fmt: skip


def load_microscope(path: Path, options: ReadOptions) -> Raw:
    """One image or stack of images of a microscope's file. Raises MissingDependencyError without the extra `em`."""
    kind = f"a {path.suffix[1:].upper()} file"
    try:
        with reading(path, kind):
            images = _images(path, _PLUGINS[path.suffix.lower()])
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: {path.suffix} files are read through rosettasciio ({error}); pip install 'sciworld[em]'"
        ) from error
    number = _select(images, options, path)
    return interpret(images[number], number, kind, path)


def interpret(item: dict[str, Any], number: int, kind: str, path: Path) -> Raw:
    """What one of rosettasciio's dictionaries says, the image `number`: `data`, `axes` and `original_metadata`."""
    notes: list[str] = []
    axes = sorted(item["axes"], key=lambda axis: axis["index_in_array"])
    data = item["data"]
    size = path.stat().st_size
    if path.suffix.lower() != ".emd" and data.nbytes > size:  # HDF5 alone compresses, and knows when it was cut off
        raise FormatError(
            f"{path}: truncated, its image takes {data.nbytes} bytes and the file has {size}; copy it anew"
        )
    shape, dtype = tuple(data.shape), data.dtype.newbyteorder("=")
    read = partial(_read, path, _PLUGINS[path.suffix.lower()], number, shape, dtype)
    frames = stack(Blocks(path, shape, dtype, read))
    steps = [length(axis.get("scale"), axis.get("units")) for axis in axes[-2:]]
    origin = [length(axis.get("offset"), axis.get("units")) or 0.0 for axis in axes[-2:]]
    time = None
    if data.ndim == 3:
        if axes[0].get("units") == "s" and axes[0].get("scale", 0) > 0:
            time = axes[0].get("offset", 0.0) + axes[0]["scale"] * np.arange(len(frames))
        else:
            notes.append(f"the axis '{axes[0].get('name')}' is taken as time")
    facts = {}
    for name, (units, places) in _PLACES.items():
        stated = [(place, _look_up(item.get("original_metadata") or {}, place, factor)) for place, factor in places]
        value = choose(name, units, stated, notes)
        if value is not None:
            facts[name] = (value, units)
    y, x = steps
    return Raw(
        frames, kind, step=None if x is None or y is None else (x, y),
        origin=(0.0, 0.0) if x is None or y is None else (origin[1], origin[0]), time=time, facts=facts,
        notes=tuple(notes),
    )  # fmt: skip


def _images(path: Path, plugin: str) -> list[dict[str, Any]]:
    """The images of a file; their `data` are dask arrays, or maps of the file."""
    reader = importlib.import_module(f"rsciio.{plugin}").file_reader
    return [item for item in reader(str(path), lazy=True) if _is_image(item)]


def _read(path: Path, plugin: str, number: int, shape: tuple[int, ...], dtype: np.dtype, key: Key) -> np.ndarray:
    data = _images(path, plugin)[number]["data"]
    if data.shape != shape:
        raise FormatError(f"{path}: is {data.shape} and was {shape} when it was opened; open it anew")
    return np.array(data[key], dtype=dtype)


def _is_image(item: dict[str, Any]) -> bool:
    data = item["data"]
    return data.ndim in (2, 3) and data.dtype.kind in "biuf" and min(data.shape) > 0


def _select(images: list[dict[str, Any]], options: ReadOptions, path: Path) -> int:
    """Which of the images is asked for."""
    titles = [str(((item.get("metadata") or {}).get("General") or {}).get("title", "")) for item in images]
    if options.array in titles and options.array:
        return titles.index(options.array)
    if options.array.isdigit() and int(options.array) < len(images):
        return int(options.array)
    if len(images) == 1 and not options.array:
        return 0
    found = ", ".join(f"{k}: '{title}' {images[k]['data'].shape}" for k, title in enumerate(titles)) or "none"
    raise FormatError(f"{path}: {len(images)} images; choose one by name or number with array=: {found}")


def _look_up(tree: Any, place: str, factor: float) -> float | None:
    """The number at a dotted place in nested metadata, times `factor`; None if it is not there."""
    for key in place.split("."):
        try:
            tree = tree[key]
        except (KeyError, TypeError, IndexError):
            return None
    try:
        return factor * float(tree)
    except (TypeError, ValueError):
        return None
