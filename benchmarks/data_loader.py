"""Figures of the loader: how fast it reads random clips beside three ways to do so, and whether its memory grows.

The store holds one sharded array of 64 x 64 uint8 frames of noise, of 6 bits in 8 (Zstandard takes a quarter off), in
recordings of 1,000 frames. All entrants read the same random clips of 16 frames, in batches of 32, off a disk whose
files the system may hold in memory; none holds the frames itself. Everything runs in a process of its own, on two
cores.

    python benchmarks/data_loader.py throughput STORE REPEATS BATCHES
    python benchmarks/data_loader.py growth STORE CLIPS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from harness import Figure, Run, alternate, median
from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.loader import Loader
from sciworld.store import Store
from sciworld.stored import CACHE_BYTES
from sciworld.windows import Windows

CLIP, BATCH, THREADS, CORES = 16, 32, 2, 2
RECORDING = 1000  # frames
FRAMES = 120_000  # 491 MB, more than the cache of tensorstore
FIGURES = {
    "tensorstore": "loader_over_tensorstore",
    "xbatcher": "loader_over_xbatcher",
    "zarr": "loader_over_zarr_dataloader",
}


def throughput(run: Run) -> dict[str, Figure]:
    """Clips a second of the loader over those of raw tensorstore, of xbatcher, and of a DataLoader on zarr-python.

    Each repeat reads 1,024 other clips with one after the other; rows are the ratios of the repeats.
    tensorstore: the array opened with a cache of the same size, two threads that each ask for the 32 clips of a batch
    at once, in one tensorstore.Batch, and leave them as 32 arrays. xbatcher: BatchGenerator over xarray.open_zarr with
    chunks=None, since Dask only adds to it, and without preloading, in two threads as well. zarr: a map-style Dataset
    that reads with zarr-python, a DataLoader with two spawned workers that stay, measured after they have started.
    """
    frames, repeats, batches = (8_000, 3, 2) if run.quick else (FRAMES, 15, 32)
    seconds = _measured("throughput", frames, repeats, batches)
    mine = seconds.pop("loader")
    return {
        FIGURES[peer]: median([theirs / own for theirs, own in zip(taken, mine, strict=True)], "x")
        for peer, taken in seconds.items()
    }


def growth(run: Run) -> Figure:
    """MB by which the resident memory grows over 10,000 clips, at most, after 8,000 that fill tensorstore's cache.

    Rows are the MB resident after each 1,000 clips.
    """
    rows = _measured("growth", 8_000 if run.quick else FRAMES, 2_000 if run.quick else 10_000)
    return Figure(max(rows) - rows[0], "MB", rows=rows)


def _measured(what: str, frames: int, *counts: int) -> Any:
    """What this file prints as a program of its own, of a store of so many frames."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "noise.zarr"
        _write(store, frames)
        words = [sys.executable, __file__, what, str(store), *map(str, counts)]
        ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


def _write(path: Path, frames: int) -> None:
    """A store of one part."""
    rng = np.random.default_rng(0)
    texts = {"session": "noise", "source": "noise", "licence": "-", "citation": "-", "history": "random"}
    Store.create(path).append(
        [
            recording.make(
                rng.integers(0, 64, (RECORDING, 64, 64, 1), dtype=np.uint8),
                np.arange(RECORDING) / 20,
                channels=ColumnTable((Column("brightness", "counts"),)),
                **texts,
            )
            for _ in range(frames // RECORDING)
        ]
    )


class Clips:
    """A map-style Dataset for torch, opened where it is used: the clip that begins at a row, with zarr-python."""

    def __init__(self, array: Path) -> None:
        self.path, self.array = array, None

    def __getitem__(self, start: int) -> np.ndarray:
        import zarr

        if self.array is None:
            self.array = zarr.open_array(self.path, mode="r")
        return np.asarray(self.array[start : start + CLIP])


class Asked:
    """A batch sampler for torch: the batches of the clips that are asked for next."""

    def __init__(self) -> None:
        self.starts = np.empty((0, BATCH), dtype=np.int64)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.starts.tolist())

    def __len__(self) -> int:
        return len(self.starts)


def _read_all(path: Path, repeats: int, batches: int) -> dict[str, list[float]]:
    """Seconds of each entrant for the same batches of clips, repeat by repeat."""
    part = Store(path).parts[0].folder
    asked = Asked()
    windows = Windows(Store(path), CLIP - 1, 1, memory_bytes=0)
    with Loader(windows, BATCH, 0, THREADS) as loader, ThreadPoolExecutor(THREADS) as pool:

        def load() -> None:
            index = np.stack([next(loader).index for _ in range(batches)])
            wait(loader._ahead)  # as much as it had read ahead at the beginning
            recordings, frames = np.divmod(index, RECORDING - CLIP + 1)
            asked.starts = recordings * RECORDING + frames  # what the others are to read

        entrants = {
            "loader": load,
            "tensorstore": _tensorstore(part / "frames", asked, pool),
            "xbatcher": _xbatcher(part, asked, pool),
            "zarr": _dataloader(part / "frames", asked),
        }
        return alternate(entrants, repeats, warm_up=2)


def _tensorstore(array: Path, asked: Asked, pool: ThreadPoolExecutor) -> Callable[[], Any]:
    import tensorstore

    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{array}/"},
        "recheck_cached_data": "open",
        "recheck_cached_metadata": "open",
    }
    context = tensorstore.Context({"cache_pool": {"total_bytes_limit": CACHE_BYTES}})
    handle = tensorstore.open(spec, read=True, context=context).result()

    def read(starts: list[int]) -> list[np.ndarray]:
        with tensorstore.Batch() as together:
            futures = [handle[start : start + CLIP].read(batch=together) for start in starts]
        return [np.asarray(future.result()) for future in futures]

    return lambda: [len(clips) for clips in pool.map(read, asked.starts.tolist())]


def _xbatcher(part: Path, asked: Asked, pool: ThreadPoolExecutor) -> Callable[[], Any]:
    import xarray as xr
    import xbatcher

    frames = xr.open_zarr(part, consolidated=False, chunks=None)["frames"].drop_vars("time")
    sizes, overlap = {"time": CLIP}, {"time": CLIP - 1}
    clips = xbatcher.BatchGenerator(frames, input_dims=sizes, input_overlap=overlap, preload_batch=False)

    def read(starts: list[int]) -> list[np.ndarray]:
        return [clips[start].values for start in starts]

    return lambda: [len(clips) for clips in pool.map(read, asked.starts.tolist())]


def _dataloader(array: Path, asked: Asked) -> Callable[[], Any]:
    from torch.utils.data import DataLoader

    dataset: Any = Clips(array)
    loader = DataLoader(
        dataset,
        batch_sampler=asked,
        num_workers=THREADS,
        multiprocessing_context="spawn",
        persistent_workers=True,
    )
    return lambda: [len(clips) for clips in loader]


def _resident() -> float:
    """MB of this process in memory; Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _grow(path: Path, clips: int) -> list[float]:
    """MB resident after a warm-up, then after each 1,000 of `clips`."""
    windows = Windows(Store(path), CLIP - 1, 1, memory_bytes=0)
    rows = []
    with Loader(windows, BATCH, 0, THREADS) as loader:
        for count in [8_000, *[1_000] * (clips // 1_000)]:
            for _ in range(count // BATCH):
                next(loader)
            rows.append(_resident())
    return rows


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    measure = {"throughput": _read_all, "growth": _grow}[sys.argv[1]]
    print(json.dumps(measure(Path(sys.argv[2]), *map(int, sys.argv[3:]))))
