"""The table of a model: right numbers, baselines beside it, and what cannot be compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr

from sciworld import lazy
from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.errors import ControlError, RecordingError, SettingsError
from sciworld.evaluate import baselines
from sciworld.evaluate import trial as module
from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
from sciworld.evaluate.references import References
from sciworld.measures import pixels
from sciworld.store import Store

FRAMES = 11  # of each recording


class Knowing:
    """A surrogate that gives the recordings' own frames, `off` above and below in turn; more under other controls."""

    def __init__(self, recordings: list[xr.Dataset], off: float = 1.0) -> None:
        self.recordings, self.off, self.space = recordings, off, toy.SPACE
        self.texts: list[Any] = []
        self.model = SimpleNamespace(
            context=2,
            signature=SimpleNamespace(
                channels=toy.CHANNELS, covariates=ColumnTable(()), shape=(toy.Y, toy.X, 2), scale=(1.0, 1.0)
            ),
        )

    def start(self, history: list[Any], covariates: Any = None, text: Any = None) -> Any:
        self.texts.append(text)
        return history[-1]

    def futures(self, state: Any, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        rows = []
        for frame, time, wanted in zip(state.frames, state.time, controls[:, 0], strict=True):
            at, ds = next(
                (int(place[0]), ds)
                for ds in self.recordings
                if len(place := np.flatnonzero(ds["time"].values == time))
                and np.array_equal(ds["frames"].values[place[0]], frame, equal_nan=True)
            )
            steps = len(wanted)
            known = np.array_equal(ds["controls"].values[at : at + steps], wanted)
            truth = ds["frames"].values[at + 1 : at + 1 + steps] + (0 if known else 10)
            signs = np.resize([1.0, -1.0], samples)[:, None, None, None, None]
            rows.append((truth + self.off * signs)[None])
        return np.stack(rows)


def recordings(n: int = 3) -> list[xr.Dataset]:
    return [toy.make(seed=seed) for seed in range(n)]


SHORT = EvaluateSettings(steps=3, starts=2, samples=4)


def test_a_model_that_knows_is_right_and_its_samples_are_off() -> None:
    held = recordings()
    done: list[tuple[int, int]] = []
    found = evaluate(Knowing(held), held, settings=SHORT, progress=lambda *told: done.append(told))  # type: ignore[arg-type]
    assert {"guess": 7, "source": 8, "recording": 3, "step": 3, "channel": 2}.items() <= found.sizes.items()
    np.testing.assert_allclose(found.rmse.sel(guess=module.MEAN), 0, atol=1e-9)
    np.testing.assert_allclose(found.rmse.sel(guess=module.ONE), 1, atol=1e-5)
    np.testing.assert_allclose(found.rmse.sel(guess=module.SHUFFLED), 10, atol=1e-4)
    # Four samples at 1 and -1 about the truth: mean distance 1, mean distance of pairs 4/3, half of that.
    np.testing.assert_allclose(found.crps.sel(guess=module.MEAN), 1 - 2 / 3, atol=1e-5)
    np.testing.assert_allclose(found.crps.sel(guess=module.SHUFFLED), 10 - 2 / 3, atol=1e-4)
    assert (
        done == [(1, 3), (2, 3), (3, 3)] and found.attrs["baselines_fitted_on"] == "the evaluated recordings themselves"
    )
    assert found.rmse.attrs["units"] == "counts, K" and found.psnr.attrs["units"] == "dB"
    assert found.channel_units.values.tolist() == ["counts", "K"]
    assert found.session.values.tolist() == [ds.attrs["session"] for ds in held]


def test_a_model_is_told_the_description_of_each_recording() -> None:
    held = recordings()
    held[1].attrs["description"] = "a fan in a box"
    surrogate = Knowing(held)
    evaluate(surrogate, held, settings=SHORT)  # type: ignore[arg-type]
    assert surrogate.texts == [None, "a fan in a box", None]


def test_baselines_are_always_there_and_are_what_they_say() -> None:
    held = recordings()
    found = evaluate(Knowing(held), held, References.fit(held[:2]), SHORT)  # type: ignore[arg-type]
    assert found.attrs["baselines_fitted_on"] == "other recordings"
    frames = held[1]["frames"].values.astype(float)
    starts = [1, FRAMES - 4]
    expected = np.mean([pixels.rmse(frames[s + 2, ..., 0], frames[s, ..., 0]) for s in starts])
    assert found.rmse.sel(guess=baselines.PERSISTENCE).values[1, 1, 0] == pytest.approx(expected)
    mean = np.concatenate([ds["frames"].values for ds in held[:2]]).mean(axis=0, dtype=np.float64)
    expected = np.mean([pixels.rmse(frames[s + 1, ..., 1], mean[..., 1]) for s in starts])
    assert found.rmse.sel(guess=baselines.CLIMATOLOGY).values[1, 0, 1] == pytest.approx(expected)
    assert np.isfinite(found.rmse.values).all()


def test_ranges_come_from_bounds_or_are_stated_or_unknown() -> None:
    held = recordings(2)
    surrogate: Any = Knowing(held)
    unknown = evaluate(surrogate, held, settings=SHORT)
    assert np.isnan(unknown.psnr.values).all()
    stated = evaluate(surrogate, held, settings=EvaluateSettings(steps=3, starts=2, samples=4, data_range=(10.0, 20.0)))
    np.testing.assert_allclose(stated.psnr.sel(guess=module.ONE).values[..., 0], 20, atol=1e-3)
    np.testing.assert_allclose(stated.psnr.sel(guess=module.ONE).values[..., 1], 20 * np.log10(20), atol=1e-3)
    assert np.isnan(stated.ssim.values).all()  # 8 x 12 pixels have no window
    bounded = ColumnTable((Column("smoke", "counts", 0.0, 10.0), Column("heat", "K", 0.0, 20.0)))
    surrogate.model.signature.channels = bounded
    xr.testing.assert_equal(evaluate(surrogate, held, settings=SHORT).psnr, stated.psnr)
    with pytest.raises(SettingsError, match="data_range is"):
        evaluate(surrogate, held, settings=EvaluateSettings(steps=3, data_range=(1.0, 2.0, 3.0)))
    for wrong in (0.0, float("nan"), (1.0, -2.0), "wide", True, 10**400):
        with pytest.raises(SettingsError, match="data_range is"):
            EvaluateSettings(steps=3, data_range=wrong)  # type: ignore[arg-type]


def test_other_controls_are_those_of_another_recording() -> None:
    held = recordings(2)
    settings = EvaluateSettings(steps=3, starts=1, samples=1)
    found = evaluate(Knowing(held), held, settings=settings)  # type: ignore[arg-type]
    assert np.isfinite(found.rmse.sel(guess=module.SHUFFLED)).all() and np.isnan(found.spread_skill.values).all()
    alone = evaluate(Knowing(held), held[:1], settings=settings)  # type: ignore[arg-type]
    assert np.isnan(alone.rmse.sel(guess=module.SHUFFLED)).all()  # neither another recording nor another start
    # Controls that are held through each recording differ between recordings, not between starts.
    for place, ds in enumerate(held):
        ds["controls"].values[:-1] = [1.0 + place, 2.0, 1.0]
    found = evaluate(Knowing(held), held, settings=SHORT)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.control_gain, 10, atol=1e-4)
    for ds in held:
        ds["controls"].values[:-1] = [1.0, 2.0, 1.0]
    assert np.isnan(evaluate(Knowing(held), held, settings=SHORT).control_gain).all()  # type: ignore[arg-type]


def test_what_cannot_be_evaluated_is_refused() -> None:
    held = recordings(2)
    surrogate: Any = Knowing(held)
    with pytest.raises(RecordingError, match="no recording has 30 steps"):
        evaluate(surrogate, held, settings=EvaluateSettings(steps=30))
    surrogate.space = ControlSpace(ColumnTable((Column("fan", "mm"),)))
    with pytest.raises(ControlError):
        evaluate(surrogate, held, settings=SHORT)
    for wrong in ({"steps": 0}, {"samples": 1.5}, {"starts": True}, {"seed": -1}, {"least": -1.0}, {"context": 0}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            EvaluateSettings(**wrong)  # type: ignore[arg-type]


def test_control_gain_and_the_rest_of_a_model_follow_from_its_guesses() -> None:
    held = recordings()
    settings = EvaluateSettings(steps=4, starts=2, samples=4, data_range=100.0)
    found = evaluate(Knowing(held), held, settings=settings)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.control_gain, 10, atol=1e-4)
    assert np.isinf(found.delta_psnr).all()  # the mean of its samples is right to the bit
    # A truth amid samples at 1 and -1 about it has rank 2 of 0 to 4.
    assert found.ranks.values[..., 2].sum() == found.ranks.values.sum() == 3 * 4 * 2 * 2 * toy.Y * toy.X
    # One sample at 1 from the truth, the next at -1, the one under other controls at 11.
    np.testing.assert_allclose(found.counterfactual_divergence, 10 / 2, rtol=1e-4)
    seconds = [np.mean([ds["time"].values[s + 4] - ds["time"].values[s] for s in (1, FRAMES - 5)]) for ds in held]
    np.testing.assert_allclose(found.correlation_time.sel(guess=module.MEAN, channel="smoke"), seconds)
    np.testing.assert_allclose(found.energy_score.sel(guess=module.ONE), np.sqrt(toy.Y * toy.X), rtol=1e-5)
    assert found.power.attrs == {} and found.wavenumber.attrs["units"] == "rad/pixel"
    np.testing.assert_allclose(found.spectral_error.sel(guess=module.MEAN), 0, atol=1e-6)


def test_channels_in_other_units_are_refused() -> None:
    held = recordings(2)
    surrogate: Any = Knowing(held)
    surrogate.model.signature.channels = ColumnTable((Column("smoke", "counts"), Column("heat", "mK")))
    with pytest.raises(RecordingError, match=r"heat \(K\), the model's are smoke \(counts\), heat \(mK\)"):
        evaluate(surrogate, held, settings=SHORT)


def test_of_a_store_only_the_frames_that_are_compared_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = recordings(2)
    store = Store.create(tmp_path / "store")
    store.append(held)
    asked: list[tuple[int, ...]] = []
    read = lazy._Lazy._checked

    def seen(self: Any, key: Any) -> np.ndarray:
        found = read(self, key)
        asked.append(found.shape)
        return found

    monkeypatch.setattr(lazy._Lazy, "_checked", seen)
    settings = EvaluateSettings(steps=2, starts=1, samples=2)
    found = evaluate(Knowing(held), store, References.fit(held), settings)  # type: ignore[arg-type]
    assert max(shape[0] for shape in asked) == 2  # context or steps, never all eleven
    xr.testing.assert_identical(found, evaluate(Knowing(held), held, References.fit(held), settings))  # type: ignore[arg-type]


def test_unknown_pixels_make_their_measures_unknown_and_no_others(recwarn: Any) -> None:
    held = recordings()
    for ds in held:
        ds["frames"].values[:, 3, 4, 1] = np.nan
    found = evaluate(Knowing(held), held, settings=SHORT)  # type: ignore[arg-type]
    assert np.isnan(found.spectral_error.sel(channel="heat")).all()  # of a field that is not known everywhere
    assert np.isfinite(found.spectral_error.sel(channel="smoke", guess=baselines.PERSISTENCE)).any()
    assert np.isfinite(found.vrmse).all()  # of the pixels that are known
    still = found.rmse.sel(channel="heat", guess=baselines.PERSISTENCE)
    assert np.isfinite(still).all()  # of the pixels that are known
    np.testing.assert_allclose(found.crps.sel(channel="heat", guess=module.MEAN), 1 - 2 / 3, atol=1e-4)
    assert not recwarn.list


def test_constant_frames_have_documented_answers() -> None:
    held = recordings(2)
    for ds in held:
        ds["frames"].values[:] = 7.0
    found = evaluate(Knowing(held, 0.0), held, settings=EvaluateSettings(steps=3, starts=2, data_range=10.0))  # type: ignore[arg-type]
    assert (found.rmse.sel(guess=module.MEAN) == 0).all() and np.isinf(found.psnr.sel(guess=module.MEAN)).all()
    assert np.isnan(found.correlation.sel(guess=module.MEAN)).all()  # nothing varies
    assert np.isnan(found.rmse_moving).all() and np.isnan(found.spectral_error).all()
    assert np.isnan(found.correlation_time.sel(guess=module.MEAN)).all()
