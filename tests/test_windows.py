"""Windows stay inside recordings and leave out what is unknown; a resumed loader gives the very same batches."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import CheckpointError, RecordingError, SettingsError, StoreError
from sciworld.store import Store
from sciworld.windows import Batch, Loader, Windows


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two parts; recordings of 11, 11, 11, 4 and 1 frames."""
    made = Store.create(tmp_path_factory.mktemp("windows") / "toy.zarr")
    made.append([toy.make(11, seed) for seed in range(3)])
    made.append([toy.make(4, 3), toy.make(1, 4)])
    return made


def expected(ds: xr.Dataset, length: int, stride: int, unknown: bool, moving: bool) -> list[int]:
    """First frames of the windows of a recording, one by one."""
    found = []
    for start in range(0, ds.sizes["time"] - length + 1, stride):
        window = ds.isel(time=slice(start, start + length))
        known = not np.isnan(window["controls"].values[:-1]).any() and np.isfinite(window["frames"].values).all()
        still = (window["view"].values == window["view"].values[0]).all()
        if (known or unknown) and (still or moving):
            found.append(start)
    return found


@st.composite
def holed(draw: st.DrawFn) -> xr.Dataset:
    """A toy recording with unknown controls, damaged frames and re-centred views here and there."""
    frames = draw(st.integers(1, 12))
    ds = toy.make(frames, draw(st.integers(0, 99)))
    for name in ("controls", "frames"):
        for row in draw(st.lists(st.integers(0, frames - 1), max_size=2)):
            ds[name][row, 0] = np.nan
    for row in draw(st.lists(st.integers(0, frames - 1), max_size=1)):
        ds["view"][row:, 2] += 1.0
    return ds


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.lists(holed(), min_size=1, max_size=3), min_size=1, max_size=2),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
def test_windows_are_those_found_one_by_one(
    tmp_path_factory: pytest.TempPathFactory,
    groups: list[list[xr.Dataset]],
    context: int,
    horizon: int,
    stride: int,
    unknown: bool,
    moving: bool,
) -> None:
    store = Store.create(tmp_path_factory.mktemp("property") / "s.zarr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)  # waiting for the disk is half of the time
        for group in groups:
            store.append(group)
    length = context + horizon
    wanted = [
        ds.isel(time=slice(start, start + length))
        for ds in itertools.chain.from_iterable(groups)
        for start in expected(ds, length, stride, unknown, moving)
    ]
    if not wanted:
        with pytest.raises(RecordingError, match="shorten context"):
            Windows(store, context, horizon, stride=stride, unknown=unknown, moving_view=moving)
        return
    windows = Windows(store, context, horizon, stride=stride, unknown=unknown, moving_view=moving)
    batch = windows.batch(np.arange(len(windows)))
    assert len(batch) == len(wanted)
    for index, ds in enumerate(wanted):
        np.testing.assert_array_equal(batch.frames[index], ds["frames"])
        np.testing.assert_array_equal(batch.controls[index], ds["controls"].values[:-1].astype(np.float32))
        np.testing.assert_array_equal(batch.time[index], ds["time"])
        np.testing.assert_array_equal(batch.view[index], ds["view"])
        np.testing.assert_array_equal(batch.covariates[index], ds["covariates"].values.astype(np.float32))


def test_a_batch_has_the_documented_arrays(store: Store) -> None:
    windows = Windows(store, 2, 3)
    assert len(windows) == 3 * 7
    batch = windows.batch([20, 0])
    shapes = {name: (value.shape, value.dtype.name) for name, value in vars(batch).items()}
    assert shapes == {
        "frames": ((2, 5, toy.Y, toy.X, 2), "float32"),
        "controls": ((2, 4, 3), "float32"),
        "time": ((2, 5), "float64"),
        "view": ((2, 5, 6), "float64"),
        "covariates": ((2, 1), "float32"),
        "index": ((2,), "int64"),
    }
    np.testing.assert_array_equal(batch.index, [20, 0])
    assert (windows.shape, windows.dtype, windows.view_units) == ((toy.Y, toy.X, 2), np.float32, "mm")
    assert (windows.channels, windows.controls, windows.covariates) == (toy.CHANNELS, toy.CONTROLS, toy.COVARIATES)
    with pytest.raises(IndexError):
        windows.batch([21])
    with pytest.raises(IndexError):
        windows.batch([-1])


@pytest.mark.parametrize("engine", ["tensorstore", "zarr"])
def test_frames_are_the_same_from_memory_and_from_disk(store: Store, engine: str) -> None:
    held = Windows(store, 1, 2)
    read = Windows(Store.open(store.path, engine), 1, 2, memory_bytes=0)
    ids = np.random.default_rng(0).permutation(len(held))
    one, other = held.batch(ids), read.batch(ids)
    assert one.frames.dtype == other.frames.dtype
    np.testing.assert_array_equal(one.frames, other.frames)


@pytest.mark.parametrize("dtype", recording.FRAME_DTYPES)
def test_tensors_keep_the_dtype_of_the_frames(dtype: str) -> None:
    frames = np.array([0, 1, 255]).astype(dtype).reshape(1, 3, 1, 1, 1)
    if dtype == "uint16":
        frames[:] = 65535
    zeros = np.zeros((1, 3))
    batch = Batch(frames, zeros, zeros, zeros, zeros, np.arange(1)).to("cpu")
    assert isinstance(batch, Batch)
    assert batch.frames.dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(batch.frames.float().numpy(), frames.astype(np.float32))
    assert all(isinstance(value, torch.Tensor) for value in vars(batch).values())


def test_only_the_chosen_recordings_are_used(store: Store) -> None:
    windows = Windows(store, 1, 1, recordings=[1, 3])
    assert len(windows) == 10 + 3
    batch = windows.batch(np.arange(13))
    assert set(batch.covariates[:, 0].tolist()) == {np.float32(store[i]["covariates"].item()) for i in (1, 3)}
    with pytest.raises(SettingsError, match=r"recordings 5..5 of 5"):
        Windows(store, 1, 1, recordings=[5])
    with pytest.raises(RecordingError, match="no recordings"):
        Windows(store, 1, 1, recordings=[])


def test_several_stores_of_one_kind_are_joined(store: Store, tmp_path: Path) -> None:
    other = Store.create(tmp_path / "other.zarr")
    other.append([toy.make(11, 8)])
    windows = Windows([store, other], 1, 1)
    assert len(windows) == 33 + 10
    np.testing.assert_array_equal(windows.batch([42]).frames[0], other[0]["frames"][9:])
    assert len(Windows([store, other], 1, 1, recordings=[[0], None])) == 20
    with pytest.raises(SettingsError, match="one array each"):
        Windows([store, other], 1, 1, recordings=[[0]])


def test_recordings_without_controls_have_none_in_the_batch(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.zarr")
    store.append([toy.make().drop_vars(["controls", "covariates"])])
    batch = Windows(store, 1, 1).batch([0, 1])
    assert batch.controls.shape == (2, 1, 0)
    assert batch.covariates.shape == (2, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.assign(frames=ds["frames"].astype(np.float64)), "dtype float64"),
        (lambda ds: ds.isel(x=slice(5)), "frame shape"),
        (lambda ds: ds.drop_vars("controls"), "table of controls"),
        (lambda ds: ds.drop_vars("covariates"), "table of covariates"),
    ],
)
def test_stores_of_two_kinds_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    store = Store.create(tmp_path / "s.zarr")
    store.append([toy.make(), change(toy.make())])
    with pytest.raises(RecordingError, match=f"part-00000001 has the {message}.*one kind"):
        Windows(store, 1, 1)
    assert len(Windows(store, 1, 1, recordings=[1])) == 10


def test_no_windows_says_why(store: Store, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="none of 12 frames in 5 recordings of at most 11 frames"):
        Windows(store, 6, 6)
    ds = toy.make(4)
    ds["controls"][:] = np.nan
    ds["covariates"][:] = np.nan
    ds["view"][:, 2] += np.arange(4)
    unknown = Store.create(tmp_path / "s.zarr")
    unknown.append([ds])
    with pytest.raises(RecordingError, match="3: 3 has unknown controls, 3 has unknown covariates, 3 moves its view"):
        Windows(unknown, 1, 1)
    assert len(Windows(unknown, 1, 1, unknown=True, moving_view=True)) == 3


@pytest.mark.parametrize("name", ["context", "horizon", "stride"])
def test_wrong_lengths_are_refused(store: Store, name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is 0"):
        Windows(store, **({"context": 1, "horizon": 1} | {name: 0}))


def test_damage_is_reported_when_a_batch_is_read(store: Store, tmp_path: Path) -> None:
    broken = Store.create(tmp_path / "s.zarr")
    broken.append([toy.make()])
    windows = Windows(broken, 1, 1, memory_bytes=0)
    file = next(iter(broken.parts[0].array("frames").shards()))[0]
    file.write_bytes(file.read_bytes()[:100])
    with Loader(windows, 2, 0) as loader:
        for _ in range(2):
            with pytest.raises(StoreError, match=f"{file}: damaged"):
                next(loader)
        assert loader.state()["batch"] == 0


# Statistics


def test_statistics_are_those_of_all_windows(store: Store) -> None:
    windows = Windows(store, 2, 1)
    batch = windows.batch(np.arange(len(windows)))
    found = windows.statistics()
    np.testing.assert_allclose(found.mean, batch.frames.mean(axis=(0, 1, 2, 3), dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(found.scale, batch.frames.std(axis=(0, 1, 2, 3), dtype=np.float64), rtol=1e-9)
    np.testing.assert_allclose(found.control_mean[:2], batch.controls[..., :2].mean(axis=(0, 1), dtype=np.float64))
    np.testing.assert_allclose(found.control_scale[:2], batch.controls[..., :2].std(axis=(0, 1), dtype=np.float64))
    assert (found.control_mean[2], found.control_scale[2]) == (0.0, 1.0)
    assert found.view_step == toy.PITCH


def test_statistics_stand_large_offsets_constants_and_gaps(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = np.stack([1e9 + rng.normal(size=(40, 5, 7)), np.full((40, 5, 7), 0.1)], axis=-1)
    frames[4, 2, 2] = np.nan
    channels = ColumnTable((Column("a", "1"), Column("b", "1")))
    texts = {"session": "s", "source": "-", "licence": "-", "citation": "-", "history": "-"}
    view = np.array([0.3, 0.1, 0, -0.1, 0.3, 0])
    ds = recording.make(frames, np.arange(40.0), channels=channels, view=view, view_units="A", **texts)
    store = Store.create(tmp_path / "s.zarr")
    store.append([ds])
    found = Windows(store, 1, 1, unknown=True).statistics()
    assert found.mean == pytest.approx((1e9, 0.1), abs=0.1)
    assert found.scale == pytest.approx((1.0, 1.0), abs=0.05)
    assert found.view_step == pytest.approx(np.sqrt(0.1))
    assert found.control_mean == ()


# Loader


def take(loader: Loader, count: int) -> list[list[int]]:
    return [batch.index.tolist() for batch in itertools.islice(loader, count)]


def test_an_epoch_is_a_permutation_and_each_is_another(store: Store) -> None:
    windows = Windows(store, 1, 1)  # 33
    with Loader(windows, 3, seed=0) as loader:
        first, second = take(loader, 11), take(loader, 11)
        assert loader.epoch == 2.0
    assert sorted(itertools.chain(*first)) == list(range(33))
    assert sorted(itertools.chain(*second)) == list(range(33))
    assert first != second
    with Loader(windows, 3, seed=1) as other:
        assert take(other, 11) != first


def test_no_batch_is_short_even_if_the_store_is_small(store: Store) -> None:
    windows = Windows(store, 1, 10)  # 3
    with Loader(windows, 7, seed=0) as loader:
        stream = list(itertools.chain(*take(loader, 3)))
    assert len(stream) == 21
    assert all(sorted(stream[i : i + 3]) == [0, 1, 2] for i in range(0, 21, 3))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 30), st.integers(1, 40), st.integers(0, 3), st.integers(1, 3), st.integers(1, 3))
def test_a_resumed_loader_goes_on_with_the_same_batches(
    store: Store, done: int, batch_size: int, seed: int, threads: int, other_threads: int
) -> None:
    windows = Windows(store, 1, 1)
    with Loader(windows, batch_size, seed, threads) as loader:
        take(loader, done)
        state = json.loads(json.dumps(loader.state()))
        wanted = [next(loader) for _ in range(4)]
        loader.restore(state)
        assert take(loader, 4) == [batch.index.tolist() for batch in wanted]
    with Loader(Windows(store, 1, 1, memory_bytes=0), batch_size, seed, other_threads) as resumed:
        resumed.restore(state)
        for batch in wanted:
            again = next(resumed)
            for name, value in vars(batch).items():
                np.testing.assert_array_equal(getattr(again, name), value)


def test_a_state_of_another_loader_is_refused(store: Store) -> None:
    windows = Windows(store, 1, 1)
    with Loader(windows, 3, seed=0) as loader:
        state = loader.state()
    for other, name in (
        (Loader(windows, 4, seed=0), "batch_size"),
        (Loader(windows, 3, seed=1), "seed"),
        (Loader(Windows(store, 1, 2), 3, seed=0), "windows"),
        (Loader(Windows(store, 1, 1, recordings=[0, 1]), 3, seed=0), "windows"),
    ):
        with other, pytest.raises(CheckpointError, match=f"loader: {name} is"):
            other.restore(state)
    with pytest.raises(SettingsError, match="threads is 0"):
        Loader(windows, 3, seed=0, threads=0)


def test_compaction_does_not_change_what_a_loader_gives(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.zarr")
    for seed in range(3):
        store.append([toy.make(5, seed)])
    with Loader(Windows(store, 1, 1), 4, seed=0) as loader:
        take(loader, 2)
        state, wanted = loader.state(), take(loader, 5)
    store.compact()
    with Loader(Windows(store, 1, 1), 4, seed=0) as loader:
        loader.restore(state)
        assert take(loader, 5) == wanted
