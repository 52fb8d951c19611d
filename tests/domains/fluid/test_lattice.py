"""Flows on a lattice: their units, their known solutions at small size, and what is refused."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.domains.fluid.cylinder import JET_WIDTH, circle, jet_momentum, jets, turning
from sciworld.domains.fluid.lattice import Case, Lattice
from sciworld.domains.fluid.scenarios import SCENARIOS, scenario
from sciworld.errors import SettingsError, SimulatorError
from sciworld.kernels import lbm

SMALL = {
    "cavity": {"cells": 12}, "taylor_green": {"cells": 12}, "shear_layer": {"cells": 24, "reynolds": 200.0},
    "kolmogorov": {"cells": 24, "reynolds": 100.0, "waves": 2}, "schafer_turek": {"cells": 10},
    "jets_rabault": {"cells": 10}, "rotary": {"cells": 10}, "cylinder_unbounded": {"cells": 8, "extent": (14.0, 9.0)},
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("collision", ["trt", "bgk"])
def test_every_scenario_runs_and_knows_its_reynolds_number(name, collision):
    case = scenario(name, **SMALL[name], collision=collision)
    lattice = Lattice(case)
    state = lattice.start(2)
    after, forces = lattice.advance(state, 4)
    assert case.reynolds == pytest.approx(SMALL[name].get("reynolds", 100.0))
    assert forces.shape == (2, 4, 2) and (forces == 0).all() == (case.body is None)
    np.testing.assert_array_equal(after.f[0], after.f[1])
    assert (state.steps == 0).all() and (after.steps == 4).all()
    fields = lattice.fields(after)
    assert {values.shape for values in fields.values()} == {(2, *case.shape)}
    if case.solid is not None:
        assert all((values[:, case.solid] == 0).all() for values in fields.values())


def test_fields_are_in_si_units():
    """The vortices of Taylor and Green: speed, pressure and vorticity as written down for 0.3 m and 2 m/s."""
    case = scenario("taylor_green", cells=48, length=0.3, speed=2.0, lattice_speed=0.01)
    fields = Lattice(case, np.float64).fields(Lattice(case, np.float64).start(1))
    y, x = (np.mgrid[:48, :72] + 0.5) * 0.3 / 48
    ky, kx = 2 * np.pi / 0.3, 2 * np.pi / 0.45
    u, v = -2 * np.cos(kx * x) * np.sin(ky * y), 2 * kx / ky * np.sin(kx * x) * np.cos(ky * y)
    np.testing.assert_allclose(fields["velocity_x"][0], u, atol=1e-9)
    np.testing.assert_allclose(fields["velocity_y"][0], v, atol=1e-9)
    pressure = -(np.cos(2 * kx * x) + (kx / ky) ** 2 * np.cos(2 * ky * y))  # rho U^2 / 4 = 1 Pa
    np.testing.assert_allclose(fields["pressure"][0], pressure, atol=1e-9)
    vorticity = 2 * (kx**2 / ky + ky) * np.cos(kx * x) * np.cos(ky * y)
    np.testing.assert_allclose(fields["vorticity"][0], vorticity, atol=0.01 * np.abs(vorticity).max())
    assert case.step * case.velocity == pytest.approx(case.cell)


def test_a_lid_drives_the_cavity_as_published():
    """Two points of the table of Ghia, Ghia and Shin (1982), at Reynolds 100."""
    case = scenario("cavity", cells=32)
    flow, _ = Lattice(case).advance(Lattice(case).start(1), 2 * 32 * 120)
    _, u, v = Lattice(case).moments(flow)[0] / case.speed
    places = (np.arange(32) + 0.5) / 32
    assert np.interp(0.4531, places, u[:, 15:17].mean(axis=1)) == pytest.approx(-0.21090, abs=0.012)
    assert np.interp(0.2344, places, v[15:17].mean(axis=0)) == pytest.approx(0.17527, abs=0.012)


def test_a_cylinder_in_a_channel_feels_the_published_drag():
    """2D-1 of Schafer and Turek (1996), Reynolds 20: C_D 5.5795, C_L 0.0106."""
    case = scenario("schafer_turek", reynolds=20.0, cells=10, lattice_speed=0.05)
    unit = case.length / case.speed
    _, forces = Lattice(case).advance(Lattice(case).start(1), 2 * round(30 * unit / 2))
    drag, lift = forces[0, -1] / (0.5 * 1.0**2 * 0.1)
    assert drag == pytest.approx(5.5795, rel=0.02) and lift == pytest.approx(0.0106, abs=0.02)


@pytest.mark.parametrize("turn", [20.0, -20.0])  # rad/s: the surface is as fast as the stream
def test_a_cylinder_that_turns_drags_the_fluid_along_and_is_pushed_aside(turn):
    """Counter-clockwise, its top moves against the stream; the lift of Magnus points down."""
    lattice = Lattice(scenario("rotary", cells=10, lattice_speed=0.05))
    flow, forces = lattice.advance(lattice.start(1), np.full((1, 1600, 1), turn))
    u = lattice.fields(flow)["velocity_x"][0]
    against, along = (u[25, 18:22], u[14, 18:22]) if turn > 0 else (u[14, 18:22], u[25, 18:22])
    assert -1 < against.min() < -0.4 and 1.3 < along.max() < 2  # half a cell off the surface
    lift = forces[0, -200:, 1].mean() / 0.05
    assert -4 < lift * np.sign(turn) < -2


def test_the_stress_of_the_stream_comes_in_with_it():
    """A parabola stays one from the first cell behind an inlet on."""
    ny, nx, fastest = 20, 40, 0.045
    along = np.arange(ny) + 0.5
    profile = 4 * fastest * along * (ny - along) / ny**2
    walls, start = np.zeros((4, nx, 2)), np.zeros((3, ny, nx))
    walls[lbm.LEFT, :ny, 0], start[1] = profile, profile[:, None]
    kinds = (lbm.INLET, lbm.OPEN, lbm.WALL, lbm.WALL)
    lattice = Lattice(Case((ny, nx), 1.0, 1.0, 0.05, ny, 0.03, start, kinds, walls), np.float64)
    flow, _ = lattice.advance(lattice.start(1), 4000)
    u = lattice.moments(flow)[0, 1]
    assert np.abs(u[:, :20] - profile[:, None]).max() < 0.004 * fastest


def test_the_pressure_of_an_open_channel_goes_back_to_that_outside():
    lattice = Lattice(scenario("schafer_turek", cells=10, lattice_speed=0.05))
    state = lattice.start(1)
    state.f[:] += (0.01 * lbm.WEIGHTS[:, None, None]).astype(np.float32)
    state.outflow[:, 0] += 0.01
    state, _ = lattice.advance(state, 2500)
    assert abs(lattice.moments(state)[0, 0].mean()) < 0.002


def test_a_slanted_link_meets_a_wall_between_two_cells():
    """Along a wall whose speed grows by 1e-3 a cell, a slanted link brings that of half a cell further on."""
    walls = np.zeros((4, 12, 2))
    walls[lbm.TOP, :, 0] = 1e-3 * np.arange(12)
    box = Lattice(Case((8, 12), 1.0, 1.0, 0.1, 8, 0.01, np.zeros((3, 8, 12)), (lbm.WALL,) * 4, walls))._box
    for i, k in enumerate(lbm.INCOMING[lbm.TOP]):
        speeds = 1e-3 * (np.arange(12) - 0.5 * lbm.CX[k])
        expected = 6 * lbm.WEIGHTS[k] * lbm.CX[k] * speeds
        np.testing.assert_allclose(box.pushes[lbm.TOP, i, 1:11], expected[1:11], atol=1e-12)


def test_a_weak_force_balances_viscosity_in_kolmogorov_s_flow():
    case = scenario("kolmogorov", reynolds=20.0, cells=24, waves=1, lattice_speed=0.02)
    case = dataclasses.replace(case, start=np.zeros((3, 24, 24)))
    flow, _ = Lattice(case, np.float64).advance(Lattice(case, np.float64).start(1), 6000)
    u = Lattice(case, np.float64).moments(flow)[0, 1]
    wave = np.sin(2 * np.pi * (np.arange(24) + 0.5) / 24)
    np.testing.assert_allclose(u, 0.02 * np.tile(wave[:, None], 24), atol=4e-3 * 0.02)


@settings(max_examples=25)
@given(
    radius=st.floats(3.0, 9.0),
    off=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
)
def test_links_meet_the_circle(radius, off):
    middle = (14.0 + off[0], 17.0 + off[1])
    links, fractions, places, solid = circle((29, 36), middle, radius)
    assert ((fractions > 0) & (fractions <= 1)).all() and len(links) == len(np.unique(links, axis=0))
    np.testing.assert_allclose(np.hypot(*places.T), radius, rtol=1e-9)
    rows, columns, k = links.T
    assert not solid[rows - 1, columns - 1].any() and solid[rows - 1 + lbm.CY[k], columns - 1 + lbm.CX[k]].all()
    start = np.stack([columns - 0.5 - middle[1], rows - 0.5 - middle[0]], axis=1)
    np.testing.assert_allclose(start + fractions[:, None] * np.stack([lbm.CX[k], lbm.CY[k]], axis=1), places)
    np.testing.assert_allclose((turning(places)[0] * places).sum(axis=1), 0, atol=1e-9)


@settings(max_examples=25)
@given(radius=st.integers(5, 30), off=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)))
def test_jets_pass_what_their_slots_pass_and_nothing_in_all(radius, off):
    n = 2 * radius + 12
    links, fractions, places, _ = circle((n, n + 3), (n / 2 + off[0], n / 2 + off[1]), radius)
    try:
        velocity = jets(links, fractions, places)[0]
    except SettingsError:
        assert radius < 12  # a slot that no link cuts is refused
        return
    k = links[:, 2]
    share = 6 * lbm.WEIGHTS[k] / np.maximum(1, 2 * fractions)
    passed = -share * (lbm.CX[k] * velocity[:, 0] + lbm.CY[k] * velocity[:, 1])
    up = places[:, 1] > 0
    assert passed[up].sum() == pytest.approx(JET_WIDTH * radius, rel=1e-6)
    assert passed.sum() == pytest.approx(0, abs=1e-9 * radius)
    assert (velocity[:, 1] >= 0).all()  # one blows up, the other sucks from above


def test_what_the_jets_carry_cancels():
    """On the lattice too, where the cylinder is cut alike above and below."""
    links, fractions, places, _ = circle((52, 63), (26.0, 30.0), 10)
    k, velocity = links[:, 2], jets(links, fractions, places)[0]
    share = 6 * lbm.WEIGHTS[k] / np.maximum(1, 2 * fractions)
    passed = -share * (lbm.CX[k] * velocity[:, 0] + lbm.CY[k] * velocity[:, 1])
    carried = passed[:, None] * velocity
    assert carried[places[:, 1] > 0, 1].sum() > 0.5
    np.testing.assert_allclose(carried.sum(axis=0), 0, atol=1e-12)
    off = (np.arange(1000) + 0.5) / 1000 - 0.5  # across a slot, by a half wave of mean 0.7
    speed = 0.7 * np.pi / 2 * np.cos(np.pi * off)
    assert jet_momentum(0.7, 10) == pytest.approx((speed**2).mean() * JET_WIDTH * 10, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("cavity", {"lattice_speed": 0.2}, "Mach number of 0.346, 0.3 is the most"),
        ("cavity", {"reynolds": 1e5}, r"relaxation time of 0.50019 is too near 0.5.*use more cells"),
        (
            "taylor_green",
            {"reynolds": 5.0},
            "viscosity of 0.64 cells.2 a step, 0.6 is the most.*a higher reynolds",
        ),
        ("cavity", {"reynolds": float("nan")}, "reynolds is nan; use a positive number"),
        ("cavity", {"cells": 0}, "cells is 0; use an integer, at least 8 and at most 10000"),
        ("cavity", {"cells": 32.0}, "cells is 32.0"),
        ("cavity", {"collision": "mrt"}, "collision is 'mrt'; use trt or bgk"),
        ("cavity", {"reynold": 100.0}, "unknown setting reynold; known are reynolds, cells"),
        ("cave", {}, "no scenario 'cave'; there are cavity"),
        ("rotary", {"cells": 12}, "use a multiple of 10"),
        ("cylinder_unbounded", {"extent": (4.0, 4.0)}, "use at least 8 of each"),
        ("kolmogorov", {"waves": 0}, "waves is 0"),
        ("kolmogorov", {"waves": 1.5}, r"waves is 1\.5"),
        ("taylor_green", {"aspect": float("nan")}, "aspect is nan"),
        ("taylor_green", {"lattice_speed": 1e300}, "lattice_speed is 1e.300"),
        ("shear_layer", {"steepness": "steep"}, "steepness is 'steep'"),
        ("cylinder_unbounded", {"extent": (10.0, 10.0, 10.0)}, "extent is .* use .length, height"),
        ("cylinder_unbounded", {"extent": "ab"}, "extent is 'ab'"),
        (["cavity"], {}, "no scenario"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_one_to_change(name, wrong, message):
    with pytest.raises(SettingsError, match=message):
        scenario(name, **wrong)


def test_a_flow_that_diverges_stops_with_the_step_and_the_place():
    case = scenario("rotary", cells=10, lattice_speed=0.05)
    lattice = Lattice(case)
    with pytest.raises(
        SimulatorError, match=r"flow 1 diverged at step \d+ \(.* s\), at x = .* m, y = .* m; use"
    ) as told:
        lattice.advance(lattice.start(2), np.array([0.0, 1e4])[:, None, None] * np.ones((2, 400, 1)))
    x, y = map(float, re.search(r"x = (\S+) m, y = (\S+) m", str(told.value)).groups())
    assert np.hypot(x - 0.2, y - 0.2) < 0.1  # beside the cylinder that turns too fast


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kinds": (lbm.OPEN, lbm.WALL, lbm.WALL, lbm.WALL)}, "an inlet is on the left, an open side on the right"),
        ({"kinds": (lbm.PERIODIC, lbm.WALL, lbm.WALL, lbm.WALL)}, "kinds are"),
        ({"start": np.zeros((3, 5, 5))}, r"start is \(3, 5, 5\); expected \(3, 8, 8\)"),
        ({"magic": -1.0}, r"magic is -1\.0"),
        ({"viscosity": np.inf}, "a viscosity of inf"),
    ],
)
def test_cases_that_are_none_are_refused(wrong, message):
    with pytest.raises(SettingsError, match=message):
        dataclasses.replace(scenario("cavity", cells=8), **wrong)
    for kind in ("foo", "float16", None, np.int64, 5):
        with pytest.raises(SettingsError, match="use float32 or float64"):
            Lattice(scenario("cavity", cells=8), kind)


def test_flows_of_another_lattice_are_refused():
    small, large = (Lattice(scenario("cavity", cells=cells)) for cells in (8, 12))
    for wrong in (large.start(1), Lattice(small.case, np.float64).start(1)):
        for use in (small.moments, lambda state: small.advance(state, 2)):
            with pytest.raises(SimulatorError, match="of another lattice; expected"):
                use(wrong)


def test_what_is_no_number_of_steps_is_refused():
    lattice = Lattice(scenario("cavity", cells=8))
    state = lattice.start(1)
    assert lattice.advance(state, np.int64(4))[0].steps.tolist() == [4]
    for wrong, error in ((-2, SettingsError), (np.zeros((1, 2)), SimulatorError)):
        with pytest.raises(error):
            lattice.advance(state, wrong)
    with pytest.raises(SimulatorError, match="not all finite"):
        turned = Lattice(scenario("rotary", cells=10))
        turned.advance(turned.start(1), np.full((1, 2, 1), np.nan))
    with pytest.raises(SettingsError, match=r"start: n is 2\.0"):
        lattice.start(2.0)


def test_the_vorticity_looks_at_no_cell_inside_a_body():
    lattice = Lattice(scenario("rotary", cells=10))
    state, _ = lattice.advance(lattice.start(1), np.full((1, 20, 1), 5.0))
    vorticity = lattice.fields(state)["vorticity"]
    solid = np.pad(lattice.case.solid, 1)
    state.f[:, :, solid] = 7.0
    np.testing.assert_array_equal(lattice.fields(state)["vorticity"], vorticity)


def test_amplitudes_of_another_shape_are_refused():
    lattice = Lattice(scenario("rotary", cells=10))
    for amplitudes in (np.zeros((1, 4, 2)), np.zeros((2, 4, 1)), np.zeros((1, 3, 1))):
        with pytest.raises(SimulatorError, match="an even number of steps"):
            lattice.advance(lattice.start(1), amplitudes)
