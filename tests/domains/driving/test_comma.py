"""Segments of comma2k19: logs arrive at the frames' times, with or without video, and damage is named."""

import os
import pickle
import shutil

import av
import numpy as np
import pytest

from sciworld import recording
from sciworld.domains.driving.comma import RATES, body_rates, is_comma
from sciworld.domains.logs import log, mean
from sciworld.errors import FormatError, SettingsError
from sciworld.ingest.open import open_recording

T, Y, X = 11, 34, 50
MIRROR = os.environ.get("SCIWORLD_MIRROR")
real = pytest.mark.skipif(not MIRROR, reason="SCIWORLD_MIRROR is not set")
TIME = 100 + 0.05 * np.arange(T) + np.random.default_rng(0).uniform(0, 0.004, T)


def save(file, values):
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:  # np.save would add a suffix
        np.save(out, values)


def turning(rate=0.3, roll=0.4):
    """Quaternions of a device that is rolled, and turns at `rate` rad/s about its own third axis."""
    half = 0.5 * rate * (TIME - TIME[0])
    w, z = np.cos(half), np.sin(half)
    c, s = np.cos(roll / 2), np.sin(roll / 2)
    return np.stack([c * w, s * w, -s * z, c * z], axis=1)  # roll, then turn in the rolled frame


def write_segment(folder, video=0):
    rng = np.random.default_rng(1)
    save(folder / "global_pose" / "frame_times", TIME)
    save(folder / "global_pose" / "frame_positions", rng.normal(size=(T, 3)))
    save(folder / "global_pose" / "frame_velocities", rng.normal(size=(T, 3)))
    save(folder / "global_pose" / "frame_orientations", turning())
    for name, width, start in (("CAN/speed", 1, 100.02), ("CAN/steering_angle", 0, 99.9), ("IMU/gyro", 3, 99.9)):
        time = np.arange(start, 100.48 if name == "CAN/speed" else 101, 0.01)
        save(folder / "processed_log" / name / "t", time)
        value = 7 * (time - 100) if not width else np.outer(3 * (time - 100), np.arange(1, width + 1))
        save(folder / "processed_log" / name / "value", value)
    if video:
        with av.open(str(folder / "video.hevc"), "w", format="hevc") as file:
            stream = file.add_stream("libx265", rate=20, options={"x265-params": "log-level=none:vui-timing-info=0"})
            stream.height, stream.width, stream.pix_fmt = Y, X, "yuv420p"
            for k in range(video):
                pixels = np.full((Y, X, 3), 20 * k, "uint8")
                file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            file.mux(stream.encode())
    return folder


def columns(ds, *names):
    table = recording.table(ds, "states")
    return ds["states"].values[:, [table.index(name) for name in names]]


def test_logs_are_read_at_the_frames_times(tmp_path):
    drive = tmp_path / "b0c9d2329ad1606b|2018-08-02--08-34-47"
    ds = open_recording(write_segment(drive / "40"))
    assert ds.attrs["session"] == "b0c9d2329ad1606b|2018-08-02--08-34-47"
    assert ds.attrs["source"] == "b0c9d2329ad1606b|2018-08-02--08-34-47/40"
    assert np.array_equal(ds["time"], TIME)
    steering, speed = ds["controls"].values.T
    np.testing.assert_allclose(steering[:-1], 7 * (TIME - 100)[:-1], rtol=1e-9, atol=1e-9)
    outside = (TIME < 100.02) | (TIME > 100.47)
    assert outside[0] and outside[-1] and np.isnan(speed[outside]).all()
    np.testing.assert_allclose(speed[~outside], 3 * (TIME - 100)[~outside])
    assert np.isnan(steering[-1])
    table = recording.control_table(ds)
    assert [(c.name, c.units, c.role) for c in table] == [
        ("steering_angle", "deg", "measured"),
        ("speed", "m/s", "measured"),
    ]
    np.testing.assert_allclose(columns(ds, "gyro_down")[:, 0], 9 * (TIME - 100))
    rates = columns(ds, *RATES)
    np.testing.assert_allclose(rates[:-1], np.tile([0, 0, 0.3], (T - 1, 1)), atol=1e-4)
    assert np.isnan(rates[-1]).all()
    names = recording.table(ds, "log_column").names
    gyro = ds["log_value"].values[ds["log_column"].values == names.index("gyro_right")]
    assert np.array_equal(gyro, np.load(drive / "40/processed_log/IMU/gyro/value", allow_pickle=False)[:, 1])
    assert "IMU/accelerometer is missing" in ds.attrs["history"]


def test_without_video_the_frames_say_that_they_are_absent(tmp_path):
    ds = open_recording(write_segment(tmp_path / "1"))
    assert ds["frames"].shape == (T, 1, 1, 1) and np.isnan(ds["frames"].values).all()
    assert recording.channel_table(ds).names == ("video absent",) and "no video is there" in ds.attrs["history"]


@pytest.mark.parametrize("shown", [T, T - 3, T + 2])
def test_frames_and_times_that_differ_in_number_are_said_and_never_shifted(tmp_path, shown):
    ds = open_recording(write_segment(tmp_path / "1", video=shown))
    count = min(shown, T)
    assert ds["frames"].shape == (count, Y, X, 3) and np.array_equal(ds["time"], TIME[:count])
    assert (np.abs(ds["frames"].values[:, 0, 0, 0] - 20.0 * np.arange(count)) < 4).all()
    np.testing.assert_allclose(ds["controls"].values[:-1, 0], 7 * (TIME - 100)[: count - 1], atol=1e-9)
    history = ds.attrs["history"]
    assert (f"video.hevc has {shown} frames and global_pose/frame_times {T}" in history) == (shown < T)
    assert (f"only the first {T} of {shown} frames" in history) == (shown > T)


def test_a_hole_in_a_log_is_unknown(tmp_path):
    segment = write_segment(tmp_path / "1")
    time = np.array([99.9, 100.1, 100.11, 101.2])
    save(segment / "processed_log/CAN/speed/t", time)
    save(segment / "processed_log/CAN/speed/value", time)
    speed = open_recording(segment)["controls"].values[:-1, 1]
    inside = TIME[:-1] <= 100.11
    assert np.isnan(speed[~inside]).all() and np.allclose(speed[inside], TIME[:-1][inside])


def truncate(file):
    file.write_bytes(file.read_bytes()[:100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: truncate(p / "global_pose/frame_times"), "frame_times: no array"),
        (lambda p: save(p / "global_pose/frame_times", np.append(TIME[:-1], TIME[-2])), "frame 10 is at"),
        (lambda p: save(p / "global_pose/frame_times", np.where(TIME < 100.2, TIME, np.nan)), "is at nan"),
        (lambda p: save(p / "global_pose/frame_times", TIME[:, None]), "expected 1 dimensions"),
        (lambda p: save(p / "global_pose/frame_times", TIME[:0]), "no array of numbers"),
        (lambda p: save(p / "global_pose/frame_times", TIME[:-1]), r"frame_positions: shape \(11, 3\)"),
        (lambda p: save(p / "global_pose/frame_orientations", np.zeros((4, T))), r"orientations: shape \(4, 11\)"),
        (lambda p: save(p / "global_pose/frame_velocities", np.full((T, 3), np.inf)), "frame 0 is infinite"),
        (lambda p: save(p / "processed_log/CAN/speed/value", np.zeros(4)), r"value: shape \(4, 1\) for"),
        (lambda p: save(p / "processed_log/CAN/speed/t", np.full(47, np.nan)), "has no time"),
        (lambda p: save(p / "processed_log/CAN/speed/value", np.array(["a"] * 46)), "no array of numbers"),
        (lambda p: (p / "processed_log/CAN/speed/t").unlink(), "t: no array of numbers"),
        (lambda p: shutil.rmtree(p / "processed_log/CAN"), "copied in part"),
        (lambda p: (p / "video.hevc").write_bytes(b"\0\0\0\1\x40\1junk"), "video"),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    segment = write_segment(tmp_path / "1")
    damage(segment)
    with pytest.raises(FormatError, match=message):
        open_recording(segment, reader="driving:comma")


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path):
    segment = write_segment(tmp_path / "1")
    file = segment / "processed_log/CAN/speed/value"
    content = file.read_bytes()
    size = content[content.index(b"'shape'") :].split(b")")[0] + b")"
    file.write_bytes(content.replace(size + b", ", b"'shape': (99999999999, 1)}")[: len(content)])
    with pytest.raises(FormatError, match="value: no array"):
        open_recording(segment)


class Trap:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_arrays_are_never_unpickled(tmp_path):
    segment = write_segment(tmp_path / "1")
    file = segment / "global_pose" / "frame_times"
    with file.open("wb") as out:
        np.save(out, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="frame_times: no array"):
        open_recording(segment)
    file.write_bytes(pickle.dumps(Trap(str(tmp_path / "sprung"))))
    with pytest.raises(FormatError, match="frame_times: no array"):
        open_recording(segment)
    assert not (tmp_path / "sprung").exists()


def test_a_segment_is_told_by_its_arrays_and_states_its_times(tmp_path):
    segment = write_segment(tmp_path / "any")
    assert is_comma(segment) and not is_comma(tmp_path) and not is_comma(segment / "global_pose/frame_times")
    with pytest.raises(SettingsError, match="frame_seconds"):
        open_recording(segment, options={"frame_seconds": 0.05})


def test_turning_the_other_sign_of_a_quaternion_changes_nothing():
    sign = np.where(np.arange(T) % 2, -1.0, 1.0)[:, None]
    np.testing.assert_allclose(body_rates(sign * turning(), TIME), body_rates(turning(), TIME))


@real
def test_the_real_segment_turns_as_its_gyroscope_says(mirror):
    ds = open_recording(mirror / "driving" / "comma2k19" / "40")
    assert ds.sizes["time"] == 1200 and "no video is there" in ds.attrs["history"]
    known = ~np.isnan(ds["controls"].values[:-1]).any(axis=1)
    assert known.sum() == 1198
    names, which = recording.table(ds, "log_column").names, ds["log_column"].values
    window = np.ones(5) / 5  # the gyroscope also feels the engine
    for axis, rate in zip(("gyro_forward", "gyro_right", "gyro_down"), columns(ds, *RATES).T, strict=True):
        rows = which == names.index(axis)
        felt = mean(log(ds["log_time"].values[rows], ds["log_value"].values[rows], axis, ""), ds["time"].values)
        both = np.isfinite(felt) & np.isfinite(rate)
        one, two = (np.convolve(series[both], window, "valid") for series in (felt, rate))
        assert np.corrcoef(one, two)[0, 1] >= 0.965, axis
    speed = np.linalg.norm(columns(ds, *(f"velocity_ecef_{axis}" for axis in "xyz")), axis=1)
    assert np.abs(speed[:-1] - ds["controls"].values[:-1, 1])[known].max() < 0.5
    # Steering is positive to the left, and turning to the right is positive about the axis that points down.
    turn = ds["controls"].values[:-1].prod(axis=1)[known]
    assert np.corrcoef(turn, columns(ds, "yaw_rate")[:-1, 0][known])[0, 1] < -0.7
