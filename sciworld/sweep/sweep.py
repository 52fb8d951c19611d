"""Run a function over a space of parameters on Dask: `sweep`; read what a sweep wrote: `load`."""

from __future__ import annotations

import itertools
import logging
import queue
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from distributed import Client, Future
from distributed.scheduler import KilledWorker

from sciworld.cluster.connect import connected, cores
from sciworld.config import LARGEST, require, whole
from sciworld.errors import StoreError
from sciworld.sweep.cell import BEGINNINGS, Job, name_of, pickled, run_cell, source_of, takes_seed
from sciworld.sweep.progress import Count, shown
from sciworld.sweep.rows import DONE, FAILED, MISSING
from sciworld.sweep.space import Cell, Grid, Space, Value
from sciworld.sweep.table import Record, Table

LOG = logging.getLogger(__name__)
IN_FLIGHT = 256  # cells that the scheduler knows of at a time, or four a thread
DEATHS = 1000  # of Dask's own count, too many to matter: whose fault a death was is counted cell by cell
SENDINGS = 20  # of a cell that Dask gave up, though it never began, before it counts as failed


def sweep(
    function: Callable[..., Any],
    space: Space | Mapping[str, Sequence[Value]],
    *,
    out: str | Path,
    client: Client | str | None = None,
    workers: int | None = None,
    threads: int = 1,
    seed: int = 0,
    resources: Mapping[str, float] | None = None,
    retry_failed: bool = False,
    progress: bool = True,
) -> xr.Dataset:
    """Call `function` once for every cell of `space`, and keep each result at once in the Zarr table `out`.

    A sweep that was stopped, however it was, goes on where it ended when it is called again: what has a row is not run
    again. A grid may then have more values, random samples a larger n. An exception is a row with its traceback; a
    warning says how many there are.

    Parameters
    ----------
    function : of the space's parameters, by name; returns a number, or a dict of numbers and arrays of fixed shape. If
        it has a parameter `seed` that the space has not, it gets the cell's own.
    space : Grid, Samples, or a dict of lists, which is a grid.
    out : a folder, which all workers see.
    client : of Dask, or the address of a scheduler; otherwise processes of this machine.
    workers : how many processes, each running one cell at a time; one a core. threads : for each.
    seed : of the seeds that cells get.
    resources : what a cell needs of a worker, such as {"GPU": 1}; each process begun here has as much.
    retry_failed : run failed cells again. progress : show it, on a terminal or in a notebook.

    Returns the table as `load` does. Raises SettingsError for a function that cannot be called so or sent, or if `out`
    holds another sweep; StoreError if it is in use, damaged, or cannot be written, or the scheduler was lost.
    """
    space = Grid(space) if isinstance(space, Mapping) else space
    _check(space, client, workers)
    seed, threads = whole(seed, "seed", 0, LARGEST), whole(threads, "threads", 1)
    workers = None if workers is None else whole(workers, "workers", 1)
    seeded = takes_seed(function, space)
    content = pickled(function)
    record = Record(name_of(function), seed, seeded, space, source_of(function))
    with Table.held(Path(out).resolve(), record) as table:
        cells = table.unfinished(retry_failed)
        total = len(table.cells())
        if cells:
            job = Job(table.rows, content, seeded)
            most = min(workers or cores(threads), len(cells))
            with (
                connected(client, most, threads, resources, DEATHS) as workforce,
                shown(count := Count(total, total - len(cells)), progress) as show,
            ):
                _run(workforce, job, cells, resources, count, show)
        ds = table.dataset(space)
    _warn_of_failures(ds)
    return ds


def load(out: str | Path) -> xr.Dataset:
    """What the sweep in the folder `out` has so far, in memory: see `Table.dataset`. Raises StoreError."""
    return Table(Path(out).resolve()).dataset()


def _warn_of_failures(ds: xr.Dataset) -> None:
    """Say in one line how many cells failed, how one did, and what runs them again."""
    failed = ds["traceback"].values[ds["status"].values == FAILED].tolist()
    if failed:
        last = failed[0].strip().splitlines()[-1]
        text = "%d of %d cells failed, such as by %.200s; sweep again with retry_failed to run them again"
        LOG.warning(text, len(failed), ds["status"].size, last)


def _run(
    client: Client,
    job: Job,
    cells: Sequence[Cell],
    resources: Mapping[str, float] | None,
    count: Count,
    show: Callable[[], None],
) -> None:
    """Run cells, a future each; so many at a time that the scheduler has work and no burden."""
    name = f"sweep-{uuid.uuid4().hex}"
    number = itertools.count()
    ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
    flying: dict[Future, tuple[Cell, int]] = {}

    def send(cell: Cell, sending: int = 1) -> None:
        future = client.submit(
            run_cell, job, cell, key=(name, next(number)), pure=False, resources=dict(resources) if resources else None
        )
        flying[future] = cell, sending
        future.add_done_callback(ended.put)

    waiting: Iterator[Cell] = iter(cells)
    try:
        for cell in itertools.islice(waiting, max(IN_FLIGHT, 4 * sum(client.nthreads().values()))):
            send(cell)
        while flying:
            future = _next(ended, show)
            cell, sending = flying.pop(future)
            status = _ended(future, job, cell, sending)
            if status == MISSING:
                send(cell, sending + 1)
                continue
            count.finished += status == DONE
            count.failed += status == FAILED
            show()
            for following in itertools.islice(waiting, 1):
                send(following)
    finally:  # an interrupt, or an error: what has not begun shall not
        if flying:
            client.cancel(list(flying), force=True)


def _next(ended: queue.SimpleQueue[Future], show: Callable[[], None]) -> Future:
    """The next future that ended."""
    while True:
        try:
            return ended.get(timeout=1.0)
        except queue.Empty:
            show()


def _ended(future: Future, job: Job, cell: Cell, sending: int) -> int:
    """How a cell ended: DONE or FAILED, or MISSING if it is to be sent again. Raises StoreError."""
    state = future.status
    if state == "finished":
        # The row says it without asking the worker; a network's file system may be slow to show it.
        status: int = job.rows.status(cell) or future.result().status
        return status
    if state == "cancelled":
        raise StoreError(f"{job.rows.folder}: the scheduler was lost; sweep again, finished cells are kept")
    if state != "error":  # its worker died after it had reported
        return MISSING
    error = future.exception()
    if isinstance(error, StoreError):
        raise error
    if not isinstance(error, KilledWorker):
        raise StoreError(f"{job.rows.folder}: a worker cannot run cells ({type(error).__name__}: {error})") from error
    # Dask blames all cells that a dead worker was to run; the rows know which one it had begun.
    if job.rows.begun(cell) < BEGINNINGS and sending < SENDINGS:
        return MISSING
    job.rows.fail(cell, f"its workers died: {error}", float("nan"))
    return FAILED


def _check(space: Space, client: Client | str | None, workers: int | None) -> None:
    require(isinstance(space, Space), f"space is {space!r:.40}; give a Grid, Samples, or a dict of lists")
    if client is not None:
        require(isinstance(client, Client | str), f"client is {client!r:.40}; give a Dask client or an address")
        require(workers is None, "workers are begun on this machine only; leave them out where a client is given")
        require(isinstance(client, str) or not client.asynchronous, "the client is asynchronous; give one that is not")
