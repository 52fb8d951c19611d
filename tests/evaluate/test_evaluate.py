"""The table of a model: right numbers, baselines beside it, and what cannot be compared."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr

from sciworld.controls import Column, ColumnTable, ControlSpace
from sciworld.errors import ControlError, RecordingError, SettingsError
from sciworld.evaluate import baselines
from sciworld.evaluate import trial as module
from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
from sciworld.measures import pixels

FRAMES = 11  # of each recording


class Knowing:
    """A surrogate that gives the recordings' own frames, `off` above and below in turn; more under other controls."""

    def __init__(self, recordings: list[xr.Dataset], off: float = 1.0) -> None:
        self.recordings, self.off, self.space = recordings, off, toy.SPACE
        self.model = SimpleNamespace(
            context=2, signature=SimpleNamespace(channels=toy.CHANNELS, shape=(toy.Y, toy.X, 2))
        )

    def start(self, history: list[Any]) -> Any:
        return history[-1]

    def futures(self, state: Any, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        rows = []
        for frame, time, wanted in zip(state.frames, state.time, controls[:, 0], strict=True):
            at, ds = next(
                (int(place[0]), ds)
                for ds in self.recordings
                if len(place := np.flatnonzero(ds["time"].values == time))
                and np.array_equal(ds["frames"].values[place[0]], frame)
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


def test_baselines_are_always_there_and_are_what_they_say() -> None:
    held = recordings()
    found = evaluate(Knowing(held), held, fit=held[:2], settings=SHORT)  # type: ignore[arg-type]
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
    for wrong in (0.0, (1.0, 2.0, 3.0), float("nan")):
        with pytest.raises(SettingsError, match="data_range is"):
            evaluate(surrogate, held, settings=EvaluateSettings(steps=3, data_range=wrong))


def test_one_start_has_no_other_controls() -> None:
    held = recordings(2)
    found = evaluate(Knowing(held), held, settings=EvaluateSettings(steps=3, starts=1, samples=1))  # type: ignore[arg-type]
    assert np.isnan(found.rmse.sel(guess=module.SHUFFLED)).all() and np.isnan(found.spread_skill.values).all()


def test_what_cannot_be_evaluated_is_refused() -> None:
    held = recordings(2)
    surrogate: Any = Knowing(held)
    with pytest.raises(RecordingError, match="no recording has 30 steps"):
        evaluate(surrogate, held, settings=EvaluateSettings(steps=30))
    surrogate.space = ControlSpace(ColumnTable((Column("fan", "mm"),)))
    with pytest.raises(ControlError):
        evaluate(surrogate, held, settings=SHORT)
    for wrong in ({"steps": 0}, {"samples": 1.5}, {"starts": True}, {"seed": -1}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            EvaluateSettings(**wrong)  # type: ignore[arg-type]
