"""The catalogue: checked entries, the mirror before the network, checksums, generators."""

import hashlib
import json
import os
import shutil
import sys
import types

import numpy as np
import pytest
import toy

from sciworld import catalog
from sciworld.catalog import GENERATORS, Entry, entries, fetch, get, read_entry, show, sources
from sciworld.errors import CatalogError
from sciworld.ingest.open import open_recordings
from sciworld.store import Store

CONTENT = b"column,row\n1,2\n"
URL = "https://example.org/frames.csv"


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """A cache and a mirror of the test's own."""
    monkeypatch.setenv("SCIWORLD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SCIWORLD_MIRROR", str(tmp_path / "mirror"))
    (tmp_path / "mirror/some").mkdir(parents=True)


def toml(**changes):
    fields = {
        "name": "some-data", "title": "Some", "description": "Some data", "domain": "stem", "kind": "files",
        "licence": "CC0-1.0", "citation": "none", "reader": "stem",
    }  # fmt: skip
    lines = [f'{key} = "{value}"' for key, value in {**fields, **changes}.items() if value is not None]
    digest = hashlib.sha256(CONTENT).hexdigest()
    lines += ["[[files]]", 'path = "some/frames.csv"', f"bytes = {len(CONTENT)}", f'sha256 = "{digest}"']
    return "\n".join([*lines, f'url = "{URL}"'])


def put(monkeypatch, entry):
    monkeypatch.setattr(catalog, "entries", lambda: {entry.name: entry})


@pytest.fixture
def some(monkeypatch):
    entry = read_entry(toml(), "some-data.toml")
    put(monkeypatch, entry)
    return entry


def download(monkeypatch, content=CONTENT, error=None):
    """Replace the network by a pooch that checks nothing else; returns the list of what was asked for."""
    import pooch

    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append(url)
        if error is not None:
            raise error
        if known_hash != "sha256:" + hashlib.sha256(content).hexdigest():
            raise ValueError("hash")
        path.mkdir(parents=True, exist_ok=True)
        (path / fname).write_bytes(content)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return asked


def test_every_entry_is_well_formed():
    assert {"si-graphene-movie", "haadf-single-atoms", "si-graphene-sim-tiny", "si-graphene-sim-small"} <= set(
        entries()
    )
    for name, entry in entries().items():
        assert entry.name == name and entry.licence in show(name) and entry.title in show(name)
    with pytest.raises(CatalogError, match=r"no data set 'moon'; there are .*haadf-single-atoms"):
        get("moon")


def test_the_entries_are_those_of_the_mirror_s_manifest(mirror):
    import csv

    with (mirror / "MANIFEST.csv").open() as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    files = [(entry, file) for entry in entries().values() for file in entry.files]
    # The tokens are no frames: a model of their own decodes them.
    assert set(rows) - {file.path for _, file in files} == {"driving/commavq/tokens.npy"}
    assert len({file.path for _, file in files}) == len(files)
    for entry, file in files:
        row = rows[file.path]
        assert (str(file.bytes), file.sha256) == (row["bytes"], row["sha256"])
        assert file.url == row["url"] or file.origin == row["url"].strip("()")
        assert entry.licence == row["licence"]


# Recordings, and frames in the first, of every data set of files.
REAL = {
    "comma2k19-example": (1, 1200), "commavq-highway": (1, 1200), "donkeycar-tub": (1, 1000),
    "haadf-single-atoms": (4, 1), "piv-davis": (1, 1), "piv-insight": (1, 2), "piv-netcdf": (1, 1),
    "piv-openpiv": (3, 1), "piv-pivlab": (1, 2), "pivlab-jet": (1, 20), "pivlab-karman": (1, 4),
    "si-graphene-movie": (1, 25),
}  # fmt: skip


def test_every_data_set_of_files_is_read_below():
    assert set(REAL) == {name for name, entry in entries().items() if entry.kind == "files"}


@pytest.mark.parametrize("name", REAL)
def test_real_files_come_from_the_mirror_and_are_read(mirror, monkeypatch, name):
    monkeypatch.setenv("SCIWORLD_MIRROR", str(mirror))
    paths, entry = fetch(name), get(name)
    assert all(path.is_relative_to(mirror) and path.is_file() for path in paths)
    options = {"licence": entry.licence, "citation": entry.citation}
    found = [ds for source in sources(entry, paths) for ds in open_recordings(source, entry.reader, options)]
    assert (len(found), found[0].sizes["time"]) == REAL[name]
    assert {(ds.attrs["licence"], ds.attrs["citation"]) for ds in found} == {(entry.licence, entry.citation)}
    floats = [ds["frames"].values for ds in found if ds["frames"].dtype.kind == "f"]
    assert entry.allow_nan == (not all(np.isfinite(frames).all() for frames in floats))


ELSEWHERE = {name for name, entry in entries().items() if entry.kind == "elsewhere"}


def test_the_well_known_data_sets_are_listed():
    assert {"comma2k19", "l2d", "nuscenes", "pdebench-2d-cfd", "the-well-shear-flow"} <= ELSEWHERE


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_what_lies_elsewhere_is_refused_with_where_and_how(name):
    entry = get(name)
    with pytest.raises(CatalogError) as caught:
        fetch(name)
    for text in (entry.description, entry.licence, entry.citation, entry.url, entry.get, entry.ingest, entry.size):
        assert text in str(caught.value)
    assert entry.ingest.startswith("sciworld ingest ") and entry.extent == "elsewhere"


def test_the_readers_that_entries_name_exist():
    """Those of data elsewhere, whose files no test has."""
    from sciworld.domains.driving.readers import FORMATS
    from sciworld.domains.fluid.readers import READERS

    known = {*(f"driving:{name}" for name in FORMATS), *(f"fluid:{name}" for name in READERS)}
    named = {entries()[name].ingest.partition("--reader ")[2] for name in ELSEWHERE}
    assert named <= known


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not TOML"),
        (toml(colour="red"), "colour: Extra inputs"),
        (toml(licence=None), "licence: Field required"),
        (toml(name="Some Data"), "name: "),
        (toml(kind="generator", generator="moon", reader=None), "needs a generator"),
        (toml(reader=None), "needs files and a reader"),
        (toml().replace("some/frames.csv", "../frames.csv"), "files.0.path"),
        (toml().replace("some/frames.csv", "/etc/frames.csv"), "files.0.path"),
        (toml().replace("some/frames.csv", "some/../../frames.csv"), "files.0.path"),
        (toml().replace("https:", "http:"), "files.0.url"),
        (toml() + '\norigin = "a notebook"', "either a url or an origin"),
        (toml(folder="other"), "folder 'other' must hold every file"),
        (toml(folder="so"), "folder 'so' must hold every file"),
        (toml(get="somehow"), "nothing of other kinds"),
        (toml(kind="elsewhere"), "needs url, get and ingest"),
    ],
)
def test_a_malformed_entry_is_refused(text, message):
    with pytest.raises(CatalogError, match=f"x.toml: .*{message}"):
        read_entry(text, "x.toml")


def test_the_mirror_is_looked_at_before_the_network(some, tmp_path, monkeypatch):
    asked = download(monkeypatch)
    path = tmp_path / "mirror/some/frames.csv"
    path.write_bytes(CONTENT)
    assert fetch("some-data") == [path] and asked == []


def test_a_wrong_file_in_the_mirror_is_named(some, tmp_path, monkeypatch):
    asked = download(monkeypatch)
    (tmp_path / "mirror/some/frames.csv").write_bytes(CONTENT + b"more")
    with pytest.raises(CatalogError, match=r"mirror/some/frames\.csv.*sha256.*SCIWORLD_MIRROR"):
        fetch("some-data")
    assert asked == []


@pytest.mark.parametrize("mirror_set", [True, False])
def test_a_file_is_downloaded_once_into_the_cache(some, tmp_path, monkeypatch, mirror_set):
    if not mirror_set:
        monkeypatch.delenv("SCIWORLD_MIRROR")
    asked, seen = download(monkeypatch), []
    expected = [tmp_path / "cache/files/some/frames.csv"]
    assert fetch("some-data", lambda *done: seen.append(done)) == expected == fetch("some-data")
    assert expected[0].read_bytes() == CONTENT and asked == [URL] and seen == [(1, 1)]
    expected[0].write_bytes(b"damaged")
    assert fetch("some-data") == expected and expected[0].read_bytes() == CONTENT and asked == [URL, URL]


def test_a_failed_download_names_file_and_cure(some, monkeypatch):
    download(monkeypatch, error=ConnectionError("no route"))
    with pytest.raises(CatalogError, match=r"some/frames\.csv: cannot be downloaded from https.*no route.*MIRROR"):
        fetch("some-data")
    download(monkeypatch, content=b"something else")
    with pytest.raises(CatalogError, match=r"some/frames\.csv.*sha256 differs"):
        fetch("some-data")


FOLDER = ("some/drive/times", "some/drive/logs/speed")


@pytest.fixture
def drive(monkeypatch):
    """An entry whose files are one folder."""
    files = [
        {"path": path, "bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(), "url": URL}
        for path in FOLDER
    ]
    entry = Entry(
        name="drive", title="Drive", description="A drive", domain="driving", kind="files", licence="MIT",
        citation="none", reader="driving", folder="some/drive", files=files,
    )  # fmt: skip
    put(monkeypatch, entry)
    return entry


def test_a_folder_is_given_as_one(drive, tmp_path, monkeypatch):
    download(monkeypatch)
    assert sources(drive, fetch("drive")) == [tmp_path / "cache/files/some/drive"]
    assert "1 recording" in show("drive")


def test_a_folder_is_never_half_in_the_mirror(drive, tmp_path, monkeypatch):
    asked = download(monkeypatch)
    whole = [tmp_path / "mirror" / path for path in FOLDER]
    whole[0].parent.mkdir()
    whole[0].write_bytes(CONTENT)
    assert fetch("drive") == [tmp_path / "cache/files" / path for path in FOLDER] and len(asked) == 2
    whole[1].parent.mkdir()
    whole[1].write_bytes(CONTENT)
    assert fetch("drive") == whole and sources(drive, whole) == [tmp_path / "mirror/some/drive"]


def test_sources_of_files(some, tmp_path):
    path = tmp_path / "frames.csv"
    assert sources(some, [path]) == [path]
    assert sources(some.model_copy(update={"together": True}), [path]) == [[path]]


def test_a_file_without_an_address_is_found_in_a_mirror_alone(tmp_path, monkeypatch):
    asked = download(monkeypatch)
    put(monkeypatch, read_entry(toml().replace(f'url = "{URL}"', 'origin = "cell 7 of a notebook"'), "x.toml"))
    with pytest.raises(CatalogError, match=r"made from cell 7 of a notebook; set SCIWORLD_MIRROR.*some/frames\.csv"):
        fetch("some-data")
    (tmp_path / "mirror/some/frames.csv").write_bytes(CONTENT)
    assert fetch("some-data") == [tmp_path / "mirror/some/frames.csv"] and asked == []


def generator_entry(**settings):
    return Entry(
        name="made", title="Made", description="Made here", domain="stem", kind="generator", licence="CC0-1.0",
        citation="none", generator="stem", seed=7, settings=settings,
    )  # fmt: skip


@pytest.fixture
def factory(monkeypatch):
    """A generator that writes down how it was called, in place of the simulator."""
    module, calls = types.ModuleType("some_factory"), []

    def generate(path, seed, progress=None, **settings):
        calls.append((seed, settings))
        for seed_of_part in range(2):
            Store.create(path).append(toy.recordings(3, seed=seed_of_part))
        (path / "part").write_text("half")
        if settings.get("broken"):
            raise OSError("disk full")
        (path / "part").write_text("whole")

    module.generate = generate
    monkeypatch.setitem(sys.modules, "some_factory", module)
    monkeypatch.setitem(GENERATORS, "stem", "some_factory:generate")
    return calls


def test_a_generated_data_set_is_made_once_for_its_settings(factory, monkeypatch):
    put(monkeypatch, generator_entry(transitions=5))
    path = fetch("made")
    assert (path / "part").read_text() == "whole" and fetch("made") == path
    assert factory == [(7, {"transitions": 5})] and path.name.startswith("made-")
    put(monkeypatch, generator_entry(transitions=6))
    assert fetch("made") != path and len(factory) == 2
    assert sorted(os.listdir(path.parent)) == sorted([path.name, fetch("made").name])


def test_a_generated_store_that_was_damaged_is_named(factory, monkeypatch):
    put(monkeypatch, generator_entry())
    path = fetch("made")
    (path / "part-00000000" / "frames" / "zarr.json").unlink()
    with pytest.raises(CatalogError, match=rf"{path}: .*frames.*delete this folder"):
        fetch("made")
    shutil.rmtree(path / "part-00000000")
    with pytest.raises(CatalogError, match=rf"{path}: .*holds 3 recordings and was made with 6.*delete this folder"):
        fetch("made")
    node = json.loads((path / "zarr.json").read_text())
    del node["attributes"][catalog.HOLDS]  # as those of earlier versions
    (path / "zarr.json").write_text(json.dumps(node))
    assert fetch("made") == path
    shutil.rmtree(path / "part-00000001")
    with pytest.raises(CatalogError, match=rf"{path}: .*it is empty.*delete this folder and fetch again"):
        fetch("made")
    shutil.rmtree(path)
    assert fetch("made") == path and len(factory) == 2


def test_a_generated_store_may_be_compacted(factory, monkeypatch):
    put(monkeypatch, generator_entry())
    path = fetch("made")
    Store.open(path).compact()
    assert fetch("made") == path and len(Store.open(path).parts) == 1


def test_a_generator_that_fails_leaves_nothing(factory, monkeypatch, tmp_path):
    put(monkeypatch, generator_entry(broken=True))
    with pytest.raises(CatalogError, match=r"made.*disk full"):
        fetch("made")
    assert list((tmp_path / "cache/generated").iterdir()) == []


def test_two_that_generate_at_once_agree(factory, monkeypatch):
    put(monkeypatch, generator_entry())
    rename = os.rename

    def late(source, target):
        if target.parent.name == "generated":
            target.mkdir()
            (target / "part").write_text("theirs")
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    assert (fetch("made") / "part").read_text() == "theirs"


def test_the_simulated_entries_are_stores(monkeypatch):
    for name, transitions in (("si-graphene-sim-tiny", 2000), ("si-graphene-sim-small", 22000)):
        assert entries()[name].settings == {"transitions": transitions, "rates": "prior"}
    small = entries()["si-graphene-sim-tiny"].model_copy(update={"settings": {"transitions": 44, "rates": "prior"}})
    put(monkeypatch, small)
    store = Store.open(fetch(small.name))
    assert len(store) == 2 and store[0].sizes["time"] == 23
