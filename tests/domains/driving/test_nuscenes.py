"""nuScenes: the frames of a scene in their order, the car's motion by the formulas, and damage that is named."""

import hashlib
import json
import math
import os
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import colours
from sciworld.domains.driving.nuscenes import motion
from sciworld.domains.driving.readers import kind_of
from sciworld.errors import FormatError, SciworldError, SettingsError
from sciworld.ingest.open import open_recordings
from sciworld.store import Store

FRAMES, Y, X, START = 13, 24, 40, 1532402927612460
SPEED, YAW_RATE = 10.0, 0.2
KEYS = (0, 6, 12)
NAMES = ("scene-0061", "scene-0103")
WORDS = ("Night, after rain, turn left", "Parked trains, day")


def token(*parts):
    return hashlib.md5(repr(parts).encode()).hexdigest()


def jpeg(number):
    """A picture of a white bar that is 3 pixels wide a number."""
    pixels = np.zeros((Y, X, 3), np.uint8)
    pixels[:, : 3 * number] = 255
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = Y, X, "yuvj420p", Fraction(1)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuvj420p")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def stamps():
    """About 12 frames a second, with one gap of 0.1 s."""
    steps = np.full(FRAMES - 1, 83_333)
    steps[10] = 100_000
    return START + np.concatenate([[0], np.cumsum(steps)])


def poses(scene):
    """Where the car is and how it heads : (frame, 3) m, (frame,) rad; left in one scene, right in the other."""
    step = np.diff(stamps()) * 1e-6
    rate = YAW_RATE * (1 if scene == 0 else -1)
    yaw = 3.1 + np.concatenate([[0], np.cumsum(rate * step)])  # past pi, where angles wrap
    ahead = SPEED * step[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)[:-1]
    position = np.concatenate([np.zeros((1, 2)), np.cumsum(ahead, axis=0)])
    return np.column_stack([position, np.full(FRAMES, 1.5)]), yaw


def write(root, pictures=True):
    tables = {name: [] for name in ("scene", "sample", "sample_data", "ego_pose")}
    for scene, name in enumerate(NAMES):
        samples = [token("sample", scene, key) for key in KEYS]
        tables["scene"].append(
            {"token": token("scene", scene), "log_token": token("log"), "nbr_samples": len(KEYS), "name": name}
            | {"first_sample_token": samples[0], "last_sample_token": samples[-1], "description": WORDS[scene]}
        )
        tables["sample"] += [{"token": t, "scene_token": token("scene", scene)} for t in samples]
        position, yaw = poses(scene)
        for k, stamp in enumerate(stamps().tolist()):
            file = f"{'samples' if k in KEYS else 'sweeps'}/CAM_FRONT/n{scene}__CAM_FRONT__{stamp}.jpg"
            tables["sample_data"].append(
                {"token": token("data", scene, k), "sample_token": samples[-(-k // 6)], "timestamp": stamp}
                | {"ego_pose_token": token("ego", scene, k), "calibrated_sensor_token": token("front")}
                | {"is_key_frame": k in KEYS, "height": Y, "width": X, "filename": file, "fileformat": "jpg"}
                | {"next": token("data", scene, k + 1) if k + 1 < FRAMES else "", "prev": ""}
            )
            half = yaw[k] / 2
            rotation = [math.cos(half), 0.0, 0.0, math.sin(half)]
            pose = {"token": token("ego", scene, k), "timestamp": stamp, "rotation": rotation}
            tables["ego_pose"].append(pose | {"translation": position[k].tolist()})
            if pictures:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_bytes(jpeg(k))
        # Another camera has a key frame of each sample too.
        back = {"token": token("back", scene), "calibrated_sensor_token": token("back"), "filename": "samples/b.jpg"}
        tables["sample_data"].insert(0, tables["sample_data"][scene * FRAMES + scene] | back)
    sensor = {"translation": [1.7, 0.0, 1.5], "rotation": [0.5, -0.5, 0.5, -0.5]}
    sensor["camera_intrinsic"] = [[1266.0, 0, 816], [0, 1266, 491], [0, 0, 1]]
    tables["calibrated_sensor"] = [
        {"token": token(side), "sensor_token": token("sensor", side), **sensor} for side in ("back", "front")
    ]
    tables["sensor"] = [
        {"token": token("sensor", side), "channel": f"CAM_{side.upper()}"} for side in ("back", "front")
    ]
    log = {"token": token("log"), "logfile": "n015", "vehicle": "n015", "date_captured": "2018-07-24"}
    tables["log"] = [log | {"location": "singapore-onenorth"}]
    (root / "v1.0-mini").mkdir(parents=True)
    for name, rows in tables.items():
        (root / f"v1.0-mini/{name}.json").write_text(json.dumps(rows))
    return root


def write_can(root, scene, sign, until=FRAMES):
    """Steering at 100 readings a second, twice the yaw rate and a ramp, with a sign."""
    (root / "can_bus").mkdir(exist_ok=True)
    times = np.arange(START - 50_000, stamps()[until - 1], 10_000)
    rows = [{"utime": int(t), "value": sign * (0.1 + 1e-6 * (t - START))} for t in times]
    (root / f"can_bus/{NAMES[scene]}_steeranglefeedback.json").write_text(json.dumps(rows))


def changed(root, table, index, drop=None, **fields):
    """A row of a table with other fields, or without one."""
    path = root / f"v1.0-mini/{table}.json"
    rows = json.loads(path.read_text())
    rows[index] |= fields
    rows[index].pop(drop, None)
    path.write_text(json.dumps(rows))


@pytest.fixture
def mini(tmp_path):
    return write(tmp_path / "nuscenes")


def test_frames_times_and_motion(mini):
    assert kind_of(mini) == kind_of(mini / "v1.0-mini") == "nuscenes"
    opened = open_recordings(mini)
    assert [ds.attrs["session"] for ds in opened] == ["n015"] * len(NAMES)  # scenes of one drive stay in one split
    assert [ds.attrs["source"].split()[0] for ds in opened] == [f"v1.0-mini/{name}" for name in NAMES]
    for scene, ds in enumerate(opened):
        assert recording.channel_table(ds) == colours(3)
        bar = (ds["frames"].values.mean(axis=(1, 3)) > 127).sum(axis=1)
        np.testing.assert_array_equal(bar, 3 * np.arange(FRAMES))  # samples/ and sweeps/ in one order
        np.testing.assert_array_equal(ds["frames"][::-3].values, ds["frames"].values[::-3])
        np.testing.assert_array_equal(ds["frames"][5, 2:9, ::7, 1].values, ds["frames"].values[5, 2:9, ::7, 1])
        np.testing.assert_allclose(ds["time"].values, (stamps() - START) * 1e-6, rtol=0, atol=1e-12)
        position, yaw = poses(scene)
        turn = YAW_RATE * (1 if scene == 0 else -1)
        np.testing.assert_allclose(ds["controls"].values[:-1], [[SPEED, turn]] * (FRAMES - 1), rtol=1e-9)
        assert np.isnan(ds["controls"].values[-1]).all()
        np.testing.assert_allclose(ds["states"].values[:, :3], position, rtol=1e-12)
        np.testing.assert_allclose(np.exp(1j * ds["states"].values[:, 3]), np.exp(1j * yaw), rtol=1e-12)
        assert np.isnan(ds["states"].values[0, 4:]).all()  # nothing is known before the first frame
        np.testing.assert_allclose(ds["states"].values[1:, 4:], [[SPEED, turn]] * (FRAMES - 1), rtol=1e-9)
        assert {column.role for column in recording.control_table(ds)} == {"measured"}
        np.testing.assert_array_equal(ds["camera_intrinsic"].values[0], [1266, 0, 816])
        assert ds["camera_translation"].attrs["units"] == "m"
        assert "no redistribution of frames or weights" in ds.attrs["licence"]
        assert WORDS[scene] in ds.attrs["history"] and "singapore-onenorth" in ds.attrs["history"]


def test_conditions_are_words_of_the_description(mini):
    for ds, wanted in zip(open_recordings(mini), (("after rain", "night"), ("not mentioned",) * 2), strict=True):
        table = recording.covariate_table(ds)
        found = [column.levels[int(v)] for column, v in zip(table, ds["covariates"].values, strict=True)]
        assert table.names == ("rain", "night")
        assert tuple(found) == wanted  # trains are no rain


def test_it_goes_into_a_store(mini, tmp_path):
    Store.create(tmp_path / "store").append(open_recordings(mini))
    store = Store.open(tmp_path / "store")
    assert (len(store), len(store.parts)) == (2, 1)  # the scenes are of one kind
    for ds, back in zip(open_recordings(mini), store, strict=True):
        np.testing.assert_array_equal(back["frames"].values, ds["frames"].values)
        np.testing.assert_array_equal(back["camera_intrinsic"].values, ds["camera_intrinsic"].values)


@pytest.mark.parametrize("sign", [1, -1])
def test_steering_of_the_can_bus_takes_its_sign_from_the_yaw_rate(mini, sign):
    # The first scene turns more and more to the left; the second has no file.
    grown = poses(0)[1] + 0.05 * np.arange(FRAMES) ** 2
    for k in range(FRAMES):
        half = grown[k] / 2
        changed(mini, "ego_pose", k, rotation=[math.cos(half), 0.0, 0.0, math.sin(half)])
    write_can(mini, 0, sign)
    first, second = open_recordings(mini)
    table = recording.control_table(first)
    assert table.names == ("speed", "yaw_rate", "steering_angle") == recording.control_table(second).names
    seconds = first["time"].values[:-1]
    np.testing.assert_allclose(first["controls"].values[:-1, 2], 0.1 + seconds, rtol=1e-9)
    assert ("sign turned" if sign < 0 else "sign kept") in first.attrs["history"]
    assert np.isnan(second["controls"].values[:, 2]).all()
    assert "no steering on the CAN bus" in second.attrs["history"]
    assert np.sign(first["log_value"].values[-1]) == sign  # the log keeps what the file says
    assert first["log_time"].values[0] == pytest.approx(-0.05)


def test_steering_is_unknown_outside_its_readings_and_its_sign_may_be_undecided(mini):
    write_can(mini, 1, -1, until=6)  # at a constant yaw rate nothing tells the sign
    ds = open_recordings(mini)[1]
    assert np.isfinite(ds["controls"].values[:5, 2]).all() and np.isnan(ds["controls"].values[6:, 2]).all()
    assert (ds["controls"].values[:5, 2] < 0).all()
    assert "does not tell it" in ds.attrs["history"]


@settings(max_examples=50)
@given(yaw=st.floats(-10, 10), speed=st.floats(-20, 40), rate=st.floats(-3, 3), seed=st.integers(0, 99))
def test_motion_is_that_which_moved_the_car(yaw, speed, rate, seed):
    time = np.cumsum(np.random.default_rng(seed).uniform(0.05, 0.2, 8))
    heading = yaw + rate * (time - time[0])
    ahead = speed * np.diff(time)[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)[:-1]
    position = np.zeros((8, 3))
    position[1:, :2] = np.cumsum(ahead, axis=0)
    wrapped = (heading + np.pi) % (2 * np.pi) - np.pi
    found = motion(position, wrapped, time)
    np.testing.assert_allclose(found[:-1], [[speed, rate]] * 7, atol=1e-9)


def test_sizes_that_contradict_are_said(mini):
    changed(mini, "sample_data", 2, height=900, width=1600)  # the first frame of the first scene
    assert "24 x 40 pixels where sample_data states 900 x 1600" in open_recordings(mini)[0].attrs["history"]


# Rows 0 and 1 of sample_data are of the other camera; then come the frames of both scenes.
@pytest.mark.parametrize(
    ("table", "index", "fields", "match"),
    [
        ("sample_data", 5, {"next": token("data", 0, 1)}, "leads back"),
        ("sample_data", 5, {"next": token("data", 0, 3)}, "leads back"),
        ("sample_data", 5, {"next": "gone"}, "no token 'gone'"),
        ("sample_data", 5, {"next": None}, "no token None"),
        ("sample_data", 5, {"next": ["a"]}, "no token"),
        ("sample_data", 5, {"next": token("back", 1)}, "not of CAM_FRONT"),
        ("sample_data", 5, {"next": token("data", 1, 4)}, "of another scene"),
        ("sample_data", 5, {"timestamp": START}, "not later"),
        ("sample_data", 5, {"timestamp": "soon"}, "microseconds"),
        ("sample_data", 5, {"timestamp": 10**30}, "microseconds"),
        ("sample_data", 5, {"filename": "/etc/passwd"}, "outside"),
        ("sample_data", 5, {"filename": "samples/../../../x.jpg"}, "outside"),
        ("sample_data", 5, {"filename": "sweeps/none.jpg"}, "no such picture.*" + token("data", 0, 3)),
        ("sample_data", 5, {"filename": f"samples/CAM_FRONT/n0__CAM_FRONT__{START}.jpg"}, "picture of two frames"),
        ("sample_data", 5, {"ego_pose_token": "gone"}, "no token 'gone'"),
        ("sample_data", 5, {"calibrated_sensor_token": "gone"}, "no token 'gone'"),
        ("sample_data", 2, {"is_key_frame": False}, "no key frame"),
        ("sample_data", 8, {"sample_token": token("sample", 0, 0)}, "second key frame"),
        ("sample_data", 8, {"token": token("data", 0, 5)}, "there twice"),
        ("scene", 0, {"name": NAMES[1]}, "two scenes are called"),
        ("scene", 0, {"first_sample_token": "gone"}, "no token 'gone'"),
        ("scene", 0, {"log_token": {}}, "no token"),
        ("scene", 0, {"token": 5}, "has no token"),
        ("sample", 0, {"scene_token": "x"}, "another scene"),
        ("ego_pose", 3, {"rotation": [1.0, 0.0, 0.0]}, "rotation"),
        ("ego_pose", 3, {"translation": [1.0, None, 0.0]}, "translation"),
        ("ego_pose", 3, {"translation": [float("nan"), 0.0, 0.0]}, "finite"),
        ("calibrated_sensor", 1, {"camera_intrinsic": []}, "camera_intrinsic"),
        ("calibrated_sensor", 1, {"sensor_token": "gone"}, "no token 'gone'"),
    ],
)
def test_broken_tables_are_refused_by_file_and_token(mini, table, index, fields, match):
    changed(mini, table, index, **fields)
    with pytest.raises(FormatError, match=match) as caught:
        open_recordings(mini)
    assert ".json" in str(caught.value) or ".jpg" in str(caught.value)


TABLES = ("scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor", "log")


@pytest.mark.parametrize("table", TABLES)
def test_truncated_and_missing_tables_and_fields_are_refused(mini, table):
    path = mini / f"v1.0-mini/{table}.json"
    content = path.read_text()
    field = next(
        name
        for name in json.loads(content)[0]
        if name in ("channel", "name", "scene_token", "next", "rotation", "vehicle")
    )
    changed(mini, table, 0, drop=field)
    with pytest.raises(FormatError, match=f"{table}.json.*no '{field}'"):
        open_recordings(mini)
    for damaged in (content[: len(content) // 2], "", "{}", "[1]", "null"):
        path.write_text(damaged)
        with pytest.raises(FormatError, match=f"{table}.json"):
            open_recordings(mini, "driving:nuscenes")
    path.unlink()
    with pytest.raises(FormatError):
        open_recordings(mini, "driving:nuscenes")


def test_damaged_pictures_are_named(mini):
    file = sorted((mini / "sweeps/CAM_FRONT").iterdir())[3]
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(FormatError, match=file.name):
        open_recordings(mini)[0]["frames"].values  # noqa: B018


def test_a_picture_of_another_shape_is_named(mini):
    files = sorted((mini / "sweeps/CAM_FRONT").iterdir())
    picture = av.VideoFrame.from_ndarray(np.zeros((Y, X + 2, 3), np.uint8), format="rgb24")
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = Y, X + 2, "rgb24", Fraction(1)
    files[3].write_bytes(b"".join(map(bytes, [*encoder.encode(picture), *encoder.encode(None)])))
    with pytest.raises(FormatError, match=rf"{files[3].name}: \({Y}, {X + 2}, 3\) uint8 where"):
        open_recordings(mini)[0]["frames"].load()


def test_a_scene_whose_name_leads_elsewhere_is_refused(mini):
    (mini / "can_bus").mkdir()
    changed(mini, "scene", 0, name="../../x")
    with pytest.raises(FormatError, match=r"scene\.json: names the file '../../x_steer.* outside"):
        open_recordings(mini)


@pytest.mark.parametrize(
    "content",
    ["[{}]", '[{"utime": 1}]', '{"a": 1}', '[{"utime": 2, "value": 0}, {"utime": 1, "value": 0}]', "[", "[1]"],
)
def test_damaged_messages_of_the_can_bus_are_refused(mini, content):
    (mini / "can_bus").mkdir()
    (mini / f"can_bus/{NAMES[0]}_steeranglefeedback.json").write_text(content)
    with pytest.raises(FormatError, match="steeranglefeedback"):
        open_recordings(mini)


def test_several_versions_are_asked_for(mini):
    (mini / "v1.0-trainval").mkdir()
    for name in os.listdir(mini / "v1.0-mini"):
        (mini / "v1.0-trainval" / name).write_bytes((mini / "v1.0-mini" / name).read_bytes())
    with pytest.raises(FormatError, match="name the folder of one"):
        open_recordings(mini)
    assert len(open_recordings(mini / "v1.0-trainval")) == 2
    with pytest.raises(SettingsError, match="frame_seconds"):
        open_recordings(mini / "v1.0-mini", options={"frame_seconds": 0.1})


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return write(tmp_path_factory.mktemp("shared") / "nuscenes")


@settings(max_examples=40)
@given(data=st.data())
def test_random_damage_raises_only_our_errors(shared, data):
    path = shared / f"v1.0-mini/{data.draw(st.sampled_from(TABLES))}.json"
    whole = path.read_bytes()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(32, 126))
    path.write_bytes(content)
    try:
        open_recordings(shared, "driving:nuscenes")
    except SciworldError:
        pass
    finally:
        path.write_bytes(whole)
