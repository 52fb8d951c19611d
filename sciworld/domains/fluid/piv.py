"""Velocity fields of particle image velocimetry: OpenPIV text, Insight .vec, DaVis text, PIVlab .mat.

A file is one field on a regular grid, and a list of files successive fields. Vectors that the file calls invalid become
NaN, and the history counts them; what the file says of each vector is kept as a channel beside them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sciworld.domains.fluid.grids import even_view
from sciworld.domains.hdf5 import numbers, opened
from sciworld.errors import FormatError


@dataclass(frozen=True)
class Vectors:
    """The vectors of one file.

    Parameters
    ----------
    kind : what the file is. names : of the channels. units : theirs.
    frames : (time, y, x, channel) float64. x, y : the grid's coordinates, in `length`.
    length : units of the coordinates; "pixel" if the file states none.
    notes : sentences for the history.
    """

    kind: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    frames: np.ndarray
    x: np.ndarray
    y: np.ndarray
    length: str = "pixel"
    notes: tuple[str, ...] = field(default=())

    @property
    def view(self) -> np.ndarray | None:
        """Columns and rows to x and y; None where the grid is uneven."""
        return even_view(self.x, self.y)


def read_openpiv(path: Path) -> Vectors:
    """Columns x, y, u, v and, if there, flags and mask (0 is good), or (older files) the peak's signal to noise."""
    lines, doubts = _lines(path)
    named = [line.lstrip("# ").split() for line in lines if line.startswith("#")]
    table = _numbers([line.split() for line in lines if not line.startswith("#")], path)
    names = tuple(named[-1][2:]) if named else ("u", "v", "signal_to_noise", "mask")[: table.shape[1] - 2]
    if len(names) != table.shape[1] - 2:
        raise FormatError(f"{path}: {table.shape[1]} columns, but the header names {len(names) + 2}; mend either")
    invalid = np.zeros(len(table), dtype=bool)
    for name in ("flags", "mask"):
        if name in names:
            invalid |= table[:, 2 + names.index(name)] != 0
    return _gridded(path, "OpenPIV text", table, names, ("1",) * len(names), invalid, "pixel", doubts)


def read_insight(path: Path) -> Vectors:
    """TSI Insight's .vec: a line that names variables and units, then comma separated rows; CHC < 0 is bad."""
    lines, doubts = _lines(path)
    variables = re.search(r'VARIABLES\s*=\s*((?:"[^"]*"\s*,?\s*)+)', lines[0])
    if variables is None:
        raise FormatError(f"{path}: no VARIABLES in its first line, which Insight writes; name the reader that fits")
    titles = [title.split() for title in re.findall(r'"([^"]*)"', variables.group(1))]
    names = tuple(title[0].lower() for title in titles)
    units = tuple(title[1] if len(title) > 1 else "1" for title in titles)
    table = _numbers([line.rstrip(", \t").split(",") for line in lines[1:]], path)
    if table.shape[1] != len(names) or names[:4] != ("x", "y", "u", "v") or "chc" not in names:
        raise FormatError(
            f"{path}: columns {', '.join(names)} and {table.shape[1]} numbers a row; expected X Y U V CHC"
        )
    pulse = re.search(r'MicrosecondsPerDeltaT\s*=\s*"([^"]*)"', lines[0])
    if pulse is not None:
        doubts = (*doubts, f"its header states {pulse[1]} us from the first to the second exposure of a pair")
    invalid = table[:, names.index("chc")] < 0
    return _gridded(path, "an Insight vector file", table, names[2:], units[2:], invalid, units[0], doubts)


def read_davis(path: Path) -> Vectors:
    """DaVis text: a header in quotes, tab separated rows, decimal commas; a vector of exactly zero was not measured."""
    lines, doubts = _lines(path)
    if not lines[0].startswith("#DaVis"):
        raise FormatError(f"{path}: does not begin with #DaVis; name the reader that fits")
    quoted = re.findall(r'"([^"]*)"', lines[0])
    length, speed = (quoted[1], quoted[5]) if len(quoted) >= 6 else ("1", "1")
    table = _numbers([line.replace(",", ".").split() for line in lines[1:]], path)
    if table.shape[1] != 4:
        raise FormatError(f"{path}: {table.shape[1]} columns; planar DaVis vectors have x, y, u, v")
    unmeasured = (table[:, 2:] == 0).all(axis=1)
    return _gridded(path, "DaVis text", table, ("u", "v"), (speed, speed), unmeasured, length, doubts)


def read_pivlab(path: Path) -> Vectors:
    """PIVlab's .mat of MATLAB 7.3: `x_k`, `y_k`, `u_k`, `v_k`, `typevector_k` of each field k; type 1 is good."""
    with opened(path) as file:
        steps = sorted(int(name[2:]) for name in file if re.fullmatch(r"u_[0-9]{1,9}", name))
        if not steps:
            raise FormatError(f"{path}: no u_0, v_0, ...; export the vectors from PIVlab's session as a .mat of fields")
        fields, dropped = [], 0
        for k in steps:
            # MATLAB counts down the columns: what h5py calls rows are columns.
            x, y, u, v = (numbers(file, f"{name}_{k}", path).T for name in "xyuv")
            kind = numbers(file, f"typevector_{k}", path).T if f"typevector_{k}" in file else None
            if (
                x.ndim != 2
                or not x.shape == y.shape == u.shape == v.shape
                or (kind is not None and kind.shape != x.shape)
            ):
                raise FormatError(f"{path}: x, y, u, v of field {k} are not of one shape; export them anew")
            rows, cols = x[0], y[:, 0]
            if not ((x == rows).all() and (y == cols[:, None]).all()):
                rows, cols = x[:, 0], y[0]
                u, v, kind = u.T, v.T, None if kind is None else kind.T
                if not ((x == rows[:, None]).all() and (y == cols).all()):
                    raise FormatError(f"{path}: x_{k}, y_{k} are no regular grid; only such are read")
            kind = np.ones_like(u) if kind is None else kind
            dropped += int((kind != 1).sum())
            fields.append(np.stack([*(np.where(kind == 1, part, np.nan) for part in (u, v)), kind], axis=-1))
            if k == steps[0]:
                first = (rows, cols)
            elif not (np.array_equal(first[0], rows) and np.array_equal(first[1], cols)):
                raise FormatError(f"{path}: field {k} is on another grid than field {steps[0]}; export them apart")
        note = f"{dropped} of {sum(one[..., 0].size for one in fields)} vectors are invalid, and NaN"
        # `calxy` and `caluv` turn pixels into m and m/s; 1 if nothing was calibrated.
        scales = [numbers(file, name, path).item() if name in file else 1.0 for name in ("calxy", "caluv")]
        return Vectors(
            "a PIVlab session", ("u", "v", "typevector"), ("pixel", "pixel", "1"), np.stack(fields), *first,
            notes=(note, f"velocities are in pixels a frame; the session's calibration is calxy {scales[0]:g}, "
                   f"caluv {scales[1]:g}"),
        )  # fmt: skip


def _lines(path: Path) -> tuple[list[str], tuple[str, ...]]:
    """The lines that are not empty, and a note if the last one has no end, as all programs write it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not text ({error}); name the reader that fits") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        raise FormatError(f"{path}: {len(lines)} lines; a vector field has a line a vector. Copy it anew")
    whole = text.endswith("\n")
    return lines, () if whole else ("its last line has no end: the file, and its last number, may be cut",)


def _numbers(rows: list[list[str]], path: Path) -> np.ndarray:
    """(vector, column) float64. Raises FormatError naming the row that does not fit."""
    if not rows:
        raise FormatError(f"{path}: a header without vectors; copy it anew")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]) or len(row) < 4:
            raise FormatError(f"{path}: vector {number} has {len(row)} values, the first {len(rows[0])}; it is damaged")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise FormatError(f"{path}: {error}; vectors are rows of numbers") from error


def _gridded(
    path: Path,
    kind: str,
    table: np.ndarray,
    names: tuple[str, ...],
    units: tuple[str, ...],
    invalid: np.ndarray,
    length: str,
    doubts: tuple[str, ...],
) -> Vectors:
    """Rows x, y, u, v, ... as a frame, its rows and columns in the order in which the file has them."""
    if not np.isfinite(table[:, :2]).all():
        raise FormatError(f"{path}: a vector's place is not finite; it is damaged")
    x, columns = _levels(table[:, 0])
    y, rows = _levels(table[:, 1])
    place = rows * len(x) + columns
    if len(table) != len(x) * len(y) or len(np.unique(place)) != len(table):
        raise FormatError(
            f"{path}: {len(table)} vectors on {len(x)} x and {len(y)} y; a grid has each once: it is truncated"
        )
    values = table[:, 2:].copy()
    values[invalid, :2] = np.nan
    frame = np.empty_like(values)
    frame[place] = values
    note = f"{int(invalid.sum())} of {len(table)} vectors are invalid, and NaN"
    frames = frame.reshape(1, len(y), len(x), -1)
    return Vectors(kind, names, units, frames, x, y, length, (note, *doubts))


def _levels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct coordinates in order of appearance, and for each value the number of its own."""
    distinct, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[inverse]
