"""Controls for a wish that is written on DataArrays, from a recorded frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import toy
import xarray as xr
from toy_model import tiny

from sciworld.errors import SearchError, SettingsError
from sciworld.evaluate.table import number
from sciworld.familiar.familiar import Familiar
from sciworld.search.arrays import OnArrays
from sciworld.search.constraints import Constraint, total
from sciworld.search.plan import Plan
from sciworld.search.search import SearchSettings
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.find_controls import find_controls, objective_in, on_arrays

FEW = SearchSettings(budget=700, samples=2, final_samples=4)


def warmest_right(futures: xr.DataArray, controls: xr.DataArray) -> xr.DataArray:
    """Heat in the right half of the last frame."""
    return futures.sel(channel="heat").isel(time=-1).where(futures.x > 2.5).mean(("y", "x"))


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return Surrogate(tiny(), evaluations=1)


def uncovered(**changes: int) -> xr.Dataset:
    """A recording of the toy's without the covariates that the model does not know."""
    return toy.make(**changes).drop_vars(["covariates", "covariate"], errors="ignore")


def test_futures_have_names_units_times_and_places(surrogate: Surrogate) -> None:
    seen: list[tuple[xr.DataArray, xr.DataArray]] = []

    def look(futures: xr.DataArray, controls: xr.DataArray) -> xr.DataArray:
        seen.append((futures, controls))
        return warmest_right(futures, controls)

    ds = uncovered()
    found = find_controls(surrogate, ds, look, 3, frame=4, settings=FEW)
    futures, controls = seen[0]
    assert futures.dims == ("candidate", "sample", "time", "y", "x", "channel") and futures.sizes["time"] == 3
    assert controls.dims == ("candidate", "time", "control")
    assert futures.channel.values.tolist() == ["smoke", "heat"]
    assert futures.channel_units.values.tolist() == ["counts", "K"]
    assert controls.control.values.tolist() == ["fan_x", "fan_y", "mode"]
    step = float(np.median(np.diff(ds["time"].values)))
    np.testing.assert_allclose(futures.time, step * np.arange(1, 4))
    np.testing.assert_allclose(futures.x, toy.PITCH * np.arange(toy.X))
    np.testing.assert_allclose(futures.y, toy.PITCH * np.arange(toy.Y))
    assert futures.x.attrs["units"] == "mm" and futures.time.attrs["units"] == "s"
    toy.SPACE.check(found.plan.controls)


def test_futures_last_as_long_as_their_controls_say() -> None:
    """Where a control is how long a step lasts what is found has the times of its own controls."""
    told: list[xr.DataArray] = []

    def look(futures: xr.DataArray, controls: xr.DataArray) -> xr.DataArray:
        told.append(futures.time)
        return warmest_right(futures, controls)

    ds = uncovered()
    surrogate = Surrogate(tiny(), evaluations=1, seconds=("fan_x", 2.0))
    for recording in (ds, ds.isel(time=slice(0, 1))):
        found = find_controls(surrogate, recording, look, 3, frame=0, settings=FEW)
        fan = found.controls.sel(control="fan_x").values
        np.testing.assert_allclose(found.futures.time, np.cumsum(fan + 2.0), rtol=1e-6)
        assert found.futures.time.attrs["units"] == "s" and "until (s)" in str(found.to_table())
    np.testing.assert_allclose(told[0], np.median(np.diff(ds["time"].values)) * np.arange(1, 4))


def test_what_was_found_is_shown_and_kept(surrogate: Surrogate) -> None:
    found = find_controls(surrogate, uncovered(), warmest_right, 3, frame=4, settings=FEW)
    made = found.to_xarray()
    assert made["controls"].dims == ("time", "control") and made["futures"].dims[0] == "sample"
    np.testing.assert_array_equal(made["controls"].values, found.plan.controls[0])
    assert made.attrs["frame"] == 4 and made.attrs["objective"] == "warmest_right"
    text = str(found.to_table())
    assert "fan_x (mm)" in text and "warmest_right" in text and "frame 4 of session-0" in text
    assert "<table" in found._repr_html_() and f"in {len(found.plan.trace)} generations" in text
    short = repr(found)
    assert short.startswith("Found(warmest_right: controls 3 x 3 (time x control), promise ") and len(short) < 120
    assert f" {number(found.plan.promise[0])} +- " in short and short.endswith("from frame 4 of session-0)")
    assert len(found.figure("heat").data) == 3 * 4 and "heat" in found.figure("heat").layout.title.text
    with pytest.raises(SettingsError, match="there are smoke, heat"):
        found.figure("light")
    assert Plan.from_json(found.to_json()).controls.tolist() == found.plan.controls.tolist()
    assert json.loads(found.to_json())["session"] == "session-0"


def test_the_wish_decides(surrogate: Surrogate) -> None:
    """Of opposite wishes each one's plan is the better by its own."""
    ds = uncovered()

    def colder(futures: xr.DataArray, controls: xr.DataArray) -> xr.DataArray:
        return -warmest_right(futures, controls)

    warm, cold = (find_controls(surrogate, ds, wish, 2, settings=FEW) for wish in (warmest_right, colder))
    assert warm.plan.promise[0] > -cold.plan.promise[0]


def test_constraints_may_be_written_on_arrays_too(surrogate: Surrogate) -> None:
    ds = uncovered()
    far = on_arrays(lambda futures, controls: controls.sel(control="fan_x").max("time"), surrogate, ds)
    found = find_controls(
        surrogate, ds, warmest_right, 2, constraints=[Constraint("reach", 1.0, far, "mm")],
        settings=SearchSettings(budget=3000, samples=0),
    )  # fmt: skip
    assert found.plan.satisfied.all() and found.controls.sel(control="fan_x").max() <= 1.0 + 1e-9
    assert "reach: " in str(found.to_table()) and "kept to" in str(found.to_table())


def test_a_wish_for_tensors_is_climbed_and_one_for_dataarrays_refused(surrogate: Surrogate) -> None:
    def smoky(futures, controls):
        return futures[:, :, -1, :, :, 0].mean((2, 3))

    smoky.differentiable = True  # type: ignore[attr-defined]
    found = find_controls(surrogate, uncovered(), smoky, 2, optimizer="adam", settings=FEW)
    assert (found.plan.trace[-1] > found.plan.trace[0]).all() and found.objective == "smoky"
    with pytest.raises(SearchError, match="DataArrays have no gradients"):
        find_controls(surrogate, uncovered(), warmest_right, 2, optimizer="adam", settings=FEW)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (lambda futures, controls: futures.mean(), "returned the axes none"),
        (lambda futures, controls: futures.mean(("y", "x", "channel")), "reduce time"),
        (lambda futures, controls: futures.sel(channel="light"), "KeyError"),
        (lambda futures, controls: np.zeros(3), r"it must return \(candidate, sample\)"),
    ],
)
def test_wishes_that_cannot_be_meant_are_explained(surrogate: Surrogate, wish, said: str) -> None:
    with pytest.raises(SearchError, match=said):
        find_controls(surrogate, uncovered(), wish, 2, settings=FEW)


def test_scores_come_in_any_order_and_without_samples() -> None:
    futures, controls = np.random.default_rng(0).random((5, 3, 2, toy.Y, toy.X, 2)), np.zeros((5, 2, 3))
    plain = futures[..., 0].mean(axis=(2, 3, 4))
    turned = OnArrays(lambda f, c: f.sel(channel="smoke").mean(("time", "y", "x")).T, toy.CHANNELS, toy.CONTROLS)
    np.testing.assert_allclose(turned(futures, controls), plain)
    without = OnArrays(lambda f, c: c.sel(control="mode").sum("time"), toy.CHANNELS, toy.CONTROLS)
    assert without(futures, controls).shape == (5, 3)
    assert turned.of_futures(futures).time.values.tolist() == [1, 2]


def test_frames_that_nothing_recorded_is_like_are_refused(surrogate: Surrogate) -> None:
    recordings = [uncovered(seed=k) for k in range(8)]
    familiar = Familiar.of(recordings, surrogate.space)
    find_controls(surrogate, uncovered(seed=20), warmest_right, 2, familiar=familiar, settings=FEW)
    dark = uncovered(seed=20)
    dark["frames"] = dark["frames"] * 0.2
    with pytest.raises(SearchError, match="does not know this region"):
        find_controls(surrogate, dark, warmest_right, 2, familiar=familiar, settings=FEW)


def test_functions_come_from_files(tmp_path: Path) -> None:
    path = tmp_path / "wishes.py"
    path.write_text("def heat(futures, controls):\n    return futures.mean(('time', 'y', 'x', 'channel'))\nodd = 3\n")
    assert objective_in(f"{path}:heat").__name__ == "heat"
    for name, said in ((f"{path}:cold", "AttributeError"), (f"{path}:odd", "is no function"), ("no.py:x", "no.py")):
        with pytest.raises(SearchError, match=said):
            objective_in(name)


def test_what_was_played_is_searched_unless_more_is_asked_for(
    surrogate: Surrogate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what hardly moved a search of all that it can do would find nothing familiar."""
    recordings = [uncovered(seed=seed, session=f"s{seed}") for seed in range(3)]
    near = Familiar.of(recordings, toy.SPACE, farthest=1e6)
    middle, wide = (toy.SPACE.high + toy.SPACE.low) / 2, toy.SPACE.high - toy.SPACE.low
    low, high = middle - 0.05 * wide, middle + 0.05 * wide
    low[2], high[2] = -np.inf, np.inf
    monkeypatch.setattr(Familiar, "played", lambda self: (low, high))
    seen: list[np.ndarray] = []

    def look(futures: xr.DataArray, controls: xr.DataArray) -> xr.DataArray:
        seen.append(controls.values.reshape(-1, 3))
        return warmest_right(futures, controls)

    given = {"familiar": near, "settings": FEW}
    find_controls(surrogate, recordings[0], look, 2, frame=4, **given)  # type: ignore[arg-type]
    played = np.concatenate(seen)[:, :2]
    assert (played >= low[:2] - 1e-9).all() and (played <= high[:2] + 1e-9).all()
    seen.clear()
    ends = [float(toy.SPACE.low[0]), np.nan, np.nan]
    find_controls(surrogate, recordings[0], look, 2, frame=4, low=ends, **given)  # type: ignore[arg-type]
    assert np.concatenate(seen)[:, 0].min() < low[0] and np.concatenate(seen)[:, 1].min() >= low[1] - 1e-9
    with pytest.raises(SearchError, match=r"high is \(2,\)"):
        find_controls(surrogate, recordings[0], look, 2, frame=4, high=[1.0, 2.0])


def test_amounts_are_written_as_objectives_are(surrogate: Surrogate) -> None:
    def smoke(futures: xr.DataArray, controls: xr.DataArray) -> xr.DataArray:
        return futures.sel(channel="smoke").isel(time=-1).mean(("y", "x"))

    def fails(futures: xr.DataArray, controls: xr.DataArray) -> xr.DataArray:
        raise KeyError("soot")

    ds, total_of = uncovered(), total(toy.SPACE, "fan_x", 1e9)
    for amount in (smoke, total_of.amount):
        limits = [Constraint("smoke", 1e9, amount, "counts")]
        found = find_controls(surrogate, ds, warmest_right, 2, frame=4, constraints=limits, settings=FEW)
        assert found.plan.satisfied.all() and np.isfinite(found.plan.amounts).all()
    with pytest.raises(SearchError, match="constraint 'soot' failed: KeyError"):
        limits = [Constraint("soot", 1.0, fails)]
        find_controls(surrogate, ds, warmest_right, 2, frame=4, constraints=limits, settings=FEW)


def test_promises_have_units_and_one_future_no_spread(surrogate: Surrogate) -> None:
    class Warmth:
        linear, title, units = False, "warmth to the right", "K"

        def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
            return futures[..., -1, 0].mean(axis=(2, 3))

    settings = SearchSettings(budget=200, samples=0)
    found = find_controls(surrogate, uncovered(), Warmth(), 2, frame=4, settings=settings)
    caption = str(found.to_table())
    assert f"Expected warmth to the right: {number(found.plan.promise[0])} K;" in caption and "+-" not in repr(found)
    assert found.to_xarray()["promise"].attrs["units"] == "K" and json.loads(found.to_json())["units"] == "K"
