"""Asynchronous logs read onto the times of frames: between rows, over the gap between two frames, or held.

A log is rows of one signal with times of their own. Outside its first and last row nothing is known, and the reading is
NaN; so it is on the straight line across a hole longer than was allowed, or across a row that says that it has no
value. The rows with values stay in the recording, see `ragged`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sciworld.errors import FormatError


@dataclass(frozen=True)
class Log:
    """The rows of one signal, cleaned by `log`.

    Parameters
    ----------
    time : (row,) float64 s, strictly increasing. value : (row,) float64, finite.
    empty : (other row,) float64 s, increasing: the times of the rows without a value.
    notes : sentences for a history: rows that were sorted, or left out.
    """

    time: np.ndarray
    value: np.ndarray
    empty: np.ndarray
    notes: tuple[str, ...] = ()


def log(time: np.ndarray, value: np.ndarray, name: str, where: str) -> Log:
    """Rows (row,), (row,) in the order of their times. What is NaN has no value; of rows at one time the last counts.

    name : of the signal. where : the file, for errors. Raises FormatError for rows without a time, infinite values,
    and lengths that differ.
    """
    time, value = np.asarray(time, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if time.ndim != 1 or time.shape != value.shape:
        raise FormatError(
            f"{where}: '{name}' has values {value.shape} at times {time.shape}; give one value a time: copy it anew"
        )
    if not np.isfinite(time).all():
        row = int(np.argmin(np.isfinite(time)))
        raise FormatError(f"{where}: row {row + 1} of '{name}' has no time ({time[row]}); fill it in, or drop the row")
    if np.isinf(value).any():
        row = int(np.argmax(np.isinf(value)))
        raise FormatError(f"{where}: row {row + 1} of '{name}' is infinite; drop the row if it is unknown")
    notes = []
    if (np.diff(time) < 0).any():
        order = np.argsort(time, kind="stable")
        time, value = time[order], value[order]
        notes.append(f"rows of '{name}' were not in the order of their times, and are sorted")
    known = ~np.isnan(value)
    last = np.append(time[known][1:] > time[known][:-1], True)[: known.sum()]
    for what, count in (("have no value", len(known) - known.sum()), ("share the time of the next", (~last).sum())):
        if count:
            notes.append(f"{int(count)} rows of '{name}' {what}, and are left out")
    return Log(time[known][last], value[known][last], time[~known], tuple(notes))


def linear(rows: Log, at: np.ndarray, hole: float = math.inf, period: float | None = None) -> np.ndarray:
    """The value at the times `at` (time,) on the straight line between the rows beside each : (time,) float64.

    Between two rows with a row without a value between them nothing is known. hole : seconds between two rows above
    which nothing is known either. period : of an angle, which then turns the short way from row to row, and goes on
    past its period instead of jumping.
    """
    if not len(rows.time):
        return np.full(len(at), np.nan)
    value = rows.value if period is None else np.unwrap(rows.value, period=period)
    found = np.interp(at, rows.time, value, left=np.nan, right=np.nan)
    before, after = rows.time[:-1], rows.time[1:]
    empty = np.searchsorted(rows.empty, after, side="left") > np.searchsorted(rows.empty, before, side="right")
    broken = np.append((after - before > hole) | empty, False)  # nothing to be broken follows the last row
    place = np.searchsorted(rows.time, at, side="right").clip(1) - 1
    return np.where(broken[place] & ~np.isin(at, rows.time), np.nan, found)


def mean(rows: Log, at: np.ndarray) -> np.ndarray:
    """The mean of the rows with a value from each time of `at` (time,) to the next : (time,); NaN without, and last."""
    edges = np.searchsorted(rows.time, at, side="left")
    count = np.diff(edges)
    found = np.full(len(at), np.nan)
    if count.any():
        sums = np.add.reduceat(rows.value[: edges[-1]], edges[:-1][count > 0])
        # A sum that rounds must not carry a mean past the rows that it is of.
        found[:-1][count > 0] = (sums / count[count > 0]).clip(rows.value.min(), rows.value.max())
    return found


def hold(rows: Log, at: np.ndarray) -> np.ndarray:
    """The value of the last row that has one at or before each time of `at` : (time,); NaN before the first and after
    the last."""
    found = np.full(len(at), np.nan)
    before = np.searchsorted(rows.time, at, side="right") - 1
    inside = (before >= 0) & (at <= (rows.time[-1] if len(rows.time) else -np.inf))
    found[inside] = rows.value[before[inside]]
    return found


# The readings by the names that a user writes.
READINGS: Mapping[str, Callable[[Log, np.ndarray], np.ndarray]] = {"linear": linear, "mean": mean, "hold": hold}


def ragged(logs: Sequence[Log]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All rows by time : (log,) s, (log,) number of the signal, (log,) value; the `logs` of recording.make."""
    time = np.concatenate([np.empty(0), *(rows.time for rows in logs)])
    column = np.repeat(np.arange(len(logs), dtype=np.int32), [len(rows.time) for rows in logs])
    value = np.concatenate([np.empty(0), *(rows.value for rows in logs)])
    order = np.argsort(time, kind="stable")
    return time[order], column[order], value[order]
