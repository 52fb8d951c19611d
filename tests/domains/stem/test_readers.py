"""Readers: frames as they are, calibration as stated, and every damaged file refused by an error of ours."""

import gc
import io
import json
import struct
import sys
import types
import zipfile

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from sciworld import recording
from sciworld.domains.stem.readers import READERS, read
from sciworld.errors import FormatError, MissingDependencyError, SettingsError

T, Y, X = 11, 5, 7
NM = {"offset": -1.0, "scale": 0.05, "units": "nm"}


def counts(dtype="uint16", shape=(T, Y, X)):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def write_npy(path, frames):
    np.save(path, frames)


def write_npz(path, frames, **more):
    np.savez(path, frames=frames, **more)


def write_zarr(path, frames):
    zarr.create_array(path, data=frames, chunks=(3, *frames.shape[1:]))


def write_tiff(path, frames):
    tifffile.imwrite(path, frames, photometric="minisblack", metadata=None)


def write_imagej(path, frames, resolution=(40.0, 20.0), **metadata):
    metadata = {"axes": "TYX", "unit": "nm", "finterval": 0.5, **metadata}
    tifffile.imwrite(path, frames, imagej=True, resolution=resolution, metadata=metadata)


def write_ome(path, frames, n=T):
    planes = {"DeltaT": [0.25 * k for k in range(n)], "DeltaTUnit": ["s"] * n}
    sizes = {"PhysicalSizeX": 30.0, "PhysicalSizeXUnit": "pm", "PhysicalSizeY": 0.05, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(
        path, frames, ome=True, photometric="minisblack", metadata={"axes": "TYX", **sizes, "Plane": planes}
    )


def write_movie(path, frames, labels=True):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("nn_input", data=frames[..., None])
        data.attrs["metadata"] = json.dumps({"acc voltage": 60.0})
        data.attrs["scan size"] = 700.0
        for k in range(len(frames) if labels else 0):
            file[f"defect_coord_{k}"] = np.array([[b"1.0", b"2.5", b"C"], [b"3.25", b"2.0", b"Si"]], dtype="S32")


def nion(frames, **changes):
    metadata = {
        "hardware_source": {"pixel_time_us": 4.0, "exposure": 0.4},
        "instrument": {"high_tension": 60000.0},
        "scan": {"fov_nm": 0.35, "rotation": 0.1},
    }
    time = {"offset": 0.0, "scale": 0.5, "units": "s"}
    axes = [time, NM, {**NM, "offset": 2.0}][-frames.ndim :]
    properties = {"dimensional_calibrations": axes, "intensity_calibration": {"units": "counts"}, "metadata": metadata}
    return {**properties, **changes}


def write_ndata(path, frames, **changes):
    buffer = io.BytesIO()
    np.save(buffer, frames)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", buffer.getvalue())
        archive.writestr("metadata.json", json.dumps(nion(frames, **changes)))


def write_nion_h5(path, frames, name="data"):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=frames).attrs["properties"] = json.dumps(nion(frames))


WRITERS = {
    "frames.npy": write_npy,
    "frames.npz": write_npz,
    "frames.tif": write_tiff,
    "imagej.tiff": write_imagej,
    "ome.ome.tif": write_ome,
    "movie.hdf5": write_movie,
    "nion.h5": write_nion_h5,
    "nion.ndata": write_ndata,
}


@pytest.mark.parametrize("name", [*WRITERS, "frames.zarr"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_frames_come_back_as_they_are(tmp_path, name, dtype):
    frames = counts(dtype)
    if dtype == "float32":
        frames[2, 3, 4] = np.nan
        frames[5, 0, 6] = -np.inf
    WRITERS.get(name, write_zarr)(tmp_path / name, frames)
    ds = recording.check(read(tmp_path / name))
    assert ds["frames"].dtype == dtype and ds["frames"].dims == ("time", "y", "x", "channel")
    assert np.array_equal(ds["frames"].values[..., 0], frames, equal_nan=dtype == "float32")
    assert f"read {name} as" in ds.attrs["history"]


@pytest.mark.parametrize("dtype", ["int16", "int8", "uint32", "bool", "float16", ">u2", ">f4"])
def test_other_dtypes_are_widened_without_loss(tmp_path, dtype):
    frames = counts(dtype)
    if dtype == "uint32":
        frames[0, 0, 0] = 2**32 - 1
    np.save(tmp_path / "a.npy", frames)
    ds = read(tmp_path / "a.npy")
    assert np.array_equal(ds["frames"].values[..., 0], frames)
    assert ("nothing is lost" in ds.attrs["history"]) == (dtype[0] != ">")


@pytest.mark.parametrize("dtype", ["int64", "complex64", "U3"])
def test_dtypes_that_would_lose_are_refused(tmp_path, dtype):
    np.save(tmp_path / "a.npy", counts().astype(dtype))
    with pytest.raises(FormatError, match=r"a\.npy.*dtype"):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(Y, X), (T, Y, X), (T, Y, X, 2)])
def test_shapes_are_read_with_time_first(tmp_path, shape):
    np.save(tmp_path / "a.npy", counts(shape=shape))
    frames = read(tmp_path / "a.npy")["frames"]
    assert frames.shape == (1 if len(shape) == 2 else T, Y, X, shape[3] if len(shape) == 4 else 1)


@pytest.mark.parametrize("shape", [(), (7,), (0, 5, 7), (2, 3, 4, 5, 6)])
def test_shapes_that_are_no_frames_are_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape, "uint8"))
    with pytest.raises(FormatError, match=r"a\.npy.*shape"):
        read(tmp_path / "a.npy")


def test_nothing_is_guessed_where_a_file_states_nothing(tmp_path):
    write_npy(tmp_path / "a.npy", counts())
    ds = read(tmp_path / "a.npy")
    assert ds["view"].attrs["units"] == "pixel" and np.array_equal(ds["view"][0], [1, 0, 0, 0, 1, 0])
    assert recording.is_counted(ds) and "time_bounds" not in ds
    assert "states no pixel size" in ds.attrs["history"] and "states no times" in ds.attrs["history"]


def test_what_the_user_states_wins_and_is_told(tmp_path):
    write_imagej(tmp_path / "a.tif", counts())
    ds = read(tmp_path / "a.tif", pixel_size=0.3, frame_seconds=2.0, session="Tuesday", licence="CC0", citation="me")
    assert np.allclose(ds["view"][3], [0.3, 0, 0, 0, 0.3, 0]) and np.allclose(ds["time"], 2.0 * np.arange(T))
    assert "0.3 A, as stated by the user, in place of 0.25 A" in ds.attrs["history"]
    assert (ds.attrs["session"], ds.attrs["licence"], ds.attrs["citation"]) == ("Tuesday", "CC0", "me")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pixel_size": -1.0}, "pixel_size"), ({"frames": 0}, "frames"), ({"colour": "red"}, "unknown setting colour")],
)
def test_bad_options_are_refused(tmp_path, options, message):
    write_npy(tmp_path / "a.npy", counts())
    with pytest.raises(SettingsError, match=message):
        read(tmp_path / "a.npy", **options)


def test_npz_carries_times_and_pixel_size(tmp_path):
    time = np.cumsum(np.arange(1.0, T + 1))
    write_npz(tmp_path / "a.npz", counts(), time=time, pixel_size=0.2)
    ds = read(tmp_path / "a.npz")
    assert np.array_equal(ds["time"], time) and ds["view"][0, 0] == 0.2


def test_metadata_shorter_than_frames_are_an_error_with_a_cure(tmp_path):
    write_npz(tmp_path / "a.npz", counts(), time=np.arange(8.0))
    with pytest.raises(FormatError, match=r"a\.npz: times for 8 frames, but 11.*frames=8"):
        read(tmp_path / "a.npz")
    assert read(tmp_path / "a.npz", frames=8).sizes["time"] == 8
    with pytest.raises(FormatError, match="11 frames, but frames=12"):
        read(tmp_path / "a.npz", frames=12)


def test_one_of_several_arrays_is_chosen_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", first=counts(), second=counts()[:3])
    assert read(tmp_path / "a.npz", array="second").sizes["time"] == 3
    for options in ({}, {"array": "third"}):
        with pytest.raises(FormatError, match="first, second"):
            read(tmp_path / "a.npz", **options)


def test_a_zarr_group_and_its_absent_chunks(tmp_path):
    zarr.open_group(tmp_path / "g.zarr", mode="w").create_array("frames", data=counts(), chunks=(3, Y, X))
    (tmp_path / "g.zarr/frames/c/1/0/0").unlink()
    ds = read(tmp_path / "g.zarr")
    assert ds.sizes["time"] == T and "1 chunks are absent and read as 0" in ds.attrs["history"]


def test_absent_shards_are_noted(tmp_path):
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    group.create_array("frames", data=counts() + 1, chunks=(1, Y, X), shards=(3, Y, X))
    assert "absent" not in read(tmp_path / "g.zarr").attrs["history"]
    (tmp_path / "g.zarr/frames/c/1/0/0").unlink()
    ds = read(tmp_path / "g.zarr")
    assert "1 shards are absent and read as 0" in ds.attrs["history"] and (ds["frames"][3:6] == 0).all()
    (tmp_path / "g.zarr/frames/c/0/0/0").write_bytes(b"")  # which zarr reads as zeros too
    with pytest.raises(FormatError, match="c/0/0/0: empty, it was cut off"):
        read(tmp_path / "g.zarr").load()


def test_imagej_calibration_is_read(tmp_path):
    write_imagej(tmp_path / "a.tif", counts(), tunit="ms")
    ds = read(tmp_path / "a.tif")
    assert np.allclose(ds["view"][0], [0.25, 0, 0, 0, 0.5, 0])
    assert np.allclose(ds["time"], 0.0005 * np.arange(T))


@pytest.mark.parametrize("unit", [None, "furlong"])
def test_imagej_units_may_be_missing(tmp_path, unit):
    write_imagej(tmp_path / "a.tif", counts(), unit=unit)
    assert read(tmp_path / "a.tif")["view"].attrs["units"] == "pixel"


def test_imagej_slices_are_taken_as_time_and_it_is_told(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", counts(), imagej=True, metadata={"axes": "ZYX"})
    ds = read(tmp_path / "a.tif")
    assert ds.sizes["time"] == T and "axis 'Z' is taken as time" in ds.attrs["history"]


def test_tiff_channels_stay_channels(tmp_path):
    frames = counts(shape=(T, 2, Y, X))
    tifffile.imwrite(tmp_path / "a.tif", frames, imagej=True, metadata={"axes": "TCYX"})
    assert np.array_equal(read(tmp_path / "a.tif")["frames"], frames.transpose(0, 2, 3, 1))
    tifffile.imwrite(tmp_path / "b.tif", counts(shape=(3, T, Y, X)), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(FormatError, match="axes TZYX"):
        read(tmp_path / "b.tif")


def test_resolution_of_print_is_no_calibration(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", counts(), resolution=(72, 72), resolutionunit="INCH", metadata=None)
    ds = read(tmp_path / "a.tif")
    assert ds["view"].attrs["units"] == "pixel" and "of print" in ds.attrs["history"]


def test_ome_calibration_is_read(tmp_path):
    write_ome(tmp_path / "a.ome.tif", counts())
    ds = read(tmp_path / "a.ome.tif")
    assert np.allclose(ds["view"][0], [0.3, 0, 0, 0, 0.5, 0]) and np.allclose(ds["time"], 0.25 * np.arange(T))


def stated_in_ome(path, deltas=None, **stated):
    """A stack with OME metadata: `stated` of all, `deltas` of its planes; the times as read, and the history."""
    plane = {} if deltas is None else {"Plane": {"DeltaT": list(deltas), "DeltaTUnit": ["ms"] * len(deltas)}}
    metadata = {"axes": "TYX", **stated, **plane}
    tifffile.imwrite(path, counts(), ome=True, photometric="minisblack", metadata=metadata)
    ds = read(path)
    return None if recording.is_counted(ds) else ds["time"].values, ds


def test_an_increment_of_time_in_ome_is_read(tmp_path):
    half = {"TimeIncrement": 500.0, "TimeIncrementUnit": "ms", "PhysicalSizeX": 0.3, "PhysicalSizeY": 0.2}
    time, ds = stated_in_ome(tmp_path / "a.ome.tif", **half)
    np.testing.assert_allclose(time, 0.5 * np.arange(T))
    np.testing.assert_allclose(ds["view"].values[0, [0, 4]], [3000.0, 2000.0])  # um, if nothing is said
    time, ds = stated_in_ome(tmp_path / "b.ome.tif", 100.0 * np.arange(T), **half)
    np.testing.assert_allclose(time, 0.1 * np.arange(T))
    assert "0.1 s apart by DeltaT and 0.5 s by TimeIncrement; the former is used" in ds.attrs["history"]
    time, ds = stated_in_ome(tmp_path / "c.ome.tif", 500.0 * np.arange(T), **half)
    assert "the former is used" not in ds.attrs["history"]
    time, ds = stated_in_ome(tmp_path / "d.ome.tif", np.zeros(T), **half)
    np.testing.assert_allclose(time, 0.5 * np.arange(T))
    assert "its DeltaT are not of every plane, or do not increase" in ds.attrs["history"]


@pytest.mark.parametrize(("step", "unit"), [(2.0, "reference frame"), (0.0, "s"), (-1.0, "s")])
def test_an_increment_that_is_no_time_is_told(tmp_path, step, unit):
    time, ds = stated_in_ome(tmp_path / "a.ome.tif", TimeIncrement=step, TimeIncrementUnit=unit)
    assert time is None and f"its TimeIncrement {step} '{unit}' gives no times" in ds.attrs["history"]


def test_an_increment_is_not_of_planes(tmp_path):
    metadata = {"axes": "ZYX", "TimeIncrement": 2.0}
    tifffile.imwrite(tmp_path / "a.ome.tif", counts(), ome=True, photometric="minisblack", metadata=metadata)
    ds = read(tmp_path / "a.ome.tif")
    assert recording.is_counted(ds) and "of 1 times, not of these 11 frames" in ds.attrs["history"]


def test_the_calibration_is_of_the_image_that_is_read(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for k, size in enumerate((0.1, 0.2)):
            metadata = {"axes": "TYX", "PhysicalSizeX": size, "PhysicalSizeY": size, "TimeIncrement": 1.0 + k}
            file.write(counts(shape=(T, Y + k, X)), photometric="minisblack", metadata=metadata)
    for k, size in enumerate((1000.0, 2000.0)):
        ds = read(tmp_path / "a.ome.tif", array=str(k))
        np.testing.assert_allclose(ds["view"].values[0, [0, 4]], size)
        np.testing.assert_allclose(ds["time"].values, (1.0 + k) * np.arange(T))


def claim(path, n):
    """Change the number of frames in OME metadata, all bytes in their places."""
    path.write_bytes(path.read_bytes().replace(b'SizeT="11"', f'SizeT="{n}"'.encode().ljust(10)))


@pytest.mark.parametrize(("claimed", "message"), [(8, "8 frames, but 11 pages"), (14, "14 frames, but 3 of them")])
def test_ome_metadata_that_contradict_the_pages_are_an_error(tmp_path, claimed, message):
    write_ome(tmp_path / "a.ome.tif", counts())
    claim(tmp_path / "a.ome.tif", claimed)
    with pytest.raises(FormatError, match=message):
        read(tmp_path / "a.ome.tif")


def test_several_tiff_images_need_a_choice(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(counts(), metadata=None, photometric="minisblack")
        file.write(counts()[0, :3], metadata=None)
    with pytest.raises(FormatError, match="array="):
        read(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif", array="0").sizes["time"] == T


def test_the_movie_layout_has_labels_and_voltage(tmp_path):
    write_movie(tmp_path / "a.hdf5", counts("float32"))
    ds = read(tmp_path / "a.hdf5")
    assert np.allclose(ds["view"][0], [1.0, 0, 0, 0, 1.0, 0]) and ds["view"].attrs["units"] == "A"
    assert np.allclose(ds["states"], [3.25, 2.0])
    assert recording.covariate_table(ds)["voltage"].units == "V" and ds["covariates"].values.tolist() == [60000.0]


def test_labels_that_do_not_fit(tmp_path):
    write_movie(tmp_path / "a.hdf5", counts("float32"))
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        del file["defect_coord_3"]
        file["defect_coord_4"][0, 2] = b"Si"
    states = read(tmp_path / "a.hdf5")["states"].values
    assert np.isnan(states[[3, 4]]).all() and np.isfinite(states).sum() == 2 * (T - 2)
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        file["defect_coord_11"] = file["defect_coord_0"][()]
    with pytest.raises(FormatError, match="defect_coord_11"):
        read(tmp_path / "a.hdf5")


def test_a_folder_or_a_list_is_a_movie(tmp_path):
    frames = counts("float32")
    for k in range(T):
        if k != 6:
            write_movie(tmp_path / f"{k}.hdf5", frames[k : k + 1])
    ds = read(tmp_path)
    assert np.array_equal(ds["frames"][..., 0], np.delete(frames, 6, axis=0))  # 2 before 10
    assert "skip 6" in ds.attrs["history"] and ds.sizes["state"] == 2
    assert read([tmp_path / "3.hdf5", tmp_path / "1.hdf5"])["frames"].shape == (2, Y, X, 1)
    write_movie(tmp_path / "12.hdf5", frames[:1, :4])
    with pytest.raises(FormatError, match=r"12\.hdf5.*shape"):
        read(tmp_path)
    write_npy(tmp_path / "x.npy", frames)
    with pytest.raises(FormatError, match=r"\.hdf5, \.npy"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["a.ndata", "a.ndata1", "a.h5", "group.nhdf"])
def test_nion_calibration_is_offset_plus_scale(tmp_path, name):
    if "ndata" in name:
        write_ndata(tmp_path / name, counts())
    else:
        write_nion_h5(tmp_path / name, counts(), "data" if name == "a.h5" else "data/0")
    ds = read(tmp_path / name)
    assert np.allclose(ds["view"][0], [0.5, 0, 20.0, 0, 0.5, -10.0])
    assert np.allclose(ds["time"], 0.5 * np.arange(T)) and np.allclose(ds["time_bounds"][2], [1.0, 1.4])
    facts = dict(zip(recording.covariate_table(ds).names, ds["covariates"].values, strict=True))
    assert facts == pytest.approx({"voltage": 60000.0, "pixel_time": 4e-6, "scan_rotation": 0.1})
    assert recording.channel_table(ds)["intensity"].units == "counts"


def test_contradictory_pixel_sizes_are_both_told(tmp_path):
    metadata = {"scan": {"fov_nm": 0.7}}
    write_ndata(tmp_path / "a.ndata", counts(), metadata=metadata)
    ds = read(tmp_path / "a.ndata")
    assert ds["view"][0, 0] == 0.5
    assert "0.5 A by its calibration and 1 A by scan.fov_nm; the former is used" in ds.attrs["history"]


def test_nion_without_units_is_not_calibrated(tmp_path):
    plain = {"offset": 0.0, "scale": 1.0, "units": ""}
    write_ndata(tmp_path / "a.ndata", counts(), dimensional_calibrations=[plain] * 3, metadata={})
    assert read(tmp_path / "a.ndata")["view"].attrs["units"] == "pixel"
    write_ndata(tmp_path / "a.ndata", counts(), dimensional_calibrations=[plain] * 2)
    with pytest.raises(FormatError, match="2 calibrations"):
        read(tmp_path / "a.ndata")


@pytest.mark.parametrize("name", WRITERS)
def test_a_truncated_file_is_refused_or_whole(tmp_path, name):
    path = tmp_path / name
    frames = counts("float32")
    WRITERS[name](path, frames)
    data = path.read_bytes()
    for cut in sorted({*range(16), *np.linspace(0, len(data) - 1, 60).astype(int), len(data) - 1}):
        path.write_bytes(data[:cut])
        try:
            found = read(path)["frames"].values[..., 0]
        except FormatError as error:
            assert str(path) in str(error)
        else:
            assert np.array_equal(found, frames), f"cut at {cut} of {len(data)} changed frames"


@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_file_raises_nothing_but_ours(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path, counts())
    data = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = data.copy()
        start = rng.integers(0, min(len(data), 1500))
        damaged[start : start + rng.integers(1, 9)] = rng.integers(0, 256)
        path.write_bytes(damaged.tobytes())
        try:
            read(path)["frames"].load()
        except FormatError as error:
            assert str(path) in str(error)


def test_a_damaged_zarr_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    write_zarr(path, counts())
    chunk = path / "c/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:5])
    with pytest.raises(FormatError, match=r"a\.zarr"):
        read(path)["frames"].load()
    (path / "zarr.json").write_text("{")
    with pytest.raises(FormatError, match=r"a\.zarr"):
        read(path)


@pytest.fixture
def untidy():
    """rosettasciio leaves a file open when it fails; close it before the next test."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("untidy")
@pytest.mark.parametrize("suffix", READERS)
def test_foreign_empty_and_missing_files_are_refused(tmp_path, suffix):
    if READERS[suffix].__name__ == "load_microscope":
        pytest.importorskip("rsciio", reason="rosettasciio (extra em) is not installed")
    path = tmp_path / f"a{suffix}"
    for content in (b"", b"column,row\n1,2\n", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=rf"a\{suffix}"):
            read(path)
    path.unlink()
    with pytest.raises(FormatError, match="no such file"):
        read(path)


def test_an_unknown_suffix_names_the_known(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"1")
    with pytest.raises(FormatError, match=r"no reader for '\.xyz'.*\.tif"):
        read(tmp_path / "a.xyz")
    write_npy(tmp_path / "a.npy", counts())
    (tmp_path / "a.npy").rename(tmp_path / "a.xyz")
    assert read(tmp_path / "a.xyz", reader=".npy").sizes["time"] == T


def dm_item(frames, **tags):
    names, units, scales = ("z", "y", "x"), ("", "nm", "pm"), (1.0, 0.02, 30.0)
    axes = [
        {"name": n, "units": u, "scale": s, "offset": 0.0, "index_in_array": k, "size": frames.shape[k]}
        for k, (n, u, s) in enumerate(zip(names, units, scales, strict=True))
    ]
    image = {"Microscope Info": {"Voltage": 60000.0}, "ImageScanned": {"EHT": 100000.0}, "DigiScan": {"Rotation": 90.0}}
    image["DigiScan"]["Sample Time"] = 8.0
    original = {"ImageList": {"TagGroup0": {"ImageTags": {**image, **tags}}}}
    return {"data": frames, "axes": axes, "metadata": {"General": {"title": "HAADF"}}, "original_metadata": original}


def install(monkeypatch, items):
    plugin = types.ModuleType("rsciio.digitalmicrograph")
    plugin.file_reader = lambda path, lazy: items
    monkeypatch.setitem(sys.modules, "rsciio", types.ModuleType("rsciio"))
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph", plugin)


def test_dm_metadata_come_from_the_original_tags(tmp_path, monkeypatch):
    (tmp_path / "a.dm4").write_bytes(bytes(1000))
    install(monkeypatch, [dm_item(counts())])
    ds = read(tmp_path / "a.dm4")
    assert np.allclose(ds["view"][0], [0.3, 0, 0, 0, 0.2, 0])
    facts = dict(zip(recording.covariate_table(ds).names, ds["covariates"].values, strict=True))
    assert facts == pytest.approx({"voltage": 60000.0, "pixel_time": 8e-6, "scan_rotation": np.pi / 2})
    assert "voltage is 60000 V" in ds.attrs["history"] and "100000 V" in ds.attrs["history"]
    assert "axis 'z' is taken as time" in ds.attrs["history"]


def test_one_of_several_dm_images_is_chosen(tmp_path, monkeypatch):
    (tmp_path / "a.dm4").write_bytes(bytes(1000))
    other = dm_item(counts()[:4])
    other["metadata"]["General"]["title"] = "BF"
    install(monkeypatch, [dm_item(counts()), other])
    with pytest.raises(FormatError, match=r"0: 'HAADF'.*1: 'BF'"):
        read(tmp_path / "a.dm4")
    assert read(tmp_path / "a.dm4", array="BF").sizes["time"] == read(tmp_path / "a.dm4", array="1").sizes["time"] == 4


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch):
    for name in ("rsciio", "rsciio.digitalmicrograph"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "a.dm3").write_bytes(b"1")
    with pytest.raises(MissingDependencyError, match=r"sciworld\[em\]"):
        read(tmp_path / "a.dm3")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("untidy")
def test_an_mrc_stack_through_rosettasciio(tmp_path):
    pytest.importorskip("rsciio", reason="rosettasciio (extra em) is not installed")
    frames = counts("float32")
    header = bytearray(1024)
    header[:40] = struct.pack("<10i", X, Y, T, 2, 0, 0, 0, X, Y, T)
    header[40:64] = struct.pack("<6f", 0.3 * X, 0.3 * Y, T, 90, 90, 90)
    header[64:76] = struct.pack("<3i", 1, 2, 3)
    header[208:216] = b"MAP \x44\x44\x00\x00"
    path = tmp_path / "a.mrc"
    path.write_bytes(bytes(header) + frames.tobytes())
    ds = read(path)
    assert np.array_equal(ds["frames"][..., 0], frames) and np.allclose(ds["view"][0, [0, 4]], 0.3)
    for cut in (10, 500, 1024, 1500):
        path.write_bytes((bytes(header) + frames.tobytes())[:cut])
        with pytest.raises(FormatError, match=r"a\.mrc"):
            read(path)


def test_an_emd_file_through_rosettasciio(tmp_path):
    emd = pytest.importorskip("rsciio.emd", reason="rosettasciio (extra em) is not installed")
    item = dm_item(counts())
    for axis in item["axes"]:
        axis["navigate"] = axis["name"] == "z"
    emd.file_writer(
        str(tmp_path / "a.emd"),
        {**item, "metadata": {"General": {"title": "HAADF"}, "Signal": {}}, "original_metadata": {}},
    )
    ds = read(tmp_path / "a.emd")
    assert np.array_equal(ds["frames"][..., 0], counts()) and np.allclose(ds["view"][0, [0, 4]], [0.3, 0.2])


def test_the_real_movie(mirror):
    ds = read(mirror / "stem/si_graphene")
    assert ds["frames"].shape == (25, 256, 256, 1) and ds["frames"].dtype == np.float32
    assert np.allclose(ds["view"][0], [20 / 256, 0, 0, 0, 20 / 256, 0])
    assert np.isfinite(ds["states"]).all() and ds["covariates"].values.tolist() == [60000.0]
    assert recording.channel_table(ds).names == ("haadf",)
    assert "skip 18" in ds.attrs["history"]


def test_the_real_haadf_images(mirror):
    for path in (mirror / "stem/haadf_single_atoms").glob("*.tif"):
        ds = read(path)
        assert ds["frames"].shape == (1, 512, 512, 1) and ds["frames"].dtype == np.uint16
        assert np.array_equal(ds["frames"][0, :, :, 0], tifffile.imread(path)) and ds["view"].attrs["units"] == "pixel"
