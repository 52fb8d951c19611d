"""Files of flows: what is read is what was written, in any layout, and damage is named."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.errors import FormatError, SciworldError, SettingsError
from sciworld.ingest.open import open_recording, open_recordings
from sciworld.ingest.run import ingest
from sciworld.store import Store

B, T, NX, NY = 2, 4, 7, 5
MIRROR = os.environ.get("SCIWORLD_MIRROR")
real = pytest.mark.skipif(not MIRROR, reason="SCIWORLD_MIRROR is not set")


def write_well(path, fields, scalars=(), time=None, spatial=("x", "y"), sizes=(NX, NY)):
    """A file in The Well's layout. fields : (name, order, array, in_samples, in_time, varies)."""
    with h5py.File(path, "w") as file:
        file.attrs.update(dataset_name="toy", grid_type="cartesian", n_spatial_dims=len(sizes), n_trajectories=B)
        file.attrs["simulation_parameters"] = ["Re"]
        file.attrs["Re"] = 100.0
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = list(spatial)
        dimensions["time"] = 0.5 * np.arange(T) if time is None else time
        for name, size in zip(spatial, sizes, strict=True):
            dimensions[name] = np.linspace(0, 1, size)
            dimensions[name].attrs["time_varying"] = False
        walls = file.create_group("boundary_conditions/y_wall")
        walls.attrs.update(bc_type="wall", associated_dims=["y"])
        walls["mask"] = np.arange(NY) % 4 == 0
        groups = [file.create_group(f"t{order}_fields") for order in range(3)]
        for order, group in enumerate(groups):
            names = [name for name, rank, *_ in fields if rank == order]
            group.attrs["field_names"] = np.array(names, dtype=h5py.string_dtype())
        for name, order, values, in_samples, in_time, varies in fields:
            node = groups[order].create_dataset(name, data=values)
            node.attrs.update(dim_varying=list(varies), sample_varying=in_samples, time_varying=in_time)
        group = file.create_group("scalars")
        group.attrs["field_names"] = np.array([name for name, *_ in scalars], dtype=h5py.string_dtype())
        for name, values, in_samples, in_time in scalars:
            group[name] = values
            group[name].attrs.update(sample_varying=in_samples, time_varying=in_time)
    return path


@settings(max_examples=30)
@given(
    in_samples=st.booleans(),
    varies=st.tuples(st.booleans(), st.booleans()),
    absent=st.booleans(),
    order=st.integers(0, 2),
    dtype=st.sampled_from(["float32", "float64"]),
    start=st.integers(0, T - 1),
)
def test_every_combination_of_axes_of_the_well(tmp_path_factory, in_samples, varies, absent, order, dtype, start):
    path = tmp_path_factory.mktemp("well") / "toy.hdf5"
    sizes = [n if vary else 1 for n, vary in zip((NX, NY), varies, strict=True) if vary or not absent]
    shape = [B] * in_samples + [T] + sizes + [2] * order
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    pressure = np.random.default_rng(1).normal(size=(B, T, NX, NY)).astype("float32")
    fields = [("pressure", 0, pressure, True, True, (True, True)), ("q", order, values, in_samples, True, varies)]
    write_well(path, fields)
    full = values if in_samples else np.broadcast_to(values, (B, *values.shape))
    at = [slice(None)] * 2 + [slice(None) if vary or not absent else None for vary in varies]
    full = np.broadcast_to(full[tuple(at)], (B, T, NX, NY, *[2] * order)).reshape(B, T, NX, NY, -1)
    for index, ds in enumerate(open_recordings(path)):
        names = recording.channel_table(ds).names
        first = names.index("q_xx" if order == 2 else "q_x" if order == 1 else "q")
        assert ds["frames"].shape == (T, NY, NX, 1 + 2**order)
        found = ds["frames"][start:, :, ::2].values
        wanted = full[index].transpose(0, 2, 1, 3)[start:, :, ::2]
        assert found.dtype == np.result_type("float32", dtype)
        np.testing.assert_array_equal(found[..., first : first + 2**order], wanted)
        np.testing.assert_array_equal(
            found[..., names.index("pressure")], pressure[index].swapaxes(1, 2)[start:, :, ::2]
        )


@pytest.fixture
def flow(tmp_path):
    rng = np.random.default_rng(2)
    velocity = rng.normal(size=(B, T, NX, NY, 2)).astype("float32")
    fields = [("velocity", 1, velocity, True, True, (True, True)), ("solid", 0, np.eye(NX, NY), False, False, (1, 1))]
    omega = rng.normal(size=(B, T))
    scalars = [("omega", omega, True, True), ("nu", np.array([0.1, 0.2]), True, False), ("Re", 90.0, False, False)]
    return write_well(tmp_path / "flow.hdf5", fields, scalars), velocity, omega


def test_scalars_become_controls_and_covariates(flow):
    path, _, omega = flow
    for index, ds in enumerate(open_recordings(path)):
        assert recording.control_table(ds).names == ("omega",)
        np.testing.assert_array_equal(ds["controls"].values[:-1, 0], omega[index, :-1])
        assert np.isnan(ds["controls"].values[-1]).all()
        np.testing.assert_array_equal(ds["log_value"].values, omega[index])  # the last value too
        names = recording.covariate_table(ds).names
        facts = dict(zip(names, ds["covariates"].values, strict=True))
        assert facts == {"Re": 90.0, "nu": (0.1, 0.2)[index]}
        assert "'Re' is 90 as a scalar, used, and 100 as an attribute" in ds.attrs["history"]
        assert ds["boundary_y_wall_mask"].attrs["bc_type"] == "WALL"
        np.testing.assert_array_equal(ds["t0_fields_solid"].values, np.eye(NX, NY))
        np.testing.assert_array_equal(ds["grid_x"].values, np.linspace(0, 1, NX))
        assert max(len(str(value)) for value in ds.attrs.values()) < 200  # no array as text
        np.testing.assert_allclose(ds["view"].values[0], [1 / 6, 0, 0, 0, 1 / 4, 0])


def test_nothing_is_read_before_it_is_used(flow, monkeypatch):
    path, velocity, _ = flow
    opened = open_recordings(path)
    path.rename(path.with_suffix(".away"))
    with pytest.raises(FormatError, match="moved or changed"):
        opened[0]["frames"].values  # noqa: B018
    path.with_suffix(".away").rename(path)
    np.testing.assert_array_equal(opened[0]["frames"].values, velocity[0].swapaxes(1, 2))


def test_trajectories_go_into_a_store_unaltered(flow, tmp_path):
    path, velocity, omega = flow
    summary = ingest(path, tmp_path / "store")
    assert (summary.recordings, summary.frames) == (B, B * T)
    for index, ds in enumerate(Store.open(tmp_path / "store")):
        np.testing.assert_array_equal(ds["frames"].values, velocity[index].swapaxes(1, 2))
        np.testing.assert_array_equal(ds["controls"].values[:-1, 0], omega[index, :-1])


def write_pdebench(path, layout):
    rng = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        if layout == "flow":
            for name in ("density", "pressure", "Vx", "Vy"):
                file[name] = rng.normal(size=(B, T, NX, NY)).astype("float32")
            file["t-coordinate"] = np.arange(T + 1.0)
            file["x-coordinate"], file["y-coordinate"] = np.linspace(0, 1, NX), np.linspace(0, 1, NY)
            file.attrs["eta"] = 0.01
            wanted = np.stack([file[n][()] for n in ("density", "pressure", "Vx", "Vy")], axis=-1)
        elif layout == "tensor":
            file["tensor"], wanted = (values := rng.normal(size=(B, T, NX))), values[..., None, None]
        elif layout == "darcy":
            file["tensor"], file["nu"] = (values := rng.normal(size=(B, 1, NX, NY))), rng.normal(size=(B, NX, NY))
            wanted = values[..., None]
        elif layout == "groups":
            wanted = rng.normal(size=(B, T, NX, NY, 2))
            for sample in range(B):
                file[f"{sample:04d}/data"] = wanted[sample]
                file[f"{sample:04d}/grid/t"] = np.arange(T) * 0.1
        else:
            file["velocity"], file["particles"] = rng.normal(size=(B, T, NX, NY, 2)), rng.normal(size=(B, T, NX, NY, 1))
            file["t"] = np.tile(np.arange(T) * 0.1, (B, 1))
            wanted = np.concatenate([file["velocity"][()], file["particles"][()]], axis=-1)
    return wanted


@pytest.mark.parametrize("layout", ["flow", "tensor", "darcy", "groups", "incompressible"])
def test_the_layouts_of_pdebench(tmp_path, layout):
    wanted = write_pdebench(tmp_path / "pde.h5", layout)
    found = open_recordings(tmp_path / "pde.h5")
    assert len(found) == B
    for index, ds in enumerate(found):
        np.testing.assert_array_equal(ds["frames"].values, wanted[index].swapaxes(1, 2))
    if layout == "darcy":
        assert found[1]["nu"].shape == (NX, NY)
    if layout == "flow":
        assert "5 values for 4 frames" in found[0].attrs["history"]
        assert recording.covariate_table(found[0]).names == ("eta",)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("planes", [1, 3])
def test_cutouts_of_jhtdb(tmp_path, planes, swapped):
    rng = np.random.default_rng(4)
    velocity, pressure = rng.normal(size=(T, planes, NY, NX, 3)), rng.normal(size=(T, planes, NY, NX, 1))
    order = (2, 1, 0, 3) if swapped else (0, 1, 2, 3)
    with h5py.File(tmp_path / "cut.h5", "w") as file:
        for axis, n in (("x", NX), ("y", NY), ("z", planes)):
            file[f"{axis}coor"] = np.linspace(0, 1, n)
        for step in range(T):
            file[f"Velocity_{step + 1:04d}"] = velocity[step].transpose(order)
            file[f"Pressure_{step + 1:04d}"] = pressure[step].transpose(order)
    ds = open_recording(tmp_path / "cut.h5")
    wanted = np.concatenate([pressure, velocity], axis=-1)
    wanted = wanted[:, 0] if planes == 1 else wanted
    np.testing.assert_array_equal(ds["frames"].values, wanted)
    np.testing.assert_array_equal(ds["frames"][1:3, ..., 2].values, wanted[1:3, ..., 2])
    np.testing.assert_array_equal(ds["frames"][::-2, ..., 1:3, ::3, 1:].values, wanted[::-2, ..., 1:3, ::3, 1:])
    assert recording.channel_table(ds).names == ("pressure", "velocity_x", "velocity_y", "velocity_z")


@pytest.mark.parametrize("kind", ["jhtdb", "well"])
def test_no_more_is_read_than_is_asked(tmp_path, monkeypatch, kind):
    path = tmp_path / "big.h5"
    if kind == "jhtdb":
        with h5py.File(path, "w") as file:
            for axis, n in (("x", NX), ("y", NY), ("z", 3)):
                file[f"{axis}coor"] = np.linspace(0, 1, n)
            for name in ("Velocity_1", "Velocity_2", "Pressure_1", "Pressure_2"):
                file[name] = np.random.default_rng(4).normal(size=(3, NY, NX, 3 if name[0] == "V" else 1))
    else:
        fields = [(name, 0, np.ones((B, T, NX, NY)), True, True, (True, True)) for name in ("p", "q")]
        write_well(path, fields)
    ds = open_recordings(path)[0]
    whole = ds["frames"].values
    read, get = [], h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda node, at: read.append(get(node, at)) or read[-1])
    found = ds["frames"][1, ..., 1:3, 2, 0].values
    np.testing.assert_array_equal(found, whole[1, ..., 1:3, 2, 0])
    assert [block.size for block in read] == [found.size]


@pytest.mark.parametrize("dims", [("time", "lat", "lon"), ("lon", "time", "lat"), ("lat", "lon")])
def test_netcdf_in_any_order(tmp_path, dims):
    sizes = {"time": T, "lat": NY, "lon": NX}
    rng = np.random.default_rng(5)
    speed = rng.normal(size=[sizes[dim] for dim in dims]).astype("float32")
    packed = rng.integers(0, 100, size=speed.shape).astype("int16")
    ds = xr.Dataset({"speed": (dims, speed, {"units": "m/s"}), "rain": (dims, 0.5 * packed), "area": ((), 2.0)})
    ds = ds.assign_coords(lat=("lat", np.linspace(0, 1, NY)), lon=("lon", np.linspace(0, 3, NX)))
    if "time" in dims:
        ds = ds.assign_coords(
            time=("time", np.datetime64("2020-01-01", "ns") + 60 * np.arange(T) * np.timedelta64(1, "s"))
        )
    ds["rain"].encoding = {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -1}
    ds.to_netcdf(tmp_path / "flow.nc", engine="h5netcdf")
    found = open_recording(tmp_path / "flow.nc")
    order = [dim for dim in ("time", "lat", "lon") if dim in dims]
    wanted = np.stack([ds[name].transpose(*order).values for name in ("speed", "rain")], axis=-1)
    wanted = wanted if "time" in dims else wanted[None]
    np.testing.assert_array_equal(found["frames"].values, wanted)
    np.testing.assert_array_equal(found["frames"][0, 1:, ::2].values, wanted[0, 1:, ::2])
    assert recording.channel_table(found)["speed"].units == "m/s" and "area" in found.attrs["history"]
    np.testing.assert_allclose(found["time"].values, 60.0 * np.arange(T if "time" in dims else 1))


def write_netcdf(path, time, units=None, engine="h5netcdf", form=None):
    """u (time, y, x) float32 at the times; the values."""
    u = np.random.default_rng(6).normal(size=(len(time), NY, NX)).astype("float32")
    ds = xr.Dataset({"u": (("time", "y", "x"), u)}, {"time": time, "y": np.arange(NY) * 0.5, "x": np.arange(NX) * 0.5})
    if units is not None:
        ds["time"].attrs["units"] = units
    ds.to_netcdf(path, engine=engine, format=form)
    return u


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_netcdf_3_stays_in_its_file(tmp_path, form):
    path = tmp_path / "old.nc"
    u = write_netcdf(path, np.arange(T) * 2.0, "minutes", "scipy", form)
    ds = open_recording(path)
    path.rename(tmp_path / "away")
    with pytest.raises(FormatError, match=r"old\.nc"):
        ds["frames"].values  # noqa: B018
    (tmp_path / "away").rename(path)
    np.testing.assert_array_equal(ds["frames"].values[..., 0], u)
    np.testing.assert_array_equal(ds["frames"][1, ::2, 3:].values[..., 0], u[1, ::2, 3:])
    np.testing.assert_allclose(ds["time"].values, np.arange(T) * 120.0)


def test_netcdf_3_without_what_reads_it(tmp_path, monkeypatch):
    write_netcdf(tmp_path / "old.nc", np.arange(T) * 1.0, "s", "scipy", "NETCDF3_CLASSIC")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FormatError, match=r"old\.nc: NetCDF 3, which SciPy reads; `pip install scipy`, or convert it"):
        open_recording(tmp_path / "old.nc")
    (tmp_path / "new.nc").write_bytes(b"CDF\x05" + bytes(100))
    with pytest.raises(
        FormatError, match=r"new\.nc: NetCDF 3 of 64-bit data, which is not read; convert it with `nccopy"
    ):
        open_recording(tmp_path / "new.nc")


@pytest.mark.parametrize(
    ("units", "scale"),
    [("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3), ("S", 1.0), ("Seconds", 1.0), ("min", 60.0), ("minutes", 60.0),
     ("hr", 3600.0), ("H", 3600.0), ("d", 86400.0), ("D", 86400.0), ("day", 86400.0), ("days", 86400.0), ("1", 1.0)],
)  # fmt: skip
def test_units_of_time(tmp_path, units, scale):
    write_netcdf(tmp_path / "t.nc", np.arange(T) * 2.0, units)
    ds = open_recording(tmp_path / "t.nc")
    np.testing.assert_allclose(ds["time"].values, np.arange(T) * 2.0 * scale)
    assert ("has no units, and is taken as s" in ds.attrs["history"]) == (units == "1")


@pytest.mark.parametrize("units", ["months", "MS", "furlongs", "degrees_north"])
def test_units_that_are_no_length_of_time(tmp_path, units):
    write_netcdf(tmp_path / "t.nc", np.arange(T) * 2.0, units)
    with pytest.raises(FormatError, match=rf"t\.nc: 'time' has units '{units}', .* set them to s, min, h or d"):
        open_recording(tmp_path / "t.nc")


def test_frames_that_are_counted_say_so(tmp_path):
    write_netcdf(tmp_path / "t.nc", np.arange(T) * 2.0, "frame")
    ds = open_recording(tmp_path / "t.nc")
    np.testing.assert_array_equal(ds["time"].values, np.arange(T))
    assert "counted" in ds.attrs["history"] and "comment" in ds["time"].attrs


@real
def test_real_netcdf():
    path = Path(MIRROR) / "fluid/piv_vectors/interTest/testInterCreates_nc.nc"
    ds = open_recording(path)
    with h5py.File(path) as file:
        assert ds["frames"].shape[1:3] == (file["y"].size, file["x"].size)


@real
@pytest.mark.parametrize(
    ("name", "shape", "invalid", "units"),
    [
        ("openpiv_txt/exp1_001_b.txt", (1, 22, 30, 3), 0, "1"),
        ("openpiv_vec/exp1_001_b.vec", (1, 22, 30, 3), 0, "1"),
        ("openpiv_txt/interTest.txt", (1, 32, 40, 4), 715, "1"),
        ("Insight/Run000001.T000.D000.P000.H001.L.vec", (1, 63, 63, 3), 353, "m/s"),
        ("PIV_Challenge/B00001.txt", (1, 64, 64, 2), 2530, "m/s"),
        ("pivlab/test_pivlab.mat", (2, 8, 10, 3), 2, "pixel"),
    ],
)
def test_real_vectors(name, shape, invalid, units):
    ds = open_recording(Path(MIRROR) / "fluid/piv_vectors" / name)
    assert ds["frames"].shape == shape
    assert int(np.isnan(ds["frames"].values[..., 0]).sum()) == invalid
    assert f"{invalid} of {np.prod(shape[:-1])} vectors are invalid" in ds.attrs["history"]
    assert recording.channel_table(ds)["u"].units == units


@real
def test_real_vectors_are_those_of_their_lines():
    path = Path(MIRROR) / "fluid/piv_vectors/Insight/Run000001.T000.D000.P000.H001.L.vec"
    ds = open_recording([path, path.with_name(path.name.replace("1.T", "2.T"))], options={"frame_seconds": 0.002})
    table = np.array([[float(v) for v in line.split(",")[:5]] for line in path.read_text().splitlines()[1:]])
    view = ds["view"].values[0]
    cols = np.rint((table[:, 0] - view[2]) / view[0]).astype(int)
    rows = np.rint((table[:, 1] - view[5]) / view[4]).astype(int)
    found, good = ds["frames"].values[0][rows, cols], table[:, 4] >= 0
    np.testing.assert_array_equal(found[good, :2], table[good, 2:4])
    assert np.isnan(found[~good, :2]).all()
    np.testing.assert_array_equal(found[:, 2], table[:, 4])
    assert ds.sizes["time"] == 2 and ds["time"].values[1] == 0.002
    assert ds["view"].attrs["units"] == "mm"


def write_openpiv(path):
    rows = [(16 * x, 8 * y, x * 0.5, -y) for y in range(3) for x in range(4)]
    path.write_text("\n".join(" ".join(map(str, row)) for row in rows) + "\n")


def test_the_size_of_a_pixel_is_stated_by_the_user(tmp_path):
    write_openpiv(tmp_path / "a.txt")
    plain, ds = (open_recording(tmp_path / "a.txt", options=options) for options in ({}, {"pixel_size": 2e5}))
    assert plain["view"].attrs["units"] == "pixel" and ds["view"].attrs["units"] == "A"
    np.testing.assert_allclose(ds["view"].values[0], 2e5 * plain["view"].values[0])
    np.testing.assert_array_equal(ds["frames"].values, plain["frames"].values)
    assert "200000 A, as stated by the user; velocities are as they were" in ds.attrs["history"]
    with pytest.raises(SettingsError, match="pixel_size is -1"):
        open_recording(tmp_path / "a.txt", options={"pixel_size": -1.0})


@pytest.mark.parametrize("name", ["run.vec", "davis.txt", "pde.h5"])
def test_a_file_that_states_its_lengths_takes_no_pixel_size(tmp_path, name):
    corpus(tmp_path)
    with pytest.raises(SettingsError, match=r"states its .*; leave out pixel_size"):
        open_recordings(tmp_path / name, options={"pixel_size": 1.0})


def test_the_time_between_pulses_stands_in_the_history(tmp_path):
    head = 'TITLE="a" VARIABLES="X mm", "Y mm", "U m/s", "V m/s", "CHC", DATASETAUXDATA MicrosecondsPerDeltaT="20.5"\n'
    rows = [(x, y, x * 0.5, -y, 1) for y in range(3) for x in range(4)]
    (tmp_path / "a.vec").write_text(head + "\n".join(", ".join(map(str, row)) for row in rows) + "\n")
    assert "states 20.5 us from the first to the second exposure" in open_recording(tmp_path / "a.vec").attrs["history"]


def test_a_file_of_no_domain_is_told_what_all_domains_read(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"\x01\x02")
    (tmp_path / "b.mp4").write_bytes(b"\x01\x02")
    for name in ("a.xyz", "b.mp4"):
        with pytest.raises(FormatError, match=r"no reader for '\....' .*stem: \.npy .*fluid: .*\.nc .*driving: \.mp4"):
            open_recordings(tmp_path / name)
    with pytest.raises(FormatError, match=r"c\.xyz: no such file"):
        open_recordings(tmp_path / "c.xyz")


def corpus(tmp_path):
    """Small files of every format, by name."""
    write_well(tmp_path / "well.hdf5", [("p", 0, np.ones((B, T, NX, NY)), True, True, (True, True))])
    write_pdebench(tmp_path / "pde.h5", "flow")
    rows = [(x, y, x * 0.5, -y, 1) for y in range(3) for x in range(4)]
    (tmp_path / "openpiv.txt").write_text("\n".join(" ".join(map(str, row)) for row in rows) + "\n")
    head = 'TITLE="a" VARIABLES="X mm", "Y mm", "U m/s", "V m/s", "CHC", ZONE\n'
    (tmp_path / "run.vec").write_text(head + "\n".join(", ".join(map(str, row)) for row in rows) + "\n")
    head = '#DaVis 8 2D-vector 32 4 3 "position" "mm" "position" "mm" "velocity" "m/s"\n'
    body = "\n".join("\t".join(str(value).replace(".", ",") for value in row[:4]) for row in rows)
    (tmp_path / "davis.txt").write_text(head + body + "\n")
    with h5py.File(tmp_path / "session.mat", "w") as file:
        x, y = np.meshgrid(np.arange(4.0), np.arange(3.0), indexing="ij")
        for name, values in (("x", x), ("y", y), ("u", x), ("v", y), ("typevector", np.ones((4, 3)))):
            file[f"{name}_0"] = values
    return sorted(tmp_path.iterdir())


def test_damaged_files_are_named(tmp_path):
    """Cut anywhere, a file is refused by an error of ours that names it, or what is read of it is whole."""
    (tmp_path / "whole").mkdir()
    readers = {"well": "well", "pde": "pdebench", "openpiv": "openpiv", "run": "insight", "davis": "davis"}
    for path in corpus(tmp_path / "whole"):
        kind = readers.get(path.stem, "pivlab")
        whole = [ds["frames"].values for ds in open_recordings(path, f"fluid:{kind}")]
        content = path.read_bytes()
        cut = tmp_path / path.name
        for end in np.random.default_rng(0).integers(0, len(content) - 2, 20):
            cut.write_bytes(content[:end])
            try:
                found = [ds["frames"].values for ds in open_recordings(cut, f"fluid:{kind}")]
            except SciworldError as error:
                assert cut.name in str(error)
            else:  # whole rows were cut away, or a number lost digits: text files do not tell
                assert kind in ("openpiv", "insight", "davis"), end
                assert found[0].shape[1:] != whole[0].shape[1:] or end > len(content) - 12, (path, end)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file["t0_fields/p"].attrs.__delitem__("dim_varying"), "no attribute 'dim_varying'"),
        (lambda file: file.__delitem__("dimensions/time"), "no dataset 'dimensions/time'"),
        (lambda file: file.attrs.__setitem__("n_trajectories", 3), "holds 2 trajectories; the file states 3"),
        (lambda file: file["dimensions/time"].__setitem__(2, 0.0), "'time' is 0.0 s at frame 2"),
        (lambda file: file["dimensions/time"].__setitem__(2, np.nan), "'time' is nan s at frame 2"),
        (lambda file: file["dimensions"].attrs.__setitem__("spatial_dims", ["y", "x"]), "points along its dimensions"),
    ],
)
def test_a_broken_well_is_named(tmp_path, change, message):
    path = write_well(tmp_path / "w.hdf5", [("p", 0, np.ones((B, T, NX, NY)), True, True, (True, True))])
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(SciworldError, match=message) as caught:
        open_recordings(path, "fluid:well")
    assert "w.hdf5" in str(caught.value)


def test_what_cannot_be_asked(tmp_path, flow):
    path, *_ = flow
    with pytest.raises(FormatError, match="holds 2 recordings; use open_recordings"):
        open_recording(path)
    with pytest.raises(SettingsError, match="no reader 'x' of flows"):
        open_recordings(path, "fluid:x")
    with pytest.raises(SettingsError, match="leave out frame_seconds"):
        open_recordings(path, options={"frame_seconds": 1.0})
    with pytest.raises(FormatError, match="whole films; read them one by one"):
        open_recordings([path, path])
