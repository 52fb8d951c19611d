"""Donkeycar tubs: what was recorded is what is read, deleted records are left out, and damage is named."""

import io
import json
import os
import pickle
import shutil
import tarfile

import av
import numpy as np
import pytest

from sciworld import recording
from sciworld.controls import colours
from sciworld.domains.driving import archive
from sciworld.domains.driving.donkeycar import is_donkeycar
from sciworld.errors import FormatError, SciworldError
from sciworld.ingest.open import open_recording, open_recordings
from sciworld.store import Store

T, Y, X = 11, 5, 7
MIRROR = os.environ.get("SCIWORLD_MIRROR")
real = pytest.mark.skipif(not MIRROR, reason="SCIWORLD_MIRROR is not set")
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (T, Y, X, 3), "uint8")
ANGLES, THROTTLES = RNG.uniform(-1, 1, T), RNG.uniform(0, 1, T)


def picture(pixels):
    out = io.BytesIO()
    with av.open(out, "w", format="image2pipe") as file:
        stream = file.add_stream("png", rate=1)  # FFmpeg tells a picture by its content, and this one has no loss
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "rgb24"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    return out.getvalue()


def records(step=50, **more):
    return [
        {
            "_index": k,
            "_timestamp_ms": 1_600_000_000_000 + k * step,
            "cam/image_array": f"{k}_cam_image_array_.jpg",
            "user/angle": ANGLES[k],
            "user/throttle": THROTTLES[k],
            "user/mode": "user",
            **{name: values[k] for name, values in more.items()},
        }
        for k in range(T)
    ]


def write_tub(folder, rows=None, deleted=(), per_catalog=6):
    rows = records() if rows is None else rows
    (folder / "images").mkdir(parents=True)
    for row, pixels in zip(rows, PIXELS, strict=True):
        (folder / "images" / row["cam/image_array"]).write_bytes(picture(pixels))
    catalogs = [f"catalog_{k}.catalog" for k in range(-(-len(rows) // per_catalog))]
    for k, name in enumerate(catalogs):
        part = rows[k * per_catalog : (k + 1) * per_catalog]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in part))
        (folder / f"._{name}").write_bytes(b"\0\5\x16\7 not a catalog")
    last = {"paths": catalogs, "current_index": len(rows), "max_len": per_catalog, "deleted_indexes": list(deleted)}
    lines = [["cam/image_array"], ["image_array"], {}, {"created_at": 1.0}, last]
    (folder / "manifest.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def pack(path, folder, mode="w:gz"):
    with tarfile.open(path, mode) as file:
        file.add(folder, "tub")
    return path


def test_a_tub_comes_back(tmp_path):
    folder = write_tub(tmp_path / "drive |ü")
    ds = open_recording(folder)
    assert np.array_equal(ds["frames"].values, PIXELS) and ds["frames"].dtype == np.uint8
    np.testing.assert_allclose(ds["time"], 0.05 * np.arange(T))
    assert np.array_equal(ds["controls"].values[:-1], np.stack([ANGLES, THROTTLES], 1)[:-1])
    assert np.isnan(ds["controls"].values[-1]).all()
    table = recording.control_table(ds)
    assert [(c.name, c.units, c.low, c.high, c.role) for c in table] == [
        (name, "1", -1.0, 1.0, "commanded") for name in ("user/angle", "user/throttle")
    ]
    assert np.array_equal(ds["log_value"].values[ds["log_column"].values == 1], THROTTLES)  # the last one too
    assert ds.attrs["session"] == "drive |ü" and "0 of 11 records are deleted" in ds.attrs["history"]
    assert "user/mode is 'user' throughout" in ds.attrs["history"]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_is_read_like_its_folder(tmp_path, mode):
    folder = write_tub(tmp_path / "tub")
    path = pack(tmp_path / "tub.tar.gz", folder, mode)
    shutil.rmtree(folder)
    ds = pickle.loads(pickle.dumps(open_recording(path)))
    assert np.array_equal(ds["frames"][::-2].values, PIXELS[::-2])
    assert (ds.attrs["session"], ds.attrs["source"]) == ("tub", "tub.tar.gz")
    Store.create(tmp_path / "store").append([ds])
    assert np.array_equal(Store.open(tmp_path / "store")[0]["frames"].values, PIXELS)
    path.unlink()  # frames are in the cache
    assert np.array_equal(ds["frames"][3].values, PIXELS[3])


def test_deleted_records_leave_a_gap_with_unknown_controls(tmp_path):
    ds = open_recording(write_tub(tmp_path / "tub", deleted=[0, 4, 5, 99, 10]))
    kept = [1, 2, 3, 6, 7, 8, 9]
    assert np.array_equal(ds["frames"].values, PIXELS[kept])
    np.testing.assert_allclose(ds["time"], 0.05 * (np.array(kept) - 1))
    expected = ANGLES[kept].copy()
    expected[[2, -1]] = np.nan
    assert np.array_equal(ds["controls"].values[:, 0], expected, equal_nan=True)
    history = ds.attrs["history"]
    assert "4 of 11 records are deleted" in history and "1 of the deleted_indexes name no record" in history
    assert "1 gaps where records are deleted" in history
    shutil.rmtree(tmp_path / "tub")
    with pytest.raises(FormatError, match="without records"):
        open_recording(write_tub(tmp_path / "tub", deleted=range(T)))


@pytest.mark.parametrize(
    ("stamps", "doubt"),
    [
        (np.arange(T) // 2 * 100, "4 time stamps do not increase"),
        (np.arange(T) * 3, r"0.003 s apart, which no drive loop is"),
        ([None] * T, "not every record has a time stamp"),
        ([float("nan")] * T, "not every record has a time stamp"),
    ],
)
def test_time_stamps_that_cannot_be_believed_are_counted(tmp_path, stamps, doubt):
    rows = [{**row, "_timestamp_ms": None if s is None else float(s)} for row, s in zip(records(), stamps, strict=True)]
    folder = write_tub(tmp_path / "tub", rows, deleted=[2])
    ds = open_recording(folder)
    index = np.delete(np.arange(T), 2)
    np.testing.assert_allclose(ds["time"], index / 20)
    assert doubt in ds.attrs["history"] and "20 Hz is assumed" in ds.attrs["history"]
    assert recording.is_counted(ds) and recording.channel_table(ds) == colours(3)
    ds = open_recording(folder, options={"frame_seconds": 0.1})
    np.testing.assert_allclose(ds["time"], index * 0.1)
    assert "as the user states" in ds.attrs["history"] and not recording.is_counted(ds)


def test_sessions_are_recordings_of_their_own(tmp_path):
    names = ["21-07-10_0"] * 4 + ["21-07-10_1"] * 7
    one, two = open_recordings(write_tub(tmp_path / "tub", records(_session_id=names)))
    assert (one.attrs["session"], two.attrs["session"]) == ("tub/21-07-10_0", "tub/21-07-10_1")
    assert np.array_equal(two["frames"].values, PIXELS[4:]) and np.isnan(one["controls"].values[-1]).all()


def test_other_numbers_are_states_and_the_mode_if_it_varies(tmp_path):
    modes = ["user"] * 8 + ["local_angle"] * 3
    more = {
        "user/mode": modes, "imu/acl_x": [0.5 * k if k != 3 else None for k in range(T)],
        "car/on": [k % 2 == 0 for k in range(T)], "vec": [[k, -k] for k in range(T)], "note": ["a"] * T,
        "lidar": [[0.0] * 100] * T,
    }  # fmt: skip
    ds = open_recording(write_tub(tmp_path / "tub", records(**more)))
    table, values = recording.table(ds, "states"), ds["states"].values
    assert table.names == ("user/mode", "imu/acl_x", "car/on", "vec_0", "vec_1")
    assert table["user/mode"].levels == ("local_angle", "user") and table["imu/acl_x"].role == "measured"
    assert values[0, 0] == 1 and values[-1, 0] == 0 and np.isnan(values[3, 1]) and values[4, 1] == 2
    assert np.array_equal(values[:, 4], -np.arange(T))
    assert (
        "no numbers: lidar, note" in ds.attrs["history"] and "3 records were driven by a pilot" in ds.attrs["history"]
    )


def test_version_1_comes_back(tmp_path):
    folder = tmp_path / "tub_1"
    folder.mkdir()
    for k in range(T):
        name = f"{k + 1}_cam-image_array_.jpg"
        (folder / name).write_bytes(picture(PIXELS[k]))
        record = {"cam/image_array": name, "user/angle": ANGLES[k], "user/throttle": THROTTLES[k], "user/mode": "user"}
        (folder / f"record_{k + 1}.json").write_text(json.dumps({**record, "milliseconds": 50 * k + 7}))
    (folder / "meta.json").write_text(json.dumps({"inputs": ["cam/image_array"], "types": ["image_array"]}))
    ds = open_recording(folder)
    assert np.array_equal(ds["frames"].values, PIXELS) and np.array_equal(ds["controls"][:-1, 0], ANGLES[:-1])
    np.testing.assert_allclose(ds["time"], 0.05 * np.arange(T))
    assert "Donkeycar tub v1" in ds.attrs["history"] and "states" not in ds
    (folder / "exclude.json").write_text("[1, 2]")
    assert open_recording(folder).sizes["time"] == T - 2
    (folder / "record_5.json").write_text('{"user/angle": 0.5')
    with pytest.raises(FormatError, match=r"record_5\.json: not JSON"):
        open_recording(folder)


def edit(file, change):
    file.write_text(change(file.read_text()))


def change(name, old, new):
    return lambda tub: edit(tub / name, lambda text: text.replace(old, new))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tub: edit(tub / "manifest.json", lambda text: text[:60]), r"manifest\.json.*truncated"),
        (change("manifest.json", "catalog_0.c", "../x/c"), "name of a file"),
        (change("manifest.json", '"deleted_indexes": []', '"deleted_indexes": ["a"]'), "deleted_indexes are"),
        (lambda tub: edit(tub / "manifest.json", lambda text: "[" * 100_000), r"manifest\.json, line 1: not JSON"),
        (lambda tub: edit(tub / "catalog_1.catalog", lambda text: text[:-30]), r"catalog_1\.catalog, line 5: not JSON"),
        (lambda tub: (tub / "catalog_1.catalog").unlink(), r"catalog_1\.catalog: cannot be read"),
        (lambda tub: (tub / "catalog_1.catalog").write_bytes(b"\xff\xfe\x81"), r"catalog_1\.catalog: cannot be read"),
        (lambda tub: edit(tub / "catalog_1.catalog", lambda text: "7\n"), "no record with an _index"),
        (lambda tub: edit(tub / "catalog_0.catalog", lambda text: text + text), "mixed up"),
        (change("catalog_0.catalog", "2_cam", "../2_cam"), "name of a file"),
        (change("catalog_0.catalog", '"user/angle": ', '"user/angle": 4e9, "x": '), r"user/angle 4000000000\.0"),
        (change("catalog_0.catalog", '"user/angle": ', '"user/angle": "left", "x": '), "user/angle 'left'"),
        (change("catalog_0.catalog", '"user/mode"', '"y": 1e999, "user/mode"'), "is infinite"),
        (change("catalog_0.catalog", "cam/image_array", "cam"), "record 0 has no"),
        (lambda tub: (tub / "images" / "4_cam_image_array_.jpg").unlink(), r"4_cam_image_array_\.jpg: missing"),
        (lambda tub: (tub / "images" / "0_cam_image_array_.jpg").write_bytes(b"\xff\xd8\xff"), r"0_cam.*as a picture"),
        (lambda tub: shutil.rmtree(tub / "images"), "10 more pictures"),
    ],
)
def test_a_damaged_tub_is_named(tmp_path, damage, message):
    tub = write_tub(tmp_path / "tub")
    damage(tub)
    with pytest.raises(FormatError, match=message):
        open_recording(tub)


def test_a_damaged_picture_is_named_when_it_is_used(tmp_path):
    ds = open_recording(write_tub(tmp_path / "tub"))
    file = tmp_path / "tub" / "images" / "4_cam_image_array_.jpg"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(FormatError, match=r"4_cam_image_array_\.jpg: cannot be read"):
        ds["frames"].load()
    store = Store.create(tmp_path / "store")
    with pytest.raises(FormatError, match="4_cam"):
        store.append([ds])
    assert len(Store.open(tmp_path / "store")) == 0


def test_links_that_turn_in_circles_are_harmless(tmp_path):
    tub = write_tub(tmp_path / "tub")
    (tub / "loop").symlink_to(tub)
    assert open_recording(tub).sizes["time"] == T
    file = tub / "images" / "4_cam_image_array_.jpg"
    file.unlink()
    file.symlink_to(file)
    with pytest.raises(FormatError, match="4_cam"):
        open_recording(tub)["frames"].load()
    (tub / "manifest.json").unlink()
    (tub / "manifest.json").symlink_to(tub / "manifest.json")
    with pytest.raises(FormatError, match=r"manifest\.json: cannot be read"):
        open_recording(tub, reader="driving:donkeycar")


def member(name, content=b"", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    return info, io.BytesIO(content)


@pytest.mark.parametrize(
    ("name", "kind", "link", "message"),
    [
        ("../evil", tarfile.REGTYPE, "", "'../evil' leads outside"),
        ("tub/../../evil", tarfile.REGTYPE, "", "leads outside"),
        ("/tmp/evil", tarfile.REGTYPE, "", "leads outside"),
        ("tub/evil", tarfile.SYMTYPE, "/etc/passwd", "link or device"),
        ("tub/evil", tarfile.LNKTYPE, "tub/manifest.json", "link or device"),
        ("tub/evil", tarfile.FIFOTYPE, "", "link or device"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(tmp_path, monkeypatch, name, kind, link, message):
    monkeypatch.setenv("SCIWORLD_CACHE", str(tmp_path / "cache"))
    path = pack(tmp_path / "tub.tar.gz", write_tub(tmp_path / "tub"), "w:gz")
    with tarfile.open(tmp_path / "evil.tar", "w") as file:
        file.addfile(*member("tub/manifest.json", b"{}"))
        file.addfile(*member(name, b"x" if kind == tarfile.REGTYPE else b"", kind, link))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FormatError, match=message):
        open_recording(tmp_path / "evil.tar")
    assert sorted(set(tmp_path.rglob("*")) - set(before)) == [tmp_path / "cache", tmp_path / "cache" / "unpacked"]
    assert open_recording(path).sizes["time"] == T


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIWORLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(archive, "LEAST", 1 << 20)
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as file:
        file.addfile(*member("tub/manifest.json", b"{}"))
        file.addfile(*member("tub/images/0_cam_image_array_.jpg", b"\0" * (4 << 20)))
    with pytest.raises(FormatError, match=r"bomb\.tar\.gz: unpacks to far more"):
        open_recording(tmp_path / "bomb.tar.gz")
    assert list((tmp_path / "cache" / "unpacked").iterdir()) == []
    with tarfile.open(tmp_path / "header.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as file:
        info, content = member("tub/manifest.json", b"{}")
        info.pax_headers = {"comment": "x" * (4 << 20)}
        file.addfile(info, content)
    with pytest.raises(FormatError, match="unpacks to far more"):
        open_recording(tmp_path / "header.tar.gz", reader="driving:donkeycar")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive_leaves_nothing(tmp_path, monkeypatch, share):
    monkeypatch.setenv("SCIWORLD_CACHE", str(tmp_path / "cache"))
    path = pack(tmp_path / "tub.tar.gz", write_tub(tmp_path / "tub"))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(SciworldError, match=r"tub\.tar\.gz"):
        open_recording(path, reader="driving:donkeycar")
    assert not list((tmp_path / "cache").rglob("*.jpg"))


def test_a_tub_is_told_by_what_it_holds(tmp_path):
    assert is_donkeycar(write_tub(tmp_path / "any name"))
    assert is_donkeycar(pack(tmp_path / "any.bin", tmp_path / "any name"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "gz").write_bytes(b"\x1f\x8b\x08\0junk")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "manifest.json").write_text("{}")  # of a web page
    for path in ("empty", "gz", "page", "missing", "nul\0"):
        assert not is_donkeycar(tmp_path / path)


@real
def test_the_real_tub_steers_what_the_camera_sees(mirror):
    ds = open_recording(mirror / "driving" / "donkeycar" / "tub.tar.gz")
    assert ds["frames"].shape == (1000, 120, 160, 3) and ds["frames"].dtype == np.uint8
    assert "no drive loop is" in ds.attrs["history"] and ds.attrs["session"] == "tub"
    # How far the columns moved from frame to frame, from the phase of their spectra.
    columns = ds["frames"].values.mean(axis=(1, 3), dtype="float32")
    spectra = np.fft.rfft((columns - columns.mean(axis=1, keepdims=True)) * np.hanning(160), axis=1)
    peaks = np.fft.irfft(np.conj(spectra[:-1]) * spectra[1:], axis=1)
    moved = np.fft.fftshift(peaks, axes=1)[:, 60:101].argmax(axis=1) - 20.0
    angle = ds["controls"].values[:-1, 0]
    found = [np.corrcoef(angle[: len(angle) - k], moved[k:])[0, 1] for k in range(9)]
    assert int(np.argmin(found)) == 4 and min(found) < -0.9, found
