"""Two Dask workers that are threads of this process: enough for all but what kills."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client


@pytest.fixture(scope="session")
def threads() -> Iterator[Client]:
    with Client(
        processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0", set_as_default=False
    ) as client:
        yield client
