"""Find the silicon atom and the graphene lattice around it in a frame, from pixels and `view` alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sciworld.domains.stem.constants import BOND, LATTICE
from sciworld.errors import RecordingError
from sciworld.kernels import locate as kernel

BLUR = 0.35  # A, lifts the atoms out of the noise and still separates neighbours
WINDOW = 1.2  # A, where the centroid's weights end: short of the next atoms' centres
NEAR = 6.5  # A, sites of the coarse search: a lattice constant that is 4 % off still overlaps
FAR = 10.0  # A, sites of the refinement and of the appraisal
EDGE = 0.5  # A, sites nearer to the frame's border than this do not count
SILICON_RATIO = 2.2  # times the carbon's contrast; in the blurred frame silicon shows 4 to 8, half a silicon 2.7


@dataclass(frozen=True)
class Located:
    """What `locate` found. A frame that is blank or holds a value that is not finite has NaN positions and quality 0.

    Parameters
    ----------
    silicon : (frame, 2) float64, x and y of the brightest atom in the laboratory frame, A.
    pixel : (frame, 2) float64, the same as column and row.
    neighbours : (frame, 3, 2) float64, x and y of its three carbon neighbours on the fitted lattice, A, in the
        order of rising angle from `orientation` on.
    orientation : (frame,) float64, the angle of the first neighbour from the x axis, rad, in [0, 2 pi / 3).
    lattice_constant : (frame,) float64, A; 2.46 unless it was fitted.
    n_silicon : (frame,) int64, how many atoms stand out as silicon does: at least 2.2 times carbon's contrast, and
        0.4 times the brightest atom's.
    intact : (frame,) float64, share of the expected carbon sites within 10 A that are as bright as carbon.
    quality : (frame,) float64, correlation of brightness with the lattice: 1 is a perfect honeycomb, 0 is none.
    """

    silicon: np.ndarray
    pixel: np.ndarray
    neighbours: np.ndarray
    orientation: np.ndarray
    lattice_constant: np.ndarray
    n_silicon: np.ndarray
    intact: np.ndarray
    quality: np.ndarray

    def __len__(self) -> int:
        return len(self.n_silicon)

    def take(self, index: np.ndarray) -> Located:
        """What was found in the frames in `index`."""
        return Located(**{field.name: getattr(self, field.name)[index] for field in dataclasses.fields(self)})


def locate(frames: np.ndarray, view: np.ndarray, fit_scale: bool = False) -> Located:
    """Find, in every frame, the silicon, its neighbours and the lattice.

    frames : (frame, y, x) or (frame, y, x, 1), any real dtype. view : (frame, 6), the affine map from pixel indices
    to the laboratory frame in A (`Observation.view`). The silicon should lie at least 1.2 A inside the frame.
    `fit_scale` also fits the lattice constant, within 10 %, for frames whose calibration is not to be trusted.
    Raises RecordingError for shapes that do not fit, and for a view that is not a usable map.
    """
    pixels, view = check_frames(np.asarray(frames), np.asarray(view, dtype=np.float64))
    inverse = _invert(view)
    steps = np.hypot(view[:, [0, 1]], view[:, [3, 4]]).mean(axis=0) if len(view) else np.ones(2)
    sites, is_atom = _honeycomb(FAR)
    near = int((np.hypot(sites[:, 0], sites[:, 1]) <= NEAR).sum())
    results = np.empty((len(pixels), 8))
    n_silicon = kernel.locate(
        pixels, view, inverse, blur_weights(steps[0]), blur_weights(steps[1]), BLUR, sites, is_atom, near, fit_scale,
        SILICON_RATIO, WINDOW, EDGE, results,
    )  # fmt: skip
    angle, scale, silicon = results[:, 2], results[:, 3], results[:, 4:6]
    angles = angle[:, None] + 2.0 * np.pi / 3.0 * np.arange(3)
    bonds = BOND * scale[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return Located(
        silicon=silicon,
        pixel=results[:, 0:2],
        neighbours=silicon[:, None] + bonds,
        orientation=angle,
        lattice_constant=LATTICE * scale,
        n_silicon=n_silicon,
        intact=results[:, 7],
        quality=results[:, 6],
    )


def check_frames(frames: np.ndarray, view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames as contiguous float32 (frame, y, x), and view as float64 (frame, 6)."""
    if frames.ndim == 4 and frames.shape[-1] == 1:
        frames = frames[..., 0]
    if frames.ndim != 3 or not np.isrealobj(frames) or min(frames.shape[1:]) < 2:
        raise RecordingError(
            f"locate: frames have shape {frames.shape} and dtype {frames.dtype}; "
            "give real ones of (frame, y, x) or (frame, y, x, 1)"
        )
    if view.shape != (len(frames), 6):
        raise RecordingError(f"locate: view has shape {view.shape}; {len(frames)} frames need ({len(frames)}, 6)")
    area = view[:, 0] * view[:, 4] - view[:, 1] * view[:, 3]
    bad = np.flatnonzero(~np.isfinite(view).all(axis=1) | ~(np.abs(area) > 0))
    if len(bad):
        raise RecordingError(f"locate: the view of frame {bad[0]} is {view[bad[0]]}; set the pixel size, in A, first")
    return np.ascontiguousarray(frames, dtype=np.float32), np.ascontiguousarray(view)


def _invert(view: np.ndarray) -> np.ndarray:
    """The maps from the laboratory frame to pixels : (frame, 6), of maps from pixels to the laboratory frame."""
    a, b, x, c, d, y = view.T
    area = a * d - b * c
    p, q, r, s = d / area, -b / area, -c / area, a / area
    return np.ascontiguousarray(np.stack([p, q, -(p * x + q * y), r, s, -(r * x + s * y)], axis=1))


def blur_weights(step: float) -> np.ndarray:
    """Half a Gaussian of width BLUR for pixels of `step` A, centre first."""
    reach = int(np.ceil(3.0 * BLUR / step))
    return np.exp(-0.5 * (np.arange(reach + 1) * step / BLUR) ** 2)


def _honeycomb(radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Atom sites and hexagon centres of graphene around one atom, nearest first, without that atom.

    Returns their positions : (site, 2) in A, the atom's first neighbour lying along x, and which are atoms : (site,).
    """
    reach = int(radius / BOND) + 2
    i, j = (grid.ravel() for grid in np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1)))
    # A triangular lattice of one bond length: of every three points two are atoms and one is a hexagon's centre.
    points = BOND * np.stack([i + 0.5 * j, np.sqrt(0.75) * j], axis=1)
    distance = np.hypot(points[:, 0], points[:, 1])
    keep = (distance > 0.1) & (distance <= radius)
    order = np.argsort(distance[keep], kind="stable")
    return np.ascontiguousarray(points[keep][order]), ((i - j) % 3 != 2)[keep][order]
