"""Checks: images with no silicon, with two, or with a hole in the lattice fail."""

import dataclasses

import numpy as np

from sciworld.domains.stem.checks import dose_within, lattice_intact, one_silicon
from sciworld.domains.stem.simulator import StemSettings, StemSimulator

SETTINGS = StemSettings(rows=26, columns=38, field_of_view=16.0, drift=0.0)


def pictures(n=20, seed=0):
    """Mean images of one silicon each : (n, y, x, 1), of pure carbon, of the silicon two cells away; and the view."""
    simulator = StemSimulator(SETTINGS)
    rng = np.random.default_rng(seed)
    state = simulator.start(n, rng)
    one = simulator.image(state, rng, noisy=False)
    away = dataclasses.replace(state, site=state.site + np.array([2, 0, 0]))
    other = simulator.image(away, rng, noisy=False).frames
    carbon = StemSimulator(dataclasses.replace(SETTINGS, z_exponent=1e-9)).image(state, rng, noisy=False).frames
    return one.frames, carbon, other, one.view


def noisy(frames, seed=1):
    return np.random.default_rng(seed).poisson(frames).astype(np.uint16)


def test_one_silicon():
    one, _, _, view = pictures()
    assert one_silicon(one, view).all() and one_silicon(noisy(one), view).mean() >= 0.95


def test_no_silicon_fails():
    _, carbon, _, view = pictures()
    assert not one_silicon(carbon, view).any() and not one_silicon(noisy(carbon), view).any()
    assert not one_silicon(np.zeros_like(carbon), view).any()
    assert not one_silicon(np.full_like(carbon, np.nan), view).any()


def test_two_silicon_atoms_fail():
    one, carbon, other, view = pictures()
    two = one + other - carbon
    assert not one_silicon(two, view).any() and one_silicon(noisy(two), view).mean() <= 0.05


def test_a_damaged_lattice_fails():
    one, _, _, view = pictures()
    assert lattice_intact(one, view).all() and lattice_intact(noisy(one), view).mean() >= 0.95
    torn = one.copy()
    torn[:, :, 26:] = SETTINGS.background * SETTINGS.carbon_counts
    assert not lattice_intact(torn, view).any()
    assert lattice_intact(torn, view, share=0.3).all()


def test_dose():
    assert (dose_within(np.array([1e9, 2e9, 3e9]), 2e9) == [True, True, False]).all()
