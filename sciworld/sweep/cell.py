"""What a worker does with one cell: look at the table, call the function, write the row before it reports."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from distributed.protocol import pickle

from sciworld.errors import SettingsError, StoreError
from sciworld.sweep.rows import DONE, DTYPES, FAILED, MISSING, OWN, Rows
from sciworld.sweep.space import RESERVED, Cell, Space

BEGINNINGS = 3  # of a cell that killed its worker each time, before it counts as failed
LARGEST_PICKLE = 4 << 20  # bytes of a function: it travels with every cell
LARGEST_TEXT = 64 << 10  # characters of a traceback


@dataclass(frozen=True)
class Job:
    """What all cells have in common. function : pickled. seeded : whether it is given the cell's seed."""

    rows: Rows
    function: bytes
    seeded: bool


@dataclass(frozen=True)
class Outcome:
    """How a cell ended: status DONE or FAILED. ran : False if the row was there already."""

    status: int
    ran: bool


def run_cell(job: Job, cell: Cell) -> Outcome:
    """Run one cell, unless its row is there: a worker may have died between writing and reporting.

    Whatever the function raises is a failed row: a true interrupt reaches the main thread, never a cell. Raises
    StoreError where the row cannot be written.
    """
    rows = job.rows
    if not (Path(rows.folder) / "zarr.json").is_file():
        raise StoreError(f"{rows.folder}: not seen by a worker; sweep into a folder that all workers share")
    try:
        status = rows.status(cell)
        if status != MISSING:
            return Outcome(status, ran=False)
        if rows.begin(cell) >= BEGINNINGS:
            text = f"the worker died each of the {BEGINNINGS} times that it ran this cell: killed, or out of memory"
            rows.fail(cell, text, float("nan"))
            rows.end(cell)
            return Outcome(FAILED, ran=False)
        status = _run(job, cell)
        rows.end(cell)
    except OSError as error:
        raise StoreError(f"{rows.folder}: the row of {cell.arguments} cannot be written ({error})") from error
    return Outcome(status, ran=True)


def _run(job: Job, cell: Cell) -> int:
    """Call the function and write the row; its status. Raises OSError only of the table."""
    began, process = time.perf_counter(), os.getpid()
    try:
        function = _unpickled(job.function)
        arguments = {**cell.arguments, "seed": cell.seed} if job.seeded else cell.arguments
        values = columns(function(**arguments), cell)
    except BaseException as error:
        _end_if_forked(process, error)
        job.rows.fail(cell, _text(error), time.perf_counter() - began)
        return FAILED
    _end_if_forked(process, None)
    seconds = time.perf_counter() - began
    try:
        job.rows.finish(cell, values, seconds)
    except TypeError as error:
        job.rows.fail(cell, f"TypeError: {error}", seconds)
        return FAILED
    return DONE


def columns(result: Any, cell: Cell) -> dict[str, np.ndarray]:
    """What a function returned, as columns: a number is the column `value`; a mapping has one for each of its names.

    Numbers of Python are float64, so that no column depends on which cell is first; NumPy's keep their dtype.
    Raises TypeError or ValueError for what no column can hold.
    """
    named = result if isinstance(result, Mapping) else {"value": result}
    if not named:
        raise ValueError("the function returned no values; return a number, or a dict of numbers or arrays")
    taken = {*RESERVED, *OWN, *cell.arguments, "seed"}
    made = {}
    for name, value in named.items():
        if not (isinstance(name, str) and name.isidentifier()) or name in taken:
            raise ValueError(f"the function returned a value named {name!r}; use another name, an identifier of Python")
        if _is_masked(value):
            raise TypeError(
                f"'{name}' is a masked array, and a table has no masks; return it as floats `.filled(numpy.nan)`, or "
                "`.data` and `.mask` as two arrays"
            )
        if type(value) in (int, float):
            array = np.array(float(value))
            if type(value) is int and int(array) != value:
                raise ValueError(f"'{name}' is {value}, which no float64 holds; return a NumPy integer")
        else:
            array = np.asarray(value)
        if array.dtype.name not in DTYPES or not array.size:
            raise TypeError(
                f"'{name}' is {type(value).__name__} ({array.dtype}, shape {array.shape}); return numbers, or arrays "
                "of real numbers that are not empty"
            )
        made[name] = array
    return made


def pickled(function: Callable[..., Any]) -> bytes:
    """The function as bytes for the workers. Raises SettingsError if it cannot travel."""
    try:
        content: bytes = pickle.dumps(function)
    except Exception as error:  # anything that a function refers to may raise anything when pickled
        raise SettingsError(
            f"{name_of(function)} cannot be sent to workers ({type(error).__name__}: {error}); define it in a module, "
            "and let it open files and devices itself"
        ) from error
    if len(content) > LARGEST_PICKLE:
        raise SettingsError(
            f"{name_of(function)} brings {len(content) >> 20} MiB along with every cell; let it read its data itself"
        )
    return content


def name_of(function: Callable[..., Any]) -> str:
    """module:name of a function; of a `functools.partial` with its arguments."""
    if isinstance(function, functools.partial):
        given = [repr(value) for value in function.args]
        given += [f"{name}={value!r}" for name, value in sorted(function.keywords.items())]
        return f"{name_of(function.func)}({', '.join(given)})"
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}:{kind.__qualname__}"


def source_of(function: Callable[..., Any]) -> str:
    """A hash of a function's source, of a `functools.partial` of what it calls; empty where there is none.

    A lambda has none of its own: it shares its lines with whatever else is written there.
    """
    while isinstance(function, functools.partial):
        function = function.func
    if getattr(function, "__name__", "") == "<lambda>":
        return ""
    try:
        text = inspect.getsource(function if hasattr(function, "__qualname__") else type(function))
    except Exception:  # a builtin, or its file is gone or holds something else by now
        return ""
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:24]


def takes_seed(function: Callable[..., Any], space: Space) -> bool:
    """Whether the function is to be given each cell's seed: it has that parameter, and the space has not.

    Raises SettingsError if it cannot be called with the space's parameters.
    """
    if not callable(function):
        raise SettingsError(f"{function!r:.60} is no function")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some builtins have none
        return False
    bound = isinstance(function, functools.partial) and "seed" in function.keywords
    seeded = "seed" in signature.parameters and "seed" not in space.names and not bound
    try:
        signature.bind(**dict.fromkeys([*space.names, *(["seed"] if seeded else [])]))
    except TypeError as error:
        raise SettingsError(
            f"{name_of(function)}{signature} cannot be called with {', '.join(space.names)}: {error}"
        ) from error
    return seeded


@functools.lru_cache(maxsize=4)
def _unpickled(content: bytes) -> Callable[..., Any]:
    function: Callable[..., Any] = pickle.loads(content)
    return function


def _is_masked(value: Any) -> bool:
    """Whether a masked array is in it: NumPy makes a plain one of it by dropping the mask."""
    return isinstance(value, np.ma.MaskedArray) or (isinstance(value, list | tuple) and any(map(_is_masked, value)))


def _end_if_forked(process: int, error: BaseException | None) -> None:
    """End a process that the function forked and let return here: the row, and the scheduler, are its parent's."""
    if os.getpid() == process:
        return
    code = int(error is not None)
    try:
        if isinstance(error, SystemExit):
            code = error.code & 0xFF if isinstance(error.code, int) else int(error.code is not None)
        elif error is not None:
            traceback.print_exception(error)
    finally:  # even if nothing can be printed
        os._exit(code)


def _text(error: BaseException) -> str:
    """The traceback of an error, from the function on."""
    frames = error.__traceback__.tb_next if error.__traceback__ else None
    return "".join(traceback.format_exception(type(error), error, frames))[-LARGEST_TEXT:]
