"""The parts of a store: how recordings of one kind lie together as one CF contiguous ragged Dataset in Zarr v3.

What has a row a frame is joined along `time`, what has one a log entry along `log`, and the rest is stacked along
`recording`; `row_size` and `log_size` count each recording's rows. Attributes that differ from recording to recording
are lists in the part's own attributes. Every shard and chunk is written, even where it holds only the fill value, and
every chunk ends with a CRC32C: what is missing or damaged is noticed, and -0.0 and NaN payloads survive.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from sciworld.errors import StoreError

SCHEMA = 1
ENGINES = ("tensorstore", "zarr")
CHUNK_FRAMES = 16
CHUNK_BYTES = 4 << 20
SHARD_BYTES = 64 << 20
TILE = 256
CACHE_BYTES = 256 << 20
# What a part has beside its recordings' own variables.
SIZES = {"time": "row_size", "log": "log_size"}
FINITE = "finite"
RESERVED = (*SIZES.values(), FINITE)


def chunk_shape(shape: tuple[int, ...], itemsize: int, frames: bool = True) -> tuple[int, ...]:
    """The inner chunk of an array : (row, ...), at most 4 MiB: 16 frames of a tile, else as many rows as fit."""
    tile = [max(1, size) for size in shape[1:]]
    wanted = CHUNK_FRAMES if frames else max(1, shape[0])
    while (large := math.prod(tile) * itemsize) * wanted > CHUNK_BYTES and tile and max(tile) > 1:
        if max(tile) <= TILE and large <= CHUNK_BYTES:
            break
        axis = tile.index(max(tile))
        tile[axis] = -(-tile[axis] // 2)
    return (max(1, min(wanted, CHUNK_BYTES // (math.prod(tile) * itemsize))), *tile)


def shard_shape(shape: tuple[int, ...], chunk: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole multiples of `chunk`, at most 64 MiB: first across a frame, then along the rows."""
    budget = max(1, SHARD_BYTES // (math.prod(chunk) * itemsize))
    shard = list(chunk)
    for axis in reversed(range(len(shape))):
        times = min(max(1, -(-shape[axis] // chunk[axis])), budget)
        shard[axis] *= times
        budget //= times
    return tuple(shard)


@dataclass(frozen=True)
class Joined:
    """An array to be written: `pieces`, anything that slices to NumPy along its first axis, are joined along it."""

    dims: tuple[str, ...]
    attributes: dict[str, Any]
    pieces: Sequence[Any]

    def blocks(self, rows: int) -> Iterable[np.ndarray]:
        """The joined array in blocks of `rows` rows; the last may be shorter."""
        held: list[np.ndarray] = []
        count = 0
        for piece in self.pieces:
            start = 0
            while start < piece.shape[0]:
                taken = np.asarray(piece[start : start + rows - count])
                held.append(taken)
                start, count = start + len(taken), count + len(taken)
                if count == rows:
                    yield np.concatenate(held)
                    held, count = [], 0
        if held:
            yield np.concatenate(held)

    def write(self, folder: Path, name: str) -> None:
        """Write the array as folder/name. Raises OSError."""
        rows = sum(piece.shape[0] for piece in self.pieces)
        shape = (rows, *self.pieces[0].shape[1:])
        dtype = np.dtype(self.pieces[0].dtype.name)
        chunk = chunk_shape(shape, dtype.itemsize, frames=_is_frames(name))
        shard = shard_shape(shape, chunk, dtype.itemsize)
        # Zarr writes into this dict and we write its files: one after the other, each on the disk before the next,
        # and none that comes late after an error.
        files: dict[str, Any] = {}
        array = zarr.create_array(
            zarr.storage.MemoryStore(files),
            name=name,
            shape=shape,
            dtype=dtype,
            chunks=chunk,
            shards=shard,
            compressors=[ZstdCodec(level=1), Crc32cCodec()],
            fill_value=0,
            attributes=self.attributes,
            dimension_names=self.dims,
            config={"write_empty_chunks": True},
        )
        start = 0
        for block in self.blocks(shard[0]):
            array[start : start + len(block)] = block
            start += len(block)
            for key in [key for key in files if key.startswith(f"{name}/c")]:
                write_file(folder / key, files.pop(key).to_bytes())
        write_file(folder / name / "zarr.json", files[f"{name}/zarr.json"].to_bytes())


def kind(recording: xr.Dataset) -> str:
    """What recordings of one part have in common: names, dimensions, dtypes, shapes but for the rows, attributes."""
    facts = []
    for name, variable in sorted(recording.variables.items(), key=lambda item: str(item[0])):
        fixed = variable.shape[1:] if variable.dims[:1] in (("time",), ("log",)) else variable.shape
        facts.append([str(name), variable.dims, str(variable.dtype), fixed, variable.attrs])
    return json.dumps(facts, sort_keys=True)


def join_recordings(recordings: Sequence[xr.Dataset]) -> tuple[dict[str, Joined], list[dict[str, Any]]]:
    """The arrays of a part that holds `recordings`, all of one kind, and the attributes of each recording."""
    arrays: dict[str, Joined] = {}
    for name, variable in recordings[0].variables.items():
        pieces = [recording.variables[name].data for recording in recordings]
        dims = tuple(str(dim) for dim in variable.dims)
        if dims[:1] not in (("time",), ("log",)):
            pieces, dims = [np.stack([np.asarray(piece) for piece in pieces])], ("recording", *dims)
        arrays[str(name)] = Joined(dims, dict(variable.attrs), pieces)
    for dim, size in SIZES.items():
        if dim in recordings[0].dims:
            counts = np.array([recording.sizes[dim] for recording in recordings], dtype=np.int64)
            arrays[size] = Joined(("recording",), {"sample_dimension": dim}, [counts])
    floats = [name for name in arrays if _is_frames(name) and arrays[name].pieces[0].dtype.kind == "f"]
    if floats:
        finite = [_finite(recording, floats) for recording in recordings]
        arrays[FINITE] = Joined(("time",), {"long_name": "whether every pixel is finite"}, finite)
    return arrays, [dict(recording.attrs) for recording in recordings]


def join_parts(parts: Sequence[Part]) -> tuple[dict[str, Joined], list[dict[str, Any]]]:
    """The arrays of a part that holds the recordings of `parts`, all of one kind, in their order."""
    arrays = {}
    for name in parts[0].names:
        first = parts[0].array(name)
        arrays[name] = Joined(first.dims, first.attributes, [part.array(name) for part in parts])
    return arrays, [attributes for part in parts for attributes in part.attributes]


def write(folder: Path, arrays: dict[str, Joined], attributes: list[dict[str, Any]], replaces: Sequence[str]) -> None:
    """Write a part into the empty `folder`, its own zarr.json last. Raises OSError."""
    for name, array in arrays.items():
        array.write(folder, name)
    shared = {name: value for name, value in attributes[0].items() if _in_all(name, value, attributes)}
    own = [{name: value for name, value in each.items() if name not in shared} for each in attributes]
    header = {"Conventions": "CF-1.11", "featureType": "timeSeries", "sciworld_schema": SCHEMA}
    header |= {"replaces": list(replaces), "arrays": sorted(arrays), "shared": shared, "recordings": own}
    write_group(folder, header)


def write_group(folder: Path, attributes: dict[str, Any]) -> None:
    """Write the zarr.json of a group."""
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    write_file(folder / "zarr.json", json.dumps(group).encode())


def write_file(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def read_node(folder: Path) -> dict[str, Any]:
    """The zarr.json of a group or array. Raises StoreError."""
    file = folder / "zarr.json"
    try:
        node = json.loads(file.read_text())
        version = node["attributes"].get("sciworld_schema", 0)
    except FileNotFoundError as error:
        raise StoreError(
            f"{file}: missing; if the store was compacted meanwhile open it anew, else restore it"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{file}: not readable ({error}); restore it from a copy, or move its folder away") from error
    if not isinstance(version, int) or version > SCHEMA:
        raise StoreError(f"{file}: schema {version}, newer than the {SCHEMA} known here; upgrade sciworld")
    return node


class StoredArray:
    """An array on disk that slices to NumPy along its first axis."""

    def __init__(self, folder: Path, engine: str) -> None:
        node = read_node(folder)
        self.folder = folder
        self.shape: tuple[int, ...] = tuple(node["shape"])
        self.dtype = np.dtype(node["data_type"])
        self.dims: tuple[str, ...] = tuple(node["dimension_names"])
        self.attributes: dict[str, Any] = node["attributes"]
        self.shard: tuple[int, ...] = tuple(node["chunk_grid"]["configuration"]["chunk_shape"])
        self._engine = engine
        for file, _ in self.shards():
            if not file.is_file():
                raise StoreError(
                    f"{file}: missing; restore it from a copy, or record its part {folder.parent.name} anew"
                )
        self._handle: Any
        try:
            self._handle = _open_tensorstore(folder) if engine == "tensorstore" else zarr.open_array(folder, mode="r")
        except (ValueError, OSError) as error:
            raise StoreError(f"{folder}: cannot be opened ({error}); restore it from a copy") from error

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        return self.read([(start, stop)])[0]

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Rows [start, stop) for each of `ranges`, read together. Raises StoreError naming the damaged file."""
        try:
            return self._read(ranges)
        except (ValueError, OSError, RuntimeError) as error:
            for file, region in self.shards():
                if any(start < region[0].stop and region[0].start < stop for start, stop in ranges):
                    self._verify(file, region)
            raise StoreError(f"{self.folder}: cannot be read ({error}); restore it from a copy") from error

    @cached_property
    def whole(self) -> np.ndarray:
        """The whole array, read once and held in memory; read-only."""
        values = self[:]
        values.setflags(write=False)
        return values

    def verify(self) -> list[str]:
        """Read everything; what is wrong with each damaged shard."""
        wrong = []
        for file, region in self.shards():
            try:
                self._verify(file, region)
            except StoreError as error:
                wrong.append(str(error))
        return wrong

    def shards(self) -> Iterable[tuple[Path, tuple[slice, ...]]]:
        """Every shard's file and the region of the array that it holds."""
        counts = [-(-size // shard) for size, shard in zip(self.shape, self.shard, strict=True)]
        for index in itertools.product(*map(range, counts)):
            file = self.folder.joinpath("c", *map(str, index))
            starts = [i * shard for i, shard in zip(index, self.shard, strict=True)]
            stops = [min(a + shard, size) for a, shard, size in zip(starts, self.shard, self.shape, strict=True)]
            yield file, tuple(map(slice, starts, stops))

    def _read(self, ranges: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        if self._engine == "tensorstore":
            futures = [self._handle[start:stop].read() for start, stop in ranges]
            return [future.result() for future in futures]
        return [np.asarray(self._handle[start:stop]) for start, stop in ranges]

    def _verify(self, file: Path, region: tuple[slice, ...]) -> None:
        try:
            # A handle of its own, whose cache holds nothing: the bytes on disk are what is verified.
            np.asarray(zarr.open_array(self.folder, mode="r")[region])
        except Exception as error:
            raise StoreError(
                f"{file}: damaged ({error}); restore it from a copy, or record its part {self.folder.parent.name} anew"
            ) from error


class Part:
    """One immutable part on disk.

    `names` are those of its arrays, `attributes` those of each recording; `replaces` names the parts that it was
    merged from.
    """

    def __init__(self, folder: Path, engine: str) -> None:
        header = read_node(folder)["attributes"]
        self.folder, self.name, self._engine = folder, folder.name, engine
        try:
            self.replaces: tuple[str, ...] = tuple(header["replaces"])
            self.names: tuple[str, ...] = tuple(header["arrays"])
            self.attributes: list[dict[str, Any]] = [header["shared"] | own for own in header["recordings"]]
        except (KeyError, TypeError) as error:
            raise StoreError(
                f"{folder / 'zarr.json'}: not a part of a sciworld store ({error}); move it away"
            ) from error
        self._arrays: dict[str, StoredArray] = {}

    def __len__(self) -> int:
        return len(self.attributes)

    @cached_property
    def kind(self) -> str:
        """What parts that may be merged have in common."""
        arrays = [(name, self.array(name)) for name in self.names]
        return json.dumps([[n, a.dims, a.dtype.name, a.shape[1:], a.attributes] for n, a in arrays], sort_keys=True)

    @cached_property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def array(self, name: str) -> StoredArray:
        """The array called `name`, opened once."""
        if name not in self._arrays:
            self._arrays[name] = StoredArray(self.folder / name, self._engine)
        return self._arrays[name]

    def offsets(self, dim: str = "time") -> np.ndarray:
        """Where each recording's rows start along `dim`, and where the last ends : (recording + 1,) int64."""
        return self._offsets[dim]

    @cached_property
    def _offsets(self) -> dict[str, np.ndarray]:
        sizes = {dim: name for dim, name in SIZES.items() if name in self.names}
        return {dim: np.concatenate([[0], np.cumsum(self.array(name)[:])]) for dim, name in sizes.items()}

    def read(self, index: int) -> xr.Dataset:
        """The recording at `index` in this part, as it was written."""
        variables = {}
        for name in self.names:
            if name in RESERVED:
                continue
            array = self.array(name)
            dims, dim = array.dims, array.dims[0]
            if dim in SIZES:
                values = array[slice(*self.offsets(dim)[index : index + 2].tolist())]
            else:
                values, dims = array[index : index + 1][0], dims[1:]
            variables[name] = xr.Variable(dims, values, dict(array.attributes))
        return xr.Dataset(variables, attrs=dict(self.attributes[index]))


def _is_frames(name: str) -> bool:
    return name == "frames" or name.startswith("frames_")


def _in_all(name: str, value: Any, attributes: list[dict[str, Any]]) -> bool:
    text = json.dumps(value)  # 1 == 1.0 == True, but not as text
    return all(name in each and json.dumps(each[name]) == text for each in attributes)


def _finite(recording: xr.Dataset, names: list[str]) -> np.ndarray:
    """Whether every pixel of a frame of every camera is finite : (time,) bool."""
    finite = np.ones(recording.sizes["time"], dtype=bool)
    for name in names:
        frames = np.asarray(recording.variables[name].data)
        finite &= np.isfinite(frames).reshape(len(frames), -1).all(axis=1)
    return finite


def _open_tensorstore(folder: Path) -> Any:
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{folder.resolve()}/"},
        # Parts never change once they exist.
        "recheck_cached_data": "open",
        "recheck_cached_metadata": "open",
    }
    return tensorstore.open(spec, read=True, context=_CONTEXT).result()


_CONTEXT = tensorstore.Context({"cache_pool": {"total_bytes_limit": CACHE_BYTES}})
