"""The parts of a store: how recordings of one kind lie together as one CF contiguous ragged Dataset in Zarr v3.

What has a row a frame is joined along `time`, what has one a log entry along `log`, and the rest is stacked along
`recording`; `row_size` and `log_size` count each recording's rows. Attributes that differ from recording to recording
are lists in the part's own attributes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld.errors import RecordingError, StoreError
from sciworld.files import write_file
from sciworld.lazy import Key, lazy
from sciworld.nodes import group_json
from sciworld.stored import SCHEMA, StoredArray, read_node
from sciworld.writing import Joined, Look, Watch, is_frames

PART = re.compile(r"part-([0-9]{8})(?:-([0-9]+))?")
# What a part has beside its recordings' own variables.
SIZES = {"time": "row_size", "log": "log_size"}
FINITE = "finite"
RESERVED = (*SIZES.values(), FINITE)
SMALL = 2  # arrays beside the frames that are written at once: most of their time is waiting for the disk
HANDLES = 32  # arrays of lazy recordings that a process keeps open


def kind(recording: xr.Dataset) -> str:
    """What recordings of one part have in common: names, dimensions, dtypes, shapes but for the rows, attributes."""
    facts = []
    for name, variable in sorted(recording.variables.items(), key=lambda item: str(item[0])):
        fixed = variable.shape[1:] if variable.dims[:1] in (("time",), ("log",)) else variable.shape
        facts.append([str(name), variable.dims, str(variable.dtype), fixed, variable.attrs])
    return json.dumps(facts, sort_keys=True)


def write_recordings(folder: Path, recordings: Sequence[xr.Dataset], watches: Sequence[Watch], ahead: bool) -> None:
    """Write recordings, all of one kind, into the empty `folder` as a part.

    watches : one a recording, or none. ahead : see `Joined.begin`. Raises OSError, RecordingError, and what a watch
    raises.
    """
    frames, looks = {}, {}
    for name in filter(is_frames, map(str, recordings[0].variables)):
        pieces = [recording.variables[name] for recording in recordings]
        looks[name] = Look(name, [len(piece) for piece in pieces], watches)
        frames[name] = Joined(_names(pieces[0].dims), dict(pieces[0].attrs), pieces, looks[name])
    with ExitStack() as open_files:
        ends = {name: array.begin(folder, name, open_files, ahead) for name, array in frames.items()}
        recordings = _finished(recordings, watches, looks)
        arrays = _joined(recordings)
        floats = [looks[name].finite for name, array in frames.items() if array.pieces[0].dtype.kind == "f"]
        if floats:
            finite = [np.logical_and.reduce(cameras) for cameras in zip(*floats, strict=True)]
            arrays[FINITE] = Joined(("time",), {"long_name": "whether every pixel is finite"}, finite)
        with ThreadPoolExecutor(SMALL if ahead else 1, thread_name_prefix="write") as pool:
            sha256 = dict(pool.map(lambda item: (item[0], item[1].write(folder, item[0])), arrays.items()))
        sha256 |= {name: end() for name, end in ends.items()}
    _write_header(folder, sha256, [dict(recording.attrs) for recording in recordings], ())


def _finished(
    recordings: Sequence[xr.Dataset], watches: Sequence[Watch], looks: dict[str, Look]
) -> Sequence[xr.Dataset]:
    """The recordings with what their watches, if there are any, measured."""
    if not watches:
        return recordings
    finished = [
        watch.finish(ds, {name: look.finite[index] for name, look in looks.items()})
        for index, (watch, ds) in enumerate(zip(watches, recordings, strict=True))
    ]
    if len({kind(ds) for ds in finished}) > 1:
        raise RecordingError(f"{finished[0].attrs['source']}: its recordings differ in what was measured of them")
    return finished


def _joined(recordings: Sequence[xr.Dataset]) -> dict[str, Joined]:
    """All arrays of recordings but their frames."""
    arrays: dict[str, Joined] = {}
    for name, variable in recordings[0].variables.items():
        if is_frames(str(name)):
            continue
        pieces = [recording.variables[name].data for recording in recordings]
        dims = _names(variable.dims)
        if dims[:1] not in (("time",), ("log",)):
            pieces, dims = [np.stack([np.asarray(piece) for piece in pieces])], ("recording", *dims)
        arrays[str(name)] = Joined(dims, dict(variable.attrs), pieces)
    for dim, size in SIZES.items():
        if dim in recordings[0].dims:
            counts = np.array([recording.sizes[dim] for recording in recordings], dtype=np.int64)
            arrays[size] = Joined(("recording",), {"sample_dimension": dim}, [counts])
    return arrays


def join_parts(parts: Sequence[Part]) -> tuple[dict[str, Joined], list[dict[str, Any]]]:
    """The arrays of a part that holds the recordings of `parts`, all of one kind, in their order."""
    arrays = {}
    for name in parts[0].names:
        first = parts[0].array(name)
        arrays[name] = Joined(first.dims, first.attributes, [part.array(name) for part in parts])
    return arrays, [attributes for part in parts for attributes in part.attributes]


def write(folder: Path, arrays: dict[str, Joined], attributes: list[dict[str, Any]], replaces: Sequence[str]) -> None:
    """Write a part into the empty `folder`, its own zarr.json last. Raises OSError."""
    sha256 = {name: array.write(folder, name) for name, array in arrays.items()}
    _write_header(folder, sha256, attributes, replaces)


def _write_header(
    folder: Path, sha256: dict[str, str], attributes: list[dict[str, Any]], replaces: Sequence[str]
) -> None:
    """Write the zarr.json of a part whose arrays are written, by which it exists."""
    shared = {name: value for name, value in attributes[0].items() if _in_all(name, value, attributes)}
    own = [{name: value for name, value in each.items() if name not in shared} for each in attributes]
    header = {"Conventions": "CF-1.11", "featureType": "timeSeries", "sciworld_schema": SCHEMA}
    header |= {"replaces": list(replaces), "arrays": sorted(sha256), "sha256": sha256, "shared": shared}
    header["recordings"] = own
    write_group(folder, header)


def write_group(folder: Path, attributes: dict[str, Any]) -> None:
    """Write the zarr.json of a group."""
    write_file(folder / "zarr.json", group_json(attributes))


class Part:
    """One immutable part on disk.

    `names` are those of its arrays, `attributes` those of each recording; `replaces` names the parts that it was
    merged from.
    """

    def __init__(self, folder: Path, engine: str) -> None:
        header = read_node(folder)["attributes"]
        self.folder, self.name, self._engine = folder, folder.name, engine
        try:
            _check_header(header, self.name)
            self.replaces: tuple[str, ...] = tuple(header["replaces"])
            self.names: tuple[str, ...] = tuple(header["arrays"])
            self.attributes: list[dict[str, Any]] = [header["shared"] | own for own in header["recordings"]]
            # Parts of the first release have no checksums of metadata.
            self._sha256: dict[str, str] = header.get("sha256", {})
        except (KeyError, TypeError, ValueError) as error:
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
        """The array called `name`, opened once. Raises StoreError, also if its rows are not those of the recordings."""
        if name not in self._arrays:
            array = StoredArray(self.folder / name, self._engine, self._sha256.get(name))
            known = self._offsets if array.dims[0] in SIZES else {"recording": [len(self)]}
            if array.dims[0] not in known or array.shape[0] != known[array.dims[0]][-1]:
                raise StoreError(
                    f"{self.folder / name}: {array.shape[0]} rows along '{array.dims[0]}', but {self.name} has "
                    f"{len(self)} recordings with other sizes; restore the part from a copy, or move it away"
                )
            self._arrays[name] = array
        return self._arrays[name]

    def offsets(self, dim: str = "time") -> np.ndarray:
        """Where each recording's rows start along `dim`, and where the last ends : (recording + 1,) int64."""
        return self._offsets[dim]

    @cached_property
    def _offsets(self) -> dict[str, np.ndarray]:
        offsets = {}
        for dim, name in SIZES.items():
            if name in self.names:
                sizes = self.array(name)[:]
                if sizes.dtype != np.int64 or sizes.ndim != 1 or (sizes < 0).any():
                    raise StoreError(f"{self.folder / name}: not the sizes of recordings; restore it from a copy")
                offsets[dim] = np.concatenate([[0], np.cumsum(sizes)])
        return offsets

    def read(self, index: int, lazily: bool = False) -> xr.Dataset:
        """The recording at `index` in this part, as it was written; lazily, of its frames none is read before use."""
        variables = {}
        for name in self.names:
            if name in RESERVED:
                continue
            array = self.array(name)
            dims, dim, values = array.dims, array.dims[0], None
            if dim in SIZES:
                start, stop = self.offsets(dim)[index : index + 2].tolist()
                if lazily and is_frames(name):
                    read = partial(_read_rows, array.folder, self._engine, start)
                    values = lazy(array.folder, (stop - start, *array.shape[1:]), array.dtype, read)
                else:
                    values = array[start:stop]
            else:
                values, dims = array[index : index + 1][0], dims[1:]
            variables[name] = xr.Variable(dims, values, dict(array.attributes))
        return xr.Dataset(variables, attrs=dict(self.attributes[index]))


def _read_rows(folder: Path, engine: str, start: int, key: Key) -> np.ndarray:
    """A block of the recording whose rows begin at `start`, in any process; whole rows are read."""
    try:
        facts = (folder / "zarr.json").stat()
    except OSError as error:
        raise StoreError(f"{folder}: gone ({error}); if the store was compacted meanwhile open it anew") from error
    rows = _opened(folder, engine, facts.st_ino, facts.st_mtime_ns)[start + key[0].start : start + key[0].stop]
    return rows[(slice(None, None, key[0].step), *key[1:])]


@lru_cache(HANDLES)
def _opened(folder: Path, engine: str, inode: int, changed: int) -> StoredArray:
    """An array, opened once as long as its metadata are the same file."""
    return StoredArray(folder, engine)


@lru_cache(1 << 16)  # a store looks at all its names whenever it is appended to
def number(name: str) -> tuple[int, int]:
    """The number and generation in a part's name. Raises ValueError."""
    match = PART.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not a part's name")
    return int(match[1]), int(match[2] or 0)


def is_name(name: object) -> bool:
    """Whether an array may be called so: the name is that of its folder too."""
    return isinstance(name, str) and name not in ("", ".", "..", "zarr.json") and not set(name) & set("/\\\0")


def _check_header(header: dict[str, Any], own: str) -> None:
    """What a part's header says is used as paths, also of what is deleted. Raises KeyError, TypeError, ValueError."""
    for field in ("replaces", "arrays", "recordings"):
        if not isinstance(header[field], list):
            raise TypeError(f"{field} is no list")
    for name in header["replaces"]:
        # A merged part takes the first name of what it was merged from, a generation on.
        later, same = number(name)[0] - number(own)[0], number(name)[0] == number(own)[0]
        if later < 0 or (same and number(name)[1] >= number(own)[1]):
            raise ValueError(f"{own} cannot replace {name}")
    odd = [name for name in header["arrays"] if not is_name(name)]
    if odd or not {"row_size", "time"} <= set(header["arrays"]):
        raise ValueError(f"arrays are {header['arrays']}")
    if not isinstance(header.get("sha256", {}), dict):
        raise TypeError("sha256 is no table")
    for recording in header["recordings"]:
        if not all(isinstance((header["shared"] | recording)[name], str) for name in ("session", "source")):
            raise TypeError("a session or source is no text")


def _in_all(name: str, value: Any, attributes: list[dict[str, Any]]) -> bool:
    text = json.dumps(value)  # 1 == 1.0 == True, but not as text
    return all(name in each and json.dumps(each[name]) == text for each in attributes)


def _names(dims: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(dim) for dim in dims)
