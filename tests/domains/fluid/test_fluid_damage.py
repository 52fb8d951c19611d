"""Damaged, hostile and contradictory files of flows: an error of ours that names the file, or what they hold."""

import contextlib
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from test_fluid_images import film, write_bmp
from test_fluid_readers import NX, NY, B, T, corpus, write_netcdf, write_pdebench, write_well

from sciworld.errors import FormatError, SciworldError
from sciworld.ingest.open import open_recording, open_recordings

ONES = np.ones((B, T, NX, NY))
FILES = {
    "well": "well.hdf5",
    "pdebench": "pde.h5",
    "jhtdb": "cut.h5",
    "netcdf": "new.nc",
    "netcdf3": "old.nc",
    "openpiv": "openpiv.txt",
    "insight": "run.vec",
    "davis": "davis.txt",
    "pivlab": "session.mat",
    "images": "im_1.bmp",
}


def write_jhtdb(path):
    with h5py.File(path, "w") as file:
        for axis, n in (("x", NX), ("y", NY), ("z", 3)):
            file[f"{axis}coor"] = np.linspace(0, 1, n)
        for step in range(1, 3):
            file[f"Velocity_{step:04d}"] = np.ones((3, NY, NX, 3), dtype="float32")


@pytest.fixture
def files(tmp_path):
    """One small file of every format in a folder whose name is not plain : format -> path."""
    folder = tmp_path / "a|b ü"
    folder.mkdir()
    corpus(folder)
    write_jhtdb(folder / FILES["jhtdb"])
    write_netcdf(folder / FILES["netcdf"], np.arange(T) * 1.0, "s")
    write_netcdf(folder / FILES["netcdf3"], np.arange(T) * 1.0, "s", "scipy", "NETCDF3_CLASSIC")
    film(folder, [FILES["images"]])
    return {kind: folder / name for kind, name in FILES.items()}


def reader(kind):
    return "fluid:" + kind.removesuffix("3")


def refused(path, kind, message=None):
    """That reading the file to its end is refused, by name."""
    with pytest.raises(SciworldError, match=message) as caught:
        [ds["frames"].values for ds in open_recordings(path, reader(kind))]
    assert path.name in str(caught.value)


@pytest.mark.parametrize("kind", FILES)
def test_whole_files_are_told_by_what_they_hold(files, kind):
    named, told = open_recordings(files[kind], reader(kind)), open_recordings(files[kind])
    for one, other in zip(named, told, strict=True):
        xr.testing.assert_identical(one.load(), other.load())


@pytest.mark.parametrize("kind", FILES)
def test_what_is_no_such_file(files, kind):
    path = files[kind]
    content = path.read_bytes()
    wrong = [b"", b"\0" * 100, b"GIF89a" + content[20:], content[:7]]
    if kind not in ("openpiv", "insight", "davis"):  # text has no end: see test_fluid_readers
        wrong += [content[: len(content) // 3], content[: 2 * len(content) // 3], content[:-30]]
    for one in wrong:
        path.write_bytes(one)
        refused(path, kind)
    path.unlink()
    refused(path, kind)
    path.mkdir()
    refused(path, kind)
    path.rmdir()
    path.symlink_to(path)
    refused(path, kind)


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in ("openpiv", "insight", "davis", "pivlab")])
def test_files_that_change_after_they_were_opened(files, kind):
    path = files[kind]
    content = path.read_bytes()
    other = path.with_name("other")
    if kind == "well":
        write_well(other, [("p", 0, np.ones((B, T + 1, NX, NY)), True, True, (True, True))], time=np.arange(T + 1.0))
    elif kind.startswith("netcdf"):
        engine = {"netcdf": "h5netcdf", "netcdf3": "scipy"}[kind]
        xr.Dataset({"u": (("time", "y", "x"), np.ones((T, NY + 1, NX), "float32"))}).to_netcdf(other, engine=engine)
    elif kind == "images":
        write_bmp(other, np.zeros((NY, NX + 1), np.uint8))
    else:
        with h5py.File(other, "w") as file:
            for name in ("Velocity_0001", "Velocity_0002", "density", "pressure", "Vx", "Vy"):
                file[name] = np.ones((B, T, NX + 1, 3))
    for changed in (None, b"", content[: len(content) // 2], other.read_bytes()):
        path.write_bytes(content)
        ds = open_recordings(path, reader(kind))[0]
        if changed is None:
            path.unlink()
        else:
            path.write_bytes(changed)
        with pytest.raises(FormatError, match=path.name):
            ds["frames"].values  # noqa: B018


def times(values):
    """What a file may say of T times that is no clock."""
    return pytest.mark.parametrize("time", values, ids=str)


@times([[0, 1, np.nan, 3], [0, 2, 1, 3], [0, 1, 1, 2], [0, np.inf, 1, 2], [b"0", b"1", b"2", b"3"], [0, 1, 2j, 3]])
@pytest.mark.parametrize("kind", ["well", "pdebench", "netcdf", "netcdf3"])
def test_times_that_are_no_clock(tmp_path, kind, time):
    path = tmp_path / FILES[kind]
    if kind == "well":
        write_well(path, [("p", 0, ONES, True, True, (True, True))], time=time)
    elif kind == "pdebench":
        write_pdebench(path, "flow")
        with h5py.File(path, "r+") as file:
            del file["t-coordinate"]
            file["t-coordinate"] = time
    elif kind == "netcdf3" and np.iscomplexobj(time):
        return  # NetCDF 3 has no complex numbers
    else:
        values = np.array(time).astype("U") if isinstance(time[0], bytes) else np.array(time)
        engine = {"netcdf": "h5netcdf", "netcdf3": "scipy"}[kind]
        ds = xr.Dataset({"u": (("time", "y", "x"), np.ones((T, NY, NX)))}, {"time": values})
        with pytest.warns(UserWarning, match="invalid netcdf") if np.iscomplexobj(values) else contextlib.nullcontext():
            ds.to_netcdf(path, engine=engine, **({"invalid_netcdf": True} if np.iscomplexobj(values) else {}))
    refused(path, kind)


ODD = {
    "text": np.full((B, T, NX, NY), b"1.0"),
    "compound": np.zeros((B, T, NX, NY), dtype=[("re", "f4"), ("im", "f4")]),
    "complex": np.zeros((B, T, NX, NY), dtype="complex64"),
    "int64": np.zeros((B, T, NX, NY), dtype="int64"),
    "references": np.full((B, T, NX, NY), None, dtype=h5py.ref_dtype),
    "swapped": np.zeros((B, T, NY, NX)),
    "short": np.zeros((B, T - 1, NX, NY)),
    "flat": np.zeros((B, T)),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("kind", ["well", "pdebench", "jhtdb", "netcdf", "pivlab"])
def test_arrays_that_are_no_field(files, kind, odd):
    path, values = files[kind], ODD[odd]
    if (kind, odd) == ("pivlab", "int64"):
        return  # any real numbers are vectors
    name = {"well": "t0_fields/p", "pdebench": "Vx", "jhtdb": "Velocity_0002", "netcdf": "u", "pivlab": "u_0"}[kind]
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        if kind == "pivlab":
            values = values[0, 0]
        elif kind == "netcdf":  # (time, y, x)
            values = values[0].swapaxes(1, 2) if values.ndim == 4 else values[0]
        elif kind == "jhtdb":
            values = values[..., None]
        node = file.create_dataset(name, values.shape, values.dtype)
        if kind == "well":
            node.attrs.update(attributes)
        elif kind == "netcdf":
            for axis, scale in zip(node.dims, ("time", "y", "x"), strict=False):
                axis.attach_scale(file[scale])
    refused(path, kind)


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("well", "dimensions"), ("well", "dimensions/x"), ("well", "t0_fields/p"), ("pdebench", "Vx"),
     ("pdebench", "density"), ("jhtdb", "Velocity_0001"),
     ("jhtdb", "xcoor"), ("pivlab", "u_0"), ("pivlab", "y_0"), ("netcdf", "u")],
)  # fmt: skip
def test_keys_that_are_missing(files, kind, missing):
    with h5py.File(files[kind], "r+") as file:
        del file[missing]
        if kind == "jhtdb" and missing.startswith("V"):
            file["Pressure_0001"] = np.ones((3, NY, NX, 1))
    refused(files[kind], kind)


@pytest.mark.parametrize(
    ("kind", "name", "group"),
    [("well", "t0_fields/p", True), ("well", "dimensions/time", True), ("pdebench", "Vx", True),
     ("jhtdb", "xcoor", True), ("pivlab", "u_0", True),
     ("pdebench", "t-coordinate", False), ("well", "dimensions/x", False)],
)  # fmt: skip
def test_keys_of_another_kind(files, kind, name, group):
    """A group where an array should be, or a loop of links."""
    with h5py.File(files[kind], "r+") as file:
        del file[name]
        if group:
            file.create_group(name)
        else:
            file[name] = h5py.SoftLink(f"/{name}")
    refused(files[kind], kind)


def test_a_huge_shape_without_data_is_refused_at_no_cost(tmp_path):
    side = 1_000_000
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        for name in ("density", "pressure", "Vx"):
            file.create_dataset(name, shape=(1, 2, side, side // 2), chunks=(1, 1, 64, 64), dtype="float32")
    tracemalloc.start()
    with pytest.raises(
        FormatError, match=r"huge\.h5: '/density' states 4000000000000 bytes of which 0 are in the file"
    ):
        open_recording(tmp_path / "huge.h5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


@pytest.mark.parametrize(
    ("kind", "name", "shape"),
    [("well", "dimensions/time", (10**12,)), ("well", "dimensions/x", (10**9,)),
     ("pdebench", "t-coordinate", (10**10,)), ("jhtdb", "xcoor", (10**12,)),
     ("pivlab", "u_0", (10**6, 10**6)), ("pdebench", "many", (10**6, 2, NX, NY)),
     ("pdebench", "long", (1, 10**9, 2, 2))],
)  # fmt: skip
def test_what_is_read_at_once_must_be_small(files, kind, name, shape):
    with h5py.File(files[kind], "r+") as file:
        for one in ("density", "pressure", "Vx", "Vy") if name in ("many", "long") else (name,):
            del file[one]
            file.create_dataset(one, shape=shape, chunks=tuple(min(n, 64) for n in shape), dtype="float64")
        if name == "long":
            del file["x-coordinate"], file["y-coordinate"], file["t-coordinate"]
    refused(files[kind], kind)


def test_a_huge_coordinate_in_netcdf_is_left_out(tmp_path):
    write_netcdf(tmp_path / "t.nc", np.arange(T) * 1.0, "s")
    with h5py.File(tmp_path / "t.nc", "r+") as file:
        file.create_dataset("w", shape=(10**12,), chunks=(1000,), dtype="float64").make_scale("w")
    assert "too long for coordinates: w" in open_recording(tmp_path / "t.nc").attrs["history"]


def outside(file, name, how, target):
    """Put the array elsewhere, in one of the ways of HDF5."""
    node = file[name]
    shape, dtype, attributes = node.shape, node.dtype, dict(node.attrs)
    del file[name]
    if how == "link":
        file[name] = h5py.ExternalLink(str(target), "/data")
        return
    if how == "raw":
        node = file.create_dataset(name, shape=shape, dtype=dtype, external=[(str(target), 0, h5py.h5f.UNLIMITED)])
    else:
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource(str(target), "data", shape)
        node = file.create_virtual_dataset(name, layout)
    node.attrs.update(attributes)


@pytest.mark.parametrize("how", ["link", "raw", "virtual"])
@pytest.mark.parametrize("kind", ["well", "pdebench", "jhtdb", "pivlab", "netcdf", "stem"])
def test_no_file_leads_to_another(files, tmp_path, kind, how):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = ONES
    names = {"well": "t0_fields/p", "pdebench": "Vx", "jhtdb": "Velocity_0001", "pivlab": "u_0", "netcdf": "u"}
    path = tmp_path / "movie.h5" if kind == "stem" else files[kind]
    if kind == "stem":
        with h5py.File(path, "w") as file:
            file["nn_input"] = np.ones((T, NY, NX, 1))
    with h5py.File(path, "r+") as file:
        outside(file, names.get(kind, "nn_input"), how, Path("/etc/passwd") if how == "raw" else tmp_path / "other.h5")
    chosen = "stem:.h5" if kind == "stem" else reader(kind)
    for name in (chosen, None):
        with pytest.raises(FormatError, match=rf"{path.name}: .* lies in another file, which is not followed"):
            open_recordings(path, name)


def test_a_view_into_the_same_file_is_no_way_out(tmp_path):
    path = tmp_path / "pde.h5"
    write_pdebench(path, "flow")
    whole = [ds["frames"].values for ds in open_recordings(path)]
    with h5py.File(path, "r+") as file:
        file["kept"] = file["Vx"][()]
        outside(file, "Vx", "virtual", ".")
        file.move("kept", "data")
    for ds, frames in zip(open_recordings(path), whole, strict=True):
        np.testing.assert_array_equal(ds["frames"].values, frames)


def test_names_that_come_twice_name_the_file(tmp_path):
    rows = [(x, y, x * 0.5, -y) for y in range(3) for x in range(4)]
    path = tmp_path / "twice.txt"
    path.write_text("# x y u u\n" + "\n".join(" ".join(map(str, row)) for row in rows) + "\n")
    refused(path, "openpiv", r"twice\.txt: columns u appear more than once")


def test_what_xarray_warns_of_is_in_the_history(tmp_path):
    path = tmp_path / "two.nc"
    write_netcdf(path, np.arange(T) * 1.0, "s")
    with h5py.File(path, "r+") as file:
        file["u"].attrs["missing_value"] = np.float32(-1)
        file["u"].attrs["_FillValue"] = np.float32(-2)
    ds = open_recording(path)
    assert "xarray says" in ds.attrs["history"] and "multiple fill values" in ds.attrs["history"]
    ds["frames"].values  # noqa: B018
