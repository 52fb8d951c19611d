"""Drives of KITTI: 30 numbers a row, read beside pictures or at their times, and damage named."""

import io

import av
import numpy as np
import pytest

from sciworld import recording
from sciworld.domains.driving.kitti import FIELDS, is_kitti
from sciworld.errors import FormatError, SettingsError
from sciworld.ingest.open import open_recording

T, Y, X = 11, 5, 7
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (2, T, Y, X, 3), "uint8")
START = np.datetime64("2011-09-26T13:02:25.964389445")
NAMES = list(FIELDS)


def picture(pixels):
    out = io.BytesIO()
    with av.open(out, "w", format="image2pipe") as file:
        stream = file.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "rgb24"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    return out.getvalue()


def write_times(folder, seconds):
    stamps = START + (np.asarray(seconds) * 1e9).round().astype("timedelta64[ns]")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "timestamps.txt").write_text("".join(str(one).replace("T", " ") + "\n" for one in stamps) + "\n")


def rows_at(seconds):
    """Rows that change evenly in time, with a heading that passes through 180 degrees."""
    rows = np.outer(seconds, np.arange(1.0, 31)) + 0.25
    rows[:, NAMES.index("yaw")] = (3.0 + 0.4 * np.asarray(seconds) + np.pi) % (2 * np.pi) - np.pi
    for name in ("navstat", "numsats", "posmode", "velmode", "orimode"):
        rows[:, NAMES.index(name)] = np.round(seconds)
    return rows


def write_drive(folder, cameras=("image_02", "image_03"), motion=None):
    seconds = 0.1 * np.arange(T)
    motion = seconds - 0.003 if motion is None else motion
    write_times(folder / "oxts", motion)
    (folder / "oxts" / "data").mkdir()
    for k, row in enumerate(rows_at(motion)):
        (folder / "oxts" / "data" / f"{k:010d}.txt").write_text(" ".join(f"{value:.17g}" for value in row) + "\n")
    for camera, pixels in zip(cameras, PIXELS, strict=False):
        write_times(folder / camera, seconds)
        (folder / camera / "data").mkdir()
        for k, one in enumerate(pixels):
            (folder / camera / "data" / f"{k:010d}.png").write_bytes(picture(one))
    return folder


def state(ds, name):
    return ds["states"].values[:, recording.table(ds, "states").index(name)]


def test_a_synchronised_drive_comes_back(tmp_path):
    drive = write_drive(tmp_path / "2011_09_26_drive_0001_sync")
    ds = open_recording(drive)
    assert ds.attrs["session"] == "2011_09_26_drive_0001_sync"
    np.testing.assert_allclose(ds["time"], 0.1 * np.arange(T), atol=1e-9)
    assert np.array_equal(ds["frames"].values, PIXELS[0]) and np.array_equal(ds["frames_image_03"].values, PIXELS[1])
    rows = rows_at(0.1 * np.arange(T) - 0.003)
    controls = ds["controls"].values
    np.testing.assert_array_equal(controls[:-1, 0], rows[:-1, NAMES.index("vf")])
    np.testing.assert_array_equal(controls[:-1, 1], rows[:-1, NAMES.index("wu")])
    assert np.isnan(controls[-1]).all()
    table = recording.control_table(ds)
    assert [(c.name, c.units, c.role) for c in table] == [("vf", "m/s", "measured"), ("wu", "rad/s", "measured")]
    assert len(recording.table(ds, "states")) == 28 and recording.table(ds, "states")["yaw"].kind == "angle"
    np.testing.assert_array_equal(state(ds, "lat"), rows[:, 0])
    assert "differ by up to 0.003 s" in ds.attrs["history"]
    np.testing.assert_allclose(ds["log_time"].values.min(), -0.003, atol=1e-9)


def test_an_extracted_drive_is_read_at_the_times_of_its_pictures(tmp_path):
    motion = np.arange(0.053, 0.97, 0.01)
    ds = open_recording(write_drive(tmp_path / "drive_extract", ("image_02",), motion=motion))
    time = ds["time"].values
    outside = (time < 0.053) | (time > motion[-1])
    vf = ds["controls"].values[:, 0]
    assert outside[[0, -1]].all() and np.isnan(vf[outside]).all()
    np.testing.assert_allclose(vf[~outside], (time * (NAMES.index("vf") + 1) + 0.25)[~outside], rtol=1e-7)
    np.testing.assert_allclose(state(ds, "yaw")[~outside], (3.0 + 0.4 * time)[~outside], rtol=1e-7)  # and on past pi
    assert set(state(ds, "numsats")[~outside]) == {0.0, 1.0}


def test_without_pictures_the_frames_say_so(tmp_path):
    ds = open_recording(write_drive(tmp_path / "drive", ()))
    assert np.isnan(ds["frames"].values).all() and recording.channel_table(ds).names == ("video absent",)
    assert "no video is there" in ds.attrs["history"] and ds.sizes["time"] == T


def test_grey_cameras_are_read_where_there_are_no_others(tmp_path):
    ds = open_recording(write_drive(tmp_path / "drive", ("image_00", "image_01")))
    assert np.array_equal(ds["frames"].values, PIXELS[0]) and "frames_image_01" in ds
    (tmp_path / "drive" / "image_01" / "data" / f"{4:010d}.png").unlink()
    ds = open_recording(tmp_path / "drive")
    assert "frames_image_01" not in ds and "image_01 has other frames" in ds.attrs["history"]


def test_missing_pictures_keep_their_rows_and_times(tmp_path):
    drive = write_drive(tmp_path / "drive", ("image_02",))
    for folder, suffix in (("image_02", "png"), ("oxts", "txt")):
        (drive / folder / "data" / f"{4:010d}.{suffix}").unlink()
    ds = open_recording(drive)
    kept = np.delete(np.arange(T), 4)
    np.testing.assert_allclose(ds["time"], 0.1 * kept, atol=1e-9)
    assert np.array_equal(ds["frames"].values, PIXELS[0, kept])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "oxts/data/0000000003.txt").write_text("1 2 3"), r"0000000003\.txt: 3 numbers, not 30"),
        (lambda d: (d / "oxts/data/0000000003.txt").write_text("nan " * 30), "not 30 finite"),
        (lambda d: (d / "oxts/data/0000000003.txt").write_text("x " * 30), r"0000000003\.txt: no row"),
        (lambda d: (d / "oxts/data/0000000003.txt").write_bytes(b"\xff" * 9), r"0000000003\.txt: no row"),
        (lambda d: write_times(d / "oxts", 0.1 * np.arange(T - 3)), "8 times for 11 files"),
        (lambda d: (d / "oxts/timestamps.txt").write_text("yesterday\n" * T), "line 1: 'yesterday' is no time"),
        (lambda d: (d / "oxts/timestamps.txt").write_text("2011-13-40 99:99:99\n" * T), "cannot be read"),
        (
            lambda d: write_times(d / "image_02", 0.1 * np.minimum(np.arange(T), 5)),
            r"image_02/timestamps\.txt: frame 6",
        ),
        (lambda d: (d / "image_02/data/0000000000.png").write_bytes(b"junk"), r"0000000000\.png: cannot be read"),
        (lambda d: [file.unlink() for file in (d / "oxts/data").iterdir()], "no numbered files"),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    drive = write_drive(tmp_path / "drive", ("image_02",))
    damage(drive)
    with pytest.raises(FormatError, match=message):
        open_recording(drive)


def test_a_drive_is_told_by_its_folders_and_states_its_times(tmp_path):
    drive = write_drive(tmp_path / "any |ü", ())
    assert is_kitti(drive) and not is_kitti(tmp_path) and not is_kitti(drive / "oxts")
    (drive / "oxts" / "data" / "loop").symlink_to(drive)
    (drive / "oxts" / "data" / "note.txt").write_text("not a row")
    assert open_recording(drive).sizes["time"] == T
    with pytest.raises(SettingsError, match="frame_seconds"):
        open_recording(drive, options={"frame_seconds": 0.05})
