"""Segments of comma2k19: a minute of road video with the car's CAN bus, the device's inertial unit and its pose.

A segment is a folder with `global_pose/` and `processed_log/`, and `video.hevc` where it was copied too. Arrays are
.npy files without a suffix. The times of frames and logs are on one clock, that of the device since it started.
Schafer, Santana, Haden, Biasini, "A Commute in Data: The comma2k19 Dataset", arXiv:1812.05752 (2018).
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable, colours
from sciworld.domains.driving.absent import ABSENT, absent_frames
from sciworld.domains.logs import Log, linear, log, ragged
from sciworld.domains.media import open_video
from sciworld.errors import FormatError, SettingsError

if TYPE_CHECKING:
    from sciworld.domains.driving.readers import DrivingOptions

HOLE = 0.5  # s without a row above which a signal is unknown; the slowest of them is logged at 83 Hz
RATE = 20.0  # frames a second of the device's camera
TIMES = "global_pose/frame_times"
VIDEO = "video.hevc"
# Folder of a log -> its columns' names and units. The first two are the controls.
CONTROLS = {
    "CAN/steering_angle": (("steering_angle",), "deg"),
    "CAN/speed": (("speed",), "m/s"),
}
STATES = {
    "CAN/wheel_speed": (("wheel_speed_0", "wheel_speed_1", "wheel_speed_2", "wheel_speed_3"), "m/s"),
    "IMU/accelerometer": (("acceleration_forward", "acceleration_right", "acceleration_down"), "m/s^2"),
    "IMU/gyro": (("gyro_forward", "gyro_right", "gyro_down"), "rad/s"),
}
# Array of a pose -> its columns' names and units; a row a frame.
POSE = {
    "frame_positions": (("position_ecef_x", "position_ecef_y", "position_ecef_z"), "m"),
    "frame_velocities": (("velocity_ecef_x", "velocity_ecef_y", "velocity_ecef_z"), "m/s"),
    "frame_orientations": (("orientation_w", "orientation_x", "orientation_y", "orientation_z"), "1"),
}
RATES = ("roll_rate", "pitch_rate", "yaw_rate")


def is_comma(path: Path) -> bool:
    """Whether a folder is a segment: it has the times of its frames and logs."""
    try:
        return (path / TIMES).is_file() and (path / "processed_log").is_dir()
    except OSError:
        return False


def read_comma(path: Path, settings: DrivingOptions) -> list[xr.Dataset]:
    """The recording of one segment. Raises FormatError naming the array that is damaged or does not fit."""
    if settings.frame_seconds is not None:
        raise SettingsError(f"{path}: states the times of its frames; leave out frame_seconds")
    time = _array(path / TIMES, 1)
    if not (np.isfinite(time).all() and (np.diff(time) > 0).all()):
        bad = int(np.argmin(np.isfinite(time) & np.append(True, np.diff(time) > 0)))
        raise FormatError(f"{path / TIMES}: frame {bad} is at {time[bad]} s, not after the one before; copy it anew")
    folder = Path(os.path.abspath(path))
    # A drive is named by its device and date, "dongle|date"; in an address "|" is %7C.
    drive = urllib.parse.unquote(folder.parent.name)
    name = f"{drive}/{folder.name}"
    notes = [f"read {name} as a comma2k19 segment"]
    frames, channels, count = _frames(path, len(time), notes)
    pose, pose_columns = _pose(path, len(time), notes)
    time, pose = time[:count], pose[:count]
    commands, command_columns = _logs(path, CONTROLS, notes)
    measured, columns = _logs(path, STATES, notes)
    if not commands:
        raise FormatError(f"{path}: neither {' nor '.join(CONTROLS)} in processed_log; the segment was copied in part")
    controls = np.stack([linear(one, time, HOLE) for one in commands], axis=1)
    controls[-1] = np.nan
    unknown = int(np.isnan(controls[:-1]).any(axis=1).sum())
    notes.append(
        f"logs are read at the frames' times on straight lines between rows, nothing is known outside or across more "
        f"than {HOLE:g} s without a row: {unknown} of {count - 1} rows have an unknown control"
    )
    notes.append("steering_angle is positive to the left; the device's axes are forward, right, down")
    states = np.concatenate([np.stack([linear(one, time, HOLE) for one in measured], 1), pose], 1) if measured else pose
    ds = recording.make(
        frames,
        time,
        channels=channels,
        session=drive,  # its minutes are one drive, and stay in one split
        source=name,
        licence="",
        citation="",
        history="; ".join(notes),
        controls=controls,
        control_table=ColumnTable(tuple(command_columns)),
        states=states if states.shape[1] else None,
        state_table=ColumnTable((*columns, *pose_columns)) if states.shape[1] else None,
        logs=ragged([*commands, *measured]),
        log_table=ColumnTable((*command_columns, *columns)),
    )
    return [ds]


def body_rates(orientations: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Mean turning rate from each frame to the next, rad/s about the device's axes : (time, 3); the last is NaN.

    orientations : (time, 4) unit quaternions w, x, y, z from the device to the earth. The turn from k to k+1 in the
    device's frame is conj(q_k) q_{k+1}; for a small turn twice its vector is the angle.
    """
    w1, w2 = orientations[:-1, :1], orientations[1:, :1]
    v1, v2 = orientations[:-1, 1:], orientations[1:, 1:]
    scalar = w1 * w2 + (v1 * v2).sum(axis=1, keepdims=True)
    vector = w1 * v2 - w2 * v1 - np.cross(v1, v2)
    rates = np.full((len(time), 3), np.nan)
    # q and -q are one orientation: the short way is the one whose scalar is positive.
    rates[:-1] = 2.0 * np.where(scalar < 0, -1.0, 1.0) * vector / np.diff(time)[:, None]
    return rates


def _frames(path: Path, stated: int, notes: list[str]) -> tuple[Any, ColumnTable, int]:
    """The frames, their channels, and how many have both a picture and a time."""
    if not (path / VIDEO).exists():
        notes.append(f"{VIDEO}: {ABSENT}")
        return *absent_frames(stated), stated
    video = open_video(path / VIDEO, rate=RATE, at_most=stated)
    shown = video.frames.shape[0]
    notes.append(f"{VIDEO} {video.note}; but the times used are those of {TIMES}")
    if shown < stated:
        notes.append(f"{VIDEO} has {shown} frames and {TIMES} {stated}: the first {shown} of both are read")
    return video.frames, colours(video.frames.shape[-1]), shown


def _logs(
    path: Path, kinds: Mapping[str, tuple[tuple[str, ...], str]], notes: list[str]
) -> tuple[list[Log], list[Column]]:
    """The signals of the logs that are there, and their columns."""
    logs, columns = [], []
    for folder, (names, units) in kinds.items():
        home = path / "processed_log" / folder
        if not home.is_dir():
            notes.append(f"processed_log/{folder} is missing")
            continue
        time, value = _array(home / "t", 1), _array(home / "value", None)
        value = value.reshape(len(value), -1)
        if value.shape != (len(time), len(names)):
            raise FormatError(
                f"{home / 'value'}: shape {value.shape} for {len(time)} times; expected {(len(time), len(names))}: the "
                "arrays are not of one log, copy both anew"
            )
        for name, series in zip(names, value.T, strict=True):
            logs.append(log(time, series, name, str(home)))
            columns.append(Column(name, units, role="measured"))
            notes += logs[-1].notes
    return logs, columns


def _pose(path: Path, count: int, notes: list[str]) -> tuple[np.ndarray, list[Column]]:
    """The device's pose : (time, state), with the rates at which it turns; and the columns."""
    arrays, columns = [np.empty((count, 0))], []
    for name, (names, units) in POSE.items():
        file = path / "global_pose" / name
        if not file.is_file():
            notes.append(f"global_pose/{name} is missing")
            continue
        rows = _array(file, 2)
        if rows.shape != (count, len(names)):
            raise FormatError(
                f"{file}: shape {rows.shape}; expected {(count, len(names))}, a row a frame: copy it anew"
            )
        if np.isinf(rows).any():
            raise FormatError(f"{file}: frame {int(np.isinf(rows).any(axis=1).argmax())} is infinite; copy it anew")
        arrays.append(rows)
        columns += [Column(one, units, role="measured") for one in names]
        if name == "frame_orientations":
            arrays.append(body_rates(arrays[-1], _array(path / TIMES, 1)))
            columns += [Column(one, "rad/s", role="inferred", hold="mean") for one in RATES]
            notes.append("roll, pitch and yaw rates are the mean from frame to frame, from frame_orientations")
    return np.concatenate(arrays, axis=1), columns


def _array(file: Path, dimensions: int | None) -> np.ndarray:
    """A .npy file of real numbers as float64. Raises FormatError naming it."""
    try:
        # Mapped, since a damaged header may promise more than any memory holds.
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        if found.dtype.kind not in "iuf" or found.ndim == 0 or not len(found):
            raise ValueError(f"{found.dtype} of shape {found.shape}")
    except Exception as error:  # a damaged file may raise anything at all in what parses it
        raise FormatError(
            f"{file}: no array of numbers ({type(error).__name__}: {error}); it is missing, truncated or damaged: copy "
            "it anew"
        ) from error
    if dimensions is not None and found.ndim != dimensions:
        raise FormatError(f"{file}: shape {found.shape}; expected {dimensions} dimensions: copy it anew")
    return found.astype(np.float64)
