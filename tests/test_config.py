"""The folders that the environment sets."""

from pathlib import Path

import pytest

from sciworld.config import cache_dir, mirror_dir


@pytest.mark.parametrize(
    ("cache", "home", "expected"),
    [
        (None, None, "/home/some/.cache/sciworld"),
        (None, "", "/home/some/.cache/sciworld"),
        (None, "caches", "/home/some/.cache/sciworld"),  # the XDG specification has relative paths ignored
        (None, "/scratch", "/scratch/sciworld"),
        ("", "/scratch", "/scratch/sciworld"),
        ("here", "/scratch", "here"),
        ("~/x", "/scratch", "/home/some/x"),
    ],
)
def test_the_cache_folder(monkeypatch, cache, home, expected):
    monkeypatch.setenv("HOME", "/home/some")
    for variable, value in (("SCIWORLD_CACHE", cache), ("XDG_CACHE_HOME", home)):
        if value is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, value)
    assert cache_dir() == Path(expected)


def test_the_mirror(monkeypatch):
    monkeypatch.setenv("HOME", "/home/some")
    for value, expected in (("", None), ("~/data", Path("/home/some/data")), ("/data", Path("/data"))):
        monkeypatch.setenv("SCIWORLD_MIRROR", value)
        assert mirror_dir() == expected
