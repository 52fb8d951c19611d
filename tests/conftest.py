"""What all tests share: thread caps, a cache of their own, the mirror of real data, and an account of every skip."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest

# Each xdist worker takes its share of the cores. Set here because Numba and OpenMP read it once, when imported.
workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if workers > 1:
    share = str(max(1, (os.cpu_count() or 1) // workers))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, share)

CACHE = tempfile.mkdtemp(prefix="sciworld-tests-")
os.environ["SCIWORLD_CACHE"] = CACHE

# Speed is not asserted here: what a machine compiles, imports or does beside a test decides how long its first case is.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

MISSING_DATA = re.compile(r"mirror|\bdata\b", re.IGNORECASE)


def pytest_unconfigure() -> None:
    shutil.rmtree(CACHE, ignore_errors=True)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real data, laid out like its MANIFEST.csv. Skips without it."""
    value = os.environ.get("SCIWORLD_MIRROR", "")
    if not value:
        pytest.skip("real data: SCIWORLD_MIRROR is not set")
    if not (Path(value) / "MANIFEST.csv").is_file():
        pytest.skip(f"real data: SCIWORLD_MIRROR={value} has no MANIFEST.csv")
    return Path(value)


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a skipped test or module was skipped."""
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def fail_if_data_are_missing(report: pytest.TestReport | pytest.CollectReport) -> None:
    """With the mirror set, a skip for missing data is a failure: nobody may believe that the real files were read."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("SCIWORLD_MIRROR"):
        reason = skip_reason(report)
        if MISSING_DATA.search(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped although SCIWORLD_MIRROR is set: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_data_are_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_data_are_missing(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = Counter(skip_reason(report) for report in terminalreporter.stats.get("skipped", []))
    terminalreporter.section("skips", sep="-")
    terminalreporter.line(f"skipped: {sum(reasons.values())}")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:5d}  {reason}")


@pytest.fixture(scope="session")
def threads() -> Iterator[Any]:
    """A client of two Dask workers that are threads of this process: enough for all but what kills."""
    from distributed import Client

    with Client(
        processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0", set_as_default=False
    ) as client:
        yield client


@pytest.fixture(scope="module")
def benchmarks() -> Iterator[Callable[..., SimpleNamespace]]:
    """Imports modules of the benchmarks by name; the path, and the families known to checkpoints, are put back."""
    from sciworld import models

    before, known = list(sys.path), dict(models.MODELS)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
    yield lambda *names: SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    sys.path[:] = before
    models.MODELS.clear()
    models.MODELS.update(known)
