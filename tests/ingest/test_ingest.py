"""From files and a CSV file of beams to a store and a picture of the lag."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys

import dying
import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr

from sciworld import catalog
from sciworld.cluster import connect
from sciworld.domains.stem.readers import READERS
from sciworld.errors import (
    CatalogError,
    ClusterError,
    ControlError,
    FormatError,
    RecordingError,
    SettingsError,
    StoreError,
)
from sciworld.files import lock
from sciworld.ingest import run, task
from sciworld.ingest.changes import Changes
from sciworld.ingest.controls import attach_controls, parse_map
from sciworld.ingest.open import open_recording, open_recordings
from sciworld.ingest.outcomes import looked_up
from sciworld.ingest.run import ingest, ingest_entry
from sciworld.store import Store

T, Y, X = 11, 5, 7
MAP = "x=beam_x:A,y=beam_y:A,dwell=t:s"


def session(folder, name, seed=0, dtype="uint16"):
    """A TIFF stack with ImageJ metadata, and its beams."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 50, (T, Y, X)).astype(dtype)
    metadata = {"axes": "TYX", "unit": "nm", "finterval": 2.0}
    tifffile.imwrite(folder / f"{name}.tif", frames, imagej=True, resolution=(20, 20), metadata=metadata)
    rows = rng.uniform(0.1, [3.2, 2.2, 3], (T - 1, 3))
    np.savetxt(folder / f"{name}.csv", rows, delimiter=",", header="beam_x,beam_y,t", comments="", fmt="%.17g")
    return frames, rows


def test_frames_and_beams_arrive_in_the_store(tmp_path):
    frames, rows = session(tmp_path, "a")
    done = ingest(tmp_path / "a.tif", tmp_path / "store", controls=tmp_path / "a.csv", mapping=MAP)
    ds = Store.open(done.store)[0]
    assert np.array_equal(ds["frames"].values[..., 0], frames) and np.array_equal(ds["controls"][:-1], rows)
    assert (done.recordings, done.frames, done.warnings) == (1, T, ())
    assert done.figure == tmp_path / "store-lag.html" and done.figure.stat().st_size > 1000
    assert (tmp_path / "plotly.min.js").is_file()
    assert "measured lag" in ds.attrs["history"] and done.histories == (ds.attrs["history"],)


def test_several_sources_are_parts_of_their_own(tmp_path):
    for seed, name in enumerate("ab"):
        session(tmp_path, name, seed)
    sources, tables = [[tmp_path / f"{name}.{end}" for name in "ab"] for end in ("tif", "csv")]
    done = ingest(sources, tmp_path / "store", controls=tables, mapping="x=beam_x:A,y=beam_y:A,dwell=t:s:0:9")
    assert len(done.parts) == 2 and Store.open(done.store).sessions() == ["a", "b"]
    assert (done.recordings, done.frames, done.nbytes) == (2, 2 * T, 2 * T * Y * X * 2)
    bounded = "x=beam_x:A:0:3.3,y=beam_y:A:0:2.3,dwell=t:s:0:9"
    again = ingest(sources, tmp_path / "other", controls=tables, mapping=bounded, options={"session": "again"})
    assert again.recordings == 2
    store = Store.open(tmp_path / "other")
    assert len(store.compact()) == 1 and store.sessions() == ["again", "again"]


def test_nothing_is_in_a_store_twice(tmp_path):
    session(tmp_path, "a")
    session(tmp_path, "b")
    out = tmp_path / "store"
    for options in ({}, {"session": "mine"}):
        ingest(tmp_path / "a.tif", out, options=options)
        assert ingest(tmp_path / "a.tif", out, options=options).already == 1
        with pytest.raises(RecordingError, match=r"a\.tif: session '(a|mine)'.*new --out, or give --session"):
            ingest(tmp_path / "a.tif", out, options=options | {"pixel_size": 0.4})
    done = ingest([tmp_path / "b.tif"] * 2, out, options={"session": "mine"})  # stated: it may be of several files
    assert done.warnings == (f"{tmp_path / 'b.tif'}: is named twice, and counts once",)
    assert (done.recordings, done.rejected) == (1, ())
    assert Store.open(out).sessions() == ["a", "mine", "mine"]


def test_another_file_with_a_session_that_is_there_is_refused(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        session(tmp_path / folder, "a", seed=len(folder))
    ingest(tmp_path / "one" / "a.tif", tmp_path / "store")
    with pytest.raises(RecordingError, match="session 'a' is in the store"):
        ingest(tmp_path / "two" / "a.tif", tmp_path / "store")
    both = [tmp_path / folder / "a.tif" for folder in ("one", "two")]
    assert ingest(both, tmp_path / "both").recordings == 2  # in one call it is one session of two files
    assert ingest(both, tmp_path / "both").already == 2


def test_a_picture_in_the_way_is_a_warning_after_the_store_is_whole(tmp_path, monkeypatch):
    session(tmp_path, "a")
    (tmp_path / "store-lag.html").mkdir()
    done = ingest(tmp_path / "a.tif", tmp_path / "store", controls=tmp_path / "a.csv", mapping=MAP)
    assert done.figure is None and "store-lag.html: the picture" in done.warnings[0]
    assert len(Store.open(done.store)) == 1
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = ingest(tmp_path / "a.tif", ".", controls=tmp_path / "a.csv", mapping=MAP)
    assert done.figure == tmp_path / "here-lag.html"


def test_a_list_within_the_list_is_a_movie(tmp_path):
    for name in "ab":
        session(tmp_path, name)
    done = ingest([[tmp_path / "a.tif", tmp_path / "b.tif"]], tmp_path / "store", options={"session": "both"})
    assert (done.recordings, done.frames, done.lag, done.figure) == (1, 2 * T, None, None)
    assert Store.open(done.store).sessions() == ["both"]


def test_bad_sources_are_listed_and_never_stop_the_others(tmp_path):
    for name in "abc":
        session(tmp_path, name)
    good = (tmp_path / "b.tif").read_bytes()
    (tmp_path / "b.tif").write_bytes(good[:400])
    sources = [tmp_path / f"{name}.tif" for name in "abc"]
    seen = []
    done = ingest(sources, tmp_path / "store", progress=lambda *count: seen.append(count))
    assert done.recordings == 2 and Store.open(done.store).sessions() == ["a", "c"]
    assert [one.source for one in done.rejected] == [str(sources[1])] and seen == [(1, 3), (2, 3), (3, 3)]
    assert done.quarantine == tmp_path / "store-quarantine.json"
    assert "b.tif" in json.loads(done.quarantine.read_text())[0]["reason"]
    (tmp_path / "b.tif").write_bytes(good)
    done = ingest(sources, tmp_path / "store")
    assert (done.recordings, done.already, done.quarantine) == (1, 2, None)
    assert json.loads((tmp_path / "store-quarantine.json").read_text()) == []


def test_where_nothing_is_good_the_error_says_where_all_are_listed(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.tif").write_bytes(b"II*\0")
    with pytest.raises(FormatError, match=r"a\.tif.*\(and 1 more, all listed in .*store-quarantine\.json\)"):
        ingest([tmp_path / "a.tif", tmp_path / "b.tif"], tmp_path / "store")


def flow(path, fields):
    """A PDEBench file of several recordings : (recording, time, x, y)."""
    with h5py.File(path, "w") as file:
        for name in ("density", "pressure", "Vx", "Vy"):
            file[name] = fields
        file["t-coordinate"] = np.arange(T + 0.0)


def test_only_the_bad_recordings_of_a_source_are_left_out(tmp_path):
    rng = np.random.default_rng(0)
    fields = rng.normal(size=(3, T, X, Y)).astype("float32")
    fields[1, 4, 2, 3] = np.nan
    flow(tmp_path / "flow.hdf5", fields)
    done = ingest(tmp_path / "flow.hdf5", tmp_path / "store")
    assert done.recordings == 2 and "not finite (4)" in done.rejected[0].reason
    kept = [ds["frames"].values[0, :, :, 0].T for ds in Store.open(tmp_path / "store")]
    assert np.array_equal(kept, fields[[0, 2], 0])
    assert ingest(tmp_path / "flow.hdf5", tmp_path / "store").already == 2
    assert len(Store.open(tmp_path / "store")) == 2


def test_two_workers_write_what_one_process_does(tmp_path):
    for seed, name in enumerate("abcd"):
        session(tmp_path, name, seed)
    (tmp_path / "c.tif").write_bytes(b"II*\0")
    sources, tables = [[tmp_path / f"{name}.{end}" for name in "abcd"] for end in ("tif", "csv")]
    alone = ingest(sources, tmp_path / "alone", controls=tables, mapping=MAP)
    done = ingest(sources, tmp_path / "store", controls=tables, mapping=MAP, workers=2)
    assert (done.recordings, len(done.rejected)) == (3, 1) and done.lag.correlation.shape == alone.lag.correlation.shape
    one, two = ({ds.attrs["session"]: ds for ds in Store.open(tmp_path / name)} for name in ("alone", "store"))
    for name in "abd":
        xr.testing.assert_identical(one[name], two[name])
    assert ingest(sources, tmp_path / "store", controls=tables, mapping=MAP, workers=1).already == 3


def test_the_controls_that_a_file_brings_can_be_shifted(mirror, tmp_path):
    tub = mirror / "driving" / "donkeycar" / "tub.tar.gz"
    late = ingest(tub, tmp_path / "late")
    assert "'user/angle' at lag +4 (correlation -0.9" in late.warnings[0]
    done = ingest(tub, tmp_path / "mended", shift=4)
    assert not any("at lag" in warning for warning in done.warnings)
    one, two = (Store.open(tmp_path / name)[0]["controls"].values for name in ("late", "mended"))
    np.testing.assert_array_equal(two[4:-1], one[:-5])


def test_a_source_that_changes_while_it_is_read_is_rejected(tmp_path, monkeypatch):
    session(tmp_path, "a")

    def late(*arguments):
        with (tmp_path / "a.tif").open("ab") as file:
            file.write(b"more")
        return open_recordings(*arguments)

    monkeypatch.setattr(task, "open_recordings", late)
    with pytest.raises(RecordingError, match=r"a\.tif: changed while it was read; give the same command again"):
        ingest(tmp_path / "a.tif", tmp_path / "store")
    assert not (tmp_path / "store").exists()
    monkeypatch.undo()
    assert ingest(tmp_path / "a.tif", tmp_path / "store").recordings == 1


@pytest.mark.parametrize("count", [1, 3])
def test_the_same_call_twice_at_once_brings_recordings_once(tmp_path, monkeypatch, count):
    source, out = tmp_path / "a.hdf5", tmp_path / "store"
    flow(source, np.ones((count, T, X, Y), "float32"))

    def late(*arguments):
        monkeypatch.undo()
        assert ingest(source, out).recordings == count
        return open_recordings(*arguments)

    monkeypatch.setattr(task, "open_recordings", late)
    done = ingest(source, out)
    assert (done.recordings, done.already, done.rejected, done.parts, done.lag) == (0, count, (), (), None)
    assert len(Store.open(out)) == count


def test_two_files_of_one_session_at_once_do_not_both_arrive(tmp_path, monkeypatch):
    one, two = (tmp_path / folder / "a.hdf5" for folder in ("one", "two"))
    for number, path in enumerate((one, two)):
        path.parent.mkdir()
        flow(path, np.full((2, T, X, Y), number, "float32"))

    def late(*arguments):
        monkeypatch.undo()
        assert ingest(two, tmp_path / "store").recordings == 2
        return open_recordings(*arguments)

    monkeypatch.setattr(task, "open_recordings", late)
    with pytest.raises(RecordingError, match="is in the store already"):
        ingest(one, tmp_path / "store")
    assert all((ds["frames"] == 1).all() for ds in Store.open(tmp_path / "store"))


@pytest.mark.parametrize("moment", ["_open", "IngestWatch"])
def test_a_store_that_another_ingest_made_and_removed_is_made_again(tmp_path, monkeypatch, moment):
    session(tmp_path, "a")
    real, out = getattr(task, moment), tmp_path / "store"

    def late(*arguments, **more):
        monkeypatch.undo()
        shutil.rmtree(out)
        return real(*arguments, **more)

    monkeypatch.setattr(task, moment, late)
    assert ingest(tmp_path / "a.tif", out).recordings == 1
    assert Store.open(out).sessions() == ["a"]


def test_what_a_bad_recording_s_neighbours_became_is_told(tmp_path, monkeypatch):
    fields = np.ones((3, T, X, Y), "float32")
    fields[1, 2] = np.inf
    flow(tmp_path / "a.hdf5", fields)
    done = ingest(tmp_path / "a.hdf5", tmp_path / "store")
    assert (done.recordings, len(done.rejected)) == (2, 1)
    assert list(done.parts) == [part.name for part in Store.open(tmp_path / "store").parts]


def test_sources_that_wait_arrive_also_when_the_only_worker_dies(tmp_path):
    names = [f"s{number}" for number in range(6)]
    for number, name in enumerate(names):
        session(tmp_path, name, number)
    killed = []

    def kill(done, count):
        if done == 1:
            for child in multiprocessing.active_children():
                killed.append(child.pid)
                child.kill()

    done = ingest([tmp_path / f"{name}.tif" for name in names], tmp_path / "store", workers=1, progress=kill)
    assert killed and done.recordings + done.already == 6 and not done.rejected
    assert sorted(Store.open(tmp_path / "store").sessions()) == names


def test_an_ingest_of_nothing_leaves_the_store_of_another_that_is_writing(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    store = Store.create(tmp_path / "store")
    with lock(store.path, shared=True), pytest.raises(FormatError):
        ingest(tmp_path / "a.tif", store.path)
    assert Store.exists(store.path)


def test_sources_are_told_apart_by_where_they_are(tmp_path, monkeypatch):
    session(tmp_path, "a")
    ingest(tmp_path / "a.tif", tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    assert ingest("a.tif", "store").already == 1
    (tmp_path / "link").symlink_to(tmp_path)
    assert ingest("link/a.tif", "store").already == 1


@pytest.mark.parametrize("name", ["loop/a.tif", "n" * 300 + ".tif", "a\0.tif"])
def test_paths_that_nobody_can_read_are_bad_sources(tmp_path, name):
    session(tmp_path, "a")
    (tmp_path / "loop").symlink_to("loop")
    done = ingest([str(tmp_path / name), tmp_path / "a.tif"], tmp_path / "store")
    assert done.recordings == 1 and [one.error for one in done.rejected] == ["FormatError"]


def test_a_store_within_a_source_or_nowhere_is_refused(tmp_path):
    session(tmp_path, "a")
    with pytest.raises(SettingsError, match="lies in the source"):
        ingest(tmp_path, tmp_path / "store")
    for name, says in (("a\0b", "no path can have"), ("n" * 300, "another")):
        with pytest.raises((SettingsError, StoreError), match=says):
            ingest(tmp_path / "a.tif", tmp_path / name)


def test_workers_that_do_not_start_are_our_error(tmp_path, monkeypatch):
    session(tmp_path, "a")

    def none(*arguments):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(connect, "_cluster", none)
    with pytest.raises(ClusterError, match="2 worker processes did not start"):
        ingest(tmp_path / "a.tif", tmp_path / "store", workers=2)


def test_a_killed_ingest_goes_on_with_what_is_missing(tmp_path):
    for seed, name in enumerate("abc"):
        session(tmp_path, name, seed)
    sources = [str(tmp_path / f"{name}.tif") for name in "abc"]
    code = (
        "import os, signal, sys\nfrom sciworld.ingest import run\n"
        "end = lambda done, _: done < 2 or os.kill(os.getpid(), signal.SIGKILL)\n"
        "run.ingest(sys.argv[2:], sys.argv[1], progress=end)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "store"), *sources])
    assert killed.returncode == -signal.SIGKILL and Store.open(tmp_path / "store").sessions() == ["a", "b"]
    done = ingest(sources, tmp_path / "store")
    assert (done.recordings, done.already) == (1, 2)


def test_frames_that_are_not_finite_are_refused_unless_wanted(tmp_path):
    frames = np.zeros((T, Y, X), "float32")
    frames[3, 1, 2], frames[7] = np.nan, np.inf
    np.save(tmp_path / "a.npy", frames)
    with pytest.raises(RecordingError, match=r"a\.npy: 2 frames of 'frames'.*\(3, 7\).*allow_nan"):
        ingest(tmp_path / "a.npy", tmp_path / "store")
    assert not (tmp_path / "store").exists()
    ingest(tmp_path / "a.npy", tmp_path / "store", allow_nan=True)
    assert np.array_equal(Store.open(tmp_path / "store")[0]["frames"][..., 0], frames, equal_nan=True)


def test_arguments_that_do_not_fit_together_are_refused(tmp_path):
    session(tmp_path, "a")
    tif, table, out = tmp_path / "a.tif", tmp_path / "a.csv", tmp_path / "store"
    with pytest.raises(SettingsError, match="2 sources, 1 tables"):
        ingest([tif, tif], out, controls=table, mapping=MAP)
    with pytest.raises(SettingsError, match="map"):
        ingest(tif, out, controls=table)
    with pytest.raises(SettingsError, match="without controls"):
        ingest(tif, out, times="t")
    with pytest.raises(ControlError, match="no controls to shift"):
        ingest(tif, out, shift=1)
    with pytest.raises(SettingsError, match="no sources"):
        ingest([], out)
    with pytest.raises(SettingsError, match="unknown setting colour"):
        ingest(tif, out, options={"colour": 1})
    assert not out.exists()


ODD = {
    "sources": [3, None, True, b"a.tif", {}, [1, 2], [None], [[]], [[1]], ["a.tif", 3], [b"x"], np.arange(3)],
    "controls": [3, None, b"x", [1], [None], [["a.csv"]], np.arange(2)],
    "options": [3, "x", "", 0, True, ["a"], [("frames", 3)], {3: 4}, {"path": 1}, {"reader": "stem"}],
    "workers": [1.0, -1, 0, True, "2", [1], 10**30],
    "mapping": [3, None, b"x", ["x"], True],
    "times": [3, None, b"x"],
    "shift": [1.0, "1", None, True, 10**30],
    "allow_nan": [1, 0, "no", None, np.bool_(True), [True]],
    "together": [1, None, "no"],
    "reader": [3, b"x", ["stem"]],
    "scheduler": [3, b"x"],
    "progress": [3, "x"],
    "out": [3, None, b"x"],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_arguments_are_one_error(tmp_path, name):
    session(tmp_path, "a")
    good = {"sources": tmp_path / "a.tif", "out": tmp_path / "store", "controls": tmp_path / "a.csv", "mapping": MAP}
    for value in ODD[name]:
        with pytest.raises(SettingsError, match=name):
            ingest(**good | {name: value})
    assert not (tmp_path / "store").exists()


def test_odd_arguments_of_what_ingest_is_made_of_are_one_error(tmp_path):
    session(tmp_path, "a")
    ds, table = open_recording(tmp_path / "a.tif"), tmp_path / "a.csv"
    for path in (3, None, True, b"x", [1], [[]], np.arange(2)):
        with pytest.raises(SettingsError, match="path"):
            open_recordings(path)
    for value in ODD["options"]:
        with pytest.raises(SettingsError, match=r"options are .*use a dict"):
            open_recordings(tmp_path / "a.tif", None, value)
    for mapping in (3, None, ["x"], [], b"x", {}, True, [("x", "beam_x")]):
        with pytest.raises(ControlError, match=r"map: .* is no text; write 'name"):
            attach_controls(ds, table, mapping)
    for times in (3, None, ["t"]):
        with pytest.raises(ControlError, match=r"times: .* is no text"):
            attach_controls(ds, table, MAP, times)
    for shift in ODD["shift"]:
        with pytest.raises(SettingsError, match=r"shift is .*; use an integer"):
            attach_controls(ds, table, MAP, shift=shift)
    with pytest.raises(SettingsError, match="table_path: 3 is no path"):
        attach_controls(ds, 3, MAP)
    attached = attach_controls(ds, str(table), list(parse_map(MAP)), shift=np.int64(1))
    xr.testing.assert_identical(attached, attach_controls(ds, table, MAP, shift=1))
    for value in ODD["allow_nan"]:
        with pytest.raises(SettingsError, match=r"allow_nan is .*; use True or False"):
            ingest_entry("si-graphene-movie", tmp_path / "store", value)


def test_sources_may_be_anything_that_holds_paths(tmp_path):
    session(tmp_path, "a")
    for number, sources in enumerate(
        (np.array([str(tmp_path / "a.tif")]), iter([tmp_path / "a.tif"]), os.scandir(tmp_path))
    ):
        files = [one for one in sources if not isinstance(one, os.DirEntry) or one.name == "a.tif"]
        assert ingest(files, tmp_path / f"store{number}").recordings == 1


def test_sources_that_are_together_are_one_movie(tmp_path):
    for name in "ab":
        session(tmp_path, name)
    files = [tmp_path / "a.tif", tmp_path / "b.tif"]
    done = ingest(files, tmp_path / "store", together=True, options={"session": "both"})
    assert (done.recordings, done.frames) == (1, 2 * T)
    assert ingest([files], tmp_path / "store", options={"session": "both"}).already == 1
    with pytest.raises(SettingsError, match="no sources"):
        ingest([], tmp_path / "store", together=True)
    with pytest.raises(SettingsError, match="sources, which are together"):
        ingest([files], tmp_path / "store", together=True)


def test_controls_that_were_edited_since_are_named(tmp_path):
    session(tmp_path, "a")
    tif, table, out = tmp_path / "a.tif", tmp_path / "a.csv", tmp_path / "store"
    rows = table.read_text()
    for at in (5e8, 2e9 + 5):  # long ago, and after the store was made
        os.utime(table, (at, at))
        if at < 1e9:
            assert ingest(tif, out, controls=table, mapping=MAP).recordings == 1
    with pytest.raises(RecordingError, match=r"a\.csv: changed since .*a\.tif went into .*; choose a new --out"):
        ingest(tif, out, controls=table, mapping=MAP)
    (tmp_path / "b.csv").write_text(rows)  # another file
    with pytest.raises(RecordingError, match=r"^a\.tif: session 'a' is in the store"):
        ingest(tif, out, controls=tmp_path / "b.csv", mapping=MAP)
    os.utime(table, (5e8, 5e8))
    assert ingest(tif, out, controls=table, mapping=MAP).already == 1
    with pytest.raises(RecordingError, match=r"^a\.tif: session 'a' is in the store"):
        ingest(tif, out, controls=table, mapping=MAP + ":0:9")


def test_a_fault_of_what_is_looked_at_is_not_the_store_s(tmp_path, monkeypatch):
    session(tmp_path, "a")

    def gone(*arguments):
        raise PermissionError(13, "Permission denied", "elsewhere/a.tif")

    monkeypatch.setattr(task, "_require_same", gone)
    with pytest.raises(RecordingError, match=r"a\.tif: cannot be looked at .*elsewhere/a\.tif"):
        ingest(tmp_path / "a.tif", tmp_path / "store")
    monkeypatch.undo()
    monkeypatch.setattr(Changes, "add", gone)
    with pytest.raises(RecordingError, match=r"a\.tif: cannot be looked at .*elsewhere/a\.tif"):
        ingest(tmp_path / "a.tif", tmp_path / "store", controls=tmp_path / "a.csv", mapping=MAP)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("deaths", "most"), [(1, 3), (3, 3), (3, 1)])
def test_what_a_worker_brought_before_it_died_has_arrived(tmp_path, monkeypatch, deaths, most):
    """Once Dask sends the source to another worker, after three deaths it gives up."""
    fields = np.random.default_rng(0).random((3, T, X, Y), "float32")
    fields[1, 2] = np.nan if most == 1 else 0  # which is refused: what went into the store is not all
    flow(tmp_path / "a.hdf5", fields)
    (tmp_path / "deaths").write_text(str(deaths))
    monkeypatch.setattr(run, "run_task", dying.run_task)
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    monkeypatch.setenv("DEATHS", str(tmp_path / "deaths"))
    done = ingest(tmp_path / "a.hdf5", tmp_path / "store", workers=1)
    assert (tmp_path / "deaths").read_text() == "0"
    store, n = Store.open(tmp_path / "store"), 3 if most == 3 else 2
    assert (done.recordings, done.frames, done.nbytes, done.already) == (n, n * T, n * T * Y * X * 4 * 4, 0)
    assert list(done.parts) == [part.name for part in store.parts] and len(store) == n
    assert list(done.histories) == [ds.attrs["history"] for ds in store]
    said = [one.reason for one in done.rejected]
    assert len(said) == (n == 2) and all(
        "2 of its 3 recordings are in the store; give the same" in text for text in said
    )


def test_controls_that_a_dead_worker_brought_are_looked_at(tmp_path):
    session(tmp_path, "a")
    out, told = tmp_path / "store", task.Task(tmp_path / "a.tif", tmp_path / "a.csv", MAP)
    done = ingest(tmp_path / "a.tif", out, controls=tmp_path / "a.csv", mapping=MAP)
    job, nothing = (told, told.mark(), str(out)), task.Held(frozenset(), frozenset())
    found = looked_up(job, nothing, task.Outcome(), RuntimeError("killed"))
    assert (found.parts, found.already, found.rejected, len(found.arrived)) == (done.parts, 0, (), 1)
    assert "its lag is in its history" in found.arrived[0].doubts[-1] and found.arrived[0].controls["controls"].shape
    held = task.Held(frozenset(task.marks_of(Store.open(out))), frozenset())
    assert looked_up(job, held, task.Outcome(), RuntimeError("killed")) == task.Outcome(already=1)
    lost = looked_up((told, "other", str(tmp_path / "none")), nothing, task.Outcome(), RuntimeError("killed"))
    assert [one.reason for one in lost.rejected] == [
        f"{told.name}: its worker ended: killed; give the same command again"
    ]


@pytest.mark.parametrize("suffix", sorted(READERS))
def test_a_pipe_is_refused_at_once(tmp_path, suffix):
    os.mkfifo(tmp_path / f"a{suffix}")
    with pytest.raises(FormatError, match="a pipe or device"):
        open_recording(tmp_path / f"a{suffix}")


def test_open_recording_names_what_it_does_not_know(tmp_path):
    session(tmp_path, "a")
    (tmp_path / "a.tif").rename(tmp_path / "a.dat")
    assert open_recording(tmp_path / "a.dat", "stem:.tif", {"pixel_size": 0.4})["view"][0, 0] == 0.4
    with pytest.raises(SettingsError, match="no reader 'moon'"):
        open_recording(tmp_path / "a.dat", "moon")


def test_the_catalogue_s_movie_and_images(mirror, tmp_path):
    done = ingest_entry("si-graphene-movie", tmp_path / "movie")
    ds = Store.open(done.store)[0]
    assert ds.sizes["time"] == 25 and ds.attrs["session"] == "si-graphene-movie"
    assert ds.attrs["licence"] == catalog.get("si-graphene-movie").licence
    images = ingest_entry("haadf-single-atoms", tmp_path / "images")
    assert (images.recordings, images.frames) == (4, 4)


def test_a_generated_data_set_is_a_store_already(monkeypatch, tmp_path):
    monkeypatch.setattr(catalog, "fetch", lambda name: tmp_path)
    with pytest.raises(CatalogError, match="a store already"):
        ingest_entry("si-graphene-sim-tiny", tmp_path / "out")
