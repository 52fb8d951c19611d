"""Stores filled with simulated episodes: batch by batch, here or by Dask workers, always the same store."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import LARGEST, path_of, require, whole
from sciworld.controls import ColumnTable
from sciworld.errors import SettingsError, SimulatorError, StoreError
from sciworld.store import Store

PART_BYTES = 32 << 20  # of frames in a part, which are in memory at once
MOST_TOGETHER = 64  # episodes that a simulator advances at once
AHEAD = 2  # batches a worker has in hand or done, so that memory stays bounded

Make = Callable[[list[int]], list[xr.Dataset]]  # numbers of episodes -> their recordings, which make one part
Progress = Callable[[int, int], None]


def fill(
    path: str | Path,
    make: Make,
    episodes: int,
    first: int,
    session: Callable[[int], str],
    together: int,
    workers: int = 0,
    client: Any = None,
    progress: Progress | None = None,
) -> Store:
    """Write the episodes `first`, `first + 1`, ... into the store at `path`, which is made if missing.

    Each batch of `together` episodes is a part. What an episode is must depend on its number alone: then neither
    batches nor workers change the store, and one that was left off goes on with the `first` that it lacks.

    make : can be pickled if there are workers. session : of an episode by its number. workers : processes begun here.
    client : a Dask client, or the address of a scheduler. progress(done, episodes).
    Raises StoreError before anything is simulated if the store holds one of the episodes, and before a batch is
    written if another process wrote one meanwhile, or if the store's recordings have other controls; SimulatorError
    naming the episodes among which one cannot be simulated.
    """
    path = path_of(path, "path")
    require_progress(progress)
    episodes, first = whole(episodes, "episodes", 1), whole(first, "first", 0)
    workers, together = whole(workers, "workers", 0), whole(together, "together", 1)
    store = Store.create(path)
    numbers = list(range(first, first + episodes))
    _refuse_held({session(number) for number in numbers}, store)
    done = 0
    batches = [numbers[at : at + together] for at in range(0, episodes, together)]
    for recordings in made(make, batches, session, workers, client):
        store.append(recordings, admit=partial(_admit, recordings))
        done += len(recordings)
        if progress is not None:
            progress(done, episodes)
    return store


def _refuse_held(sessions: set[str], store: Store) -> None:
    held = sessions & set(store.sessions())
    if held:
        raise StoreError(f"{store.path}: holds '{min(held)}' already; generate into a new store, or from a later first")


def _admit(recordings: list[xr.Dataset], store: Store) -> None:
    """Raise StoreError if the store, as it is just before they are committed, cannot hold these recordings."""
    _refuse_held({ds.attrs["session"] for ds in recordings}, store)
    new = recording.control_table(recordings[0])
    for part in store.parts:
        stored = part.array("controls").attributes["columns"] if "controls" in part.names else "[]"
        old = ColumnTable.from_json(stored, f"{part.folder}: controls")
        if [(c.name, c.units) for c in old] != [(c.name, c.units) for c in new]:
            raise StoreError(
                f"{store.path}: holds recordings whose controls are {old.in_line()}, the new ones have "
                f"{new.in_line()}; generate into another folder"
            )


def settings_of(source: str, maker: str) -> dict[str, Any]:
    """The settings that a generator, whose sources begin with `maker`, states in the source of a recording.

    Raises SettingsError for a source of anything else, or without settings.
    """
    prefix = f"{maker}, "
    require(source.startswith(prefix), f"source '{source:.200}' is not of {maker}; give recordings that are")
    try:
        return dict(ast.literal_eval(source.removeprefix(prefix)))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise SettingsError(
            f"source '{source:.200}' does not say its settings; generate the recordings anew"
        ) from error


def made_with(store: Store, maker: str) -> dict[str, Any]:
    """Settings of the simulator that a generator, whose sources begin with `maker`, made all recordings with.

    Only in that simulator can a judge tell what is true of these recordings. Raises SettingsError where several, or
    anything else, made them.
    """
    found = sorted(set(store.sources()))
    prefix = f"{maker}, "
    if len(found) != 1 or not found[0].startswith(prefix):
        several = f" and {len(found) - 1} other sources" * (len(found) > 1)
        raise SettingsError(
            f"{store.path}: its recordings are of {found[0] if found else 'nothing'!s:.200}{several}; the judge is "
            f"the simulator that made them all: give data of {maker} with one set of settings"
        )
    return settings_of(found[0], maker)


def require_progress(progress: Any) -> None:
    """Raise SettingsError unless it is a function, or None for none."""
    require(progress is None or callable(progress), f"progress is {progress!r:.80}; give a function of (done, total)")


def batch_size(episode_bytes: int) -> int:
    """How many episodes of so many bytes are simulated together."""
    return int(np.clip(PART_BYTES // max(1, episode_bytes), 1, MOST_TOGETHER))


def kinds_of(controls: str | Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The names of what controls episodes in turn, as a sequence or text with commas. Raises SettingsError."""
    given = controls.split(",") if isinstance(controls, str) else controls
    given = given if isinstance(given, Sequence) else ()
    kinds = tuple(one.strip() if isinstance(one, str) else one for one in given)
    good = bool(kinds) and all(kind in known for kind in kinds)
    require(good, f"controls are {controls!r:.80}; use one or more of {', '.join(known)}")
    return kinds


def generator_of(seed: int, episode: int) -> np.random.Generator:
    """The generator of an episode. Raises SettingsError."""
    return np.random.default_rng([whole(seed, "seed", 0, LARGEST), whole(episode, "episode (first)", 0, LARGEST)])


def held(values: np.ndarray, rng: np.random.Generator, least: int = 2, most: int = 12) -> np.ndarray:
    """values : (step, control), each held for `least` to `most` steps."""
    lengths = rng.integers(least, most + 1, len(values))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return values[np.searchsorted(starts, np.arange(len(values)), side="right") - 1]


def wandering(steps: int, correlation: float, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of unit variance that is correlated over so many steps : (step, column)."""
    keep = np.exp(-1.0 / correlation)
    noise = rng.standard_normal((steps, columns))
    noise[1:] *= np.sqrt(1.0 - keep**2)
    for step in range(1, steps):
        noise[step] += keep * noise[step - 1]
    return noise


@contextmanager
def _among(batch: list[int], session: Callable[[int], str]) -> Iterator[None]:
    """Say which episodes the simulator was at: by itself it numbers those of a batch."""
    try:
        yield
    except SimulatorError as error:
        raise SimulatorError(
            f"episodes {batch[0]} to {batch[-1]} ('{session(batch[0])}' to '{session(batch[-1])}'), numbered from 0 "
            f"in what follows: {error}"
        ) from error


def made(
    make: Make, batches: list[list[int]], session: Callable[[int], str], workers: int, client: Any
) -> Iterator[list[xr.Dataset]]:
    """The recordings of each batch of numbers, in order; see `fill` for the rest."""
    if not workers and client is None:
        for batch in batches:
            with _among(batch, session):
                found = make(batch)
            yield found
        return
    from sciworld.cluster.connect import connected  # slow to import

    with connected(client, workers) as connection:
        ahead = AHEAD * max(1, len(connection.scheduler_info(n_workers=-1)["workers"]))
        waiting, todo = deque[tuple[list[int], Any]](), deque(batches)
        while todo or waiting:
            while todo and len(waiting) < ahead:
                batch = todo.popleft()
                waiting.append((batch, connection.submit(make, batch, pure=False)))
            batch, future = waiting.popleft()
            with _among(batch, session):
                found = future.result()
            future.release()
            yield found
