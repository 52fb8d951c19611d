"""Stores of variants: every recording of one store in many weathers, streamed into another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sciworld.config import LARGEST, path_of, whole
from sciworld.domains.driving.randomize import Method, Randomizing, drawn_conditions, randomize, variant_seed
from sciworld.domains.driving.road.conditions import RANGES
from sciworld.domains.driving.weathers import Weathers
from sciworld.domains.generated import PART_BYTES, Progress, made, require_progress
from sciworld.errors import StoreError
from sciworld.store import Store


@dataclasses.dataclass(frozen=True)
class _Asked:
    """What is made: `n` variants of each recording of the store at `path`, those of recording i by its own seed."""

    path: Path
    n: int
    weathers: Weathers
    seed: int
    settings: Method | None

    def seed_of(self, recording: int) -> int:
        """Of the variants of a recording, by its number in the store."""
        return int(np.random.SeedSequence([self.seed, recording, 707]).generate_state(1)[0])

    def make(self, numbers: list[int]) -> list[xr.Dataset]:
        """The variants with these numbers, all of one recording: recording * n + variant."""
        index, wanted = numbers[0] // self.n, {number % self.n for number in numbers}
        source = Store.open(self.path)[index]
        seed = self.seed_of(index)
        return list(randomize(source, self.n, self.weathers, seed, self.settings, only=wanted, of=index))


def randomize_store(
    source: str | Path | Store,
    path: str | Path,
    n: int,
    conditions: Any = "any",
    seed: int = 0,
    settings: Method | None = None,
    workers: int = 0,
    client: Any = None,
    progress: Progress | None = None,
) -> Store:
    """Write n variants of every recording of a store into the store at `path`, which is made if missing.

    conditions : `Weathers`, or words for them. workers : processes begun here. client : a Dask client, or the address
    of a scheduler. progress(done, variants). Others as in `randomize`; neither workers nor batches change what is made.

    Call it again after an interrupt: variants that the store holds are not made again. Raises StoreError where it holds
    some of another seed or other conditions, SettingsError and RecordingError as `randomize`.
    """
    store = source if isinstance(source, Store) else Store.open(source)
    if not len(store):
        raise StoreError(f"{store.path}: holds nothing; ingest or record drives first")
    path = path_of(path, "path")
    if path.resolve() == Path(store.path).resolve():
        raise StoreError(f"{path}: variants would lie among their sources; give another folder")
    require_progress(progress)
    n, seed, workers = whole(n, "n", 1), whole(seed, "seed", 0, LARGEST), whole(workers, "workers", 0)
    asked = _Asked(Path(store.path).absolute(), n, Weathers.of(conditions), seed, settings)
    randomize(store[0], n, asked.weathers, asked.seed_of(0), settings)  # what cannot be made leaves no empty store
    out = Store.create(path)
    held = _held(out, asked, method=True)
    numbers = [number for number in range(n * len(store)) if number not in held]
    done = len(held)
    name = partial(_name, store.sessions(), n)
    batches = list(_batches(store, numbers, n))
    for batch, variants in zip(batches, made(asked.make, batches, name, workers, client), strict=True):
        out.append(variants, admit=partial(_refuse, asked, set(batch)))
        done += len(variants)
        if progress is not None:
            progress(done, n * len(store))
    return out


def _name(sessions: list[str], n: int, number: int) -> str:
    return f"{sessions[number // n]}, variant {number % n}"


def _batches(store: Store, numbers: list[int], n: int) -> Iterator[list[int]]:
    """Numbers of variants of one recording, that take as much memory as a part may."""
    batch: list[int] = []
    for number in numbers:
        if batch and (number // n != batch[0] // n or len(batch) >= _together(store, number // n)):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _together(store: Store, index: int) -> int:
    frames = store.lazily(index)["frames"]
    return max(1, PART_BYTES // max(1, frames.nbytes))


def _held(store: Store, asked: _Asked, method: bool = False) -> set[int]:
    """Numbers of the variants that a store holds. Raises StoreError for such as are not asked for.

    method : look at how the first of them was drawn, too.
    """
    if not len(store):
        return set()
    facts = store.facts()
    if not {"variant", "variant_of", "variant_seed"} <= set(facts):
        raise StoreError(f"{store.path}: holds other recordings than variants; give a new folder")
    held, theirs, own = set(), store.sessions(), Store.open(asked.path).sessions()
    for i in range(len(store)):
        number, of = int(facts["variant"][i]), int(facts["variant_of"][i])
        if not 0 <= of < len(own) or theirs[i] != own[of]:
            raise StoreError(
                f"{store.path}: holds variants of other recordings than those of {asked.path}; give a new folder"
            )
        expected = drawn_conditions(asked.weathers, asked.n, asked.seed_of(of))
        same = number < asked.n and int(facts["variant_seed"][i]) == variant_seed(asked.seed_of(of), number)
        if not same or any(float(facts[name][i]) != getattr(expected[number], name) for name in RANGES):
            raise StoreError(
                f"{store.path}: holds variant {number} of recording {of} with another seed or other conditions; go on "
                "with those, or give a new folder"
            )
        held.add(of * asked.n + number)
    if method:
        told = str(store.lazily(0).attrs["history"])
        source = (asked.settings or Randomizing()).source(Store.open(asked.path)[int(facts["variant_of"][0])], None)
        if not told.endswith(source.told):
            raise StoreError(
                f"{store.path}: holds variants that were drawn in another way ({told.rpartition('; ')[2]:.120}); give "
                "a new folder"
            )
    return held


def _refuse(asked: _Asked, numbers: set[int], store: Store) -> None:
    """Raise StoreError if the store, as it is just before they are committed, holds one of them already."""
    if numbers & _held(store, asked):
        raise StoreError(f"{store.path}: another process writes the same variants; let it end, and call again")
