"""NetCDF after CF: places, times and controls as the file states them, and nothing guessed."""

import json

import h5py
import numpy as np
import pytest
import xarray as xr

from sciworld import recording
from sciworld.errors import FormatError
from sciworld.export.export import export
from sciworld.ingest.open import open_recording
from sciworld.ingest.run import ingest
from sciworld.store import Store

T, NZ, NY, NX = 11, 3, 5, 7
LAT, LON = {"units": "degrees_north"}, {"units": "degrees_east"}


def write(path, coords=None, attrs=None, engine="h5netcdf", **more):
    """u (time, y, x) float32 and what else is given; the values of u."""
    u = np.random.default_rng(6).normal(size=(T, NY, NX)).astype("float32")
    known = {"time": ("time", np.arange(T) * 2.0, {"units": "s"}), "y": np.arange(NY) * 0.5, "x": np.arange(NX) * 0.5}
    known |= coords or {}
    dims = ("time", *[dim for dim in known if dim != "time"][-2:]) if coords and "lat" in coords else ("time", "y", "x")
    known = known if dims[-1] == "x" else {name: one for name, one in known.items() if name not in "xy"}
    ds = xr.Dataset({"u": (dims, u), **more}, known, attrs or {})
    ds.to_netcdf(path, engine=engine, **({"format": "NETCDF3_CLASSIC"} if engine == "scipy" else {}))
    return u


def axis(n, first, step, attributes, name):
    return (name, first + step * np.arange(n), attributes)


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_degrees_stay_degrees(tmp_path, engine):
    coords = {"lat": axis(NY, 50.0, 0.25, LAT, "lat"), "lon": axis(NX, -3.0, 0.5, LON, "lon")}
    u = write(tmp_path / "a.nc", coords, engine=engine)
    ds = open_recording(tmp_path / "a.nc")
    np.testing.assert_array_equal(ds["frames"].values[..., 0], u)
    np.testing.assert_allclose(ds["view"].values[0], [0.5, 0, -3.0, 0, 0.25, 50.0])
    assert ds["view"].attrs["units"] == "degree" and "grid_x" not in ds


@pytest.mark.parametrize(
    ("lat", "lon", "why"),
    [
        (("lat", [1.0, 2, 4, 8, 16], LAT), axis(NX, 0, 1, LON, "lon"), "'lon' and 'lat' are uneven"),
        (axis(NY, 0, 1, {"units": "km"}, "lat"), axis(NX, 0, 1, {"units": "m"}, "lon"), "are in m and km"),
    ],
)
def test_places_that_no_view_holds_are_kept_beside_it(tmp_path, lat, lon, why):
    write(tmp_path / "a.nc", {"lat": lat, "lon": lon})
    ds = open_recording(tmp_path / "a.nc")
    assert ds["view"].attrs["units"] == "pixel" and why in ds.attrs["history"]
    np.testing.assert_array_equal(ds["grid_y"].values, lat[1])
    assert ds["grid_y"].attrs == {"units": "degree" if lat[2] is LAT else "km", "name": "lat"}
    (again,) = [open_recording(export(ds, tmp_path / "b.hdf5", "well").path)]
    np.testing.assert_array_equal(again["grid_y"].values, lat[1])


def test_axes_are_known_by_standard_names_and_units(tmp_path):
    coords = {
        "time": ("time", np.arange(T) * 2.0, {"units": "s"}),
        "j": ("j", np.arange(NY) * 1.0, LAT),
        "i": ("i", np.arange(NX) * 1.0, {"standard_name": "projection_x_coordinate", "units": "m"}),
        "pfull": ("pfull", np.arange(NZ) * 1.0, {"positive": "down", "units": "hPa"}),
    }
    values = np.random.default_rng(0).normal(size=(NX, T, NZ, NY))
    xr.Dataset({"u": (("i", "time", "pfull", "j"), values)}, coords).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    ds = open_recording(tmp_path / "a.nc")
    np.testing.assert_array_equal(ds["frames"].values[..., 0], values.transpose(1, 2, 3, 0))


@pytest.mark.parametrize("name", ["z", "depth", "level", "plev"])
def test_heights_are_z(tmp_path, name):
    u = np.random.default_rng(1).normal(size=(T, NY, NX, NZ))
    coords = {name: (name, [0.0, 10.0, 30.0], {"units": "m"})}
    write(tmp_path / "a.nc", coords, w=(("time", "y", "x", name), u))
    ds = open_recording(tmp_path / "a.nc")
    assert ds["frames"].dims == ("time", "z", "y", "x", "channel")
    np.testing.assert_array_equal(ds["frames"].values[..., 0], u.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(ds["grid_z"].values, [0.0, 10.0, 30.0])
    assert ds["grid_z"].attrs == {"units": "m", "name": name}
    assert "left out, for they have other dimensions, or are no numbers: u" in ds.attrs["history"]


def test_planes_are_read_where_nothing_lies_on_z(tmp_path):
    u = write(tmp_path / "a.nc", {"z": ("z", np.arange(NZ) * 1.0)}, profile=(("time", "z"), np.ones((T, NZ))))
    ds = open_recording(tmp_path / "a.nc")
    np.testing.assert_array_equal(ds["frames"].values[..., 0], u)
    assert "no numbers: profile" in ds.attrs["history"] and "grid_z" not in ds


def test_dimensions_that_no_frame_has_are_named(tmp_path):
    xr.Dataset({"u": (("time", "member", "y", "x"), np.ones((T, 2, NY, NX)))}).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(FormatError, match=r"'u' is on \(time, member, y, x\); take one place along other dim.* isel"):
        open_recording(tmp_path / "a.nc")


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_what_varies_in_time_alone_is_a_control(tmp_path, engine):
    forcing = np.random.default_rng(2).normal(size=T)
    write(
        tmp_path / "a.nc", engine=engine, forcing=("time", forcing, {"units": "N/kg"}),
        valve=("time", (np.arange(T) % 2).astype("int32")),
        issued=("time", np.arange(T) * 1.0, {"units": "hours since 2000-01-01"}),
        huge=((), 3.0),
    )  # fmt: skip
    ds = open_recording(tmp_path / "a.nc")
    assert [(column.name, column.units) for column in recording.control_table(ds)] == [
        ("forcing", "N/kg"),
        ("valve", "1"),
    ]
    np.testing.assert_array_equal(ds["controls"].values[:-1, 0], forcing[:-1])
    assert np.isnan(ds["controls"].values[-1]).all()
    np.testing.assert_array_equal(ds["log_value"].values[:T], forcing)
    assert "controls, for they vary in time alone: forcing, valve" in ds.attrs["history"]
    assert "no numbers: huge, issued" in ds.attrs["history"]
    ingest(tmp_path / "a.nc", tmp_path / "store")
    np.testing.assert_array_equal(Store.open(tmp_path / "store")[0]["controls"].values, ds["controls"].values)


def test_integers_that_no_float_holds_are_no_controls(tmp_path):
    write(tmp_path / "a.nc", number=("time", 2**53 + np.arange(T)), whole=("time", np.arange(T)))
    ds = open_recording(tmp_path / "a.nc")
    assert recording.control_table(ds).names == ("whole",) and "no numbers: number" in ds.attrs["history"]


def test_what_the_file_says_of_itself_is_kept(tmp_path):
    stated = {
        "title": "Jet", "institution": "KTH", "source": "a solver 1.2", "references": "doi:10.1/x", "history": "made",
        "license": "CC0", "Re": 100.0, "levels": np.array([1.0, 2.0]), "comment": "x" * 70_000,
    }  # fmt: skip
    write(tmp_path / "a.nc", attrs=stated)
    ds = open_recording(tmp_path / "a.nc")
    for name in ("title", "institution", "source", "references", "history", "license", "Re"):
        assert ds.attrs[f"netcdf_{name}"] == stated[name]
    assert ds.attrs["netcdf_levels"] == "[1.0, 2.0]" and ds.attrs["source"] == "a.nc"
    assert (ds.attrs["licence"], ds.attrs["citation"]) == ("CC0", "doi:10.1/x")
    assert "longer than 65536 letters: the attribute 'comment'" in ds.attrs["history"]
    ingest(tmp_path / "a.nc", tmp_path / "store")
    assert Store.open(tmp_path / "store")[0].attrs["netcdf_institution"] == "KTH"


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
@pytest.mark.parametrize(
    ("units", "calendar", "seconds"),
    [
        ("days since 2000-01-01", "noleap", 86400.0),
        ("days since 2000-02-30", "360_day", 86400.0),
        ("hours since 1850-01-01 00:00:00", "365_day", 3600.0),
        ("months since 2000-01-01", "360_day", 30 * 86400.0),
        ("Seconds since 2000-01-01", "standard", 1.0),
        ("days since 1900-01-01", None, 86400.0),
    ],
)
def test_times_of_any_calendar_are_elapsed_seconds(tmp_path, units, calendar, seconds, engine):
    attributes = {"units": units} | ({"calendar": calendar} if calendar else {})
    write(tmp_path / "a.nc", {"time": ("time", 700.5 + 2.0 * np.arange(T), attributes)}, engine=engine)
    ds = open_recording(tmp_path / "a.nc")
    np.testing.assert_allclose(ds["time"].values, 2.0 * seconds * np.arange(T))
    assert not recording.is_counted(ds)
    assert f"time counts from 700.5 {units}, in the calendar '{calendar or 'standard'}'" in ds.attrs["history"]


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
@pytest.mark.parametrize("units", ["months since 2000-01-01", "years since 2000-01-01", "common_years since 1900-1-1"])
def test_months_and_years_have_no_length(tmp_path, units, calendar):
    if (units[:6], calendar) == ("months", "360_day"):
        return
    write(tmp_path / "a.nc", {"time": ("time", np.arange(T) * 1.0, {"units": units, "calendar": calendar})})
    with pytest.raises(FormatError, match=rf"a\.nc: 'time' counts '{units}' in the calendar '{calendar}'.*cftime"):
        open_recording(tmp_path / "a.nc")


def test_long_counts_of_nanoseconds_lose_nothing(tmp_path):
    time = 2**60 + 10 * np.arange(T)
    write(tmp_path / "a.nc", {"time": ("time", time, {"units": "ns since 1970-01-01"})})
    np.testing.assert_allclose(open_recording(tmp_path / "a.nc")["time"].values, 1e-8 * np.arange(T), rtol=1e-12)


def test_attributes_are_plain_json(tmp_path):
    write(tmp_path / "a.nc")
    with h5py.File(tmp_path / "a.nc", "r+") as file:
        file.attrs["bad"] = np.float64("nan")
        file.attrs["bytes"] = np.bytes_(b"caf\xe9")
    ds = open_recording(tmp_path / "a.nc")
    assert json.loads(json.dumps(ds.attrs)) == ds.attrs and ds.attrs["netcdf_bad"] == "nan"
