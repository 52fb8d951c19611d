"""The runner that every benchmark shares: figures by name, `--quick`, `--only FIGURE`, `--json FILE`.

    bench = Benchmark("stem", __doc__)

    @bench.figure("kmc_speedup")
    def kmc(run: Run) -> Figure:
        seconds = alternate({"numba": ..., "numpy": ...}, repeats=3 if run.quick else 15)
        return median([slow / fast for slow, fast in zip(seconds["numpy"], seconds["numba"])], "x")

    if __name__ == "__main__":
        bench.main()

One function may measure several figures at once (`@bench.figure("a", "b")`, returning {"a": ..., "b": ...}). What took
long is kept per entrant with `run.cached`.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
RECORDED_VERSIONS = ("numpy", "numba", "torch", "xarray", "zarr", "tensorstore", "sciworld")


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Parameters
    ----------
    value : in `unit`.
    unit : "s", "GB", "x" for a ratio, "1" for a share or a correlation.
    spread : (low, high) of the value, in `unit`; what it is (quartiles, bootstrap) is the measuring function's to say.
    rows : the raw values, one per repeat or episode: numbers or JSON objects.
    """

    value: float
    unit: str
    spread: tuple[float, float] | None = None
    rows: Sequence[Any] = ()


def median(rows: Sequence[float], unit: str) -> Figure:
    """Median and quartiles of repeats."""
    low, middle, high = np.quantile(np.asarray(rows, dtype=float), [0.25, 0.5, 0.75])
    return Figure(float(middle), unit, (float(low), float(high)), list(rows))


def mean(rows: Sequence[float], unit: str, seed: int = 0, draws: int = 2000) -> Figure:
    """Mean of episodes and its 95 % bootstrap interval (percentile method: Efron and Tibshirani 1993, chapter 13)."""
    values = np.asarray(rows, dtype=float)
    picks = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), [0.025, 0.975])
    return Figure(float(values.mean()), unit, (float(low), float(high)), list(rows))


def alternate(entrants: dict[str, Callable[[], Any]], repeats: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each entrant, called in turn A B A B so that a slow spell of the machine meets all of them."""
    for _ in range(warm_up):
        for call in entrants.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in entrants}
    for _ in range(repeats):
        for name, call in entrants.items():
            begin = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


@dataclass(frozen=True)
class Run:
    """What a measuring function is given: how thorough to be, and where long results are kept."""

    quick: bool
    cache: Path

    def cached(self, entrant: str, settings: dict[str, Any], measure: Callable[[], Any]) -> Any:
        """The JSON-safe result of `measure()`, or the one kept for this entrant with the same settings.

        Delete the file that it names to measure again; `quick` is one of the settings.
        """
        settings = {**settings, "quick": self.quick}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        path = self.cache / f"{entrant}-{digest}.json"
        if path.is_file():
            kept = json.loads(path.read_text())
            print(f"{entrant}: kept from {kept['date']}; delete {path} to measure again", file=sys.stderr)
            return kept["result"]
        record = {"settings": settings, "date": now(), "machine": machine(), "result": measure()}
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_suffix(".part")
        staged.write_text(json.dumps(record, indent=1))
        staged.replace(path)
        return json.loads(json.dumps(record["result"]))


Measure = Callable[[Run], "Figure | dict[str, Figure]"]


@dataclass
class Benchmark:
    """The figures of one file `benchmarks/<name>.py`, in the order in which they were declared."""

    name: str
    description: str | None = None
    cache: Path = HERE / "cache"
    measures: list[tuple[tuple[str, ...], Measure]] = field(default_factory=list)

    def figure(self, *names: str) -> Callable[[Measure], Measure]:
        """Declare that a function measures these figures."""

        def declare(measure: Measure) -> Measure:
            self.measures.append((names, measure))
            return measure

        return declare

    def main(self, arguments: Sequence[str] | None = None, finish: Callable[[Run], None] | None = None) -> None:
        """Parse the command line, measure, print a row as each figure is known, write the JSON after each function.

        finish : called after all figures, but not with --only.
        """
        known = [name for names, _ in self.measures for name in names]
        parser = argparse.ArgumentParser(
            description=self.description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("--quick", action="store_true", help="under a minute: does it still work?")
        parser.add_argument("--only", action="append", choices=known, metavar="FIGURE", help=", ".join(known))
        told = "write values and raw rows there; with --only, beside what the file has of other figures"
        parser.add_argument("--json", type=Path, metavar="FILE", help=told)
        chosen = parser.parse_args(arguments)
        kept = json.loads(chosen.json.read_text()) if chosen.json and chosen.only and chosen.json.is_file() else None
        if kept and kept["machine"]["quick"] != chosen.quick:
            parser.error(f"{chosen.json} is of runs {'with' if kept['machine']['quick'] else 'without'} --quick")
        run = Run(chosen.quick, self.cache / self.name)
        wanted = chosen.only or known
        figures: dict[str, Figure] = {}
        print("figure | value | unit | spread")
        for names, measure in self.measures:
            if not set(names) & set(wanted):
                continue
            found = measure(run)
            found = {names[0]: found} if isinstance(found, Figure) else found
            if set(found) != set(names):
                raise ValueError(f"{self.name}: declared {', '.join(names)}; measured {', '.join(found)}")
            for name in names:
                if name in wanted:
                    figures[name] = found[name]
                    print(row(name, found[name]), flush=True)
            if chosen.json:
                found = as_json(figures, run) if kept is None else _beside(kept, as_json(figures, run), known)
                chosen.json.write_text(json.dumps(found, indent=1) + "\n")
        if finish is not None and not chosen.only:
            finish(run)


def row(name: str, figure: Figure) -> str:
    """`figure | value | unit | spread` of one figure."""
    spread = "" if figure.spread is None else "{:.4g} .. {:.4g}".format(*figure.spread)
    return f"{name} | {figure.value:.4g} | {figure.unit} | {spread}"


def as_json(figures: dict[str, Figure], run: Run) -> dict[str, Any]:
    """What `--json` writes."""
    return {
        "machine": {**machine(), "quick": run.quick},
        "figures": {
            name: {"value": figure.value, "unit": figure.unit, "spread": figure.spread}
            for name, figure in figures.items()
        },
        "rows": {name: list(figure.rows) for name, figure in figures.items()},
    }


def _beside(kept: dict[str, Any], new: dict[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """What a file has of other figures, each with when it was `measured`, and what was measured now on `machine`."""
    measured = {name: kept["machine"][name] for name in ("date", "commit")}
    older = {name: {"measured": measured, **figure} for name, figure in kept["figures"].items()}
    figures, rows = {**older, **new["figures"]}, {**kept["rows"], **new["rows"]}
    order = [name for name in known if name in figures]
    return {
        "machine": new["machine"],
        "figures": {name: figures[name] for name in order},
        "rows": {name: rows[name] for name in order},
    }


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def machine() -> dict[str, Any]:
    """The machine and the software that measured."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None
    return {
        "date": now(),
        "commit": commit(),
        "processor": processor(),
        "cores": usable,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpu": gpu,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in RECORDED_VERSIONS},
    }


def processor() -> str:
    """The processor's name as Linux gives it, elsewhere what Python knows."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit of the checkout, with a `+` where files differ from it; None outside a checkout."""
    try:
        words = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
        return subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
