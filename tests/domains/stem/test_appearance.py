"""Probabilities read off mean images: right on mixtures of noise-free images, unbiased on noisy ones."""

import dataclasses

import numpy as np
import pytest

from sciworld.domains.stem.appearance import (
    Appearance,
    appearance_of,
    atom_images,
    lattice_sites,
    measure_appearance,
    site_readers,
)
from sciworld.domains.stem.constants import BOND
from sciworld.domains.stem.generate import generate
from sciworld.domains.stem.locate import locate
from sciworld.domains.stem.simulator import StemSettings, StemSimulator, neighbour_sites, site_positions
from sciworld.errors import RecordingError

SETTINGS = StemSettings(rows=26, columns=38, field_of_view=16.0, drift=0.0)
CONTRAST = SETTINGS.carbon_counts * ((14 / 6) ** SETTINGS.z_exponent - 1)


def ends(state, seed, noisy, simulator):
    """Images : (site, atom, y, x) of the silicon where it is, and at each neighbour."""
    rng = np.random.default_rng(seed)
    sites = [state.site, *(neighbour_sites(state.site, i) for i in range(3))]
    states = [dataclasses.replace(state, site=site) for site in sites]
    return np.stack([simulator.image(s, rng, noisy).frames[..., 0].astype(float) for s in states])


def true_order(located, state):
    """For every located neighbour (n, 3), which true one it is."""
    return np.linalg.norm(located.neighbours[:, :, None] - state.neighbours[:, None], axis=3).argmin(axis=2)


def read(noisy, appearance, n=24, copies=1, seed=0):
    """Probabilities read off mixtures of images, in the order of the true sites, and those that were mixed."""
    simulator = StemSimulator(SETTINGS)
    rng = np.random.default_rng(seed)
    state = simulator.start(n, rng)
    present = simulator.image(state, rng, noisy)
    located = locate(present.frames, present.view)
    mixed = rng.dirichlet(np.ones(4), n)
    readers = site_readers(located, present.view, (26, 38), appearance)
    images = np.mean([ends(state, k, noisy, simulator) for k in range(copies)], axis=0)
    found = np.einsum("nkyx,nyx->nk", readers, np.einsum("ns,snyx->nyx", mixed, images))
    order = true_order(located, state)
    assert (np.sort(order, axis=1) == [0, 1, 2]).all()
    return found, np.concatenate([mixed[:, :1], np.take_along_axis(mixed[:, 1:], order, axis=1)], axis=1)


def test_a_noise_free_mixture_gives_its_probabilities():
    found, mixed = read(False, Appearance(SETTINGS.probe_sigma, CONTRAST))
    assert np.abs(found - mixed).max() < 0.01


def test_readings_of_noisy_frames_are_unbiased():
    found, mixed = read(True, Appearance(SETTINGS.probe_sigma, CONTRAST), n=60, copies=4)
    error = found - mixed
    # The present, from which the sites are read, is noisy too: that blurs what is read by 2 %.
    assert np.abs(error.mean(axis=0)).max() < 0.02 and error.std() < 0.08


def test_brightness_of_the_background_does_not_matter():
    simulator = StemSimulator(SETTINGS)
    state = simulator.start(3, np.random.default_rng(1))
    present = simulator.image(state, np.random.default_rng(1), noisy=False)
    located = locate(present.frames, present.view)
    readers = site_readers(located, present.view, (26, 38), Appearance(SETTINGS.probe_sigma, CONTRAST))
    assert readers.dtype == np.float32 and readers.shape == (3, 4, 26, 38)
    assert np.abs(readers.sum(axis=(2, 3))).max() < 1e-4  # a constant reads as nothing
    carbon = atom_images(pixels(present.view), lattice_sites(located.silicon, located.neighbours), SETTINGS.probe_sigma)
    assert np.abs(np.einsum("nkp,np->nk", readers.reshape(3, 4, -1), carbon)).max() < 1e-4


def pixels(view):
    row, col = (grid.ravel() for grid in np.mgrid[:26, :38])
    v = view[:, :, None]
    return np.stack([v[:, 0] * col + v[:, 1] * row + v[:, 2], v[:, 3] * col + v[:, 4] * row + v[:, 5]], axis=2)


def test_the_appearance_is_measured_from_frames():
    simulator = StemSimulator(SETTINGS)
    rng = np.random.default_rng(2)
    present = simulator.image(simulator.start(60, rng), rng)
    found = measure_appearance(present.frames, present.view)
    assert found.sigma == pytest.approx(SETTINGS.probe_sigma, abs=0.01)
    assert found.contrast == pytest.approx(CONTRAST, rel=0.04)
    reading, mixed = read(False, found)
    assert np.abs(reading - mixed).max() < 0.03


def test_frames_without_silicon_have_no_appearance():
    noise = np.random.default_rng(3).poisson(5.0, (8, 26, 38, 1))
    view = np.tile([0.42, 0, 0, 0, 0.42, 0], (8, 1))
    with pytest.raises(RecordingError, match="of 8 frames show one silicon in a lattice; check the calibration"):
        measure_appearance(noise, view)


def test_lattice_sites_are_those_of_graphene():
    simulator = StemSimulator(SETTINGS)
    state = simulator.start(5, np.random.default_rng(4))
    found = lattice_sites(state.silicon, state.neighbours, reach=6.0)
    grid = np.array([(n, m, s) for n in range(-6, 7) for m in range(-6, 7) for s in (0, 1)])
    for c in range(5):
        places = site_positions(grid + state.site[c] * [1, 1, 0], state.lattice[c])
        near = places[np.linalg.norm(places - state.silicon[c], axis=1) <= 6.0]
        assert len(found[c]) == len(near)
        assert np.linalg.norm(found[c][:, None] - near, axis=2).min(axis=1).max() < 1e-9
    assert np.linalg.norm(found - state.silicon[:, None], axis=2).min(axis=1).max() < 1e-9
    assert np.linalg.norm(found - found[:, :1], axis=2)[:, 1:].min() > BOND - 1e-9


def test_a_store_of_several_shapes_is_measured_on_the_first(tmp_path):
    store = generate(tmp_path / "store", 1, transitions=48, steps=8)
    alone = appearance_of(store, 4)
    other = generate(tmp_path / "other", 2, transitions=8, steps=8, rows=26, columns=38, field_of_view=16.0)
    store.append([other[0]])
    assert len({recording["frames"].shape[1:] for recording in store}) == 2
    assert appearance_of(store).contrast == pytest.approx(appearance_of(store, 6).contrast)
    assert alone.contrast == pytest.approx(appearance_of(store, 6).contrast, rel=0.1)
