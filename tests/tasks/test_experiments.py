"""Silicon in graphene as an experiment of the active loop, and its command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

from sciworld.cli import app
from sciworld.domains.stem.generate import DWELL, SOURCE, generate
from sciworld.domains.stem.locate import locate
from sciworld.domains.stem.simulator import StemSettings, StemSimulator
from sciworld.errors import SettingsError
from sciworld.models.base import Signature
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks import steering, stem_experiment
from sciworld.tasks.experiments import experiment
from sciworld.tasks.stem_experiment import StemExperiment
from sciworld.training import trainer
from sciworld.windows import Windows

OBLONG = {"rows": 28, "columns": 36, "field_of_view": 15.75}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes of an untrained surrogate end soon; what is not looked at here is measured on fewer frames."""
    monkeypatch.setattr(steering, "LIMIT", 4.0)
    monkeypatch.setattr(stem_experiment, "FRAMES", 12)
    monkeypatch.setattr(trainer, "DIAGNOSTIC_WINDOWS", 1)
    monkeypatch.setattr(trainer, "DIAGNOSTIC_BATCHES", 2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return generate(tmp_path / "store", 3, transitions=6, steps=3, **OBLONG)


def ensemble(store: Store) -> Ensemble:
    members = []
    for seed in range(2):
        torch.manual_seed(seed)
        settings = DiffusionSettings(width=8, coarse=8, embedding=8, decoder_blocks=1)
        members.append(Surrogate(Diffusion(Signature.of(Windows(store, 1, 1)), settings)))
    return Ensemble(members)


def test_what_is_explored_is_recorded_like_what_was_generated(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = experiment("stem", store, steps=2)
    assert made.simulator.settings == StemSettings(**OBLONG)  # type: ignore[arg-type]
    surrogate, seen = ensemble(store), []

    def explore(present):  # type: ignore[no-untyped-def]
        controller = made.explore(surrogate, present, np.random.default_rng(0))
        act = controller.act

        def blindfold(state, observation):  # type: ignore[no-untyped-def]
            """No truth is there to be looked at while controls are chosen."""
            with monkeypatch.context() as patched:
                for name in ("start", "image", "outcomes", "step"):
                    patched.setattr(StemSimulator, name, None)
                seen.append(observation)
                return act(state, observation)

        controller.act = blindfold  # type: ignore[method-assign]
        return controller

    recordings = made.run(explore, ["a", "b", "c"], np.random.default_rng(1))
    assert len(seen) == 2 and [ds.sizes["time"] for ds in recordings] == [3, 3, 3]
    for ds in recordings:
        silicon = locate(ds["frames"].values, ds["view"].values).silicon[:-1]
        controls = ds["controls"].values[:-1]
        assert (np.abs(controls[:, :2] - silicon) < 2.3).all(), "beams fall near the silicon"
        assert ((controls[:, 2] >= DWELL[0]) & (controls[:, 2] <= DWELL[1])).all()
        assert ds.attrs["source"].startswith(SOURCE)
    store.append(recordings)
    assert Windows(store, 1, 1).shape == (28, 36, 1) and len(Windows(store, 1, 1)) == 12


def test_an_action_costs_what_it_takes() -> None:
    made = StemExperiment()
    np.testing.assert_allclose(made.cost(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 10.0]])), [3.0, 12.0])
    assert made.seconds == ("dwell", 2.0)


def test_the_command_goes_round_and_goes_on(store: Store, tmp_path: Path) -> None:
    asked = ["improve", str(store.path), "--run", str(tmp_path / "loop"), "--steps", "2", "--batch", "2"]
    asked += ["--members", "2", "--actions", "1", "--recordings", "1", "--episodes", "1", "--target", "0.1"]
    asked += ["--rounds", "2", "--out", str(tmp_path / "rounds.nc")]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert "round 0: recorded 1 transitions more" in result.output and "round 1: 7 transitions" in result.output
    assert "not reached" in result.output and "also made the training data" in result.output
    with xr.open_dataset(tmp_path / "rounds.nc", engine="h5netcdf") as ds:
        assert ds["transitions"].values.tolist() == [6, 7]
    assert CliRunner().invoke(app, asked).output.count("recorded") == 0
    assert len(Store.open(store.path)) == 3


def test_what_cannot_be_explored_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="domain is 'gym'"):
        experiment("gym", store)
    with pytest.raises(SettingsError, match="holds nothing"):
        experiment("stem", Store.create(tmp_path / "empty"))
    with pytest.raises(SettingsError, match="steps is 0"):
        StemExperiment(steps=0)
