"""The folder of a demo: free, apart from the data, held by one; and who made the data."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciworld import recording
from sciworld.demos import driving, fluid, stem
from sciworld.demos.folder import MARK, MARKED, workplace
from sciworld.domains.driving.road import generate as road
from sciworld.domains.fluid import generate as wakes
from sciworld.domains.generated import made_with
from sciworld.errors import ControlError, RecordingError, SettingsError, StoreError
from sciworld.store import Store

WAKE = {"cells": 10, "lattice_speed": 0.05, "rows": 8, "columns": 24, "pixel": 0.2}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Six short wakes that rotation controls."""
    return wakes.generate(
        tmp_path_factory.mktemp("wakes") / "store", seed=1, episodes=6, actions=4, actuator="rotation", **WAKE
    )


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two short drives behind a wide camera."""
    path = tmp_path_factory.mktemp("drives") / "store"
    return road.generate(path, 1, 2, 4, conditions="clear_noon", rows=12, columns=20, field_of_view=110.0)


def an_earlier_demo(folder: Path) -> Path:
    (folder / "run").mkdir(parents=True)
    (folder / MARK).write_text(MARKED)
    for name in ("run/log.jsonl", "report.html", "plotly.min.js", "verdicts.json"):
        (folder / name).write_text("old")
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_an_earlier_demo_makes_room_and_its_folder_stays(store: Store, tmp_path: Path) -> None:
    out = an_earlier_demo(tmp_path / "out")
    before = out.stat().st_ino
    with workplace(out, store.path, "unused", len) as (folder, opened, checked):
        assert names(folder) == {MARK} and opened.path == store.path and checked == 6
    assert out.stat().st_ino == before  # it may be somebody's working directory
    (tmp_path / "link").symlink_to(an_earlier_demo(tmp_path / "other"))
    with workplace(tmp_path / "link", store.path, "unused", len):
        assert names(tmp_path / "other") == {MARK}


def test_what_no_demo_made_is_never_removed(store: Store, tmp_path: Path) -> None:
    noted = an_earlier_demo(tmp_path / "noted")
    (noted / "my-notes.txt").write_text("mine")
    bare, false = tmp_path / "bare", tmp_path / "false"
    for folder, text in ((bare, None), (false, "notes on a demo")):
        folder.mkdir()
        (folder / "report.html").write_text("mine")
        if text:
            (folder / MARK).write_text(text)
    for folder, why in ((noted, "my-notes.txt, which no demo made"), (bare, "no earlier demo"), (false, "no earlier")):
        before = names(folder)
        with pytest.raises(SettingsError, match=why), workplace(folder, store.path, "unused", len):
            pass
        assert names(folder) == before


def test_data_in_or_about_the_folder_are_refused(tmp_path: Path) -> None:
    out = an_earlier_demo(tmp_path / "out")
    for data in (out, out / "run", tmp_path, out / ".." / "out" / "run"):
        with pytest.raises(SettingsError, match="choose a folder apart"), workplace(out, data, "unused", len):
            pass
    assert "log.jsonl" in names(out)


def test_what_cannot_begin_removes_nothing(store: Store, tmp_path: Path) -> None:
    out = an_earlier_demo(tmp_path / "out")
    before = names(out)

    def refuse(opened: Store) -> None:
        raise RecordingError("no such recordings")

    with pytest.raises(RecordingError), workplace(out, store.path, "unused", refuse):
        pass
    with pytest.raises(StoreError), workplace(out, tmp_path / "none", "unused", len):
        pass
    assert names(out) == before
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "in", Path("/proc/none/x")):
        with pytest.raises(SettingsError, match="choose a"), workplace(wrong, store.path, "unused", len):
            pass


def test_two_demos_do_not_share_a_folder(store: Store, tmp_path: Path) -> None:
    with workplace(tmp_path / "out", store.path, "unused", len) as (folder, _, _):
        (folder / "run").mkdir()
        second = workplace(tmp_path / "out", store.path, "unused", len)
        with pytest.raises(SettingsError, match="another demo is at work there"), second:
            pass
        assert (folder / "run").is_dir()


def test_the_judge_is_the_simulator_that_made_the_recordings(store: Store, drives: Store) -> None:
    cost, simulator = fluid.readied(store)
    assert simulator.settings.actuator == "rotation" and simulator.settings.cells == 10 and cost.drag > 3
    assert simulator.space.table.names == ("rotation",)
    _, camera = driving.readied(drives)
    assert camera.settings.field_of_view == 110 and camera.settings.rows == 12


def test_recordings_of_another_field_or_maker_are_refused_before_anything_is_done(
    store: Store, drives: Store, tmp_path: Path
) -> None:
    out = an_earlier_demo(tmp_path / "out")
    for demo, data, error in (
        (fluid, drives, SettingsError),
        (driving, store, ControlError),
        (stem, store, RecordingError),
    ):
        with pytest.raises(error):
            demo.run(out, data=data.path)
    assert "log.jsonl" in names(out)
    mixed = Store.create(tmp_path / "mixed")
    mixed.append([recording.check(store[0])])
    mixed.append([recording.check(store[1].assign_attrs(source=f"{wakes.SOURCE}, {{'cells': 20}}"))])
    with pytest.raises(SettingsError, match="and 1 other sources; the judge is the simulator that made them all"):
        made_with(mixed, wakes.SOURCE)
    odd = Store.create(tmp_path / "odd")
    odd.append([recording.check(store[0].assign_attrs(source=f"{wakes.SOURCE}, os.getcwd()"))])
    with pytest.raises(SettingsError, match="does not say its settings"):
        made_with(odd, wakes.SOURCE)
