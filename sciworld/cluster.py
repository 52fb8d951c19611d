"""Dask workers on this machine or on a cluster, one thread each, and jobs that are handed to them a few at a time."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sciworld.errors import SettingsError

# Libraries read these when they are first imported: workers of one thread each, however many cores there are.
CAPS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "BLOSC_NTHREADS"), "1"
)
AHEAD = 3  # jobs a worker has waiting
CONNECT_SECONDS = 10


class Cluster:
    """Workers that take jobs; `client` is Dask's own."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def run(self, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, Any]]:
        """Each job and its finished future, in the order in which they end; few are with the scheduler at a time."""
        from distributed import as_completed

        waiting = iter(jobs)
        ended = as_completed()
        known = {}

        def submit() -> None:
            job = next(waiting, None)
            if job is not None:
                future = self.client.submit(function, *job, pure=False)
                known[future.key] = job
                ended.add(future)

        for _ in range(AHEAD * max(1, len(self.client.nthreads()))):
            submit()
        for future in ended:
            submit()
            yield known.pop(future.key), future


@contextlib.contextmanager
def connect(workers: int | None, scheduler: str | None) -> Iterator[Cluster]:
    """A cluster at the address `scheduler`, or of `workers` processes on this machine that end with the block.

    Raises SettingsError if there is no cluster at that address.
    """
    from distributed import Client, LocalCluster

    if scheduler is not None:
        if workers is not None:
            raise SettingsError("workers and scheduler: a cluster has its own workers; give one of the two")
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"scheduler {scheduler}: no Dask cluster answers ({error}); mend the address"
            ) from error
        with client:
            yield Cluster(client)
        return
    if workers is None or workers < 1:
        raise SettingsError(f"workers is {workers}; use at least 1")
    from dask import config

    with (
        config.set({"distributed.nanny.pre-spawn-environ": {**CAPS, "MALLOC_TRIM_THRESHOLD_": "65536"}}),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.ERROR
        ) as local,
        Client(local) as client,
    ):
        yield Cluster(client)
