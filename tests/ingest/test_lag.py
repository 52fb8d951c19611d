"""The lag: a shift that is put in is found again, and nothing is found where there is nothing."""

import numpy as np
import pytest

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import RecordingError, SettingsError
from sciworld.ingest.lag import estimate_lag

T, Y, X = 60, 20, 30
STEP = 0.5
TABLE = ColumnTable(
    (
        Column("x", "A", group="beam", axis="x", frame="lab"),
        Column("power", "W"),
        Column("y", "A", group="beam", axis="y", frame="lab"),
    )
)


def spot(place, rng, brightness=30.0):
    """A bright spot at place (x, y) in A, over a dim background, counted."""
    cols, rows = STEP * np.arange(X) + 3, STEP * np.arange(Y) - 1
    near = np.exp(-0.5 * ((cols - place[0]) ** 2 + (rows[:, None] - place[1]) ** 2) / 0.8**2)
    return rng.poisson(4 + brightness * near).astype("uint16")


def pushed(seed, shift=0, response=True, units="counts"):
    """A spot that jumps to the beam, or does not (`response`); the images come `shift` frames late."""
    rng = np.random.default_rng(seed)
    place, frames, controls = np.array([10.0, 4.0]), [], []
    for _ in range(T + 10):
        beam = place + rng.uniform(-2.5, 2.5, 2) if response else rng.uniform([5, 1], [15, 7])
        power = rng.uniform(0, 1)
        frames.append(spot(place, rng))
        controls.append([beam[0], power, beam[1]])
        target = beam if response else place + rng.uniform(-2.5, 2.5, 2)
        if rng.random() < power:
            place = np.clip(target, [5, 1], [15, 7])
    rows = np.array(controls)[5 + shift : 5 + shift + T]
    rows[-1] = np.nan
    return recording.make(
        np.stack(frames)[5 : 5 + T, ..., None], np.arange(float(T)),
        channels=ColumnTable((Column("light", units),)), controls=rows, control_table=TABLE,
        view=np.array([STEP, 0, 3, 0, STEP, -1]), view_units="A",
        session=f"s{seed}", source="a", licence="", citation="", history="h",
    )  # fmt: skip


@pytest.mark.parametrize("shift", [0, 1, -1, 3])
@pytest.mark.parametrize("units", ["counts", "1"])
def test_a_shift_is_found_and_told(shift, units):
    lag = estimate_lag([pushed(seed, shift, units=units) for seed in range(6)])
    assert lag.controls == ("beam", "power") and lag.correlation.shape == (2, 11)
    assert lag.best.tolist() == [shift, shift] and lag.significant.all()
    warnings = lag.warnings()
    assert len(warnings) == (2 if shift else 0)
    if shift:
        assert f"'beam' at lag {shift:+d}" in warnings[0] and f"shift of {shift:+d} frames" in warnings[0]
    assert f"'beam' {shift:+d} frames" in lag.summary()


def test_controls_without_effect_raise_no_alarm():
    alarms = 0
    for seed in range(0, 30, 3):
        lag = estimate_lag([pushed(k, response=False) for k in range(seed, seed + 3)])
        alarms += lag.significant[0]  # power still decides whether anything moves
    assert alarms == 0
    assert "'beam' not measurable" in lag.summary()


def test_shuffled_controls_raise_no_alarm():
    several = []
    for seed in range(6):
        ds = pushed(seed)
        rows = ds["controls"].values
        rows[:-1] = np.random.default_rng(seed).permutation(rows[:-1])
        several.append(ds)
    assert not estimate_lag(several).significant.any()


def test_a_moving_field_of_view_is_no_motion():
    still, ds = estimate_lag(pushed(1)), pushed(1)
    view = ds["view"].values
    view[30:, 2] += 7.0  # the frames stay as they are: only the gap before frame 30 is left out
    moved = estimate_lag(ds.assign(view=(("time", "affine"), view, ds["view"].attrs)))
    assert moved.pairs[1] < still.pairs[1]


def test_few_frames_are_called_not_measurable():
    ds = pushed(2).isel(time=slice(0, 3))
    rows = ds["controls"].values
    rows[-1] = np.nan
    lag = estimate_lag(ds)
    assert not lag.significant.any() and lag.warnings() == () and np.isfinite(lag.correlation).all()


def test_unknown_controls_and_still_frames_are_survived():
    ds = pushed(3)
    ds["controls"].values[:] = np.nan
    assert not estimate_lag(ds).significant.any()
    still = pushed(3)
    still["frames"].values[:] = 7
    assert not estimate_lag(still).significant.any()


def test_the_figure_shows_every_control():
    figure = estimate_lag(pushed(4)).figure()
    assert [trace.name.split()[0] for trace in figure.data] == ["beam", "power"]
    assert list(figure.data[0].x) == list(range(-5, 6)) and "lag" in figure.layout.xaxis.title.text


def test_what_cannot_be_measured_is_refused():
    ds = pushed(5)
    with pytest.raises(RecordingError, match="no controls"):
        estimate_lag(ds.drop_vars("controls"))
    with pytest.raises(RecordingError, match="no controls"):
        estimate_lag([])
    with pytest.raises(SettingsError, match="reach"):
        estimate_lag(ds, reach=0)
    other = ds.assign(
        controls=ds["controls"].assign_attrs(columns=ds["controls"].attrs["columns"].replace("power", "heat"))
    )
    with pytest.raises(RecordingError, match="different controls"):
        estimate_lag([ds, other])


def test_the_largest_numbers_are_survived():
    ds = pushed(0)
    controls = ds["controls"].values.copy()
    controls[:, 1] = 1.797e308
    controls[3, 1] = -1e308
    lag = estimate_lag(ds.assign(controls=(ds["controls"].dims, controls, ds["controls"].attrs)))
    assert np.isfinite(lag.correlation).all()
