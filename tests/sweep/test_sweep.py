"""A sweep keeps what is finished, runs what is missing, and says what failed."""

from __future__ import annotations

import functools
import json
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cells
import numpy as np
import pytest
import xarray as xr
import zarr
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.cluster import connect
from sciworld.errors import SettingsError, StoreError
from sciworld.sweep.cell import Job, pickled, run_cell
from sciworld.sweep.rows import DONE, FAILED, MISSING, Rows
from sciworld.sweep.space import Grid, Range, Samples
from sciworld.sweep.sweep import load, sweep
from sciworld.sweep.table import Record, Table

SPACE = {"dwell": [0.5, 2.0, 4.0], "kind": ["a", "bcd"]}


CAPTURED: dict[str, Any] = {"capture_output": True, "text": True, "check": True}
SCRIPT = """
import functools, sys
sys.path.insert(0, {tests!r})
import cells
from sciworld.sweep.sweep import sweep
if __name__ == "__main__":
    print("begun", flush=True)
    ds = sweep({function}, {{"x": range({n})}}, out={out!r}, workers=2)
    print(int((ds.status == 1).sum()), flush=True)
"""


def _script(folder: Path, function: str, n: int) -> list[str]:
    """A command that sweeps into folder/o with two processes, and prints how many cells are done."""
    path = folder / "script.py"
    path.write_text(SCRIPT.format(tests=str(Path(__file__).parent), function=function, n=n, out=str(folder / "o")))
    return [sys.executable, str(path)]


@pytest.fixture
def log(tmp_path: Path) -> str:
    return str(tmp_path / "log")


def files(out: Path, column: str) -> list[Path]:
    return sorted(path for path in (out / column / "c").rglob("*") if path.is_file())


def test_results_have_labels_dtypes_and_places(threads: Client, tmp_path: Path) -> None:
    ds = sweep(cells.product, SPACE, out=tmp_path / "o", client=threads)
    assert ds.rate.dims == ("dwell", "kind")
    assert ds.kind.values.tolist() == ["a", "bcd"]
    assert ds.rate.sel(dwell=4.0, kind="bcd") == 12.0
    assert ds["count"].dtype == np.int64 and ds["count"].sel(kind="bcd").values.tolist() == [2**60 + 3] * 3
    assert ds.odd.dtype == bool and ds.odd.all()
    assert ds.profile.dims == ("dwell", "kind", "profile_0", "profile_1") and ds.profile.dtype == np.float32
    assert ds.profile.sel(dwell=0.5, kind="a", profile_0=4, profile_1=6) == 17.0
    assert (ds.status == DONE).all() and (ds.seconds >= 0).all() and (ds.traceback == "").all()
    assert ds.attrs == {"function": "cells:product", "sweep_seed": 0}
    xr.testing.assert_identical(ds, load(tmp_path / "o"))


def test_the_table_is_plain_zarr(threads: Client, tmp_path: Path) -> None:
    ds = sweep(cells.product, SPACE, out=tmp_path / "o", client=threads)
    plain = xr.open_zarr(tmp_path / "o", consolidated=False).load()
    for name in ("rate", "count", "odd", "profile", "status", "seconds"):
        np.testing.assert_array_equal(plain[name], ds[name])
        assert (plain[name].dims, plain[name].dtype) == (ds[name].dims, ds[name].dtype)
    assert [plain.kind.attrs["labels"][code] for code in plain.kind.values] == ["a", "bcd"]
    assert "labels" not in plain.dwell.attrs
    group = zarr.open_group(tmp_path / "o", mode="r")
    assert {name for name, _ in group.arrays()} == {*plain.variables}
    assert [name for name, _ in group.groups()] == ["sweep"]
    assert xr.open_datatree(tmp_path / "o", engine="zarr", consolidated=False)["/rate"].shape == (3, 2)  # type: ignore[arg-type]


def test_samples_lie_along_cells(threads: Client, tmp_path: Path, log: str) -> None:
    ranges = {"x": Range(1, 10**6, integer=True)}
    one = functools.partial(cells.logged, log=log)
    first = sweep(one, Samples(5, ranges), out=tmp_path / "o", client=threads)
    assert first.value.dims == ("cell",) and first.x.dims == ("cell",) and first.x.dtype == np.int64
    more = sweep(one, Samples(8, ranges), out=tmp_path / "o", client=threads)
    xr.testing.assert_identical(more.isel(cell=slice(5)), first)
    assert sum(cells.executions(log).values()) == 8
    plain = xr.open_zarr(tmp_path / "o", consolidated=False)
    assert set(plain.coords) == {"cell", "x"}
    np.testing.assert_array_equal(plain.x, more.x)


def test_a_finished_sweep_runs_nothing(threads: Client, tmp_path: Path, log: str) -> None:
    one = functools.partial(cells.logged, log=log)
    first = sweep(one, {"x": range(6)}, out=tmp_path / "o", client=threads)
    # Without a client: no cluster is needed to find that nothing is missing.
    xr.testing.assert_identical(sweep(one, {"x": range(6)}, out=tmp_path / "o"), first)
    assert cells.executions(log) == dict.fromkeys(range(6), 1)


@settings(max_examples=12)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=8, unique=True), st.data())
def test_what_runs_is_all_minus_what_is_finished(threads: Client, values: list[int], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder) / "o", f"{folder}/log"
        one = functools.partial(cells.logged, log=log)
        first = sweep(one, {"x": values}, out=out, client=threads)
        lost = [x for x in values if data.draw(st.booleans())]
        for x in lost:
            (out / "status" / "c" / str(values.index(x))).unlink()
        more = data.draw(st.lists(st.integers(30, 40), max_size=3, unique=True))
        order = data.draw(st.permutations([*values, *more]))
        again = sweep(one, {"x": order}, out=out, client=threads)
        assert again.x.values.tolist() == list(order)
        assert cells.executions(log) == {x: 1 + (x in lost) for x in order}
        kept = [x for x in values if x not in lost]
        xr.testing.assert_identical(again.sel(x=kept), first.sel(x=kept))


@pytest.mark.parametrize("column", ["status", "value", "seconds", "row_crc32"])
@pytest.mark.parametrize("damage", ["cut", "grown", "other", "gone"])
def test_a_damaged_row_is_run_again_and_reported(
    threads: Client, tmp_path: Path, log: str, column: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = functools.partial(cells.logged, log=log)
    first = sweep(one, {"x": range(3)}, out=tmp_path / "o", client=threads)
    file = files(tmp_path / "o", column)[1]
    content = file.read_bytes()
    file.write_bytes(
        {"cut": content[:-1], "grown": content + b"\1", "gone": b""}.get(damage, bytes(b ^ 3 for b in content))
    )
    if damage == "gone":
        file.unlink()
    if (damage, column) != ("gone", "status"):  # without a status there is no row
        assert load(tmp_path / "o").status.values.tolist() == [DONE, MISSING, DONE]
        assert "damaged" in caplog.text and str(tmp_path) in caplog.text
    with caplog.at_level(logging.WARNING):
        again = sweep(one, {"x": range(3)}, out=tmp_path / "o", client=threads)
    assert cells.executions(log) == {0: 1, 1: 2, 2: 1}
    assert (again.status == DONE).all()
    xr.testing.assert_identical(again.isel(x=[0, 2]), first.isel(x=[0, 2]))


def test_a_row_of_two_writers_is_noticed(threads: Client, tmp_path: Path, log: str) -> None:
    one = functools.partial(cells.logged, log=log)
    for folder in ("o", "other"):
        sweep(one, {"x": range(2)}, out=tmp_path / folder, client=threads)
    value, other = (files(tmp_path / folder, "value")[0] for folder in ("o", "other"))
    value.write_bytes(other.read_bytes())
    assert load(tmp_path / "o").status.values.tolist() == [MISSING, DONE]


def failing(x: int) -> float:
    if x == 1:
        raise ValueError("one too many")
    if x == 2:
        sys.exit("no more")
    return x


def test_failures_are_rows_with_their_traceback(threads: Client, tmp_path: Path) -> None:
    ds = sweep(failing, {"x": range(5)}, out=tmp_path / "o", client=threads)
    assert ds.status.values.tolist() == [DONE, FAILED, FAILED, DONE, DONE]
    text = ds.traceback.sel(x=1).item()
    assert "ValueError: one too many" in text and "in failing" in text and "_run" not in text
    assert "SystemExit: no more" in ds.traceback.sel(x=2).item()
    assert np.isnan(ds.value.values[1:3]).all()
    [group] = [
        g for _, g in zarr.open_group(tmp_path / "o/sweep/failures", mode="r").groups() if g.attrs["index"] == [1]
    ]
    assert group.attrs["arguments"] == {"x": 1} and group.attrs["traceback"] == text


def test_failures_run_again_only_when_asked(threads: Client, tmp_path: Path) -> None:
    mended = tmp_path / "mended"

    def broken(x: int) -> float:
        assert x != 1 or mended.exists()
        return x

    for retry, expected in ((False, FAILED), (True, FAILED)):
        ds = sweep(broken, {"x": range(3)}, out=tmp_path / "o", client=threads, retry_failed=retry)
        assert ds.status.values.tolist() == [DONE, expected, DONE]
    mended.touch()
    assert sweep(broken, {"x": range(3)}, out=tmp_path / "o", client=threads).status[1] == FAILED
    ds = sweep(broken, {"x": range(3)}, out=tmp_path / "o", client=threads, retry_failed=True)
    assert (ds.status == DONE).all() and (ds.traceback == "").all()


def test_cells_that_return_otherwise_fail(threads: Client, tmp_path: Path) -> None:
    def odd(x: int) -> Any:
        return [
            {"a": 1, "b": np.zeros(3)},
            {"a": 2.5, "b": np.zeros(4)},
            {"a": 2.5},
            {"a": "text", "b": np.zeros(3)},
            {"x": 1},
            {},
            None,
            {"a": 2**53 + 1, "b": np.zeros(3)},
            {"a": 1j, "b": np.zeros(3)},
            {"a": np.zeros((0, 2)), "b": np.zeros(3)},
            {"a": 2, "b": np.ones(3)},
        ][x]

    sweep(odd, {"x": [0]}, out=tmp_path / "o", client=threads)
    ds = sweep(odd, {"x": range(11)}, out=tmp_path / "o", client=threads)
    assert ds.status.values.tolist() == [DONE, *[FAILED] * 9, DONE]
    says = [
        "",
        "b (float64 of 4)",
        "this cell returned a (float64)",
        "'a' is str",
        "named 'x'",
        "no values",
        "NoneType",
    ]
    says += ["no float64 holds", "complex128", "not empty", ""]
    for text, expected in zip(ds.traceback.values, says, strict=True):
        assert expected in text
    assert ds.a.dtype == np.float64 and ds.b.values[-1].tolist() == [1, 1, 1]


def test_columns_bind_nobody_once_no_cell_is_finished(threads: Client, tmp_path: Path) -> None:
    shape = {"n": 2}

    def grown(x: int) -> np.ndarray:
        return np.ones(shape["n"]) * x

    sweep(grown, {"x": [1]}, out=tmp_path / "o", client=threads)
    files(tmp_path / "o", "status")[0].unlink()
    shape["n"] = 3
    assert sweep(grown, {"x": [1]}, out=tmp_path / "o", client=threads).value.values.tolist() == [[1, 1, 1]]


def test_seeds_are_the_cells_own(threads: Client, tmp_path: Path) -> None:
    one, two = (sweep(cells.draw, {"x": range(4)}, out=tmp_path / str(i), client=threads, seed=7) for i in range(2))
    np.testing.assert_array_equal(one.value, two.value)
    assert len(set(one.seed.values.tolist())) == 4 and one.seed.dims == ("x",)
    expected = [np.random.default_rng(seed).random() + x for x, seed in enumerate(one.seed.values)]
    assert one.value.values.tolist() == expected
    other = sweep(cells.draw, {"x": range(4)}, out=tmp_path / "other", client=threads, seed=8)
    assert not (other.value == one.value).any()
    given = sweep(cells.draw, {"x": [0], "seed": [1, 2]}, out=tmp_path / "given", client=threads)
    assert given.value.dims == ("x", "seed") and given.seed.values.tolist() == [1, 2]
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "0", consolidated=False).seed, one.seed)


def test_another_sweep_is_refused(threads: Client, tmp_path: Path) -> None:
    out = tmp_path / "o"
    sweep(cells.product, SPACE, out=out, client=threads)
    for function, space, seed, says in (
        (cells.product, {**SPACE, "dwell": [0.5]}, 0, "the folder's 'dwell' has 2.0, 4.0"),
        (functools.partial(cells.product, kind="a"), {"dwell": [1]}, 0, "function was cells:product, is cells:product"),
        (cells.product, SPACE, 1, "seed was 0, is 1"),
    ):
        with pytest.raises(SettingsError, match="holds another sweep") as error:
            sweep(function, space, out=out, client=threads, seed=seed)  # type: ignore[arg-type]
        assert says in str(error.value)
    assert (load(out).status == DONE).all()


def edit(file: Path, **changes: Any) -> None:
    """Change what a node's metadata say, or the attributes that they have."""
    node = json.loads(file.read_bytes())
    place = node if changes.keys() <= node.keys() else node["attributes"]
    place.update(changes)
    file.write_bytes(json.dumps(node).encode())


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("profile/zarr.json", {"shape": [3, 2, 7, 5]}),
        ("profile/zarr.json", {"data_type": "int32"}),
        ("rate/zarr.json", {"data_type": "int64"}),
        ("rate/zarr.json", {"shape": [3, 9]}),
        ("status/zarr.json", {"shape": [2]}),
        ("seconds/zarr.json", {"shape": None}),
        ("sweep/columns/zarr.json", {"columns": [["rate", "int64", []]]}),
        ("sweep/columns/zarr.json", {"columns": [["profile", "float32", [10**9, 7]]]}),
    ],
)
def test_a_column_of_another_kind_is_one_error(
    threads: Client, tmp_path: Path, file: str, changes: dict[str, Any]
) -> None:
    out = tmp_path / "o"
    ds = sweep(cells.product, SPACE, out=out, client=threads)
    right = (out / file).read_bytes()
    edit(out / file, **changes)
    name = f"{changes.get('columns', [[Path(file).parts[0]]])[0][0]}/zarr.json"
    cure = "give the same sweep again" if changes.get("shape") == [3, 9] else "delete it and sweep again"
    with pytest.raises(StoreError, match=f"{name}: .*; .*{cure}") as error:
        load(out)
    assert file in str(error.value)
    if changes.get("shape") not in ([3, 9], [2]):  # the first dimensions are the space's, which a sweep writes anew
        with pytest.raises(StoreError, match=name):
            sweep(cells.product, SPACE, out=out, client=threads)
    if "columns" in changes:  # the cure
        (out / file).write_bytes(right)
    else:
        (out / file).unlink()
    xr.testing.assert_identical(sweep(cells.product, SPACE, out=out, client=threads), ds)
    xr.testing.assert_identical(load(out), ds)


def test_an_extension_that_was_stopped_goes_on(
    threads: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill after the table knows of its new cells, and before its columns do."""
    out = tmp_path / "o"
    sweep(failing, {"x": [0]}, out=out, client=threads)
    with monkeypatch.context() as patch:
        patch.setattr(Rows, "describe", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sweep(failing, {"x": [0, 3]}, out=out, client=threads)
    with pytest.raises(
        StoreError, match=r"a sweep is giving it more values, or was stopped .*give the same sweep again"
    ):
        load(out)
    assert sweep(failing, {"x": [0, 3]}, out=out, client=threads).value.values.tolist() == [0, 3]


def test_columns_that_bind_nobody_go_before_what_names_them(
    threads: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the two leaves no column of the old kind under a new name."""
    out, wide = tmp_path / "o", [False]

    def one(x: int) -> np.ndarray:
        return np.ones(3 if wide[0] else 2)

    sweep(one, {"x": [0]}, out=out, client=threads)
    files(out, "status")[0].unlink()
    removed, rmtree = [], shutil.rmtree

    def once(path: Path, ignore_errors: bool = False) -> None:
        assert not removed, "killed"
        removed.append(path)
        rmtree(path, ignore_errors)

    with monkeypatch.context() as patch, pytest.raises(AssertionError, match="killed"):
        patch.setattr("sciworld.sweep.table.shutil.rmtree", once)
        sweep(one, {"x": [0]}, out=out, client=threads)
    wide[0] = True
    assert sweep(one, {"x": [0]}, out=out, client=threads).value.shape == (1, 3)
    assert xr.open_zarr(out, consolidated=False).value.shape == (1, 3)


def test_other_folders_are_left_alone(threads: Client, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    for out in (tmp_path, tmp_path / "a file"):
        with pytest.raises(SettingsError, match="choose"):
            sweep(failing, {"x": [0]}, out=out, client=threads)
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]
    with pytest.raises(StoreError, match="no sweep is there"):
        load(tmp_path)


INFINITE = b'{"attributes": {"sciworld_sweep": 9, "columns": [["value", "float64", [Infinity]]]}}'


@pytest.mark.parametrize("file", ["zarr.json", "sweep/columns/zarr.json"])
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'{"attributes": {"sciworld_sweep": 9, "columns": [1]}}', INFINITE]
)
def test_a_damaged_header_is_one_error(threads: Client, tmp_path: Path, file: str, content: bytes) -> None:
    sweep(failing, {"x": [0]}, out=tmp_path / "o", client=threads)
    (tmp_path / "o" / file).write_bytes(content)
    for use in (lambda: load(tmp_path / "o"), lambda: sweep(failing, {"x": [0]}, out=tmp_path / "o", client=threads)):
        with pytest.raises(StoreError, match=r"zarr\.json"):
            use()
    assert len(files(tmp_path / "o", "status")) == 1


@pytest.mark.parametrize(
    ("function", "options", "says"),
    [
        (failing, {"workers": 2}, "leave them out"),
        (failing, {"seed": -1}, "seed is -1"),
        (failing, {"seed": True}, "seed is True; use an integer"),
        (failing, {"seed": 2**63}, "at most 9223372036854775807"),
        (failing, {"threads": 0}, "threads is 0"),
        (failing, {"threads": 2**31}, "at most 2147483647"),
        (cells.draw, {"seed": np.int64(3), "threads": np.uint8(1)}, None),
        (cells.draw, {}, None),
        (cells.product, {}, "cannot be called with x"),
        (threading.Lock(), {}, "no function"),
        (functools.partial(cells.logged, log=threading.Lock()), {}, "cannot be sent to workers"),
        (functools.partial(cells.logged, log=np.zeros(2**20)), {}, "MiB along"),
    ],
)
def test_settings_are_checked_first(
    threads: Client, tmp_path: Path, function: Any, options: dict[str, Any], says: str | None
) -> None:
    if says is None:
        sweep(function, {"x": [0]}, out=tmp_path / "o", client=threads, **options)
        return
    with pytest.raises(SettingsError, match=says):
        sweep(function, {"x": [0]}, out=tmp_path / "o", client=threads, **options)
    assert not (tmp_path / "o").exists()


def test_no_scheduler_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciworld.cluster.connect.SECONDS_TO_CONNECT", 0.2)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(SettingsError, match="no Dask scheduler answers"):
            sweep(failing, {"x": [0]}, out=tmp_path / "o", client=address)


def test_a_second_sweep_of_the_folder_is_refused(threads: Client, tmp_path: Path, log: str) -> None:
    one = functools.partial(cells.slow, log=log, seconds=0.3)
    running = threading.Thread(target=lambda: sweep(one, {"x": [0, 1]}, out=tmp_path / "o", client=threads))
    running.start()
    try:
        while not cells.executions(log):
            time.sleep(0.01)
        with pytest.raises(StoreError, match="another process sweeps there"):
            sweep(one, {"x": [0, 1]}, out=tmp_path / "o", client=threads)
    finally:
        running.join()
    assert (sweep(one, {"x": [0, 1]}, out=tmp_path / "o", client=threads).status == DONE).all()
    assert cells.executions(log) == {0: 1, 1: 1}


def test_a_retry_looks_at_the_table_first(tmp_path: Path, log: str) -> None:
    """A worker that dies between writing and reporting: Dask runs the cell again, the table says no."""
    one = functools.partial(cells.logged, log=log)
    with Table.held(tmp_path / "o", Record("a", 0, False, Grid({"x": [0, 1]}))) as table:
        job = Job(table.rows, pickled(one), False)
        for expected in (True, False):
            assert [run_cell(job, cell).ran for cell in table.cells()] == [expected, expected]
    assert cells.executions(log) == {0: 1, 1: 1}


def test_a_cell_that_kills_its_worker_fails_and_its_neighbours_do_not(tmp_path: Path, log: str) -> None:
    ran = subprocess.run(_script(tmp_path, f"functools.partial(cells.deadly, log={log!r})", 12), **CAPTURED)
    assert ran.stdout.split() == ["begun", "11"]
    # A process of Dask's that is told to end while it begins may say so at length: none of it is of ours.
    assert "sciworld/sweep" not in ran.stderr
    [said] = [line for line in ran.stderr.splitlines() if "cells failed" in line]
    assert said.startswith("1 of 12 cells failed, such as by the worker died each of the 3 times")
    ds = load(tmp_path / "o")
    assert ds.status.values.tolist() == [FAILED if x == 3 else DONE for x in range(12)]
    assert "the worker died each of the 3 times" in ds.traceback.sel(x=3).item()
    assert cells.executions(log) == {x: {3: 3, 5: 2}.get(x, 1) for x in range(12)}


def test_processes_of_its_own_are_capped_hold_resources_and_end(tmp_path: Path) -> None:
    before = dict(os.environ)

    def own(x: int) -> dict[str, float]:  # not importable: it travels as it is
        threads = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS")
        return {"pid": os.getpid(), "threads": sum(float(os.environ[name]) for name in threads)}

    ds = sweep(own, {"x": range(4)}, out=tmp_path / "o", workers=2, resources={"GPU": 1})
    assert dict(os.environ) == before
    assert (ds.threads == 3).all() and os.getpid() not in ds.pid
    for pid in ds.pid.values:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_an_interrupt_while_processes_begin_ends_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clusters, begin = [], connect._cluster

    def interrupted(*arguments: Any) -> LocalCluster:
        threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT)).start()  # a process takes longer than that
        clusters.append(begin(*arguments))
        return clusters[0]

    monkeypatch.setattr(connect, "_cluster", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(failing, {"x": range(4)}, out=tmp_path / "o", workers=2)
    assert multiprocessing.active_children() == [] and clusters[0].status.name == "closed"


def test_the_address_of_a_scheduler_will_do(tmp_path: Path) -> None:
    with LocalCluster(
        processes=False, protocol="tcp", n_workers=1, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        ds = sweep(failing, {"x": range(4)}, out=tmp_path / "o", client=cluster.scheduler_address)
    assert ds.status.values.tolist() == [DONE, FAILED, FAILED, DONE]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, log: str, number: signal.Signals) -> None:
    out = tmp_path / "o"
    script = _script(tmp_path, f"functools.partial(cells.slow, log={log!r}, seconds=0.05)", 60)
    # In a session of its own: an interrupt reaches its workers too, as on a terminal.
    run = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    while len(finished := files(out, "status") if (out / "status" / "c").exists() else []) < 5:
        assert run.poll() is None, run.communicate()
        time.sleep(0.01)
    if number == signal.SIGINT:
        os.killpg(run.pid, number)
    else:
        run.kill()
    _, errors = run.communicate(timeout=20)
    assert number == signal.SIGKILL or (errors.count(b"KeyboardInterrupt") == 1 and run.returncode == -signal.SIGINT), (
        errors
    )
    finished = files(out, "status")
    kept = load(out)
    assert 5 <= len(finished) < 60 and (kept.status == DONE).sum() == len(finished)
    time.sleep(0.3)
    begun = cells.executions(log)
    again = subprocess.run(script, **CAPTURED)
    assert again.stdout.split() == ["begun", "60"] and again.stderr == ""
    after = cells.executions(log)
    done = kept.x.values[kept.status.values == DONE]
    assert all(after[x] == begun[x] == 1 for x in done)
    np.testing.assert_array_equal(load(out).value.sel(x=done), kept.value.sel(x=done))
