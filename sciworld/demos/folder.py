"""The folder of a demo's report, and the data that it begins with."""

from __future__ import annotations

import shutil
from pathlib import Path

from sciworld import catalog
from sciworld.errors import SettingsError

MARK = ".sciworld-demo"
MARKED = "made by `sciworld demo`, which replaces this folder\n"


def fetched(name: str) -> Path:
    """The store of a generated data set of the catalogue, made where it is not there yet."""
    found = catalog.fetch(name)
    return found if isinstance(found, Path) else found[0]


def require_free(out: Path) -> None:
    """Raise SettingsError unless `out` is missing, empty, or an earlier demo by its mark."""
    if out.exists() and not out.is_dir():
        raise SettingsError(f"{out}: is a file; choose a folder")
    if out.exists() and any(out.iterdir()):
        mark = out / MARK
        if not (mark.is_file() and mark.read_bytes() == MARKED.encode()):
            raise SettingsError(f"{out}: holds something that is no earlier demo; choose another folder")


def clear(out: Path) -> None:
    """Make room for a new report: remove what an earlier one left, and refuse a folder of anything else."""
    require_free(out)
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARK).write_bytes(MARKED.encode())
