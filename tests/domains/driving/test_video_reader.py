"""Plain video with a table of controls: told by its first bytes, read lazily, and controlled by what a log says."""

import os

import av
import numpy as np
import pytest

from sciworld import recording
from sciworld.domains.driving.video import is_video
from sciworld.errors import FormatError, SettingsError
from sciworld.ingest.controls import attach_controls
from sciworld.ingest.open import open_recording

T, Y, X = 11, 34, 50
MIRROR = os.environ.get("SCIWORLD_MIRROR")
real = pytest.mark.skipif(not MIRROR, reason="SCIWORLD_MIRROR is not set")


def write_video(path, codec="mpeg4", container=None, rate=20, options=()):
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, options=dict(options))
        stream.height, stream.width, stream.pix_fmt = Y, X, "yuv420p"
        for k in range(T):
            pixels = np.full((Y, X, 3), 20 * k, "uint8")
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("mp4", "libx264", 20), ("mov", "mpeg4", 20), ("matroska", "ffv1", 20), ("avi", "mpeg4", 20),
        ("mpegts", "mpeg2video", 25), ("h264", "libx264", 20), ("hevc", "libx265", 20), ("mpeg", "mpeg2video", 25),
        ("flv", "flv1", 20), ("webm", "libvpx", 20), ("asf", "mpeg4", 20),
    ],
)  # fmt: skip
def test_every_container_is_told_by_its_bytes(tmp_path, container, codec, rate):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write_video(tmp_path / "any.bin", codec, container, rate, options)
    assert is_video(path)
    ds = open_recording(path)
    assert ds["frames"].shape == (T, Y, X, 3) and ds["frames"].dtype == np.uint8 and "controls" not in ds
    assert (np.abs(ds["frames"].values[:, 0, 0, 0] - 20.0 * np.arange(T)) < 8).all()
    np.testing.assert_allclose(np.diff(ds["time"]), 1 / rate, atol=2e-3)
    assert ds.attrs["session"] == "any" and ds.attrs["history"].startswith("read any.bin as video: decoded")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0", b"\0\0\0\x20ftypavif" + b"\0" * 40, b"\0\0\0\x20ftypM4A " + b"\0" * 40, b"RIFF\0\0\0\0WAVEfmt ",
        b"\0\0\1\0\1\0\x10\x10", b"\0\0\0\1" + b"\0" * 60, b"\0" * 900, b"G" * 100, b"a,b\n1,2\n", b"\x93NUMPY\1\0",
    ],
)  # fmt: skip
def test_what_is_no_video_is_not_taken_for_one(tmp_path, content):
    (tmp_path / "a.bin").write_bytes(content)
    assert not is_video(tmp_path / "a.bin")


def test_folders_pipes_and_missing_files_are_no_video(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("", "pipe", "loop", "missing", "nul\0"):
        assert not is_video(tmp_path / name)


def test_a_video_that_is_damaged_or_states_its_times_is_refused(tmp_path):
    (tmp_path / "a.hevc").write_bytes(b"junk")
    with pytest.raises(FormatError, match=r"a\.hevc: cannot be read as video"):
        open_recording(tmp_path / "a.hevc")
    path = write_video(tmp_path / "drive.mp4", "libx264")
    with pytest.raises(SettingsError, match=r"drive\.mp4: states the times"):
        open_recording(path, options={"frame_seconds": 0.05})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FormatError, match=r"drive\.mp4"):
        open_recording(path)


def test_a_stream_without_a_rate_takes_the_stated_one(tmp_path):
    options = {"x265-params": "log-level=none:vui-timing-info=0"}
    path = write_video(tmp_path / "a |ü.hevc", "libx265", "hevc", options=options)
    with pytest.raises(FormatError, match="frame_seconds"):
        open_recording(path)
    ds = open_recording(path, options={"frame_seconds": 0.25})
    np.testing.assert_allclose(ds["time"], 0.25 * np.arange(T))
    assert "4 frames a second" in ds.attrs["history"]


@pytest.mark.parametrize("reading", ["linear", "mean", "hold"])
def test_a_log_controls_the_video(tmp_path, reading):
    ds = open_recording(write_video(tmp_path / "drive.mp4", "libx264"))
    stamps = np.arange(-0.1, 0.7, 0.011)
    rows = "\n".join(f"{t!r},{3 * t!r}" for t in stamps.tolist())
    (tmp_path / "can.csv").write_text(f"t,steering\n{rows}\n")
    controlled = attach_controls(ds, tmp_path / "can.csv", f"steer=steering:deg:-90:90~{reading}", times="t")
    steer = controlled["controls"].values[:-1, 0]
    shift = {"linear": 0.0, "mean": 0.025, "hold": 0.0}[reading]
    np.testing.assert_allclose(steer, 3 * (ds["time"].values[:-1] + shift), atol=3 * 0.011)
    if reading == "linear":
        np.testing.assert_allclose(steer, 3 * ds["time"].values[:-1], atol=1e-12)
    assert np.array_equal(controlled["log_value"], 3 * stamps) and np.array_equal(controlled["log_time"], stamps)
    assert f"'steer' is read ~{reading} from 73 rows, at most 0.011 s apart" in controlled.attrs["history"]
    assert recording.control_table(controlled)["steer"].hold == ("mean" if reading == "mean" else "hold")


@real
def test_the_real_highway_is_read(mirror):
    ds = open_recording(mirror / "driving" / "commavq" / "highway_256x128_20fps.mp4")
    assert ds["frames"].shape == (1200, 128, 256, 3)
    np.testing.assert_allclose(np.diff(ds["time"]), 0.05, atol=1e-9)
    last = ds["frames"][-1].values
    assert np.array_equal(ds["frames"][1190::3][-1].values, last) and last.std() > 10
