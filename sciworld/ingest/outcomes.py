"""What became of a source, where only the store tells: a worker ended, or what the store holds is in the way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import xarray as xr

from sciworld import recording
from sciworld.ingest.controls import doubts
from sciworld.ingest.task import Arrived, Held, Outcome, Rejected, Task, marks_of
from sciworld.parts import Part
from sciworld.store import Store

Job = tuple[Task, str, str]  # a source, its mark, and the store


def looked_up(job: Job, held: Held, told: Outcome, lost: Exception | None) -> Outcome:
    """The outcome of a source whose worker ended: what that one put into the store is there, though it told nobody.

    told : by the worker that was given the source after it; `lost` if there was none.
    """
    task, mark, out = job
    store = Store.open(out) if Store.exists(out) else None
    mine = {own: n for n, own in enumerate(marks_of(store) if store else ()) if own.rpartition(":")[0] == mark}
    parts, arrived = list(told.parts), list(told.arrived)
    for own, number in mine.items():
        part = store.locate(number)[0].name if store else ""
        if store and own not in held.marks and part not in told.parts:
            arrived.append(_stored(task.name, store.lazily(number)))
            parts += [part] * (part not in parts)
    rejected, count = told.rejected, max((int(own.rpartition("/")[2]) for own in mine), default=1)
    if lost and len(mine) < count:
        there = f"; {len(mine)} of its {count} recordings are in the store" if mine else ""
        why = f"{task.name}: its worker ended: {lost}{there}; give the same command again"
        rejected = (*rejected, Rejected(task.name, why, "RecordingError"))
    return Outcome(tuple(parts), tuple(arrived), len(held.marks & mine.keys()), rejected)


def _stored(name: str, ds: xr.Dataset) -> Arrived:
    """What arrived, from the store: its lag is known there, but the changes of its frames are lost."""
    nbytes = sum(ds.variables[camera].nbytes for camera in recording.cameras(ds))
    if "controls" not in ds.variables:
        return Arrived(name, ds.sizes["time"], nbytes, ds.attrs["history"], (), xr.Dataset(), None, None)
    note = f"{name}: its worker ended once it was stored; its lag is in its history, and not in that of all"
    found = (*doubts(ds), note)
    return Arrived(name, ds.sizes["time"], nbytes, ds.attrs["history"], found, ds[["controls"]].load(), None, None)


def explained(done: Sequence[tuple[Job, Outcome]], out: Path) -> list[Outcome]:
    """The outcomes; a rejection says so if the store has the source with controls that were edited since."""
    odd = any(task.controls and outcome.rejected for (task, _, _), outcome in done)
    store = Store.open(out) if odd and Store.exists(out) else None
    there: dict[str, list[int]] = {}
    for number, own in enumerate(marks_of(store) if store else ()):
        there.setdefault(own.partition(":")[0], []).append(number)
    found = []
    for (task, mark, _), outcome in done:
        rejected = outcome.rejected
        for number in there.get(mark.partition(":")[0], ()) if store and rejected else ():
            rejected = tuple(_of_edited(one, task, *store.locate(number)) for one in rejected)  # type: ignore[union-attr]
        found.append(replace(outcome, rejected=rejected))
    return found


def _of_edited(one: Rejected, task: Task, part: Part, local: int) -> Rejected:
    """The rejection, which says so if it is of a recording in the store whose table was edited since."""
    facts = part.attributes[local]
    there = f"{facts['source']}: session '{facts['session']}' is in the store"
    if task.controls is None or not one.reason.startswith(there):
        return one
    if f" from {task.controls.name}" not in facts["history"]:  # it is another table
        return one
    if os.path.getmtime(task.controls) <= os.path.getmtime(part.folder / "zarr.json"):
        return one
    why = f"{task.controls}: changed since {task.name} went into {part.folder.parent}, which keeps the controls of then"
    return replace(one, reason=f"{why}; choose a new --out, or bring the file back as it was")
