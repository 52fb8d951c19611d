"""What a field of science brings: how to read, simulate, locate, judge; and how all readers fail."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciworld.errors import FormatError, SciworldError, SettingsError


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
    """

    name: str
    focus: Callable[[np.ndarray, np.ndarray], np.ndarray] | None
    symmetries: tuple[str, ...]
    simulator: Callable[..., Any]


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
