"""Windows stay inside recordings, leave out what is unknown, and keep every pixel in its place when cropped."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
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
from sciworld.crop import Crop
from sciworld.errors import RecordingError, SettingsError, StoreError
from sciworld.loader import Mixture
from sciworld.store import Store
from sciworld.stored import held_bytes
from sciworld.windows import Batch, Windows


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


@settings(max_examples=20)
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
        "words": ((2, 0), "int64"),
    }
    np.testing.assert_array_equal(batch.index, [20, 0])
    assert (windows.shape, windows.dtype, windows.view_units) == ((toy.Y, toy.X, 2), np.float32, "mm")
    assert (windows.channels, windows.controls, windows.covariates) == (toy.CHANNELS, toy.CONTROLS, toy.COVARIATES)
    assert repr(batch) == (
        f"Batch of 2 windows: frames float32 (2, 5, {toy.Y}, {toy.X}, 2), controls float32 (2, 4, 3), "
        "covariates float32 (2, 1)"
    )
    assert repr(batch.to("cpu")) == repr(batch)
    assert repr(windows) == (
        f"21 windows of 2 + 3 frames of {toy.Y} x {toy.X} x 2 float32: channels smoke (counts), heat (K); "
        "controls fan_x (mm), fan_y (mm), mode; covariates size (mm)"
    )


@pytest.mark.parametrize("ids", [[21], [-1], [0, 21], [], np.array([2**64 - 1], dtype=np.uint64)])
def test_ids_that_no_window_has_are_refused(store: Store, ids: Any) -> None:
    windows = Windows(store, 2, 3)
    for source in (windows, Mixture([windows])):
        with pytest.raises(IndexError, match=r"ids are .*; use one or more of 0 to 20"):
            source.batch(ids)


@pytest.mark.parametrize(
    "ids", [[0.0], [True, False], [1, True], np.zeros(21, bool), [[0, 1]], [[0], [1, 2]], "01", [None], 0.5, [10**30]]
)
def test_ids_are_integers_in_a_row(store: Store, ids: Any) -> None:
    windows = Windows(store, 2, 3)
    for source in (windows, Mixture([windows])):
        with pytest.raises(SettingsError, match=r"ids: .*; give integers in a row"):
            source.batch(ids)
        with pytest.raises(SettingsError, match=r"windows: recordings: .*; give integers in a row"):
            Windows(store, 1, 1, recordings=ids)


@pytest.mark.parametrize("draw", [-1, 2**64, "a", None, [1, 2, 3], [[1], [2, 3]]])
def test_wrong_draws_are_refused(store: Store, draw: Any) -> None:
    windows = Windows(store, 1, 1, crop=(3, 4))
    for source in (windows, Mixture([windows])):
        with pytest.raises(SettingsError, match=r"draw is .*; use an integer in 0..2\*\*64 - 1, or 2 of them"):
            source.batch([0, 1], draw)


@pytest.mark.parametrize("engine", ["tensorstore", "zarr"])
@pytest.mark.parametrize("crop", [None, (3, 7), (toy.Y, 1)])
def test_frames_are_the_same_from_memory_and_from_disk(store: Store, engine: str, crop: tuple[int, int] | None) -> None:
    held = Windows(store, 1, 2, crop=crop)
    read = Windows(Store.open(store.path, engine), 1, 2, memory_bytes=0, crop=crop)
    ids = np.random.default_rng(0).permutation(len(held))
    one, other = held.batch(ids, draw=5), read.batch(ids, draw=5)
    assert one.frames.dtype == other.frames.dtype
    assert one.frames.shape[2:4] == (crop or (toy.Y, toy.X))
    for name, value in vars(one).items():
        np.testing.assert_array_equal(getattr(other, name), value)


def test_what_is_held_in_memory_is_bounded_over_all_windows(tmp_path: Path) -> None:
    stores = [Store.create(tmp_path / f"{number}.zarr") for number in range(2)]
    for store in stores:
        store.append([toy.make(11)])
    one, other = (store.parts[0].array("frames") for store in stores)
    before = held_bytes([])
    limit = before + one.nbytes + other.nbytes - 1
    first = Windows(stores[0], 1, 1, memory_bytes=limit)
    assert held_bytes([]) == before + one.nbytes
    Windows(stores[0], 1, 2, memory_bytes=limit)
    assert held_bytes([]) == before + one.nbytes  # the same frames count once
    second = Windows(stores[1], 1, 1, memory_bytes=limit)
    assert held_bytes([]) == before + one.nbytes
    np.testing.assert_array_equal(first.batch([3]).frames, second.batch([3]).frames)
    Windows(stores, 1, 1, memory_bytes=limit + 1)
    assert held_bytes([]) == before + one.nbytes + other.nbytes


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
    assert batch.frames.data_ptr() == frames.ctypes.data  # the CPU copies nothing


def test_to_cuda_goes_through_pinned_memory_without_waiting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.clone())
        return pinned[-1]

    def to(tensor: torch.Tensor, device: str, non_blocking: bool = False) -> torch.Tensor:
        assert any(tensor is known for known in pinned)
        assert (torch.device(device).type, non_blocking) == ("cuda", True)
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    batch = Windows(store, 1, 1).batch([3, 1])
    moved = batch.to("cuda:1")
    assert len(pinned) == 7
    for name, value in vars(batch).items():
        np.testing.assert_array_equal(getattr(moved, name).numpy(), value)
        assert getattr(moved, name).numpy().dtype == value.dtype


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
@pytest.mark.parametrize("odd", [0, -1, 2.0, math.nan, True, "2", None, [1], np.arange(2), 2**31, 10**30])
def test_wrong_lengths_are_refused(store: Store, name: str, odd: Any) -> None:
    message = f"windows: {name} is {re.escape(repr(odd))}; use an integer, at least 1 and at most 2147483647"
    with pytest.raises(SettingsError, match=message):
        Windows(store, **({"context": 1, "horizon": 1} | {name: odd}))
    with pytest.raises(SettingsError, match="memory_bytes is -1"):
        Windows(store, 1, 1, memory_bytes=-1)


def test_lengths_that_no_recording_has_are_refused(store: Store) -> None:
    most = 2**31 - 1
    with pytest.raises(RecordingError, match=f"none of {2 * most} frames in 5 recordings of at most 11"):
        Windows(store, most, most)
    assert len(Windows(store, np.int64(1), np.uint8(1), stride=most)) == 4  # the first of each recording


@pytest.mark.parametrize("odd", ["store", 5, None, [], ["store"]])
def test_what_is_no_store_is_refused(odd: Any) -> None:
    with pytest.raises(SettingsError, match=r"is no store; open it with Store.open"):
        Windows(odd, 1, 1)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"context": 1, "horizon": 2}, "context"),
        ({"stride": 3}, "stride"),
        ({"crop": (3, 4)}, "crop"),
        ({"crop": (3, 4), "crop_at": "centre"}, "crop"),
        ({"recordings": [0, 1]}, "windows"),
    ],
)
def test_other_windows_have_another_identity(store: Store, changes: dict[str, Any], name: str) -> None:
    # With this length and any stride from 2 on each recording has but its first window.
    plain, other = (Windows(store, **({"context": 2, "horizon": 8, "stride": 2} | more)) for more in ({}, changes))
    one, two = plain.identity(), other.identity()
    assert json.loads(json.dumps(one)) == one == Windows(store, 2, 8, stride=2, memory_bytes=0).identity()
    assert one[name] != two[name]
    assert plain.fingerprint() != other.fingerprint()
    assert one["windows"] == two["windows"] or name in ("windows", "context", "crop")


@pytest.mark.parametrize(
    "change",
    [
        lambda ds: ds.assign_attrs(session="another"),
        lambda ds: ds.assign_attrs(source="another"),
        lambda ds: ds.isel(x=slice(5)),
        lambda ds: ds.assign(frames=ds["frames"].astype(np.float64)),
        lambda ds: ds.assign(covariates=ds["covariates"] + 0.5),
        lambda ds: ds.assign(controls=ds["controls"] * [0.5, 1, 1]),
        lambda ds: ds.assign_coords(time=ds["time"] + 1.0),
    ],
)
def test_windows_of_other_recordings_have_another_identity(tmp_path: Path, change: Any) -> None:
    found = []
    for name, ds in (("one", toy.make(5)), ("two", change(toy.make(5)))):
        made = Store.create(tmp_path / name)
        made.append([ds])
        found.append(Windows(made, 1, 1).identity()["windows"])
    assert found[0] != found[1]


def test_parts_that_are_joined_leave_the_identity_of_what_was_chosen(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.zarr")
    for seed in range(4):
        store.append([toy.make(5, seed)])
    before = Windows(store, 1, 1, recordings=[1, 3]).identity()
    store.compact()
    assert len(store.parts) == 1
    assert Windows(store, 1, 1, recordings=[1, 3]).identity() == before


# Crops


PIXELS = ColumnTable(
    (
        Column("p_y", "pixel", 0.0, 4.0, group="p", axis="y", frame="pixel"),
        Column("gas", "1"),
        Column("p_x", "pixel", 0.0, 6.0, group="p", axis="x", frame="pixel"),
        Column("q_x", "nm", group="q", axis="x", frame="lab"),
        Column("q_y", "nm", group="q", axis="y", frame="lab"),
    )
)


def placed(seed: int, t: int = 11, z: int = 0) -> xr.Dataset:
    """Frames of 5 x 7 pixels with a number of their own each, under a sheared view that moves with every frame.

    The position p, in pixels, is on a pixel, q in the laboratory; the covariate s is a position in pixels too.
    """
    rng = np.random.default_rng(seed)
    shape = (t, z, 5, 7, 2) if z else (t, 5, 7, 2)
    frames = rng.permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    view = np.array([0.5, 0.1, 3.0, -0.2, 0.4, -7.0]) + rng.uniform(-0.05, 0.05, (t, 6))
    controls = rng.uniform(size=(t, 5))
    controls[:, 0], controls[:, 2] = rng.integers(5, size=t), rng.integers(7, size=t)
    controls[-1] = np.nan
    texts = {"session": "s", "source": "-", "licence": "-", "citation": "-", "history": "-"}
    return recording.make(
        frames,
        np.arange(float(t)),
        channels=ColumnTable((Column("a", "1"), Column("b", "1"))),
        controls=controls,
        control_table=PIXELS,
        covariates={"s_x": 6.0, "s_y": 1.0},
        covariate_table=ColumnTable(
            tuple(Column(f"s_{axis}", "pixel", group="s", axis=axis, frame="pixel") for axis in "xy")
        ),
        view=view,
        view_units="nm",
        **texts,
    )


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.create(tmp_path_factory.mktemp("places") / "s.zarr")
    store.append([placed(0), placed(1)])
    return store


def pixels_in_lab(batch: Batch) -> np.ndarray:
    """Where every pixel is in the laboratory : (b, t, y, x, 2)."""
    *_, y, x, _ = batch.frames.shape
    row, column = np.mgrid[:y, :x]
    v = batch.view[..., None, None, :]
    at = [v[..., i] * column + v[..., i + 1] * row + v[..., i + 2] for i in (0, 3)]
    return np.stack(at, axis=-1)


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 7), st.sampled_from(["random", "centre"]), st.integers(0, 2**64 - 1))
def test_a_point_of_the_laboratory_shows_the_same_in_a_crop(places: Store, y: int, x: int, at: str, draw: int) -> None:
    windows = Windows(places, 2, 1, moving_view=True, crop=(y, x), crop_at=at)
    whole = Windows(places, 2, 1, moving_view=True)
    ids = np.arange(len(whole))
    crop, full = windows.batch(ids, draw), whole.batch(ids)
    assert crop.frames.shape == (len(ids), 3, y, x, 2)
    assert windows.shape == (y, x, 2)
    np.testing.assert_array_equal(crop.controls[..., [1, 3, 4]], full.controls[..., [1, 3, 4]])
    np.testing.assert_array_equal(crop.view[..., [0, 1, 3, 4]], full.view[..., [0, 1, 3, 4]])
    lab, seen = pixels_in_lab(full), pixels_in_lab(crop)
    for b, t in np.ndindex(len(ids), 3):
        distance = np.linalg.norm(seen[b, t][:, :, None, None] - lab[b, t], axis=-1)
        nearest = distance.reshape(y, x, -1).argmin(axis=-1)
        assert distance.min(axis=(2, 3)).max() < 1e-12
        np.testing.assert_array_equal(full.frames[b, t].reshape(-1, 2)[nearest], crop.frames[b, t])
        if t < 2:  # a position in pixels is the same pixel: that of the same place in the laboratory
            v, w = crop.view[b, t], full.view[b, t]
            for table, one, other in (
                (windows.controls, crop.controls[b, t], full.controls[b, t]),
                (windows.covariates, crop.covariates[b], full.covariates[b]),
            ):
                i, j = next(iter(table.positions().values()))
                before = w[0] * other[i] + w[1] * other[j] + w[2], w[3] * other[i] + w[4] * other[j] + w[5]
                after = v[0] * one[i] + v[1] * one[j] + v[2], v[3] * one[i] + v[4] * one[j] + v[5]
                np.testing.assert_allclose(after, before, atol=1e-12)
    for name in ("p_x", "p_y"):
        column = windows.controls[name]
        assert column.low is not None
        assert column.high is not None
        values = crop.controls[..., windows.controls.index(name)]
        assert column.low <= values.min()
        assert values.max() <= column.high


def test_bounds_of_positions_in_pixels_move_with_the_crop(places: Store) -> None:
    bounds = {}
    for at in ("random", "centre"):
        windows = Windows(places, 1, 1, moving_view=True, crop=(2, 4), crop_at=at)
        bounds[at] = [(column.low, column.high) for column in windows.controls]
    assert bounds["random"] == [(-3.0, 4.0), (None, None), (-3.0, 6.0), (None, None), (None, None)]
    assert bounds["centre"] == [(-1.0, 3.0), (None, None), (-1.0, 5.0), (None, None), (None, None)]


def test_a_random_crop_depends_on_its_window_and_draw_alone(places: Store) -> None:
    windows = Windows(places, 1, 1, moving_view=True, crop=(2, 3))
    ids = np.arange(len(windows))
    one, other = windows.batch(ids, 7), windows.batch(ids[::-1], np.full(len(ids), 7))
    np.testing.assert_array_equal(one.frames, other.frames[::-1])
    assert (windows.batch(ids, 8).frames != one.frames).any(axis=(1, 2, 3, 4)).mean() > 0.5
    corners = Crop.of((2, 3), "random", (5, 7, 2)).corners(np.arange(2000), 7)
    found, counts = np.unique(corners, axis=0, return_counts=True)
    assert found.tolist() == [[row, column] for row in range(4) for column in range(5)]
    assert counts.min() > 60  # of 100
    assert (Crop.of((2, 3), "centre", (5, 7, 2)).corners(np.arange(2), 7) == [1, 2]).all()


def test_a_volume_is_cropped_across_and_keeps_its_depth(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.zarr")
    store.append([placed(0, z=3)])
    windows = Windows(store, 1, 1, moving_view=True, crop=(3, 4), crop_at="centre", memory_bytes=0)
    full = Windows(store, 1, 1, moving_view=True).batch([2, 5])
    assert windows.shape == (3, 3, 4, 2)
    np.testing.assert_array_equal(windows.batch([2, 5]).frames, full.frames[..., 1:4, 1:5, :])


@pytest.mark.parametrize(
    ("crop", "at", "message"),
    [
        ((6, 3), "random", r"crop is \(6, 3\), of frames of 5 x 7"),
        ((3, 8), "random", "crop is"),
        ((0, 3), "random", "crop is"),
        ((3,), "random", "crop is"),
        (3, "random", "crop is 3"),
        ((10**30, 3), "random", r"crop \(y, x\): \(10"),
        ((2.0, 3), "random", r"crop \(y, x\): \(2.0, 3\); give integers"),
        ((math.nan, 3), "random", r"crop \(y, x\)"),
        ((True, 3), "random", r"crop \(y, x\)"),
        ("ab", "random", r"crop \(y, x\): 'ab'"),
        ([[1, 2]], "random", r"crop \(y, x\)"),
        ((3, 3), ["centre"], r"crop_at is \['centre'\]"),
        ((3, 3), "left", "crop_at is 'left'; use one of random, centre"),
    ],
)
def test_wrong_crops_are_refused(places: Store, crop: Any, at: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Windows(places, 1, 1, moving_view=True, crop=crop, crop_at=at)


def test_other_crops_have_another_fingerprint(places: Store) -> None:
    prints = {
        Windows(places, 1, 1, moving_view=True, crop=crop, crop_at=at).fingerprint()
        for crop, at in ((None, "random"), ((3, 4), "random"), ((4, 3), "random"), ((3, 4), "centre"))
    }
    assert len(prints) == 4


@pytest.mark.parametrize("engine", ["tensorstore", "zarr"])
def test_a_crop_reads_only_the_chunks_that_it_touches(tmp_path: Path, engine: str) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, 300, 2500, 1), dtype=np.uint8)
    texts = {"session": "s", "source": "-", "licence": "-", "citation": "-", "history": "-"}
    store = Store.create(tmp_path / "s.zarr")
    store.append([recording.make(frames, np.arange(2.0), channels=ColumnTable((Column("a", "1"),)), **texts)])
    array = store.parts[0].array("frames")
    [(file, _)] = array.shards()
    content = bytearray(file.read_bytes())
    content[5] ^= 255  # within one of the chunks
    file.write_bytes(content)
    array = Store.open(store.path, engine).parts[0].array("frames")
    damaged = 0
    for column in range(0, 2500, array.shape[2] // 4):  # one in each chunk
        region = (slice(0, 2), slice(290, 300), slice(column, column + 10))
        try:
            np.testing.assert_array_equal(array.read([region])[0], frames[region])
        except StoreError as error:
            assert f"{file}: damaged" in str(error)
            damaged += 1
    assert damaged == 1


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
