"""What a cell does with a function that raises, forks, returns what no column holds, or is another than before."""

from __future__ import annotations

import functools
import linecache
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cells
import numpy as np
import pytest
import xarray as xr
from distributed import Client

from sciworld.sweep.cell import source_of
from sciworld.sweep.rows import DONE, FAILED
from sciworld.sweep.sweep import load, sweep


class Own(BaseException):
    """Of a library that lets nobody catch it by accident."""


RAISED = (ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, Own)


def raising(x: int) -> float:
    if x < len(RAISED):
        raise RAISED[x]("no more")
    return x


def test_whatever_a_function_raises_is_a_failed_row(threads: Client, tmp_path: Path) -> None:
    ds = sweep(raising, {"x": range(7)}, out=tmp_path / "o", client=threads)
    assert ds.status.values.tolist() == [*[FAILED] * len(RAISED), DONE, DONE]
    for kind, text in zip(RAISED, ds.traceback.values.tolist(), strict=False):
        assert text.strip().endswith(f"{kind.__name__}: no more") and "in raising" in text and "_run" not in text


def test_a_cell_that_only_an_interrupt_failed_runs_again_when_asked(threads: Client, tmp_path: Path) -> None:
    mended = tmp_path / "mended"

    def interrupting(x: int) -> float:
        if not mended.exists():
            raise KeyboardInterrupt
        return x

    assert sweep(interrupting, {"x": [4]}, out=tmp_path / "o", client=threads).status.values.tolist() == [FAILED]
    mended.touch()
    again = sweep(interrupting, {"x": [4]}, out=tmp_path / "o", client=threads, retry_failed=True)
    assert again.value.values.tolist() == [4]


def test_the_end_says_what_failed(threads: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):  # at the second time nothing is run
        sweep(raising, {"x": [3, 0, 9]}, out=tmp_path / "o", client=threads)
        [said] = [record.getMessage() for record in caplog.records]
        assert said == (
            "2 of 3 cells failed, such as by GeneratorExit: no more; sweep again with retry_failed to run them again"
        )
        caplog.clear()
    sweep(raising, {"x": [8, 9]}, out=tmp_path / "all is well", client=threads)
    assert not caplog.records


def test_text_that_is_no_unicode_is_kept(threads: Client, tmp_path: Path) -> None:
    def length(name: str) -> float:
        if name == "bad":
            raise FileNotFoundError("run\udcff.h5, a\0b")
        return len(name)

    names = ["bad", "run\udcff.h5", "a\0b", ""]
    ds = sweep(length, {"name": names}, out=tmp_path / "o", client=threads)
    assert ds.status.values.tolist() == [FAILED, DONE, DONE, DONE]
    assert ds.traceback.values[0].endswith("FileNotFoundError: run\\udcff.h5, a\0b\n")
    for table in (ds, load(tmp_path / "o")):
        assert table.name.values.tolist() == names
        assert table.value.sel(name="run\udcff.h5") == 7 and table.value.sel(name="a\0b") == 3
    plain = xr.open_zarr(tmp_path / "o", consolidated=False)
    assert [plain["name"].attrs["labels"][code] for code in plain["name"].values] == names


def test_masked_arrays_are_refused(threads: Client, tmp_path: Path) -> None:
    def masked(x: int) -> Any:
        values = np.ma.array([1.0, 2.0, 3.0], mask=[False, x == 0, False])
        return [values, {"value": [[values], [values]]}, np.ma.masked, values.filled(np.nan)][x]

    ds = sweep(masked, {"x": range(4)}, out=tmp_path / "o", client=threads)
    assert ds.status.values.tolist() == [FAILED, FAILED, FAILED, DONE]
    assert all("'value' is a masked array" in text and "numpy.nan" in text for text in ds.traceback.values[:3])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_writes_no_row(threads: Client, tmp_path: Path) -> None:
    def forking(x: int) -> float:
        child = os.fork()
        if not child:
            if x == 3:
                return 1e9
            raise [ValueError("of the child"), SystemExit(), SystemExit(5)][x]
        until = time.monotonic() + 5
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(child, 9)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    ds = sweep(forking, {"x": range(4)}, out=tmp_path / "o", client=threads)
    assert ds.status.values.tolist() == [DONE] * 4
    assert ds.value.values.tolist() == [1, 0, 5, 0]


def defined(body: str, name: str) -> Callable[..., Any]:
    """A function of that body, whose source can be had as that of a notebook's cell can."""
    text = f"def cell(x):\n    return {body}\n"
    space: dict[str, Any] = {"__name__": "a_notebook"}
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    exec(compile(text, name, "exec"), space)
    made: Callable[..., Any] = space["cell"]
    return made


def test_a_changed_function_is_said(threads: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, same, other = defined("x", "<a>"), defined("x", "<b>"), defined("x + 100", "<c>")
    for function, x, mixed in ((first, [0], False), (same, [0, 1], False), (other, [0, 1, 2], True)):
        ds = sweep(function, {"x": x}, out=tmp_path / "o", client=threads)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == mixed and all("source of a_notebook:cell" in text for text in said)
    assert ds.value.values.tolist() == [0, 1, 102]


def test_sources_are_had_where_there_are_any() -> None:
    assert source_of(functools.partial(cells.slow, seconds=1.0)) == source_of(cells.slow) != source_of(cells.logged)
    assert source_of(cells.slow) != ""
    assert source_of(len) == source_of(lambda x: x) == source_of(np.sin) == ""
