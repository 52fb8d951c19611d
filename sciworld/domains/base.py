"""What a field of science brings: how to read, simulate, locate, judge; and how all readers fail."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr

from sciworld.controls import ColumnTable
from sciworld.errors import FormatError, SciworldError, SettingsError


class Physics(Protocol):
    """What a field of science reads from frames, whoever made them, and what must hold of it.

    It was fitted on recordings, from which it may have learned how to read, and what is usual.
    """

    @property
    def quantities(self) -> ColumnTable:
        """What is read: names and units; low and high are what it must lie between, where something must.

        One of kind "event" is 1 where something happened in the step, else 0.
        """
        ...

    @property
    def rates(self) -> tuple[tuple[str, str], ...]:
        """Pairs of quantities: one that the controls set, and an event whose frequency depends on it."""
        ...

    def __call__(self, frames: np.ndarray, view: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """The quantities after each step : (n, step, quantity) float64, NaN where one cannot be read.

        frames : (n, step + 1, y, x, channel), the present and what came, in the units of the recordings. view : (n, 6),
        the same for all frames of a future. controls : (n, step, control), that led from each frame to the next.
        """
        ...


@dataclass(frozen=True)
class Domain:
    """One field of science, as the generic parts see it.

    Parameters
    ----------
    name : what it is called on the command line.
    focus : where a loss may weigh more, from what is known beforehand: frames (n, y, x, channel) and view (n, 6) to
        weights (n, y, x) float32 of mean about one.
    symmetries : names of the transforms under which frames, views and controls keep their meaning.
    simulator : makes the trusted simulator from its settings' fields.
    physics : fits what is read from frames on recordings, which are gone through more than once. Raises RecordingError
        where recordings of this kind tell nothing that could be checked.
    """

    name: str
    focus: Callable[[np.ndarray, np.ndarray], np.ndarray] | None
    symmetries: tuple[str, ...]
    simulator: Callable[..., Any]
    physics: Callable[[Iterable[xr.Dataset]], Physics]


WIDER = 0.1  # of a recorded range, added at either end

DOMAINS = {
    "stem": "sciworld.domains.stem:DOMAIN",
    "fluid": "sciworld.domains.fluid:DOMAIN",
    "driving": "sciworld.domains.driving:DOMAIN",
}


def domain(name: str) -> Domain:
    """The domain called `name`. Raises SettingsError listing those that exist."""
    if name not in DOMAINS:
        raise SettingsError(f"no domain '{name}'; there are {', '.join(sorted(DOMAINS))}")
    module, attribute = DOMAINS[name].split(":")
    found: Domain = getattr(importlib.import_module(module), attribute)
    return found


def widened(low: float, high: float, slack: float = 0.0) -> tuple[float, float]:
    """A range that recordings showed, a tenth of it and `slack` wider at either end: what the imagined must keep to."""
    wider = WIDER * (high - low) + slack
    return low - wider, high + wider


@contextlib.contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into a FormatError that names the file, the thing and the cure."""
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise FormatError(f"{path}: empty (0 bytes), expected {kind}; copy it anew from the instrument")
        if not path.exists():
            raise FormatError(f"{path}: no such file or folder; mend the path")
        if not (path.is_file() or path.is_dir()):
            raise FormatError(f"{path}: a pipe or device; give a regular file, or a folder")
        yield
    except (SciworldError, ImportError):
        raise
    except Exception as error:  # a damaged file may raise anything at all in the library that parses it
        raise FormatError(
            f"{path}: cannot be read as {kind} ({type(error).__name__}: {error}); it is truncated, damaged or of "
            "another format: copy it anew, or name the reader that fits"
        ) from error
