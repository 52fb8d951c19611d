"""Loaded by each worker process that is begun here."""

from __future__ import annotations

import logging
import signal
from typing import Any

# What Dask tells of workers that come and go is not for the terminal where progress is shown.
for name in [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]:
    logging.getLogger(name).setLevel(logging.CRITICAL)


def dask_setup(worker: Any) -> None:
    """Called by Dask in the main thread of a new worker: an interrupt is for who began it, and ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
