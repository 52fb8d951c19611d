"""Files are there whole or not at all, and one process at a time has a lock."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from sciworld import files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_replaced_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    files.replace_file(path, b"old")
    files.replace_file(path, b"new")
    assert path.read_bytes() == b"new" and path.stat().st_mode & 0o777 == 0o644
    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, full)
            with pytest.raises(OSError, match=r"plan\.json: cannot be written \(.*No space left.*; free some space"):
                files.replace_file(path, b"newer")
        assert path.read_bytes() == b"new" and names(tmp_path) == ["plan.json"]


@pytest.mark.parametrize("shared", [False, True])
def test_a_lock_is_had_alone_or_shared(tmp_path: Path, shared: bool) -> None:
    pytest.importorskip("fcntl")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with files.lock(path, shared=shared) as locked:
            assert locked
            with pytest.raises(BlockingIOError), files.lock(path):
                pass
            if shared:
                with files.lock(path, shared=True) as too:
                    assert too
        with files.lock(path) as locked:
            assert locked


def test_without_locks_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", full)
        with files.lock(tmp_path, wait=True) as locked:
            assert not locked
    monkeypatch.setattr(files, "fcntl", None)
    with files.lock(tmp_path) as locked:
        assert not locked


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_staged_appears_at_the_end(tmp_path: Path, folder: bool) -> None:
    def make(path: Path) -> None:
        if folder:
            path.mkdir()
            path = path / "inside"
        path.write_text("mine")

    out = tmp_path / "out.zarr"
    with pytest.raises(ZeroDivisionError), files.staged(out) as stage:
        make(stage)
        1 / 0  # noqa: B018
    assert names(tmp_path) == []
    with files.staged(out) as stage:
        make(stage)
        assert stage.name == "out.zarr" and not out.exists()
    assert (out / "inside" if folder else out).read_text() == "mine" and names(tmp_path) == ["out.zarr"]
    with pytest.raises(FileExistsError, match=r"came to be|File exists"), files.staged(out) as stage:
        make(stage)
    assert names(tmp_path) == ["out.zarr"]


@pytest.mark.parametrize("folder", [False, True])
def test_nothing_is_replaced_that_came_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool) -> None:
    """Between the look and the rename, where there are no hard links."""
    out, rename = tmp_path / "out", os.rename

    def late(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "part").write_text("theirs")
        rename(source, target)

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(FileExistsError, match="came to be"), files.staged(out) as stage:
        stage.mkdir() if folder else stage.write_text("mine")
        if folder:
            (stage / "part").write_text("mine")
    assert (out / "part").read_text() == "theirs" and names(tmp_path) == ["out"]


def test_stages_of_the_killed_are_removed_and_those_of_others_are_not(tmp_path: Path) -> None:
    left, new = tmp_path / f"{files.STAGE}left", tmp_path / f"{files.STAGE}new"
    for folder in (left, new):
        folder.mkdir()
        (folder / "half").write_text("half")
    long_ago = time.time() - 2 * files.SECONDS_TO_LOCK
    os.utime(left, (long_ago, long_ago))
    with files.staged(tmp_path / "one") as one:
        one.write_text("1")
        os.utime(one.parent, (long_ago, long_ago))
        with files.staged(tmp_path / "two") as two:
            two.write_text("2")
            assert one.exists() and new.exists() and not left.exists()
    assert names(tmp_path) == [f"{files.STAGE}new", "one", "two"]


@pytest.mark.parametrize("folder", [False, True])
def test_content_is_on_the_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    synced, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), real(handle)))
    out, moved = tmp_path / "out", []
    monkeypatch.setattr(files, "move", lambda made, to: (moved.extend(synced), os.rename(made, to)))
    with files.staged(out) as stage:
        content = stage / "in" / "file" if folder else stage
        content.parent.mkdir(parents=True, exist_ok=True)
        content.write_bytes(b"content")
    content = out / "in" / "file" if folder else out
    assert {path.stat().st_ino for path in (content, out)} <= set(moved)
    assert tmp_path.stat().st_ino in synced and content.read_bytes() == b"content"
