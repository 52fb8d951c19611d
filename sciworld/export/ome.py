"""Recordings as OME-Zarr 0.5 (ngff.openmicroscopy.org/0.5, on Zarr v3), with all that is not image beside it.

The group of an image has the frames as its array "0" (t, c, z, y, x), in their dtype, and a group "sciworld" with every
other variable as an array of its own and the attributes of the recording, so that Zarr alone reads all of it, and
`domains/stem/ome.py` the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from sciworld import recording
from sciworld.errors import RecordingError
from sciworld.export.export import ExportSettings, Tell, camera_of, file_names, still_view, view_of
from sciworld.lazy import block_rows, blocks
from sciworld.parts import is_name
from sciworld.shards import LEVEL
from sciworld.units import canonical

VERSION = "0.5"
CHUNK_FRAMES, TILE, CHUNK_BYTES = 16, 512, 4 << 20
# The specification's names of units.
NAMES = {
    "fm": "femtometer",
    "pm": "picometer",
    "A": "angstrom",
    "nm": "nanometer",
    "um": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "dm": "decimeter",
    "m": "meter",
    "km": "kilometer",
    "in": "inch",
    "ft": "foot",
}


def write_ome(recordings: Sequence[xr.Dataset], out: Path, settings: ExportSettings, tell: Tell) -> list[str]:
    """One recording is the image `out`; several are images in the folder `out`, named by their sessions. Notes."""
    if len(recordings) == 1:
        return _write(recordings[0], out, settings, tell)
    out.mkdir()
    notes = []
    for ds, name in zip(recordings, file_names(recordings, ".ome.zarr"), strict=True):
        notes += [f"{name}: {note}" for note in _write(ds, out / name, settings, tell)]
    return notes


def _write(ds: xr.Dataset, path: Path, settings: ExportSettings, tell: Tell) -> list[str]:
    frames = camera_of(ds, settings)
    notes = [f"camera '{name}' is left out" for name in recording.cameras(ds) if name != settings.camera]
    axes, transformations, unsaid = _geometry(ds, settings, deep=frames.ndim == 5)
    level = {"path": "0", "coordinateTransformations": transformations}
    image = {"name": ds.attrs["session"], "axes": axes, "datasets": [level]}
    # Zarr writes into this dict and we write its files, one after the other: none comes late after an error.
    files: dict[str, Any] = {}
    attributes = {"ome": {"version": VERSION, "multiscales": [image]}, "sciworld_camera": settings.camera}
    root = zarr.create_group(MemoryStore(files), attributes=attributes, zarr_format=3)
    names, rows = [axis["name"] for axis in axes], block_rows(frames)
    array = _array(root, "0", _turned(frames), names, dict(frames.attrs), _tiles(frames, rows))
    for start, block in blocks(frames):
        array[start : start + len(block)] = np.moveaxis(block, -1, 1)
        _put(path, files)
        tell(len(block))
    beside = root.create_group("sciworld", attributes=dict(ds.attrs))
    for name, variable in ds.variables.items():
        if str(name) not in recording.cameras(ds):
            if not is_name(name):
                raise RecordingError(f"{ds.attrs['source']}: {name!r} cannot name an array; rename it")
            values = variable.values
            dims, chunks = [str(dim) for dim in variable.dims], _rows(values)
            _array(beside, str(name), values, dims, dict(variable.attrs), chunks)[...] = values
            _put(path, files)
    _put(path, files, last=True)
    return notes + unsaid


def _put(path: Path, files: dict[str, Any], last: bool = False) -> None:
    """Write the chunks in `files`, which leave it, and at last the metadata. Raises OSError."""
    for key in [key for key in files if last or not key.endswith("zarr.json")]:
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        (path / key).write_bytes(files.pop(key).to_bytes())


def _turned(frames: xr.Variable) -> Any:
    """What has the shape of frames as (t, c, [z,] y, x), and their dtype; no pixel is read."""
    shape = (frames.shape[0], frames.shape[-1], *frames.shape[1:-1])
    return np.broadcast_to(np.zeros((), dtype=frames.dtype), shape)


def _tiles(frames: xr.Variable, rows: int) -> tuple[int, ...]:
    """The chunks of an image : (t, c, [z,] y, x): 16 frames of a tile, fewer if they are large; they divide `rows`."""
    y, x = (min(TILE, size) for size in frames.shape[-3:-1])
    count = min(CHUNK_FRAMES, rows, max(1, CHUNK_BYTES // (y * x * frames.dtype.itemsize)))
    while rows % count:
        count -= 1
    return (min(count, frames.shape[0]), *[1] * (frames.ndim - 3), y, x)


def _rows(values: np.ndarray) -> tuple[int, ...]:
    """The chunks of any other array: as many rows as fit."""
    if not values.ndim:
        return ()
    a_row = max(1, int(np.prod(values.shape[1:], dtype=np.int64)) * values.dtype.itemsize)
    return (max(1, min(len(values), CHUNK_BYTES // a_row)), *(max(1, size) for size in values.shape[1:]))


def _array(
    group: zarr.Group, name: str, like: Any, dims: list[str], attributes: dict[str, Any], chunks: tuple[int, ...]
) -> Any:
    return group.create_array(
        name, shape=like.shape, dtype=like.dtype, chunks=chunks, dimension_names=dims, attributes=attributes,
        fill_value=0, config={"write_empty_chunks": True},  # chunks that equal the fill value may hold -0.0
        compressors=[ZstdCodec(level=LEVEL), Crc32cCodec()],
    )  # fmt: skip


def _geometry(ds: xr.Dataset, settings: ExportSettings, deep: bool) -> tuple[list[Any], list[Any], list[str]]:
    """Axes, transformations to the laboratory, and notes of what they do not say."""
    (step, first), notes = _clock(ds["time"].values)
    time: dict[str, str] = {"name": "t", "type": "time"}
    if step is not None:
        time["unit"] = "second"
    view = view_of(ds, settings)
    units, still = view.attrs["units"], still_view(view)
    space = NAMES.get(canonical(units)) if still is not None else None
    if still is None:
        notes.append("the view turns, shears or moves: the image is in pixels, sciworld/view has its place")
    elif space is None and units not in ("pixel", "1"):
        notes.append(f"the specification has no name for the unit '{units}': the axes state none")
    dx, x0, dy, y0 = still or (1.0, 0.0, 1.0, 0.0)
    plane = [{"name": name, "type": "space"} | ({"unit": space} if space else {}) for name in ("y", "x")]
    depth = [{"name": "z", "type": "space"}] if deep else []
    scale = [1.0 if step is None else step, 1.0, *[1.0] * deep, dy, dx]
    moved = [first, 0.0, *[0.0] * deep, y0, x0]
    transformations: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if any(moved):
        transformations.append({"type": "translation", "translation": moved})
    return [time, {"name": "c", "type": "channel"}, *depth, *plane], transformations, notes


def _clock(time: np.ndarray) -> tuple[tuple[float | None, float], list[str]]:
    """Seconds a frame and of the first, where times are even; a note where they are not."""
    steps = np.diff(time)
    if len(steps) and np.allclose(steps, steps.mean(), rtol=1e-6, atol=0):
        return (float(steps.mean()), float(time[0])), []
    why = "times are uneven" if len(steps) else "a single frame has no rate"
    return (None, 0.0), [f"{why}: axis t counts frames, sciworld/time has the seconds"]
