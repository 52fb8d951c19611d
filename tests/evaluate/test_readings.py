"""What is read from guesses: physics, what fails, answers to controls, and controls read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr
from test_evaluate import SHORT, Knowing, recordings

from sciworld.controls import Column, ColumnTable
from sciworld.domains import base
from sciworld.errors import SettingsError
from sciworld.evaluate.baselines import LINEAR, PERSISTENCE
from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
from sciworld.evaluate.readings import ControlReader, _small, physics_of, recovered, responses
from sciworld.evaluate.references import References
from sciworld.evaluate.trial import MEAN, ONE, SHUFFLED, SOURCES, TRUTH, Trial


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> EvaluateSettings:
    monkeypatch.setitem(base.DOMAINS, "toy", "toy:DOMAIN")
    return EvaluateSettings(steps=3, starts=2, samples=4)


def test_physics_of_a_model_that_knows_is_the_truth(domain: EvaluateSettings) -> None:
    held = recordings()
    found = evaluate(Knowing(held, 0.0), held, References.fit(held, "toy"), domain)  # type: ignore[arg-type]
    assert found.physics.dims == ("source", "recording", "start", "step", "quantity")
    assert found.quantity.values.tolist() == ["blob_x", "smoke", "went", "fan"]
    assert found.quantity_units.values.tolist() == ["mm", "counts", "1", "mm"]
    np.testing.assert_allclose(found.physics.sel(source=MEAN), found.physics.sel(source=TRUTH), atol=1e-4)
    np.testing.assert_allclose(found.physics_error.sel(guess=MEAN), 0, atol=1e-4)
    assert float(found.physics_error.sel(guess=PERSISTENCE, quantity="blob_x").mean()) > 0.01
    # 80 counts more under other controls, all over the frame: more smoke than there was.
    more = found.physics.sel(source=SHUFFLED, quantity="smoke") - found.physics.sel(source=TRUTH, quantity="smoke")
    np.testing.assert_allclose(more, 10 * toy.Y * toy.X, rtol=1e-3)
    assert float(found.fails.sel(source=TRUTH, quantity="blob_x").sum()) == 0
    assert np.isnan(found.fails.sel(quantity="went")).all() and (found.attrs["rates"]) == '[["fan", "went"]]'
    # The mean of 0 or 1 over the samples is a probability.
    assert set(np.unique(found.physics.sel(source=ONE, quantity="went"))) <= {0.0, 1.0}
    written = xr.load_dataset(bytes(found.to_netcdf(engine="h5netcdf")), engine="h5netcdf")
    xr.testing.assert_identical(written.physics, found.physics)


def trial_of(truth: np.ndarray, ensembles: dict[str, np.ndarray]) -> Trial:
    n, steps = truth.shape[:2]
    return Trial(
        np.arange(n), np.ones((n, steps)), np.tile(toy.VIEW, (n, 1)), np.zeros((n, steps, 3)), truth[:, 0].copy(),
        truth, ensembles,
    )  # fmt: skip


def test_a_sample_fails_beyond_bounds_and_where_only_the_truth_is_read() -> None:
    truth = np.stack([toy.make(4, seed)["frames"].values[1:] for seed in range(2)]).astype(float)
    fine, faint, lost = truth.copy(), 1e-3 * truth, np.full_like(truth, np.nan)
    values, fails = physics_of(
        trial_of(truth, {MEAN: np.stack([fine, fine, faint, lost]), ONE: lost[None]}), toy.Blob()
    )
    quantity = toy.Blob.quantities.names.index("smoke")
    np.testing.assert_array_equal(fails[SOURCES.index(TRUTH), ..., quantity], 0)
    np.testing.assert_array_equal(fails[SOURCES.index(MEAN), ..., quantity], 0.5)  # faint, and without smoke
    np.testing.assert_array_equal(fails[SOURCES.index(MEAN), ..., 0], 0.25)  # the lost blob is nowhere
    assert np.isnan(fails[SOURCES.index(LINEAR)]).all() and np.isnan(values[SOURCES.index(ONE), ..., 0]).all()
    blank = trial_of(lost, {MEAN: truth[None]})
    assert np.isnan(physics_of(blank, toy.Blob())[1][..., 0]).all()  # nobody knows what it should have been


def test_responses_are_rank_correlations_over_all_steps() -> None:
    rng = np.random.default_rng(0)
    controls = rng.normal(size=(5, 2, 3, 2))
    values = np.stack([np.exp(controls), -controls])[..., :1]
    values[0, 0, 0, 0] = np.nan
    found = responses(values, controls, ColumnTable((Column("a", "1"), Column("b", "1"))))
    assert found.shape == (2, 2, 1)
    np.testing.assert_allclose(found[:, 0, 0], [1, -1])
    assert np.abs(found[:, 1]).max() < 0.6
    modes = ColumnTable((Column("a", "rad", kind="angle"), Column("b", "1", kind="categorical", levels=("x", "y"))))
    assert np.isnan(responses(values, controls, modes)).all()  # which have no order


def moved(seed: int, push: np.ndarray | None = None) -> xr.Dataset:
    """A recording whose brightness follows its first control."""
    ds = toy.make(30, seed)
    rng = np.random.default_rng(seed)
    ds["controls"].values[:-1, 0] = rng.uniform(0, toy.WIDTH, 29)
    total = np.concatenate([[0], np.cumsum(ds["controls"].values[:-1, 0])])
    ds["frames"].values[:] = (total[:, None, None, None] * np.arange(1, toy.X + 1)[:, None] / toy.X).astype(np.float32)
    return ds


def test_controls_are_read_back_from_what_they_do() -> None:
    held = [moved(seed) for seed in range(4)]
    reader = ControlReader.fit(held)
    assert reader is not None
    ds = moved(9)
    window = 3 + np.arange(12)
    truth = ds["frames"].values[None, window + 1].astype(float)
    trial = trial_of(truth, {MEAN: truth[None], PERSISTENCE: np.zeros_like(truth)[None]})
    trial.present[:] = ds["frames"].values[3]
    controls = ds["controls"].values[window]
    found = recovered(controls, toy.CONTROLS, {name: reader(trial, name) for name in (TRUTH, PERSISTENCE)})
    assert found[SOURCES.index(TRUTH), 0] > 0.99 > 0.2 > found[SOURCES.index(PERSISTENCE), 0]
    assert np.isnan(found[SOURCES.index(LINEAR)]).all()
    # Unknown pixels are taken for their mean: worse, but no NaN.
    trial.truth[:, :, 2, 3] = np.nan
    assert np.isfinite(reader(trial, TRUTH)).all()


def test_pairs_across_a_moved_view_teach_nothing() -> None:
    held = [moved(seed) for seed in range(4)]
    for ds in held:  # a wild frame, seen through another view
        ds["frames"].values[15] = 1e5
        ds["view"].values[15] += 1.0
    reader = ControlReader.fit(held)
    assert reader is not None
    ds = moved(9)
    window = 3 + np.arange(12)
    truth = ds["frames"].values[None, window + 1].astype(float)
    trial = trial_of(truth, {MEAN: truth[None]})
    trial.present[:] = ds["frames"].values[3]
    found = recovered(ds["controls"].values[window], toy.CONTROLS, {TRUTH: reader(trial, TRUTH)})
    assert found[SOURCES.index(TRUTH), 0] > 0.99


def test_what_was_not_controlled_is_not_read_back() -> None:
    unknown = toy.make()
    unknown["controls"].values[:] = np.nan
    assert ControlReader.fit([unknown]) is None
    found = evaluate(Knowing(held := recordings(2)), held, settings=SHORT)  # type: ignore[arg-type]
    assert (
        found.recoverability.dims == ("source", "control") and np.isfinite(found.recoverability.sel(source=TRUTH)).any()
    )


def test_large_frames_are_averaged_over_blocks() -> None:
    frames = np.arange(130 * 100, dtype=float).reshape(1, 130, 100, 1)
    small = _small(frames)
    assert small.shape == (1, 65, 50, 1)
    assert small[0, 1, 2, 0] == frames[0, 2:4, 4:6, 0].mean()
    np.testing.assert_array_equal(_small(frames[:, :8, :12]), frames[:, :8, :12])


def test_an_unknown_domain_is_refused() -> None:
    with pytest.raises(SettingsError, match="no domain 'gas'"):
        References.fit(recordings(1), "gas")
    held: Any = recordings(1)
    assert "physics" not in evaluate(Knowing(held), held, settings=SHORT)  # type: ignore[arg-type]
