"""OME-Zarr: what we export opens as it was, and images of other programs with their axes, lengths and times."""

import json

import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import FormatError, SciworldError, SettingsError
from sciworld.export.export import ExportSettings, export
from sciworld.ingest.open import open_recording
from sciworld.ingest.run import ingest
from sciworld.store import Store

T, C, Z, Y, X = 11, 2, 3, 5, 7
SIZES = {"t": T, "c": C, "z": Z, "y": Y, "x": X}
TYPES = {"t": "time", "c": "channel"} | dict.fromkeys("zyx", "space")
SCALE = {"t": 250.0, "c": 1.0, "z": 2.0, "y": 0.25, "x": 0.5}
UNITS = {"t": "millisecond", "z": "micrometer", "y": "nanometer", "x": "nanometer"}


def scan(z=None, time=None, units="nm", seed=0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    controls = rng.normal(size=(T, 1))
    controls[-1] = np.nan
    return recording.make(
        rng.normal(size=(T, *([z] if z else []), Y, X, C)).astype("float32"),
        0.125 * np.arange(T) + 3 if time is None else time,
        channels=ColumnTable((Column("HAADF", "counts"), Column("BF", "counts"))),
        controls=controls,
        control_table=ColumnTable((Column("dwell", "s", 0.0, 9.0),)).unbounded(),
        view=np.array((0.5, 0, 2.0, 0, 0.25, -1.0)) if units else None,
        view_units=units,
        session=f"s{seed}", source="toy", licence="CC0", citation="c", history="h",
    )  # fmt: skip


def foreign(path, axes="tczyx", /, version="0.5", levels=1, labels=("a", "b"), drop=(), **changes):
    """An image of another program, of each level the same array, halved; its pixels (t, c, z, y, x) of those axes."""
    pixels = np.random.default_rng(1).integers(0, 999, [SIZES[axis] for axis in axes]).astype("uint16")
    stated = [{"name": axis, "type": TYPES[axis]} | ({"unit": UNITS[axis]} if axis in UNITS else {}) for axis in axes]
    stated = [{key: value for key, value in axis.items() if key not in drop} for axis in stated]
    scales = [[{"type": "scale", "scale": [SCALE[axis] * 2**k for axis in axes]}] for k in range(levels)]
    datasets = [{"path": f"s{k}", "coordinateTransformations": scale} for k, scale in enumerate(scales)]
    ome = {"version": version, "multiscales": [{"axes": stated, "datasets": datasets} | changes]}
    ome["omero"] = {"channels": [{"label": label, "color": "FFFFFF"} for label in labels]}
    old = version == "0.4"
    group = zarr.create_group(path, zarr_format=2 if old else 3, attributes=ome if old else {"ome": ome})
    for k in range(levels):
        group.create_array(f"s{k}", data=pixels[..., :: 2**k, :: 2**k], chunks=[min(size, 3) for size in pixels.shape])
    return pixels


@pytest.mark.parametrize("z", [None, 3])
@pytest.mark.parametrize("units", ["nm", ""])
@pytest.mark.parametrize("time", [None, np.cumsum(np.linspace(0.1, 0.2, T))])
@pytest.mark.parametrize("name", ["a.ome.zarr", "a"])
def test_what_we_export_opens_as_it_was(tmp_path, z, units, time, name):
    ds = scan(z, time, units)
    path = export(ds, tmp_path / name, "ome-zarr").path
    got = open_recording(path)
    assert "read back from" in got.attrs["history"]
    xr.testing.assert_identical(got.assign_attrs(history="h").load(), ds)


def test_an_export_goes_through_a_store(tmp_path):
    ds = scan()
    path = export(ds, tmp_path / "a.ome.zarr", "ome-zarr").path
    ingest(path, tmp_path / "store")
    (got,) = list(Store.open(tmp_path / "store"))
    for name in ds.variables:
        np.testing.assert_array_equal(got[name].values, ds[name].values)


def test_the_frames_of_another_camera_are_the_frames(tmp_path):
    ds = scan()
    side = ds["frames"].rename(y="y_side", x="x_side", channel="channel_side") * np.float32(2)
    ds = ds.assign(frames_side=side.assign_attrs(ds["frames"].attrs), view_side=2 * ds["view"])
    ds["view_side"].attrs = ds["view"].attrs
    path = export(ds, tmp_path / "a", "ome-zarr", ExportSettings(camera="frames_side")).path
    got = open_recording(path)
    np.testing.assert_array_equal(got["frames"].values, side.values)
    np.testing.assert_array_equal(got["view"].values, ds["view_side"].values)
    assert "view_side" not in got and "the camera 'side'" in got.attrs["history"]


def test_several_exports_are_opened_one_by_one(tmp_path):
    path = export([scan(seed=1), scan(seed=2)], tmp_path / "many", "ome-zarr").path
    with pytest.raises(FormatError, match="open such one by one"):
        open_recording(path)
    assert [open_recording(one).attrs["session"] for one in sorted(path.iterdir())] == ["s1", "s2"]


def test_a_store_is_no_file_of_frames(tmp_path):
    Store.create(tmp_path / "s").append([scan()])
    with pytest.raises(FormatError, match="is a store of recordings already"):
        open_recording(tmp_path / "s")


@pytest.mark.parametrize("options", [{"pixel_size": 1.0}, {"frame_seconds": 1.0}, {"frames": 2}, {"array": "0"}])
def test_an_export_states_what_it_is(tmp_path, options):
    path = export(scan(), tmp_path / "a", "ome-zarr").path
    with pytest.raises(SettingsError, match=f"leave out {next(iter(options))}"):
        open_recording(path, options=options)
    assert open_recording(path, options={"session": "x"}).attrs["session"] == "x"


@pytest.mark.parametrize(
    "damage", ["chunk", "frames", "attributes", "huge", "short", "header", "no header", "empty", "flip"]
)
def test_a_damaged_export_is_named(tmp_path, damage):
    path = export(scan(), tmp_path / "a.zarr", "ome-zarr").path
    file = path / "sciworld" / "controls" / "zarr.json"
    node = json.loads(file.read_bytes())
    if damage == "chunk":
        (path / "sciworld/time/c/0").unlink()
    elif damage == "frames":
        next(path.glob("0/c/0/1/*/*")).unlink()
    elif damage == "attributes":
        node["attributes"] = {}
    elif damage == "header":
        (path / "sciworld/zarr.json").write_bytes((path / "sciworld/zarr.json").read_bytes()[:-1])
    elif damage == "no header":
        (path / "sciworld/zarr.json").unlink()
    elif damage == "empty":
        next(path.glob("0/c/0/1/*/*")).write_bytes(b"")
    elif damage == "empty column":
        (path / "sciworld/time/c/0").write_bytes(b"")
    elif damage == "flip":
        chunk = next(path.glob("0/c/0/1/*/*"))
        content = bytearray(chunk.read_bytes())
        content[len(content) // 2] ^= 4
        chunk.write_bytes(content)
    else:
        node["shape"] = [10**12, 1] if damage == "huge" else [T - 1, 1]
    file.write_text(json.dumps(node))
    with pytest.raises(SciworldError, match=r"a\.zarr"):
        open_recording(path).load()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("damage", ["cut", "gone", "empty"])
def test_chunks_that_change_after_opening_are_no_numbers(tmp_path, version, damage):
    """Blosc reads on beyond the end of what was cut off, and Zarr takes what is gone for zeros."""
    codec = numcodecs.Blosc() if version == 2 else zarr.codecs.BloscCodec()
    pixels = np.random.default_rng(2).integers(0, 999, (T, Y, X)).astype("uint16")
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=pixels.shape,
        dtype="uint16",
        chunks=(3, Y, 4),
        zarr_format=version,
        compressors=codec,
    )
    array[:6], array[9:] = pixels[:6], pixels[9:]  # others were never written
    ds = open_recording(tmp_path / "a.zarr")
    assert (ds["frames"][:6, ..., 0] == pixels[:6]).all() and not ds["frames"][6:9].any()
    chunk = tmp_path / "a.zarr" / ("1.0.0" if version == 2 else "c/1/0/0")
    if damage == "gone":
        chunk.unlink()
    else:
        chunk.write_bytes(b"" if damage == "empty" else chunk.read_bytes()[:-9])
    ds = open_recording(tmp_path / "a.zarr") if damage == "cut" else ds
    with pytest.raises(FormatError, match=r"1.0.0: .*copy it anew"):
        ds["frames"].load()
    assert (ds["frames"][:3, ..., 0] == pixels[:3]).all()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["tczyx", "tcyx", "tyx", "cyx", "zyx", "yx", "tczxy"])
@pytest.mark.parametrize("drop", [(), ("type",)])
def test_axes_of_other_programs(tmp_path, version, axes, drop):
    pixels = foreign(tmp_path / "a.zarr", axes, version=version, labels=("a", "b") if "c" in axes else (), drop=drop)
    ds = open_recording(tmp_path / "a.zarr")
    order = [axis for axis in "tzyxc" if axis in axes]
    wanted = pixels.transpose([axes.index(axis) for axis in order])
    wanted = wanted if "t" in axes else wanted[None]
    wanted = wanted if "c" in axes else wanted[..., None]
    np.testing.assert_array_equal(ds["frames"].values, wanted)
    np.testing.assert_array_equal(ds["frames"][:, ..., 1:3, ::2, :].values, wanted[:, ..., 1:3, ::2, :])
    np.testing.assert_allclose(ds["view"].values[0], [5.0, 0, 0, 0, 2.5, 0])
    assert ds["view"].attrs["units"] == "A" and f"version {version}" in ds.attrs["history"]
    np.testing.assert_allclose(ds["time"].values, 0.25 * np.arange(T if "t" in axes else 1))
    assert recording.channel_table(ds).names == (("a", "b") if "c" in axes else ("intensity",))
    assert ("planes along z are 2 micrometer apart" in ds.attrs["history"]) == ("z" in axes)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_level_of_full_size_is_read_unless_another_is_named(tmp_path, version):
    whole = [{"type": "scale", "scale": [1.0, 10.0, 10.0]}, {"type": "translation", "translation": [0, 1.0, 2.0]}]
    pixels = foreign(tmp_path / "a.zarr", "tyx", version=version, levels=2, labels=(), coordinateTransformations=whole)
    ds = open_recording(tmp_path / "a.zarr")
    np.testing.assert_array_equal(ds["frames"].values[..., 0], pixels)
    np.testing.assert_allclose(ds["view"].values[0], [50.0, 0, 20.0, 0, 25.0, 10.0])
    assert "level 's0' of s0, s1" in ds.attrs["history"]
    half = open_recording(tmp_path / "a.zarr", options={"array": "s1"})
    np.testing.assert_array_equal(half["frames"].values[..., 0], pixels[:, ::2, ::2])
    np.testing.assert_allclose(half["view"].values[0, 0], 100.0)
    with pytest.raises(FormatError, match="no level 's9'; choose one with array=: s0, s1"):
        open_recording(tmp_path / "a.zarr", options={"array": "s9"})


def test_images_of_a_collection_are_chosen_by_name(tmp_path):
    zarr.create_group(tmp_path / "a.zarr", zarr_format=2, attributes={"bioformats2raw.layout": 3})
    first = foreign(tmp_path / "a.zarr/0", "yx", version="0.4", labels=())
    second = foreign(tmp_path / "a.zarr/1", "tyx", version="0.4", labels=())
    with pytest.raises(FormatError, match=r"2 arrays; choose one with array=: 0, 1"):
        open_recording(tmp_path / "a.zarr")
    for name, pixels in (("0", first[None]), ("1", second)):
        found = open_recording(tmp_path / "a.zarr", options={"array": name})
        np.testing.assert_array_equal(found["frames"].values[..., 0], pixels)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"drop": ("unit",)}, "its pixels of 0.5 '' by 0.25 '' are no lengths"),
        ({"drop": ("unit",)}, "its time step 250 '' is no time"),
        ({"labels": ("a", "a")}, "its labels a, a do not name 2 channels"),
        ({"labels": ("a",)}, "its labels a do not name 2 channels"),
    ],
)
def test_what_is_not_stated_is_not_guessed(tmp_path, changes, note):
    foreign(tmp_path / "a.zarr", "tcyx", **changes)
    ds = open_recording(tmp_path / "a.zarr")
    assert note in ds.attrs["history"]
    if "drop" in changes:
        assert ds["view"].attrs["units"] == "pixel" and recording.is_counted(ds)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": ["t", "y", "x"]}, "states no axes"),
        ({"axes": [{"name": "y"}, {"name": "x"}]}, r"2 axes for an array of shape \(11, 5, 7\)"),
        ({"axes": [{"name": "phase", "type": "phase"}, {"name": "y"}, {"name": "x"}]}, "take one place along phase"),
        ({"datasets": [{"path": "../../etc"}]}, "no level"),
        ({"datasets": []}, "cannot be read"),
        ({"coordinateTransformations": [{"type": "rotation", "rotation": [1]}]}, "none of 3 axes by scale"),
        ({"coordinateTransformations": [{"type": "scale", "scale": [1, 2]}]}, "none of 3 axes by scale"),
        ({"coordinateTransformations": [{"type": "scale", "path": "x"}]}, "none of 3 axes by scale"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(tmp_path, changes, message):
    foreign(tmp_path / "a.zarr", "tyx", labels=(), **changes)
    with pytest.raises(FormatError, match=message) as caught:
        open_recording(tmp_path / "a.zarr")
    assert "a.zarr" in str(caught.value)
