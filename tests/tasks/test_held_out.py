"""Held-out recordings judge what was promised of their own controls."""

from __future__ import annotations

import numpy as np
import pytest
import toy
import xarray as xr
from toy_model import tiny

from sciworld.errors import RecordingError, SearchError
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.held_out import JUDGE, held_out_verdict


class Right(Surrogate):
    """Imagines what was recorded, give or take `noise`."""

    def __init__(self, recordings: list[xr.Dataset], noise: float, shift: float = 0.0) -> None:
        super().__init__(tiny(), evaluations=1)
        self.recordings, self.noise, self.shift = recordings, noise, shift

    def futures(self, state, controls, samples, rng):
        seen, time = state.observation.frames[0], state.observation.time[0]
        for ds in self.recordings:
            for k, frame in enumerate(ds["frames"].values):
                if np.array_equal(frame, seen) and ds["time"].values[k] == time:
                    true = ds["frames"].values[k + 1 : k + 1 + controls.shape[2]]
        chance = rng.normal(self.shift, self.noise, (1, 1, samples, controls.shape[2], 1, 1, 1))
        return (true[None, None, None] + chance).astype(np.float32)


def heat(futures: xr.DataArray, controls: xr.DataArray) -> xr.DataArray:
    return futures.sel(channel="heat").mean(("time", "y", "x"))


RECORDINGS = [toy.make(seed=k, session=f"s{k}") for k in range(6)]


def test_a_right_surrogate_keeps_its_promises_and_a_shifted_one_does_not() -> None:
    right = held_out_verdict(Right(RECORDINGS, 0.2), RECORDINGS, heat, 3, units="K")
    assert right.promise.shape == (6, 4) and right.judge == JUDGE and right.made_training_data is False
    summary = right.summary()
    assert abs(summary["optimism"].value) < 0.05 and summary["success"].value == 1
    assert right.actions.tolist() == [12] * 6 and (right.seconds > 6).all()
    assert right.calibration().rank_correlation > 0.3
    shifted = held_out_verdict(Right(RECORDINGS, 0.2, shift=2.0), RECORDINGS, heat, 3, units="K")
    assert shifted.summary()["success"].value == 0 and shifted.summary()["optimism"].value == pytest.approx(2, abs=0.1)
    assert any("promises more than comes true" in line and "K" in line for line in shifted.warnings())


def test_the_truth_is_that_of_the_recording() -> None:
    found = held_out_verdict(Right(RECORDINGS[:1], 0.1), RECORDINGS[:1], heat, 2, starts=1)
    assert found.outcome[0, 0] == pytest.approx(RECORDINGS[0]["frames"].values[1:3, ..., 1].mean(), abs=1e-3)


def test_recordings_too_short_are_refused() -> None:
    with pytest.raises(RecordingError, match="no recording has 40 steps"):
        held_out_verdict(Right(RECORDINGS, 0.1), RECORDINGS, heat, 40)


def test_recordings_that_tell_nothing_are_left_out_and_certain_models_are_refused() -> None:
    """Neither a short recording nor a mean without a spread is a broken promise."""
    short = [ds.isel(time=slice(0, 3)).assign_attrs(session=f"short{k}") for k, ds in enumerate(RECORDINGS[:2])]
    found = held_out_verdict(Right(RECORDINGS, 0.2), [*short, *RECORDINGS], heat, 3, units="K")
    assert found.success.tolist() == [True] * 6 and len(found.actions) == len(found.dose) == 6
    with pytest.raises(RecordingError, match="learned nothing of chance"):
        held_out_verdict(Right(RECORDINGS, 0.0, shift=1e-4), RECORDINGS, heat, 3)


def test_an_objective_that_fails_is_not_passed_over() -> None:
    """A verdict on the starts that could be scored would look better than it is."""

    def fails(futures: xr.DataArray, controls: xr.DataArray) -> xr.DataArray:
        raise ValueError("my own fault")

    def now_and_then(futures: xr.DataArray, controls: xr.DataArray) -> xr.DataArray:
        found = heat(futures, controls)
        return found.where(found < RECORDINGS[0]["frames"].values[..., 1].mean())

    with pytest.raises(SearchError, match=r"24 of 24 starts .* ValueError: my own fault"):
        held_out_verdict(Right(RECORDINGS, 0.2), RECORDINGS, fails, 3)
    with pytest.raises(SearchError, match=r"\d+ of 24 starts got no score; of the objective: it returned NaN"):
        held_out_verdict(Right(RECORDINGS, 0.2), RECORDINGS, now_and_then, 3)
