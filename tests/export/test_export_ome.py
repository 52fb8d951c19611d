"""OME-Zarr images hold what was recorded, say where it is as the specification wants, and Zarr alone reads them."""

import json
import re

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import RecordingError, SettingsError
from sciworld.export.export import ExportSettings, export

T, Y, X = 37, 5, 7
# The units of the specification 0.5 for axes of space.
PREFIXES = "atto centi deci exa femto giga hecto kilo mega micro milli nano peta pico tera yocto yotta zepto zetta"
SPACE = [
    "angstrom",
    "foot",
    "inch",
    "meter",
    "mile",
    "parsec",
    "yard",
    *(f"{prefix}meter" for prefix in PREFIXES.split()),
]


def scan(
    dtype="float32", z=None, channels=2, units="nm", time=None, view=(0.5, 0, 2.0, 0, 0.25, -1.0), seed=0, **more
) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    shape = (T, *([z] if z else []), Y, X, channels)
    frames = (100 * rng.normal(size=shape)).astype(dtype)
    if frames.dtype.kind == "f":
        frames.flat[::17], frames.flat[1], frames.flat[2] = np.nan, -0.0, np.inf
    controls = rng.normal(size=(T, 2))
    controls[-1] = np.nan
    return recording.make(
        frames,
        0.125 * np.arange(T) + 3 if time is None else time,
        channels=ColumnTable(tuple(Column(f"c{k}", "counts") for k in range(channels))),
        controls=controls,
        control_table=ColumnTable((Column("dwell", "s", 0.0, 9.0, kind="continuous"), Column("u", "V"))).unbounded(),
        view=np.array(view) if units else None,
        view_units=units,
        session=f"s|{seed}/é", source="toy", licence="", citation="", history="h", **more,
    )  # fmt: skip


def check_metadata(group: zarr.Group) -> dict:
    """The structure that the specification 0.5 demands of an image; its one multiscale."""
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    axes = image["axes"]
    assert 2 <= len(axes) <= 5 and len({axis["name"] for axis in axes}) == len(axes)
    types = [axis["type"] for axis in axes]
    assert re.fullmatch("(time )?(channel )?space space( space)?", " ".join(types))
    for axis in axes:
        assert set(axis) <= {"name", "type", "unit"}
        assert axis.get("unit", "second") == "second" if axis["type"] == "time" else True
        assert axis["type"] == "space" or axis.get("unit") in (None, "second")
        assert axis["type"] != "space" or axis.get("unit", "meter") in SPACE
    assert [axis["name"] for axis in axes if axis["type"] == "space"] in (["y", "x"], ["z", "y", "x"])
    (level,) = image["datasets"]
    kinds = [one["type"] for one in level["coordinateTransformations"]]
    assert kinds in (["scale"], ["scale", "translation"])
    array = group[level["path"]]
    assert isinstance(array, zarr.Array)
    assert array.metadata.zarr_format == 3
    assert list(array.metadata.dimension_names) == [axis["name"] for axis in axes]
    for one in level["coordinateTransformations"]:
        assert len(one[one["type"]]) == array.ndim and all(isinstance(n, float) for n in one[one["type"]])
    return image


def same(group: zarr.Group, ds: xr.Dataset) -> None:
    """Every number of a recording is in the image, bit by bit."""
    pixels = np.moveaxis(np.asarray(group["0"][...]), 1, -1)
    assert pixels.dtype == ds["frames"].dtype
    assert np.ascontiguousarray(pixels).tobytes() == ds["frames"].values.tobytes()
    beside = group["sciworld"]
    assert set(beside.array_keys()) == {str(name) for name in ds.variables if name != "frames"}
    assert dict(beside.attrs) == ds.attrs
    for name, array in beside.arrays():
        assert np.asarray(array[...]).tobytes() == ds[name].values.tobytes()
        assert array.metadata.dimension_names == ds[name].dims and dict(array.attrs) == ds[name].attrs


@pytest.mark.parametrize("dtype", recording.FRAME_DTYPES)
@pytest.mark.parametrize("z", [None, 3])
def test_an_image_holds_every_bit(tmp_path, dtype, z):
    ds = scan(dtype, z)
    told = []
    made = export(ds, tmp_path / "a.ome.zarr", "ome-zarr", progress=lambda *both: told.append(both))
    group = zarr.open_group(made.path, mode="r")
    image = check_metadata(group)
    same(group, ds)
    assert told[-1] == (T, T) and made.notes == ()
    assert image["name"] == ds.attrs["session"]
    assert [axis.get("unit") for axis in image["axes"]] == ["second", None, *[None] * bool(z), "nanometer", "nanometer"]
    scale, moved = image["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [0.125, 1.0, *[1.0] * bool(z), 0.25, 0.5]
    assert moved["translation"] == [3.0, 0.0, *[0.0] * bool(z), -1.0, 2.0]
    assert group["0"].chunks[0] == 16
    assert json.loads(group["0"].attrs["columns"])[1]["name"] == "c1"


@settings(max_examples=6)
@given(rows=st.integers(1, T), chunk=st.integers(100, 1 << 11), tile=st.integers(3, 8))
def test_any_block_and_chunk_gives_the_same(tmp_path_factory, rows, chunk, tile):
    ds = scan(seed=rows, channels=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sciworld.lazy.BLOCK_BYTES", rows * ds["frames"][0].nbytes)
        patch.setattr("sciworld.export.ome.CHUNK_BYTES", chunk)
        patch.setattr("sciworld.export.ome.TILE", tile)
        made = export(ds, tmp_path_factory.mktemp("o") / "a.zarr", "ome-zarr")
    same(zarr.open_group(made.path, mode="r"), ds)


def test_what_axes_cannot_say_is_said_and_kept(tmp_path):
    time = np.cumsum(np.random.default_rng(0).uniform(0.1, 0.2, T))
    for name, ds, unit, note in (
        ("uneven", scan(time=time), (None, "nanometer"), "times are uneven"),
        ("turned", scan(view=(1.0, 0.5, 0, 0.5, 1.0, 0)), ("second", None), "turns, shears or moves"),
        ("odd", scan(units="furlong"), ("second", None), "no name for the unit 'furlong'"),
        ("pixels", scan(units=""), ("second", None), ""),
        ("angstrom", scan(units="A"), ("second", "angstrom"), ""),
        ("micro", scan(units="µm"), ("second", "micrometer"), ""),
    ):
        made = export(ds, tmp_path / name, "ome-zarr")
        group = zarr.open_group(made.path, mode="r")
        image = check_metadata(group)
        same(group, ds)
        assert (image["axes"][0].get("unit"), image["axes"][-1].get("unit")) == unit
        assert note in "".join(made.notes) and bool(note) == bool(made.notes)
        scale = image["datasets"][0]["coordinateTransformations"][0]["scale"]
        assert scale[0] == (1.0 if name == "uneven" else 0.125)
        assert scale[-1] == (1.0 if name in ("turned", "pixels") else 0.5)


def test_several_recordings_are_images_of_a_folder(tmp_path):
    recordings = [scan(seed=seed) for seed in (1, 2)]
    made = export(recordings, tmp_path / "many", "ome-zarr")
    assert sorted(path.name for path in made.path.iterdir()) == ["s_1_é.ome.zarr", "s_2_é.ome.zarr"]
    for ds, path in zip(recordings, sorted(made.path.iterdir()), strict=True):
        group = zarr.open_group(path, mode="r")
        check_metadata(group)
        same(group, ds)


def test_another_camera_is_chosen_by_name_and_the_first_is_said_to_be_left_out(tmp_path):
    ds = scan()
    side = ds["frames"].rename(y="y_side", x="x_side", channel="channel_side") * np.float32(2)
    side.attrs = ds["frames"].attrs
    ds = ds.assign(frames_side=side, view_side=ds["view"])
    made = export(ds, tmp_path / "a", "ome-zarr", ExportSettings(camera="frames_side"))
    assert made.notes == ("camera 'frames' is left out",)
    np.testing.assert_array_equal(np.moveaxis(zarr.open_group(made.path, mode="r")["0"][...], 1, -1), side.values)
    with pytest.raises(SettingsError, match=r"no camera 'frames_top'; there are frames, frames_side"):
        export(ds, tmp_path / "b", "ome-zarr", ExportSettings(camera="frames_top"))


def test_a_name_that_would_leave_the_group_is_refused(tmp_path):
    ds = scan().assign({"../../out": ("time", np.zeros(T))})
    with pytest.raises(RecordingError, match="cannot name an array"):
        export(ds, tmp_path / "a", "ome-zarr")
    assert list(tmp_path.iterdir()) == []
