"""What is read of silicon in graphene: the truth passes, and each fault is told by the quantity that is to tell it."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.stem import DOMAIN
from sciworld.domains.stem import physics as module
from sciworld.domains.stem.constants import BOND
from sciworld.domains.stem.generate import generate
from sciworld.domains.stem.physics import fit
from sciworld.errors import RecordingError
from sciworld.lazy import lazy

SMALL = {"rows": 26, "columns": 38, "field_of_view": 16.0, "recentre": False}
STEPS = 6


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    path = tmp_path_factory.mktemp("silicon") / "store"
    return list(generate(path, seed=4, transitions=20 * STEPS, steps=STEPS, **SMALL))


@pytest.fixture(scope="module")
def futures(recordings):
    """Frames (n, step + 1, y, x, 1), view (n, 6) and controls (n, step, 3)."""
    frames, controls = (np.stack([ds[name].values for ds in recordings]) for name in ("frames", "controls"))
    return frames, np.stack([ds["view"].values[0] for ds in recordings]), controls[:, :-1]


def read(found, frames, view, controls):
    """The quantities by name, (n, step) each."""
    values = found(frames, view, controls)
    assert values.dtype == np.float64
    return dict(zip(found.quantities.names, np.moveaxis(values, -1, 0), strict=True))


def within(found, values, name):
    """The share of values that is within the bounds of a quantity."""
    column = found.quantities[name]
    low, high = (-np.inf if column.low is None else column.low), (np.inf if column.high is None else column.high)
    return ((values[name] >= low) & (values[name] <= high)).mean()


def plain(ds, **changes):
    """A recording made anew from the frames, view and controls of another."""
    given = {
        "channels": recording.channel_table(ds),
        "view": ds["view"].values,
        "view_units": "A",
        "controls": ds["controls"].values,
        "control_table": recording.control_table(ds),
    }
    frames = changes.pop("frames", ds["frames"].values)
    texts = dict.fromkeys(("session", "source", "licence", "citation", "history"), "made")
    return recording.make(frames, ds["time"].values[: len(frames)], **(given | changes), **texts)


def test_the_truth_passes_and_its_hops_are_told(recordings, futures):
    found = DOMAIN.physics(recordings)
    assert found.quantities.names == (
        "silicon", "intact", "counts", "silicon_x", "silicon_y", "moved", "hopped", "beam", "carbon",
    )  # fmt: skip
    assert found.quantities["hopped"].kind == "event" and found.rates == (("beam", "hopped"), ("carbon", "hopped"))
    means = np.concatenate([ds["frames"].values.mean(axis=(1, 2, 3)) for ds in recordings])
    counts, slack = found.quantities["counts"], 0.1 * np.ptp(means)
    np.testing.assert_allclose([counts.low, counts.high], [means.min() - slack, means.max() + slack])
    assert counts.units == "counts"
    values = read(found, *futures)
    assert all(within(found, values, name) == 1 for name in ("silicon", "intact", "counts"))
    silicon = np.stack([ds["states"].values[:, :2] for ds in recordings])
    moved = np.linalg.norm(np.diff(silicon, axis=1), axis=-1)
    np.testing.assert_allclose(values["moved"], moved, atol=0.35)
    np.testing.assert_array_equal(values["hopped"], moved > 0.71)
    for k, name in enumerate(("silicon_x", "silicon_y")):
        np.testing.assert_allclose(values[name], silicon[:, 1:, k], atol=0.25)
        assert found.quantities[name].units == "A" and found.quantities[name].low is None
    assert 0 < values["hopped"].mean() < 0.5
    beam = np.linalg.norm(futures[2][..., :2] - silicon[:, :-1], axis=-1)
    np.testing.assert_allclose(values["beam"], beam, atol=0.25)
    apart = np.abs(values["beam"] - values["carbon"])
    assert (apart <= BOND + 1e-9).all() and values["carbon"].min() < 0.5 and values["carbon"].max() < 3.3
    after = np.linalg.norm(futures[2][..., :2] - silicon[:, 1:], axis=-1)[values["hopped"] == 1]
    near = values["carbon"][values["hopped"] == 1]
    assert near.mean() < values["carbon"].mean() and near.mean() < after.mean() + 0.1


def test_each_fault_is_told(recordings, futures):
    found = fit(recordings)
    frames, view, controls = futures
    gone = frames.copy()
    gone[:, 2:] = np.minimum(gone[:, 2:], 14)  # silicon as bright as carbon
    values = read(found, gone, view, controls)
    assert (values["silicon"][:, 0] == 1).all() and (values["silicon"][:, 1:] == 0).mean() > 0.9
    lost = values["silicon"][:, 1:] != 1
    assert np.isnan(values["hopped"][:, 1:][lost]).all() and np.isnan(values["moved"][:, 1:][lost]).all()
    assert np.isnan(values["beam"][:, 2:][lost[:, :-1]]).all() and np.isfinite(values["beam"][:, :2]).all()
    two = np.maximum(frames, np.roll(frames, (5, 9), axis=(2, 3)))
    assert within(found, read(found, two, view, controls), "silicon") < 0.3
    smeared = np.mean([np.roll(frames, k, axis=2) for k in range(-3, 4)], axis=0)
    assert within(found, read(found, smeared, view, controls), "intact") < 0.5
    assert within(found, read(found, 1.15 * frames, view, controls), "counts") == 0
    blank = read(found, np.ones_like(frames), view, controls)
    assert (blank["silicon"] == 0).all() and (blank["intact"] == 0).all() and np.isnan(blank["moved"]).all()


def test_frames_that_are_not_finite_have_nan(recordings, futures):
    frames, view, controls = (one[:2] for one in futures)
    frames = frames.astype(np.float32)
    frames[0, 3, 4, 5] = np.nan
    frames[1, 2, 3, 3:5, 0] = np.inf, -np.inf
    values = read(fit(recordings), frames, view, controls)
    for name in ("silicon", "intact", "counts"):
        np.testing.assert_array_equal(np.argwhere(np.isnan(values[name])), [[0, 2], [1, 1]])
    for name in ("silicon_x", "silicon_y"):
        np.testing.assert_array_equal(np.argwhere(np.isnan(values[name])), [[0, 2], [1, 1]])
    for name in ("moved", "hopped"):
        np.testing.assert_array_equal(np.argwhere(np.isnan(values[name])), [[0, 2], [0, 3], [1, 1], [1, 2]])
    np.testing.assert_array_equal(np.argwhere(np.isnan(values["beam"])), [[0, 3], [1, 2]])


@settings(max_examples=10)
@given(x=st.floats(-50, 50), y=st.floats(-50, 50))
def test_the_origin_of_the_laboratory_does_not_matter(recordings, futures, x, y):
    found = fit(recordings[:2])
    frames, view, controls = (one[:2] for one in futures)
    moved = found(frames, view + np.array([0, 0, x, 0, 0, y]), controls + np.array([x, y, 0]))
    expected, names = found(frames, view, controls), found.quantities.names
    expected[..., names.index("silicon_x")] += x
    expected[..., names.index("silicon_y")] += y
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def beam_columns(units, frame):
    """The controls of the recordings, with the beam in other units."""
    dwell = Column("dwell", "s")
    return ColumnTable((*(Column(f"beam_{axis}", units, group="beam", axis=axis, frame=frame) for axis in "xy"), dwell))


def test_other_units_and_pixels_are_converted(recordings, futures):
    frames, view, controls = futures
    expected = read(fit(recordings), *futures)
    for units, scale in (("nm", 0.1), ("pm", 100.0)):
        changes = {"view_units": units, "control_table": beam_columns(units, "lab")}
        held = [plain(ds, view=scale * ds["view"].values, **changes) for ds in recordings]
        values = read(fit(held), frames, scale * view, controls * [scale, scale, 1])
        for name, value in expected.items():
            place = name in ("silicon_x", "silicon_y")
            np.testing.assert_allclose(values[name], value * (scale if place else 1), atol=1e-6 * max(scale, 1))
            assert not place or fit(held).quantities[name].units == units
    pixel = [plain(ds, control_table=beam_columns("pixel", "pixel")) for ds in recordings]
    turned = np.tile([0.0, 0.42, 1.0, 0.42, 0.0, -2.0], (len(frames), 1))
    places = [0.42 * controls[..., 1] + 1.0, 0.42 * controls[..., 0] - 2.0, controls[..., 2]]
    lab = read(fit(recordings), frames, turned, np.stack(places, axis=-1))
    values = read(fit(pixel), frames, turned, controls)
    np.testing.assert_allclose(values["beam"], lab["beam"])


def test_only_what_the_recordings_show_is_read(recordings, futures):
    frames, view, controls = futures
    still = fit([plain(ds, controls=None, control_table=None) for ds in recordings])
    names = ("silicon", "intact", "counts", "silicon_x", "silicon_y", "moved", "hopped")
    assert still.quantities.names == names and still.rates == ()
    assert still(frames, view, controls[..., :0]).shape == (*controls.shape[:2], 7)
    pixel = {"view": None, "view_units": "", "control_table": beam_columns("pixel", "pixel")}
    unscaled = fit([plain(ds, **pixel) for ds in recordings])
    assert unscaled.quantities.names == ("counts",) and unscaled.rates == ()
    assert unscaled(frames, view, controls).shape == (*controls.shape[:2], 1)
    carbon = [plain(ds, frames=np.minimum(ds["frames"].values, 14)) for ds in recordings]
    assert fit(carbon).quantities.names == ("counts",)
    once = fit([plain(recordings[0].isel(time=[0]), controls=None, control_table=None)])
    assert once.quantities["counts"].low is None and "hopped" in once.quantities.names
    table = ColumnTable(tuple(Column(name, "counts") for name in ("bf", "HAADF_1")))
    both = [plain(ds, frames=np.repeat(ds["frames"].values, 2, axis=3), channels=table) for ds in recordings]
    assert fit(both).channel == 1


def test_the_silicon_s_place_is_in_the_units_of_the_states(recordings, futures):
    frames, view, controls = futures
    states = ColumnTable(
        tuple(Column(name, "pm", role="measured", acts="during") for name in ("silicon_x", "silicon_y"))
    )
    held = [plain(ds, states=100 * ds["states"].values[:, :2], state_table=states) for ds in recordings]
    values = read(fit(held), frames, view, controls)
    true = np.stack([ds["states"].values[1:, 1] for ds in held])
    np.testing.assert_allclose(values["silicon_y"], true, atol=25)
    assert fit(held).quantities["silicon_y"].units == "pm" and fit(held).quantities["moved"].units == "A"


def test_a_warning_says_why_nothing_but_counts_is_read(recordings, caplog):
    fit(recordings[:2])
    assert not caplog.records
    pixel = {"view": None, "view_units": "", "control_table": beam_columns("pixel", "pixel")}
    fit([plain(recordings[0], **pixel)])
    fit([plain(recordings[0], frames=np.minimum(recordings[0]["frames"].values, 14))])
    unscaled, blobs = (record.getMessage() for record in caplog.records)
    assert "nothing is read of the frames but their mean counts, as the view is in 'pixel'" in unscaled
    assert "as 0% of the recorded frames show one silicon" in blobs
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_recordings_that_do_not_fit_are_refused(recordings):
    first, *_ = recordings
    with pytest.raises(RecordingError, match="no recordings"):
        fit([])
    with pytest.raises(RecordingError, match="give recordings of one kind"):
        fit([first, plain(first, view_units="nm", control_table=beam_columns("nm", "lab"))])
    with pytest.raises(RecordingError, match="no frame without NaN"):
        fit([plain(first, frames=np.full(first["frames"].shape, np.nan))])
    table = ColumnTable((Column("bf", "counts"), Column("df", "counts")))
    with pytest.raises(RecordingError, match="0 of the channels bf, df are called haadf"):
        fit([plain(first, frames=np.repeat(first["frames"].values, 2, axis=3), channels=table)])
    with pytest.raises(RecordingError, match="give those of a plane"):
        fit([plain(first, frames=first["frames"].values[:, None])])


def test_long_recordings_are_looked_at_evenly_and_in_parts(recordings, monkeypatch):
    frames = recordings[0]["frames"]
    looked = []

    def rows(base, key):
        looked.append(base + np.arange(*key[0].indices(frames.shape[0])))
        return frames.values[key]

    held: list[xr.Dataset] = []
    for k in range(3):
        made = lazy("none", frames.shape, frames.dtype, lambda key, k=k: rows(k * frames.shape[0], key))
        held.append(plain(recordings[0], frames=made))
    monkeypatch.setattr(module, "FRAMES", 8)
    monkeypatch.setattr("sciworld.lazy.BLOCK_BYTES", 6 * frames[0].nbytes)
    fit(held)
    assert max(len(one) for one in looked) <= 2
    np.testing.assert_array_equal(np.concatenate(looked), np.arange(0, 3 * frames.shape[0], 3))
