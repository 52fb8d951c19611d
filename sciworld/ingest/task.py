"""One source on its way into a store: what each worker of an ingest does."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from sciworld import errors
from sciworld.errors import RecordingError, SciworldError, SettingsError, StoreError
from sciworld.ingest.changes import Changes
from sciworld.ingest.controls import attach_controls, doubts, shifted
from sciworld.ingest.lag import Lag
from sciworld.ingest.open import open_recordings
from sciworld.ingest.watch import IngestWatch
from sciworld.parts import kind
from sciworld.store import Store

Source = str | Path | Sequence[str | Path]
ATTEMPTS = 4  # to append to a store that others remove
MARK = "ingested"  # the attribute that says which file, read how, a recording is


@dataclass(frozen=True)
class Task:
    """A source and how to read it.

    Parameters
    ----------
    source : a file, a folder, or the files of one movie. controls : the CSV or Parquet file of its controls.
    mapping, times, shift : see `attach_controls`. reader, options : see `open_recordings`.
    allow_nan : whether frames may hold pixels that are not finite.
    """

    source: Source
    controls: Path | None = None
    mapping: str = ""
    times: str = ""
    shift: int = 0
    reader: str | None = None
    allow_nan: bool = False
    options: Mapping[str, object] | None = None

    @property
    def name(self) -> str:
        """What the source is called in messages."""
        return str(self.source) if isinstance(self.source, str | Path) else f"{self.source[0]} and others"

    def mark(self) -> str:
        """A text that is another one for other files, files that changed, or another way to read them."""
        how = [self.mapping, self.times, self.shift, self.reader, self.allow_nan, dict(self.options or {})]
        paths = [self.source] if isinstance(self.source, str | Path) else self.source
        files = [_facts(Path(path)) for path in paths]
        controls = [] if self.controls is None else _facts(self.controls)
        return f"{_digest(files)}:{_digest([how, controls])}"


@dataclass(frozen=True)
class Held:
    """What a store holds, as an ingest sees it.

    Parameters
    ----------
    marks : of its recordings. pairs : (session, source) that no new recording may have. mine : marks of the ingest's
        tasks: what they brought is no obstacle to go on with them.
    """

    marks: frozenset[str] = frozenset()
    pairs: frozenset[tuple[str, str]] = frozenset()
    mine: frozenset[str] = frozenset()

    def obstacle(self, ds: xr.Dataset) -> str:
        """Why a recording may not go into the store; "" if it may."""
        session, source = ds.attrs["session"], ds.attrs["source"]
        if (session, source) not in self.pairs:
            return ""
        return (
            f"{source}: session '{session}' is in the store already; choose a new --out, or give --session if it is "
            "another one"
        )


def marks_of(store: Store) -> list[str]:
    """The mark of each recording, "" where it was not ingested from a file."""
    return [attributes.get(MARK, "") for part in store.parts for attributes in part.attributes]


def held_by(store: Store, mine: frozenset[str]) -> Held:
    """What a store holds, for an ingest of the tasks marked `mine`."""
    marks = marks_of(store)
    facts = zip(marks, store.sessions(), store.sources(), strict=True)
    pairs = {(session, source) for mark, session, source in facts if mark.rpartition(":")[0] not in mine}
    return Held(frozenset(mark for mark in marks if mark), frozenset(pairs), mine)


@dataclass(frozen=True)
class Rejected:
    """A source, or one recording of it, that did not go into the store; `error` is the name of the error's class."""

    source: str
    reason: str
    error: str

    def exception(self) -> SciworldError:
        """The error again."""
        found: SciworldError = getattr(errors, self.error, RecordingError)(self.reason)
        return found


@dataclass(frozen=True)
class Arrived:
    """A recording that went into the store; `controls` holds nothing else, `changes` are those of its frames, `lag` its
    own."""

    source: str
    frames: int
    nbytes: int
    history: str
    doubts: tuple[str, ...]
    controls: xr.Dataset
    changes: Changes | None
    lag: Lag | None


@dataclass(frozen=True)
class Outcome:
    """What became of a source: names of its parts, its recordings, how many the store had already, what was refused."""

    parts: tuple[str, ...] = ()
    arrived: tuple[Arrived, ...] = ()
    already: int = 0
    rejected: tuple[Rejected, ...] = ()


def run_task(task: Task, mark: str, out: str, held: Held, ahead: bool) -> Outcome:
    """Read a source and append what the store does not hold yet. Raises StoreError if the store cannot be written.

    ahead : see `Store.append`. Whatever else goes wrong is a rejection: a bad source never stops the others.
    """
    try:
        opened = _opened(task)
    except Exception as error:  # also what no reader foresaw: the other sources go on
        return Outcome(rejected=(_rejection(task.name, error),))
    wanted, rejected, already = [], [], 0
    for index, ds in enumerate(opened):
        own = f"{mark}:{index}/{len(opened)}"
        if own in held.marks:
            already += 1
        elif why := held.obstacle(ds):
            rejected.append(Rejected(task.name, why, "RecordingError"))
        else:
            wanted.append(ds.assign_attrs({MARK: own}))
    unchanged = functools.partial(_require_same, task, mark)
    outcomes = [Outcome(already=already, rejected=tuple(rejected))]
    groups: dict[str, list[xr.Dataset]] = {}
    for ds in wanted:
        groups.setdefault(kind(ds), []).append(ds)
    for alike in groups.values():
        for attempt in range(ATTEMPTS):
            try:
                outcomes.append(_append(_store(out), alike, task, ahead, unchanged, held.mine))
                break
            except (StoreError, FileNotFoundError):
                # Another ingest, of nothing but bad sources, has removed the store that it made.
                if Store.exists(out) or attempt + 1 == ATTEMPTS:
                    raise
    return _joined(outcomes)


def _store(out: str) -> Store:
    """The store to append to: opened once a process, as long as it is the same one."""
    if not Store.exists(out):
        Store.create(out)
    facts = os.stat(os.path.join(out, "zarr.json"))
    return _open(out, (facts.st_dev, facts.st_ino))


@functools.lru_cache(1)
def _open(out: str, identity: tuple[int, int]) -> Store:
    return Store.open(out)


def _nothing() -> None:
    pass


def _require_same(task: Task, mark: str) -> None:
    """Raise RecordingError if files of the source changed since `mark` was made, as those do that are being written."""
    if task.mark() != mark:
        raise RecordingError(f"{task.name}: changed while it was read; give the same command again once it is complete")


def _opened(task: Task) -> list[xr.Dataset]:
    opened = open_recordings(task.source, task.reader, task.options)
    if task.controls is None:
        return [shifted(ds, task.shift) for ds in opened]
    if len(opened) != 1:
        raise SettingsError(f"{task.name}: holds {len(opened)} recordings; one CSV file cannot control them all")
    return [attach_controls(opened[0], task.controls, task.mapping, task.times, task.shift)]


def _append(
    store: Store,
    alike: list[xr.Dataset],
    task: Task,
    ahead: bool,
    unchanged: Callable[[], None],
    mine: frozenset[str],
) -> Outcome:
    """Recordings of one kind at once; where one of them is bad, or there already, each half by itself."""
    # Once for all that are committed together, by the last of them: it looks at every file of the source.
    checks = [_nothing] * (len(alike) - 1) + [unchanged]
    watches = [IngestWatch(ds, task.allow_nan, check) for ds, check in zip(alike, checks, strict=True)]
    try:
        parts = store.append(alike, watches, ahead, functools.partial(_admit, alike, mine))
    except StoreError:
        raise
    except Exception as error:
        if len(alike) > 1:
            half = len(alike) // 2
            halves = (alike[:half], alike[half:])
            return _joined([_append(store, some, task, ahead, unchanged, mine) for some in halves])
        if alike[0].attrs[MARK] in held_by(Store.open(store.path), mine).marks:  # another process was faster
            return Outcome(already=1)
        return Outcome(rejected=(_rejection(task.name, error),))
    return Outcome(tuple(parts), tuple(_arrived(task.name, ds, w) for ds, w in zip(alike, watches, strict=True)))


def _admit(alike: list[xr.Dataset], mine: frozenset[str], store: Store) -> None:
    """Raise RecordingError if another process brought one of the recordings, or its like, since the ingest began."""
    held = held_by(store, mine)
    for ds in alike:
        if ds.attrs[MARK] in held.marks:
            raise RecordingError(f"{ds.attrs['source']}: another process has put it into {store.path} meanwhile")
        if why := held.obstacle(ds):
            raise RecordingError(why)


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(
        parts=tuple(part for one in outcomes for part in one.parts),
        arrived=tuple(recording for one in outcomes for recording in one.arrived),
        already=sum(one.already for one in outcomes),
        rejected=tuple(rejection for one in outcomes for rejection in one.rejected),
    )


def _arrived(name: str, ds: xr.Dataset, watch: IngestWatch) -> Arrived:
    nbytes = sum(ds.variables[camera].nbytes for camera in map(str, ds.variables) if camera.startswith("frames"))
    controlled = "controls" in ds.variables
    controls, found = (ds[["controls"]].load(), doubts(ds)) if controlled else (xr.Dataset(), [])
    return Arrived(name, ds.sizes["time"], nbytes, watch.history, tuple(found), controls, watch.changes, watch.lag)


def _rejection(name: str, error: Exception) -> Rejected:
    reason = str(error) if isinstance(error, SciworldError) else f"{name}: {type(error).__name__}: {error}"
    return Rejected(name, reason, type(error).__name__)


def _facts(path: Path) -> list[Any]:
    """Where a file or folder is, and size and time of change of all that is in it."""
    files = [""]
    if os.path.isdir(path):
        files = sorted(
            os.path.join(folder, name)[len(str(path)) :] for folder, _, names in os.walk(path) for name in names
        )
    try:
        place = os.path.realpath(path)  # Path.resolve fails where a link leads to itself
    except (OSError, ValueError):  # a name that no file can have
        place = str(path)
    return [place, [(name, *_stat(f"{path}{name}")) for name in files]]


def _stat(path: str) -> tuple[int, int]:
    try:
        facts = os.stat(path)
    except (OSError, ValueError):  # a link into nowhere, or into itself
        return -1, -1
    return facts.st_size, facts.st_mtime_ns


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]
