"""A recording held against what a surrogate imagines under its controls."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr

from sciworld.controls import ColumnTable, ControlSpace
from sciworld.errors import ControlError, RecordingError, SettingsError
from sciworld.evaluate.imagine import STEPS, Imagination, imagine


def held(ds: xr.Dataset, space: ControlSpace = toy.SPACE, **asked: int) -> Imagination:
    """What `imagine` finds with a surrogate that knows the recording."""
    knowing: Any = Knowing(ds, space)
    return imagine(knowing, ds, np.random.default_rng(0), **asked)


class Knowing:
    """A surrogate with a context of 2 that gives the recording's own frames, `off` above and below in turn."""

    def __init__(self, ds: xr.Dataset, space: ControlSpace = toy.SPACE, off: float = 1.0) -> None:
        self.frames, self.rows = ds["frames"].values, ds["controls"].values if "controls" in ds else None
        self.off, self.space, self.time = off, space, ds["time"].values.tolist()
        self.model = SimpleNamespace(
            context=2, signature=SimpleNamespace(channels=toy.CHANNELS, covariates=ColumnTable(()))
        )

    def start(self, history: list[Any], covariates: Any = None, text: Any = None) -> int:
        self.history, self.text = history, text
        return self.time.index(float(history[-1].time[0]))

    def futures(self, state: int, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        steps = controls.shape[2]
        if self.rows is not None:
            np.testing.assert_array_equal(controls[0, 0], self.rows[state : state + steps])
        truth = self.frames[state + 1 : state + 1 + steps]
        signs = np.resize([1.0, -1.0], samples)[:, None, None, None, None]
        return (truth + self.off * signs)[None, None]


def test_truth_and_futures_are_of_the_same_steps() -> None:
    ds = toy.make()
    surrogate: Any = Knowing(ds)
    found = imagine(surrogate, ds, np.random.default_rng(0), start=3, steps=4, samples=2)
    frames = ds["frames"].values
    np.testing.assert_array_equal(found.context, frames[2:4])
    np.testing.assert_array_equal(found.truth, frames[4:8])
    np.testing.assert_array_equal(found.time, ds["time"].values[3:8])
    np.testing.assert_array_equal(found.controls, ds["controls"].values[3:7])
    assert found.futures.shape == (2, 4, toy.Y, toy.X, 2)
    assert [float(seen.time[0]) for seen in surrogate.history] == ds["time"].values[2:4].tolist()
    assert surrogate.text is None


def test_the_surrogate_is_told_the_description_of_the_recording() -> None:
    ds = toy.make().assign_attrs(description="a fan in a box")
    surrogate: Any = Knowing(ds)
    imagine(surrogate, ds, np.random.default_rng(0), start=3, steps=4, samples=2)
    assert surrogate.text == "a fan in a box"


def test_the_table_has_error_change_and_spread_of_every_channel() -> None:
    ds = toy.make()
    found = held(ds, start=3, steps=4, samples=2)
    table = found.to_table()
    assert table.columns[:5] == ("step", "time (s)", "fan_x (mm)", "fan_y (mm)", "mode (1)")
    assert table.columns[5:8] == ("smoke: error (counts)", "of no change (counts)", "spread (counts)")
    assert table.columns[8] == "heat: error (K)" and len(table.rows) == 4
    frames = ds["frames"].values.astype(float)
    for step, row in enumerate(table.rows):
        assert float(row[5]) == pytest.approx(0, abs=1e-4)  # the mean of both futures is the truth
        unchanged = np.abs(frames[3] - frames[4 + step])[..., 0].mean()
        assert float(row[6]) == pytest.approx(unchanged, rel=0.01)
        assert float(row[7]) == pytest.approx(np.sqrt(2), rel=0.01)  # of +1 and -1
    one = held(ds, start=3, steps=4, samples=1).to_table()
    assert float(one.rows[0][5]) == pytest.approx(1.0, rel=0.01) and one.rows[0][7] == "–"  # noqa: RUF001


def test_a_figure_for_each_channel_sets_the_futures_below_the_truth() -> None:
    ds = toy.make()
    smoke, heat = held(ds, start=3, steps=4, samples=2).figures()
    assert smoke.layout.title.text == "smoke" and heat.layout.title.text == "heat"
    assert len(smoke.data) == 3 * (2 + 4)
    np.testing.assert_array_equal(smoke.data[2].z, ds["frames"].values[4, ..., 0])  # step 1, after context and present
    np.testing.assert_allclose(smoke.data[6 + 2].z, ds["frames"].values[4, ..., 0] + 1, rtol=1e-6)
    assert np.isnan(smoke.data[6].z).all()


def test_it_begins_where_the_most_steps_can_be_held_against_it() -> None:
    ds = toy.make(14)
    ds["controls"][4, 1] = np.nan
    found = held(ds, samples=1)
    assert found.start == 5 and len(found.truth) == STEPS
    assert held(ds, start=2, samples=1).truth.shape[0] == 2
    moved = toy.make(14)
    moved["view"][9:, 2] = 1.5
    assert len(held(moved, start=6, samples=1).truth) == 2


def test_the_context_of_a_first_frame_is_what_there_is() -> None:
    ds = toy.make(2)
    found = held(ds, samples=1)
    assert (found.start, len(found.context), len(found.truth)) == (0, 1, 1)
    assert len(held(toy.make(), start=0, samples=1).context) == 1


def test_a_recording_without_controls() -> None:
    ds = toy.make().drop_vars("controls")
    found = held(ds, ControlSpace(ColumnTable(())), start=1, steps=2, samples=1)
    assert found.controls.shape == (2, 0)
    with pytest.raises(ControlError, match="controls are none; expected fan_x"):
        held(ds)


def test_a_recording_whose_controls_have_no_bounds() -> None:
    ds, free = toy.make(), toy.CONTROLS.unbounded()
    ds["controls"].attrs["columns"] = free.to_json()
    found = held(ds, ControlSpace(free), start=3, steps=4)
    np.testing.assert_array_equal(found.controls, ds["controls"].values[3:7])


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"start": 11}, SettingsError, "start is 11; the recording has the frames 0 to 10"),
        ({"start": -1}, SettingsError, "start is -1"),
        ({"start": 10}, RecordingError, "no step .* from frame 10"),
        ({"start": 7, "steps": 4}, SettingsError, "steps is 4; use 1 to 3 from frame 7"),
        ({"steps": 0}, SettingsError, "steps is 0; use 1 to"),
        ({"samples": 0}, SettingsError, "samples is 0"),
    ],
)
def test_what_cannot_be_held_against_it_is_refused(asked: dict[str, int], error: type[Exception], message: str) -> None:
    ds = toy.make()
    with pytest.raises(error, match=message):
        held(ds, **asked)
