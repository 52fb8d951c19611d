"""What a training saw cannot judge it, wherever it is stored, and whatever was stored since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import toy

from sciworld.errors import CheckpointError
from sciworld.store import Store
from sciworld.training.run import Run
from sciworld.training.seen import marks, unseen
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

CHANGES = {"width": 8, "coarse": 8, "embedding": 8, "decoder_blocks": 1}
FIT = FitSettings(steps=1, batch=4, threads=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.create(tmp_path_factory.mktemp("seen") / "store")
    store.append([ds.assign_attrs(session=f"session-{i // 2}") for i, ds in enumerate(toy.recordings(10))])
    return store


@pytest.fixture(scope="module")
def run(store: Store) -> Run:
    return train(store, store.path.parent / "run", FIT, changes=CHANGES, progress=False)


def test_what_was_stored_later_was_not_seen(store: Store, run: Run, tmp_path: Path) -> None:
    before = unseen(run, store)
    assert before is not None and before.tolist() == store.split((0.1, 0.9), 0)[0].indices.tolist()
    shutil.copytree(store.path, tmp_path / "grown")
    grown = Store.open(tmp_path / "grown")
    seen = np.setdiff1d(np.arange(10), before)
    grown.append([toy.make(seed=77, session="new"), toy.make(seed=78, session=store.sessions()[seen[0]])])
    found = unseen(run, grown)
    assert found is not None and found.tolist() == [*before, 10], "one more of a session that was seen counts as seen"


def test_other_recordings_are_not_known_to_be_new(run: Run, tmp_path: Path) -> None:
    other = Store.create(tmp_path / "other")
    other.append([toy.make(seed=90, session="session-0")])
    assert unseen(run, other) is None


def test_what_the_weights_had_seen_was_seen(store: Store, run: Run, tmp_path: Path) -> None:
    more = Store.create(tmp_path / "more")
    more.append([toy.make(seed=50 + i, session=f"more-{i}") for i in range(2)])
    then = train(more, tmp_path / "run", FIT, start_from=run.path, progress=False)
    assert set(run.config["seen"]) < set(then.config["seen"])
    np.testing.assert_array_equal(unseen(then, store), unseen(run, store))


def test_runs_of_earlier_versions_are_told_by_their_windows(store: Store, run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    config = json.loads(path.read_text())
    del config["seen"]
    path.write_text(json.dumps(config))
    np.testing.assert_array_equal(unseen(Run(tmp_path / "old"), store), unseen(run, store))
    train(store, tmp_path / "old", FIT, changes=CHANGES, resume=True, progress=False)  # and can be gone on with
    path.write_text(json.dumps({**config, "seen": ["all"]}))
    with pytest.raises(CheckpointError, match="'seen' is no list of marks"):
        unseen(Run(tmp_path / "old"), store)


def test_every_recording_has_a_mark_of_its_own(store: Store) -> None:
    every = marks(store)
    assert len(set(every.tolist())) == 10
    np.testing.assert_array_equal(marks(store.split((0.5, 0.5), 3)[1]), every[store.split((0.5, 0.5), 3)[1].indices])
