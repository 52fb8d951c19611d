"""What must hold in a flow of two dimensions, imagined or simulated: it is tested on fields, whoever made them."""

from __future__ import annotations

import numpy as np

from sciworld.config import require
from sciworld.measures import fields


def divergence(
    u: np.ndarray, v: np.ndarray, cell: float | tuple[float, float], solid: np.ndarray | None = None
) -> np.ndarray:
    """Root mean square of du/dx + dv/dy over that of the velocity's gradient : (n,); 0 if it is incompressible.

    u, v : (n, y, x) m/s on a grid of `cell` m, one number or (along y, along x); central differences, one-sided at
    borders. solid : (y, x) bool, cells in and beside which nothing is looked at. 0 too where nothing moves.
    """
    u, v = _fields(u, v)
    return fields.divergence(u, v, cell, None if solid is None else ~_grown(solid))


def outflow(u: np.ndarray, v: np.ndarray, cell: float | tuple[float, float]) -> np.ndarray:
    """What leaves less what enters through the border, over the mean of both : (n,), -2 to 2; 0 if volume is kept.

    u, v : (n, y, x) m/s on a grid of `cell` m, one number or (along y, along x). The border runs through the centres of
    the outermost cells. 0 too where nothing crosses it.
    """
    u, v = _fields(u, v)
    dy, dx = np.broadcast_to(np.asarray(cell, dtype=np.float64), (2,))
    sides = [-dy * u[:, :, 0], dy * u[:, :, -1], -dx * v[:, 0], dx * v[:, -1]]
    for side in sides:
        side[:, [0, -1]] *= 0.5  # half of a corner's cell belongs to either side
    through = np.concatenate(sides, axis=1)
    crossing = 0.5 * np.abs(through).sum(axis=1)
    return np.asarray(through.sum(axis=1) / np.where(crossing == 0, 1.0, crossing))


def mass_drift(density: np.ndarray) -> np.ndarray:
    """Largest change of the mean density since the first moment, relative to it. density : (time, y, x); a scalar."""
    return np.asarray(np.abs(fields.mass_drift(density)).max())


def mach_number(u: np.ndarray, v: np.ndarray, sound: float) -> np.ndarray:
    """The largest speed over that of sound, m/s, at each moment : (n,). A lattice is to be trusted below 0.1 or so."""
    require(sound > 0, f"sound is {sound} m/s; give a positive speed")
    u, v = _fields(u, v)
    return np.asarray(np.hypot(u, v).max(axis=(1, 2)) / sound)


def slip(u: np.ndarray, v: np.ndarray, solid: np.ndarray, speed: float) -> np.ndarray:
    """Mean speed in the cells inside of a body at rest, in units of `speed` m/s : (n,); 0 if nothing flows in it."""
    require(bool(solid.any()) and speed > 0, "give a body of at least one cell, and a positive speed")
    u, v = _fields(u, v)
    return np.asarray(np.hypot(u, v)[:, solid].mean(axis=1) / speed)


def spectrum(u: np.ndarray, v: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Kinetic energy by wave number : (k,) rad/m and (n, k) m^3/s^2, whose sum times dk is the mean energy.

    u, v : (n, y, x) of a periodic box, also one that is not square. Bins are as wide as the coarser of the two
    spacings; k is their middle.
    """
    (k, one), (_, other) = (fields.power(f, cell) for f in _fields(u, v))
    return k, (one + other) / (2 * (k[1] - k[0]))


def _fields(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u, v = np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64)
    require(u.ndim == 3 and u.shape == v.shape, f"u is {u.shape}, v is {v.shape}; give (n, y, x) of both")
    return u, v


def _grown(solid: np.ndarray) -> np.ndarray:
    """The cells in and beside a body : (y, x) bool."""
    grown = solid.copy()
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        grown |= np.roll(solid, shift, axis)
    return grown
