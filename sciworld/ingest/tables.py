"""Tables of controls: the columns of a CSV or Parquet file as numbers."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sciworld.errors import FormatError
from sciworld.units import TIMES

PARQUET = b"PAR1"
MOST_ROWS = 20_000_000  # of a Parquet file: five hours at 1 kHz
MOST_BYTES = 2 << 30  # of a CSV file


def read_table(path: str | Path, columns: Sequence[str]) -> np.ndarray:
    """The named columns of a CSV or Parquet file : (row, column) float64; empty is NaN, unknown.

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


def read_parquet(path: Path, columns: Sequence[str]) -> np.ndarray:
    """The named columns of a Parquet file : (row, column) float64; null is NaN, unknown. Time stamps become seconds.

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


def _parse_parquet(path: Path, file: pq.ParquetFile, columns: Sequence[str]) -> np.ndarray:
    schema = file.schema_arrow
    places = [_place(schema.names, column, path) for column in columns]
    for place in places:
        _require_numbers(path, schema.field(place))
    rows = file.metadata.num_rows
    if rows > MOST_ROWS:
        raise FormatError(f"{path}: {rows} rows; a table of controls has at most {MOST_ROWS}: split it by recording")
    # By row groups, as they are stored: what the footer promises may be far more than what is there.
    found = [np.empty((0, len(columns)))]
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=sorted({schema.names[place] for place in places}))
        found.append(np.stack([_floats(table[schema.names[place]]) for place in places], axis=1))
    values = np.concatenate(found)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise FormatError(f"{path}, row {row + 1}: column '{columns[column]}' is infinite; leave it null if unknown")
    return values


def _require_numbers(path: Path, field: pa.Field) -> None:
    """Raise FormatError unless a column of Parquet is one number a row."""
    kind = field.type
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not (plain or pa.types.is_timestamp(kind) or pa.types.is_duration(kind)):
        what = "nested" if pa.types.is_nested(kind) else "no number"
        raise FormatError(f"{path}: column '{field.name}' is {kind}, {what}; write it as a column of one number a row")


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    """A column as (row,) float64, with null as NaN and times in seconds."""
    scale = 1.0
    if pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type):
        scale = TIMES[column.type.unit]
        column = column.cast(pa.int64())
    known = column.is_valid().to_numpy()
    zero = pa.scalar(False if pa.types.is_boolean(column.type) else 0, column.type)
    values = column.fill_null(zero).to_numpy().astype(np.float64) * scale
    values[~known] = np.nan
    return values


def read_csv(path: str | Path, columns: Sequence[str]) -> np.ndarray:
    """The named columns of a CSV file with a header line : (row, column) float64; an empty cell is NaN, unknown.

    The separator is a comma, a semicolon or a tab; lines before the header that start with # are skipped. A column is
    found whatever its case, if only one has that name. Raises FormatError naming the file, the line and the cell.
    """
    path = Path(path)
    try:
        return _parse_csv(path, _lines(path), columns)
    except csv.Error as error:
        raise FormatError(f"{path}: not a CSV file ({error}); save it as a table with one row a frame") from error


def _lines(path: Path) -> list[str]:
    if path.exists() and not path.is_file():
        raise FormatError(f"{path}: not a regular file; give a CSV file")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise FormatError(f"{path}: over {MOST_BYTES >> 30} GiB; save it as Parquet, or split it by recording")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(
            f"{path}: cannot be read as a CSV file ({error}); mend the path, or save it as UTF-8"
        ) from error
    while lines and not lines[-1].strip(" "):
        lines.pop()
    return lines


def _parse_csv(path: Path, lines: list[str], columns: Sequence[str]) -> np.ndarray:
    skipped = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    lines = lines[skipped:]
    if not lines:
        raise FormatError(f"{path}: empty; expected a header line and one row a frame")
    separator = max(",;\t", key=lines[0].count)
    rows = csv.reader(lines, delimiter=separator)
    header = [name.strip() for name in next(rows)]
    places = [_place(header, column, path) for column in columns]
    found = []
    for row in rows:
        row = row or [""]  # an empty line is an empty cell: to skip it would move what follows to other frames
        where = f"{path}, line {skipped + rows.line_num}"
        if len(row) != len(header):
            comma = " (decimal commas?)" if separator == "," and len(row) > len(header) else ""
            raise FormatError(f"{where}: {len(row)} cells, but the header has {len(header)}{comma}; mend it")
        found.append([_number(row[place], header[place], where) for place in places])
    return np.array(found, dtype=np.float64).reshape(len(found), len(columns))


def _place(header: list[str], column: str, path: Path) -> int:
    """Where the column is: by its very name, else by its name in any case. Raises FormatError unless it is one."""
    found = [k for k, name in enumerate(header) if name == column]
    found = found or [k for k, name in enumerate(header) if name.casefold() == column.casefold()]
    if len(found) != 1:
        problem = f"{len(found)} columns" if found else "no column"
        raise FormatError(f"{path}: {problem} '{column}'; the header has {', '.join(header)}: mend the map")
    return found[0]


def _number(cell: str, column: str, where: str) -> float:
    try:
        value = float(cell.strip() or "nan")
    except ValueError:
        if re.fullmatch(r"[-+]?\d*,\d+([eE][-+]?\d+)?", cell.strip()):
            raise FormatError(
                f"{where}: '{cell}' in column '{column}' has a decimal comma; save the file with decimal points"
            ) from None
        raise FormatError(
            f"{where}: '{cell}' in column '{column}' is no number; write it like 1.5, or leave it empty if unknown"
        ) from None
    if math.isinf(value):
        raise FormatError(f"{where}: '{cell}' in column '{column}' is infinite; leave it empty if it is unknown")
    return value
