"""What is read of flows: such as keep volume, bodies and forces pass, and each fault is told by what is to tell it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.fluid import DOMAIN, checks
from sciworld.domains.fluid import physics as module
from sciworld.domains.fluid.physics import fit
from sciworld.errors import RecordingError
from sciworld.lazy import lazy

Y, X, CELL = 18, 27, 0.02
MOMENTS = 8
VIEW = np.array([CELL, 0.0, 0.1, 0.0, CELL, -0.2])
BODY = (slice(7, 11), slice(4, 9))


def columns(*names, units="m/s"):
    return ColumnTable(tuple(Column(name, units, role="measured") for name in names))


def flow(seed, moments=MOMENTS):
    """Velocities (moments, y, x, 2) m/s without divergence, of a stream and waves that travel, about a body."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:Y, :X] * CELL
    u, v = np.ones((moments, Y, X)), np.zeros((moments, Y, X))
    for k, one, two in zip(rng.uniform(20, 30, 3), *rng.uniform(0, 6, (2, 3)), strict=True):
        for t in range(moments):
            a, b = k * x - 0.4 * t + one, k * y + two
            u[t] += 0.3 * np.sin(a) * np.cos(b)
            v[t] -= 0.3 * np.cos(a) * np.sin(b)
    frames = np.stack([u, v], axis=-1)
    frames[:, BODY[0], BODY[1]] = 0.0
    return frames.astype(np.float32)


def made(frames, channels=None, view=VIEW, view_units="m", **more):
    texts = dict.fromkeys(("session", "source", "licence", "citation", "history"), "made")
    channels = channels or columns("velocity_x", "velocity_y")
    time = np.arange(len(frames)) * 0.1
    return recording.make(frames, time, channels=channels, view=view, view_units=view_units, **texts, **more)


@pytest.fixture(scope="module")
def flows():
    return np.stack([flow(seed) for seed in range(8)])


@pytest.fixture(scope="module")
def recordings(flows):
    return [made(one) for one in flows]


def read(found, frames, view=VIEW):
    """The quantities by name, (n, step) each."""
    n, moments = frames.shape[:2]
    values = found(frames, np.tile(view, (n, 1)), np.zeros((n, moments - 1, 0)))
    assert values.dtype == np.float64 and values.shape == (n, moments - 1, len(found.quantities))
    return dict(zip(found.quantities.names, np.moveaxis(values, -1, 0), strict=True))


def within(found, values, name):
    """The share of values that is within the bounds of a quantity."""
    column = found.quantities[name]
    return ((values[name] >= column.low) & (values[name] <= column.high)).mean()


def test_flows_pass_and_quantities_are_those_of_the_formulas(recordings, flows):
    found = DOMAIN.physics(recordings)
    assert found.quantities.names == ("divergence", "outflow", "enstrophy", "slip") and found.rates == ()
    assert found.quantities["enstrophy"].units == "1/s^2"
    body = np.zeros((Y, X), bool)
    body[BODY] = True
    np.testing.assert_array_equal(found.body, body)
    slow = flows[0] + np.where(body, 0.05, 0.0)[..., None]
    assert fit([made(slow)]).body is None
    lone = flows[0] + np.where(body & (np.arange(X) != 5), 0.05, 0.0)[..., None]
    assert fit([made(lone)]).body is None
    values = read(found, np.stack([flow(seed) for seed in range(20, 24)]))
    assert all(within(found, values, name) == 1 for name in values if name != "enstrophy")
    assert within(found, read(found, flows), "enstrophy") == 1
    u, v = np.moveaxis(flows[0, 1:].astype(float), -1, 0)
    np.testing.assert_allclose(read(found, flows)["divergence"][0], checks.divergence(u, v, CELL, body))
    np.testing.assert_array_equal(read(found, flows)["slip"], 0)


def test_each_fault_is_told(recordings, flows):
    found = fit(recordings)
    source = flows.copy()
    source[..., 0] += 3.0 * np.arange(X) * CELL
    values = read(found, source)
    assert within(found, values, "divergence") == 0 and within(found, values, "outflow") == 0
    assert (values["outflow"] > 0).all()
    wide = np.pad(flows, ((0, 0), (0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    blurred = np.mean([wide[:, :, j : j + Y, i : i + X] for j in range(5) for i in range(5)], axis=0)
    assert within(found, read(found, blurred), "enstrophy") < 0.2
    shifted = read(found, flows + np.array([0.1, 0.0]))
    assert within(found, shifted, "slip") == 0
    assert within(found, shifted, "divergence") == within(found, shifted, "outflow") == 1
    noise = np.random.default_rng(0).normal(size=flows.shape)
    np.testing.assert_allclose(read(found, noise)["divergence"], np.sqrt(0.5), atol=0.1)
    assert within(found, read(found, flows + 0.1 * noise), "divergence") == 0


def test_frames_that_are_not_finite_have_nan(recordings, flows):
    frames = flows[:2].copy()
    frames[0, 3, 4, 5, 1] = np.nan
    frames[1, 2, 3, 3:5, 0] = np.inf, -np.inf
    for values in read(fit(recordings), frames).values():
        np.testing.assert_array_equal(np.argwhere(np.isnan(values)), [[0, 2], [1, 1]])


@settings(max_examples=20)
@given(
    seed=st.integers(0, 99),
    turn=st.sampled_from(["x", "y", "swap", "turn"]),
    size=st.floats(0.1, 10),
    unit=st.floats(1, 9),
)
def test_how_a_view_lies_does_not_matter(recordings, seed, turn, size, unit):
    found = fit(recordings[:1])
    frames, view = flow(seed, 3), VIEW * [size, size, 1, size, size, 1]
    before = module.FluidPhysics(found.quantities, (0, 1), None, 1.0, None).read(frames, np.tile(view, (3, 1)))
    if turn == "turn":  # the laboratory, with what is measured in it
        cos, sin = np.cos(unit), np.sin(unit)
        frames = np.stack(
            [cos * frames[..., 0] - sin * frames[..., 1], sin * frames[..., 0] + cos * frames[..., 1]], -1
        )
        view = np.array([cos * view[0], -sin * view[4], 3.0, sin * view[0], cos * view[4], 0.0])
    elif turn == "swap":  # rows and columns
        frames, view = frames.transpose(0, 2, 1, 3), view[[1, 0, 2, 4, 3, 5]]
    else:  # the order of columns or of rows
        frames = frames[:, :, ::-1] if turn == "x" else frames[:, ::-1]
        view = view * ([-1, 1, 1, -1, 1, 1] if turn == "x" else [1, -1, 1, 1, -1, 1])
    after = module.FluidPhysics(found.quantities, (0, 1), None, 1.0, None).read(frames, np.tile(view, (3, 1)))
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, rtol=1e-5, atol=1e-6)


def test_channels_are_found_by_name_and_density_is_kept(flows):
    more = np.stack([np.full(flows.shape[:-1], 7.0), flows[..., 1], 2.0 + 0 * flows[..., 0], flows[..., 0]], axis=-1)
    more[..., 2] *= 1 + 1e-3 * np.arange(MOMENTS)[:, None, None]
    table = columns("pressure", "v", "density", "u")
    found = fit([made(one, table) for one in more])
    assert (found.velocity, found.density) == ((3, 1), 2)
    values = read(found, more)
    np.testing.assert_allclose(values["divergence"], read(fit([made(one) for one in flows]), flows)["divergence"])
    np.testing.assert_allclose(values["density_drift"][0], 1e-3 * np.arange(1, MOMENTS))
    assert within(found, values, "density_drift") == 1
    more[:, 1:, ..., 2] *= 1.1
    assert within(found, read(found, more), "density_drift") == 0
    more[:, 2, 3, 4, 2] = np.nan
    assert np.isnan(read(found, more)["density_drift"][:, 1]).all()


MASKED = (*BODY, slice(0, 2))


def test_a_masked_body_reads_as_one_at_rest_without_slip(recordings, flows):
    masked = flows.copy()
    masked[(..., *MASKED)] = np.nan
    found, still = fit([made(one) for one in masked]), fit(recordings)
    assert found.quantities.names == ("divergence", "outflow", "enstrophy") and found.body is None
    np.testing.assert_array_equal(found.masked, still.body)
    assert still.masked is None
    imagined = flows.copy()
    imagined[(..., *MASKED)] = np.random.default_rng(0).normal(size=imagined[(..., *MASKED)].shape)
    expected = read(still, flows)
    for frames in (masked, imagined):  # whatever stands in the mask
        values = read(found, frames)
        assert all(within(found, values, name) == 1 for name in values)
        for name, value in values.items():
            np.testing.assert_allclose(value, expected[name])
    imagined[0, 2, 1, 2] = np.nan
    assert (
        np.isnan(read(found, imagined)["divergence"][0, 1])
        and np.isfinite(read(found, imagined)["enstrophy"][1:]).all()
    )
    with pytest.raises(RecordingError, match="frames of 17 x 27"):
        read(found, masked[:, :, 1:])


def test_a_mask_is_what_no_frame_has_and_other_bodies_are_found_beside_it(flows):
    masked = flows.copy()
    masked[:, :, 2, 20] = np.nan
    masked[:, 1::2, 14, 3] = np.nan  # now and then
    found = fit([made(one) for one in masked])
    np.testing.assert_array_equal(np.argwhere(found.masked), [[2, 20]])
    assert found.body.sum() == 20 and found.quantities.names[-1] == "slip"
    values = read(found, masked)
    assert np.isnan(values["slip"][:, ::2]).all() and (values["slip"][:, 1::2] == 0).all()
    u, v = np.moveaxis(np.nan_to_num(masked[0, 2::2]).astype(float), -1, 0)
    np.testing.assert_allclose(values["divergence"][0, 1::2], checks.divergence(u, v, CELL, found.body | found.masked))


def test_density_and_forces_are_read_beside_a_mask(flows):
    strength = np.random.default_rng(5).uniform(0.5, 1.5, (10, MOMENTS))
    frames = np.concatenate([flows, flows[:2]]) * strength[:, :, None, None, None]
    force = np.stack([strength**2, frames[..., 1][:, :, 2:6, 2:6].mean(axis=(2, 3))], axis=-1)
    density = 2.0 + 1e-3 * np.arange(MOMENTS)[:, None, None, None] + 0 * frames[..., :1]
    frames = np.concatenate([frames, density], axis=-1)
    frames[(..., *BODY, slice(None))] = np.nan
    states = ColumnTable(tuple(Column(name, "1", role="measured", acts="during") for name in ("drag", "lift")))
    table = ColumnTable((*columns("u", "v"), Column("density", "kg/m^3")))
    held = [made(one, table, states=told, state_table=states) for one, told in zip(frames, force, strict=True)]
    found = fit(held)
    assert found.quantities.names[2:] == ("enstrophy", "density_drift", "drag", "lift")
    values = read(found, frames)
    np.testing.assert_allclose(values["density_drift"][0], 5e-4 * np.arange(1, MOMENTS))
    assert np.corrcoef(values["drag"].ravel(), force[:, 1:, 0].ravel())[0, 1] > 0.95


def test_forces_are_read_where_they_were_measured(flows):
    rng = np.random.default_rng(5)
    strength = rng.uniform(0.5, 1.5, (10, MOMENTS, 2))
    frames = np.concatenate([flows, flows[:2]]) * np.array([1.0, 0.2]) * strength[:, :, None, None]
    force = np.stack([frames[..., 0].mean(axis=(2, 3)) ** 2, frames[..., 1][:, :, 2:6, 2:6].mean(axis=(2, 3))], axis=-1)
    states = ColumnTable(tuple(Column(name, "1", role="measured", acts="during") for name in ("drag", "lift")))
    force[:, 0] = np.nan  # of no action
    held = [made(one, states=values, state_table=states) for one, values in zip(frames, force, strict=True)]
    found = fit(held)
    assert found.quantities.names[-2:] == ("drag", "lift")
    values = read(found, frames)
    for k, name in enumerate(("drag", "lift")):
        assert np.corrcoef(values[name].ravel(), force[:, 1:, k].ravel())[0, 1] > 0.95
        assert within(found, values, name) == 1
    assert within(found, read(found, 3 * frames), "drag") < 0.5
    assert fit(held[:4]).reader is None and fit([ds.drop_vars("states") for ds in held]).reader is None
    chance = [ds.assign(states=(ds.states.dims, rng.normal(size=ds.states.shape), ds.states.attrs)) for ds in held]
    assert fit(chance).reader is None


def test_a_bound_that_would_bound_nothing_is_left_out(flows):
    noise = np.random.default_rng(1).normal(size=(3, MOMENTS, Y, X, 2))
    found = fit([made(one) for one in noise])
    assert found.body is None and found.quantities["divergence"].high is None
    stream = fit([made(one) for one in noise + np.array([5.0, 0.0])])
    assert stream.quantities["outflow"].high < 0.5
    all_leave = noise * 0.1 + np.stack(np.broadcast_arrays(np.arange(X) - 13.0, 0.0), axis=-1)
    assert fit([made(one) for one in all_leave]).quantities["outflow"].high is None
    once = fit([made(flows[0, :1], columns("u", "v", units="pixel"), None, "")])
    assert once.quantities["enstrophy"].low is None and once.quantities["enstrophy"].units == "(pixel)^2/pixel^2"
    still = fit([made(np.zeros((2, Y, X, 2)))])
    assert still.body is None and (read(still, np.zeros((1, 2, Y, X, 2)))["outflow"] == 0).all()


def test_recordings_that_do_not_fit_are_refused(recordings, flows):
    one = flows[0]
    with pytest.raises(RecordingError, match="no recordings"):
        fit([])
    with pytest.raises(RecordingError, match="give recordings of one kind"):
        fit([made(one), made(one, view=100 * VIEW, view_units="cm")])
    with pytest.raises(RecordingError, match="no velocities among the channels velocity_x, pressure"):
        fit([made(one, columns("velocity_x", "pressure"))])
    with pytest.raises(RecordingError, match="has a velocity that is NaN"):
        fit([made(np.where(np.arange(X)[:, None] == 3 + np.arange(MOMENTS)[:, None, None, None], np.nan, one))])
    with pytest.raises(RecordingError, match="has a velocity that is NaN"):
        fit([made(np.full(one.shape, np.nan))])
    with pytest.raises(RecordingError, match="of 2 x 2 cells or more"):
        fit([made(one[:, :1])])
    with pytest.raises(RecordingError, match="is skewed or flat"):
        fit([made(one, view=np.array([CELL, 0.5 * CELL, 0.0, 0.0, CELL, 0.0]))])
    with pytest.raises(RecordingError, match="frames of 17 x 27"):
        read(fit(recordings), flows[:, :, 1:])


def test_long_recordings_are_looked_at_evenly_and_in_parts(flows, monkeypatch):
    looked = []

    def rows(number, key):
        looked.append(MOMENTS * number + np.arange(*key[0].indices(MOMENTS)))
        return flows[number][key]

    held = [
        made(lazy("none", flows[k].shape, flows.dtype, lambda key, k=k: rows(k, key)), columns("u", "v"))
        for k in range(3)
    ]
    monkeypatch.setattr(module, "FRAMES", 8)
    monkeypatch.setattr("sciworld.lazy.BLOCK_BYTES", 6 * flows[0, 0].nbytes)
    fit(held)
    assert max(len(one) for one in looked) <= 2
    # A mask is looked for until a frame has all velocities.
    np.testing.assert_array_equal(np.concatenate(looked), [0, 3, *[*range(0, 24, 3)] * 2])
