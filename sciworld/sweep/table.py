"""The table of a sweep: a folder that is one Zarr v3 group, remembers its space and function, and opens as a Dataset.

OUT/zarr.json            function, seed and space of the sweep
OUT/<parameter>          coordinates; strings are codes, their `labels` an attribute
OUT/<result>, status, seconds, row_crc32     columns, one chunk a cell: sciworld.sweep.rows
OUT/sweep/failures/<cell id>     a group whose attributes tell how a cell failed
OUT/sweep/columns        a group whose attributes name the columns of results
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld.errors import SettingsError, StoreError
from sciworld.files import lock
from sciworld.nodes import array_json, group_json
from sciworld.sweep.rows import DONE, FAILED, MISSING, OWN, Field, Row, Rows, empty
from sciworld.sweep.space import Cell, Space, Value, from_json

LOG = logging.getLogger(__name__)
VERSION = 1
STATUS = {"flag_values": [MISSING, DONE, FAILED], "flag_meanings": "missing done failed"}


@dataclass(frozen=True)
class Record:
    """What a folder remembers.

    function : module:name. seeded : whether it is given each cell's seed. source : hash of what it was at the table's
    beginning, empty where there is none.
    """

    function: str
    seed: int
    seeded: bool
    space: Space
    source: str = ""

    def extending(self, old: Record, where: Path) -> Record:
        """This record with the cells of `old` at their places. Raises SettingsError that says what differs."""
        wrong = [
            f"its {what} was {a}, is {b}"
            for what, a, b in (
                ("function", old.function, self.function),
                ("seed", old.seed, self.seed),
                ("function's use of a seed", old.seeded, self.seeded),
            )
            if a != b
        ]
        try:
            space = self.space.extending(old.space)
        except SettingsError as error:
            wrong.append(str(error))
        if wrong:
            raise SettingsError(f"{where}: holds another sweep: {'; '.join(wrong)}; choose another folder")
        if old.source and self.source and old.source != self.source:
            LOG.warning(
                "%s: the source of %s is not what it was when the table was begun: cells of both are mixed; sweep into "
                "another folder for cells of one",
                where,
                self.function,
            )
        return Record(self.function, self.seed, self.seeded, space, old.source)


class Table:
    """A sweep's folder. `held` makes or goes on with one, alone; the constructor opens one to read.

    Raises StoreError if `path` holds no sweep, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = _read(path)
        self.rows = Rows(str(path), self.record.space.dims, self.record.space.shape)
        _check_arrays(self.rows, lengths=True)

    @classmethod
    @contextlib.contextmanager
    def held(cls, path: Path, record: Record) -> Iterator[Table]:
        """The table of a sweep so described; no other process can sweep there meanwhile.

        Raises SettingsError if another sweep or anything else is there, StoreError if it is in use or damaged.
        """
        with contextlib.ExitStack() as stack:
            try:
                cls._prepare(path, record, stack)
            except StoreError:
                raise
            except OSError as error:
                raise StoreError(
                    f"{path}: cannot be written ({error}); free some space or mend the permissions"
                ) from error
            yield cls(path)

    @staticmethod
    def _prepare(path: Path, record: Record, stack: contextlib.ExitStack) -> None:
        """Lock the folder for as long as `stack` lasts, and write everything but the rows."""
        _require_free(path)
        for folder in (path / "status" / "partial", path / "status" / "begun", path / "sweep"):
            folder.mkdir(parents=True, exist_ok=True)
        rows = Rows(str(path), record.space.dims, record.space.shape)
        rows.put(path / "sweep" / "zarr.json", group_json({}), once=True)
        stack.enter_context(_lock(path))
        if (path / "zarr.json").exists():
            record = record.extending(_read(path), path)
            rows = Rows(str(path), record.space.dims, record.space.shape)
            _check_arrays(rows, lengths=False)
        _clear(path / "status" / "begun")
        _clear(path / "status" / "partial")
        _describe(rows, record)

    def cells(self) -> list[Cell]:
        """All cells, in the order of their index."""
        return list(self.record.space.cells(self.record.seed))

    def unfinished(self, retry_failed: bool) -> list[Cell]:
        """The cells to run: those without a row, those whose row is damaged (it is removed), and failed ones if asked.

        Raises OSError, StoreError.
        """
        wanted, finished, damaged = [], 0, 0
        for cell in self.cells():
            try:
                row = self.rows.read(cell)
            except ValueError as error:
                LOG.warning("%s; running the cell %s again", error, cell.arguments)
                damaged += 1
                row = None
            finished += row is not None and row.status == DONE
            if row is None or (retry_failed and row.status == FAILED):
                self.rows.forget(cell)
                wanted.append(cell)
        if damaged:
            LOG.warning("%s: %d damaged rows are run again", self.path, damaged)
        fields = _fields(self.rows)
        if not finished and fields is not None:  # what no row has binds nobody
            for field in fields:
                shutil.rmtree(self.path / field.name, ignore_errors=True)
            shutil.rmtree(self.path / "sweep" / "columns")  # last: a kill before it leaves nothing unaccounted for
        return wanted

    def dataset(self, space: Space | None = None) -> xr.Dataset:
        """The table in memory, in the order of `space` if its cells are this table's.

        Variables have the space's dimensions: the results, `status` (0 missing, 1 done, 2 failed), `seconds`, and
        `traceback`. Where a cell is not done floats are NaN, integers their extreme, bools False.
        """
        record, shape = self.record, self.record.space.shape
        found = [(cell, row) for cell in self.cells() if (row := self._row(cell)) is not None]
        fields = _fields(self.rows) or ()  # after the rows: the first that is done brings them
        columns = {field.name: _blank(field, shape) for field in (*fields, Field("seconds", "float64", ()))}
        status = np.zeros(shape, np.int8)
        traceback = np.full(shape, "", dtype=object)
        for cell, row in found:
            status[cell.index], traceback[cell.index] = row.status, row.traceback
            for name, value in {**row.values, "seconds": np.float64(row.seconds)}.items():
                columns[name][cell.index] = value
        dims = record.space.dims
        shapes = {field.name: field.shape for field in fields}
        variables: dict[str, Any] = {
            name: ((*dims, *(f"{name}_{i}" for i in range(len(shapes.get(name, ()))))), values)
            for name, values in columns.items()
        }
        variables["seconds"] += ({"units": "s"},)
        variables |= {"status": (dims, status, STATUS), "traceback": (dims, traceback)}
        coordinates: dict[str, Any] = {n: (d, np.array(v)) for n, (d, v) in record.space.coordinates().items()}
        if record.seeded:
            coordinates["seed"] = (dims, _seeds(record))
        ds = xr.Dataset(variables, coordinates, {"function": record.function, "sweep_seed": record.seed})
        return ds if space is None else ds.isel(space.places(record.space)).transpose(*space.dims, ...)

    def _row(self, cell: Cell) -> Row | None:
        try:
            return self.rows.read(cell)
        except ValueError as error:
            LOG.warning("%s; left out: sweep again to run the cell again", error)
            return None


def _read(path: Path) -> Record:
    """What the folder remembers. Raises StoreError."""
    file = path / "zarr.json"
    try:
        found = json.loads(file.read_bytes())["attributes"]
        version = found["sciworld_sweep"]
        if version != VERSION:
            raise ValueError(f"version {version}, {VERSION} is known here")
        function, seed, seeded = str(found["function"]), int(found["sweep_seed"]), bool(found["seeded"])
        return Record(function, seed, seeded, from_json(found["space"]), str(found.get("source", "")))
    except FileNotFoundError as error:
        raise StoreError(f"{path}: no sweep is there; give the folder that a sweep wrote") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(
            f"{file}: not of a sweep, or damaged ({error}); restore it, or choose another folder"
        ) from error


def _describe(rows: Rows, record: Record) -> None:
    """Write everything but the rows. What a kill leaves half done the next start makes whole."""
    path, space = Path(rows.folder), record.space
    names = [name for name in space.names if name not in space.dims] + (["seed"] if record.seeded else [])
    header = {
        "sciworld_sweep": VERSION,
        "function": record.function,
        "sweep_seed": record.seed,
        "seeded": record.seeded,
        "source": record.source,
        "space": space.to_json(),
        **({"coordinates": " ".join(names)} if names else {}),
    }
    rows.put(path / "zarr.json", group_json(header))
    for name, (dims, values) in space.coordinates().items():
        _coordinate(rows, name, dims, values)
    if record.seeded:
        _array(rows, "seed", space.dims, _seeds(record), {})
    attributes: dict[str, dict[str, Any]] = {"status": STATUS, "seconds": {"units": "s"}}
    for name, dtype in OWN.items():
        rows.describe(Field(name, dtype, ()), attributes.get(name))
    rows.put(path / "sweep" / "failures" / "zarr.json", group_json({}))
    for field in _fields(rows) or ():
        rows.describe(field)


def _coordinate(rows: Rows, name: str, dims: tuple[str, ...], values: tuple[Value, ...]) -> None:
    """Write a coordinate; of strings, which Zarr v3 has no stable form for, the codes."""
    if isinstance(values[0], str):
        labels = list(dict.fromkeys(values))
        codes = np.array([labels.index(value) for value in values])
        _array(rows, name, dims, codes, {"labels": labels})
    else:
        _array(rows, name, dims, np.array(values), {})


def _array(rows: Rows, name: str, dims: tuple[str, ...], values: np.ndarray, attributes: dict[str, Any]) -> None:
    """Write an array as one chunk."""
    path = Path(rows.folder) / name
    little = values.astype(values.dtype.newbyteorder("<"))
    rows.put(path.joinpath("c", *("0" for _ in dims)), little.tobytes())
    fill = empty(values.dtype.name)
    rows.put(path / "zarr.json", array_json(values.shape, values.shape, values.dtype.name, fill, dims, attributes))


def _seeds(record: Record) -> np.ndarray:
    seeds = [cell.seed for cell in record.space.cells(record.seed)]
    return np.array(seeds, np.int64).reshape(record.space.shape)


def _blank(field: Field, shape: tuple[int, ...]) -> np.ndarray:
    fill = empty(field.dtype)
    return np.full((*shape, *field.shape), float(fill) if fill == "NaN" else fill, field.dtype)


def _fields(rows: Rows) -> tuple[Field, ...] | None:
    """The columns of results. Raises StoreError if what names them is damaged."""
    try:
        return rows.fields()
    except ValueError as error:
        raise StoreError(f"{error}; restore it, or sweep into another folder") from error


def _check_arrays(rows: Rows, lengths: bool) -> None:
    """Raise StoreError if a column's array is not what the table says.

    lengths : also along the space's dimensions, which a start that was stopped leaves as they were.
    """
    for field in (*(_fields(rows) or ()), *(Field(name, dtype, ()) for name, dtype in OWN.items())):
        file, wanted = rows.metadata(field), (*rows.shape, *field.shape)
        try:
            dtype, shape = rows.described(field) or (field.dtype, wanted)
        except ValueError as error:
            raise StoreError(f"{file}: {error}; delete it and sweep again, which writes it anew") from error
        if not lengths:
            shape = (*rows.shape, *shape[len(rows.shape) :])
        if dtype == field.dtype and shape[len(rows.shape) :] == field.shape and len(shape) == len(wanted):
            if shape != wanted:
                raise StoreError(
                    f"{file}: has a shape of {list(shape)}, the table {list(wanted)}: a sweep is giving it more "
                    "values, or was stopped while it did; load it again in a moment, or give the same sweep again"
                )
        elif (dtype, shape) != (field.dtype, wanted):
            raise StoreError(
                f"{file}: has {dtype} of shape {list(shape)}, the table {field.dtype} of {list(wanted)}; if that file "
                "is the wrong one, delete it and sweep again, which writes it anew; else restore "
                f"{Path(rows.folder) / 'sweep' / 'columns' / 'zarr.json'}"
            )


def _require_free(path: Path) -> None:
    """Raise SettingsError unless `path` is missing, empty, or a sweep's."""
    if path.exists() and not path.is_dir():
        raise SettingsError(f"{path}: is a file; choose a folder")
    ours = (path / "sweep" / "zarr.json").is_file()
    if path.exists() and not ours and any(child.name not in ("status", "sweep") for child in path.iterdir()):
        raise SettingsError(f"{path}: holds something that is no sweep; choose another folder")


def _clear(folder: Path) -> None:
    """Remove what processes left that were killed."""
    for file in folder.iterdir():
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the folder, or raise StoreError if another process does; a killed process lets go."""
    with contextlib.ExitStack() as stack:
        try:
            locked = stack.enter_context(lock(path / "sweep" / "zarr.json"))
        except BlockingIOError as error:
            raise StoreError(
                f"{path}: another process sweeps there; wait until it ends, or choose another folder"
            ) from error
        if not locked:
            LOG.warning("%s: cannot be locked; let no other process sweep there", path)
        yield
