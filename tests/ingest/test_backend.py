"""`xarray.open_dataset(engine="sciworld")`: the same recordings as `open_recording` gives, lazily, also in chunks."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys

import dask.array
import h5py
import numpy as np
import pytest
import tifffile
import toy
import xarray as xr
from distributed import Client, LocalCluster

from sciworld import parts
from sciworld.errors import FormatError, SettingsError, StoreError
from sciworld.ingest.backend import SciworldBackend
from sciworld.ingest.open import open_recording, open_recordings
from sciworld.store import Store

T, Y, X = 11, 5, 7


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store.create(tmp_path_factory.mktemp("stores") / "store")
    store.append(toy.recordings(3))
    store.append([toy.make(frames=4, seed=9)])
    return store


@pytest.fixture
def stack(tmp_path):
    frames = np.random.default_rng(0).integers(0, 50, (T, Y, X)).astype("uint16")
    tifffile.imwrite(tmp_path / "a.tif", frames, imagej=True, metadata={"axes": "TYX", "unit": "nm"})
    return tmp_path / "a.tif"


def film(path, trajectories):
    """A file in The Well's layout, with so many recordings."""
    with h5py.File(path, "w") as file:
        file.attrs["n_trajectories"] = trajectories
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = ["x", "y"]
        for name, size in (("time", T), ("x", X), ("y", Y)):
            dimensions[name] = np.arange(size, dtype="f4")
            dimensions[name].attrs["sample_varying"] = False
        fields = file.create_group("t0_fields")
        fields.attrs["field_names"] = ["p"]
        values = np.random.default_rng(1).normal(size=(trajectories, T, X, Y)).astype("f4")
        node = fields.create_dataset("p", data=values)
        node.attrs.update({"time_varying": True, "sample_varying": True, "dim_varying": [True, True]})
        for name in ("t1_fields", "t2_fields", "scalars", "boundary_conditions"):
            file.create_group(name).attrs["field_names"] = []
    return path


def test_xarray_knows_the_engine():
    assert isinstance(xr.backends.list_engines()["sciworld"], SciworldBackend)


def test_a_file_is_what_open_recording_gives(stack):
    options = {"pixel_size": 0.3, "frame_seconds": 2.0}
    with xr.open_dataset(stack, engine="sciworld", reader="stem:.tif", options=options) as ds:
        xr.testing.assert_identical(ds, open_recording(stack, "stem:.tif", options))
    with xr.open_dataset(str(stack), engine="sciworld", drop_variables=["view", "not there"]) as ds:
        xr.testing.assert_identical(ds, open_recording(stack).drop_vars("view"))
    with xr.open_dataset([stack, stack], engine="sciworld") as ds:
        xr.testing.assert_identical(ds, open_recording([stack, stack]))


def test_one_of_several_recordings_is_chosen(tmp_path):
    path = film(tmp_path / "a.hdf5", 3)
    with pytest.raises(FormatError, match=r"a\.hdf5: holds 3 recordings; choose one with recording=0 to recording=2"):
        xr.open_dataset(path, engine="sciworld")
    expected = open_recordings(path)
    for number in (0, 2, -1):
        with xr.open_dataset(path, engine="sciworld", recording=number) as ds:
            xr.testing.assert_identical(ds, expected[number])
    for number in (3, -4, 1.5, 1.0, True, "1", 10**30):
        wanted = rf"a\.hdf5: recording is {number!r}; use an integer, at least -3 and at most 2"
        with pytest.raises(SettingsError, match=wanted):
            xr.open_dataset(path, engine="sciworld", recording=number)


def test_all_recordings_are_a_tree(tmp_path, store):
    path = film(tmp_path / "a.hdf5", 2)
    tree = xr.open_datatree(path, engine="sciworld")
    assert set(tree.children) == {"recording_0", "recording_1"}
    for one, expected in zip(tree.children.values(), open_recordings(path), strict=True):
        xr.testing.assert_identical(one.to_dataset(), expected)
    for unknown in ("recording", "colour"):
        with pytest.raises(SettingsError, match=f"no argument {unknown}; there are drop_variables, reader, options,"):
            xr.open_datatree(path, engine="sciworld", **{unknown: 1})
    groups = xr.open_groups(store.path, engine="sciworld", drop_variables="view")
    assert set(groups) == {"/", *(f"/recording_{k}" for k in range(4))}
    xr.testing.assert_identical(groups["/recording_3"], store[3].drop_vars("view"))


def test_a_store_is_opened_without_reading_frames(store, monkeypatch):
    read, real = [], parts._read_rows
    monkeypatch.setattr(parts, "_read_rows", lambda *arguments: read.append(arguments) or real(*arguments))
    for number in range(-4, 4):
        ds = store.lazily(number)
        assert not read and ds.sizes["time"] == store[number].sizes["time"]
        xr.testing.assert_identical(ds, store[number])
        read.clear()
    ds = store.lazily(1)
    whole = store[1]["frames"].values
    assert np.array_equal(ds["frames"][3], whole[3]) and len(read) == 1
    assert np.array_equal(ds["frames"][2:9:3, 1, ::-1, 0], whole[2:9:3, 1, ::-1, 0])


def test_a_store_needs_no_engine_and_others_keep_their_files(tmp_path, store, stack):
    with xr.open_dataset(store.path, recording=3) as ds:
        xr.testing.assert_identical(ds, store[3])
    with pytest.raises(FormatError, match="holds 4 recordings"):
        xr.open_dataset(store.path, engine="sciworld")
    guess = SciworldBackend().guess_can_open
    netcdf = tmp_path / "a.nc"
    xr.Dataset({"a": ("x", np.arange(3.0))}).to_netcdf(netcdf, engine="h5netcdf")
    (tmp_path / "zarr.json").write_text("[")
    for path in (stack, netcdf, tmp_path, tmp_path / "none", store.parts[0].folder, "http://a/b", 3, None, b"x"):
        assert not guess(path)
    assert guess(str(store.path))
    with xr.open_dataset(netcdf) as ds:
        assert ds["a"].sum() == 3


def test_a_store_made_anew_at_the_same_place_is_not_mixed_up(tmp_path):
    def written(seed):
        Store.create(tmp_path / "store").append([toy.make(seed=seed)])
        return Store(tmp_path / "store").lazily(0)["frames"].values

    first = written(1)
    for file in sorted((tmp_path / "store").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert np.array_equal(written(2), toy.make(seed=2)["frames"]) and not np.array_equal(
        first, toy.make(seed=2)["frames"]
    )


def test_a_store_that_went_says_so(tmp_path):
    Store.create(tmp_path / "store").append([toy.make()])
    ds = Store(tmp_path / "store").lazily(0)
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="open it anew"):
        ds["frames"].load()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reader": "chemistry"}, SettingsError, "no reader 'chemistry'"),
        ({"options": {"colour": 1}}, SettingsError, "unknown setting colour"),
        ({"recording": 1}, SettingsError, "recording is 1; use an integer, at least -1 and at most 0"),
        ({"recording": False}, SettingsError, "recording is False"),
        ({"colour": 1}, SettingsError, "no argument colour; there are drop_variables, reader, recording, options"),
        ({"decode_times": False}, SettingsError, "no argument decode_times"),
        ({"reader": 5}, SettingsError, "reader is 5; use a name"),
        ({"options": 3}, SettingsError, "options are 3; use a dict"),
        ({"options": {1: 2}}, SettingsError, "options are {1: 2}"),
        ({"options": {"reader": "stem"}}, SettingsError, "options are {'reader': 'stem'}"),
        ({"drop_variables": 5}, SettingsError, "drop_variables is 5; use a name"),
    ],
)
def test_wrong_arguments_are_refused(stack, arguments, error, message):
    with pytest.raises(error, match=message):
        xr.open_dataset(stack, engine="sciworld", **arguments)


@pytest.mark.parametrize("names", ["view", ["view", "not there"], ("frames", "time"), []])
def test_variables_are_dropped_as_other_engines_drop_them(tmp_path, store, names):
    xr.Dataset({name: ("x", [1.0]) for name in store[1].variables}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf", drop_variables=names) as other:
        kept = set(other.variables)
    with xr.open_dataset(store.path, engine="sciworld", recording=1, drop_variables=names) as ds:
        assert set(ds.variables) == kept
        xr.testing.assert_identical(ds, store[1].drop_vars(names, errors="ignore"))


def test_what_cannot_be_opened_says_so(tmp_path, store):
    with pytest.raises(FormatError, match="no such file"):
        xr.open_dataset(tmp_path / "none.tif", engine="sciworld")
    with pytest.raises(SettingsError, match="BytesIO cannot be opened; give a path"):
        SciworldBackend().open_dataset(io.BytesIO(b""))
    with pytest.raises(SettingsError, match="has no readers"):
        xr.open_dataset(store.path, engine="sciworld", recording=0, reader="stem")
    empty = Store.create(tmp_path / "empty")
    with pytest.raises(FormatError, match="holds 0 recordings; append some"):
        xr.open_dataset(empty.path, engine="sciworld")
    with pytest.raises(FormatError, match="holds 0 recordings; append some"):
        xr.open_dataset(empty.path, engine="sciworld", recording=0)


def sources(tmp_path, stack, store):
    np.save(tmp_path / "a.npy", np.arange(T * Y * X, dtype=">u2").reshape(T, Y, X))
    np.savez_compressed(tmp_path / "a.npz", frames=np.arange(T * Y * X, dtype="int16").reshape(T, Y, X))
    tifffile.imwrite(tmp_path / "z.tif", tifffile.imread(stack), compression="zlib", metadata=None)
    film(tmp_path / "a.hdf5", 1)
    return [
        (stack, None),
        *((tmp_path / name, None) for name in ("a.npy", "a.npz", "z.tif", "a.hdf5")),
        (store.path, 1),
    ]


def test_chunks_are_dask_arrays_that_give_the_same(tmp_path, stack, store):
    for path, number in sources(tmp_path, stack, store):
        with xr.open_dataset(path, engine="sciworld", recording=number) as plain:
            with xr.open_dataset(path, engine="sciworld", recording=number, chunks={"time": 4}) as ds:
                assert isinstance(ds["frames"].data, dask.array.Array) and ds["frames"].chunksizes["time"] == (4, 4, 3)
                xr.testing.assert_identical(ds.compute(scheduler="threads"), plain.load())
            xr.testing.assert_identical(pickle.loads(pickle.dumps(plain)), plain)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_worker_process_reads_its_chunks(tmp_path, stack, store):
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
        ) as cluster,
        Client(cluster),
    ):
        for path, number in sources(tmp_path, stack, store):
            ds = xr.open_dataset(path, engine="sciworld", recording=number, chunks={"time": 4})
            plain = xr.open_dataset(path, engine="sciworld", recording=number)
            xr.testing.assert_identical(ds["frames"].compute(), plain["frames"])


def test_the_engine_loads_little(stack):
    code = (
        "import sys, xarray as xr; assert not xr.backends.list_engines()['sciworld'].guess_can_open('x')\n"
        "loaded = {'torch', 'tensorstore', 'zarr', 'h5py', 'numba'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=stack.parent)
