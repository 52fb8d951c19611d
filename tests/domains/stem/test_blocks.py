"""Frames that stay in their file: what is asked for is read, as NumPy would give it, and nothing at open."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from functools import partial
from operator import getitem
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy_format

from sciworld.domains.stem.blocks import Blocks, joined
from sciworld.domains.stem.readers import read
from sciworld.errors import FormatError

T, Y, X = 11, 5, 7


def counts(shape=(T, Y, X), dtype="uint16"):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def held(values):
    return Blocks(Path("a"), values.shape, values.dtype, partial(getitem, values))


@st.composite
def keys(draw, shape):
    """A slice for each axis, none of them backwards, open or empty."""
    found = []
    for n in shape:
        start = draw(st.integers(0, n - 1))
        found.append(slice(start, draw(st.integers(start + 1, n)), draw(st.integers(1, 4))))
    return tuple(found)


@given(data=st.data())
def test_arranged_axes_are_those_of_numpy(data):
    values = counts((3, 1, 5, 2))
    axes = data.draw(st.permutations([0, 2, 3, None]))
    expected = values.squeeze(1).transpose([{0: 0, 2: 1, 3: 2}[axis] for axis in axes if axis is not None])
    expected = np.expand_dims(expected, axes.index(None))
    blocks = held(values).arranged(axes)
    assert blocks.shape == expected.shape
    key = data.draw(keys(expected.shape))
    assert np.array_equal(blocks.read(key), expected[key]) and blocks.read(key).shape == expected[key].shape


@given(data=st.data())
def test_joined_films_are_one(data):
    films = [counts((n, 2, 3)) + n for n in data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))]
    whole, expected = joined([held(film) for film in films], Path("a")), np.concatenate(films)
    key = data.draw(keys(expected.shape))
    assert whole.shape == expected.shape and np.array_equal(whole.read(key), expected[key])


def write_npz(path, frames):
    np.savez_compressed(path, frames=frames)


def write_fortran(path, frames):
    np.save(path, np.asfortranarray(frames))


def write_fortran_npz(path, frames):
    np.savez_compressed(path, frames=np.asfortranarray(frames))


def write_pages(path, frames, **options):
    with tifffile.TiffWriter(path) as file:
        for frame in frames:  # one by one, with something between: they do not lie in a row
            file.write(frame, metadata=None, photometric="minisblack", description="x" * 40, **options)


def write_ndata(path, frames, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", "{}")
        with archive.open("data.npy", "w") as file:
            np.save(file, frames)


def write_h5(path, frames):
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=frames, chunks=(2, 3, 4), compression="gzip")


def write_raw(path, frames):
    path.write_bytes(b"header" + frames.astype(">u2").tobytes())
    facts = {"shape": frames.shape, "dtype": ">u2", "offset": 6}
    path.with_suffix(".json").write_text(json.dumps(facts))


def write_zarr(path, frames):
    zarr.create_array(path, data=frames, chunks=(3, 2, 4))


FILES = {
    "a.raw": write_raw,
    "a.zarr": write_zarr,
    "a.npy": np.save,
    "fortran.npy": write_fortran,
    "a.npz": write_npz,
    "fortran.npz": write_fortran_npz,
    "row.tif": partial(tifffile.imwrite, photometric="minisblack"),
    "big.tif": partial(tifffile.imwrite, photometric="minisblack", bigtiff=True, byteorder=">"),
    "zlib.tif": partial(tifffile.imwrite, photometric="minisblack", compression="zlib", predictor=True),
    "pages.tif": write_pages,
    "tiles.tif": partial(write_pages, tile=(16, 16), compression="zlib"),
    "a.ndata": write_ndata,
    "packed.ndata": partial(write_ndata, compression=zipfile.ZIP_DEFLATED),
    "a.h5": write_h5,
}


@pytest.fixture(scope="module", params=FILES)
def file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / request.param
    FILES[request.param](path, counts())
    return path


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_block_is_that_of_the_whole(file, data):
    ds, expected = read(file), counts()[..., None]
    assert not ds["frames"].variable._in_memory
    key = data.draw(keys(expected.shape))
    found = ds["frames"][key].values
    assert np.array_equal(found, expected[key]) and found.dtype == np.uint16


def test_only_the_pages_that_are_asked_for_are_decoded(tmp_path, monkeypatch):
    write_pages(tmp_path / "a.tif", counts(), compression="zlib")
    decoded, real = [], tifffile.TiffPage.asarray
    monkeypatch.setattr(
        tifffile.TiffPage, "asarray", lambda page, **options: decoded.append(page.index) or real(page, **options)
    )
    ds = read(tmp_path / "a.tif")
    assert decoded == []
    assert np.array_equal(ds["frames"][3:9:2, 1, :, 0], counts()[3:9:2, 1])
    assert decoded == [3, 5, 7]


def test_channels_and_times_on_pages_of_their_own(tmp_path):
    frames = counts((T, 2, Y, X))
    tifffile.imwrite(tmp_path / "a.tif", frames, imagej=True, metadata={"axes": "TCYX"}, compression="zlib")
    ds = read(tmp_path / "a.tif")
    assert np.array_equal(ds["frames"], frames.transpose(0, 2, 3, 1))
    assert np.array_equal(ds["frames"][4, 2:, ::3, 1], frames[4, 1, 2:, ::3])


def test_a_compression_that_is_not_known_here_is_told_at_once(tmp_path):
    path = tmp_path / "a.tif"
    write_pages(path, counts(), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in file.pages:
            page.aspage().tags["Compression"].overwrite(34712)  # JPEG 2000
    with pytest.raises(FormatError, match=r"a\.tif: compressed as JPEG2000"):
        read(path)


def test_frames_in_other_files_are_not_followed(tmp_path):
    """The frames of an OME-TIFF may lie in several files."""
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", counts()[:1], ome=True, photometric="minisblack")
    here, there = (tmp_path / f"{name}.ome.tif" for name in ("a", "b"))
    with tifffile.TiffFile(here) as one, tifffile.TiffFile(there) as two:
        uuids = [file.ome_metadata.split('UUID="')[1].split('"')[0] for file in (one, two)]
        planes = "".join(
            f'<TiffData IFD="0" FirstT="{t}" PlaneCount="1"><UUID FileName="{name}.ome.tif">{uuid}</UUID></TiffData>'
            for t, (name, uuid) in enumerate(zip("ab", uuids, strict=True))
        )
        text = one.ome_metadata
    begin, end = text.index("<TiffData"), text.index("</Pixels>")
    text = (text[:begin] + planes + text[end:]).replace('SizeT="1"', 'SizeT="2"')
    tifffile.tiffcomment(here, text.encode())
    with pytest.raises(FormatError, match="lie in other files, which are not followed"):
        read(here)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.ndata", "a.h5", "pages.tif", "row.tif"])
def test_a_file_that_changed_since_it_was_opened(tmp_path, name):
    FILES[name](tmp_path / name, counts())
    ds = read(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 3])
    with pytest.raises(FormatError, match=name):
        ds["frames"].load()
    (tmp_path / name).unlink()
    with pytest.raises(FormatError, match=name):
        ds["frames"].load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"a\.json: cannot be read"),
        ("[]", r"a\.json: states \[\]; write shape and dtype"),
        ('{"shape": [11, 5, 7]}', "write shape and dtype"),
        ('{"shape": [11, 5, 7], "dtype": "<u2", "colour": 1}', "write shape and dtype"),
        ('{"shape": [11, 5, 7.5], "dtype": "<u2"}', "whole numbers"),
        ('{"shape": [11, -5, -7], "dtype": "<u2"}', "whole numbers"),
        ('{"shape": 385, "dtype": "<u2"}', "whole numbers"),
        ('{"shape": [11, 5, 7], "dtype": "uint16"}', "no byte order"),
        ('{"shape": [11, 5, 7], "dtype": "nothing"}', r"a\.json: cannot be read"),
        ('{"shape": [12, 5, 7], "dtype": "<u2"}', r"a\.raw: truncated"),
        ('{"shape": [10, 5, 7], "dtype": "<u2"}', r"a\.raw: 770 bytes from 0 on, 700 by a\.json"),
    ],
)
def test_a_raw_file_is_what_is_stated_beside_it(tmp_path, text, message):
    (tmp_path / "a.raw").write_bytes(counts().tobytes())
    with pytest.raises(FormatError, match=r"a\.raw: no a\.json beside it"):
        read(tmp_path / "a.raw")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError, match=message):
        read(tmp_path / "a.raw")


@pytest.mark.parametrize(("chunks", "message"), [((3, Y, X), "3 of 4 chunks"), (None, None)])
def test_what_was_never_written_is_told(tmp_path, chunks, message):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        node = file.create_dataset("data", (T, Y, X), "uint16", chunks=chunks, fillvalue=7)
        node[:3] = counts()[:3]
    ds = read(tmp_path / "a.h5")
    assert (ds["frames"][3:] == 7).all() and np.array_equal(ds["frames"][:3, ..., 0], counts()[:3])
    assert ("never written" in ds.attrs["history"]) == bool(message) and (message or "") in ds.attrs["history"]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("data", (T, Y, X), "uint16")
    assert "1 of 1 chunks were never written and read as 0" in read(tmp_path / "b.h5").attrs["history"]


def npy_header(shape, dtype="<u2"):
    """What a .npy file begins with."""
    file = io.BytesIO()
    npy_format.write_array_header_2_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def sparse_npy(path, shape):
    header = npy_header(shape)
    path.write_bytes(header)
    os.truncate(path, len(header) + 2 * int(np.prod(shape)))


def sparse_raw(path, shape):
    path.with_suffix(".json").write_text(json.dumps({"shape": shape, "dtype": "<u2"}))
    path.touch()
    os.truncate(path, 2 * int(np.prod(shape)))


def sparse_tiff(path, shape):
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(None, shape=shape, dtype="uint16", photometric="minisblack", metadata=None)


def sparse_pages(path, shape):
    """Pages that do not lie in a row."""
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for _ in range(shape[0] // 10):
            file.write(None, shape=(10 * shape[1], shape[2]), dtype="uint16", photometric="minisblack", metadata=None)
            file._fh.seek(8, os.SEEK_CUR)


def sparse_h5(path, shape):
    """All of it has its place in the file, and nothing is written there."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, h5py.h5s.create_simple(shape), plan)


SPARSE = {
    "a.npy": sparse_npy,
    "a.raw": sparse_raw,
    "row.tif": sparse_tiff,
    "pages.tif": sparse_pages,
    "a.h5": sparse_h5,
}
OPENS = """
import resource, sys
import h5py, tifffile
from sciworld.domains.stem.readers import read
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    ds = read(path)
    assert ds["frames"].nbytes > 50e9, ds["frames"].shape
    assert not ds["frames"][-1, -3:, -4:].values.any()
    print(path, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_fifty_gigabytes_open_in_little_memory(tmp_path):
    paths = [tmp_path / name for name in SPARSE]
    for path in paths:
        SPARSE[path.name](path, (6100, 2048, 2050))
        assert path.stat().st_size > 50e9
        if path.stat().st_blocks * 512 > 1e9:
            pytest.skip("the file system has no sparse files")
    done = subprocess.run([sys.executable, "-c", OPENS, *map(str, paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert float(line.split()[-1]) < 200, line  # MiB


@pytest.mark.parametrize("name", ["a.npy", "a.raw", "row.tif", "pages.tif", "a.h5"])
def test_fifty_gigabytes_that_were_cut_off_are_refused_at_open(tmp_path, name):
    path = tmp_path / name
    SPARSE[name](path, (6100, 2048, 2050))
    os.truncate(path, path.stat().st_size - 5_000_000)
    with pytest.raises(FormatError, match=name):
        read(path)
