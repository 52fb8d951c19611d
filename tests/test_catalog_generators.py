"""The catalogue's simulated wakes and drives: entries that a generator can make, small ones made."""

import pytest

from sciworld import catalog
from sciworld.catalog import entries, fetch, show
from sciworld.store import Store

MADE = [name for name, entry in entries().items() if entry.generator in ("fluid", "road")]
LESS = {
    "fluid": {"episodes": 2, "actions": 3, "cells": 10, "lattice_speed": 0.05},
    "road": {"episodes": 2, "steps": 3, "rows": 24, "columns": 40},
}


def test_each_has_three_sizes():
    sizes = {f"{kind}-sim-{size}" for kind in ("fluid-cylinder", "road") for size in ("tiny", "small", "base")}
    assert set(MADE) == sizes | {"fluid-cylinder-sim-coarse", "road-sim-lane", "road-sim-manoeuvres"}
    assert len({(entries()[name].generator, entries()[name].seed) for name in MADE}) == len(MADE)  # no session twice
    for name in MADE:
        assert "GB" in show(name) or "MB" in show(name)


@pytest.mark.parametrize("name", MADE)
def test_an_entry_generates_a_store(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SCIWORLD_CACHE", str(tmp_path))
    entry = entries()[name]
    less = entry.model_copy(update={"settings": {**entry.settings, **LESS[entry.generator]}})
    monkeypatch.setattr(catalog, "entries", lambda: {name: less})
    told = []
    store = Store.open(fetch(name, lambda *done: told.append(done)))
    shape = (24, 40, 3) if entry.generator == "road" else (*((16, 48) if "coarse" in name else (32, 96)), 2)
    assert len(store) == 2 and store[0]["frames"].shape[1:] == shape and told[-1] == (2, 2)
    assert fetch(name) == store.path
