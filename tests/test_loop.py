"""The active loop on the toy domain: it stops, goes on after a kill, and changes nothing that was stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr
from toy_model import TINY
from toy_simulator import ToySimulator

from sciworld import loop, rounds
from sciworld.errors import ControlError, FormatError, SettingsError, StoreError, TrainingError
from sciworld.evaluate.verdict import Verdict
from sciworld.loop import Improved, LoopSettings, improve
from sciworld.search.explore import Explorer
from sciworld.search.journal import recordings_of
from sciworld.simulator import Controller, Observation, rollout
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble
from sciworld.training import trainer
from sciworld.training.run import Run
from sciworld.training.trainer import FitSettings, Trainer

FIT = FitSettings(steps=2, batch=32, warmup=1, log_every=1, threads=1)
SMALL = {"rounds": 3, "recordings": 2, "members": 2, "episodes": 20}


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Diagnostics of two batches: what they say is not looked at here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trainer, "DIAGNOSTIC_WINDOWS", 1)
        patched.setattr(trainer, "DIAGNOSTIC_BATCHES", 2)
        patched.setattr(rounds, "token_hex", lambda n: "ab" * n)  # loops are compared, session by session
        yield


class Killed(BaseException):
    """What no code of ours catches."""


class ToyExperiment:
    """Blobs under a fan. successes : of 20 episodes, round by round. fresh : of those that no round has seen."""

    domain, seconds, space, facts = "", 1.0, toy.SPACE, {"toy": 1}

    def __init__(self, successes: tuple[int, ...] = (3, 11, 20), fresh: tuple[int, ...] = (20,)) -> None:
        self.successes, self.fresh = successes, fresh
        self.judged = 0
        self.seeds: list[int] = []  # of fresh episodes

    def explore(self, surrogate: Ensemble, present: Observation, rng: np.random.Generator) -> Controller:
        assert len(surrogate.members) == 2
        return Explorer(surrogate, candidates=3)

    def run(
        self, explore: Callable[[Observation], Controller], sessions: list[str], rng: np.random.Generator
    ) -> list[xr.Dataset]:
        simulator = ToySimulator()
        state, first = simulator.start(len(sessions), rng)
        done = rollout(simulator, state, first, explore(first), 2, rng)
        facts = {"covariates": {"size": 1.0}, "covariate_table": toy.COVARIATES}
        return recordings_of(done, toy.SPACE, toy.CHANNELS, sessions, "toy", "mm", **facts)  # type: ignore[arg-type]

    def judge(self, surrogate: Ensemble, episodes: int, seed: int) -> Verdict:
        if seed == LoopSettings().seed:
            successes = self.successes[self.judged]
            self.judged += 1
        else:
            successes = self.fresh[len(self.seeds)]
            self.seeds.append(seed)
        success = np.arange(episodes) < successes
        each = np.arange(float(episodes))
        return Verdict("toy", "toy judge", True, success, each, each, each, each[:, None], each[:, None] - 1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "store")
    store.append([toy.make(frames=4, seed=i) for i in range(2)])
    return store


def run(store: Store, experiment: ToyExperiment, **changes: Any) -> Improved:
    settings = LoopSettings(**{**SMALL, **changes})
    return improve(store, store.path.parent / "loop", experiment, FIT, settings, changes=TINY)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_it_stops_when_the_target_holds(store: Store) -> None:
    before = digests(store.path)
    said: list[str] = []
    settings = LoopSettings(**{**SMALL, "rounds": 6})
    found = improve(
        store, store.path.parent / "loop", ToyExperiment(), FIT, settings, changes=TINY, progress=said.append
    )
    assert found.reached and len(found.rounds) == 3
    assert [one.transitions for one in found.rounds] == [6, 10, 18]  # 2, then 4 recordings of 2 transitions more
    assert len([line for line in said if "recorded" in line]) == 2
    after = digests(store.path)
    assert {name: after.get(name) for name in before} == before, "what was stored was altered"
    again = Store.open(store.path)
    assert len(again) == 8 and len(set(again.sessions())) == 8
    again.check()
    assert len(Ensemble.load(found.rounds[-1].folder).members) == 2
    sources = Run(found.rounds[1].folder / "member-1").config["sources"]
    assert any(source.endswith("round-000/member-1") for source in sources), "its weights are where it begins"


def test_what_reaches_the_target_is_confirmed_on_fresh_episodes(store: Store) -> None:
    experiment = ToyExperiment((3, 20, 20), (11, 20))
    found = run(store, experiment, rounds=6)
    assert found.reached and len(found.rounds) == 3, "a target that is not reached again is not reached"
    assert [one.success.value for one in found.rounds] == [0.15, 0.55, 1.0], "what is reported was confirmed"
    assert len(set(experiment.seeds)) == 2, "every round is confirmed by episodes of its own"
    assert "reached, and again on fresh episodes" in str(found.to_table())
    again = ToyExperiment(())
    assert run(store, again, rounds=6).reached and not again.seeds, "what was confirmed is kept"


def test_it_is_reported_round_by_round(store: Store) -> None:
    found = run(store, ToyExperiment((3, 11)), rounds=2)
    assert not found.reached and len(store) == 4, "nothing is recorded that nobody learns from"
    ds = found.to_xarray()
    assert ds["transitions"].values.tolist() == [6, 10] and ds["success"].values.tolist() == [0.15, 0.55]
    assert (ds["success_low"] < ds["success"]).all() and (ds["optimism"] == 1).all()
    assert ds["seconds"].attrs["units"] == "s" and ds.attrs["judge"] == "toy judge"
    text = str(found.to_table())
    assert "not reached" in text and "made the training data" in text and "0.550" in found._repr_html_()


def test_more_rounds_go_on_where_it_stopped(store: Store) -> None:
    experiment = ToyExperiment()
    run(store, experiment, rounds=2)
    found = run(store, experiment)
    assert experiment.judged == 3 and found.reached and len(store) == 8
    assert run(store, experiment).rounds[-1].success == found.rounds[-1].success
    assert experiment.judged == 3 and len(store) == 8


def whole(folder: Path) -> tuple[Improved, Store, ToyExperiment]:
    store = Store.create(folder / "store")
    store.append([toy.make(frames=4, seed=i) for i in range(2)])
    experiment = ToyExperiment((3, 20))
    return run(store, experiment), store, experiment


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Improved, Store]:
    found, store, _ = whole(tmp_path_factory.mktemp("unbroken"))
    return found, store


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (loop, "train", 1),
        (loop, "train", 2),
        (ToyExperiment, "judge", 0),
        (ToyExperiment, "judge", 2),
        (ToyExperiment, "run", 0),
        (Store, "append", 1),
    ],
)
def test_it_goes_on_after_a_kill(
    owner: Any, name: str, call: int, after: bool, unbroken: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill before or after any of what takes long: all ends as if there had been none, and is recorded once."""
    calls, real = [0], getattr(owner, name)

    def once(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == call + 1 and not after:
            raise Killed
        found = real(*given, **named)
        if calls[0] == call + 1:
            raise Killed
        return found

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, once)
        with pytest.raises(Killed):
            whole(tmp_path)
    store = Store.open(tmp_path / "store")
    experiment = ToyExperiment((3, 20))
    files = (tmp_path / "loop").glob("round-*/round.json")
    experiment.judged = sum("verdict" in json.loads(file.read_text()) for file in files)
    found, (expected, other) = run(store, experiment), unbroken
    assert [one.transitions for one in found.rounds] == [one.transitions for one in expected.rounds]
    assert store.sessions() == other.sessions()
    for mine, theirs in zip(store, other, strict=True):
        xr.testing.assert_identical(mine, theirs)


def test_a_training_that_was_killed_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real, folder = Trainer.advance, store.path.parent / "loop" / "round-000" / "member-0"

    def killed(one: Trainer, *given: Any) -> bool:
        if one.step == 1:
            raise Killed
        return real(one, *given)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "advance", killed)
        with pytest.raises(Killed):
            run(store, ToyExperiment((20,)))
    assert (folder / "config.json").exists() and not (folder / "model.safetensors").exists()
    assert run(store, ToyExperiment((20,))).reached


def test_what_cannot_work_is_refused(store: Store) -> None:
    with pytest.raises(SettingsError, match="rounds is 0"):
        LoopSettings(rounds=0)
    with pytest.raises(SettingsError, match="members is 1"):
        LoopSettings(members=1)
    with pytest.raises(SettingsError, match=r"if all of 20 episodes succeed the interval still begins at 0\.839"):
        LoopSettings(episodes=20, target=0.9)
    with pytest.raises(StoreError, match="holds nothing"):
        run(Store.create(store.path.parent / "empty"), ToyExperiment())

    class Other(ToyExperiment):
        space = type(toy.SPACE)(type(toy.CONTROLS)(toy.CONTROLS.columns[:2]))

    with pytest.raises(ControlError, match=r"store: controls are fan_x, fan_y, mode; expected fan_x, fan_y"):
        run(store, Other())
    assert not (store.path.parent / "loop").exists()


def test_a_folder_of_something_else_is_refused(store: Store) -> None:
    folder = store.path.parent / "loop"
    run(store, ToyExperiment((20,)))
    with pytest.raises(TrainingError, match=r"begun otherwise \(loop differ\)"):
        run(store, ToyExperiment(), members=3)
    other = ToyExperiment()
    other.facts = {"toy": 2}
    with pytest.raises(TrainingError, match=r"begun otherwise \(experiment differ\)"):
        run(store, other)
    for damage in ("{", json.dumps({"recordings": 2, "transitions": 1e400, "verdict": {}}), json.dumps([])):
        (folder / "round-000" / "round.json").write_text(damage)
        with pytest.raises(FormatError, match="judged again"):
            run(store, ToyExperiment())
    (folder / "loop.json").write_text(json.dumps([]))
    with pytest.raises(TrainingError, match="cannot be read"):
        run(store, ToyExperiment())
    (folder / "loop.json").unlink()
    with pytest.raises(TrainingError, match="no loop"):
        run(store, ToyExperiment())


def test_a_loop_stays_with_its_store(store: Store, tmp_path: Path) -> None:
    run(store, ToyExperiment((3, 20)), rounds=2)
    another = Store.create(tmp_path / "another")
    another.append([toy.make(frames=4, seed=i + 5) for i in range(2)])
    settings, folder = LoopSettings(**{**SMALL, "rounds": 3}), store.path.parent / "loop"
    with pytest.raises(TrainingError, match=r"begun on another store than .*another"):
        improve(another, folder, ToyExperiment(), FIT, settings, changes=TINY)


def test_loops_on_one_store_share_no_session(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(("11", "22"))
    monkeypatch.setattr(rounds, "token_hex", lambda n: next(names))
    settings = LoopSettings(**{**SMALL, "rounds": 2})
    for name, held in (("one", 4), ("two", 6)):
        improve(store, tmp_path / name, ToyExperiment((3, 3)), FIT, settings, changes=TINY)
        assert len(store) == held, "what another loop recorded is not taken for its own"


def test_members_learn_from_the_same_though_the_store_grows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = loop.train, [0]

    def killed(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise Killed
        return real(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "train", killed)
        with pytest.raises(Killed):
            run(store, ToyExperiment((20,)))
    store.append([toy.make(frames=4, seed=9)])
    (found,) = run(store, ToyExperiment((20,))).rounds
    one, two = (Run(found.folder / f"member-{i}").config["windows"] for i in range(2))
    assert one == two and found.transitions == 6
