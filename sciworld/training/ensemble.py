"""Several models of one kind, trained at once: from other initial weights, or on other sessions drawn from the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from distributed import Client, as_completed
from distributed.scheduler import KilledWorker

from sciworld.cluster.connect import connected, cores
from sciworld.config import whole
from sciworld.errors import ClusterError, SettingsError, TrainingError
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.training import distributed
from sciworld.training.run import Run
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

MOST = 1000


def train_ensemble(
    store: Store | Selection,
    folder: str | Path,
    settings: FitSettings,
    members: int = 3,
    *,
    bootstrap: bool = False,
    family: str | None = None,
    preset: str | None = None,
    changes: Mapping[str, Any] | None = None,
    domain: str = "",
    start_from: str | Path | None = None,
    tokenizer: str | Path | None = None,
    resume: bool = False,
    client: Client | str | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Run]:
    """Train members into `folder`/member-0, ... in processes of their own: member i by the seed of `settings` plus i.

    The same sessions are held out for all, see `train`; with `bootstrap` each trains on sessions drawn anew.

    members : two or more. client : of Dask, or the address of a scheduler, whose workers see the folders; else
    processes of this machine, as many as `workers` or one a core, which share its cores. resume : keep the members
    that are finished, go on with those that were begun; a larger number adds members.
    progress : called with the members that are done, and all. Raises TrainingError if the folder holds anything else,
    ClusterError where a worker died, SettingsError, and what `train` raises.
    """
    members = whole(members, "members", 2, MOST)
    if distributed.launched():
        raise SettingsError("members of an ensemble have processes of their own; train them without torchrun")
    names = [f"member-{number}" for number in range(members)]
    folder = Path(folder).resolve()
    _make(folder, names, resume)
    count = min(whole(workers, "workers", 1) if workers is not None else cores(1), members)
    codes = None if tokenizer is None else Path(tokenizer).resolve()
    given = (family, preset, None if changes is None else dict(changes), domain, codes, bootstrap)
    origin = None if start_from is None else Path(start_from).resolve()
    source = (store.path.resolve(), None) if isinstance(store, Store) else (store.store.path.resolve(), store.indices)
    done = 0
    with connected(client, count, threads=max(1, cores(1) // count)) as workforce:
        futures = [
            workforce.submit(
                _trained, source, folder / name, dataclasses.replace(settings, seed=settings.seed + number), given,
                origin, pure=False,
            )
            for number, name in enumerate(names)
        ]  # fmt: skip
        try:
            for future in as_completed(futures, loop=workforce.loop):
                future.result()
                done += 1
                if progress is not None:
                    progress(done, members)
        except KilledWorker as error:
            raise ClusterError(f"a worker died, perhaps of memory ({error}); resume with fewer workers") from error
        finally:
            workforce.cancel(futures)  # of an error or interrupt: what has not begun shall not
    return [Run(folder / name) for name in names]


def _make(folder: Path, names: list[str], resume: bool) -> None:
    """Make a folder for each member. Raises TrainingError if there is anything else, or anything and no `resume`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = {entry.name for entry in folder.iterdir()}
        others = sorted(there - set(names))
        if others:
            raise TrainingError(
                f"{folder}: holds {others[0]}, which is none of {len(names)} members; choose another folder, or resume "
                "with as many members as there were"
            )
        if there and not resume and any(any((folder / name).iterdir()) for name in there):
            raise TrainingError(f"{folder}: exists already; resume that ensemble, or choose another folder")
        for name in names:
            (folder / name).mkdir(exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be made ({error}); choose another folder") from error


def _trained(
    source: tuple[Path, Any], folder: Path, settings: FitSettings, given: tuple[Any, ...], start_from: Path | None
) -> None:
    """What a worker does for one member."""
    path, indices = source
    store = Store.open(path)
    family, preset, changes, domain, tokenizer, bootstrap = given
    train(
        store if indices is None else Selection(store, indices),
        folder,
        settings,
        family=family,
        preset=preset,
        changes=changes,
        domain=domain,
        start_from=start_from,
        tokenizer=tokenizer,
        bootstrap=bootstrap,
        resume=(folder / "config.json").exists(),
        progress=False,
    )
