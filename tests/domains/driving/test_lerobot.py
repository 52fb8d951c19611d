"""LeRobot data sets: each row gets the frame of its own time, nothing is lost, and damage is named."""

import json
import shutil
from fractions import Fraction

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import colours
from sciworld.domains.driving.lerobot_cameras import _nearest
from sciworld.domains.driving.lerobot_features import numbers
from sciworld.domains.driving.readers import kind_of
from sciworld.errors import FormatError, SciworldError, SettingsError
from sciworld.ingest.open import open_recordings
from sciworld.store import Store

FPS, Y, X, BITS = 10, 16, 32, 8
LENGTHS = (11, 7, 5)  # the first two episodes share a video and a file of rows
FRONT, LEFT = "observation.images.front", "observation.images.left-side"
INDEX = {"timestamp": "float32", **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64")}
WEATHER = ("Rain", "Clear", "NA")
TASKS = ("go", "turn left")


def picture(number):
    """A number as bars of black and white : (y, x, 3) uint8; they survive any codec."""
    bars = np.array([255 * (number >> bit & 1) for bit in range(BITS)], dtype=np.uint8)
    return np.broadcast_to(np.repeat(bars, X // BITS)[None, :, None], (Y, X, 3))


def number_of(frames):
    """The numbers that frames show : (time,)."""
    bars = frames[:, :, X // BITS // 2 :: X // BITS].mean(axis=(1, 3)) > 127
    return (bars * 2 ** np.arange(BITS)).sum(axis=1)


def write_video(path, numbers, start=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "18", "g": "4"})
        stream.width, stream.height, stream.pix_fmt = X, Y, "yuv420p"
        for place, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture(number)), format="rgb24")
            frame.pts, frame.time_base = place + start, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def png(pixels):
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width, encoder.pix_fmt, encoder.time_base = *pixels.shape[:2], "rgb24", Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def features(images):
    def numbers(dtype, shape, names):
        return {"dtype": dtype, "shape": list(shape), "names": names}

    camera = {"dtype": "image" if images else "video", "shape": [3, Y, X], "names": ["channel", "height", "width"]}
    return {
        FRONT: camera,
        LEFT: camera,
        "observation.state.vehicle": numbers("float32", (3,), {"axes": ["speed", "heading", "yaw_rad"]}),
        "observation.state.waypoints": numbers("float32", (2, 2), ["way", "points"]),
        "observation.state.timestamp": numbers("int64", (1,), None),
        "observation.state.conditions": numbers("string", (1,), None),
        "observation.state.road": numbers("string", (1,), None),
        "action.continuous": numbers("float32", (3,), {"axes": ["gas", "brake", "steering"]}),
        "action.discrete": numbers("int32", (2,), {"gear": 1, "signal": 0}),
        "next.reward": numbers("float32", (1,), None),
        "next.done": numbers("bool", (1,), None),
        "lidar": {"dtype": "language", "shape": [1], "names": None},
        **{key: numbers(dtype, (1,), None) for key, dtype in INDEX.items()},
    }


def rows_of(episode, images):
    """The rows of an episode as a table, and the arrays that are in it."""
    n, rng = LENGTHS[episode], np.random.default_rng(episode)
    done = np.arange(n) == n - 1
    values = {
        "observation.state.vehicle": rng.normal(size=(n, 3)).astype("float32"),
        "observation.state.waypoints": rng.normal(size=(n, 2, 2)).astype("float32"),
        "observation.state.timestamp": 1_700_000_000_000_000_001 + np.arange(n),
        "observation.state.conditions": [WEATHER[episode]] * n,
        "observation.state.road": ["primary", "residential"] * (n // 2) + ["NA"] * (n % 2),
        "action.continuous": rng.normal(size=(n, 3)).astype("float32"),
        "action.discrete": rng.integers(0, 5, (n, 2)).astype("int32"),
        "next.reward": rng.normal(size=n).astype("float32"),
        "next.done": done,
        "timestamp": (np.arange(n) / FPS).astype("float32"),
        "frame_index": np.arange(n),
        "episode_index": np.full(n, episode),
        "index": np.arange(n) + sum(LENGTHS[:episode]),
        "task_index": np.full(n, episode % 2),
    }
    columns = {k: pa.array(v.tolist() if getattr(v, "ndim", 1) > 1 else v) for k, v in values.items()}
    for key in ("observation.state.vehicle", "action.continuous"):
        columns[key] = pa.array(list(values[key]), pa.list_(pa.float32()))
    if images:
        for camera, key in enumerate((FRONT, LEFT)):
            cells = [{"bytes": png(picture(shown(episode, row, camera))), "path": None} for row in range(n)]
            columns[key] = pa.array(cells)
    return pa.table(columns), values


def shown(episode, row, camera=0):
    """The number that a camera shows in a row."""
    return (40 * episode + row + 128 * camera) % 256


def write_info(root, version, images=False):
    v3 = version == "v3.0"
    chunk = "chunk-{chunk_index:03d}/file-{file_index:03d}" if v3 else "chunk-{episode_chunk:03d}"
    info = {
        "codebase_version": version,
        "fps": FPS,
        "total_episodes": len(LENGTHS),
        "total_frames": sum(LENGTHS),
        "chunks_size": 1000,
        "data_path": f"data/{chunk}.parquet" if v3 else f"data/{chunk}/episode_{{episode_index:06d}}.parquet",
        "video_path": f"videos/{{video_key}}/{chunk}.mp4"
        if v3
        else f"videos/{chunk}/{{video_key}}/episode_{{episode_index:06d}}.mp4",
        "features": features(images),
    }
    (root / "meta").mkdir(parents=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    (root / "README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\nlicense: other\n")


def write_v3(root, images=False):
    """Episodes 0 and 1 in the first file of rows and of each camera, 2 in the second of rows and the third of video."""
    write_info(root, "v3.0", images)
    places = [(0, 0, 0.0), (0, 0, LENGTHS[0] / FPS), (1, 2, 0.0)]  # file of rows, of video, from_timestamp
    tables = [rows_of(episode, images)[0] for episode in range(3)]
    for number, group in enumerate(([0, 1], [2])):
        path = root / f"data/chunk-000/file-{number:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables([tables[k] for k in group]), path, row_group_size=4)
    meta = []
    for episode, (rows, video, start) in enumerate(places):
        row = {"episode_index": episode, "tasks": [TASKS[episode % 2]], "length": LENGTHS[episode]}
        row |= {"data/chunk_index": 0, "data/file_index": rows, "stats/action/mean": [0.0]}
        for key in () if images else (FRONT, LEFT):
            row |= {f"videos/{key}/chunk_index": 0, f"videos/{key}/file_index": video}
            row |= {f"videos/{key}/from_timestamp": start}
            row |= {f"videos/{key}/to_timestamp": start + LENGTHS[episode] / FPS}
        meta.append(row)
    for camera, key in enumerate(() if images else (FRONT, LEFT)):
        for number, group in ((0, [0, 1]), (2, [2])):
            frames = [shown(k, row, camera) for k in group for row in range(LENGTHS[k])]
            write_video(root / f"videos/{key}/chunk-000/file-{number:03d}.mp4", frames)
    write_meta(root, meta)
    pq.write_table(pa.table({"task_index": [0, 1], "__index_level_0__": list(TASKS)}), root / "meta/tasks.parquet")
    return root


def write_meta(root, meta):
    (root / "meta/episodes/chunk-000").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(meta[::-1]), root / "meta/episodes/chunk-000/file-000.parquet")


def meta_of(root):
    return pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()[::-1]


def write_v2(root, images=False):
    write_info(root, "v2.1", images)
    lines = []
    (root / "data/chunk-000").mkdir(parents=True)
    for episode, length in enumerate(LENGTHS):
        pq.write_table(rows_of(episode, images)[0], root / f"data/chunk-000/episode_{episode:06d}.parquet")
        for camera, key in enumerate((FRONT, LEFT)):
            frames = [shown(episode, row, camera) for row in range(length)]
            write_video(root / f"videos/chunk-000/{key}/episode_{episode:06d}.mp4", frames)
        lines.append(json.dumps({"episode_index": episode, "tasks": [TASKS[episode % 2]], "length": length}))
    (root / "meta/episodes.jsonl").write_text("\n".join(lines))
    tasks = [json.dumps({"task_index": k, "task": task}) for k, task in enumerate(TASKS)]
    (root / "meta/tasks.jsonl").write_text("\n".join(tasks) + "\n")
    return root


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_v3(tmp_path_factory.mktemp("v3") / "l2d")


@pytest.fixture
def v3(written, tmp_path):
    return shutil.copytree(written, tmp_path / "l2d")


def changed(root, **fields):
    """info.json with other fields."""
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(info | fields))


@pytest.mark.parametrize(("writer", "images"), [(write_v3, False), (write_v2, False), (write_v3, True)])
def test_every_row_gets_its_frame_and_its_numbers(tmp_path, writer, images):
    root = writer(tmp_path / "l2d", images)
    assert kind_of(root) == "lerobot"
    opened = open_recordings(root)
    assert len(opened) == 3
    for episode, ds in enumerate(opened):
        values, n = rows_of(episode, False)[1], LENGTHS[episode]
        for camera, name in enumerate(("frames", "frames_left_side")):
            wanted = [shown(episode, row, camera) for row in range(n)]
            assert ds[name].shape == (n, Y, X, 3) and recording.table(ds, name) == colours(3)
            np.testing.assert_array_equal(number_of(ds[name].values), wanted)
            np.testing.assert_array_equal(number_of(ds[name][3:1:-1].values), wanted[3:1:-1])
        np.testing.assert_array_equal(ds["time"].values, values["timestamp"].astype(float))
        controls = np.concatenate([values["action.continuous"], values["action.discrete"]], axis=1).astype(float)
        np.testing.assert_array_equal(ds["controls"].values[:-1], controls[:-1])
        assert np.isnan(ds["controls"].values[-1]).all()
        np.testing.assert_array_equal(ds["log_value"].values, controls[-1])  # the last action is not lost
        table = recording.control_table(ds)
        assert table.names == ("gas", "brake", "steering", "signal", "gear")
        assert table["gear"].kind == "integer" and table["gas"].role == "commanded"
        states = recording.table(ds, "states")
        assert states.names[:4] == ("speed", "heading", "yaw_rad", "waypoints_0_0")
        assert states["yaw_rad"].units == "rad" and states["speed"].role == "measured"
        np.testing.assert_array_equal(ds["states"].values[:, :3], values["observation.state.vehicle"].astype(float))
        np.testing.assert_array_equal(ds["states"].values[:, 3:7], values["observation.state.waypoints"].reshape(n, 4))
        np.testing.assert_array_equal(ds["states"].values[:, states.index("done")], values["next.done"])
        np.testing.assert_array_equal(ds["rewards"].values[:, 0], values["next.reward"].astype(float))
        # float64 cannot hold nanoseconds since 1970: they stay integers
        stamps = ds["observation.state.timestamp"]
        assert stamps.dtype == np.int64
        np.testing.assert_array_equal(stamps.values[:, 0], values["observation.state.timestamp"])


def test_words_become_levels_that_all_episodes_share(written):
    opened = open_recordings(written)
    for episode, ds in enumerate(opened):
        table = recording.covariate_table(ds)
        assert table.names == ("conditions", "task")
        assert table["conditions"].levels == ("Clear", "Rain")
        assert table["task"].levels == TASKS
        found = dict(zip(table.names, ds["covariates"].values, strict=True))
        np.testing.assert_array_equal(found["conditions"], [1.0, 0.0, np.nan][episode])  # NA is unknown
        assert found["task"] == episode % 2
        road = recording.table(ds, "states")["road"]  # changes within an episode
        assert road.levels == ("primary", "residential")
        series = ds["states"].values[:, recording.table(ds, "states").index("road")]
        np.testing.assert_array_equal(series[:2], [0.0, 1.0])
        assert np.isnan(series[-1])
        assert ds.attrs["licence"] == "apache-2.0"
        assert ds.attrs["session"] == f"l2d/episode_{episode:06d}"
        assert "lidar (language)" in ds.attrs["history"]


def test_it_goes_into_a_store(written, tmp_path):
    Store.create(tmp_path / "store").append(open_recordings(written))
    for ds, back in zip(open_recordings(written), Store.open(tmp_path / "store"), strict=True):
        np.testing.assert_array_equal(back["frames_left_side"].values, ds["frames_left_side"].values)


@pytest.mark.parametrize("shift", [0.5, 1.0, -1.0])
def test_a_shift_between_rows_and_video_is_no_silence(v3, shift):
    """Two episodes in one video: a start that is off by half a frame, or by one, is found."""
    meta = meta_of(v3)
    meta[1][f"videos/{FRONT}/from_timestamp"] += shift / FPS
    write_meta(v3, meta)
    with pytest.raises(FormatError, match=r"file-000\.mp4.*(no frame at|is of episode)"):
        open_recordings(v3)


def test_frames_of_no_episode_and_small_differences_are_said(v3):
    path = v3 / f"videos/{FRONT}/chunk-000/file-002.mp4"
    write_video(path, [shown(2, row) for row in range(LENGTHS[2])] + [0, 0])
    meta = meta_of(v3)
    meta[2][f"videos/{FRONT}/from_timestamp"] += 0.3 / FPS
    meta[2][f"videos/{FRONT}/to_timestamp"] += 2.3 / FPS
    write_meta(v3, meta)
    ds = open_recordings(v3)[2]
    np.testing.assert_array_equal(number_of(ds["frames"].values), [shown(2, row) for row in range(LENGTHS[2])])
    for said in ("up to 0.03 s apart", "2 frames of file-002.mp4 belong to no episode", "0.7 s long by meta"):
        assert said in ds.attrs["history"]


def test_a_video_that_starts_late_or_has_twice_the_frames_is_read_by_its_times(v3):
    """Nothing counts frames: times alone say which is meant."""
    path = v3 / f"videos/{FRONT}/chunk-000/file-002.mp4"
    write_video(path, [shown(2, row) for row in range(LENGTHS[2])], start=3)
    meta = meta_of(v3)
    meta[2][f"videos/{FRONT}/from_timestamp"] = 3 / FPS
    meta[2][f"videos/{FRONT}/to_timestamp"] = (3 + LENGTHS[2]) / FPS
    write_meta(v3, meta)
    np.testing.assert_array_equal(
        number_of(open_recordings(v3)[2]["frames"].values), [shown(2, row) for row in range(LENGTHS[2])]
    )


@settings(max_examples=60)
@given(
    start=st.integers(0, 9),
    rows=st.integers(1, 8),
    times=st.sampled_from([1, 2, 3]),
    off=st.floats(-0.45, 0.45),
)
def test_the_nearest_frame_is_the_row_s_own(tmp_path_factory, start, rows, times, off):
    """A video with `times` frames a row, and times that are off by less than half of one of its frames."""
    shown_at = np.arange(30 * times) / (FPS * times)
    wanted = (start + np.arange(rows)) / FPS + off / (FPS * times)
    chosen = _nearest(tmp_path_factory.getbasetemp(), shown_at, wanted, FPS, 0)
    np.testing.assert_array_equal(chosen, times * (start + np.arange(rows)))


def test_frames_stay_in_their_file_and_damage_after_opening_is_named(v3):
    ds = open_recordings(v3)[0]
    (v3 / f"videos/{FRONT}/chunk-000/file-000.mp4").unlink()
    with pytest.raises(FormatError, match=r"file-000\.mp4"):
        ds["frames"].values  # noqa: B018


FILES = (
    "meta/info.json",
    "meta/tasks.parquet",
    "meta/episodes/chunk-000/file-000.parquet",
    "data/chunk-000/file-000.parquet",
    f"videos/{FRONT}/chunk-000/file-000.mp4",
)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.4, 0.95])
def test_a_truncated_file_is_named(v3, name, share):
    path = v3 / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(FormatError) as caught:
        for ds in open_recordings(v3):
            ds["frames"].values  # noqa: B018
    assert name.rpartition("/")[2] in str(caught.value)


@pytest.mark.parametrize("name", [name for name in FILES if "tasks" not in name])
def test_a_missing_file_is_named(v3, name):
    (v3 / name).unlink()
    with pytest.raises(FormatError):
        open_recordings(v3, "driving:lerobot")


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"fps": 0}, "fps is 0"),
        ({"fps": "10"}, "'fps' is '10'"),
        ({"fps": float("nan")}, "finite"),
        ({"codebase_version": "v1.6"}, "codebase_version is v1.6"),
        ({"codebase_version": None}, "codebase_version"),
        ({"features": []}, "features"),
        ({"features": {"action": {"dtype": "float32", "shape": [1]}}}, "no feature is a video"),
        ({"total_frames": 10**12}, "promises 1000000000000 frames"),
        ({"total_episodes": 4}, "promises 4 episodes, meta lists 3"),
        ({"data_path": "../../x/{chunk_index}.parquet"}, "outside the data set"),
        ({"video_path": "/etc/{video_key}.mp4"}, "outside the data set"),
        ({"video_path": "{video_key.__class__}"}, "unknown part"),
        ({"video_path": "{chunk_index:099999999999d}.mp4"}, "unknown part"),
        ({"video_path": "{unheard_of}.mp4"}, "unknown part"),
        ({"video_path": None}, "template"),
        ({"data_path": "data/{chunk_index"}, "unknown part"),
    ],
)
def test_broken_info_is_refused(v3, fields, match):
    changed(v3, **fields)
    with pytest.raises(FormatError, match=match):
        open_recordings(v3, "driving:lerobot")


@pytest.mark.parametrize(
    ("key", "spec", "match"),
    [
        ("action.continuous", {"dtype": "float32", "shape": [0]}, "shape"),
        ("action.continuous", {"dtype": "float32", "shape": [4]}, "not \\(4,\\) numbers"),
        ("action.continuous", {"dtype": "float32", "shape": [10**9]}, "no columns"),
        ("action.continuous", {"shape": [3]}, "dtype"),
        ("action.continuous", {"dtype": "string", "shape": [3]}, "where words were promised"),
        ("next.reward", {"dtype": "float32", "shape": [2]}, "next.reward"),
        ("new", {"dtype": "float32", "shape": [2]}, "no column 'new'"),
        ("observation.state.road", {"dtype": "float32", "shape": [1]}, "no numbers"),
        ("action.continuous", {"dtype": "float32", "shape": [3], "columns": [{"name": "x"}]}, "action.continuous"),
    ],
)
def test_features_that_the_rows_do_not_have_are_refused(v3, key, spec, match):
    info = json.loads((v3 / "meta/info.json").read_text())
    changed(v3, features=info["features"] | {key: spec})
    with pytest.raises(FormatError, match=match):
        open_recordings(v3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"length": 12}, "has 11 rows, meta promises 12"),
        ({"length": 0}, "no rows"),
        ({"length": -1}, "'length' is -1"),
        ({"episode_index": 1}, "episode 1 is listed twice"),
        ({"data/file_index": 7}, "file-007"),
        ({"data/chunk_index": None}, "data/chunk_index"),
        ({f"videos/{FRONT}/file_index": 1}, "file-001.mp4"),
        ({f"videos/{FRONT}/from_timestamp": float("nan")}, "from_timestamp"),
        ({f"videos/{FRONT}/from_timestamp": 1e9}, "no frame at"),
    ],
)
def test_broken_episodes_are_refused(v3, change, match):
    meta = meta_of(v3)
    meta[0] |= change
    write_meta(v3, meta)
    with pytest.raises(FormatError, match=match):
        open_recordings(v3)


@pytest.mark.parametrize(
    ("key", "values", "match"),
    [
        ("timestamp", [0.0, 0.1, 0.1, 0.3, 0.4], "'timestamp' is not finite and increasing"),
        ("timestamp", [0.0, 0.1, np.nan, 0.3, 0.4], "'timestamp' is not finite"),
        ("frame_index", [0, 1, 3, 2, 4], "not in order"),
        ("task_index", [0, 0, 5, 0, 0], "task_index is 5"),
    ],
)
def test_broken_rows_are_refused(v3, key, values, match):
    path = v3 / "data/chunk-000/file-001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(key), key, pa.array(values)), path)
    with pytest.raises(FormatError, match=match):
        open_recordings(v3)


def test_pictures_may_be_missing_or_outside(tmp_path):
    root = write_v3(tmp_path / "l2d", images=True)
    path = root / "data/chunk-000/file-001.parquet"
    table = pq.read_table(path)
    for cell, match in (
        ({"bytes": None, "path": "../../x.png"}, "outside"),
        ({"bytes": None, "path": None}, "no picture"),
    ):
        cells = [*table[FRONT].to_pylist()[:-1], cell]
        column = pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        pq.write_table(table.set_column(table.column_names.index(FRONT), FRONT, column), path)
        with pytest.raises(FormatError, match=match):
            open_recordings(root)[2]["frames"].values  # noqa: B018


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.list_(pa.float32())),
        pa.list_(pa.list_(pa.float32(), 3), 2),
        pa.large_list(pa.list_(pa.float32(), 3)),
    ],
)
def test_lists_of_any_kind_are_numbers(kind):
    """Writers of data sets differ in this; a slice of a column must not show its neighbours."""
    values = np.arange(30, dtype="float32").reshape(5, 2, 3)
    column = pa.chunked_array([pa.array(values[:2].tolist(), kind), pa.array(values[2:].tolist(), kind)])
    np.testing.assert_array_equal(numbers(column.slice(1, 3), (2, 3), "here"), values[1:4].reshape(3, 6))
    with pytest.raises(FormatError, match="here"):
        numbers(column, (3, 2), "here")
    with pytest.raises(FormatError, match="here"):
        numbers(pa.array([*values[:2].tolist(), None], kind), (2, 3), "here")


def test_unknown_numbers_are_nan_and_ragged_rows_are_refused():
    np.testing.assert_array_equal(numbers(pa.array([1.5, None, 2.0]), (1,), "here")[:, 0], [1.5, np.nan, 2.0])
    np.testing.assert_array_equal(numbers(pa.array([[1], [None]]), (1,), "here")[:, 0], [1.0, np.nan])
    with pytest.raises(FormatError, match="here"):
        numbers(pa.array([[1.0, 2.0, 3.0], [4.0]]), (2,), "here")  # four numbers, but not two a row


def test_its_rate_is_its_own(written):
    with pytest.raises(SettingsError, match="frame_seconds"):
        open_recordings(written, options={"frame_seconds": 0.1})


@settings(max_examples=40)
@given(data=st.data())
def test_random_damage_raises_only_our_errors(written, tmp_path_factory, data):
    root = shutil.copytree(written, tmp_path_factory.mktemp("damage") / "l2d")
    path = root / data.draw(st.sampled_from(FILES))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        for ds in open_recordings(root, "driving:lerobot"):
            ds["frames"].values  # noqa: B018
    except SciworldError:
        pass
