"""The corpus of damaged files: every whole file is read, and damage of a dozen kinds is answered as it is promised."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sciworld.errors import FormatError
from sciworld.ingest.open import open_recording, open_recordings
from sciworld.ingest.run import ingest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
KINDS = ("imagej", "openpiv")


@pytest.fixture(scope="module")
def files():
    """The module with the writers; what it adds to the path of imports is taken away again."""
    before = list(sys.path)
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("data_files")
    sys.path[:] = before


def test_every_whole_file_is_read(files, tmp_path):
    for kind, write in files.FILES.items():
        path = write(tmp_path / kind / "input")
        assert path.exists() and any(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file()), kind
        if kind == files.STORE:
            continue
        if kind in files.CONTROLS:
            mapping, times = files.CONTROLS[kind]
            settings = {"controls": path, "mapping": mapping, "times": times}
            done = ingest(path.with_name("frames.tif"), tmp_path / kind / "store", **settings)
        else:
            done = ingest(path, tmp_path / kind / "store", reader=files.READER[kind], allow_nan=True)
        assert done.recordings >= 1 and not done.rejected, kind


def test_damage_is_answered(tmp_path):
    told = tmp_path / "rows.jsonl"
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    words = [sys.executable, str(BENCHMARKS / "data_damage.py"), str(told), "1", *KINDS]
    subprocess.run(words, env={**os.environ, **threads, "SCIWORLD_MIRROR": "", "DAMAGE_SECONDS": "60"}, check=True)
    rows = [json.loads(line) for line in told.read_text().splitlines()]
    assert len(rows) >= 12 and {row["input"].partition(":")[0] for row in rows} == set(KINDS)
    assert [row for row in rows if not row["well"]] == []
    assert {"refused", "read"} <= {row["answer"].partition(",")[0] for row in rows}


def test_what_is_answered_badly_shows(files, tmp_path):
    damage = importlib.import_module("data_damage")
    kind, reader = "npy", files.READER["npy"]
    path = files.FILES[kind](tmp_path / "a")
    ingest(path, tmp_path / "whole", reader=reader)
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(bytes(changed))
    ingest(path, tmp_path / "other", reader=reader)
    assert damage.left(tmp_path / "whole", tmp_path / "whole") == {"recordings": 1, "wrong": []}
    assert damage.left(tmp_path / "other", tmp_path / "whole")["wrong"] == ["altered: frame 10 of 'frames'"]
    shard = next((tmp_path / "other").rglob("frames/c/*/*/*/*"))
    shard.write_bytes(shard.read_bytes()[:-5])
    assert damage.left(tmp_path / "other", None)["wrong"][0].startswith("a damaged store")


def test_a_number_that_may_be_cut_is_doubted(files, tmp_path):
    for kind in ("openpiv", "insight", "davis"):
        path = files.FILES[kind](tmp_path / kind)
        assert "may be cut" not in open_recording(path, files.READER[kind]).attrs["history"]
        path.write_bytes(path.read_bytes().rstrip())
        assert "its last number, may be cut" in open_recording(path, files.READER[kind]).attrs["history"]
    raw = files.FILES["hevc"](tmp_path)
    assert "the last frame may be cut" in open_recording(raw, "driving:video").attrs["history"]
    drive = files.FILES["kitti"](tmp_path)
    row = drive / "oxts" / "data" / "0000000003.txt"
    row.write_text(row.read_text().rstrip())
    with pytest.raises(FormatError, match=r"0000000003\.txt: its line has no end, as others have"):
        open_recordings(drive)
    row.write_text(row.read_text() + "\n")
    stamps = drive / "image_02" / "timestamps.txt"
    stamps.write_text(stamps.read_text().rstrip()[:-4])
    with pytest.raises(FormatError, match=r"timestamps\.txt, line 11: .* fewer or more digits"):
        open_recordings(drive)


def test_what_is_a_list_of_other_files_is_not_followed(files, tmp_path):
    files.FILES["mp4"](tmp_path)
    for name, text in (("a.hevc", "ffconcat version 1.0\nfile drive.mp4\n"), ("b.mp4", "#EXTM3U\ndrive.mp4\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(FormatError, match=name):
            open_recordings(tmp_path / name, "driving:video")


def test_no_pipe_is_waited_for(files, tmp_path):
    for kind, name in (("donkeycar", "images/3_cam_image_array_.jpg"), ("zarr", "c/0/0/0"), ("comma", "x/y")):
        path = files.FILES[kind](tmp_path / kind)
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).unlink(missing_ok=True)
        os.mkfifo(path / name)
        with pytest.raises(FormatError, match="a pipe or device; take it out of the folder"):
            open_recordings(path)
