"""nuScenes: the front camera of each scene, with the car's pose (Caesar et al. 2020, arXiv:1903.11027, schema v1.0).

The tables are JSON lists whose rows point at each other by tokens. A scene's frames start with the key frame of its
first sample and follow `next`, through samples/ and sweeps/. Poses are stamped with the frames' own times.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sciworld import config, recording
from sciworld.controls import Column, ColumnTable, colours
from sciworld.domains.base import reading
from sciworld.domains.driving.nuscenes_can import Steering, read_steering, with_sign
from sciworld.domains.driving.paths import inside
from sciworld.domains.media import open_images
from sciworld.errors import FormatError, SettingsError

if TYPE_CHECKING:
    from sciworld.domains.driving.readers import DrivingOptions

CHANNEL = "CAM_FRONT"
LICENCE = "CC BY-NC-SA 4.0, nuScenes terms of use: no redistribution of frames or weights"
CITATION = "Caesar et al. 2020, nuScenes: A multimodal dataset for autonomous driving, CVPR, arXiv:1903.11027"
# The fields of each table that are used.
TABLES = {
    "scene": ("name", "description", "first_sample_token", "log_token"),
    "sample": ("scene_token",),
    "sample_data": (
        *("sample_token", "ego_pose_token", "calibrated_sensor_token", "timestamp", "is_key_frame", "filename", "next"),
        *("height", "width"),
    ),
    "ego_pose": ("translation", "rotation"),
    "calibrated_sensor": ("sensor_token", "translation", "rotation", "camera_intrinsic"),
    "sensor": ("channel",),
    "log": ("logfile", "vehicle", "date_captured", "location"),
}
NOT_SAID = "not mentioned"
# Words of scene.description, the one place that tells of weather and light.
CONDITIONS = (
    Column("rain", "1", kind="categorical", levels=(NOT_SAID, "rain", "after rain"), role="measured"),
    Column("night", "1", kind="categorical", levels=(NOT_SAID, "night"), role="measured"),
)
STATES = ColumnTable(
    (
        *(Column(name, "m", role="measured", group="position") for name in "xyz"),
        Column("yaw", "rad", kind="angle", role="measured"),
        Column("speed", "m/s", role="inferred"),
        Column("yaw_rate", "rad/s", role="inferred"),
    )
)
MOVED = (
    Column("speed", "m/s", role="measured", hold="mean"),
    Column("yaw_rate", "rad/s", role="measured", hold="mean"),
)
STEERING = Column("steering_angle", "rad", role="measured")


def is_nuscenes(path: Path) -> bool:
    """Whether a folder is a nuScenes data set, or the folder of its tables."""
    return bool(_versions(path))


def read_nuscenes(path: Path, settings: DrivingOptions) -> list[xr.Dataset]:
    """One recording a scene. Raises FormatError naming the table or file, the token and what is wrong."""
    if settings.frame_seconds is not None:
        raise SettingsError(f"{path}: states its times; leave out frame_seconds")
    folders = _versions(path)
    if len(folders) != 1:
        names = ", ".join(folder.name for folder in folders) or "no v1.0-*"
        raise FormatError(f"{path}: has the tables of {names}; name the folder of one of them")
    data = _Tables(folders[0])
    called = [str(scene["name"]) for scene in data.rows["scene"].values()]
    if len(set(called)) < len(called):
        raise FormatError(f"{data.path('scene')}: two scenes are called {max(called, key=called.count)}; rename one")
    return [data.recording(token, scene) for token, scene in data.rows["scene"].items()]


def _versions(path: Path) -> list[Path]:
    if (path / "scene.json").is_file() and (path / "sample_data.json").is_file():
        return [path]
    return sorted(found.parent for found in path.glob("v1.0-*/scene.json"))


class _Tables:
    """The tables by token, and the folder of the files that they name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()  # its name and parent are needed, also if it is '.'
        self.root = self.folder.parent
        self.rows = {name: _table(self.path(name), fields) for name, fields in TABLES.items()}
        self.can = self.root / "can_bus" if (self.root / "can_bus").is_dir() else None
        self._owner: dict[str, str] = {}
        self._first: dict[str, tuple[str, dict[str, Any]]] = {}
        for token, row in self.rows["sample_data"].items():
            if row["is_key_frame"] is True and self._is_front(token, row):
                if str(row["sample_token"]) in self._first:
                    where = self.path("sample_data")
                    raise FormatError(
                        f"{where}: token {token} is a second key frame of {row['sample_token']}; drop one"
                    )
                self._first[str(row["sample_token"])] = token, row

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def get(self, name: str, token: object, by: str) -> dict[str, Any]:
        """A row by its token. Raises FormatError that names `by`, the row that points to it."""
        row = self.rows[name].get(token) if isinstance(token, str) else None
        if row is None:
            raise FormatError(f"{self.path(name)}: no token {token!r}, to which {by} points; copy the tables anew")
        return row

    def recording(self, token: str, scene: dict[str, Any]) -> xr.Dataset:
        """The recording of one scene."""
        chain = self._chain(token, scene)
        where = self.path("sample_data")
        stamps = [_whole(row, "timestamp", where, name) for name, row in chain]
        time = (np.array(stamps, dtype=np.int64) - stamps[0]) * 1e-6
        if (np.diff(time) <= 0).any():
            at = int(np.argmax(np.diff(time) <= 0)) + 1
            raise FormatError(f"{where}: token {chain[at][0]} is not later than the frame before it; mend timestamp")
        frames, notes = self._frames(chain)
        position, yaw = self._poses(chain)
        moved = motion(position, yaw, time)
        before = np.concatenate([np.full((1, 2), np.nan), moved[:-1]])
        columns, controls = ColumnTable(MOVED), moved
        logs: dict[str, Any] = {}
        if self.can is not None:
            steering = read_steering(self.can, str(scene["name"]), stamps[0], self.path("scene"))
            angle, said = with_sign(steering, time, moved[:, 1])
            notes.append(said)
            columns, controls = ColumnTable((*MOVED, STEERING)), np.column_stack([moved, angle])
            logs = _logs(steering)
        log = self.get("log", scene["log_token"], f"scene {token}")
        conditions, said = _conditions(str(scene["description"]))
        facts = ", ".join(f"{key} {log[key]}" for key in ("location", "vehicle", "date_captured", "logfile"))
        ds = recording.make(
            frames,
            time,
            channels=colours(3),
            session=str(log["logfile"]),  # scenes of one log are one drive
            source=f"{self.folder.name}/{scene['name']} {CHANNEL}",
            licence=LICENCE,
            citation=CITATION,
            history="; ".join(
                [
                    f"read {self.folder.name}, {CHANNEL} of {scene['name']}: {scene['description']}",
                    f"{facts}, time 0 is {stamps[0]} us",
                    said,
                    "speed and yaw rate from poses: as controls from each frame to the next, as states from the one "
                    "before",
                    *notes,
                ]
            ),
            controls=controls,
            control_table=columns,
            states=np.column_stack([position, yaw, before]),
            state_table=STATES,
            covariates=conditions,
            covariate_table=ColumnTable(CONDITIONS),
            **logs,
        )
        return ds.assign(self._calibration(chain))

    def _is_front(self, token: str, row: dict[str, Any]) -> bool:
        sensor = self.get("calibrated_sensor", row["calibrated_sensor_token"], f"sample_data {token}")
        by = f"calibrated_sensor {row['calibrated_sensor_token']}"
        return bool(self.get("sensor", sensor["sensor_token"], by)["channel"] == CHANNEL)

    def _chain(self, token: str, scene: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """The frames of a scene, in their order: tokens and rows of sample_data."""
        where = self.path("sample_data")
        self.get("sample", scene["first_sample_token"], f"scene {token}")
        if scene["first_sample_token"] not in self._first:
            raise FormatError(
                f"{where}: no key frame of {CHANNEL} for sample {scene['first_sample_token']}; copy it anew"
            )
        name, row = self._first[scene["first_sample_token"]]
        chain = [(name, row)]
        seen = {name}
        while row["next"] != "":
            by, name = name, row["next"]
            row = self.get("sample_data", name, f"sample_data {by}")
            if name in seen:
                raise FormatError(f"{where}: token {by} has a `next` that leads back to {name}; copy the table anew")
            seen.add(name)
            if not self._is_front(name, row):
                raise FormatError(f"{where}: token {by} has a `next`, {name}, that is not of {CHANNEL}; copy it anew")
            chain.append((name, row))
        for name, row in chain:
            if self.get("sample", row["sample_token"], f"sample_data {name}")["scene_token"] != token:
                raise FormatError(f"{where}: token {name} follows frames of {scene['name']} but is of another scene")
        return chain

    def _frames(self, chain: list[tuple[str, dict[str, Any]]]) -> tuple[Any, list[str]]:
        """The frames, lazily, and what the tables say of them that is not so."""
        files = []
        for token, row in chain:
            file = inside(self.root, str(row["filename"]), self.path("sample_data"))
            other = self._owner.setdefault(str(row["filename"]), token)
            if other != token:
                raise FormatError(f"{file}: is the picture of two frames, tokens {other} and {token}; mend one")
            if not file.is_file():
                raise FormatError(f"{file}: no such picture, which sample_data token {token} names; copy it anew")
            files.append(file)
        frames = open_images(files)
        shape = frames.shape[1:]
        if shape[-1] != 3:
            raise FormatError(f"{files[0]}: {shape[-1]} channel; pictures of {CHANNEL} have red, green and blue")
        stated = chain[0][1]["height"], chain[0][1]["width"]
        notes = []
        if stated != shape[:2]:
            notes.append(
                f"pictures are {shape[0]} x {shape[1]} pixels where sample_data states {stated[0]} x {stated[1]}: "
                "camera_intrinsic is for what is stated"
            )
        return frames, notes

    def _poses(self, chain: list[tuple[str, dict[str, Any]]]) -> tuple[np.ndarray, np.ndarray]:
        """Where the car is : (time, 3) m, and its heading : (time,) rad from the x axis to the y axis."""
        where = self.path("ego_pose")
        rows = [
            (row["ego_pose_token"], self.get("ego_pose", row["ego_pose_token"], f"sample_data {token}"))
            for token, row in chain
        ]
        position = np.stack([_vector(row, "translation", (3,), where, token) for token, row in rows])
        w, x, y, z = np.stack([_vector(row, "rotation", (4,), where, token) for token, row in rows], axis=1)
        return position, np.arctan2(2 * (w * z + x * y), 1 - 2 * (y**2 + z**2))

    def _calibration(self, chain: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        """Where the camera sits in the car, and how it maps directions to pixels."""
        where, token = self.path("calibrated_sensor"), chain[0][1]["calibrated_sensor_token"]
        other = next((name for name, row in chain if row["calibrated_sensor_token"] != token), None)
        if other is not None:
            raise FormatError(f"{self.path('sample_data')}: token {other} has another calibrated sensor than its scene")
        row = self.rows["calibrated_sensor"][token]
        matrix = _vector(row, "camera_intrinsic", (3, 3), where, token)
        return {
            "camera_intrinsic": (("intrinsic_row", "intrinsic_column"), matrix, {"units": "pixel"}),
            "camera_translation": ("xyz", _vector(row, "translation", (3,), where, token), {"units": "m"}),
            "camera_rotation": ("wxyz", _vector(row, "rotation", (4,), where, token), {"units": "1"}),
        }


def motion(position: np.ndarray, yaw: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Speed along the heading and yaw rate from each pose to the next : (time, 2) m/s, rad/s; the last row is NaN.

    position : (time, 3) m. yaw : (time,) rad. time : (time,) s.
    """
    step = np.diff(time)
    ahead = np.stack([np.cos(yaw), np.sin(yaw)], axis=1)[:-1]
    speed = (np.diff(position[:, :2], axis=0) * ahead).sum(axis=1) / step
    turned = (np.diff(yaw) + math.pi) % (2 * math.pi) - math.pi
    return np.concatenate([np.column_stack([speed, turned / step]), np.full((1, 2), np.nan)])


def _conditions(description: str) -> tuple[dict[str, float], str]:
    """The covariates, and the words that they are from."""
    text = description.lower()
    rain = 2.0 if "after rain" in text else float(re.search(r"\brain", text) is not None)
    found = {"rain": rain, "night": float(re.search(r"\bnight", text) is not None)}
    return found, "rain and night are words of the description; nothing else tells of weather and light"


def _logs(steering: Steering | None) -> dict[str, Any]:
    """The readings of the steering as they came."""
    time, value = (steering.time, steering.angle) if steering is not None else (np.zeros(0), np.zeros(0))
    return {"logs": (time, np.zeros(len(time)), value), "log_table": ColumnTable((STEERING,))}


def _table(path: Path, fields: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The rows of a table by token, in their order."""
    with reading(path, "a table of nuScenes"):
        rows = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(rows, list):
        raise FormatError(f"{path}: not a list of rows; copy it anew")
    found: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows):
        token = row.get("token") if isinstance(row, dict) else None
        if not isinstance(token, str) or not token:
            raise FormatError(f"{path}: row {number} has no token; copy it anew")
        lacks = [field for field in fields if field not in row]
        if lacks:
            raise FormatError(f"{path}: token {token} has no '{lacks[0]}'; copy it anew")
        if token in found:
            raise FormatError(f"{path}: token {token} is there twice; drop one")
        found[token] = {field: row[field] for field in fields}
    return found


def _whole(row: dict[str, Any], key: str, where: Path, token: str) -> int:
    value = row[key]
    if type(value) is not int or abs(value) > 2**62:
        raise FormatError(f"{where}: token {token} has {key} {value!r:.40}; expected a whole number of microseconds")
    return value


def _vector(row: dict[str, Any], key: str, shape: tuple[int, ...], where: Path, token: str) -> np.ndarray:
    """Numbers in lists : `shape` float64, all finite."""
    try:
        found = config.array(row[key], (int, float), np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{where}: token {token} has a {key} that is no {shape} numbers ({error})") from error
    if found.shape != shape or not np.isfinite(found).all():
        raise FormatError(f"{where}: token {token} has a {key} of {found.shape}; expected {shape} finite numbers")
    return found
