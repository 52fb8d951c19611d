"""Wakes and drives as experiments of the active loop: what is recorded, what is refused, and a whole small loop."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from sciworld import loop, recording
from sciworld.chance import seed_of
from sciworld.cli import app
from sciworld.domains.driving.road import generate as drives
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.domains.fluid import generate as wakes
from sciworld.domains.fluid import imagined
from sciworld.domains.fluid.imagined import fit_cost
from sciworld.domains.fluid.simulator import CylinderSimulator
from sciworld.domains.generated import made_with
from sciworld.domains.stem.simulator import StemSimulator
from sciworld.errors import ControlError, RecordingError, SettingsError
from sciworld.loop import LoopSettings, improve
from sciworld.models.base import Signature
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.simulator import Observation
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks import calming, lane_keeping, steering
from sciworld.tasks.experiments import Known, experiment
from sciworld.tasks.lane_keeping import OFFSET, REACH, fit_lane
from sciworld.tasks.stem_experiment import StemExperiment
from sciworld.training import trainer
from sciworld.training.trainer import FitSettings
from sciworld.windows import Windows

WAKE = {"rows": 16, "columns": 48, "pixel": 0.2, "cells": 10, "lattice_speed": 0.05}
CAMERA = {
    "rows": 12, "columns": 20, "step": 0.2, "vehicles": 0, "pedestrians": 0, "place": "countryside",
    "max_steering": 0.1, "noise": 2.0,
}  # fmt: skip
TINY = {"width": 8, "coarse": 8, "embedding": 8, "decoder_blocks": 1}
MAKERS = {"fluid": wakes.SOURCE, "driving": drives.SOURCE}
SMALL: dict[str, dict[str, Any]] = {
    "fluid": {"hold": 2, "candidates": 2, "generations": 1, "starts": 1},
    "driving": {"lasting": 1.0, "candidates": 16, "compared": 2},
}
everywhere = pytest.mark.parametrize("domain", ["fluid", "driving"])


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few actions are imagined and judged, and what is not looked at here is measured on fewer frames."""
    for name, value in (("EPISODE", 6), ("AHEAD", 4), ("SETTLE", 2)):
        monkeypatch.setattr(calming, name, value)
    monkeypatch.setattr(trainer, "DIAGNOSTIC_WINDOWS", 1)
    monkeypatch.setattr(trainer, "DIAGNOSTIC_BATCHES", 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A store of each domain, which nobody may change."""
    folder = tmp_path_factory.mktemp("stores")
    wakes.generate(folder / "fluid", 1, 6, 4, **WAKE)
    drives.generate(folder / "driving", 1, 6, 8, conditions="any", **CAMERA)
    return {domain: folder / domain for domain in MAKERS}


@pytest.fixture
def stores(made: dict[str, Path], tmp_path: Path) -> dict[str, Store]:
    """Copies of them."""
    return {name: Store.open(shutil.copytree(path, tmp_path / name)) for name, path in made.items()}


def small(domain: str, store: Store, steps: int = 3) -> Known:
    return dataclasses.replace(experiment(domain, store, steps=steps), **SMALL[domain])


def ensemble(store: Store) -> Ensemble:
    members = []
    for seed in range(2):
        torch.manual_seed(seed)
        members.append(Surrogate(Diffusion(Signature.of(Windows(store, 1, 1)), DiffusionSettings(**TINY))))
    return Ensemble(members)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(domain: str, store: Store, first: int) -> np.ndarray:
    """What the domain's reader, fitted on recordings from `first` on, reads from their frames."""
    some = [store.lazily(i) for i in range(first, len(store))]
    if domain == "fluid":
        return np.concatenate([fit_cost(some).reader(ds["frames"].values) for ds in some])
    taken = Store.create(store.path.parent / "taken")
    taken.append([ds.load() for ds in some])
    return np.concatenate([fit_lane(taken)(ds["frames"].values) for ds in some])


@contextlib.contextmanager
def blindfold(domain: str) -> Iterator[None]:
    """No truth is there to be looked at."""
    kind: Any = {"fluid": CylinderSimulator, "driving": RoadSimulator}[domain]
    with pytest.MonkeyPatch.context() as patched:
        for name in ("start", "image", "step"):
            patched.setattr(kind, name, None)
        yield


class Blind:
    """A controller that chooses without the truth. seen : how many episodes, at each step."""

    def __init__(self, controller: Any, domain: str) -> None:
        self.controller, self.domain = controller, domain
        self.seen: list[int] = []

    def start(self, n: int, rng: np.random.Generator) -> Any:
        return self.controller.start(n, rng)

    def act(self, state: Any, observation: Observation) -> tuple[np.ndarray, Any]:
        self.seen.append(len(observation))
        with blindfold(self.domain):
            found: tuple[np.ndarray, Any] = self.controller.act(state, observation)
        return found


def explored(domain: str, store: Store, **changes: Any) -> tuple[list[xr.Dataset], list[int]]:
    """Two recordings by an untrained ensemble, and how many episodes were seen at each step."""
    made, surrogate, blind = dataclasses.replace(small(domain, store), **changes), ensemble(store), []

    def explore(present: Observation) -> Blind:
        with blindfold(domain):
            blind.append(Blind(made.explore(surrogate, present, np.random.default_rng(0)), domain))
        return blind[0]

    return made.run(explore, ["a", "b"], np.random.default_rng(1)), blind[0].seen


@everywhere
def test_a_small_loop_goes_round_and_its_recordings_teach(domain: str, stores: dict[str, Store]) -> None:
    store = stores[domain]
    before, source = digests(store.path), made_with(store, MAKERS[domain])
    settings = LoopSettings(rounds=2, recordings=5, members=2, episodes=1, target=None)
    fit = FitSettings(steps=1, batch=2, warmup=1, threads=1)
    found = improve(store, store.path.parent / "loop", small(domain, store), fit, settings, changes=TINY)
    assert len(found.rounds) == 2 and len(store) == 6 + 5
    assert found.rounds[1].transitions > found.rounds[0].transitions, "the second round trains on them"
    after = digests(store.path)
    assert {name: after.get(name) for name in before} == before, "what was stored was altered"
    again = Store.open(store.path)
    again.check()
    old, new = again.lazily(0), again.lazily(6)
    for name in ("frames", "controls", "states", "covariates"):
        assert recording.table(new, name) == recording.table(old, name)
    assert "explored" in new.attrs["history"]
    assert re.fullmatch(r"loop-\w{8}-round-000-\d{3}", new.attrs["session"])
    assert np.isfinite(read(domain, again, 6)).all()
    assert made_with(again, MAKERS[domain]) == source, "a loop can go on from what it recorded"


class Begun(BaseException):
    """Enough was seen."""


@pytest.mark.parametrize("domain", [*MAKERS, "stem"])
def test_what_is_recorded_begins_elsewhere_than_what_is_judged(
    domain: str, stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Any = StemExperiment() if domain == "stem" else small(domain, stores[domain])
    kind = {"fluid": CylinderSimulator, "driving": RoadSimulator, "stem": StemSimulator}[domain]
    real, begun, streams = kind.start, [], []  # type: ignore[attr-defined]

    def start(simulator: Any, n: int, rng: np.random.Generator) -> Any:
        streams.append(np.random.default_rng(rng.bit_generator.seed_seq).bit_generator.state)
        begun.append(real(simulator, n, rng))
        raise Begun

    monkeypatch.setattr(kind, "start", start)
    monkeypatch.setattr(loop, "_ensemble", lambda *given: None)
    settings = LoopSettings(recordings=3, episodes=3, target=None)
    with pytest.raises(Begun):
        loop._record(Path(), made, FitSettings(steps=1), settings, 0, "")
    for seed in (settings.seed, seed_of(settings.seed, "confirmed", 0)):
        with pytest.raises(Begun):
            made.judge(None, settings.episodes, seed)
    assert not any(streams[0] == other for other in streams[1:])
    told = {"fluid": "coefficients", "driving": "road", "stem": "silicon"}[domain]
    # There are but 13 phases of a wake, which all that is drawn has in common: they come in another order.
    rows = 1 if domain == "fluid" else settings.episodes
    recorded, *judged = (getattr(state, told).reshape(rows, -1) for state in begun)
    for one in recorded:
        assert not any((one == other).all() for states in judged for other in states)


def test_what_happens_on_the_way_is_not_what_starts_were_drawn_by(
    stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    played = []

    def stop(*given: Any, rng: np.random.Generator, **named: Any) -> None:
        played.append(rng.bit_generator.state)
        raise Begun

    road: Any = small("driving", stores["driving"])
    for module, made in ((steering, StemExperiment()), (lane_keeping, road)):
        monkeypatch.setattr(module, "replay", stop)
        monkeypatch.setattr(type(made), "planner", lambda *given: None)
        with pytest.raises(Begun):
            made.judge(None, 2, 5)
        assert played.pop() != np.random.default_rng(5).bit_generator.state


@everywhere
def test_controls_are_chosen_without_the_truth_and_again_alike(domain: str, stores: dict[str, Store]) -> None:
    recordings, seen = explored(domain, stores[domain])
    assert seen == [2, 2, 2] and [ds.attrs["session"] for ds in recordings] == ["a", "b"]
    for one, other in zip(recordings, explored(domain, stores[domain])[0], strict=True):
        assert one.equals(other)
        assert np.isnan(one["controls"].values[-1]).all() and np.isfinite(one["controls"].values[:-1]).all()


def test_drives_are_explored_by_little_steering_under_the_conditions_of_the_store(stores: dict[str, Store]) -> None:
    store = stores["driving"]
    recordings, _ = explored("driving", store)
    known = {tuple(store.lazily(i)["covariates"].values) for i in range(len(store))}
    for ds in recordings:
        steering, acceleration = ds["controls"].values[:-1].T
        assert (np.abs(steering) <= REACH).all() and steering.any() and not acceleration.any()
        assert tuple(ds["covariates"].values) in known
    made = small("driving", store)
    before = made.simulator(9, np.random.default_rng(3)).conditions  # type: ignore[union-attr, operator]
    store.append(recordings)
    again = small("driving", store)
    assert again.simulator(9, np.random.default_rng(3)).conditions == before, "episodes differ from round to round"  # type: ignore[union-attr, operator]


def test_drives_with_more_states_are_explored_with_as_many(tmp_path: Path) -> None:
    store = drives.generate(tmp_path / "store", 2, 2, 8, nearest=40, farthest=60, **CAMERA)
    recordings, _ = explored("driving", store)
    assert recording.table(recordings[0], "states") == recording.table(store.lazily(0), "states")
    assert (recordings[0]["states"].values[:, -2:] != 0).any()


def test_a_wake_is_left_alone_where_no_imagined_one_can_be_believed(
    stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, surrogate = small("fluid", stores["fluid"]), ensemble(stores["fluid"])
    found = calming.plan(surrogate.asking(1), stores["fluid"], fit_all(stores), made.simulator.settings, 1, 2, 5)  # type: ignore[union-attr]
    gains, promise = made.law(surrogate, 5)  # type: ignore[union-attr]
    np.testing.assert_array_equal(gains, found.parameters)
    assert promise == found.promise
    monkeypatch.setattr(imagined, "BEYOND", -10.0)  # whatever is imagined is out of bounds
    gains, promise = made.law(surrogate, 5)  # type: ignore[union-attr]
    assert not gains.any() and np.isnan(promise)
    verdict = made.judge(surrogate, 2, 0)
    assert np.isnan(verdict.promise).all() and not verdict.success.any() and (verdict.dose == 0).all()


def fit_all(stores: dict[str, Store]) -> imagined.ImaginedCost:
    return fit_cost(stores["fluid"].lazily(i) for i in range(len(stores["fluid"])))


def test_the_command_knows_wakes(stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores["fluid"]
    asked = ["improve", str(store.path), "--run", str(tmp_path / "run"), "--domain", "fluid", "--preset", "certain"]
    asked += ["--steps", "1", "--batch", "1", "--members", "2", "--rounds", "1", "--episodes", "1", "--target", "0.1"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert "round 0: 24 transitions" in result.output and "lattice Boltzmann" in result.output


def changed(store: Store, path: Path, change: Callable[[xr.Dataset], xr.Dataset]) -> Store:
    """The store's recordings after a change."""
    other = Store.create(path)
    other.append([recording.check(change(store[i])) for i in range(len(store))])
    return other


def test_what_cannot_be_explored_is_refused(stores: dict[str, Store], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"give data of {wakes.SOURCE}"):
        experiment("fluid", stores["driving"])
    with pytest.raises(SettingsError, match=f"give data of {drives.SOURCE}"):
        experiment("driving", stores["fluid"])
    with pytest.raises(ControlError, match="expected beam_x"):
        experiment("stem", stores["driving"])
    with pytest.raises(SettingsError, match="leave them out of fluid"):
        experiment("fluid", stores["fluid"], rates="prior")
    for domain, state in (("fluid", "drag"), ("driving", OFFSET)):
        bare = changed(stores[domain], tmp_path / f"bare-{domain}", lambda ds: ds.drop_vars("states"))
        with pytest.raises(RecordingError, match=f"states have no '{state}'"):
            experiment(domain, bare)
        with pytest.raises(SettingsError, match="steps is 0"):
            experiment(domain, stores[domain], steps=0)
    dark = changed(stores["driving"], tmp_path / "dark", lambda ds: ds.drop_vars("covariates"))
    with pytest.raises(RecordingError, match="no covariate 'cloudiness'"):
        experiment("driving", dark)
    with pytest.raises(SettingsError, match="lasting is 0"):
        dataclasses.replace(small("driving", stores["driving"]), lasting=0.0)
    with pytest.raises(SettingsError, match="candidates is 15"):
        dataclasses.replace(small("driving", stores["driving"]), candidates=15)
