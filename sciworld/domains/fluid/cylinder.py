"""A cylinder on a lattice: where its surface cuts the links, how it turns, and the jets in it."""

from __future__ import annotations

import math

import numpy as np

from sciworld.config import require
from sciworld.kernels import lbm

JET_WIDTH = math.radians(10.0)
JET_PLACES = (math.radians(90.0), math.radians(270.0))  # Rabault et al., J. Fluid Mech. 865, 281 (2019), section 2.1


def circle(shape: tuple[int, int], middle: tuple[float, float], radius: float) -> tuple[np.ndarray, ...]:
    """The links that a circle cuts, from the outside.

    shape : rows and columns. middle : row and column of its centre, radius : both in cells, the first cell reaching
    from 0 to 1. Returns links (link, 3) and fractions (link,) as `lbm.Body` has them; where the circle cuts each,
    from its centre : (link, 2) x, y in cells; and the cells inside : (rows, columns) bool.
    """
    ny, nx = shape
    inside = min(middle[0] - radius, middle[1] - radius, ny - middle[0] - radius, nx - middle[1] - radius)
    require(inside >= 2 and radius >= 2, f"a circle of {radius:.3g} cells, {inside:.3g} from the sides; leave 2 each")
    y, x = np.mgrid[:ny, :nx] + 0.5 - np.array(middle)[:, None, None]
    solid = np.hypot(x, y) < radius
    links, fractions, places = [], [], []
    for k in range(1, 9):
        dx, dy = lbm.CX[k], lbm.CY[k]
        rows, columns = np.nonzero(~solid & np.roll(solid, (-dy, -dx), axis=(0, 1)))
        px, py = x[rows, columns], y[rows, columns]
        a, b, c = dx * dx + dy * dy, px * dx + py * dy, px * px + py * py - radius**2
        fraction = (-b - np.sqrt(b * b - a * c)) / a
        links.append(np.stack([rows + 1, columns + 1, np.full(len(rows), k)], axis=1))
        fractions.append(fraction)
        places.append(np.stack([px + fraction * dx, py + fraction * dy], axis=1))
    return np.concatenate(links), np.concatenate(fractions), np.concatenate(places), solid


def turning(places: np.ndarray) -> np.ndarray:
    """Velocity of the surface that turns by one radian a step, counter-clockwise : (1, link, 2). places : (link, 2)."""
    return np.stack([-places[:, 1], places[:, 0]], axis=1)[None]


def jets(links: np.ndarray, fractions: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Velocity of two jets across the surface, a mean of one cell a step over each slot : (1, link, 2).

    The first blows while the second sucks as much. Across a slot the speed is a half wave of a cosine, as in Rabault's;
    what the links of a slot pass on is scaled to what the slot passes, whatever the lattice cuts it into.
    """
    radius = float(np.hypot(*places.T).mean())
    angle = np.arctan2(places[:, 1], places[:, 0])
    found = np.zeros((len(places), 2))
    for place, sign in zip(JET_PLACES, (1.0, -1.0), strict=True):
        off = np.remainder(angle - place + np.pi, 2 * np.pi) - np.pi
        speed = np.where(np.abs(off) < JET_WIDTH / 2, np.cos(np.pi * off / JET_WIDTH), 0.0)
        velocity = speed[:, None] * places / radius
        weights, (cx, cy) = lbm.WEIGHTS[links[:, 2]], (lbm.CX[links[:, 2]], lbm.CY[links[:, 2]])
        # A link to the body with a wall that comes toward the fluid passes on 6 weight (-c . velocity), or less where
        # the kernel interpolates after the wall.
        share = 6 * weights / np.maximum(1.0, 2 * fractions)
        passed = -(share * (cx * velocity[:, 0] + cy * velocity[:, 1])).sum()
        require(passed > 0, "a jet's slot of 10 degrees lies between the links; use more cells")
        found += sign * velocity * (JET_WIDTH * radius / passed)
    return found[None]


def jet_momentum(speed: np.ndarray, radius: float) -> np.ndarray:
    """What one jet of a mean speed carries through its slot, over the density: the integral of its speed's square.

    Of the two jets, one carries it out and the other, which moves alike, in: a body with both feels nothing of it.
    """
    return np.asarray(math.pi**2 / 8 * JET_WIDTH * radius * np.square(speed))
