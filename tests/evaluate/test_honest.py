"""What would flatter a model, or hide what it does not know, does not pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr
from test_evaluate import SHORT, Knowing, recordings

from sciworld.controls import Column, ColumnTable
from sciworld.domains import base
from sciworld.errors import RecordingError
from sciworld.evaluate import baselines, page_heed
from sciworld.evaluate.evaluate import EvaluateSettings, evaluate, means, to_table
from sciworld.evaluate.references import References
from sciworld.evaluate.trial import LINEAR, MEAN, ONE, PERSISTENCE, SHUFFLED, TRUTH, Others, Span, _together
from sciworld.simulator import Observation


class Diverging(Knowing):
    """Right, but lost in the second step from the first start of each recording, in one pixel."""

    def futures(self, state: Any, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        found = super().futures(state, controls, samples, rng)
        found[0, :, 0, 1, 2, 3] = np.inf
        return found


def test_a_guess_that_is_lost_has_no_measure_and_is_named() -> None:
    held = recordings()
    found = evaluate(Diverging(held), held, settings=SHORT)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.lost.sel(guess=MEAN).isel(recording=0), [0, 0.5, 0])
    assert np.isnan(found.rmse.sel(guess=MEAN, step=2)).all() and np.isfinite(found.rmse.sel(guess=MEAN, step=1)).all()
    assert (
        np.isnan(found.correlation_time.sel(guess=MEAN)).all() and np.isfinite(found.rmse.sel(guess=PERSISTENCE)).all()
    )
    one = found.copy(deep=True)
    one.lost[:], one.lost[{"guess": 0, "recording": 1, "step": 1}] = 0.0, 0.5
    one.rmse[:] = 1.0
    assert np.isnan(means(one, "rmse").sel(guess=MEAN, step=2)).all()  # lost in one recording, it has no mean
    assert (means(one, "rmse").sel(guess=MEAN, step=1) == 1).all()
    table = to_table(found, "rmse")
    assert "Not finite somewhere, and so without a mean: model, model, one sample" in table.caption


def test_references_of_another_kind_are_refused() -> None:
    held = recordings()
    others = [ds.copy(deep=True) for ds in held]
    for ds in others:
        ds["view"].attrs["units"] = "m"
        table = ColumnTable(tuple(Column(c.name, "m" if c.units == "mm" else c.units, c.low, c.high, kind=c.kind,
                                         levels=c.levels, group=c.group, axis=c.axis, frame=c.frame)
                                  for c in toy.CONTROLS))  # fmt: skip
        ds["controls"].attrs["columns"] = table.to_json()
    with pytest.raises(RecordingError, match=r"fan_x.*mm.*those that baselines were fitted on .*fan_x"):
        evaluate(Knowing(held), held, References.fit(others), SHORT)  # type: ignore[arg-type]
    with pytest.raises(RecordingError):
        References.fit([held[0], others[1]])


def test_the_mean_psnr_is_of_the_squared_errors() -> None:
    held = recordings(1)
    held[0]["frames"].values[1:5] = held[0]["frames"].values[1]  # nothing moves after the first start
    held[0]["frames"].values[9] += 3.0
    settings = EvaluateSettings(steps=2, starts=2, samples=1, data_range=50.0)
    found = evaluate(Knowing(held), held, settings=settings)  # type: ignore[arg-type]
    still = found.sel(guess=PERSISTENCE).isel(recording=0, channel=0)
    starts = found.start_frame.values[0].astype(int)
    frames = held[0]["frames"].values[..., 0].astype(float)
    errors = [((frames[s + 1] - frames[s]) ** 2).mean() for s in starts]
    assert errors[0] == 0 < errors[1]
    assert float(still.psnr[0]) == pytest.approx(10 * np.log10(50.0**2 / np.mean(errors)))


def test_covariates_in_several_units_are_refused() -> None:
    held = recordings(2)
    held[1]["covariates"].attrs["columns"] = ColumnTable((Column("size", "m", 0.1, 5.0),)).to_json()
    with pytest.raises(RecordingError, match="'size' is in m, elsewhere in mm"):
        evaluate(Knowing(held), held, settings=SHORT)  # type: ignore[arg-type]


def test_what_was_measured_is_of_the_frame_that_was_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base.DOMAINS, "toy", "toy:DOMAIN")
    held = recordings(2)
    table = ColumnTable((Column("other", "1"), Column("smoke", "counts")))
    with_states = []
    for ds in held:
        states = np.column_stack([np.zeros(11), ds["frames"].values[..., 0].sum(axis=(1, 2))])
        made = ds.assign(states=(("time", "state"), states, {"columns": table.to_json()}))
        with_states.append(made)
    found = evaluate(Knowing(held), with_states, References.fit(with_states, "toy"), SHORT)  # type: ignore[arg-type]
    truth = found.physics.sel(source=TRUTH)
    np.testing.assert_allclose(found.measured.sel(quantity="smoke"), truth.sel(quantity="smoke"), rtol=1e-5)
    assert np.isnan(found.measured.sel(quantity="blob_x")).all()


def test_controls_of_others_are_of_other_recordings_and_never_the_own() -> None:
    held, span = recordings(3), Span(3, 2, 1)
    others, rng = Others(held, span), np.random.default_rng(0)
    for _ in range(20):
        drawn = others.of(1, rng)
        assert drawn is not None and drawn.shape == (2, 3, 3)
        foreign = np.concatenate([span.controls_of(held[k]) for k in (0, 2)])
        assert all((row == foreign).all(axis=(1, 2)).any() for row in drawn)
    alone = Others(held[:1], span).of(0, rng)
    assert alone is not None and np.array_equal(alone, span.controls_of(held[0])[::-1])  # the other start's
    assert Others(held[:1], Span(3, 1, 1)).of(0, rng) is None


def test_the_seed_decides_samples_and_controls_of_others() -> None:
    class Drawing(Knowing):
        def futures(self, state: Any, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
            return super().futures(state, controls, samples, rng) + rng.normal()

    held = recordings(3)
    one, same, other = (
        evaluate(Drawing(held), held, settings=EvaluateSettings(steps=2, starts=2, samples=2, seed=seed))  # type: ignore[arg-type]
        for seed in (0, 0, 1)
    )
    xr.testing.assert_identical(one, same)
    assert not one.rmse.sel(guess=MEAN).equals(other.rmse.sel(guess=MEAN)) and other.attrs["seed"] == 1


def test_spectra_are_of_the_mean_and_of_one_sample() -> None:
    held = recordings(2)
    found = evaluate(Knowing(held, off=5.0), held, settings=SHORT)  # type: ignore[arg-type]
    power = found.power.isel(wavenumber=0)  # of the mean over pixels, which the samples' offset changes
    np.testing.assert_allclose(power.sel(source=MEAN), power.sel(source=TRUTH), rtol=1e-5)
    assert (np.abs(power.sel(source=ONE) / power.sel(source=TRUTH) - 1) > 1e-3).all()
    assert np.isfinite(power.sel(source=[SHUFFLED, LINEAR])).all()


def test_histories_are_filled_up_with_their_oldest_frame() -> None:
    def seen(*values: float) -> list[Observation]:
        return [Observation(np.full((1, 2, 3, 1), v), np.array([v]), np.zeros((1, 6))) for v in values]

    found = _together([seen(5.0), seen(1.0, 2.0, 3.0), seen(7.0, 8.0)])
    assert [row.frames[:, 0, 0, 0].tolist() for row in found] == [[5, 1, 7], [5, 2, 7], [5, 3, 8]]


def test_steps_across_a_moved_view_teach_nothing() -> None:
    held = [toy.make(30, seed) for seed in range(3)]
    odd = [ds.copy(deep=True) for ds in held]
    for ds in odd:  # a wild frame in the middle, seen through another view
        ds["frames"].values[15] = 1e4
        ds["view"].values[15] += 1.0
    clean = [ds.copy(deep=True) for ds in held]
    found, wild = (baselines.fit(which)[LINEAR] for which in (clean, odd))
    present, controls = held[0]["frames"].values[3:4], held[0]["controls"].values[None, 3:6]
    near, far = (made.futures(present, controls) for made in (found, wild))
    assert np.abs(far - near).max() < 200  # the wild frame is in the mean and the modes, but in no step


def test_a_doubtful_gain_is_doubted() -> None:
    held = recordings()
    found = evaluate(Knowing(held), held, settings=SHORT)  # type: ignore[arg-type]
    assert not page_heed.sections(found)[0].warnings
    doubtful = found.copy(deep=True)
    doubtful.control_gain[:] = np.array([-0.5, 0.1, 3.0])[:, None, None]  # mean above 0, its interval not
    assert len(page_heed.sections(doubtful)[0].warnings) == 2
    single = found.isel(recording=slice(1))
    assert len(page_heed.sections(single)[0].warnings) == 2  # one recording is sure of nothing
    unknown = found.copy(deep=True)
    unknown.control_gain[:] = np.nan
    assert "nothing tells whether they are heeded" in page_heed.sections(unknown)[0].warnings[0]


def test_the_reliability_curve_is_the_share_of_truths_below_each_sample() -> None:
    held = recordings()
    found = evaluate(Knowing(held), held, settings=SHORT)  # type: ignore[arg-type]
    found.ranks[:] = 0.0
    found.ranks[..., 0], found.ranks[..., 2] = 1.0, 3.0  # of 0 to 4: a quarter below all, the rest amid them
    (section,) = (one for one in page_heed.sections(found) if one.heading == "How sure it is")
    came = next(trace for trace in section.items[0].data if trace.name == "came")
    np.testing.assert_allclose(came.x, [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(came.y, [0.25, 0.25, 1, 1])
