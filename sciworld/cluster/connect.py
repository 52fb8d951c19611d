"""Dask workers: processes of this machine with capped threads, or those of a scheduler that runs elsewhere."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
from distributed import Client, LocalCluster

from sciworld.errors import ClusterError, SettingsError

# Numba's own pool crashes when two threads enter it; the others do not.
LAYER = {"NUMBA_THREADING_LAYER": "threadsafe"}
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
SECONDS_TO_CONNECT = 30
GUARD = "`if __name__ == '__main__':`"


@contextlib.contextmanager
def connected(
    client: Client | str | None,
    workers: int,
    threads: int = 1,
    resources: Mapping[str, float] | None = None,
    deaths: int = 2,
) -> Iterator[Client]:
    """A client: the one given, one of the scheduler at that address, or one of `workers` processes begun here.

    threads : that each process may use inside a task; it runs one at a time. deaths : of workers under a task after
    which it is tried no more. Raises SettingsError if no scheduler answers, ClusterError if processes do not start.
    """
    if client is None:
        with _local(workers, threads, resources, deaths) as local:
            yield local
    elif isinstance(client, str):
        try:
            remote = Client(client, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"no Dask scheduler answers at {client} ({error}); start one, or leave it out"
            ) from error
        with remote:
            yield remote
    else:
        yield client


@contextlib.contextmanager
def _local(workers: int, threads: int, resources: Mapping[str, float] | None, deaths: int) -> Iterator[Client]:
    """A client of processes begun here, which end with it. They are spawned, never forked, and spill nothing."""
    environment = {**dict.fromkeys(THREADS, str(threads)), **LAYER}
    config: dict[str, Any] = {
        "distributed.nanny.pre-spawn-environ": environment,
        "distributed.scheduler.allowed-failures": deaths,
        "distributed.worker.preload": ["sciworld.cluster.preload"],
        "distributed.worker.profile.enabled": False,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
    }
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A worker that is just beginning runs the caller's script, as far as it is not guarded, and came here.
        raise ClusterError(f"workers cannot start workers; in a script, keep what starts them below {GUARD}")
    before = dict(os.environ)
    try:
        with contextlib.ExitStack() as stack:
            scratch = tempfile.TemporaryDirectory(prefix="sciworld-workers-", ignore_cleanup_errors=True)
            folder = stack.enter_context(scratch)
            stack.enter_context(dask.config.set(config))
            try:
                cluster = _begun(workers, resources, folder)
                stack.callback(cluster.close)
                client = stack.enter_context(Client(cluster, set_as_default=False))
            except (RuntimeError, OSError) as error:  # also TimeoutError
                raise ClusterError(
                    f"{workers} worker processes did not start ({error}); in a script, keep what starts them below "
                    f"{GUARD}; else ask for fewer, or end other processes"
                ) from error
            yield client
            _settle(cluster)
    finally:
        _restore(before)


def _begun(workers: int, resources: Mapping[str, float] | None, folder: str) -> LocalCluster:
    """A cluster, begun by another thread, which no interrupt reaches: half begun it could not be ended."""
    with ThreadPoolExecutor(1, thread_name_prefix="cluster") as pool:
        beginning = pool.submit(_cluster, workers, resources, folder)
        try:
            return beginning.result()
        except KeyboardInterrupt:
            with contextlib.suppress(Exception):  # the interrupt reached its processes, too
                beginning.result().close()
            raise


def _cluster(workers: int, resources: Mapping[str, float] | None, folder: str) -> LocalCluster:
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # Dask warns if its usual port is taken
        silence_logs=logging.CRITICAL,
        resources=dict(resources) if resources else None,
        local_directory=folder,
    )


def _settle(cluster: LocalCluster) -> None:
    """Wait for processes that are beginning in place of ones that died: ended just then they would print errors."""
    until = time.monotonic() + SECONDS_TO_CONNECT
    while time.monotonic() < until:
        processes = [nanny.process for nanny in cluster.workers.values()]
        if all(process is not None and process.status.name == "running" for process in processes):
            return
        time.sleep(0.02)


def _restore(before: Mapping[str, str]) -> None:
    """Undo what Dask did to this process's environment so that its workers inherit it."""
    for name in (*THREADS, *LAYER, "PYTHONHASHSEED", "__DASK_PARENT_PID"):
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name, None)


def cores(threads: int) -> int:
    """How many processes of so many threads fill the usable cores."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // threads)
