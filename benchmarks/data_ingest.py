"""Figures of ingest: how near it comes to the slower of decoding and writing, and what a second worker buys."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import tifffile

from harness import Figure, Run, alternate
from sciworld.ingest.open import open_recordings
from sciworld.ingest.run import ingest
from sciworld.store import Store

COPIES = 16  # of each source, for two workers


def sources(folder: Path, quick: bool) -> dict[str, Path]:
    """The real tub and highway clip, where SCIWORLD_MIRROR is set, and a TIFF of counts: 2,000 frames of 128 x 160."""
    found = {}
    mirror = os.environ.get("SCIWORLD_MIRROR")
    if mirror:
        with tarfile.open(Path(mirror) / "driving/donkeycar/tub.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        found["tub"] = folder / "tub"
        found["clip"] = folder / "highway.mp4"
        shutil.copy(Path(mirror) / "driving/commavq/highway_256x128_20fps.mp4", found["clip"])
    rng = np.random.default_rng(0)
    frames = rng.poisson(40, (200 if quick else 2000, 128, 160)).astype(np.uint16)
    found["tiff"] = folder / "counts.tif"
    tifffile.imwrite(found["tiff"], frames, imagej=True, metadata={"axes": "TYX", "finterval": 0.5})
    return found


def decode(path: Path, usual: bool = False) -> Callable[[], Any]:
    """The frames of a source decoded one after the other by the library that decodes them, by one thread.

    usual : pixels are converted by PyAV's own choice of threads, which it begins anew for every frame: slower.
    """
    threads = 0 if usual else 1

    def video(path: Path) -> list[np.ndarray]:
        with av.open(str(path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            frames = container.decode(video=0)
            return [frame.reformat(format="rgb24", threads=threads).to_ndarray() for frame in frames]

    if path.is_dir():
        images = sorted((path / "images").glob("*.jpg"))
        return lambda: [video(image) for image in images]
    if path.suffix == ".tif":
        return lambda: tifffile.imread(path)
    return lambda: video(path)


def over_decoder(run: Run) -> Figure:
    """Frames a second of ingest over those of the slower of decoding and compressed writing: the worst source.

    Ingest reads the tub's controls, measures quality and, where there are controls, the lag. They run in turn; ingest
    decodes in one thread while another compresses. The rows also hold the seconds of PyAV's usual, slower conversion.
    """
    rows, shares = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, path in sources(folder, run.quick).items():
            recordings = [ds.load() for ds in open_recordings(path)]
            count = iter(range(10**9))

            def write(recordings: list[Any] = recordings, count: Any = count) -> None:
                Store.create(folder / f"w{next(count)}").append(recordings, ahead=False)

            def whole(path: Path = path, count: Any = count) -> None:
                ingest(path, folder / f"i{next(count)}")

            entrants = {"decode": decode(path), "write": write, "ingest": whole, "usual_decode": decode(path, True)}
            seconds = alternate(entrants, 2 if run.quick else 7)
            each = [max(d, w) / i for d, w, i, _ in zip(*seconds.values(), strict=True)]
            shares.append(np.quantile(each, [0.5, 0.25, 0.75]))
            rows.append({"source": label, "frames": sum(ds.sizes["time"] for ds in recordings), **seconds})
            for old in folder.glob("[wi][0-9]*"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
    value, low, high = min(shares, key=lambda share: share[0])
    return Figure(float(value), "1", (float(low), float(high)), rows)


def two_workers(run: Run) -> Figure:
    """Seconds of one worker process over those of two, for sixteen copies of each source, starting them included.

    Workers read and compress by one thread each. The rows also hold the seconds of this process alone, which reads
    while a thread of it compresses.
    """
    rows, ratios = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sources").mkdir()
        several = []
        for path in sources(folder / "sources", run.quick).values():
            for copy in range(2 if run.quick else COPIES):
                target = path.with_name(f"{path.stem}-{copy}{path.suffix}")
                (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
                several.append(target)
        for repeat in range(1 if run.quick else 4):
            seconds = {}
            for label, workers in (("alone", None), ("one", 1), ("two", 2)):
                begin = time.perf_counter()
                ingest(several, folder / f"{label}{repeat}", workers=workers)
                seconds[label] = time.perf_counter() - begin
            rows.append(seconds)
            ratios.append(seconds["one"] / seconds["two"])
            for label in seconds:
                shutil.rmtree(folder / f"{label}{repeat}")
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return Figure(float(middle), "x", (float(low), float(high)), rows)
