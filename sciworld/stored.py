"""Arrays of a part as they lie on disk: their metadata, read with care, and their rows."""

from __future__ import annotations

import hashlib
import json
import math
import weakref
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore
import zarr

from sciworld.errors import StoreError

SCHEMA = 1
ENGINES = ("tensorstore", "zarr")
CACHE_BYTES = 256 << 20


def read_node(folder: Path, sha256: str | None = None) -> dict[str, Any]:
    """The zarr.json of a group or array, checked against its checksum if that is known. Raises StoreError."""
    file = folder / "zarr.json"
    try:
        content = file.read_bytes()
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("changed since it was written, its sha256 differs")
        node = json.loads(content)
        version = node["attributes"].get("sciworld_schema", 0)
    except FileNotFoundError as error:
        raise StoreError(
            f"{file}: missing; if the store was compacted meanwhile open it anew, else restore it, or move "
            f"{folder} away"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"{file}: not readable ({error}); restore it from a copy, or move its folder away") from error
    if not isinstance(version, int) or version > SCHEMA:
        raise StoreError(f"{file}: schema {version}, newer than the {SCHEMA} known here; upgrade sciworld")
    return node


class StoredArray:
    """An array on disk that slices to NumPy along its first axis."""

    def __init__(self, folder: Path, engine: str, sha256: str | None = None) -> None:
        node = read_node(folder, sha256)
        self.folder = folder
        self.attributes: dict[str, Any] = node["attributes"]
        try:
            self.shape = _sizes(node["shape"], least=0)
            self.shard = _sizes(node["chunk_grid"]["configuration"]["chunk_shape"], least=1)
            self.dtype = np.dtype(node["data_type"])
            self.dims: tuple[str, ...] = tuple(map(str, node["dimension_names"]))
            if not 0 < len(self.dims) == len(self.shape) == len(self.shard):
                raise ValueError(f"dimensions {self.dims}, shape {self.shape}, shards {self.shard}")
            absent = next((file for file, _ in self.shards() if not file.is_file()), None)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{folder / 'zarr.json'}: not the metadata of an array ({error!r}); restore it from a copy, or move "
                f"its part {folder.parent.name} away"
            ) from error
        if absent is not None:
            raise self._missing(absent)
        self._engine = engine
        self._handle: Any
        try:
            self._handle = _open_tensorstore(folder) if engine == "tensorstore" else zarr.open_array(folder, mode="r")
        except Exception as error:  # damaged metadata raise anything at all in what parses them
            raise StoreError(f"{folder}: cannot be opened ({error}); restore it from a copy") from error

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        return self.read([(slice(start, stop),)])[0]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, regions: Sequence[tuple[slice, ...]]) -> np.ndarray:
        """One or more regions of one shape : (region, ...), read together; of the chunks only those that they touch.

        regions : slices with start and stop, of the first axes or of all. Raises StoreError naming the damaged file.
        """
        try:
            return self._read(regions)
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            for file, held in self._touched(regions).items():
                self._verify(file, held)
            raise StoreError(f"{self.folder}: cannot be read ({error}); restore it from a copy") from error

    @cached_property
    def whole(self) -> np.ndarray:
        """The whole array, read once and held in memory; read-only."""
        values = self[:]
        values.setflags(write=False)
        _HELD.add(self)
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
        for flat in range(math.prod(counts)):  # one by one: damaged metadata may promise any number
            index = tuple(map(int, np.unravel_index(flat, counts)))
            file = self.folder.joinpath("c", *map(str, index))
            starts = [i * shard for i, shard in zip(index, self.shard, strict=True)]
            stops = [min(a + shard, size) for a, shard, size in zip(starts, self.shard, self.shape, strict=True)]
            yield file, tuple(map(slice, starts, stops))

    def _read(self, regions: Sequence[tuple[slice, ...]]) -> np.ndarray:
        if self._engine != "tensorstore":
            found = np.stack([np.asarray(self._handle[region]) for region in regions])
            for file in self._touched(regions):  # zarr reads zeros where there is no file
                if not file.is_file():
                    raise self._missing(file)
            return found
        # One read of all, into one array, without Python in between; neighbouring chunks of a shard are one read of
        # its file.
        layers = [self._handle[region].translate_to[0] for region in regions]
        with tensorstore.Batch() as together:
            future = tensorstore.stack(layers).read(batch=together)
        values: np.ndarray = future.result()
        return values

    def _touched(self, regions: Sequence[tuple[slice, ...]]) -> dict[Path, tuple[slice, ...]]:
        """The shards that hold something of the regions, and what they hold of the array."""
        return {file: held for file, held in self.shards() if any(_overlap(region, held) for region in regions)}

    def _missing(self, file: Path) -> StoreError:
        return StoreError(
            f"{file}: missing; if the store was compacted meanwhile open it anew, else restore the file from a copy, "
            f"or record its part {self.folder.parent.name} anew"
        )

    def _verify(self, file: Path, region: tuple[slice, ...]) -> None:
        if not file.is_file():
            raise self._missing(file)
        try:
            # A handle of its own, whose cache holds nothing: the bytes on disk are what is verified.
            _open_tensorstore(self.folder, tensorstore.Context())[region].read().result()
        except Exception as error:
            raise StoreError(
                f"{file}: damaged ({error}); restore it from a copy, or record its part {self.folder.parent.name} anew"
            ) from error


def held_bytes(arrays: Iterable[StoredArray]) -> int:
    """Bytes of all arrays that this process holds whole in memory, once it holds `arrays` too."""
    return sum(array.nbytes for array in {*_HELD, *arrays})


def _overlap(one: tuple[slice, ...], other: tuple[slice, ...]) -> bool:
    """Whether two regions share an element; an axis that one does not name it has in full."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=False))


def _sizes(sizes: Any, least: int) -> tuple[int, ...]:
    if not (isinstance(sizes, list) and all(type(size) is int and size >= least for size in sizes)):
        raise ValueError(f"sizes are {sizes!r}")
    return tuple(sizes)


def _open_tensorstore(folder: Path, context: Any = None) -> Any:
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{folder.resolve()}/"},
        # Parts never change once they exist.
        "recheck_cached_data": "open",
        "recheck_cached_metadata": "open",
        # Every chunk was written, also those of zeros: one that is missing is lost.
        "fill_missing_data_reads": False,
    }
    return tensorstore.open(spec, read=True, context=context or _CONTEXT).result()


_HELD: weakref.WeakSet[StoredArray] = weakref.WeakSet()
_CONTEXT = tensorstore.Context({"cache_pool": {"total_bytes_limit": CACHE_BYTES}})
