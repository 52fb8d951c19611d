"""Every export appears whole or not at all, reads in blocks, and says what went wrong."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import typer
import xarray as xr
from typer.testing import CliRunner

from sciworld import recording
from sciworld.cli.export import export as export_command
from sciworld.controls import Column, ColumnTable
from sciworld.errors import SettingsError, StoreError
from sciworld.export.export import FORMATS, ExportSettings, export
from sciworld.lazy import lazy
from sciworld.store import Store

T, Y, X = 40, 16, 24


def run(seed=0, frames=None, t=T) -> xr.Dataset:
    """Coloured frames at an even rate under one control: what every format takes."""
    rng = np.random.default_rng(seed)
    controls = rng.normal(size=(t, 1))
    controls[-1] = np.nan
    return recording.make(
        rng.integers(0, 255, (t, Y, X, 3), np.uint8) if frames is None else frames, 0.1 * np.arange(t),
        channels=ColumnTable(tuple(Column(name, "1") for name in ("red", "green", "blue"))),
        controls=controls, control_table=ColumnTable((Column("u", "1"),)),
        session=f"s{seed}", source="toy", licence="", citation="", history="h",
    )  # fmt: skip


@pytest.fixture(params=sorted(FORMATS))
def format(request):
    return request.param


def test_frames_are_read_in_blocks_first_to_last(tmp_path, format, monkeypatch):
    asked = []
    pixels = np.random.default_rng(0).integers(0, 255, (T, Y, X, 3), np.uint8)

    def read(key):
        asked.append(key[0])
        return pixels[key]

    ds = run(frames=lazy(Path("toy"), pixels.shape, pixels.dtype, read))
    monkeypatch.setattr("sciworld.lazy.BLOCK_BYTES", 16 * pixels[0].nbytes)
    export(ds, tmp_path / "out", format)
    rows = [key.stop - key.start for key in asked]
    assert sum(rows) == T and max(rows) <= 16


def test_frames_of_a_store_are_read_in_blocks(tmp_path, format, monkeypatch):
    store = Store.create(tmp_path / "s")
    wanted = [run(seed, t=T - seed) for seed in range(3)]
    store.append(wanted)
    from sciworld.stored import StoredArray

    asked = []
    plain = StoredArray.__getitem__

    def watched(self, rows):
        found = plain(self, rows)
        if self.folder.name == "frames":
            asked.append(len(found))
        return found

    monkeypatch.setattr(StoredArray, "__getitem__", watched)
    monkeypatch.setattr("sciworld.lazy.BLOCK_BYTES", 16 * Y * X * 3)
    seen = []
    out = tmp_path / "out"
    export(store, out, format, recordings=[2], progress=lambda *both: seen.append(both))
    assert out.exists() and seen[-1] == (T - 2, T - 2)
    assert max(asked) <= 16


def test_a_recording_of_a_store_is_what_was_appended(tmp_path):
    store = Store.create(tmp_path / "s")
    store.append([run(seed, t=T - seed) for seed in range(3)])
    for index in range(3):
        ds = store.lazily(index)
        pixels = store[index]["frames"].values
        for key in ((slice(3, 9),), (slice(9, 3, -2),), (slice(8, None, -3), 2), (5,), (slice(None), slice(1, 4), 3)):
            np.testing.assert_array_equal(ds.variables["frames"][key].values, pixels[key])
        xr.testing.assert_identical(ds.load(), store[index])


def test_nothing_is_left_of_an_export_that_is_stopped(tmp_path, format, monkeypatch):
    monkeypatch.setattr("sciworld.lazy.BLOCK_BYTES", 1)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export([run(0), run(1)], tmp_path / "deep" / "out", format, progress=stop)
    assert list((tmp_path / "deep").iterdir()) == []


def test_what_is_there_is_never_touched(tmp_path, format):
    file, folder, link = tmp_path / "file", tmp_path / "folder", tmp_path / "link"
    file.write_text("mine")
    folder.mkdir()
    os.symlink(tmp_path / "nowhere", link)
    for path in (file, folder, link, tmp_path):
        with pytest.raises(SettingsError, match="exists"):
            export(run(), path, format)
    assert file.read_text() == "mine" and list(folder.iterdir()) == [] and link.is_symlink()

    def meanwhile(done, total):
        (tmp_path / "late").write_text("theirs")

    with pytest.raises(SettingsError, match="came to be"):
        export(run(), tmp_path / "late", format, progress=meanwhile)
    assert (tmp_path / "late").read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "late", "link"]


def test_a_disk_that_is_full_is_our_error(tmp_path, format):
    pixels = np.random.default_rng(0).integers(0, 255, (T, 64, 96, 3), np.uint8)
    ds = run(frames=pixels)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            export(ds, tmp_path / "out", format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_is_our_error(tmp_path, format):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "out", tmp_path / ("x" * 300)):
        with pytest.raises(StoreError, match="cannot be written"):
            export(run(), path, format)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_settings_that_cannot_work(tmp_path):
    for changes, text in (
        ({"camera": "left"}, "camera is 'left'"),
        ({"channel": -1}, "channel is -1"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"black": 60.0, "white": 40.0}, "black and white"),
    ):
        with pytest.raises(SettingsError, match=text):
            ExportSettings(**changes)
    with pytest.raises(SettingsError, match=r"no format 'gif'; there are lerobot, mp4, ome-zarr, well"):
        export(run(), tmp_path / "a", "gif")
    with pytest.raises(SettingsError, match="no recording 2; there are 2"):
        export([run(), run(1)], tmp_path / "a", "mp4", recordings=[2])
    with pytest.raises(SettingsError, match="give at least one"):
        export([], tmp_path / "a", "mp4")


def test_the_command_exports_and_says_what_is_lost(tmp_path, format):
    app = typer.Typer()
    app.command()(export_command)
    Store.create(tmp_path / "s").append([run(0), run(1)])
    out = tmp_path / "out"
    got = CliRunner().invoke(app, [str(tmp_path / "s"), str(out), "--format", format, "--recording", "1"])
    assert got.exit_code == 0, got.output
    assert out.exists() and str(out) in got.output.replace("\n", "")
    if format == "mp4":
        assert "- videos are for eyes" in got.output and [path.name for path in out.iterdir()] == ["s1.mp4"]


def test_the_command_scales_for_lerobot_and_for_eyes(tmp_path):
    app = typer.Typer()
    app.command()(export_command)
    Store.create(tmp_path / "s").append([run()])

    def called(*arguments):
        return CliRunner().invoke(app, [str(tmp_path / "s"), *arguments])

    got = called(str(tmp_path / "a"), "--format", "lerobot", "--scale", "-5,10", "--lossless")
    assert got.exit_code == 0 and "scaled from [-5, 10]" in got.output
    got = called(str(tmp_path / "b.mp4"), "--format", "mp4", "--channel", "1", "--black", "0", "--white", "50")
    assert got.exit_code == 0 and "percentiles 0 and 50" in got.output.replace("\n", " ")
    for text in ("7", "1,2,3", "low,high"):
        got = called(str(tmp_path / "c"), "--format", "lerobot", "--scale", text)
        assert isinstance(got.exception, SettingsError) and "two numbers" in str(got.exception)


def test_black_and_white_of_colours_are_said_to_have_no_effect(tmp_path):
    """Colours of 8 bits stay as they are; one channel of them is scaled, as the test above has it."""
    told = "colours stay as they are: black and white scale one channel alone"
    assert told not in export(run(), tmp_path / "a.mp4", "mp4").notes
    assert told in export(run(), tmp_path / "b.mp4", "mp4", ExportSettings(white=50.0)).notes


@pytest.mark.parametrize("inside", ["s/out", "s/{part}/out", "s/new/folder/out", "link/out", "s/new/../../out"])
def test_nothing_is_written_inside_a_store(tmp_path, format, inside):
    store = Store.create(tmp_path / "s")
    store.append([run(), run(1)])
    (tmp_path / "link").symlink_to(tmp_path / "s")
    before = sorted(tmp_path.rglob("*"))
    out = tmp_path / inside.format(part=store.parts[0].name)
    for source in (store, tmp_path / "s", run()):
        with pytest.raises(SettingsError, match=r"is inside the store .*; choose a path outside of it"):
            export(source, out, format)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zero_byte_is_in_no_path(tmp_path, format):
    with pytest.raises(SettingsError, match="zero byte"):
        export(run(), f"{tmp_path}/a\0b", format)
