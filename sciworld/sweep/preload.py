"""Loaded by each worker process that a sweep begins: an interrupt on the terminal is for the sweep, which ends them."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Called by Dask in the main thread of a new worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
