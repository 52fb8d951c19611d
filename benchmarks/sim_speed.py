"""Figures of the flow solver's speed: against the memory's, against other solvers, and on two cores."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import Figure, Run, median
from sciworld.domains.fluid.lattice import Lattice
from sciworld.domains.fluid.scenarios import scenario
from sciworld.kernels import lbm

BYTES = 72  # that a float32 update of D2Q9 moves: nine numbers in, nine out


def flow(cells: int, dtype: Any = np.float32, n: int = 1) -> tuple[Lattice, Any]:
    """Vortices that decay in a periodic square, n alike."""
    lattice = Lattice(scenario("taylor_green", cells=cells, aspect=1.0), dtype)
    return lattice, lattice.start(n)


def steps_of(cells: int, n: int = 1, dtype: Any = np.float32) -> Callable[[int], float]:
    """A function of a number of steps -> million updates of cells a second; the state is stepped in place."""
    lattice, state = flow(cells, dtype, n)

    def rate(steps: int) -> float:
        amplitudes, forces = np.zeros((n, steps, 0)), np.zeros((n, steps, 2))
        begin = time.perf_counter()
        lbm.run(state.f, state.outflow, lattice._box, lattice._body, amplitudes, forces)
        return n * steps * cells**2 / (time.perf_counter() - begin) / 1e6

    rate(2)
    return rate


def copy_rate(threads: int, repeats: int = 3) -> float:
    """Bytes a second, read and written, of copies of 200 MB in as many threads; the best."""
    pairs = [(np.ones(25_000_000), np.ones(25_000_000)) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats):
            begin = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            best = max(best, threads * 2 * pairs[0][0].nbytes / (time.perf_counter() - begin))
    return best


def over_ceiling(run: Run) -> Figure:
    """Rate of 1024 x 1024 float32 on one core over the lower of what copying allows and its own rate in the cache."""
    large, small, rows = steps_of(1024), steps_of(128), []
    for _ in range(3 if run.quick else 9):
        row = {"mlups": large(10 if run.quick else 40), "in_cache_mlups": small(1000)}
        row["copy_mlups"] = copy_rate(1) / BYTES / 1e6
        rows.append(row | {"share": row["mlups"] / min(row["copy_mlups"], row["in_cache_mlups"])})
    return _median(rows, "share", "1")


def mlups_256(run: Run) -> Figure:
    """Million updates a second of 256 x 256 float32 on one core, with others of the same flow in turn.

    Rows hold the same collision (one relaxation time) written with whole arrays of torch and of NumPy, on one thread,
    and one flow of float64; and XLB, where XLB_PYTHON names the Python of an environment that has it. Of the others,
    lettucecfd has no package to install, and pylbm needs an MPI library of the system.
    """
    ours, double = steps_of(256), steps_of(256, dtype=np.float64)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        peers = {"torch": Arrays(torch, 256), "numpy": Arrays(np, 256)}
        rows = []
        for _ in range(3 if run.quick else 9):
            row = {"mlups": ours(600), "float64_mlups": double(300)} | _xlb()
            rows.append(row | {f"{name}_mlups": peer.rate(10) for name, peer in peers.items()})
    finally:
        torch.set_num_threads(before)
    return _median(rows, "mlups", "MLUPS")


def _xlb() -> dict[str, float]:
    """The rate of XLB on one core, in a process of its own; nothing where it is not installed."""
    python = os.environ.get("XLB_PYTHON")
    if not python:
        return {}
    one = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    words = ["taskset", "-c", "0", python, str(Path(__file__).with_name("peer_xlb.py"))]
    done = subprocess.run(words, env=os.environ | one, capture_output=True, text=True, check=True)
    return {"xlb_mlups": float(done.stdout.split()[-1])}


def two_cores(run: Run) -> Figure:
    """How much faster two flows of 256 x 256 go on two cores than one on one, over how much faster copies go."""
    one, two, rows = steps_of(256), steps_of(256, n=2), []
    for _ in range(3 if run.quick else 9):
        row = {"one_mlups": one(600), "two_mlups": two(600)}
        row |= {"one_copy": copy_rate(1), "two_copies": copy_rate(2)}
        row["share"] = row["two_mlups"] / row["one_mlups"] / (row["two_copies"] / row["one_copy"])
        rows.append(row)
    return _median(rows, "share", "1")


def _median(rows: list[dict[str, float]], name: str, unit: str) -> Figure:
    found = median([row[name] for row in rows], unit)
    return Figure(found.value, found.unit, found.spread, rows)


class Arrays:
    """The flow with one relaxation time, by whole arrays of torch or NumPy: what one writes in an afternoon."""

    def __init__(self, library: Any, cells: int) -> None:
        self.library, self.cells = library, cells
        lattice, state = flow(cells)
        self.rate_even = float(lattice.case.rates()[0])
        start = np.ascontiguousarray(state.f[0, :, 1:-1, 1:-1])
        self.f = library.asarray(start)
        self.cx, self.cy, self.weights = (library.asarray(x.astype(np.float32)) for x in (lbm.CX, lbm.CY, lbm.WEIGHTS))

    def rate(self, steps: int) -> float:
        begin = time.perf_counter()
        for _ in range(steps):
            self.step()
        return steps * self.cells**2 / (time.perf_counter() - begin) / 1e6

    def step(self) -> None:
        f = self.f
        density = f.sum(0)
        u, v = self.library.tensordot(self.cx, f, 1), self.library.tensordot(self.cy, f, 1)
        along = self.cx[:, None, None] * u + self.cy[:, None, None] * v
        wanted = density + 3 * along + 4.5 * along * along - 1.5 * (u * u + v * v)
        f = f - self.rate_even * (f - self.weights[:, None, None] * wanted)
        moved = [self.library.roll(f[k], (int(lbm.CY[k]), int(lbm.CX[k])), (0, 1)) for k in range(9)]
        self.f = self.library.stack(moved)
