"""Recordings to a LeRobot data set and back: numbers exactly, frames in their places, and nothing altered silently."""

import json
import os

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import FormatError, RecordingError, SettingsError, StoreError
from sciworld.export import lerobot, lerobot_files
from sciworld.export.export import ExportSettings, export
from sciworld.export.lerobot_pixels import stated
from sciworld.ingest.open import open_recordings
from sciworld.measures.moments import Moments
from sciworld.store import Store

T, Y, X, BITS = 11, 16, 32, 8
EXACT = ("time", "controls", "states", "rewards", "covariates")


def colours(n=3, units="counts"):
    return ColumnTable(tuple(Column(name, units) for name in ("red", "green", "blue", "alpha")[:n]))


def bars(numbers):
    """Numbers as bars of black and white : (time, y, x, 3) uint8."""
    values = np.array([[255 * (number >> bit & 1) for bit in range(BITS)] for number in numbers], dtype=np.uint8)
    whole = np.repeat(values, X // BITS, axis=1)[:, None, :, None]
    return np.ascontiguousarray(np.broadcast_to(whole, (len(numbers), Y, X, 3)))


def number_of(frames):
    found = frames[:, :, X // BITS // 2 :: X // BITS].mean(axis=(1, 3)) > 127
    return (found * 2 ** np.arange(BITS)).sum(axis=1)


def make(seed=0, n=T, fps=20.0, frames=None, **more):
    """A recording whose frames show 40 * seed + row, with everything that can be exported."""
    rng = np.random.default_rng(seed)
    controls, states = rng.normal(size=(n, 2)), rng.normal(size=(n, 3)) * 1e-7
    controls[-1] = np.nan
    states[0, 1] = np.nan
    frames = bars((40 * seed + np.arange(n)) % 256) if frames is None else frames
    settings = {
        "channels": colours(frames.shape[-1]),
        "session": f"drive{seed}",
        "source": "toy",
        "licence": "CC0-1.0",
        "description": "a wet road at dusk",
        "citation": "nobody",
        "history": "made",
        "controls": controls,
        "control_table": ColumnTable((Column("steering", "rad", low=-9.0, high=9.0), Column("gas", "1"))),
        "states": states,
        "state_table": ColumnTable(tuple(Column(name, "m", role="measured") for name in "abc")),
        "rewards": rng.normal(size=(n, 1)),
        "reward_table": ColumnTable((Column("reward", "1"),)),
        "covariates": {"fog": 0.1 + seed, "sky": float(seed % 2)},
        "covariate_table": ColumnTable(
            (Column("fog", "m"), Column("sky", "1", kind="categorical", levels=("clear", "rain", "snow")))
        ),
    }
    return recording.make(frames, 100.3 + np.arange(n) / fps, **settings | more)


def write_lerobot(recordings, out, **settings):
    return list(export(recordings, out, "lerobot", ExportSettings(**settings)).notes)


def require_same(one, back):
    for name in EXACT:
        assert (name in one.variables) == (name in back.variables), name
        if name in one.variables:
            np.testing.assert_array_equal(back[name].values, one[name].values, err_msg=name)
            assert back[name].attrs == one[name].attrs, name
    for name in ("session", "source", "licence", "citation", "description"):
        assert back.attrs[name] == one.attrs[name]


@pytest.mark.parametrize("lossless", [False, True])
def test_there_and_back(tmp_path, lossless):
    """Three episodes in one video: every number is exact, every frame in its place."""
    wanted = [make(0), make(1, n=7), make(2)]
    notes = write_lerobot(wanted, tmp_path / "out", lossless=lossless, task="keep the lane")
    back = open_recordings(tmp_path / "out")
    assert len(back) == 3
    for seed, (one, ds) in enumerate(zip(wanted, back, strict=True)):
        require_same(one, ds)
        np.testing.assert_array_equal(number_of(ds["frames"].values), 40 * seed + np.arange(len(one["time"])))
        apart = np.abs(ds["frames"].values.astype(int) - one["frames"].values)
        assert apart.max() <= (0 if lossless else 12)
        assert ds.attrs["history"].startswith("made; exported to LeRobot")
        assert "keep the lane" in ds.attrs["history"]
    assert any("last action of 3 episodes" in note for note in notes)
    assert any("loses" in note for note in notes) == (not lossless)
    for note in notes:
        assert note in (tmp_path / "out/README.md").read_text()
    assert os.listdir(tmp_path) == ["out"]  # no stage is left


def test_views_and_positions_in_lengths_come_back(tmp_path):
    """A beam in A needs the view in A; a further camera has one of its own, and another episode may lack both."""
    beam = {"group": "beam", "frame": "lab"}
    table = ColumnTable((Column("beam_x", "A", axis="x", **beam), Column("beam_y", "A", axis="y", **beam)))
    view = np.array([0.5, 0.1, 3.0, 0.0, -0.25, 1.0]) + np.arange(T)[:, None] * 1e-9
    one = make(0, control_table=table, view=view, view_units="A")
    one["view"].attrs["row_direction"] = "up"
    left = {"frames_left": (("time", "y_left", "x_left", "channel_left"), one["frames"].values, one["frames"].attrs)}
    left["view_left"] = (("time", "affine"), 2 * view, {"units": "m", "row_direction": "down"})
    one, other = one.assign(left), make(1, control_table=table, view=2 * view, view_units="A")
    other["view"].attrs["row_direction"] = "up"
    notes = write_lerobot([one, other.assign(left)], tmp_path / "out")
    back = open_recordings(tmp_path / "out")
    for wanted, found in zip([one, other.assign(left)], back, strict=True):
        require_same(wanted, found)
        for name in ("view", "view_left"):
            np.testing.assert_array_equal(found[name].values, wanted[name].values)
            assert found[name].attrs == wanted[name].attrs
    assert not any("left out" in note for note in notes)
    with pytest.raises(SettingsError, match="units of views"):
        write_lerobot([one, make(2, control_table=table, view=view, view_units="A").assign(left)], tmp_path / "two")


def test_the_layout_is_lerobot_s(tmp_path):
    write_lerobot([make(0), make(1, n=7)], tmp_path / "out")
    info = json.loads((tmp_path / "out/meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], type(info["fps"])) == ("v3.0", 20, int)
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (2, T + 7, 1)
    assert info["features"]["observation.images.frames"]["shape"] == [Y, X, 3]
    assert info["features"]["action"]["names"] == ["steering", "gas"]
    assert info["features"]["timestamp"] == {"dtype": "float32", "shape": [1], "names": None}
    rows = pd.read_parquet(tmp_path / "out" / info["data_path"].format(chunk_index=0, file_index=0))
    assert set(rows.columns) == set(info["features"]) - {"observation.images.frames"}
    np.testing.assert_array_equal(rows["index"], np.arange(T + 7))
    np.testing.assert_array_equal(rows["timestamp"], (rows["frame_index"] / 20).astype("float32"))
    assert rows["timestamp"].dtype == np.float32
    tasks = pd.read_parquet(tmp_path / "out/meta/tasks.parquet")
    assert tasks.index.name == "task" and tasks.iloc[0].name == "recorded run" and tasks["task_index"].tolist() == [0]
    meta = pd.read_parquet(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet")
    at = "videos/observation.images.frames"
    np.testing.assert_allclose(meta[f"{at}/from_timestamp"], [0, T / 20])
    np.testing.assert_allclose(meta[f"{at}/to_timestamp"], [T / 20, (T + 7) / 20])
    assert meta["dataset_from_index"].tolist() == [0, T] and meta["dataset_to_index"].tolist() == [T, T + 7]
    assert meta["tasks"][1].tolist() == ["recorded run"]


def test_statistics_are_those_of_the_rows(tmp_path):
    wanted = [make(0), make(1, n=7)]
    write_lerobot(wanted, tmp_path / "out")
    rows = pd.read_parquet(tmp_path / "out/data/chunk-000/file-000.parquet")
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    meta = pq.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    parts = {"all": rows, 0: rows[rows["episode_index"] == 0], 1: rows[rows["episode_index"] == 1]}
    for part, found in parts.items():
        for key in ("action", "observation.state", "next.reward", "timestamp", "index"):
            values = np.stack(found[key].to_numpy()).reshape(len(found), -1).astype(float)
            stated = stats[key] if part == "all" else {n: meta[part][f"stats/{key}/{n}"] for n in stats[key]}
            for name, formula in {"min": np.nanmin, "max": np.nanmax, "mean": np.nanmean, "std": np.nanstd}.items():
                np.testing.assert_allclose(stated[name], formula(values, axis=0), rtol=1e-6, atol=1e-15)
            assert stated["count"] == [len(found)]
    pixels = np.concatenate([ds["frames"].values for ds in wanted]) / 255
    image = stats["observation.images.frames"]
    assert np.shape(image["mean"]) == (3, 1, 1)
    np.testing.assert_allclose(np.ravel(image["mean"]), pixels.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(np.ravel(image["std"]), pixels.std(axis=(0, 1, 2)))


@settings(max_examples=50)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.integers(0, 99), st.sampled_from([0.0, 1e6]))
def test_statistics_add_up(sizes, seed, offset):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(offset, 1, (n, 3)) for n in sizes]
    for part in parts:
        part[rng.random(part.shape) < 0.3] = np.nan
    total = Moments(3)
    for part in parts:
        total.merge(Moments.of(part))
    found = stated(total, sum(sizes), pixels=False, unit=1)
    assert found.pop("count") == [sum(sizes)]
    for k, column in enumerate(np.concatenate(parts).T):
        known = column[~np.isnan(column)]
        if known.size:
            wanted = {"min": known.min(), "max": known.max(), "mean": known.mean(), "std": known.std()}
            for name, value in wanted.items():
                np.testing.assert_allclose(found[name][k], value, rtol=1e-7, atol=1e-7)
        else:
            assert np.isnan([values[k] for values in found.values()]).all()


def test_several_cameras_and_files(tmp_path, monkeypatch):
    """A full file is followed by the next, whose times start anew."""
    monkeypatch.setattr("sciworld.lazy.BLOCK_BYTES", 1)
    monkeypatch.setattr(lerobot_files, "VIDEO_MB", 0)
    monkeypatch.setattr(lerobot_files, "ROWS_MB", 0)
    wanted = []
    for seed in range(3):
        ds = make(seed, n=40)
        dims = ("time", "y_left", "x_left", "channel_left")
        left = (dims, bars((200 - np.arange(40)) % 256), {"columns": colours().to_json()})
        wanted.append(ds.assign(frames_left=left, view_left=(("time", "affine"), ds["view"].values, ds["view"].attrs)))
    write_lerobot(wanted, tmp_path / "out")
    videos = sorted(path.name for path in (tmp_path / "out/videos/observation.images.left/chunk-000").iterdir())
    assert videos == ["file-000.mp4", "file-001.mp4", "file-002.mp4"]
    assert len(list((tmp_path / "out/data/chunk-000").iterdir())) == 3
    meta = pd.read_parquet(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet")
    assert meta["videos/observation.images.left/file_index"].tolist() == meta["data/file_index"].tolist() == [0, 1, 2]
    assert meta["videos/observation.images.left/from_timestamp"].tolist() == [0, 0, 0]
    for seed, ds in enumerate(open_recordings(tmp_path / "out")):
        np.testing.assert_array_equal(number_of(ds["frames"].values), (40 * seed + np.arange(40)) % 256)
        np.testing.assert_array_equal(number_of(ds["frames_left"].values), (200 - np.arange(40)) % 256)


@pytest.mark.parametrize(
    ("dtype", "channels"), [("float32", 3), ("uint16", 3), ("int32", 1), ("uint8", 1), ("uint8", 2), ("float64", 2)]
)
def test_what_is_not_eight_bits_of_three_colours_is_refused_or_scaled(tmp_path, dtype, channels):
    values = np.arange(T * Y * X * channels).reshape(T, Y, X, channels) % 200
    ds = make(frames=values.astype(dtype))
    with pytest.raises(SettingsError, match=f"{dtype} of {channels} channels.*scale="):
        write_lerobot([ds], tmp_path / "out")
    assert not (tmp_path / "out").exists() and not os.listdir(tmp_path)
    notes = write_lerobot([ds], tmp_path / "out", scale=(0, 51), lossless=True)
    clipped = int((values > 51).sum())
    assert f"frames were scaled from [0, 51] to 0 ... 255, {clipped} values clipped" in notes
    info = json.loads((tmp_path / "out/meta/info.json").read_text())
    assert info["features"]["observation.images.frames"]["sciworld/scale"] == [0, 51]
    back = open_recordings(tmp_path / "out")[0]
    wanted = (np.clip(values, 0, 51) * 5).astype(np.uint8)
    np.testing.assert_array_equal(back["frames"].values[..., :channels], wanted)
    assert "scaled from [0, 51]" in back.attrs["history"]
    require_same(ds, back)


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("uint8", 3), ("uint16", 1), ("uint16", 3)])
def test_pictures_are_lossless(tmp_path, dtype, channels):
    top = np.iinfo(dtype).max
    frames = np.random.default_rng(0).integers(0, top, (T, 5, 7, channels), endpoint=True).astype(dtype)
    write_lerobot([make(frames=frames)], tmp_path / "out", lossless=True)
    back = open_recordings(tmp_path / "out")[0]["frames"]
    assert back.dtype == dtype
    np.testing.assert_array_equal(back.values, frames)


@pytest.mark.parametrize("fps", [0.4, 7.5, 30_000 / 1001, 1e4 / 3])
def test_a_rate_that_is_no_whole_number(tmp_path, fps):
    wanted = [make(0, fps=fps), make(1, fps=fps)]
    notes = write_lerobot(wanted, tmp_path / "out")
    assert any(f"{fps:g} frames a second" in note for note in notes)
    for seed, (one, back) in enumerate(zip(wanted, open_recordings(tmp_path / "out"), strict=True)):
        require_same(one, back)
        np.testing.assert_array_equal(number_of(back["frames"].values), 40 * seed + np.arange(T))


def test_a_store_is_exported_as_it_is(tmp_path):
    wanted = [make(0), make(1, n=7)]
    Store.create(tmp_path / "store").append(wanted)
    write_lerobot(Store.open(tmp_path / "store"), tmp_path / "out", lossless=True)
    for one, back in zip(wanted, open_recordings(tmp_path / "out"), strict=True):
        require_same(one, back)
        np.testing.assert_array_equal(back["frames"].values, one["frames"].values)


def test_av1_keeps_frames_in_their_places(tmp_path):
    """Its encoder gives packets late: a second episode starts before the first is in the file."""
    write_lerobot([make(0), make(1)], tmp_path / "out", codec="av1")
    for seed, back in enumerate(open_recordings(tmp_path / "out")):
        np.testing.assert_array_equal(number_of(back["frames"].values), 40 * seed + np.arange(T))


def test_the_last_action_is_kept_where_it_is_known(tmp_path):
    """The reader logs the action of the last frame; the export gives it back."""
    write_lerobot([make()], tmp_path / "first")
    (opened,) = open_recordings(tmp_path / "first")
    opened["log_value"].values[:] = [5.0, 6.0]
    notes = write_lerobot([opened], tmp_path / "second")
    rows = pd.read_parquet(tmp_path / "second/data/chunk-000/file-000.parquet")
    np.testing.assert_array_equal(rows["action"].iloc[-1], [5.0, 6.0])
    assert not any("last action" in note for note in notes)


def test_tasks_are_those_of_the_covariate(tmp_path):
    table = ColumnTable((Column("task", "1", kind="categorical", levels=("left", "right")),))
    wanted = [make(k, covariates={"task": v}, covariate_table=table) for k, v in enumerate((1.0, np.nan, 0.0))]
    write_lerobot(wanted, tmp_path / "out", task="drive")
    tasks = pd.read_parquet(tmp_path / "out/meta/tasks.parquet")
    assert list(tasks.index) == ["right", "drive", "left"]
    for one, back in zip(wanted, open_recordings(tmp_path / "out"), strict=True):
        require_same(one, back)


def test_what_is_left_out_is_said(tmp_path):
    ds = make(dose=np.ones((T, 2)), view=np.array([0.1, 0, 0, 0, 0.1, 0]), view_units="m")
    notes = write_lerobot([ds], tmp_path / "out")
    assert "left out: dose" in notes
    assert "observation.state holds unknown values, as NaN" in notes


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda: [make(frames=bars(range(T))[:, :, :-1])], "even numbers"),
        (lambda: [make(frames=np.zeros((T, 3, Y, X, 3), np.uint8))], "no depth axis"),
        (lambda: [make(), make(1, fps=10.0)], "recording 1: its times"),
        (lambda: [make(n=1)], "one frame has no rate"),
        (lambda: [make(), make(1, frames=bars(range(T))[:, ::2])], "recording 1: has other cameras"),
        (lambda: [make(), make(1, rewards=None, reward_table=None)], "recording 1: has other"),
        (lambda: [make(), make(1, reward_table=ColumnTable((Column("other", "1"),)))], "recording 1: other columns"),
        (list, "no recordings"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(tmp_path, change, match):
    with pytest.raises(SettingsError, match=match):
        write_lerobot(change(), tmp_path / "out")
    assert not os.listdir(tmp_path)


def test_uneven_times_are_refused(tmp_path):
    ds = make()
    time = ds["time"].values.copy()
    time[5] += 0.01
    with pytest.raises(SettingsError, match=r"one fixed rate.*resample"):
        write_lerobot([ds.assign_coords(time=("time", time, ds["time"].attrs))], tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "match"),
    [({"codec": "mpeg2"}, "no codec"), ({"scale": (1.0, 1.0)}, "scale is"), ({"scale": (0.0, np.nan)}, "scale is")],
)
def test_wrong_arguments_are_refused(tmp_path, settings, match):
    with pytest.raises(SettingsError, match=match):
        write_lerobot([make()], tmp_path / "out", **settings)


def test_an_existing_target_is_untouched(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(SettingsError, match="exists"):
        write_lerobot([make()], tmp_path / "out")
    assert not os.listdir(tmp_path / "out")


def test_failures_leave_nothing(tmp_path, monkeypatch):
    def broken():
        yield make()
        assert not (tmp_path / "out").exists()  # it appears whole or not at all: a kill leaves nothing there
        raise FormatError("the second cannot be read")

    with pytest.raises(FormatError):
        write_lerobot(broken(), tmp_path / "out")
    with pytest.raises(RecordingError):
        write_lerobot([make(), make(1).drop_vars("view")], tmp_path / "out")
    with pytest.raises(SettingsError, match="not finite"):
        frames = np.full((T, Y, X, 1), np.nan, "float32")
        write_lerobot([make(frames=frames)], tmp_path / "out", scale=(0, 1))
    monkeypatch.setattr(lerobot, "write_json", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(StoreError, match="disk full"):
        write_lerobot([make()], tmp_path / "out")
    assert not os.listdir(tmp_path)
