"""How silicon and carbon look in these images, measured from the images; and how to read probabilities off a mean one.

The expected image is a mixture: carbon on every site, plus the contrast of silicon times the probability that the
silicon is there. Probabilities are therefore linear in the expected image, and a weighted least-squares fit of
Gaussians at the sites, with the lattice and a constant beside them, gives the weights once for all candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciworld.domains.stem.constants import BOND
from sciworld.domains.stem.locate import Located, locate
from sciworld.errors import RecordingError
from sciworld.store import Store

SIGMAS = np.arange(0.30, 0.78, 0.06)  # A, tried as the width of an atom's image
FRAMES = 128  # used by the fit: silicon's contrast is then known within 1 % at 12 counts a carbon
REACH = 2.6  # A, standard deviation of the fit's weight around the silicon


@dataclass(frozen=True)
class Appearance:
    """An atom's image: a Gaussian of standard deviation `sigma` in A; silicon is `contrast` counts above carbon."""

    sigma: float
    contrast: float


def measure_appearance(frames: np.ndarray, view: np.ndarray) -> Appearance:
    """Fit the appearance to frames (n, y, x, channel) that `locate` reads; the first 128 good ones are used.

    Raises RecordingError where fewer than five frames show one silicon in a lattice.
    """
    located = locate(frames, view)
    good = np.flatnonzero((located.n_silicon == 1) & (located.quality > 0.3))[:FRAMES]
    if len(good) < 5:
        raise RecordingError(
            f"appearance: only {len(good)} of {len(frames)} frames show one silicon in a lattice; "
            "check the calibration, or record with more counts"
        )
    images = np.asarray(frames[good][..., 0], dtype=np.float64)
    lab = _pixel_positions(view[good], images.shape[1:])
    silicon, neighbours = located.silicon[good], located.neighbours[good]
    lattice = lattice_sites(silicon, neighbours)
    fits = [_fit_contrast(images, lab, silicon, lattice, sigma) for sigma in SIGMAS]
    misfits = np.array([misfit for misfit, _ in fits])
    best = int(misfits.argmin())
    if best in (0, len(SIGMAS) - 1):
        raise RecordingError(
            f"appearance: atoms look {SIGMAS[best]:.2f} A wide or beyond; check the calibration, widths from "
            f"{SIGMAS[1]:.2f} to {SIGMAS[-2]:.2f} A can be fitted"
        )
    # The vertex of the parabola through the three best.
    left, middle, right = misfits[best - 1 : best + 2]
    shift = 0.5 * (left - right) / (left - 2 * middle + right)
    sigma = float(SIGMAS[best] + np.clip(shift, -1, 1) * (SIGMAS[1] - SIGMAS[0]))
    return Appearance(sigma, _fit_contrast(images, lab, silicon, lattice, sigma)[1])


def appearance_of(store: Store, recordings: int = 20) -> Appearance:
    """How atoms look in the first recordings of a store, those whose frames are of the first one's shape."""
    first = [store[i] for i in range(min(recordings, len(store)))]
    chosen = [recording for recording in first if recording["frames"].shape[1:] == first[0]["frames"].shape[1:]]
    frames = np.concatenate([recording["frames"].values for recording in chosen])
    view = np.concatenate([recording["view"].values for recording in chosen])
    return measure_appearance(frames, view)


def site_readers(located: Located, view: np.ndarray, shape: tuple[int, int], appearance: Appearance) -> np.ndarray:
    """Weights w : (n, 4, y, x) such that sum(w * expected image) is P(silicon stays), P(it is at neighbour 0, 1, 2).

    located, view : of the n present frames, of `shape` (y, x). Exact for atoms that look as `appearance` says.
    """
    lab = _pixel_positions(view, shape)
    n = len(view)
    sites = np.concatenate([located.silicon[:, None], located.neighbours], axis=1)
    lattice = lattice_sites(located.silicon, located.neighbours)
    columns = [appearance.contrast * atom_images(lab, sites[:, k : k + 1], appearance.sigma) for k in range(4)]
    columns += [atom_images(lab, lattice, appearance.sigma), np.ones((n, lab.shape[1]))]
    design = np.stack(columns, axis=2)
    weighted = design * _near(lab, located.silicon)[..., None]
    solved = np.linalg.solve(weighted.transpose(0, 2, 1) @ design, weighted.transpose(0, 2, 1))
    return np.ascontiguousarray(solved[:, :4].reshape(n, 4, *shape), dtype=np.float32)


def lattice_sites(silicon: np.ndarray, neighbours: np.ndarray, reach: float = 8.0) -> np.ndarray:
    """All sites within `reach` A of the silicon : (n, site, 2), itself included, from its neighbours (n, 3, 2)."""
    bonds = neighbours - silicon[:, None]
    first, second = bonds[:, 0] - bonds[:, 1], bonds[:, 0] - bonds[:, 2]
    count = int(reach / (1.5 * BOND)) + 1
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(-count, count + 1), np.arange(-count, count + 1)))
    # In units of the bond, with the first neighbour along x: which sites lie within reach is the same for all frames.
    x, y = 1.5 * (i + j), np.sqrt(0.75) * (i - j)
    steps = np.concatenate([np.stack([i, j, 0 * i], axis=1), np.stack([i, j, 0 * i + 1], axis=1)])
    steps = steps[np.hypot(np.concatenate([x, x + 1]), np.concatenate([y, y])) * BOND <= reach]
    vectors = np.stack([first, second, bonds[:, 0]], axis=1)
    return silicon[:, None] + np.einsum("sk,nkd->nsd", steps, vectors)


def atom_images(lab: np.ndarray, sites: np.ndarray, sigma: float) -> np.ndarray:
    """Sum of unit Gaussians at sites (n, site, 2), at the pixels whose positions are lab (n, pixel, 2): (n, pixel)."""
    total = np.zeros(lab.shape[:2])
    for k in range(sites.shape[1]):
        square = ((lab - sites[:, None, k]) ** 2).sum(axis=2)
        total += np.exp(-0.5 * square / sigma**2)
    return total


def _pixel_positions(view: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Laboratory positions of all pixels : (n, pixel, 2) A."""
    row, col = (grid.ravel() for grid in np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij"))
    v = view[:, :, None]
    return np.stack([v[:, 0] * col + v[:, 1] * row + v[:, 2], v[:, 3] * col + v[:, 4] * row + v[:, 5]], axis=2)


def _near(lab: np.ndarray, silicon: np.ndarray) -> np.ndarray:
    """The fit's weight of every pixel : (n, pixel)."""
    return np.exp(-0.5 * ((lab - silicon[:, None]) ** 2).sum(axis=2) / REACH**2)


def _fit_contrast(
    images: np.ndarray, lab: np.ndarray, silicon: np.ndarray, lattice: np.ndarray, sigma: float
) -> tuple[float, float]:
    """Misfit, and silicon's contrast over carbon in counts, of one fit to all images."""
    n = len(images)
    near = _near(lab, silicon).ravel()
    design = np.stack(
        [
            atom_images(lab, silicon[:, None], sigma).ravel(),
            atom_images(lab, lattice, sigma).ravel(),
            np.ones(near.size),
        ],
        axis=1,
    )
    target = images.reshape(n * images[0].size)
    root = np.sqrt(near)
    solution, *_ = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)
    return float((near * (design @ solution - target) ** 2).sum()), float(solution[0])
