"""What this machine can do, and what to do about what it cannot: the content of `sciworld doctor`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sciworld import config

OK, NOTE, FAIL = "ok", "note", "fail"

PACKAGES = ("numpy", "numba", "torch", "xarray", "zarr", "tensorstore", "h5py", "plotly", "pydantic", "pooch")


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Parameters
    ----------
    name : what was looked at.
    state : ok | note | fail: works; works, but see the cure; does not work.
    text : what was found.
    cure : what to do; empty if there is nothing to do.
    """

    name: str
    state: str
    text: str
    cure: str = ""


def examine() -> Iterator[Finding]:
    """Look at one thing after another. A check that raises is a finding of its own, never the end."""
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": _versions,
        "processors": _processors,
        "torch": _torch,
        "numba": _numba,
        "store": _store,
        "folders": _folders,
    }
    for name, check in checks.items():
        try:
            yield from check()
        except Exception as error:
            cure = "install again with the pinned versions: pip install -c constraints.txt -e ."
            yield Finding(name, FAIL, f"{type(error).__name__}: {error}", cure)


def show() -> bool:
    """Print the findings as they come; return whether nothing failed."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    colour = {OK: "green", NOTE: "yellow", FAIL: "bold red"}
    healthy = True
    for finding in examine():
        healthy = healthy and finding.state != FAIL
        line = Text.assemble((f"{finding.state:5s}", colour[finding.state]), f"{finding.name:18s}", finding.text)
        console.print(line, soft_wrap=True)
        if finding.cure:
            console.print(Text(f"{'':5s}{'':18s}-> {finding.cure}"), soft_wrap=True)
    return healthy


def _versions() -> Iterator[Finding]:
    yield Finding("python", OK, f"{platform.python_version()} in {sys.prefix}, {platform.platform(terse=True)}")
    yield Finding("sciworld", OK, importlib.metadata.version("sciworld"))
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    found = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES if name not in missing]
    yield Finding("packages", OK, ", ".join(found))
    if missing:
        yield Finding("packages", FAIL, f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    if importlib.util.find_spec("torchvision") is not None:
        yield Finding("torchvision", NOTE, "installed; its builds break beside CPU torch", "pip uninstall torchvision")


def _processors() -> Iterator[Finding]:
    cores = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    caps = [f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS") if name in os.environ]
    yield Finding("cores", OK, ", ".join([f"{usable} of {cores} usable", *caps]))


def _torch() -> Iterator[Finding]:
    import torch

    yield Finding("torch threads", OK, str(torch.get_num_threads()))
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        yield Finding("cuda", OK, ", ".join(names))
    elif shutil.which("nvidia-smi"):
        cure = "install a torch build that matches the driver, then train with --device cuda"
        yield Finding("cuda", NOTE, f"there is an NVIDIA driver, but torch {torch.__version__} cannot use it", cure)
    else:
        yield Finding("cuda", OK, "none; everything runs on the CPU")


def _numba() -> Iterator[Finding]:
    import numba
    import numpy as np

    @numba.njit(parallel=True)
    def total(values: np.ndarray) -> float:
        result = 0.0
        for index in numba.prange(len(values)):
            result += values[index]
        return result

    if total(np.arange(1000.0)) != 499500.0:
        yield Finding("numba", FAIL, "a parallel sum came out wrong", "install the pinned numba and llvmlite")
        return
    yield Finding("numba", OK, f"compiles; {numba.get_num_threads()} threads, {numba.threading_layer()} layer")


def _store() -> Iterator[Finding]:
    import numpy as np
    import tensorstore
    import zarr

    values = np.arange(35, dtype=np.uint16).reshape(5, 7)
    with tempfile.TemporaryDirectory() as folder:
        array = zarr.create_array(f"{folder}/array", shape=values.shape, dtype=values.dtype, chunks=(2, 7))
        array[:] = values
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/array"}}
        back = tensorstore.open(spec).result().read().result()
    if np.array_equal(back, values):
        yield Finding("zarr, tensorstore", OK, "an array written by one is read by the other")
    else:
        yield Finding(
            "zarr, tensorstore", FAIL, "tensorstore reads other values than zarr wrote", "install the pinned ones"
        )


def _folders() -> Iterator[Finding]:
    mirror = config.mirror_dir()
    if mirror is None:
        yield Finding("mirror", OK, f"{config.MIRROR_VARIABLE} is not set; data are fetched from the network")
    elif (mirror / "MANIFEST.csv").is_file():
        yield Finding("mirror", OK, str(mirror))
    else:
        cure = f"point {config.MIRROR_VARIABLE} at the folder that holds MANIFEST.csv"
        yield Finding("mirror", FAIL, f"{mirror} has no MANIFEST.csv", cure)
    cache = config.cache_dir()
    existing = _first_existing(cache)
    if os.access(existing, os.W_OK):
        free = shutil.disk_usage(existing).free / 1e9
        cure = "" if free > 5 else f"free some space, or point {config.CACHE_VARIABLE} elsewhere"
        yield Finding("cache", NOTE if cure else OK, f"{cache}, {free:.0f} GB free", cure)
    else:
        yield Finding(
            "cache", FAIL, f"{cache} cannot be written", f"point {config.CACHE_VARIABLE} at a folder that can"
        )


def _first_existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())
