"""`ds.sciworld`: a recording at a glance, of which no more than what is shown is read."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import toy
import xarray as xr

import sciworld.accessor  # noqa: F401 - registers ds.sciworld
from sciworld import plots, recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import RecordingError, SettingsError
from sciworld.lazy import lazy
from sciworld.store import Store
from sciworld.windows import Windows

T, Y, X = 11, 5, 7
TEXTS = {
    "session": "s<1>",
    "source": "<script>alert(1)</script>",
    "licence": "",
    "citation": "a & b",
    "history": "made",
}


def made(frames, names=("haadf",), units="counts", **more):
    columns = ColumnTable(tuple(Column(name, units) for name in names))
    return recording.make(frames, 2.0 * np.arange(len(frames)), channels=columns, **TEXTS, **more)


def counts(dtype="uint16", shape=(T, Y, X, 1)):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def images(text):
    """The pictures of a page as arrays (y, x, 3)."""
    found = []
    for code in re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text):
        with av.open(io.BytesIO(base64.b64decode(code))) as container:
            found.append(next(container.decode(video=0)).to_ndarray(format="rgb24"))
    return found


def counted(values):
    """Frames that stay in their file, and a list of the keys by which they were read."""
    keys = []

    def read(key):
        keys.append(key)
        return values[key]

    return lazy(Path("a"), values.shape, values.dtype, read), keys


def test_columns_are_one_table():
    table = toy.make().sciworld.columns
    assert list(table["variable"]) == ["frames"] * 2 + ["controls"] * 3 + ["covariates"]
    assert list(table.columns[:5]) == ["variable", "name", "units", "low", "high"]
    ds = toy.make()
    for row, column in zip(
        table.query("variable == 'controls'").itertuples(), recording.control_table(ds), strict=True
    ):
        assert (row.name, row.units, row.kind, row.levels) == (
            column.name, column.units, column.kind, ", ".join(column.levels),
        )  # fmt: skip
        assert row.low == column.low or (np.isnan(row.low) and column.low is None)


def test_windows_are_those_of_a_store(tmp_path):
    recordings = [toy.make(frames=T, seed=3)]
    recordings[0]["controls"][4, 1] = np.nan
    store = Store.create(tmp_path / "store")
    store.append(recordings)
    for options in ({}, {"stride": 2}, {"unknown": True}):
        expected = Windows(store, 2, 3, **options)
        found = recordings[0].sciworld.windows(2, 3, **options)
        batch = expected.batch(np.arange(len(expected)))
        assert len(found) == len(expected)
        for k, window in enumerate(found):
            recording.check(window)
            assert np.array_equal(window["time"], batch.time[k]) and np.array_equal(window["frames"], batch.frames[k])
            assert np.allclose(window["controls"][:-1], batch.controls[k], equal_nan=True)
    assert len(found[2:5]) == 3 and found[2:5][-1].identical(found[4])


def test_windows_share_the_frames_and_leave_the_recording_as_it_is():
    ds = toy.make()
    before = ds.copy(deep=True)
    windows = ds.sciworld.windows(3, 2)
    assert np.shares_memory(windows[1]["frames"].values, ds["frames"].values)
    xr.testing.assert_identical(ds, before)
    frames, keys = counted(counts())
    assert len(made(frames).sciworld.windows(2, 2)) == T - 3 and keys == []


def test_windows_that_are_not_there():
    ds = toy.make(frames=4)
    for name in ("context", "horizon", "stride"):
        for odd in (0, -1, 2.0, np.nan, True, "2", None, 10**30):
            with pytest.raises(SettingsError, match=f"windows: {name} is {odd!r}; use an integer, at least 1"):
                ds.sciworld.windows(**({"context": 1, "horizon": 1, "stride": 1} | {name: odd}))
    with pytest.raises(RecordingError, match="none of 5 of the 4 frames"):
        ds.sciworld.windows(3, 2)
    ds["covariates"][0] = np.nan
    with pytest.raises(RecordingError, match="unknown"):
        ds.sciworld.windows(1, 1)
    assert len(ds.sciworld.windows(1, 1, unknown=True)) == 3
    moving = made(
        counts(), view=np.arange(T)[:, None] * np.array([0, 0, 1, 0, 0, 0]) + [1, 0, 0, 0, 1, 0], view_units="A"
    )
    with pytest.raises(RecordingError, match="move of the view"):
        moving.sciworld.windows(1, 1)
    assert len(moving.sciworld.windows(1, 1, moving_view=True)) == T - 1


def test_a_notebook_reads_only_what_it_shows():
    values = counts(shape=(500, Y, X, 1))
    frames, keys = counted(values)
    ds = made(frames)
    page = ds.sciworld._repr_html_()
    assert 0 < len(keys) <= 6 and all(key[0].stop - key[0].start == 1 for key in keys)
    assert [key[0].start for key in keys] == [0, 100, 200, 299, 399, 499]
    assert len(images(page)) == 6
    keys.clear()
    ds.sciworld.strip(n=3)
    assert len(keys) == 3


def test_the_page_shows_the_frames_in_a_contrast_that_it_states():
    frames = counts("float32", (1, Y, X, 1))
    frames[0, 1, 2], frames[0, 3, 4] = np.nan, -np.inf
    page = made(frames).sciworld._repr_html_()
    (picture,) = images(page)
    finite = frames[0, ..., 0][np.isfinite(frames[0, ..., 0])]
    low, high = np.percentile(finite, (1, 99))
    assert f"black is {low:.4g}, white {high:.4g} counts: 1 % and 99 % of the frames shown" in page
    assert "red pixels are not finite" in page
    assert picture.shape == (Y, X, 3)
    assert tuple(picture[1, 2]) == tuple(picture[3, 4]) == plots.ODD
    expected = np.clip((frames[0, ..., 0] - low) / (high - low), 0, 1)[np.isfinite(frames[0, ..., 0])]
    assert np.abs(picture[..., 1][np.isfinite(frames[0, ..., 0])] - 255 * expected).max() <= 1


@pytest.mark.parametrize(
    ("names", "dtype", "rows"),
    [
        (("haadf",), "uint8", ["haadf"]),
        (("u", "v"), "float64", ["u", "v"]),
        (("red", "green", "blue"), "uint8", ["colour"]),
        (("red", "green", "blue"), "uint16", ["colour"]),
        (("u", "v", "p"), "float32", ["u", "v", "p"]),
        (("red", "green", "blue", "depth"), "float32", ["colour", "depth"]),
        (tuple("abcdefg"), "int32", list("abcd")),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_any_number_of_channels(names, dtype, rows, deep):
    shape = (T, 3, Y, X, len(names)) if deep else (T, Y, X, len(names))
    frames = counts(dtype, shape)
    page = made(frames, names).sciworld._repr_html_()
    found = images(page)
    assert len(found) == 6 * len(rows) and all(picture.shape == (Y, X, 3) for picture in found)
    assert re.findall(r"<small>(\w+):", page) == rows
    assert ("plane 2 of 3 along z" in page) == deep
    assert ("3 more channels are not shown" in page) == (len(names) == 7)
    if names[:3] == ("red", "green", "blue") and dtype == "uint8":
        assert np.array_equal(found[0], frames[0, 1] if deep else frames[0]) and "as recorded" in page


def test_several_cameras_and_no_controls():
    ds = made(counts())
    other = ColumnTable((Column("grey", "counts"),))
    view = ds["view"].rename(affine="affine")
    ds = ds.assign(
        frames_left=(
            ("time", "y_left", "x_left", "channel_left"),
            counts("uint8", (T, 4, 9, 1)),
            {"columns": other.to_json()},
        ),
        view_left=view,
    )
    recording.check(ds)
    page = ds.sciworld._repr_html_()
    assert [picture.shape for picture in images(page)[::6]] == [(Y, X, 3), (4, 9, 3)]
    assert "left grey" in page and "no controls" in page and "frames_left uint8 (time 11, " in page
    figure = ds.sciworld.plot()
    assert len(figure.data) == 16 and {trace.type for trace in figure.data} == {"image"}


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 1e308])
def test_frames_without_contrast(value):
    frames = np.full((3, Y, X, 1), value)
    frames[1] = -frames[1]
    assert len(images(made(frames).sciworld._repr_html_())) == 3


def test_what_a_file_says_is_escaped():
    ds = made(
        counts(),
        controls=np.append(np.ones(T - 1), np.nan)[:, None],
        control_table=ColumnTable((Column("<b>", "A", 0, 2),)),
    )
    page = ds.sciworld._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page and "a &amp; b" in page
    assert "<b>s" in page and "s&lt;1&gt;" in page and "<td>&lt;b&gt;</td>" in page and "not stated" in page


def test_controls_are_told_with_units_bounds_and_first_values():
    ds = toy.make()
    page = ds.sciworld._repr_html_()
    for column, value in zip(recording.control_table(ds), ds["controls"].values[0], strict=True):
        first = column.levels[int(value)] if column.levels else f"{value:.4g}"
        assert f"<td>{column.name}</td><td>{column.units}</td>" in page and f"<td>{first}, " in page
    ds["controls"][0] = np.nan
    assert "<td>unknown, " in ds.sciworld._repr_html_()


def test_the_plot_shows_every_control_below_the_frames():
    ds = toy.make()
    figure = ds.sciworld.plot(n=4)
    table = recording.control_table(ds)
    pictures = [trace for trace in figure.data if trace.type == "image"]
    assert "1 % and 99 % of the frames shown" in pictures[0].hovertemplate
    lines = [trace for trace in figure.data if trace.type == "scatter"]
    assert len(pictures) == 8 and len(lines) == len(table)
    for k, (line, column) in enumerate(zip(lines, table, strict=True)):
        # Each value from its frame to the next.
        assert np.array_equal(line.x[0::2], ds["time"]) and np.array_equal(line.x[1::2], ds["time"][1:])
        assert np.array_equal(line.y[0::2], ds["controls"][:, k], equal_nan=True)
        assert np.array_equal(line.y[1::2], ds["controls"][:-1, k], equal_nan=True)
        assert column.name in line.name and (column.units == "1" or column.units in line.name)
    shown = [note.text for note in figure.layout.annotations]
    assert shown == [f"{at:.4g} s" for at in ds["time"].values[[0, 3, 7, 10]]]
    titles = [figure.layout[name].title.text for name in figure.layout if str(name).startswith("xaxis")]
    assert titles.count("time (s)") == 1
    ds["time"].attrs["comment"] = recording.COUNTED
    assert f"time (s; {recording.COUNTED})" in ds.sciworld.plot(n=4).to_json()
    levels = next(column.levels for column in table if column.levels)
    assert any(figure.layout[name].ticktext == levels for name in figure.layout if str(name).startswith("yaxis"))


@pytest.mark.parametrize("n", [1, 2])
def test_short_recordings(n):
    ds = made(counts(shape=(n, Y, X, 1)))
    assert len(images(ds.sciworld._repr_html_())) == n == len(ds.sciworld.strip().data)
    for odd in (0, 2.0, True, "2", None, 10**30):
        for figure in (ds.sciworld.strip, ds.sciworld.plot):
            with pytest.raises(SettingsError, match=r"n\) is .*; use an integer, at least 1 and at most 1000"):
                figure(odd)


def test_a_recording_in_a_line():
    assert repr(toy.make().sciworld) == (
        "Recording 'session-0': frames float32 (time 11, y 8, x 12, channel 2); 10.68 s from the first frame to the "
        "last; controls fan_x (mm), fan_y (mm), mode; covariates size (mm)"
    )
    many = ColumnTable(tuple(Column(f"joint {k}", "rad") for k in range(60)))
    controls = np.vstack([np.zeros((T - 1, 60)), np.full((1, 60), np.nan)])
    line = repr(made(counts(), controls=controls, control_table=many).sciworld)
    assert "controls joint 0 (rad), joint 1 (rad), joint 2 (rad), joint 3 (rad) and 56 more" in line
    assert len(line) < 300 and "\n" not in line


def test_chunks_and_slices_are_shown_too():
    ds = toy.make()
    assert ds.chunk({"time": 4}).sciworld._repr_html_() == ds.sciworld._repr_html_()
    assert len(ds.isel(time=slice(2, 5)).sciworld.strip().data) == 6


def test_what_is_no_recording_is_refused():
    for ds in (xr.Dataset(), toy.make().isel(time=3), toy.make().isel(time=[]), toy.make().drop_vars("frames")):
        with pytest.raises(RecordingError, match="no frames along time"):
            ds.sciworld  # noqa: B018


@pytest.mark.parametrize(("y", "x"), [(3, 1000), (161, 320), (2000, 1500)])
def test_thumbnails_are_means_of_blocks(y, x):
    frame = np.add.outer(np.arange(y), 2.0 * np.arange(x))[..., None]
    frame[0, 0] = np.nan
    small = plots.thumbnail(frame)
    assert max(small.shape[:2]) <= plots.SIDE and np.isfinite(small).all()
    assert small.mean() == pytest.approx(np.nanmean(frame), rel=0.02)


def test_the_package_alone_registers_nothing():
    code = "import sciworld, xarray; assert not hasattr(xarray.Dataset, 'sciworld')"
    subprocess.run([sys.executable, "-c", code], check=True)
