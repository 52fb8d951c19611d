"""Exports to The Well's layout are read back as they were, and what it does not carry is said."""

import json

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.fluid.well import read_well
from sciworld.errors import RecordingError, SciworldError
from sciworld.export.export import ExportSettings, export
from sciworld.ingest.open import open_recordings
from sciworld.store import Store

T, Y, X = 11, 5, 7
CHANNELS = ("p", "velocity_x", "velocity_y")
CONTROLS = ColumnTable(
    (Column("omega", "rad/s", -9.0, 9.0, rate_limit=2.0), Column("mode", "1", kind="categorical", levels=("a", "b")))
)
COVARIATES = ColumnTable((Column("Re", "1"), Column("nu", "m2/s")))


def flow(seed=0, dtype="float32", channels=CHANNELS, frames=None, z=None, nan=False, **changes) -> xr.Dataset:
    """A flow under two controls, unevenly timed; frames are noise."""
    rng = np.random.default_rng(seed)
    shape = (T, *([z] if z else []), Y, X, len(channels))
    frames = (100 * rng.normal(size=shape)).astype(dtype) if frames is None else frames
    if nan:
        frames.flat[::17] = np.nan
        frames.flat[1] = -0.0
        frames.flat[2] = np.inf
    controls = np.column_stack([rng.normal(size=T), rng.integers(0, 2, T)])
    controls[-1] = np.nan
    given = {
        "channels": ColumnTable(tuple(Column(name, "1") for name in channels)),
        "controls": controls, "control_table": CONTROLS,
        "covariates": {"Re": 100.0, "nu": 0.1 * (seed + 1)}, "covariate_table": COVARIATES,
        "session": f"s|{seed}", "source": "toy", "licence": "CC0", "citation": "c", "history": "h\0\n",
        "view": np.array([0.5, 0, 2.0, 0, 0.25, -1.0]), "view_units": "m",
    }  # fmt: skip
    return recording.make(frames, np.cumsum(rng.uniform(0.1, 0.2, T)), **(given | changes))


def same(got: xr.Dataset, wanted: xr.Dataset, channels=None) -> None:
    """Frames by channel, times, controls and covariates are the same numbers, NaN in the same places."""
    names = channels or list(recording.channel_table(wanted).names)
    read = recording.channel_table(got).names
    order = [read.index(name) for name in names]
    frames = got["frames"].values
    assert frames.dtype == wanted["frames"].dtype
    assert np.ascontiguousarray(frames[..., order]).tobytes() == wanted["frames"].values.tobytes()
    assert got["time"].values.tobytes() == wanted["time"].values.tobytes()
    np.testing.assert_array_equal(got["controls"].values, wanted["controls"].values)
    facts = [
        dict(zip(recording.covariate_table(ds).names, ds["covariates"].values, strict=True)) for ds in (got, wanted)
    ]
    assert facts[0] == facts[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("z", [None, 3])
def test_what_is_read_back_is_what_was_exported(tmp_path, dtype, z):
    channels = CHANNELS if z is None else (*CHANNELS, "velocity_z")
    recordings = [flow(seed, dtype, channels, z=z, nan=True) for seed in range(3)]
    told = []
    made = export(recordings, tmp_path / "f.hdf5", "well", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3 * T, 3 * T)
    read = open_recordings(made.path)
    for got, wanted in zip(read, recordings, strict=True):
        same(got, wanted)
        if z is None:
            np.testing.assert_allclose(got["view"].values, wanted["view"].values)
    with h5py.File(made.path) as file:
        assert file["t1_fields/velocity"].shape == (3, T, X, Y, *([z] if z else []), 2 + bool(z))
        assert file["t0_fields"].attrs["field_names"].tolist() == ["p"]
        assert list(file["dimensions"].attrs["spatial_dims"]) == ["x", "y", "z"][: 2 + bool(z)]
        assert (
            file["scalars/omega"].shape == (3, T)
            and file["scalars/Re"].shape == ()
            and file["scalars/nu"].shape == (3,)
        )
        columns = json.loads(file["sciworld/columns"][()])
        assert columns["controls"][0]["rate_limit"] == 2.0
        assert json.loads(file["sciworld/recordings"][()])[1] == recordings[1].attrs
    text = "\n".join(made.notes)
    assert "boundary conditions are unknown" in text and "rate limits" in text and "axes are in m" in text
    assert "controls after the last frame are unknown" in text and "left out" not in text


@settings(max_examples=6)
@given(
    seed=st.integers(0, 99),
    order=st.permutations(["p", "q_xx", "q_xy", "q_yx", "q_yy", "v_x", "v_y", "T_y"]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_channels_in_any_order_keep_their_numbers(tmp_path_factory, seed, order, dtype):
    ds = flow(seed, dtype, tuple(order))
    made = export(ds, tmp_path_factory.mktemp("w") / "f.h5", "well")
    (got,) = read_well(made.path)
    assert set(recording.channel_table(got).names) == set(order)
    same(got, ds)
    moved = list(recording.channel_table(got).names) != list(order)
    assert moved == any("are the fields" in note for note in made.notes)


def test_a_group_of_channels_is_a_vector(tmp_path):
    columns = ColumnTable((Column("u", "m/s", group="vel"), Column("v", "m/s", group="vel"), Column("p", "Pa")))
    made = export(
        flow(channels=("u", "v", "p")).pipe(
            lambda ds: ds.assign(frames=ds["frames"].assign_attrs(columns=columns.to_json()))
        ),
        tmp_path / "f.h5",
        "well",
    )
    assert any("u, v, p are the fields p, vel_x, vel_y" in note for note in made.notes)
    (got,) = read_well(made.path)
    assert [(column.name, column.units) for column in recording.channel_table(got)] == [
        ("p", "Pa"), ("u", "m/s"), ("v", "m/s"),
    ]  # fmt: skip
    with h5py.File(made.path, "r+") as file:
        del file["sciworld/columns"]
    (got,) = read_well(made.path)
    assert recording.channel_table(got).names == ("p", "vel_x", "vel_y")


def beam(view=(0.5, 0, 2.0, 0, 0.25, -1.0), units="nm"):
    """A flow under a position in the laboratory, and a force that acts during exposures."""
    table = ColumnTable(
        (
            Column("a/b", "nm", 0.0, 9.0, group="beam", axis="x", frame="lab"),
            Column("c", "nm", group="beam", axis="y", frame="lab"),
            Column("force", "N", -1e3, 1e3, acts="during"),
        )
    )
    controls = np.random.default_rng(0).uniform(0, 9, (T, 3))
    controls[-1, :2] = np.nan
    channels = ColumnTable(tuple(Column(name, "Pa") for name in CHANNELS))
    ds = flow(view=np.array(view), view_units=units, controls=controls, control_table=table)
    ds["frames"].attrs["columns"] = channels.to_json()
    return ds


def test_units_names_and_bounds_come_back(tmp_path):
    ds = beam()
    made = export([ds, ds], tmp_path / "f.h5", "well")
    for got in open_recordings(made.path):
        same(got, ds)
        for name in ("frames", "controls", "covariates"):
            assert recording.table(got, name) == recording.table(ds, name)
        assert got["view"].attrs["units"] == "nm"
        np.testing.assert_allclose(got["view"].values, ds["view"].values)
        assert "sciworld/columns" in got.attrs["history"]
    again = export(open_recordings(made.path), tmp_path / "g.h5", "well")
    assert [one["view"].attrs["units"] for one in open_recordings(again.path)] == ["nm", "nm"]


def test_positions_without_their_axes_are_numbers_alone(tmp_path):
    ds = beam(view=(1.0, 0.5, 0, 0.5, 1.0, 0))
    (got,) = open_recordings(export(ds, tmp_path / "f.h5", "well").path)
    same(got, ds)
    assert got["view"].attrs["units"] == "pixel"
    assert [(column.units, column.frame) for column in recording.control_table(got)][:2] == [("nm", ""), ("nm", "")]
    assert "a/b, c: positions in nm, which the axes of the file are not in" in got.attrs["history"]


@pytest.mark.parametrize("text", ["{", "[1]", '{"frames": 3}', '{"frames": [{"name": ""}]}'])
def test_columns_that_are_none_are_refused(tmp_path, text):
    path = export(beam(), tmp_path / "f.h5", "well").path
    with h5py.File(path, "r+") as file:
        file["sciworld/columns"][()] = text
    with pytest.raises(SciworldError, match=r"f\.h5"):
        open_recordings(path)


@pytest.mark.parametrize(("dtype", "held"), [("uint8", "float32"), ("uint16", "float32"), ("int32", "float64")])
def test_integers_are_floats_that_hold_them(tmp_path, dtype, held):
    info = np.iinfo(dtype)
    frames = np.random.default_rng(0).integers(info.min, info.max, (T, Y, X, 3), dtype, endpoint=True)
    made = export(flow(frames=frames), tmp_path / "f.h5", "well")
    (got,) = read_well(made.path)
    assert got["frames"].dtype == held
    np.testing.assert_array_equal(got["frames"].values, frames)
    assert any(f"frames are {dtype}, written as {held}" in note for note in made.notes)


def test_a_file_of_the_well_goes_through_a_store_and_back(tmp_path):
    first = flow(1)
    path = export([first, flow(2)], tmp_path / "a.hdf5", "well").path
    with h5py.File(path, "a") as file:
        walls = file.create_group("boundary_conditions/y_wall")
        walls.attrs.update(bc_type="wall", associated_dims=["y"])
        walls["mask"] = np.arange(Y) % 4 == 0
        solid = file["t0_fields"].create_dataset("solid", data=np.eye(X, Y))
        solid.attrs.update(dim_varying=[True, True], sample_varying=False, time_varying=False)
        file["t0_fields"].attrs["field_names"] = ["p", "solid"]
        file["scalars/omega"][:, -1] = [4.0, 5.0]
        file["scalars/mode"][:, -1] = 1.0
        file["dimensions/x"][...] = np.arange(X) ** 2  # uneven
    store = Store.create(tmp_path / "s")
    store.append(open_recordings(path))
    made = export(tmp_path / "s", tmp_path / "b.hdf5", "well")
    for got, wanted in zip(open_recordings(made.path), open_recordings(path), strict=True):
        assert set(got.variables) == set(wanted.variables)
        for name in wanted.variables:
            np.testing.assert_array_equal(got[name].values, wanted[name].values, err_msg=str(name))
        np.testing.assert_array_equal(got["grid_x"].values, np.arange(X) ** 2)
        assert got["boundary_y_wall_mask"].attrs == wanted["boundary_y_wall_mask"].attrs
        assert got["log_value"].values[T - 1] in (4.0, 5.0)
    assert not [note for note in made.notes if "unknown" in note or "left out" in note]


def test_what_the_layout_has_no_place_for_is_named(tmp_path):
    ds = flow(states=np.zeros((T, 1)), state_table=ColumnTable((Column("s", "1"),)), time_bounds=None)
    made = export(ds, tmp_path / "f.h5", "well")
    assert any("no place for it: states" in note for note in made.notes)
    turned = flow(view=np.array([1.0, 0.5, 0, 0.5, 1, 0]))
    made = export(turned, tmp_path / "g.h5", "well")
    assert any("turns, shears or moves" in note for note in made.notes)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (lambda: flow(1, "float64"), "recording 1: frames"),
        (lambda: flow(1, channels=("p", "u", "v")), "recording 1: channels"),
        (lambda: flow(1, view=np.array([0.5, 0, 2.5, 0, 0.25, -1.0])), "recording 1: axes"),
        (lambda: flow(1).drop_vars("controls"), "recording 1: controls"),
        (
            lambda: flow(1).isel(time=slice(0, 5)).assign(controls=flow(1)["controls"][-5:].drop_vars("time")),
            "recording 1: frames",
        ),
    ],
)
def test_recordings_that_differ_are_refused_and_nothing_is_left(tmp_path, other, text):
    with pytest.raises(RecordingError, match=text):
        export([flow(0), other()], tmp_path / "f.h5", "well")
    assert list(tmp_path.iterdir()) == []


def test_names_that_meet_are_refused(tmp_path):
    table = ColumnTable((Column("Re", "1"), Column("a/b", "1")))
    ds = flow(control_table=table)
    with pytest.raises(RecordingError, match="one name"):
        export(ds, tmp_path / "f.h5", "well")
    ds = flow(control_table=ColumnTable((Column("x", "1"), Column("a/b", "1"))))
    made = export(ds, tmp_path / "f.h5", "well", ExportSettings())
    assert "'a/b' is called 'a_b'" in made.notes
