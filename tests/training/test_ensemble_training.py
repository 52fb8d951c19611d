"""Members are trained apart, resumed together, and stand for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy

from sciworld.errors import CheckpointError, SettingsError, TrainingError
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble, member_folders
from sciworld.training import distributed
from sciworld.training import ensemble as module
from sciworld.training.ensemble import train_ensemble
from sciworld.training.run import Run
from sciworld.training.seen import drawn_again, unseen
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

CHANGES = {"width": 8, "coarse": 8, "embedding": 8, "decoder_blocks": 1}
FIT = FitSettings(steps=2, batch=4, threads=1)


class Now:
    """A client of Dask without workers: what is submitted is done here, when its result is asked for."""

    loop = None

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __enter__(self) -> Now:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Any, *given: Any, pure: bool) -> Any:
        self.calls.append(given)
        now = type("Future", (), {"result": lambda self: function(*given)})
        return now()

    def cancel(self, futures: Any) -> None:
        pass


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.create(tmp_path_factory.mktemp("toys") / "store")
    store.append([ds.assign_attrs(session=f"session-{i // 2}") for i, ds in enumerate(toy.recordings(10))])
    return store


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Now:
    """Processes take seconds to begin: one test has them."""
    now = Now()
    monkeypatch.setattr(module, "connected", lambda *_, **__: now)
    monkeypatch.setattr(module, "as_completed", lambda futures, loop: futures)
    return now


def weight(run: Run) -> torch.Tensor:
    return next(run.model().parameters())


def test_members_are_trained_in_another_process_by_seeds_of_their_own(toys: Store, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    runs = train_ensemble(
        toys, tmp_path / "all", FIT, 2, changes=CHANGES, workers=1, progress=lambda *done: seen.append(done)
    )
    assert [run.path.name for run in runs] == ["member-0", "member-1"] and seen == [(1, 2), (2, 2)]
    assert [run.config["fit"]["seed"] for run in runs] == [0, 1]
    assert not torch.equal(weight(runs[0]), weight(runs[1]))
    alone = train(toys, tmp_path / "alone", FIT, changes=CHANGES, progress=False)
    assert torch.equal(weight(alone), weight(runs[0]))
    one = Ensemble.load(tmp_path / "all", evaluations=2)
    assert len(one.members) == 2 and one.sample_evaluations == 2
    assert runs[0].config["windows"] == runs[1].config["windows"] == alone.config["windows"]


def test_a_bootstrap_draws_sessions_and_holds_out_the_same(toys: Store, tmp_path: Path, here: Now) -> None:
    runs = train_ensemble(toys, tmp_path / "all", FIT, 3, bootstrap=True, changes=CHANGES)
    plain = train(toys, tmp_path / "plain", FIT, changes=CHANGES, progress=False)
    assert len({run.config["windows"]["fingerprint"] for run in (*runs, plain)}) == 4
    assert {run.config["validation"]["fingerprint"] for run in (*runs, plain)} == {
        plain.config["validation"]["fingerprint"]
    }
    assert {tuple(run.config["sources"]) for run in (*runs, plain)} == {tuple(plain.config["sources"])}
    for run in (*runs, plain):
        np.testing.assert_array_equal(unseen(run, toys), unseen(plain, toys))


def test_sessions_are_drawn_with_replacement(toys: Store) -> None:
    sessions = toys.sessions()
    chosen = drawn_again(toys, 3)
    assert isinstance(chosen, Selection) and len(set(chosen.sessions())) < len(set(sessions))
    counts = {name: chosen.sessions().count(name) for name in set(chosen.sessions())}
    whole = {name: sessions.count(name) for name in sessions}
    assert all(count % whole[name] == 0 for name, count in counts.items())  # a session comes with all its recordings
    assert sum(count // whole[name] for name, count in counts.items()) == len(whole)
    np.testing.assert_array_equal(chosen.indices, drawn_again(toys, 3).indices)
    part = Selection(toys, np.array([4, 1, 2]))
    assert set(drawn_again(part, 0).indices.tolist()) <= {4, 1, 2}
    with pytest.raises(SettingsError, match="1 session to train on; bootstrap draws among two"):
        drawn_again(Selection(toys, np.array([0])), 0)


def test_what_is_finished_is_kept_and_members_can_be_added(toys: Store, tmp_path: Path, here: Now) -> None:
    folder = tmp_path / "all"
    runs = train_ensemble(toys, folder, FIT, 2, changes=CHANGES)
    (folder / "member-1" / "model.safetensors").unlink()  # stopped before its end
    kept = weight(runs[0])
    with pytest.raises(CheckpointError, match="no such file"):
        Ensemble.load(folder)
    with pytest.raises(TrainingError, match="exists already; resume that ensemble"):
        train_ensemble(toys, folder, FIT, 2, changes=CHANGES)
    again = train_ensemble(toys, folder, FIT, 3, changes=CHANGES, resume=True)
    assert len(again) == len(Ensemble.load(folder).members) == 3 and torch.equal(weight(again[0]), kept)
    assert [line["step"] for line in again[0].log()] == [2]
    with pytest.raises(TrainingError, match="holds member-2, which is none of 2 members"):
        train_ensemble(toys, folder, FIT, 2, changes=CHANGES, resume=True)
    with pytest.raises(TrainingError, match=r"begun otherwise: fit\.steps was 2, is 3"):
        train_ensemble(toys, folder, FitSettings(steps=3, batch=4, threads=1), 3, changes=CHANGES, resume=True)


def test_cores_are_shared_and_a_selection_is_kept(
    toys: Store, tmp_path: Path, here: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(module, "cores", lambda threads: 8)
    monkeypatch.setattr(module, "connected", lambda client, count, threads: asked.append((count, threads)) or here)
    part = Selection(toys, np.array([0, 1, 2, 3]))
    runs = train_ensemble(part, tmp_path / "all", FIT, 3, changes=CHANGES, workers=2)
    assert asked == [(2, 4)] and {call[0][0] for call in here.calls} == {toys.path.resolve()}
    alone = train(part, tmp_path / "alone", FIT, changes=CHANGES, progress=False)
    assert runs[0].config["windows"] == alone.config["windows"]


def test_ensembles_that_cannot_be(toys: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="members is 1"):
        train_ensemble(toys, tmp_path / "one", FIT, 1)
    with pytest.raises(SettingsError, match="leave out recordings"):
        train(toys, tmp_path / "run", FIT, recordings=[0, 1], bootstrap=True)
    monkeypatch.setattr(distributed, "launched", lambda: True)
    with pytest.raises(SettingsError, match="train them without torchrun"):
        train_ensemble(toys, tmp_path / "two", FIT, 2)
    assert not list(tmp_path.iterdir())


def test_folders_of_members_are_in_order_and_a_run_is_none(tmp_path: Path) -> None:
    for name in ("member-10", "member-9", "member-0", ".hidden"):
        (tmp_path / "all" / name).mkdir(parents=True)
    (tmp_path / "all" / "notes.txt").touch()
    assert [folder.name for folder in member_folders(tmp_path / "all")] == ["member-0", "member-9", "member-10"]
    (tmp_path / "all" / "config.json").touch()
    assert member_folders(tmp_path / "all") == [] == member_folders(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="no folder of an ensemble"):
        Ensemble.load(tmp_path / "nothing")
