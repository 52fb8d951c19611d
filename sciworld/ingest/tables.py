"""Tables of controls: the columns of a CSV or Parquet file as numbers or time stamps."""

from __future__ import annotations

import csv
import itertools
import math
import os
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sciworld.controls import EXACT
from sciworld.errors import FormatError
from sciworld.units import TIMES

PARQUET = b"PAR1"
MOST_ROWS = 20_000_000  # five hours at 1 kHz
MOST_BYTES = 2 << 30  # of a CSV file
NO_FLOAT = "is no float64, and would be rounded; subtract an offset, or split it into two columns"
SHOWN = 400  # characters of a header or a cell in a message
EPOCH = np.datetime64(0, "ns")
FLAGS = {"true": 1.0, "false": 0.0, "": math.nan, "nan": math.nan}
# ISO 8601, with a space in place of the T or not; years whose nanoseconds fit into 64 bits.
STAMP = re.compile(
    r"((?:1[7-9]|20|21)\d\d-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)(?: ?([Zz]|[+-]\d\d(?::?\d\d)?))?"
)


@dataclass(frozen=True)
class Series:
    """One column of a table.

    Parameters
    ----------
    values : (row,) float64, NaN where a cell is empty; time stamps are datetime64[ns] in UTC, NaT where empty.
    kind : number; flag, 1 where it is true and 0 where false; duration, in s; stamp, without a time zone and taken as
        UTC; or zoned, a stamp with one.
    """

    values: np.ndarray
    kind: str = "number"

    def seconds(self, since: np.datetime64 = EPOCH) -> np.ndarray:
        """The values as numbers : (row,) float64; time stamps as seconds since another, or since 1970."""
        if self.kind not in ("stamp", "zoned"):
            return self.values
        passed = (self.values - since).astype(np.int64)
        whole, rest = np.divmod(passed, 10**9)
        # The quotient is the nearest number to the time unless its nanoseconds are no float64 themselves.
        seconds = np.where(abs(passed) < EXACT, passed / 1e9, whole + rest / 1e9)
        return np.where(np.isnat(self.values), np.nan, seconds)


def read_table(path: str | Path, columns: Sequence[str]) -> list[Series]:
    """The named columns of a CSV or Parquet file, in this order; an empty cell is unknown.

    A column is found whatever its case, if only one has that name. Raises FormatError as `read_csv` and `read_parquet`.
    """
    path = Path(path)
    return read_parquet(path, columns) if _is_parquet(path) else read_csv(path, columns)


def is_whole(path: Path) -> bool:
    """Whether a table says where it ends: a CSV file by the end of its last line. What does not may be cut."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return _is_parquet(path) or file.read() in (b"\n", b"\r")


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == PARQUET or path.suffix.lower() == ".parquet"


def read_parquet(path: Path, columns: Sequence[str]) -> list[Series]:
    """The named columns of a Parquet file; null is unknown.

    Raises FormatError naming the file and the column: damaged, nested, text, infinite, or of far too many rows.
    """
    try:
        with pq.ParquetFile(path) as file:
            return _parse_parquet(path, file, columns)
    except FormatError:
        raise
    except Exception as error:  # a damaged file may raise anything at all in the library that parses it
        raise FormatError(
            f"{path}: cannot be read as Parquet ({type(error).__name__}: {error}); it is truncated or damaged: copy it "
            "anew"
        ) from error


def _parse_parquet(path: Path, file: pq.ParquetFile, columns: Sequence[str]) -> list[Series]:
    schema = file.schema_arrow
    places = [_place(schema.names, column, path) for column in columns]
    for place in places:
        _require_numbers(path, schema.field(place))
    rows = file.metadata.num_rows
    if rows > MOST_ROWS:
        raise _too_long(path, rows)
    # By row groups, as they are stored: what the footer promises may be far more than what is there.
    names = sorted({schema.names[place] for place in places})
    groups = [file.read_row_group(group, columns=names) for group in range(file.num_row_groups)]
    table = pa.concat_tables(groups) if groups else schema.empty_table()
    found = {}
    for name in names:
        try:
            found[name] = _parquet_series(table[name])
        except OverflowError as error:
            raise FormatError(f"{path}, {error} in column '{name}' {NO_FLOAT}") from error
        except pa.ArrowInvalid as error:
            raise FormatError(
                f"{path}: column '{name}' has time stamps that no 64 bits of nanoseconds hold ({error}); leave "
                "them null if they are unknown"
            ) from error
        wrong = np.flatnonzero(np.isinf(found[name].seconds()))
        if len(wrong):
            raise FormatError(f"{path}, row {wrong[0] + 1}: column '{name}' is infinite; leave it null if unknown")
    return [found[schema.names[place]] for place in places]


def _too_long(path: Path, rows: int | str) -> FormatError:
    return FormatError(f"{path}: {rows} rows; a table of controls has at most {MOST_ROWS}: split it by recording")


def _require_numbers(path: Path, field: pa.Field) -> None:
    """Raise FormatError unless a column of Parquet is one number a row."""
    kind = field.type
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not (plain or pa.types.is_timestamp(kind) or pa.types.is_duration(kind)):
        what = "nested" if pa.types.is_nested(kind) else "no number"
        raise FormatError(f"{path}: column '{field.name}' is {kind}, {what}; write it as a column of one number a row")


def _parquet_series(column: pa.ChunkedArray) -> Series:
    if pa.types.is_timestamp(column.type):
        kind = "zoned" if column.type.tz else "stamp"
        return Series(column.cast(pa.timestamp("ns", column.type.tz)).to_numpy().astype("datetime64[ns]"), kind)
    kind, scale = ("flag" if pa.types.is_boolean(column.type) else "number"), 1.0
    if pa.types.is_duration(column.type):
        kind, scale, column = "duration", TIMES[column.type.unit], column.cast(pa.int64())
    known = column.is_valid().to_numpy()
    zero = pa.scalar(False if kind == "flag" else 0, column.type)
    stored = column.fill_null(zero).to_numpy()
    values = stored.astype(np.float64) * scale
    if kind == "number" and stored.dtype.kind in "iu":
        large = np.flatnonzero(np.abs(values) >= EXACT)
        inexact = [row for row in large if int(stored[row]) != int(values[row])]
        if inexact:
            raise OverflowError(f"row {inexact[0] + 1}: {stored[inexact[0]]}")
    values[~known] = np.nan
    return Series(values, kind)


def read_csv(path: str | Path, columns: Sequence[str]) -> list[Series]:
    """The named columns of a CSV file with a header line; an empty cell is unknown.

    The separator is a comma, a semicolon or a tab; lines before the header that start with # are skipped. A column
    holds numbers, flags (true and false, in any case), or time stamps as ISO 8601 writes them, all with one time zone
    or all without; it is found whatever its case, if only one has that name. Raises FormatError naming the file, the
    line and the cell.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise FormatError(f"{path}: not a regular file; give a CSV file")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise FormatError(f"{path}: over {MOST_BYTES >> 30} GiB; save it as Parquet, or split it by recording")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _parse_csv(path, file, columns)
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(
            f"{path}: cannot be read as a CSV file ({error}); mend the path, or save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise FormatError(
            f"{path}: not a CSV file ({error}); save it as a table with one row a frame, and with every quote closed"
        ) from error


def _parse_csv(path: Path, file: TextIO, columns: Sequence[str]) -> list[Series]:
    skipped, first = 0, file.readline()
    while first.startswith("#"):
        skipped, first = skipped + 1, file.readline()
    separator = max(",;\t", key=lambda one: len(next(csv.reader([first], delimiter=one), [])))
    rows = csv.reader(itertools.chain([first], file), delimiter=separator, strict=True)
    header = [name.strip() for name in next(rows, [])]
    if not any(header):
        raise FormatError(f"{path}: empty, or its first line is; expected a header line and one row a frame")
    places = [_place(header, column, path) for column in columns]
    cells: dict[int, list[str]] = {place: [] for place in places}
    lines = array("q")  # on which each row begins
    for line, row in _rows(rows, skipped):
        if len(row) != len(header):
            comma = " (decimal commas?)" if separator == "," and len(row) > len(header) else ""
            raise FormatError(
                f"{path}, line {line}: {len(row)} cells, but the header has {len(header)}{comma}; mend it"
            )
        if len(lines) == MOST_ROWS:
            raise _too_long(path, f"over {MOST_ROWS}")
        lines.append(line)
        for place, column in cells.items():
            column.append(row[place])
    found = {place: _csv_series(column, header[place], path, lines) for place, column in cells.items()}
    return [found[place] for place in places]


def _rows(rows: Any, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Each row of a csv.reader, with the line on which it begins.

    An empty line is an empty cell, since to skip it would move what follows to other frames; at the end it is nothing.
    """
    blank = list[int]()
    while True:
        line = skipped + rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise csv.Error(f"{error}, in the row that begins on line {line}") from error
        if row is None:
            return
        if not row or (len(row) == 1 and row[0].isspace()):
            blank.append(line)
            continue
        yield from ((one, [""]) for one in blank)
        blank.clear()
        yield line, row


def _place(header: list[str], column: str, path: Path) -> int:
    """Where the column is: by its very name, else by its name in any case and any Unicode form.

    Raises FormatError unless it is one.
    """
    found = [k for k, name in enumerate(header) if name == column]
    found = found or [k for k, name in enumerate(header) if _plain(name) == _plain(column)]
    if len(found) != 1:
        problem = f"{len(found)} columns" if found else "no column"
        names = ", ".join(repr(name)[1:-1] for name in header)
        names = names if len(names) <= SHOWN else f"{names[:SHOWN]} ..."
        raise FormatError(f"{path}: {problem} '{column}'; the header has {names}: mend the map")
    return found[0]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _csv_series(cells: list[str], name: str, path: Path, lines: Sequence[int]) -> Series:
    """The cells of a column as what they all are. Raises FormatError."""
    cells = [cell.strip() for cell in cells]
    try:
        values = np.array([_number(cell) for cell in cells], dtype=np.float64)
    except ValueError:
        flags = [FLAGS.get(cell.lower()) for cell in cells]
        if None not in flags:
            return Series(np.array(flags, dtype=np.float64), "flag")
        if any(map(STAMP.fullmatch, cells)):
            return _stamps(cells, name, path, lines)
        raise _no_number(cells, name, path, lines) from None
    for row in np.flatnonzero(np.abs(values) >= EXACT):
        if re.fullmatch(r"[-+]?\d+", cells[row]) and np.isfinite(values[row]) and int(cells[row]) != int(values[row]):
            raise FormatError(f"{_where(cells, int(row), name, path, lines)} {NO_FLOAT}")
    wrong = np.flatnonzero(np.isinf(values))
    if len(wrong):
        raise FormatError(f"{_where(cells, wrong[0], name, path, lines)} is infinite; leave it empty if it is unknown")
    return Series(values)


def _number(cell: str) -> float:
    """An empty cell is NaN. Raises ValueError, also for the underscores that Python would skip."""
    if "_" in cell:
        raise ValueError(cell)
    return float(cell or "nan")


def _where(cells: list[str], row: int, name: str, path: Path, lines: Sequence[int]) -> str:
    return f"{path}, line {lines[row]}: {cells[row][:SHOWN]!r} in column '{name}'"


def _no_number(cells: list[str], name: str, path: Path, lines: Sequence[int]) -> FormatError:
    """The error about the first cell that is no number."""
    row = _refused(_number, cells)
    where = _where(cells, row, name, path, lines)
    if re.fullmatch(r"[-+]?\d*,\d+([eE][-+]?\d+)?", cells[row]):
        return FormatError(f"{where} has a decimal comma; save the file with decimal points")
    return FormatError(f"{where} is no number; write it like 1.5, or leave it empty if unknown")


def _refused(parse: Callable[[str], object], texts: list[str]) -> int:
    """The first of texts that `parse` raises ValueError for; one of them is."""
    for row, text in enumerate(texts):
        try:
            parse(text)
        except ValueError:
            return row
    raise ValueError("all texts can be parsed")


def _stamps(cells: list[str], name: str, path: Path, lines: Sequence[int]) -> Series:
    """Time stamps of one time zone, or without any. Raises FormatError."""
    texts, zones = list[str](), list[str | None]()
    for row, cell in enumerate(cells):
        match = STAMP.fullmatch(cell)
        if cell and match is None:
            raise FormatError(
                f"{_where(cells, row, name, path, lines)} is no time stamp such as 2026-03-01T12:00:00.5Z, as others "
                "there are; mend it, or leave it empty if it is unknown"
            )
        texts.append(f"{match[1]}T{match[2].replace(',', '.')}" if match else "NaT")
        if match and (not zones or match[3] != zones[-1]):
            zones.append(match[3])
            if _minutes(match[3]) != _minutes(zones[0]):
                raise FormatError(
                    f"{_where(cells, row, name, path, lines)} is of another time zone than the rows before, or of "
                    "none; write all time stamps in one"
                )
    try:
        values = np.array(texts, dtype="datetime64[ns]")
    except ValueError as error:
        row = _refused(lambda text: np.datetime64(text, "ns"), texts)
        raise FormatError(f"{_where(cells, row, name, path, lines)} is no date ({error}); mend it") from error
    minutes = _minutes(zones[0])
    return Series(values - np.timedelta64(minutes or 0, "m"), "stamp" if minutes is None else "zoned")


def _minutes(zone: str | None) -> int | None:
    """How far a time zone such as +01:30 is ahead of UTC."""
    if zone is None:
        return None
    digits = zone.lstrip("zZ+-").replace(":", "").ljust(4, "0")
    return (-1 if zone[0] == "-" else 1) * (60 * int(digits[:2]) + int(digits[2:]))
