"""What the tests of sweeps run in their cells; importable by worker processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np


def product(dwell: float, kind: str) -> dict[str, object]:
    """A number, an integer, a flag, and an array that is not square."""
    length = len(kind)
    return {
        "rate": dwell * length,
        "count": np.int64(2**60 + length),
        "odd": bool(length % 2),
        "profile": np.arange(35, dtype=np.float32).reshape(5, 7) * np.float32(dwell),
    }


def logged(x: int, log: str) -> float:
    """Notes each execution in a file of its own making; the nonce tells one execution from another."""
    note(log, x)
    return int.from_bytes(os.urandom(6), "big")


def slow(x: int, log: str, seconds: float) -> float:
    note(log, x)
    time.sleep(seconds)
    return int.from_bytes(os.urandom(6), "big")


def deadly(x: int, log: str) -> float:
    """The cell 3 kills its worker whenever it is run; the cell 5 the first time only."""
    note(log, x)
    if x == 3 or (x == 5 and executions(log)[5] == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return float(x)


def draw(x: int, seed: int) -> float:
    return float(np.random.default_rng(seed).random()) + x


def note(log: str, x: int) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{x}\n".encode())
    os.close(handle)


def executions(log: str) -> dict[int, int]:
    """How often each cell was begun."""
    path = Path(log)
    lines = path.read_text().split() if path.exists() else []
    return {int(x): lines.count(x) for x in lines}
