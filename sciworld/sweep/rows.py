"""The rows of a sweep's table: one file for each cell of each column, the status last.

Each column is a Zarr v3 array over the space's dimensions with chunks of one cell, so that workers write rows without
knowing of each other. A file is written beside its place, brought to the disk, and moved there. The file in `status`,
the last, makes the row: a CRC-32 over the row's files tells one that is whole from one that a broken disk, or two
writers, left. The columns are those of the first cell that finishes; nothing but plain files is needed to write them.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciworld.files import move, write_file
from sciworld.nodes import array_json, group_json
from sciworld.sweep.space import Cell

MISSING, DONE, FAILED = 0, 1, 2
OWN = {"status": "int8", "seconds": "float64", "row_crc32": "uint32"}
DTYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)


@dataclass(frozen=True)
class Field:
    """A column of results: `shape` is of one cell's value."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} ({self.dtype}{' of ' + ' x '.join(map(str, self.shape)) if self.shape else ''})"


@dataclass(frozen=True, eq=False)
class Row:
    """A finished or failed cell. values : column -> array. traceback : of a failed cell, else empty."""

    status: int
    seconds: float
    values: dict[str, np.ndarray]
    traceback: str


@dataclass(frozen=True)
class Rows:
    """The rows in the table `folder`, whose columns have the dimensions `dims` of `shape`; it travels to workers."""

    folder: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]

    def status(self, cell: Cell) -> int:
        """MISSING, DONE or FAILED as it stands there, unchecked."""
        try:
            content = self._file("status", cell).read_bytes()
        except FileNotFoundError:
            return MISSING
        return content[0] if len(content) == 1 else MISSING

    def read(self, cell: Cell) -> Row | None:
        """The row of a cell, None if there is none. Raises ValueError if it is damaged."""
        try:
            status = self._file("status", cell).read_bytes()
        except FileNotFoundError:
            return None
        try:
            fields = self.fields() or () if status == bytes([DONE]) else ()
            contents = {field.name: self._file(field.name, cell, field.shape).read_bytes() for field in fields}
            if status == bytes([FAILED]):
                contents["traceback"] = self._failure(cell).read_bytes()
            contents["seconds"] = self._file("seconds", cell).read_bytes()
            if self._file("row_crc32", cell).read_bytes() != _crc32(cell, status, contents):
                raise ValueError("its checksum differs")
            values = {field.name: _decode(contents[field.name], field) for field in fields}
            traceback = json.loads(contents["traceback"])["attributes"]["traceback"] if "traceback" in contents else ""
            return Row(
                status[0], float(_decode(contents["seconds"], Field("seconds", "float64", ()))), values, traceback
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._file('status', cell)}: the row is damaged ({error})") from error

    def finish(self, cell: Cell, values: Mapping[str, np.ndarray], seconds: float) -> None:
        """Write the row of a cell that finished. Raises TypeError if its columns are not the table's; OSError."""
        wanted = tuple(Field(name, value.dtype.name, value.shape) for name, value in sorted(values.items()))
        known = self.fields()
        if known is None:
            described = [[field.name, field.dtype, list(field.shape)] for field in wanted]
            self.put(self._columns(), group_json({"columns": described}), once=True)
            known = self.fields()
        if wanted != known:
            theirs, mine = (", ".join(map(str, fields)) for fields in (known or (), wanted))
            raise TypeError(
                f"the table's columns, which are those of the first cell that finished, are {theirs}; "
                f"this cell returned {mine}"
            )
        for field in known:
            if not self.metadata(field).is_file():
                self.describe(field)
        contents = {name: np.ascontiguousarray(_little(value)).tobytes() for name, value in values.items()}
        for field in known:
            self.put(self._file(field.name, cell, field.shape), contents[field.name])
        self._commit(cell, DONE, contents, seconds)

    def fail(self, cell: Cell, traceback: str, seconds: float) -> None:
        """Write the row of a cell that failed. Raises OSError."""
        traceback = traceback.encode(errors="backslashreplace").decode()  # a file's name may be no Unicode
        about = {"arguments": cell.arguments, "index": list(cell.index), "seed": cell.seed, "traceback": traceback}
        content = group_json(about)
        self.put(self._failure(cell), content)
        self._commit(cell, FAILED, {"traceback": content}, seconds)

    def forget(self, cell: Cell) -> None:
        """Make the row missing. Raises OSError."""
        self._file("status", cell).unlink(missing_ok=True)

    def begin(self, cell: Cell) -> int:
        """Note that a worker begins with a cell; how many began before and never came to an end."""
        with self._begun(cell).open("ab") as file:
            file.write(b".")
            return file.tell() - 1

    def end(self, cell: Cell) -> None:
        """Note that the worker which began with a cell lives to see its end."""
        self._begun(cell).unlink(missing_ok=True)

    def begun(self, cell: Cell) -> int:
        """How many workers began with a cell and never came to an end."""
        try:
            return self._begun(cell).stat().st_size
        except FileNotFoundError:
            return 0

    def fields(self) -> tuple[Field, ...] | None:
        """The columns of results, None before the first cell finished. Raises ValueError if what says so is damaged."""
        try:
            described = json.loads(self._columns().read_bytes())["attributes"]["columns"]
            fields = tuple(Field(str(name), dtype, tuple(map(int, shape))) for name, dtype, shape in described)
            if not all(field.name.isidentifier() and field.dtype in DTYPES for field in fields):
                raise ValueError("unknown columns")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{self._columns()}: damaged ({error})") from error
        return fields

    def describe(self, field: Field, attributes: Mapping[str, Any] | None = None) -> None:
        """Write the metadata of a column. Raises OSError."""
        dims = (*self.dims, *(f"{field.name}_{axis}" for axis in range(len(field.shape))))
        chunk = (*(1 for _ in self.shape), *field.shape)
        fill = MISSING if field.name == "status" else empty(field.dtype)
        self.put(
            self.metadata(field),
            array_json((*self.shape, *field.shape), chunk, field.dtype, fill, dims, attributes or {}),
        )

    def described(self, field: Field) -> tuple[str, tuple[int, ...]] | None:
        """dtype and shape of a column as its metadata have them, None without any. Raises ValueError if damaged."""
        try:
            node = json.loads(self.metadata(field).read_bytes())
            return node["data_type"], tuple(node["shape"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"damaged ({type(error).__name__}: {error})") from error

    def metadata(self, field: Field) -> Path:
        """The file of a column's metadata."""
        return self._root / field.name / "zarr.json"

    def put(self, path: Path, content: bytes, once: bool = False) -> None:
        """Write a file so that a reader sees all of it or none; with `once` one that is there stays. Raises OSError."""
        partial = self.scratch / uuid.uuid4().hex
        try:
            write_file(partial, content)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not once:
                os.replace(partial, path)
            elif not path.exists():
                with contextlib.suppress(FileExistsError):  # another worker was first
                    move(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @property
    def scratch(self) -> Path:
        """Where files are while they are written: nothing that reads Zarr looks into the folder of an array."""
        return self._root / "status" / "partial"

    @property
    def _root(self) -> Path:
        return Path(self.folder)

    def _commit(self, cell: Cell, status: int, contents: dict[str, bytes], seconds: float) -> None:
        """Write what all rows have, the status last."""
        contents = {**contents, "seconds": np.array(seconds, "<f8").tobytes()}
        self.put(self._file("seconds", cell), contents["seconds"])
        self.put(self._file("row_crc32", cell), _crc32(cell, bytes([status]), contents))
        self.put(self._file("status", cell), bytes([status]))

    def _file(self, column: str, cell: Cell, shape: tuple[int, ...] = ()) -> Path:
        return self._root.joinpath(column, "c", *map(str, cell.index), *("0" for _ in shape))

    def _failure(self, cell: Cell) -> Path:
        return self._root / "sweep" / "failures" / cell.id / "zarr.json"

    def _begun(self, cell: Cell) -> Path:
        return self._root / "status" / "begun" / cell.id

    def _columns(self) -> Path:
        return self._root / "sweep" / "columns" / "zarr.json"


def empty(dtype: str) -> Any:
    """What stands where a cell has no result: NaN, and of integers the one least likely to be taken for a result."""
    kind = np.dtype(dtype).kind
    if kind == "f":
        return "NaN"
    if kind == "b":
        return False
    limits = np.iinfo(dtype)
    return int(limits.min if kind == "i" else limits.max)


def _little(value: np.ndarray) -> np.ndarray:
    return value.astype(value.dtype.newbyteorder("<"), copy=False)


def _decode(content: bytes, field: Field) -> np.ndarray:
    """Raises ValueError if the size is wrong."""
    return np.frombuffer(content, np.dtype(field.dtype).newbyteorder("<")).reshape(field.shape).astype(field.dtype)


def _crc32(cell: Cell, status: bytes, contents: Mapping[str, bytes]) -> bytes:
    """CRC-32 of a row, of the cell and of what it holds, as the bytes that its column has."""
    check = zlib.crc32(cell.id.encode() + status)
    for name, content in sorted(contents.items()):
        check = zlib.crc32(content, zlib.crc32(f"{name}:{len(content)}:".encode(), check))
    return np.array(check, "<u4").tobytes()
