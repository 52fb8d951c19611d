"""A store gives back what went in, bit by bit, whatever happens to its writers."""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import files, parts, recording, shards, stored, writing
from sciworld import store as store_module
from sciworld.controls import Column, ColumnTable
from sciworld.errors import RecordingError, SettingsError, StoreError
from sciworld.store import Store

Y, X = 5, 7
TEXTS = {"source": "a test", "licence": "CC0", "citation": "none"}


def same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Assert that two recordings are the same to the bit: -0.0 is not 0.0, and a NaN has its payload."""
    assert set(one.variables) == set(other.variables)
    assert set(one.coords) == set(other.coords)
    assert json.dumps(one.attrs, sort_keys=True) == json.dumps(other.attrs, sort_keys=True)
    for name in one.variables:
        a, b = one.variables[name], other.variables[name]
        assert (a.dims, a.shape, a.dtype) == (b.dims, b.shape, b.dtype), name
        assert np.ascontiguousarray(a.values).tobytes() == np.ascontiguousarray(b.values).tobytes(), name
        assert json.dumps(a.attrs, sort_keys=True) == json.dumps(b.attrs, sort_keys=True), name


@st.composite
def recordings(draw: st.DrawFn) -> xr.Dataset:
    """Any bits as pixels: NaN with payloads, -0.0, infinities, subnormals, and frames of one value."""
    dtype = np.dtype(draw(st.sampled_from(recording.FRAME_DTYPES)))
    volume = draw(st.sampled_from([(), (3,)]))
    shape = (
        draw(st.integers(1, 20)),
        *volume,
        draw(st.integers(1, 6)),
        draw(st.integers(1, 6)),
        draw(st.integers(1, 3)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits = rng.integers(0, 256, int(np.prod(shape)) * dtype.itemsize, dtype=np.uint8)
    frames = np.frombuffer(bits.tobytes(), dtype).reshape(shape)
    if draw(st.booleans()):
        frames = np.full(
            shape, draw(st.sampled_from([0.0, -0.0, np.nan, np.inf, 7.0])) if dtype.kind == "f" else 0, dtype
        )
    optional: dict[str, Any] = {}
    if draw(st.booleans()):
        controls = rng.normal(size=(shape[0], 2))
        controls[rng.random(controls.shape) < 0.3] = np.nan
        controls[-1] = np.nan
        optional |= {"controls": controls, "control_table": ColumnTable((Column("a", "V"), Column("b", "µm")))}
    if draw(st.booleans()):
        entries = draw(st.integers(0, 4))
        log = (rng.normal(size=entries), np.zeros(entries), np.full(entries, -0.0))
        optional |= {"logs": log, "log_table": ColumnTable((Column("c", "1"),))}
    return recording.make(
        frames,
        np.cumsum(rng.uniform(0.1, 2.0, shape[0])),
        channels=ColumnTable(tuple(Column(f"channel {i}", "1") for i in range(shape[-1]))),
        session=draw(st.sampled_from(["a", "b"])),
        history=draw(st.text(max_size=5)),
        **TEXTS,
        **optional,
    )


@settings(max_examples=20)
@given(st.lists(recordings(), max_size=3))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, wanted: list[xr.Dataset]) -> None:
    path = tmp_path_factory.mktemp("round") / "s.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)  # waiting for the disk is half of the time
        store = Store.create(path)
        names = store.append(wanted)
    assert len(names) == len({parts.kind(ds) for ds in wanted})
    assert len(store) == len(wanted)
    # Regrouped by kind, in order within a kind.
    kinds = list(dict.fromkeys(map(parts.kind, wanted)))
    order = sorted(range(len(wanted)), key=lambda i: (kinds.index(parts.kind(wanted[i])), i))
    for engine in stored.ENGINES:
        opened = Store.open(path, engine)
        for index, ds in enumerate(opened):
            same(ds, recording.check(wanted[order[index]]))
            same(opened[index - len(opened)], ds)
    store.check()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.create(tmp_path / "toy.zarr")
    made.append(toy.recordings(5))
    return made


def test_nothing_appended_changes_nothing(store: Store) -> None:
    before = sorted(store.path.rglob("*"))
    assert store.append([]) == []
    assert sorted(store.path.rglob("*")) == before
    assert len(Store.create(store.path)) == 5


def test_a_path_may_go_up_and_down(store: Store, tmp_path: Path) -> None:
    roundabout = tmp_path / ".." / tmp_path.name / os.path.relpath(store.path, tmp_path)
    same(Store.open(roundabout)[0], store[0])


def test_an_empty_store_is_a_store(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "empty.zarr")
    assert (len(store), store.parts, store.sessions(), list(store)) == (0, (), [], [])
    store.check()
    assert store.compact() == []
    assert "0 recordings" in repr(store)
    with pytest.raises(IndexError):
        store[0]


def test_further_cameras_and_variables_come_back(store: Store) -> None:
    ds = toy.make(3)
    ds["frames_side"] = (("time", "y_side", "x_side", "channel_side"), np.ones((3, 2, 4, 1), np.uint8))
    ds["frames_side"].attrs["columns"] = ColumnTable((Column("grey", "counts"),)).to_json()
    ds["view_side"] = ds["view"].copy()
    ds["line_time"] = ((), 1e-3, {"units": "s"})
    ds["valve"] = ("time", np.array([True, False, True]))
    store.append([ds])
    same(store[5], ds)


def test_attributes_keep_their_type(store: Store) -> None:
    wanted = toy.recordings(3)
    for ds, gain in zip(wanted, (1, 1.0, True), strict=True):
        ds.attrs["gain"] = gain
    store.append(wanted)
    for index, ds in enumerate(wanted):
        same(store[5 + index], ds)


def test_xarray_reads_a_part_without_us(store: Store) -> None:
    (part,) = store.parts
    with xr.open_zarr(store.path, group=part.name, consolidated=False) as ds:
        assert ds["row_size"].attrs["sample_dimension"] == "time"
        np.testing.assert_array_equal(ds["row_size"], [11] * 5)
        np.testing.assert_array_equal(ds["frames"][11:22], store[1]["frames"])
        assert ds.attrs["Conventions"] == "CF-1.11"
    with xr.open_datatree(store.path, engine="zarr", consolidated=False) as tree:
        assert tree.groups == ("/", f"/{part.name}")


def test_repr_lists_the_parts(store: Store) -> None:
    assert "5 recordings, 55 frames, 1 parts" in repr(store)
    table = store._repr_html_()
    assert "part-00000000" in table
    assert "y 8 x x 12 x channel 2" in table
    assert "float32" in table


# Layout


@settings(max_examples=200)
@given(
    st.tuples(st.integers(0, 10**6), st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 64)),
    st.sampled_from([1, 2, 4, 8]),
    st.booleans(),
)
def test_chunks_and_shards_stay_within_their_sizes(shape: tuple[int, ...], itemsize: int, frames: bool) -> None:
    chunk = writing.chunk_shape(shape, itemsize, frames)
    shard = writing.shard_shape(shape, chunk, itemsize)
    assert np.prod(chunk) * itemsize <= writing.CHUNK_BYTES
    assert np.prod(shard) * itemsize <= writing.SHARD_BYTES
    assert all(s % c == 0 and s - c < max(n, 1) for s, c, n in zip(shard, chunk, shape, strict=True))
    assert not frames or chunk[0] <= writing.CHUNK_FRAMES


@pytest.mark.parametrize(
    ("shape", "itemsize", "chunk", "shard"),
    [
        ((23000, 32, 32, 1), 2, (16, 32, 32, 1), (23008, 32, 32, 1)),
        ((100, 512, 512, 1), 2, (16, 256, 512, 1), (112, 512, 512, 1)),
        ((100, 256, 256, 3), 4, (5, 256, 256, 3), (85, 256, 256, 3)),
        ((5, 4096, 4096, 1), 4, (16, 256, 256, 1), (16, 256, 4096, 1)),
    ],
)
def test_layout_of_usual_frames(shape: tuple[int, ...], itemsize: int, chunk: tuple[int, ...], shard: tuple) -> None:
    assert writing.chunk_shape(shape, itemsize) == chunk
    assert writing.shard_shape(shape, chunk, itemsize) == shard


def test_a_thousand_small_recordings_are_one_shard(tmp_path: Path) -> None:
    many = [toy.make(3, seed) for seed in range(100)]
    store = Store.create(tmp_path / "many.zarr")
    store.append(many)
    (part,) = store.parts
    assert len(list(part.array("frames").shards())) == 1
    same(store[57], many[57])


def test_many_shards_are_written_and_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SHARD_BYTES", 16 * toy.Y * toy.X * 2 * 4)
    wanted = toy.recordings(7)
    store = Store.create(tmp_path / "s.zarr")
    store.append(wanted)
    assert len(list(store.parts[0].array("frames").shards())) == 5
    for ds, other in zip(store, wanted, strict=True):
        same(ds, other)


# Writers that die, or that meet


class Killed(Exception):  # noqa: N818
    """The writer's process ends here."""


def steps(monkeypatch: pytest.MonkeyPatch, error: Exception, fail_at: int) -> None:
    """Of all files and chunks written and all renames, let number `fail_at` raise `error` half done."""
    counter = itertools.count()

    def step() -> None:
        if next(counter) == fail_at:
            raise error

    write, rename, add = writing.write_file, os.rename, shards._Shard.add

    def counted_write(path: Path, content: bytes) -> None:
        try:
            step()
        except Exception:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content[: len(content) // 2])
            raise
        write(path, content)

    def counted_rename(source: Path, target: Path) -> None:
        step()
        rename(source, target)

    def counted_add(shard: Any, place: tuple[int, ...], content: bytes) -> None:
        try:
            step()
        except Exception:
            content = content[: len(content) // 2]
            raise
        finally:
            add(shard, place, content)

    for module in (parts, writing):
        monkeypatch.setattr(module, "write_file", counted_write)
    monkeypatch.setattr(shards._Shard, "add", counted_add)
    monkeypatch.setattr(store_module.os, "rename", counted_rename)


def test_a_writer_killed_at_any_step_loses_nothing(store: Store) -> None:
    """Dying is simulated as an error after which nothing is cleaned up."""
    wanted = list(store)
    for fail_at in range(100):
        with pytest.MonkeyPatch.context() as patch:
            steps(patch, Killed(), fail_at)
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            try:
                store.append(toy.recordings(2, seed=fail_at))
            except Killed:
                pass
            else:
                break
        found = Store.open(store.path)
        assert len(found) == len(wanted)
        for ds, other in zip(found, wanted, strict=True):
            same(ds, other)
        store = found
    assert 10 < fail_at < 100
    assert len(store) == 7
    store.append(toy.recordings(1))
    assert len(Store.open(store.path)) == 8
    assert [path.name for path in store.path.parent.iterdir()] == ["toy.zarr"]


class Counting:
    """A watch that sums what it sees, slowly, and raises at a number of frames."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.seen: list[np.ndarray] = []
        self.fail_at = fail_at

    def see(self, name: str, block: np.ndarray) -> None:
        time.sleep(0.002)
        self.seen.extend(block.copy())
        if self.fail_at is not None and len(self.seen) > self.fail_at:
            raise RecordingError("enough")

    def finish(self, ds: xr.Dataset, finite: Any) -> xr.Dataset:
        return ds


@pytest.mark.parametrize("slow", ["put", "read"])
def test_watches_see_every_frame_in_order_whichever_thread_has_time(
    store: Store, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    monkeypatch.setattr(writing, "BLOCK_BYTES", 1)
    put = shards.Shards.put
    if slow == "put":
        monkeypatch.setattr(shards.Shards, "put", lambda *given: (time.sleep(0.004), put(*given))[1])
    given = [toy.make(frames=count, seed=count) for count in (70, 33, 1, 50)]
    watches = [Counting() for _ in given]
    store.append(given, watches)
    for ds, watch in zip(given, watches, strict=True):
        np.testing.assert_array_equal(np.stack(watch.seen), ds["frames"].values)
    for found, ds in zip(list(store)[-4:], given, strict=True):
        same(found, ds)


@pytest.mark.parametrize("fail_at", [0, 40, 69])
def test_a_watch_that_raises_ends_the_writing(store: Store, monkeypatch: pytest.MonkeyPatch, fail_at: int) -> None:
    monkeypatch.setattr(writing, "BLOCK_BYTES", 1)
    before, threads = len(store), threading.active_count()
    with pytest.raises(RecordingError, match="enough"):
        store.append([toy.make(frames=70)], [Counting(fail_at)])
    assert len(Store.open(store.path)) == before and threading.active_count() <= threads
    assert [path.name for path in store.path.parent.iterdir()] == ["toy.zarr"]


def test_every_folder_of_a_part_is_on_the_disk_before_it_is_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[str] = set()
    monkeypatch.setattr(store_module, "sync_folder", lambda folder: synced.add(folder.name))
    (name,) = store.append(toy.recordings(1))
    folders = {folder.name for folder in (store.path / name).rglob("*") if folder.is_dir()}
    assert {"frames", "time", "c"} <= folders <= synced and store.path.name in synced


@pytest.mark.parametrize("fail_at", [0, 5, 10])
def test_a_failed_write_leaves_nothing_and_says_so(store: Store, monkeypatch: pytest.MonkeyPatch, fail_at: int) -> None:
    with monkeypatch.context() as patch:
        steps(patch, OSError(28, "No space left on device"), fail_at)
        with pytest.raises(StoreError, match=r"toy\.zarr.*No space left.*free some space"):
            store.append(toy.recordings(2))
    assert [path.name for path in store.path.parent.iterdir()] == ["toy.zarr"]
    assert len(Store.open(store.path)) == 5


def test_a_file_size_limit_is_a_store_error(store: Store) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(StoreError, match=r"toy\.zarr.*cannot be written"):
            store.append(toy.recordings(20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(Store.open(store.path)) == 5
    store.append(toy.recordings(20))
    assert len(Store.open(store.path)) == 25


WRITER = """
import sys
import toy
from sciworld.store import Store
store, seed = Store.open(sys.argv[1]), int(sys.argv[2])
while True:
    (name,) = store.append(toy.recordings(3, seed=seed))
    print(name, seed, flush=True)
    seed += 3
"""


def test_killed_processes_lose_nothing_that_they_committed(tmp_path: Path) -> None:
    """Two writers at once, killed at random moments, twice."""
    rng, path = random.Random(0), tmp_path / "killed.zarr"
    Store.create(path)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    committed: dict[str, int] = {}
    for life in range(2):
        seeds = [(2 * life + writer) * 1000 for writer in range(2)]
        command = [sys.executable, "-W", "error", "-c", WRITER, str(path)]
        writers = [
            subprocess.Popen([*command, str(seed)], env=environment, stdout=subprocess.PIPE, text=True)
            for seed in seeds
        ]
        lines = []
        for writer in writers:
            assert writer.stdout
            lines.append(writer.stdout.readline())
            time.sleep(rng.uniform(0, 0.1))
            writer.kill()
            lines.extend(writer.stdout.read().splitlines())
            writer.wait()
            writer.stdout.close()
        committed |= {line.split()[0]: int(line.split()[1]) for line in lines if len(line.split()) == 2}
    store = Store.open(path)
    found = {part.name: part for part in store.parts}
    assert set(committed) <= set(found)
    assert len(committed) >= 4
    for name, seed in committed.items():
        for index, wanted in enumerate(toy.recordings(3, seed=seed)):
            same(found[name].read(index), wanted)
    store.check()
    count = len(store)
    store.append(toy.recordings(1))
    assert len(Store.open(path)) == count + 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["killed.zarr"]


def test_a_live_writer_keeps_its_stage(store: Store) -> None:
    with store_module._stage(store.path) as stage:
        (stage / "half").write_text("written")
        Store.open(store.path).append(toy.recordings(1))
        assert (stage / "half").read_text() == "written"
    assert len(Store.open(store.path)) == 6


def test_writers_that_want_the_same_name_both_get_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a file system without locks."""
    rename = os.rename
    monkeypatch.setattr(files, "fcntl", None)

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(store_module.os, "rename", rename)
        Store.open(store.path).append(toy.recordings(1, seed=50))
        rename(source, target)

    monkeypatch.setattr(store_module.os, "rename", late)
    assert store.append(toy.recordings(1, seed=60)) == ["part-00000002"]
    assert [part.name for part in store.parts] == ["part-00000000", "part-00000001", "part-00000002"]
    same(store[6], toy.recordings(1, seed=60)[0])


# Compaction


def test_compaction_keeps_every_recording_in_its_place(store: Store) -> None:
    odd = toy.make(4, 9)
    odd["frames"] = odd["frames"].astype(np.float64)
    store.append(toy.recordings(2, seed=20))
    store.append([odd])
    store.append(toy.recordings(2, seed=30))
    store.append(toy.recordings(1, seed=40))
    wanted = list(store)
    assert store.compact() == ["part-00000000-1", "part-00000003-1"]
    assert sorted(path.name for path in store.path.iterdir()) == [
        "part-00000000-1",
        "part-00000002",
        "part-00000003-1",
        "zarr.json",
    ]
    for found in (store, Store.open(store.path)):
        for ds, other in zip(found, wanted, strict=True):
            same(ds, other)
    assert store.compact() == []
    # No name is used twice: an older part's would be taken for one that was merged.
    assert store.append(toy.recordings(1)) == ["part-00000005"]
    assert len(Store.open(store.path)) == len(wanted) + 1


def test_compaction_killed_at_any_step_loses_nothing(store: Store) -> None:
    store.append(toy.recordings(2, seed=20))
    wanted = list(store)
    for fail_at in range(100):
        with pytest.MonkeyPatch.context() as patch:
            steps(patch, Killed(), fail_at)
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            try:
                store.compact()
            except Killed:
                continue
            break
    # The merged part is there and the old ones were not removed.
    assert len(list(store.path.glob("part-*"))) == 3
    found = Store.open(store.path)
    assert [part.name for part in found.parts] == ["part-00000000-1"]
    for ds, other in zip(found, wanted, strict=True):
        same(ds, other)
    found.append(toy.recordings(1, seed=70))
    found.compact()
    assert [path.name for path in store.path.glob("part-*")] == ["part-00000000-2"]
    assert len(Store.open(store.path)) == len(wanted) + 1


def test_large_parts_are_left_alone(store: Store) -> None:
    store.append(toy.recordings(2))
    assert store.compact(max_bytes=store.parts[0].nbytes) == []


def test_a_store_opened_before_a_compaction_says_so(store: Store) -> None:
    store.append(toy.recordings(2))
    before = Store.open(store.path)
    store.compact()
    with pytest.raises(StoreError, match="compacted"):
        before[0]


# Damage


def shard_of(store: Store, name: str = "frames") -> Path:
    return next(iter(store.parts[0].array(name).shards()))[0]


@pytest.mark.parametrize("engine", stored.ENGINES)
@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 0.999])
def test_a_damaged_shard_is_named(store: Store, engine: str, place: float) -> None:
    file = shard_of(store)
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 0x10
    file.write_bytes(content)
    opened = Store.open(store.path, engine)
    with pytest.raises(StoreError, match=f"{file}: damaged.*restore it"):
        opened.check()
    with pytest.raises(StoreError, match=f"{file}: damaged"):
        opened.parts[0].array("frames")[:]


@pytest.mark.parametrize("engine", stored.ENGINES)
def test_a_truncated_or_missing_shard_is_named(store: Store, engine: str) -> None:
    file = shard_of(store)
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(StoreError, match=str(file)):
        Store.open(store.path, engine)[0]
    file.unlink()
    with pytest.raises(StoreError, match=f"{file}: missing"):
        Store.open(store.path, engine)[0]
    with pytest.raises(StoreError, match=f"{file}: missing"):
        Store.open(store.path, engine).check()
    shutil.rmtree(file.parents[4])
    with pytest.raises(StoreError, match=r"frames/zarr\.json: missing"):
        Store.open(store.path, engine)[0]


@pytest.mark.parametrize("engine", stored.ENGINES)
def test_what_goes_under_an_open_store_never_reads_as_zeros(store: Store, engine: str) -> None:
    opened = Store.open(store.path, engine)
    array = opened.parts[0].array("frames")
    file = shard_of(store)
    file.unlink()
    with pytest.raises(StoreError, match=f"{file}: missing; if the store was compacted meanwhile open it anew"):
        array.read([(slice(0, 1),)])


def test_whoever_admits_a_part_sees_the_store_as_it_is(tmp_path: Path) -> None:
    def admit(store: Store) -> None:
        if len(store):
            raise RecordingError("there already")

    one, other = Store.create(tmp_path / "store"), Store.create(tmp_path / "store")
    ds = toy.recordings(1)[0]
    one.append([ds], admit=admit)
    with pytest.raises(RecordingError, match="there already"):
        other.append([ds], admit=admit)
    assert len(Store.open(tmp_path / "store")) == 1
    other.append([ds])
    assert len(Store.open(tmp_path / "store")) == 2 and not (tmp_path / ".store.staging").exists()


def test_a_path_that_can_be_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="choose another"):
        Store.create(tmp_path / ("n" * 300))


def test_other_parts_are_read_beside_a_damaged_one(store: Store) -> None:
    file = shard_of(store)
    file.write_bytes(b"")
    store = Store.open(store.path)
    store.append(toy.recordings(1, seed=3))
    same(store[5], toy.recordings(1, seed=3)[0])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"zarr_format": 3}', '{"attributes": {"replaces": []}}'])
def test_damaged_metadata_is_named(store: Store, content: str) -> None:
    file = store.parts[0].folder / "zarr.json"
    file.write_text(content)
    with pytest.raises(StoreError, match=f"{file}: .*move"):
        Store.open(store.path)


@pytest.mark.parametrize("node", [".", "part-00000000"])
def test_a_newer_schema_asks_for_an_upgrade(store: Store, node: str) -> None:
    file = store.path / node / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"]["sciworld_schema"] = stored.SCHEMA + 1
    file.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=f"{file}: schema 2.*upgrade sciworld"):
        Store.open(store.path)


def edit(file: Path, **attributes: Any) -> None:
    """Change attributes of a part's header by hand."""
    content = json.loads(file.read_text())
    content["attributes"] |= attributes
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "wrong",
    [
        {"replaces": ["../precious"]},
        {"replaces": [7]},
        {"replaces": "part-00000001"},
        {"replaces": ["part-00000000"]},
        {"arrays": ["../../precious", "row_size", "time"]},
        {"arrays": ["frames"]},
        {"recordings": [1, 2]},
        {"recordings": [{}]},
        {"shared": []},
        {"sha256": []},
    ],
)
def test_a_header_that_points_elsewhere_is_refused(store: Store, tmp_path: Path, wrong: dict[str, Any]) -> None:
    (tmp_path / "precious").mkdir()
    store.append(toy.recordings(2))
    file = store.parts[0].folder / "zarr.json"
    edit(file, **wrong)
    with pytest.raises(StoreError, match=f"{file}: not a part.*move it away"):
        Store.open(store.path).compact()
    assert (tmp_path / "precious").is_dir()


def test_a_name_that_is_no_folder_s_is_refused(store: Store) -> None:
    ds = toy.make(3)
    ds["../up"] = ((), 1.0)
    with pytest.raises(RecordingError, match=r"recording 0: '\.\./up' cannot name"):
        store.append([ds])


def test_a_part_without_its_header_is_named(store: Store) -> None:
    store.append(toy.recordings(2))
    (store.parts[0].folder / "zarr.json").unlink()
    with pytest.raises(StoreError, match=r"part-00000000/zarr\.json: missing.*move .*part-00000000 away"):
        Store.open(store.path)
    (store.path / "part-00000000").rename(store.path.parent / "away")
    assert len(Store.open(store.path)) == 2


def test_what_was_merged_may_be_half_removed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append(toy.recordings(2, seed=20))
    wanted = list(store)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        store.compact()
    shutil.rmtree(store.path / "part-00000000" / "time")
    (store.path / "part-00000001" / "zarr.json").unlink()
    found = Store.open(store.path)
    for ds, other in zip(found, wanted, strict=True):
        same(ds, other)
    assert found.append(toy.recordings(1)) == ["part-00000002"]
    found.compact()
    assert [path.name for path in store.path.glob("part-*")] == ["part-00000000-2"]


def test_an_append_beside_a_compaction_looks_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Store._look

    def late(self: Store, names: list[str]) -> dict[str, parts.Part]:
        if "part-00000001" in names:  # committed: now another process merges it
            monkeypatch.setattr(Store, "_look", look)
            self._parts = {}
            Store.open(self.path).compact()
        return look(self, names)

    monkeypatch.setattr(Store, "_look", late)
    assert store.append(toy.recordings(2)) == ["part-00000001"]
    assert [part.name for part in store.parts] == ["part-00000000-1"]


def test_metadata_of_an_array_have_a_checksum(store: Store) -> None:
    file = store.parts[0].folder / "frames" / "zarr.json"
    opened = Store.open(store.path)
    file.write_text(file.read_text().replace("float32", "int32"))
    for act in (opened.check, lambda: Store.open(store.path)[0]):
        with pytest.raises(StoreError, match=f"{file}: .*sha256 differs"):
            act()
    # Parts of old have no checksums, and are read as before.
    file.write_text(file.read_text().replace("int32", "float32"))
    header = json.loads((file.parents[1] / "zarr.json").read_text())
    del header["attributes"]["sha256"]
    (file.parents[1] / "zarr.json").write_text(json.dumps(header))
    same(Store.open(store.path)[0], toy.recordings(5)[0])
    Store.open(store.path).check()


@pytest.mark.parametrize("engine", stored.ENGINES)
@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("frames", "shape", [10**12, 8, 12, 2]),
        ("frames", "shape", [55.0, 8, 12, 2]),
        ("frames", "shape", None),
        ("frames", "data_type", "r7"),
        ("frames", "data_type", {"name": "x"}),
        ("frames", "dimension_names", []),
        ("frames", "codecs", [{"name": "none"}]),
        ("frames", "chunk_grid", {"configuration": {"chunk_shape": [0, 8, 12, 2]}}),
        ("time", "shape", [54]),
        ("row_size", "shape", [4]),
    ],
)
def test_damaged_metadata_of_an_array_are_named(
    store: Store, engine: str, name: str, field: str, value: object
) -> None:
    edit(store.parts[0].folder / "zarr.json", sha256={})
    file = store.parts[0].folder / name / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    with pytest.raises(StoreError, match=f"{file.parent}.*(restore|move)"):
        Store.open(store.path, engine)[0]


def test_metadata_that_nest_without_end_are_named(store: Store) -> None:
    file = store.parts[0].folder / "zarr.json"
    file.write_text("[" * 200_000)
    with pytest.raises(StoreError, match=str(file)):
        Store.open(store.path)


def test_sizes_that_do_not_sum_to_the_rows_are_named_on_opening(store: Store) -> None:
    edit(store.parts[0].folder / "zarr.json", recordings=[{}] * 4, shared={"session": "s", "source": ""})
    with pytest.raises(StoreError, match=r"row_size.*4 recordings with other sizes"):
        Store.open(store.path)


def test_what_is_no_store_is_refused_and_kept(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a store"):
        Store.open(tmp_path / "none.zarr")
    zarr.create_group(tmp_path / "other.zarr")
    with pytest.raises(StoreError, match="something else"):
        Store.create(tmp_path / "other.zarr")
    (tmp_path / "file.zarr").write_text("mine")
    with pytest.raises(StoreError, match="not a store"):
        Store.create(tmp_path / "file.zarr")
    assert (tmp_path / "file.zarr").read_text() == "mine"
    with pytest.raises(SettingsError, match="engine"):
        Store.open(tmp_path, engine="n5")


def test_a_wrong_recording_among_good_ones_appends_none(store: Store) -> None:
    good, bad, taken = toy.make(), toy.make(), toy.make()
    bad.attrs["session"] = ""
    taken["row_size"] = ((), 1)
    with pytest.raises(RecordingError, match="recording 1: attribute 'session'"):
        store.append([good, bad])
    with pytest.raises(RecordingError, match="recording 0: 'row_size'"):
        store.append([taken])
    assert len(Store.open(store.path)) == 5


# Splits


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.lists(st.floats(0.05, 1), min_size=1, max_size=4))
def test_no_session_is_in_two_splits(sessions: list[int], weights: list[float]) -> None:
    store = object.__new__(Store)
    store.path = Path("split.zarr")
    store.sessions = lambda: [str(s) for s in sessions]  # type: ignore[method-assign]
    fractions = [weight / sum(weights) for weight in weights]
    if len(set(sessions)) < len(fractions):
        with pytest.raises(StoreError, match="sessions for"):
            store.split(fractions, 0)
        return
    splits = [part.indices for part in store.split(fractions, 0)]
    assert sorted(np.concatenate(splits).tolist()) == list(range(len(sessions)))
    groups = [{sessions[i] for i in split} for split in splits]
    assert all(groups)
    assert sum(map(len, groups)) == len(set(sessions))
    for group, fraction in zip(groups, fractions, strict=True):
        assert abs(len(group) - fraction * len(set(sessions))) < len(fractions) + 1


def test_splits_depend_on_the_seed_alone_and_may_leave_some_out(store: Store) -> None:
    store.append([toy.make(2, i, f"more-{i}") for i in range(20)])
    one, two, other = ([part.indices.tolist() for part in store.split((0.5, 0.3), seed)] for seed in (1, 1, 2))
    assert one == two != other
    assert sum(map(len, one)) < len(store)


@pytest.mark.parametrize("fractions", [(), (0.5, 0.6), (1.0, 0.0), (-0.1, 0.5)])
def test_wrong_fractions_are_refused(store: Store, fractions: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError, match="fractions"):
        store.split(fractions, 0)


def test_a_store_that_another_process_makes_meanwhile_is_opened(tmp_path, monkeypatch):
    Store.create(tmp_path / "s").append([toy.make()])
    seen, exists = [], Store.exists

    def late(path):
        """Not there when it is first asked for."""
        seen.append(path)
        return len(seen) > 1 and exists(path)

    monkeypatch.setattr(Store, "exists", staticmethod(late))
    assert len(Store.create(tmp_path / "s")) == 1 and len(seen) > 1
