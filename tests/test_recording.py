"""A recording that breaks the schema is refused with the variable, what is wrong and the cure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import toy
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import RecordingError

TIME, Y, X = 11, 5, 7
COUNTS = ColumnTable((Column("haadf", "counts"),))
TEXTS = {"session": "s", "source": "a test", "licence": "CC0", "citation": "none", "history": "made"}


def full(**changes: Any) -> xr.Dataset:
    """A recording with everything in it."""
    time = np.cumsum(np.linspace(0.5, 1.5, TIME))
    controls = np.column_stack([np.arange(TIME), np.arange(TIME) % 3]).astype(float)
    controls[-1] = np.nan
    arguments: dict[str, Any] = {
        "frames": np.arange(TIME * Y * X, dtype=np.uint16).reshape(TIME, Y, X, 1),
        "time": time,
        "channels": COUNTS,
        "controls": controls,
        "control_table": ColumnTable((Column("dwell", "s", 0, 20), Column("n", "1", 0, 9, kind="integer"))),
        "time_bounds": np.column_stack([time, time + 0.4]),
        "view": np.array([0.5, 0.1, 3.0, 0.0, 0.5, -2.0]),
        "view_units": "A",
        "view_standard_error": np.full(6, 0.01),
        "rewards": np.zeros((TIME, 1)),
        "reward_table": ColumnTable((Column("speed", "m/s"),)),
        "states": np.ones((TIME, 2)),
        "state_table": ColumnTable((Column("a", "1"), Column("b", "1"))),
        "covariates": {"voltage": 60.0, "current": np.nan},
        "covariate_table": ColumnTable((Column("current", "pA"), Column("voltage", "kV"))),
        "dose": np.ones((TIME, 2)),
        "logs": ([0.0, 0.1, 0.1], [0, 1, 0], [1.0, np.nan, -0.0]),
        "log_table": ColumnTable((Column("stage", "nm", role="measured"), Column("valve", "1"))),
        **TEXTS,
    }
    return recording.make(**(arguments | changes))


def test_a_full_recording_has_the_documented_variables() -> None:
    ds = full()
    dims = {str(name): variable.dims for name, variable in ds.variables.items()}
    assert dims == {
        "frames": ("time", "y", "x", "channel"),
        "time": ("time",),
        "time_bounds": ("time", "bound"),
        "view": ("time", "affine"),
        "view_standard_error": ("time", "affine"),
        "controls": ("time", "control"),
        "rewards": ("time", "reward"),
        "states": ("time", "state"),
        "covariates": ("covariate",),
        "dose": ("time", "phase"),
        "log_time": ("log",),
        "log_column": ("log",),
        "log_value": ("log",),
    }
    assert ds["time"].attrs["units"] == "s"
    assert ds["view"].attrs == {"units": "A", "row_direction": "down"}
    assert {name: ds.attrs[name] for name in TEXTS} == TEXTS
    assert "description" not in ds.attrs and full(description="a foil").attrs["description"] == "a foil"
    assert recording.channel_table(ds) == COUNTS
    assert recording.control_table(ds).names == ("dwell", "n")


def test_times_that_only_number_the_frames_say_so() -> None:
    assert recording.is_counted(full(counted=True)) and not recording.is_counted(full())
    assert full(counted=True)["time"].attrs["comment"] == "not stated by the file: frames are counted"
    remarked = full()
    remarked["time"].attrs["comment"] = "by the camera's own clock"
    assert not recording.is_counted(remarked)


def test_covariates_stand_in_the_order_of_their_table() -> None:
    np.testing.assert_array_equal(full()["covariates"], [np.nan, 60.0])
    assert recording.covariate_table(full()).names == ("current", "voltage")


def test_frames_alone_make_a_recording() -> None:
    frames = np.zeros((1, Y, X, 1), dtype=np.uint8)
    ds = recording.make(frames, np.array([3.0]), channels=COUNTS, **TEXTS)
    assert ds["frames"].dtype == np.uint8
    assert ds["view"].attrs["units"] == "pixel"
    np.testing.assert_array_equal(ds["view"], [[1, 0, 0, 0, 1, 0]])
    assert len(recording.control_table(ds)) == 0


def test_volumes_and_further_cameras_are_allowed() -> None:
    ds = full(frames=np.zeros((TIME, 3, Y, X, 1), dtype=np.float32))
    ds["frames_side"] = (
        ("time", "y_side", "x_side", "channel_side"),
        np.zeros((TIME, 4, 3, 1), dtype=np.uint8),
        {"columns": COUNTS.to_json()},
    )
    with pytest.raises(RecordingError, match="'view_side'"):
        recording.check(ds)
    ds["view_side"] = ds["view"].copy()
    assert recording.check(ds) is ds
    assert recording.cameras(ds) == ("frames", "frames_side")


@pytest.mark.parametrize("dtype", recording.FRAME_DTYPES)
def test_frames_keep_their_dtype_and_foreign_byte_order_its_values(dtype: str) -> None:
    frames = np.arange(TIME * Y * X).reshape(TIME, Y, X, 1).astype(np.dtype(dtype).newbyteorder(">"))
    ds = full(frames=frames)
    assert ds["frames"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(ds["frames"], frames)


@pytest.mark.parametrize(
    ("dtype", "cure"),
    [
        ("complex64", "two channels"),
        ("complex128", "two channels"),
        ("bool", "astype.'uint8'"),
        ("int16", "astype.'int32'"),
        ("uint32", "astype.'float64'"),
        ("float16", "astype.'float32'"),
        ("int64", "choose one"),
        ("longdouble", "64 bits"),
        ("U3", "no text"),
        ("object", "no text"),
        ("datetime64[ns]", "no text"),
    ],
)
def test_other_dtypes_are_refused_with_a_cure(dtype: str, cure: str) -> None:
    with pytest.raises(RecordingError, match=f"'frames' is .*{cure}"):
        full(frames=np.zeros((TIME, Y, X, 1), dtype=dtype))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": np.arange(TIME - 1.0)}, "lengths do not agree"),
        ({"time": np.arange(TIME)[::-1]}, "frame 1; sort"),
        ({"time": np.r_[np.arange(TIME - 1), np.nan]}, "frame 10; sort"),
        ({"time": np.full(TIME, "a")}, "real numbers"),
        ({"frames": np.zeros((TIME, Y, X))}, r"frames\[..., None\]"),
        ({"frames": np.zeros((TIME, Y, 0, 1))}, "leave out what is empty"),
        ({"channels": ColumnTable((Column("a", "1"), Column("b", "1")))}, "'frames' has 1 columns, its table 2"),
        ({"channels": "counts"}, "ColumnTable"),
        ({"control_table": None}, "'controls' and its column table"),
        ({"view": None}, "view_units"),
        ({"view_units": ""}, "'view' has no units"),
        ({"view": np.zeros(6)}, "nonzero area"),
        ({"view": np.full(6, np.nan)}, "nonzero area"),
        ({"view": np.ones(5), "view_standard_error": None}, "expected 6"),
        ({"covariates": {"voltage": 60.0}}, "current"),
        ({"time_bounds": np.zeros((TIME, 2))}, "frame 0 is outside"),
        ({"time_bounds": np.zeros((TIME, 3))}, "start and end"),
        ({"log_table": None}, "log_table"),
        ({"logs": ([0.0], [2], [1.0])}, "leaves its table of 2"),
        ({"session": ""}, "'session' is empty"),
        ({"licence": None}, "'licence' is None"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        full(**changes)


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (-1, 0, 1.0, "set its last row to NaN"),
        (2, 0, 21.0, r"'dwell' is 21 s, outside \[0, 20\]"),
        (2, 0, -0.1, "outside"),
        (2, 0, np.inf, "infinite"),
        (2, 1, 0.5, "whole"),
    ],
)
def test_wrong_control_values_are_refused(row: int, column: int, value: float, message: str) -> None:
    controls = full()["controls"].values.copy()
    controls[row, column] = value
    with pytest.raises(RecordingError, match=message):
        full(controls=controls)


def test_a_control_that_acts_during_the_exposure_may_have_a_last_row() -> None:
    table = ColumnTable((Column("dwell", "s", 0, 20, acts="during"), Column("n", "1", 0, 9, kind="integer")))
    controls = full()["controls"].values.copy()
    controls[-1, 0] = 2.0
    assert full(controls=controls, control_table=table)["controls"][-1, 0] == 2.0


def test_unknown_controls_are_allowed_and_a_level_out_of_range_is_not() -> None:
    ds = toy.make()
    ds["controls"][3] = np.nan
    recording.check(ds)
    ds["controls"][4, 2] = 3.0
    with pytest.raises(RecordingError, match="'mode' is 3"):
        recording.check(ds)


def test_exposures_do_not_overlap() -> None:
    ds = full()
    bounds = ds["time_bounds"].values.copy()
    bounds[3, 1] = bounds[4, 0] + 0.01
    with pytest.raises(RecordingError, match="exposure 3 ends after exposure 4 starts"):
        full(time_bounds=bounds)


def test_a_laboratory_position_is_in_the_units_of_the_view() -> None:
    ds = toy.make()
    ds["view"].attrs["units"] = "m"
    with pytest.raises(RecordingError, match="'fan_x' is in mm, 'view' in m"):
        recording.check(ds)


def drop(*names: str) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda ds: ds.drop_vars(names)


def attribute(name: str, value: object, variable: str = "") -> Callable[[xr.Dataset], xr.Dataset]:
    def change(ds: xr.Dataset) -> xr.Dataset:
        (ds[variable] if variable else ds).attrs[name] = value
        return ds

    return change


def encode(ds: xr.Dataset) -> xr.Dataset:
    ds["frames"].encoding["scale_factor"] = 2.0
    return ds


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("frames"), "no variable 'frames'"),
        (drop("time"), "no variable 'time'"),
        (drop("view"), "no variable 'view'"),
        (lambda ds: ds.transpose("y", ...), "put time first"),
        (lambda ds: ds.assign(frames=ds["frames"].transpose("time", "x", "y", "channel")), "'frames' has dimensions"),
        (lambda ds: ds.assign_coords(x=np.arange(X)), "coordinate 'x'"),
        (lambda ds: ds.assign(label=("time", np.full(TIME, "a"))), "'label'"),
        (lambda ds: ds.assign(extra=("time", np.arange(TIME, dtype=">i4"))), "astype"),
        (lambda ds: ds.isel(time=slice(0)), "empty"),
        (lambda ds: ds.assign(log_value=ds["log_value"].astype(np.float32)), "'log_value' is float32"),
        (encode, "scale_factor"),
        (attribute("_FillValue", 0, "frames"), "_FillValue"),
        (attribute("columns", "x", "controls"), "'controls' attribute 'columns': not JSON"),
        (attribute("row_direction", "left", "view"), "row_direction"),
        (attribute("schema_version", recording.SCHEMA + 1), "upgrade sciworld"),
        (attribute("schema_version", None), "recording.make"),
        (attribute("shift", (1, 2)), "'shift'"),
        (attribute("shift", float("nan"), "frames"), "'shift' of 'frames'"),
        (attribute("shift", np.float32(1)), "plain JSON"),
        (lambda ds: ds["frames"], "not an xarray.Dataset"),
    ],
)
def test_a_broken_schema_is_refused(change: Callable[[xr.Dataset], xr.Dataset], message: str) -> None:
    with pytest.raises(RecordingError, match=f"run7.*{message}"):
        recording.check(change(full()), "run7")


def test_nan_frames_and_further_numbers_are_kept() -> None:
    ds = full(frames=np.full((TIME, Y, X, 1), np.nan, dtype=np.float32))
    ds["temperature"] = ("time", np.arange(TIME, dtype=np.int16))
    assert recording.check(ds)["temperature"].dtype == np.int16
