"""Stores filled with simulated episodes: batch by batch, here or by Dask workers, always the same store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld.config import LARGEST, require, whole
from sciworld.errors import StoreError
from sciworld.store import Store

PART_BYTES = 32 << 20  # of frames in a part, which are in memory at once
MOST_TOGETHER = 64  # episodes that a simulator advances at once
AHEAD = 2  # batches a worker has in hand or done, so that memory stays bounded

Make = Callable[[list[int]], list[xr.Dataset]]  # numbers of episodes -> their recordings
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
    Raises StoreError before anything is simulated if the store holds one of the episodes.
    """
    episodes, first = whole(episodes, "episodes", 1), whole(first, "first", 0)
    workers, together = whole(workers, "workers", 0), whole(together, "together", 1)
    store = Store.create(path)
    numbers = list(range(first, first + episodes))
    held = set(store.sessions()) & {session(number) for number in numbers}
    if held:
        raise StoreError(f"{path}: holds '{min(held)}' already; generate into a new store, or from a later first")
    done = 0
    batches = [numbers[at : at + together] for at in range(0, episodes, together)]
    for recordings in _made(make, batches, workers, client):
        store.append(recordings)
        done += len(recordings)
        if progress is not None:
            progress(done, episodes)
    return store


def batch_size(episode_bytes: int) -> int:
    """How many episodes of so many bytes are simulated together."""
    return int(np.clip(PART_BYTES // max(1, episode_bytes), 1, MOST_TOGETHER))


def kinds_of(controls: str | Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The names of what controls episodes in turn, as a sequence or text with commas. Raises SettingsError."""
    given = controls.split(",") if isinstance(controls, str) else controls
    kinds = tuple(one.strip() if isinstance(one, str) else one for one in given)
    good = bool(kinds) and all(kind in known for kind in kinds)
    require(good, f"controls are {controls!r:.80}; use one or more of {', '.join(known)}")
    return kinds


def generator_of(seed: int, episode: int) -> np.random.Generator:
    """The generator of an episode."""
    return np.random.default_rng([whole(seed, "seed", 0, LARGEST), episode])


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


def _made(make: Make, batches: list[list[int]], workers: int, client: Any) -> Iterator[list[xr.Dataset]]:
    """The recordings of each batch, in order."""
    if not workers and client is None:
        yield from (make(batch) for batch in batches)
        return
    from sciworld.cluster.connect import connected  # slow to import

    with connected(client, workers) as connection:
        ahead = AHEAD * max(1, len(connection.scheduler_info(n_workers=-1)["workers"]))
        waiting, todo = deque[Any](), deque(batches)
        while todo or waiting:
            while todo and len(waiting) < ahead:
                waiting.append(connection.submit(make, todo.popleft(), pure=False))
            future = waiting.popleft()
            found: list[xr.Dataset] = future.result()
            future.release()
            yield found
