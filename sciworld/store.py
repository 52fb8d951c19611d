"""A Store: many recordings, in immutable parts, in one Zarr v3 group.

A part is written in a folder beside the store and renamed into it: it exists whole or not at all. Writers lock the
store's folder together and never wait for each other; whoever finds no other writer removes what a killed one left.
`xarray.open_zarr(path, group=part, consolidated=False)` reads a part without this library.
"""

from __future__ import annotations

import contextlib
import errno
import html
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from sciworld import parts as parts_
from sciworld import recording as recording_
from sciworld.config import path_of
from sciworld.errors import RecordingError, SettingsError, StoreError
from sciworld.files import lock, sync_folder
from sciworld.parts import PART, Part
from sciworld.selection import Query, Selection, chosen, facts_of, facts_table, split_sessions
from sciworld.stored import ENGINES, SCHEMA, read_node
from sciworld.writing import Watch

LOOKS = 20  # at a store whose parts others merge meanwhile


class Store:
    """Recordings by index, in the order of their parts; `store[i]` is what was appended, bit by bit.

    An open store sees the parts that were there when it was opened, and those that it appended itself.

    Parameters
    ----------
    path : the folder of an existing store.
    engine : "tensorstore", or "zarr" to read with zarr-python.

    Raises StoreError.
    """

    def __init__(self, path: str | os.PathLike[str], engine: str = "tensorstore") -> None:
        if not (isinstance(engine, str) and engine in ENGINES):
            raise SettingsError(f"engine is {engine!r}; use one of {', '.join(ENGINES)}")
        self.path, self._engine = path_of(path, "path"), engine
        if not self.exists(path):
            raise StoreError(f"{self.path}: not a store; create one with Store.create, or mend the path")
        if "sciworld_schema" not in read_node(self.path)["attributes"]:
            raise StoreError(f"{self.path}: a Zarr group of something else; create a store at another path")
        self._parts: dict[str, Part] = {}
        self._load()

    @classmethod
    def open(cls, path: str | os.PathLike[str], engine: str = "tensorstore") -> Store:
        """Open an existing store."""
        return cls(path, engine)

    @classmethod
    def create(cls, path: str | os.PathLike[str], engine: str = "tensorstore") -> Store:
        """Open the store at `path`, made empty if there is none. Raises StoreError if something else is there."""
        path = Path(path)
        if not cls.exists(path):
            with _as_store_error(path):
                holds = path.is_file() or (path.is_dir() and any(path.iterdir()))
                if holds and cls.exists(path):  # another process made it just now
                    return cls(path, engine)
                if holds:
                    raise StoreError(f"{path}: holds something that is not a store; choose another path")
                path.mkdir(parents=True, exist_ok=True)
                with _stage(path) as stage:
                    parts_.write_group(stage, {"sciworld_schema": SCHEMA})
                    os.replace(stage / "zarr.json", path / "zarr.json")
        return cls(path, engine)

    @staticmethod
    def exists(path: str | os.PathLike[str]) -> bool:
        """Whether there is a store at `path`. Raises StoreError if nothing can be there."""
        try:
            return (Path(path) / "zarr.json").is_file()
        except OSError as error:
            raise StoreError(f"{path}: not a path for a store ({error}); choose another one") from error

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts in order."""
        return tuple(self._parts.values())

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> xr.Dataset:
        part, local = self.locate(index)
        return part.read(local)

    def __iter__(self) -> Iterator[xr.Dataset]:
        return (part.read(index) for part in self.parts for index in range(len(part)))

    def lazily(self, index: int) -> xr.Dataset:
        """`store[index]`, of which only the frames are not read until they are used; in any process."""
        part, local = self.locate(index)
        return part.read(local, lazily=True)

    def locate(self, index: int) -> tuple[Part, int]:
        """The part that holds the recording `index`, and where in it."""
        ends = np.cumsum([len(part) for part in self.parts], dtype=np.int64)
        total = len(self)
        if not -total <= index < total:
            raise IndexError(f"{self.path}: recording {index} of {total}")
        index %= total
        place = int(np.searchsorted(ends, index, side="right"))
        part = self.parts[place]
        return part, int(index - (ends[place] - len(part)))

    def append(
        self,
        recordings: Iterable[xr.Dataset],
        watches: Sequence[Watch] = (),
        ahead: bool = True,
        admit: Callable[[Store], None] | None = None,
    ) -> list[str]:
        """Check and write recordings; the names of the new parts.

        watches : one a recording, each shown its frames as they are read; or none. ahead : whether frames are read
        while those before are compressed, by another thread. admit : given the store as it is just before a part is
        committed, while nobody else commits; it raises RecordingError if the part is not to be.

        Recordings of one kind (shapes, dtypes, column tables) make one part, so a mixed list is regrouped. Each part
        is committed whole. Raises RecordingError before anything is written, StoreError if it cannot be written; what
        the store held is untouched by either.
        """
        recordings = list(recordings)
        groups: dict[str, list[int]] = {}
        for index, recording in enumerate(recordings):
            recording_.check(recording, f"recording {index}")
            taken = {*parts_.RESERVED, "recording"} & {*map(str, recording.variables), *map(str, recording.dims)}
            if taken:
                raise RecordingError(f"recording {index}: '{min(taken)}' is a name that stores use; rename it")
            odd = [name for name in recording.variables if not parts_.is_name(name)]
            if odd:
                raise RecordingError(f"recording {index}: {odd[0]!r} cannot name a folder of the store; rename it")
            groups.setdefault(parts_.kind(recording), []).append(index)
        names = []
        for group in groups.values():
            new = [recordings[index] for index in group]
            with _as_store_error(self.path), _stage(self.path) as stage:
                mine = [watches[index] for index in group] if watches else ()
                parts_.write_recordings(stage, new, mine, ahead)
                _sync(stage)
                with lock(stage.parent, wait=True):  # from the look at what is there to the move
                    names.append(self._commit(stage, partial(self._next_name, admit)))
        self._load()
        return names

    def compact(self, max_bytes: int = 4 << 30) -> list[str]:
        """Merge neighbouring parts of one kind into parts of at most so many bytes; the names of the new parts.

        Recordings keep their indices. The old parts are dropped after the new one exists; stores that were opened
        before must be opened anew.
        """
        names = []
        with lock(self.path / "zarr.json", wait=True):
            self._load()
            for run in _runs(self.parts, max_bytes):
                arrays, attributes = parts_.join_parts(run)
                known = [name for part in run for name in (part.name, *part.replaces)]
                replaces = [name for name in known if (self.path / name).is_dir()]
                number, generation = parts_.number(run[0].name)
                target = f"part-{number:08d}-{generation + 1}"
                with _as_store_error(self.path), _stage(self.path) as stage:
                    parts_.write(stage, arrays, attributes, replaces)
                    _sync(stage)
                    names.append(self._commit(stage, lambda name=target: name))  # type: ignore[misc]
                for name in replaces:
                    shutil.rmtree(self.path / name, ignore_errors=True)
            self._load()
        return names

    def check(self) -> None:
        """Read every shard against its checksums. Raises StoreError naming the damaged files."""
        wrong = []
        for part in self.parts:
            part = Part(part.folder, self._engine)  # anew: what is on the disk now is what is checked
            for name in part.names:
                try:
                    wrong += part.array(name).verify()
                except StoreError as error:
                    wrong.append(str(error))
        if wrong:
            raise StoreError("\n".join(wrong))

    def sessions(self) -> list[str]:
        """The session of each recording."""
        return [attributes["session"] for part in self.parts for attributes in part.attributes]

    def sources(self) -> list[str]:
        """Where each recording came from."""
        return [attributes["source"] for part in self.parts for attributes in part.attributes]

    def split(self, fractions: Sequence[float], seed: int) -> list[Selection]:
        """A selection for each fraction of the sessions; no session is in two of them.

        Raises SettingsError if the fractions are not positive with a sum of at most 1, StoreError if there are fewer
        sessions than fractions.
        """
        found = split_sessions(self.sessions(), fractions, seed, self.path)
        return [Selection(self, numbers) for numbers in found]

    def facts(self) -> xr.Dataset:
        """What is known of each recording, along `recording`: its covariates, session, frames; see `selection`."""
        return facts_table(facts_of(self.parts))

    def select(self, query: Query) -> Selection:
        """A view of the recordings that answer to `query`, such as "frames >= 100 and session != 'run7'".

        query : an expression over their facts, as `selection` says, or a function of a recording's facts. Raises
        SettingsError.
        """
        return Selection(self, np.flatnonzero(chosen(facts_of(self.parts), query)))

    def __repr__(self) -> str:
        frames = sum(int(part.offsets()[-1]) for part in self.parts)
        return f"Store({str(self.path)!r}): {len(self)} recordings, {frames} frames, {len(self.parts)} parts"

    def _repr_html_(self) -> str:
        rows = []
        for part in self.parts:
            frames = part.array("frames")
            shape = " x ".join(f"{dim} {size}" for dim, size in zip(frames.dims[1:], frames.shape[1:], strict=True))
            cells = (part.name, len(part), frames.shape[0], shape, frames.dtype.name, f"{part.nbytes / 1e6:.1f}")
            rows.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>")
        titles = ("part", "recordings", "frames", "frame", "dtype", "MB on disk")
        head = "".join(f"<th>{title}</th>" for title in titles)
        return f"<p>{html.escape(repr(self))}</p><table><tr>{head}</tr>{''.join(rows)}</table>"

    def _load(self) -> None:
        """Look which parts there are; look again if another process merged some meanwhile."""
        for look in range(LOOKS):
            names = self._on_disk()
            try:
                self._parts = self._look(names)
                return
            except StoreError:
                if look + 1 == LOOKS or self._on_disk() == names:
                    raise

    def _look(self, names: Sequence[str]) -> dict[str, Part]:
        """The parts among the folders. One that another was merged from is none any more, and may be half removed."""
        found, faults = {}, {}
        for name in names:
            try:
                found[name] = self._parts.get(name) or Part(self.path / name, self._engine)
            except StoreError as error:
                faults[name] = error
        replaced = {name for part in found.values() for name in part.replaces}
        for name, fault in faults.items():
            if name not in replaced:
                raise fault
        live = {name: part for name, part in found.items() if name not in replaced}
        for part in live.values():
            part.array("time")  # its rows are those of the recordings
        return live

    def _on_disk(self) -> list[str]:
        with os.scandir(self.path) as entries:
            names = [entry.name for entry in entries if PART.fullmatch(entry.name) and entry.is_dir()]
        return sorted(names, key=parts_.number)

    def _next_name(self, admit: Callable[[Store], None] | None) -> str:
        """A name after all that are or were there; `admit` : see append."""
        self._load()
        if admit is not None:
            admit(self)
        known = [*self._on_disk(), *(name for part in self.parts for name in part.replaces)]
        return f"part-{max((parts_.number(name)[0] for name in known), default=-1) + 1:08d}"

    def _commit(self, stage: Path, name: Callable[[], str]) -> str:
        """Rename the finished stage to a free name; another writer may take it between the look and the move."""
        while True:
            chosen = name()
            try:
                os.rename(stage, self.path / chosen)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or chosen == name():
                    raise
            else:
                sync_folder(self.path)
                return chosen


def _sync(stage: Path) -> None:
    """Wait until the names of all that is in it are on the disk."""
    for folder, _, _ in os.walk(stage):
        sync_folder(Path(folder))


def _runs(parts: Sequence[Part], max_bytes: int) -> list[list[Part]]:
    """Neighbouring parts of one kind, together at most so many bytes, two or more at a time."""
    runs: list[list[Part]] = []
    for part in parts:
        last = runs[-1] if runs else []
        if last and last[0].kind == part.kind and sum(p.nbytes for p in last) + part.nbytes <= max_bytes:
            last.append(part)
        else:
            runs.append([part])
    return [run for run in runs if len(run) > 1]


@contextlib.contextmanager
def _as_store_error(path: Path) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error}); free some space or mend the permissions, then append again. "
            "What it held is untouched"
        ) from error


@contextlib.contextmanager
def _stage(path: Path) -> Iterator[Path]:
    """An empty folder beside the store, on its file system, in which to write; gone afterwards.

    A writer holds the store's folder locked in common with others. Whoever gets it alone knows that nobody writes,
    and that what stands in the staging folder was left by the killed.
    """
    staging = path.absolute().with_name(f".{path.absolute().name}.staging")
    with contextlib.suppress(BlockingIOError), lock(path) as alone:
        if alone:  # without locks what a killed writer left is kept, unseen
            shutil.rmtree(staging, ignore_errors=True)
    with lock(path, wait=True, shared=True):
        stage = _make_stage(staging)
        try:
            yield stage
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            with contextlib.suppress(OSError):  # another writer's stage is in it
                staging.rmdir()


def _make_stage(staging: Path) -> Path:
    while True:
        staging.mkdir(exist_ok=True)
        try:
            stage = Path(tempfile.mkdtemp(dir=staging))
        except FileNotFoundError:  # another writer ended just now, and removed the empty folder
            continue
        stage.chmod(0o755)
        return stage
