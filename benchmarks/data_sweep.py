"""What sweeps cost and withstand: the speed of two workers over one, and what random kills lose or make run twice."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness import Figure, Run, median

KILL_EVERY = (0.15, 1.2)  # s, uniform: between two kills
ROUNDS = 400  # of restarting at most


def busy(x: int, loops: int) -> float:
    """Work of one thread that needs no memory: NumPy on an array that the cache holds."""
    values = np.random.default_rng(x).random(2000)
    for _ in range(loops):
        values = np.sqrt(values * values + 1e-3)
    return float(values.sum())


def loops_for(seconds: float) -> int:
    """How many loops of `busy` take so long on this machine."""
    busy(0, 2000)
    began = time.perf_counter()
    busy(0, 20_000)
    return max(1, round(20_000 * seconds / (time.perf_counter() - began)))


def two_workers(run: Run) -> Figure:
    """Speed of two workers over one: 200 cells of 50 ms, in turn with one and two, five times each.

    The starts of the processes are not counted; each row also has the ratio with them.
    """
    from sciworld.cluster.connect import connected
    from sciworld.sweep.sweep import sweep

    cells, repeats = (16, 1) if run.quick else (200, 5)
    cell = functools.partial(busy, loops=loops_for(0.05))
    seconds: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for repeat in range(repeats):
        for workers in (1, 2) if repeat % 2 == 0 else (2, 1):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                with connected(None, workers) as client:
                    # Every worker imports what it needs before the clock starts.
                    sweep(cell, {"x": range(1000, 1008)}, out=f"{folder}/first", client=client, progress=False)
                    ready = time.perf_counter()
                    ds = sweep(cell, {"x": range(cells)}, out=f"{folder}/timed", client=client, progress=False)
                    ended = time.perf_counter()
                assert (ds["status"] == 1).all()
                seconds[workers].append((ended - ready, ended - began))
    rows: list[dict[str, float]] = [
        {
            "ratio": one[0] / two[0],
            "ratio_with_starts": one[1] / two[1],
            "one_worker_s": one[0],
            "two_workers_s": two[0],
            "cells": cells,
        }
        for one, two in zip(seconds[1], seconds[2], strict=True)
    ]
    middle = median([row["ratio"] for row in rows], "x")
    return Figure(middle.value, middle.unit, middle.spread, rows)


def logged(x: int, log: str, seconds: float) -> float:
    """Notes its execution where the sweep does not look; the result tells one execution from another."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{x:6d}\n".encode())
    os.close(handle)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        pass
    return float(int.from_bytes(os.urandom(6), "big"))


def kills(run: Run) -> dict[str, Figure]:
    """Finished cells lost, and finished cells run again, over 50 kills with SIGKILL at random moments.

    Every other kill is of one worker, the rest of the process that holds the scheduler: the whole run, which is then
    started again. Before each kill it is noted which cells have a row, with which result, and then how long the log is
    that the cells themselves write. Lost is a cell that had a row and has none, or another result, at the end; run
    again is one that the log names after it had a row.
    """
    wanted, rng = (4 if run.quick else 50), np.random.default_rng(12)
    cells, seconds = (60, 0.05) if run.quick else (2400, 0.05)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, seen = _harry(folder, cells, seconds, wanted, rng)
        results = _results(folder)
        log = (folder / "log").read_text().split()
    lost = [x for x, (result, _) in seen.items() if results.get(x) != result]
    rerun = [x for x, (_, length) in seen.items() if str(x) in log[length:]]
    about = {"kills": len(rows), "cells": cells, "done": len(results), "executions": len(log), "watched": len(seen)}
    assert len(results) == cells, about
    return {
        "sweep_kill_lost": Figure(float(len(lost)), "cells", None, [about, {"lost": lost}, *rows]),
        "sweep_kill_rerun": Figure(float(len(rerun)), "cells", None, [about, {"run again": rerun}, *rows]),
    }


def _harry(
    folder: Path, cells: int, seconds: float, wanted: int, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], dict[int, tuple[float, int]]]:
    """Kill and restart until `wanted` kills, then let it end: the kills; cell -> its result, the log's length then."""
    rows: list[dict[str, Any]] = []
    seen: dict[int, tuple[float, int]] = {}
    for _ in range(ROUNDS):
        sweeping = subprocess.Popen(
            [sys.executable, __file__, str(folder), str(cells), str(seconds)], stderr=subprocess.DEVNULL
        )
        before = len(_finished(folder))
        while sweeping.poll() is None and len(rows) < wanted:
            time.sleep(rng.uniform(*KILL_EVERY))
            if len(_finished(folder)) == before:  # still starting: a kill now would prove nothing
                continue
            whole = rng.random() < 0.5
            _watch(folder, seen)
            victims = [sweeping.pid] if whole else _workers(sweeping.pid)
            if not victims or sweeping.poll() is not None:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(rng.choice(victims)), signal.SIGKILL)
            rows.append({"killed": "whole run" if whole else "worker", "finished before": len(_finished(folder))})
            if whole:
                break
        if sweeping.wait() == 0:
            break
    return rows, seen


def _watch(folder: Path, seen: dict[int, tuple[float, int]]) -> None:
    """Add to `seen` the cells that have a row since it was last called."""
    fresh = {x: _result(folder, x) for x in _finished(folder) - set(seen)}
    length = len((folder / "log").read_text().split())  # after the rows: what began later is in what follows
    seen.update({x: (result, length) for x, result in fresh.items()})


def _finished(folder: Path) -> set[int]:
    """The cells that have a row, read from the names of its last files."""
    rows = folder / "table" / "status" / "c"
    return {int(name) for name in os.listdir(rows)} if rows.is_dir() else set()


def _result(folder: Path, x: int) -> float:
    return float(np.frombuffer((folder / "table" / "value" / "c" / str(x)).read_bytes(), "<f8")[0])


def _results(folder: Path) -> dict[int, float]:
    """Every finished cell's result, as the table opens with xarray alone."""
    import xarray as xr

    ds = xr.open_zarr(folder / "table", consolidated=False).load()
    return {int(x): float(v) for x, v, s in zip(ds["x"], ds["value"], ds["status"], strict=True) if s == 1}


def _workers(pid: int) -> list[int]:
    """The worker processes of the sweep `pid`: its children that run a spawned process's main function."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():  # the thread that began a process is its parent
            for child in (thread / "children").read_text().split():
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def main() -> None:
    """One run of the sweep that is harried: FOLDER CELLS SECONDS."""
    from sciworld.sweep.sweep import sweep

    folder, cells, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    cell = functools.partial(logged, log=f"{folder}/log", seconds=seconds)
    ds = sweep(cell, {"x": range(cells)}, out=f"{folder}/table", workers=2, progress=False)
    sys.exit(0 if (ds["status"] == 1).all() else 3)


if __name__ == "__main__":
    main()
