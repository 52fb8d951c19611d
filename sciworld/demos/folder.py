"""The folder of a demo's report, and the data that it begins with."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from sciworld import catalog
from sciworld.errors import SettingsError
from sciworld.files import lock
from sciworld.store import Store

MARK = ".sciworld-demo"
MARKED = "made by `sciworld demo`, which replaces this folder\n"
MADE = ("run", "report.html", "plotly.min.js", "verdicts.json")

T = TypeVar("T")


@contextlib.contextmanager
def workplace(
    out: str | Path, data: str | Path | None, name: str, check: Callable[[Store], T]
) -> Iterator[tuple[Path, Store, T]]:
    """The folder `out`, free for a new demo; the store that it learns from, and what `check` makes of that.

    data : a store, or None for the catalogue's `name`, which is made once and kept. What an earlier demo made in the
    folder is removed last of all, so that what cannot begin removes nothing. Raises SettingsError for a folder that
    holds anything else, is the data's, cannot be written, or where another demo is at work; and what `check` raises.
    """
    folder = Path(out).resolve()
    _require_free(folder)
    if data is None:
        found = catalog.fetch(name)
        data = found if isinstance(found, Path) else found[0]
    elif folder in (place := Path(data).resolve(), *place.parents) or place in folder.parents:
        raise SettingsError(f"{folder}: the data, {place}, lie in it or about it; choose a folder apart from them")
    store = Store.open(data)
    checked = check(store)
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / MARK).exists():
                (folder / MARK).write_text(MARKED)
            held.enter_context(lock(folder / MARK))
            _require_free(folder)
            for made in MADE:
                _remove(folder / made)
        except BlockingIOError as error:
            raise SettingsError(f"{folder}: another demo is at work there; choose another folder, or wait") from error
        except OSError as error:
            raise SettingsError(f"{folder}: cannot be written ({error}); choose another folder") from error
        yield folder, store, checked


def _require_free(folder: Path) -> None:
    """Raise SettingsError unless `folder` can be made, or is empty, or holds an earlier demo by its mark alone."""
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder}: is a file; choose a folder")
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise SettingsError(f"{folder}: {there} cannot be written; choose another folder")
    if folder.exists() and any(folder.iterdir()):
        mark = folder / MARK
        others = sorted({path.name for path in folder.iterdir()} - {MARK, *MADE})
        if others or not mark.is_file() or mark.read_text(errors="replace") != MARKED:
            what = f"{others[0]}, which no demo made" if others else "something that is no earlier demo"
            raise SettingsError(f"{folder}: holds {what}; choose another folder")


def _remove(made: Path) -> None:
    if made.is_dir() and not made.is_symlink():
        shutil.rmtree(made)
    else:
        made.unlink(missing_ok=True)
