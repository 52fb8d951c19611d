"""Several runs on the same recordings, on a cluster in this process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr

from sciworld.errors import SettingsError
from sciworld.evaluate import runs
from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
from sciworld.evaluate.trial import MEAN
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training.run import Run
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

SHORT = EvaluateSettings(steps=2, starts=2, samples=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Run], Store]:
    folder = tmp_path_factory.mktemp("many")
    store = Store.create(folder / "store")
    store.append([toy.make(11, seed, f"session-{seed}") for seed in range(20)])
    runs = [
        train(store, folder / name, FitSettings(steps=2, batch=4, threads=1, seed=seed), progress=False)
        for seed, name in enumerate(("one", "other"))
    ]
    return runs, store


def test_runs_are_compared_on_what_none_of_them_saw(trained: tuple[list[Run], Store], threads: Any) -> None:
    runs, store = trained
    alone = [set(runs.held_out([run], store)[0].tolist()) for run in runs]
    assert alone[0] != alone[1] and all(len(numbers) == 2 for numbers in alone)
    chosen, seen, known = runs.held_out(runs, store)
    common = sorted(alone[0] & alone[1])
    assert chosen.tolist() == (common or list(range(20))) and known == bool(common)
    told: list[tuple[int, int]] = []
    found = runs.evaluate_runs([run.path for run in runs], store, SHORT, threads, progress=lambda *of: told.append(of))
    assert found.model.values.tolist() == ["one", "other"] and told == [(1, 2), (2, 2)]
    assert found.recording.values.tolist() == chosen.tolist()
    held, fitted = Selection(store, chosen), Selection(store, seen)
    for run in runs:
        same = evaluate(Surrogate(run.model()), held, fitted, SHORT)
        np.testing.assert_array_equal(found.rmse.sel(model=run.path.name), same.rmse)
    assert not found.rmse.sel(guess=MEAN, model="one").equals(found.rmse.sel(guess=MEAN, model="other"))
    table = runs.to_table(found, "rmse")
    assert [row[0] for row in table.rows[:3]] == ["one", "other", "persistence"]
    assert table.columns[1:] == ("smoke (counts)", "heat (K)")
    xr.testing.assert_identical(xr.load_dataset(bytes(found.to_netcdf(engine="h5netcdf")), engine="h5netcdf"), found)


def test_runs_of_one_name_and_odd_measures_are_refused(trained: tuple[list[Run], Store]) -> None:
    runs, store = trained
    with pytest.raises(SettingsError, match="runs are called one, one"):
        runs.evaluate_runs([runs[0].path, runs[0].path], store)
    with pytest.raises(SettingsError, match="called nothing"):
        runs.evaluate_runs([], store)
    with pytest.raises(SettingsError, match="measure is 'beauty'"):
        runs.to_table(xr.Dataset(), "beauty")
