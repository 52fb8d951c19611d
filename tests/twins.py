"""NumPy twins of Numba kernels: the same arithmetic, vectorised over candidates, to check and to time them against."""

from __future__ import annotations

import numpy as np

from sciworld.kernels.stem import BOND, LATTICE

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def uniform(streams: np.ndarray) -> np.ndarray:
    """The next number of every stream : (candidate,) uint64, advanced in place; uniform in [0, 1)."""
    streams += _STEP
    z = (streams ^ (streams >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53


def site_positions(sites: np.ndarray, lattices: np.ndarray) -> np.ndarray:
    """Positions (candidate, 2) in A of sites (candidate, 3) on lattices (candidate, 3)."""
    n, m, s = sites.T
    x = LATTICE * (n + 0.5 * m + 0.5 * s)
    y = LATTICE * (np.sqrt(3.0) / 2.0 * m + np.sqrt(3.0) / 6.0 * s)
    cos, sin = np.cos(lattices[:, 2]), np.sin(lattices[:, 2])
    return lattices[:, :2] + np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)


def neighbours(sites: np.ndarray, i: int) -> np.ndarray:
    """Neighbour i (0, 1, 2) of sites (candidate, 3)."""
    sign = 2 * sites[:, 2] - 1
    return np.stack([sites[:, 0] + sign * (i == 1), sites[:, 1] + sign * (i == 2), 1 - sites[:, 2]], axis=1)


def bond_rates(sites: np.ndarray, lattices: np.ndarray, beams: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """Hop rates (candidate, 3) to the neighbours in 1/s; shapes as in `kernels.stem.hop`."""
    silicon = site_positions(sites, lattices)
    rates = np.zeros((len(sites), 3))
    distance, variance, height = np.moveaxis(terms, 2, 0)
    gaussian = np.where(variance > 0, variance, 1.0)
    for i in range(3):
        along = (site_positions(neighbours(sites, i), lattices) - silicon) / BOND
        away = (beams - silicon)[:, None] - distance[..., None] * along[:, None]
        square = (away**2).sum(axis=2)
        each = np.where(variance > 0, np.exp(-0.5 * square / gaussian), 1.0 / (16.0 * square / BOND**2 + 1.0))
        rates[:, i] = np.where(variance != 0, height * each, 0.0).sum(axis=1)
    return rates


def hop(
    sites: np.ndarray,
    lattices: np.ndarray,
    terms: np.ndarray,
    beams: np.ndarray,
    dwells: np.ndarray,
    currents: np.ndarray,
    seeds: np.ndarray,
    hops: np.ndarray,
) -> None:
    """Twin of `sciworld.kernels.stem.hop`: all candidates that still have time left hop together."""
    streams, left = seeds.copy(), dwells.copy()
    hops[:] = 0
    going = np.arange(len(sites))
    while len(going):
        rates = bond_rates(sites[going], lattices[going], beams[going], terms[going])
        total = currents[going] * rates.sum(axis=1)
        going, rates, total = going[total > 0], rates[total > 0], total[total > 0]
        stream = streams[going]
        left[going] += np.log(1.0 - uniform(stream)) / total
        streams[going] = stream
        inside = left[going] >= 0.0
        going, rates, total = going[inside], rates[inside], total[inside]
        stream = streams[going]
        pick = uniform(stream) * total / currents[going]
        streams[going] = stream
        chosen = (pick >= rates[:, 0]).astype(np.int64) + (pick >= rates[:, 0] + rates[:, 1])
        moved = np.stack([neighbours(sites[going], i) for i in range(3)], axis=1)
        sites[going] = moved[np.arange(len(going)), chosen]
        hops[going] += 1
