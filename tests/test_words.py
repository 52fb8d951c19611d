"""Words are the same numbers everywhere; what is no word is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toy
import xarray as xr

from sciworld import recording
from sciworld.errors import RecordingError
from sciworld.loader import Loader, Mixture
from sciworld.store import Store
from sciworld.windows import Windows
from sciworld.words import COUNT, NUMBERS, words_of


def described(seed: int, text: str) -> xr.Dataset:
    return recording.check(toy.make(seed=seed).assign_attrs(description=text))


def test_words_are_the_same_on_every_machine() -> None:
    found = words_of("Dry road, dry ROAD.")
    assert found.dtype == np.int64 and found.shape == (COUNT,)
    assert found[:2].tolist() == [3453, 340] and not found[2:].any()  # CRC-32 modulo 4095, plus 1


@pytest.mark.parametrize("text", ["", " ", ".,;_-", "\ud800"])
def test_what_is_no_word_is_none(text: str) -> None:
    assert not words_of(text).any()


def test_only_the_first_words_are_read_and_letters_are_those_of_any_script() -> None:
    many = " ".join(f"w{i}" for i in range(40))
    found = words_of(many)
    assert ((found > 0) & (found < NUMBERS)).all()
    assert np.array_equal(found, words_of(many + " more"))
    assert len({int(words_of(text)[0]) for text in ("\u00fcber", "uber", "\u0434\u0430", "2.5e3")}) == 4


def test_a_description_is_kept_by_a_store_and_read_by_windows(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "told.zarr")
    store.append([described(0, "wind from the left"), toy.make(seed=1)])
    store.append([described(2, "wind from the right")])
    store.compact()
    texts = [store[i].attrs.get("description") for i in range(3)]
    assert texts == ["wind from the left", None, "wind from the right"]
    windows = Windows(store, 1, 1)
    words = windows.batch([0, 10, 29, 20]).words
    np.testing.assert_array_equal(words, [words_of(text or "") for text in (texts[0], None, texts[2], texts[2])])
    with Loader(windows, 4, seed=0) as loader:
        batch = next(loader)
    np.testing.assert_array_equal(batch.words, windows.batch(batch.index).words)


def test_a_mixture_of_described_and_other_recordings_has_words_for_all(tmp_path: Path) -> None:
    silent, told = (Store.create(tmp_path / name) for name in ("silent.zarr", "told.zarr"))
    silent.append([toy.make(seed=1)])
    told.append([described(0, "wind")])
    sources = [Windows(store, 1, 1) for store in (silent, told)]
    assert sources[0].batch([0, 1]).words.shape == (2, 0)
    np.testing.assert_array_equal(Mixture(sources).batch([3, 13]).words, [words_of(""), words_of("wind")])
    assert Mixture(sources).batch([3]).words.shape == (1, 0)


def test_another_description_makes_other_windows(tmp_path: Path) -> None:
    found = set()
    for text in ("wind", "no wind"):
        store = Store.create(tmp_path / text)
        store.append([described(0, text)])
        found.add(Windows(store, 1, 1).fingerprint())
    assert len(found) == 2


@pytest.mark.parametrize("text", [3, ["wind"], "w" * 4097], ids=["number", "list", "long"])
def test_a_description_is_a_short_string(text: object) -> None:
    with pytest.raises(RecordingError, match=r"'description' is .*; use a string of at most 4096 characters"):
        recording.check(toy.make().assign_attrs(description=text))
