"""Processes of their own for what may crash, hang, or fill the memory. Linux only: memory is what /proc says."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOKS = 10  # of 2 ms, after which its memory is looked at
# What a process in a sandbox may take; the tests give it longer, for they share their cores.
SECONDS, MEGABYTES = float(os.environ.get("DAMAGE_SECONDS", "5")), 500.0


@dataclass(frozen=True)
class Done:
    """What a process told before it ended: JSON; None, and the fault, if it crashed or had to be ended."""

    told: Any
    fault: str
    seconds: float


def in_child(function: Callable[[], Any], sandbox: Path | None = None) -> Done:
    """Call a function in a process of its own; with a sandbox, its time and memory are bounded."""
    # A file takes whatever it tells; a pipe would make it wait to be read.
    with tempfile.TemporaryFile() as answer:
        begin = time.perf_counter()
        child = os.fork()
        if child == 0:
            try:
                if sandbox is not None:
                    enter(sandbox)
                content = json.dumps(function()).encode()
                answer.write(content)
                answer.flush()
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}\n".encode()[:500])
            finally:
                os._exit(0)
        fault = wait(child, SECONDS if sandbox is not None else 60.0)
        seconds = time.perf_counter() - begin
        answer.seek(0)
        told = answer.read()
    return Done(json.loads(told) if told and not fault else None, fault or "" if told else fault or "a crash", seconds)


def enter(sandbox: Path) -> None:
    """Make a folder all that this process is led to write to, besides where it is told to."""
    for name in ("SCIWORLD_CACHE", "SCIWORLD_MIRROR"):
        os.environ.pop(name, None)
    os.environ |= {
        "HOME": str(sandbox / "home"),
        "XDG_CACHE_HOME": str(sandbox / "cache"),
        "TMPDIR": str(sandbox / "temporary"),
    }
    tempfile.tempdir = None
    os.chdir(sandbox / "here")


def wait(child: int, seconds: float) -> str:
    """ "" once the process has ended by itself; else it is ended, and why is told."""
    limit, begin, fault = time.perf_counter() + seconds, memory(child), ""
    for look in itertools.count(1):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return "" if status == 0 else f"ended with status {status}"
        time.sleep(0.002)
        if time.perf_counter() > limit:
            fault = f"no answer within {seconds:g} s"
        elif look % LOOKS == 0 and memory(child) - begin > 3 * MEGABYTES:
            fault = f"over {3 * MEGABYTES:g} MB of memory"
        if fault:
            break
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return fault


def memory(process: int, field: str = "VmRSS") -> float:
    """Megabytes of a process: what it has now, or the peak since it was last reset (VmHWM)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return float(line.split()[1]) / 1024.0
    return 0.0
