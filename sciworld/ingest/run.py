"""Files become recordings in a store: the first step of a user."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sciworld import catalog, recording
from sciworld.config import MOST, flag, path_of, paths_of, require, whole
from sciworld.errors import CatalogError, ClusterError, SciworldError, SettingsError, StoreError
from sciworld.files import lock, replace_file
from sciworld.ingest.lag import Lag, lag_of
from sciworld.ingest.open import require_reading
from sciworld.ingest.outcomes import Job, explained, looked_up
from sciworld.ingest.task import Arrived, Held, Outcome, Rejected, Source, Task, held_by, run_task
from sciworld.store import Store

Progress = Callable[[int, int], None]
AHEAD = 3  # sources that a worker has waiting
SECONDS_TO_CONNECT = 30  # to the first worker


@dataclass(frozen=True)
class Summary:
    """What `ingest` did.

    Parameters
    ----------
    store : where the recordings are.
    parts : names of the parts that were appended.
    recordings, frames, nbytes : how many, and bytes of the frames as they were recorded.
    already : recordings that the store held from the same files, read in the same way.
    rejected : what did not go into the store, and why; `quarantine` is the file beside the store that lists it.
    lag : the measured lag; None without controls.
    figure : the page that shows the lag; None without controls, or if it could not be written.
    histories : what was stated, chosen and contradicted, one text a recording.
    warnings : what the user must look at.
    """

    store: Path
    parts: tuple[str, ...]
    recordings: int
    frames: int
    nbytes: int
    already: int
    rejected: tuple[Rejected, ...]
    quarantine: Path | None
    lag: Lag | None
    figure: Path | None
    histories: tuple[str, ...]
    warnings: tuple[str, ...]


def ingest(
    sources: Source | Sequence[Source],
    out: str | Path,
    *,
    controls: str | Path | Sequence[str | Path] = (),
    mapping: str = "",
    times: str = "",
    shift: int = 0,
    together: bool = False,
    reader: str | None = None,
    allow_nan: bool = False,
    options: Mapping[str, object] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Read files, attach their controls, measure quality and lag, and append each source to the store at `out`.

    sources : a file, or several; a folder, or a list within the list, is one movie, and `together` all are one.
    controls : one CSV or Parquet file for each source. mapping, times, shift : see `attach_controls`. reader, options :
    see `open_recordings`. `allow_nan` keeps frames with pixels that are not finite, which are refused otherwise.
    workers : processes on this machine; without them this process reads while a thread of it compresses. scheduler :
    address of a Dask cluster, whose workers see the same paths. progress : called with sources done, and all.

    Positions count from the centre of the first pixel, x along columns and y down the rows, unless the file states an
    origin; beams outside the frame are a warning. The lag's picture is written beside the store, as NAME-lag.html
    with plotly's script in plotly.min.js; if it cannot be written, that is a warning.

    Each source is a part of its own, there whole or not at all. What the store holds already, of the same files read
    in the same way, is not read again: give the same call again after an interrupt. A session and source that the store
    holds from other files, or read in another way, is refused. Bad sources are listed beside the store, in
    NAME-quarantine.json, and never stop the others. Raises FormatError, ControlError or RecordingError if no source
    could be used, SettingsError or StoreError.
    """
    several, tables = _sources(sources, flag(together, "together")), paths_of(controls, "controls")
    shift, workers = whole(shift, "shift", -MOST), None if workers is None else whole(workers, "workers", 1)
    require_reading(reader, options)
    _require_texts(mapping=mapping, times=times, scheduler="" if scheduler is None else scheduler)
    require(progress is None or callable(progress), f"progress is {progress!r:.80}; give a function of two numbers")
    _require_pairs(several, tables, mapping or times)
    allow = flag(allow_nan, "allow_nan")
    tasks = [
        Task(source, tables[index] if tables else None, mapping, times, shift, reader, allow, options)
        for index, source in enumerate(several)
    ]
    store = path_of(out, "out")
    _require_apart(store, tasks)
    outcomes, repeated = _run_all(tasks, store, workers, scheduler, progress)
    rejected = tuple(one for outcome in outcomes for one in outcome.rejected)
    arrived = [one for outcome in outcomes for one in outcome.arrived]
    already = sum(outcome.already for outcome in outcomes)
    quarantine = _quarantine(store, rejected, {one.name for one in tasks})
    if rejected and not arrived and not already:
        raise _none_used(rejected, quarantine)
    warnings = [*repeated, *(doubt for one in arrived for doubt in one.doubts)]
    lag = _lag(arrived, warnings)
    return Summary(
        store=store,
        parts=tuple(part for outcome in outcomes for part in outcome.parts),
        recordings=len(arrived),
        frames=sum(one.frames for one in arrived),
        nbytes=sum(one.nbytes for one in arrived),
        already=already,
        rejected=rejected,
        quarantine=quarantine,
        lag=lag,
        figure=None if lag is None else _picture(lag, store, warnings),
        histories=tuple(one.history for one in arrived),
        warnings=tuple(warnings),
    )


def ingest_entry(name: str, out: str | Path, allow_nan: bool = False) -> Summary:
    """Fetch a data set of the catalogue and ingest its frames, under its licence and citation.

    Raises CatalogError, also for a generated data set, which is a store already; and what `ingest` raises.
    """
    allow_nan, entry = flag(allow_nan, "allow_nan"), catalog.get(name)
    paths = catalog.fetch(name)
    if isinstance(paths, Path):
        raise CatalogError(f"'{name}' is a store already, at {paths}; use it as it is")
    options = {"licence": entry.licence, "citation": entry.citation}
    if entry.together:
        options["session"] = entry.name
    return ingest(
        catalog.sources(entry, paths), out, reader=entry.reader, allow_nan=allow_nan or entry.allow_nan, options=options
    )


def _none_used(rejected: Sequence[Rejected], quarantine: Path | None) -> SciworldError:
    """The first error, and where the others are listed."""
    first = rejected[0]
    if len(rejected) == 1:
        return first.exception()
    listed = f", all listed in {quarantine}" if quarantine else ""
    return replace(first, reason=f"{first.reason} (and {len(rejected) - 1} more{listed})").exception()


def _sources(given: Any, together: bool) -> list[Any]:
    """The sources, each a path or the paths of a movie. Raises SettingsError."""
    if together:
        paths = paths_of(given, "sources, which are together,")
        return [paths] if paths else []
    listed = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping | os.PathLike)
    several = []
    for one in given if listed else [given]:
        paths = paths_of(one, "sources")
        require(bool(paths), "sources: an empty list within the list; name the files of that movie")
        several.append(one if isinstance(one, str) else paths[0] if isinstance(one, os.PathLike) else paths)
    return several


def _require_texts(**texts: Any) -> None:
    for name, text in texts.items():
        require(isinstance(text, str), f"{name}: {text!r:.80} is no text; use text, or leave it out")


def _require_pairs(several: list[Any], tables: list[Path], mapping: str) -> None:
    """Raise SettingsError unless there are sources, and a CSV file for each or none at all."""
    if not several:
        raise SettingsError("ingest: no sources; name at least one file")
    if tables and (len(tables) != len(several) or not mapping):
        raise SettingsError(
            f"ingest: {len(several)} sources, {len(tables)} tables, map '{mapping}'; give one CSV or Parquet file for "
            "each source (--controls a.csv --controls b.csv), and a map such as 'x=beam_x:A,y=beam_y:A,dwell=t:s'"
        )
    if not tables and mapping:
        raise SettingsError("ingest: a map or times without controls; name the CSV or Parquet file with the controls")


def _require_apart(out: Path, tasks: list[Task]) -> None:
    """Raise SettingsError if the store would lie in a source, or is none that can be."""
    Store.exists(out)
    if "\0" in str(out):
        raise SettingsError(f"out: {str(out)!r} has a character that no path can have; mend it")
    here = os.path.realpath(out)
    for task in tasks:
        source = task.source if isinstance(task.source, str | Path) else ""
        if source and os.path.isdir(source) and f"{here}/".startswith(f"{os.path.realpath(source)}/"):
            raise SettingsError(f"{out}: lies in the source {source}; choose a path outside of it")


def _run_all(
    tasks: list[Task], out: Path, workers: int | None, scheduler: str | None, progress: Progress | None
) -> tuple[list[Outcome], list[str]]:
    """The outcome of each task, and a warning of each that was named twice."""
    marks = [task.mark() for task in tasks]
    first: dict[str, int] = {}
    for index, mark in enumerate(marks):
        first.setdefault(mark, index)
    repeated = [
        f"{task.name}: is named twice, and counts once"
        for index, (task, mark) in enumerate(zip(tasks, marks, strict=True))
        if first[mark] != index
    ]
    held = _held(out, set(marks))
    jobs: list[Job] = [(tasks[index], mark, str(out)) for mark, index in first.items()]
    new = not Store.exists(out)
    done: list[tuple[Job, Outcome]] = []
    try:
        for job, outcome in _outcomes(jobs, held, workers, scheduler):
            done.append((job, outcome))
            if progress is not None:
                progress(len(done), len(jobs))
    finally:
        if new:
            _drop_if_empty(out)
    return explained(done, out), repeated


def _outcomes(jobs: list[Job], held: Held, workers: int | None, scheduler: str | None) -> Iterator[tuple[Job, Outcome]]:
    """What became of each job, as it is done."""
    if workers is None and scheduler is None:
        yield from ((job, run_task(*job, held, True)) for job in jobs)
        return
    if workers is not None and scheduler is not None:
        raise SettingsError("workers and scheduler: a cluster has its own workers; give one of the two")
    from distributed import as_completed  # slow to import

    from sciworld.cluster.connect import connected

    waiting, sent = iter(jobs), dict[Any, Job]()
    with connected(scheduler, workers or 1) as client:
        ended = as_completed(loop=client.loop)
        known = _sent(client, held)

        def send() -> None:
            for job in itertools.islice(waiting, 1):
                future = client.submit(run_task, *job, known, False, pure=False)
                sent[future.key] = job
                ended.add(future)

        for _ in range(AHEAD * max(1, len(client.nthreads()))):
            send()
        for future in ended:
            send()
            job, lost = sent.pop(future.key), None
            try:
                outcome = future.result()
            except StoreError:
                raise
            except Exception as error:  # its worker was killed again and again
                outcome, lost = Outcome(), error
            if lost or (outcome.already and _was_sent_again(client, future.key)):
                outcome = looked_up(job, held, outcome, lost)
            yield job, outcome


def _was_sent_again(client: Any, key: Any) -> bool:
    """Whether a worker ended that had begun with a task, or had done it."""
    ends = [event for _, event in client.get_events("all") if event["action"] == "remove-worker"]
    return any(key in event["processing-tasks"] or key in event["lost-computed-tasks"] for event in ends)


def _sent(client: Any, held: Held) -> Any:
    """What the store holds, sent once a worker: a large one holds many marks. Raises ClusterError.

    The result of a task, which is run again when the worker dies that held it; what is scattered would be lost.
    """
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
        return client.submit(_same, held, pure=False)
    except (OSError, RuntimeError) as error:  # also TimeoutError
        raise ClusterError(f"no worker of the cluster answers ({error}); start some, or use workers") from error


def _same(held: Held) -> Held:
    return held


def _held(out: Path, mine: set[str]) -> Held:
    return held_by(Store.open(out), frozenset(mine)) if Store.exists(out) else Held(mine=frozenset(mine))


def _drop_if_empty(out: Path) -> None:
    """Remove a store that was made for nothing, unless somebody is writing into it."""
    with contextlib.suppress(OSError), lock(out) as alone:
        if alone and os.listdir(out) == ["zarr.json"]:
            (out / "zarr.json").unlink()
            out.rmdir()


def _quarantine(out: Path, rejected: Sequence[Rejected], tried: set[str]) -> Path | None:
    """Bring the list of bad sources beside the store up to date; its path, None if it would be empty."""
    path = out.resolve().parent / f"{out.resolve().name}-quarantine.json"
    rows: list[dict[str, str]] = []
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        rows = [row for row in json.loads(path.read_text()) if row["source"] not in tried]
    rows += [{"source": one.source, "reason": one.reason} for one in rejected]
    try:
        if not rows and not path.exists():
            return None
        replace_file(path, (json.dumps(rows, indent=1) + "\n").encode())
    except OSError:  # what was ingested is in the store all the same, and the reasons are in the summary
        return None
    return path if rows else None


def _lag(arrived: Sequence[Arrived], warnings: list[str]) -> Lag | None:
    """The lag over all recordings with the same controls, of which there are most."""
    found = [(recording.control_table(one.controls).names, one) for one in arrived if one.changes is not None]
    if not found:
        return None
    kinds = Counter(names for names, _ in found)
    most = kinds.most_common(1)[0][0]
    if len(kinds) > 1:
        warnings.append(f"recordings have {len(kinds)} kinds of controls; the lag is of those with {', '.join(most)}")
    alike = [one for names, one in found if names == most]
    lag = alike[0].lag if len(alike) == 1 else lag_of([(one.controls, one.changes) for one in alike if one.changes])
    warnings += lag.warnings() if lag else ()
    return lag


def _picture(lag: Lag, store: Path, warnings: list[str]) -> Path | None:
    """Write the picture of the lag beside the store. The recordings are in the store by now: no failure undoes that."""
    store = store.resolve()
    path = store.parent / f"{store.name}-lag.html"
    try:
        lag.write(path)
    except OSError as error:
        warnings.append(f"{path}: the picture of the lag cannot be written ({error}); the store is complete")
        return None
    return path
