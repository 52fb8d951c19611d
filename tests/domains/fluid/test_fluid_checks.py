"""Checks of flows, on flows that keep and that break them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciworld.domains.fluid import checks
from sciworld.domains.fluid.lattice import Lattice
from sciworld.domains.fluid.scenarios import scenario
from sciworld.errors import SettingsError
from sciworld.kernels import lbm

Y, X, CELL = 24, 36, 0.05


def waves(kx, ky):
    """A velocity without divergence, from the stream function sin(kx x) sin(ky y)."""
    y, x = (np.mgrid[:Y, :X] + 0.5) * CELL
    a, b = 2 * np.pi * kx / (X * CELL), 2 * np.pi * ky / (Y * CELL)
    return b * np.sin(a * x) * np.cos(b * y), -a * np.cos(a * x) * np.sin(b * y)


def test_divergence_tells_what_is_compressed():
    u, v = waves(1, 1)
    assert checks.divergence(u[None], v[None], CELL)[0] < 0.02
    assert checks.divergence(u[None], -v[None], CELL)[0] > 0.5
    assert checks.divergence(0 * u[None], 0 * v[None], CELL)[0] == 0
    solid = np.zeros((Y, X), bool)
    solid[10:13, 10:14] = True
    broken = u.copy()
    broken[solid] = 99
    assert checks.divergence(broken[None], v[None], CELL)[0] > 0.1
    assert checks.divergence(broken[None], v[None], CELL, solid)[0] < 0.03


@settings(max_examples=20)
@given(kx=st.integers(1, 8), ky=st.integers(1, 8), seed=st.integers(0, 9))
def test_the_spectrum_holds_all_energy_in_the_right_place(kx, ky, seed):
    u, v = waves(kx, ky)
    k, energy = checks.spectrum(u[None], v[None], CELL)
    wave = np.hypot(2 * np.pi * kx / (X * CELL), 2 * np.pi * ky / (Y * CELL))
    assert abs(k[energy[0].argmax()] - wave) <= (k[1] - k[0]) / 2 + 1e-9
    noise = np.random.default_rng(seed).normal(size=(2, 3, Y, X))
    k, energy = checks.spectrum(*noise, CELL)
    np.testing.assert_allclose(energy.sum(axis=1) * (k[1] - k[0]), (noise**2).mean(axis=(2, 3)).sum(axis=0) / 2)


def test_a_simulated_wake_passes():
    case = scenario("schafer_turek", cells=20, lattice_speed=0.02)
    lattice = Lattice(case)
    flow, _ = lattice.advance(lattice.start(1), 2000)
    fields = lattice.fields(flow)
    u, v = fields["velocity_x"], fields["velocity_y"]
    assert checks.divergence(u, v, case.cell, case.solid)[0] < 0.1
    assert checks.slip(u, v, case.solid, 1.0)[0] == 0
    assert checks.mach_number(u, v, lbm.SOUND * case.velocity)[0] < 0.1
    assert checks.slip(u, v, np.roll(case.solid, 40, axis=1), 1.0)[0] > 0.1


def test_mass_that_is_lost_is_told():
    density = np.ones((3, Y, X))
    assert checks.mass_drift(density) == 0
    density[1] *= 1.01
    assert checks.mass_drift(density) == pytest.approx(0.01)


def test_fields_of_other_shapes_are_refused():
    with pytest.raises(SettingsError, match=r"give \(n, y, x\) of both"):
        checks.divergence(np.zeros((Y, X)), np.zeros((Y, X)), CELL)
    with pytest.raises(SettingsError, match="sound is 0"):
        checks.mach_number(np.zeros((1, Y, X)), np.zeros((1, Y, X)), 0)
    with pytest.raises(SettingsError, match="a body of at least one cell"):
        checks.slip(np.zeros((1, Y, X)), np.zeros((1, Y, X)), np.zeros((Y, X), bool), 1.0)
