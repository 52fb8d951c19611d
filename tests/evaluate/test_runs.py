"""Several runs on the same recordings, on a cluster in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr

from sciworld.errors import RecordingError, SettingsError
from sciworld.evaluate import runs
from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
from sciworld.evaluate.references import References
from sciworld.evaluate.table import number
from sciworld.evaluate.trial import MEAN
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training import train as training
from sciworld.training.run import Run
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

SHORT = EvaluateSettings(steps=2, starts=2, samples=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Run], Store]:
    folder = tmp_path_factory.mktemp("many")
    store = Store.create(folder / "store")
    store.append([toy.make(11, seed, f"session-{seed}") for seed in range(20)])
    made = [
        train(store, folder / name, FitSettings(steps=2, batch=4, threads=1, seed=seed), progress=False)
        for seed, name in enumerate(("one", "other"))
    ]
    return made, store


def test_runs_are_compared_on_what_none_of_them_saw(trained: tuple[list[Run], Store], threads: Any) -> None:
    made, store = trained
    held = runs.held_out(made, store)
    own, left_out = runs.held_out(made[:1], store), sorted(set(store.split((0.1, 0.9), 0)[0].indices.tolist()))
    assert held.known and held.new.indices.tolist() == own.new.indices.tolist() == left_out and len(left_out) == 2
    assert sorted([*held.seen.indices, *left_out]) == list(range(20))
    told: list[tuple[int, int]] = []
    found = runs.evaluate_runs(
        [run.path for run in made], store, "", SHORT, threads, progress=lambda *of: told.append(of)
    )
    assert found.model.values.tolist() == ["one", "other"] and told == [(1, 2), (2, 2)]
    assert found.recording.values.tolist() == left_out
    assert found.attrs["seen"] == "no" and found.attrs["baselines_fitted_on"] == "other recordings"
    references = References.fit(Selection(store, np.setdiff1d(np.arange(20), left_out)))
    for run in made:
        same = evaluate(Surrogate(run.model()), held.new, references, SHORT)
        np.testing.assert_array_equal(found.rmse.sel(model=run.path.name), same.rmse)
    assert not found.rmse.sel(guess=MEAN, model="one").equals(found.rmse.sel(guess=MEAN, model="other"))
    table = runs.to_table(found, "rmse")
    assert [row[0] for row in table.rows[:3]] == ["one", "other", "persistence"]
    last = found.rmse.isel(step=-1).mean("recording")
    expected = [last.sel(model="other", guess=MEAN), last.sel(model="one", guess="persistence")]
    assert [table.rows[1][1], table.rows[2][2]] == [number(float(expected[0][0])), number(float(expected[1][1]))]
    assert [row[0] for row in runs.to_table(found, "control_gain").rows] == ["one", "other"]
    assert table.columns[1:] == ("smoke (counts)", "heat (K)")
    xr.testing.assert_identical(xr.load_dataset(bytes(found.to_netcdf(engine="h5netcdf")), engine="h5netcdf"), found)


def test_runs_that_left_out_other_recordings_each_have_none_in_common(
    trained: tuple[list[Run], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, store = trained
    with monkeypatch.context() as patch:  # as earlier versions did, by the seed of the training
        patch.setattr(training, "SPLIT", 3)
        other = train(store, tmp_path / "third", FitSettings(steps=2, batch=4, threads=1, seed=3), progress=False)
    assert not set(runs.held_out([other], store).new.indices) & set(runs.held_out(made, store).new.indices)
    with pytest.raises(RecordingError, match="none is new to all 3 runs, each of which left out others"):
        runs.held_out([*made, other], store)
    elsewhere = Store.create(tmp_path / "elsewhere")
    elsewhere.append([toy.make(11, seed) for seed in range(30, 33)])
    unknown = runs.held_out(made, elsewhere)
    assert not unknown.known and len(unknown.new) == len(unknown.seen) == 3
    found = unknown.evaluate(Surrogate(made[0].model()), unknown.references(), SHORT)
    assert found.attrs["baselines_fitted_on"] == "the evaluated recordings themselves"
    assert found.attrs["seen"] == runs.UNKNOWN


def test_models_of_other_contexts_are_measured_from_the_same_frames(
    trained: tuple[list[Run], Store], tmp_path: Path, threads: Any
) -> None:
    made, store = trained
    fitting = FitSettings(steps=1, batch=4, threads=1)
    longer = train(store, tmp_path / "longer", fitting, preset="small", progress=False)
    assert (made[0].model().context, longer.model().context) == (1, 2)
    found = runs.evaluate_runs([made[0].path, longer.path], store, "", SHORT, threads)
    first, second = found.start_frame.transpose("model", "recording", "start").values
    np.testing.assert_array_equal(first, second)
    assert first.min() == 1  # the first frame that has one before it
    still = found.rmse.sel(guess="persistence")
    np.testing.assert_array_equal(still.isel(model=0), still.isel(model=1))


def test_runs_of_one_name_and_odd_measures_are_refused(trained: tuple[list[Run], Store]) -> None:
    made, store = trained
    with pytest.raises(SettingsError, match="runs are called one, one"):
        runs.evaluate_runs([made[0].path, made[0].path], store)
    with pytest.raises(SettingsError, match="called nothing"):
        runs.evaluate_runs([], store)
    with pytest.raises(SettingsError, match="measure is 'beauty'"):
        runs.to_table(xr.Dataset(), "beauty")
