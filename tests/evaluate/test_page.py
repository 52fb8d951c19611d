"""The page of an evaluation has its parts, and tells the best from the worst."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import toy
import xarray as xr

from sciworld.controls import ColumnTable
from sciworld.evaluate import page
from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings


def found_of(values: np.ndarray) -> xr.Dataset:
    """A Dataset of `evaluate` whose model has these RMSEs (recording,), persistence 2."""
    held = [toy.make(seed=seed) for seed in range(len(values))]

    class Still:
        space = toy.SPACE

        class model:  # noqa: N801
            context = 1

            class signature:  # noqa: N801
                channels, covariates = toy.CHANNELS, ColumnTable(())
                shape = (toy.Y, toy.X, 2)
                scale = (1.0, 1.0)

        def start(self, history: Any, covariates: Any = None, text: Any = None) -> Any:
            return history[-1].frames

        def futures(self, state: Any, controls: np.ndarray, samples: int, rng: Any) -> np.ndarray:
            shape = (len(state), 1, samples, controls.shape[2], *state.shape[1:])
            return np.broadcast_to(state[:, None, None, None], shape)

    found = evaluate(Still(), held, settings=EvaluateSettings(steps=2, starts=2, samples=2))  # type: ignore[arg-type]
    found.rmse.values[0], found.rmse.values[3] = values[:, None, None], 2.0
    return found


def test_best_worst_and_covariates_are_by_the_ratio_to_persistence() -> None:
    found = found_of(np.array([1.0, 4.0, 0.5, 2.0]))
    ratio = page._ratio(found)
    np.testing.assert_allclose(ratio, [0.5, 2.0, 0.25, 1.0])
    section = page._recordings(found, ratio)
    assert [row[0] for row in section.items[0].rows] == [f"{k} (session-{k})" for k in (2, 0, 3, 1)]
    (covariates,) = page._covariates(found, ratio)
    assert len(covariates.items[0].rows) == 4 and covariates.items[0].columns[0].startswith("size (")
    found["covariate_size"].values[:] = 1.0
    assert page._covariates(found, ratio) == []


def test_the_page_of_a_trained_model(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "store")
    store.append([toy.make(2 if seed == 2 else 11, seed, "one session") for seed in range(6)])  # the third is too short
    run = train(store, tmp_path / "run", FitSettings(steps=3, batch=4, threads=1), progress=False)
    surrogate = Surrogate(run.model())
    found = evaluate(surrogate, store, settings=EvaluateSettings(steps=2, starts=2, samples=2))
    assert found.recording.values.tolist() == [0, 1, 3, 4, 5]
    written = page.write(tmp_path / "page.html", found, surrogate, store).read_text()
    for heading in ("By step", "By recording", "By covariate", "Best and worst"):
        assert f"<h2>{heading}</h2>" in written
    worst = int(found.recording.values[np.argmax(page._ratio(found))])
    assert f"worst: recording {worst} (one session), from frame" in written
    assert "rmse of smoke" in written and "crps of heat" in written and "control-blind" in written
