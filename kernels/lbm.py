"""Flow in two dimensions by the lattice Boltzmann method: D2Q9, two relaxation times, walls that move.

Populations are kept as deviations from the weights of a fluid at rest, so that float32 keeps what is small, and density
and velocity enter the equilibrium apart (He and Luo, J. Stat. Phys. 88, 927 (1997)): no division, and no error that
grows with density. The two rates are those of Ginzburg, Verhaeghe and d'Humieres, Commun. Comput. Phys. 3, 427 (2008):
the even one gives the viscosity, and the odd one follows from the product "magic", of which 3/16 puts a straight wall
exactly half a cell beyond the last fluid cell, at any viscosity.

Lattice units throughout: cells, steps, and the density 1. Direction k moves by (CX[k], CY[k]); its opposite is
OPPOSITE[k]. Arrays of populations f (9, 1 + ny + 1, 1 + nx + 1) have one layer of ghost cells about them: what a cell
takes from beyond a wall is put there before each step, so that the cells themselves know of no walls.
"""

import math

import numpy as np
from numba import njit

CX = np.array([0, 1, 0, -1, 0, 1, -1, -1, 1])
CY = np.array([0, 0, 1, 0, -1, 1, 1, -1, -1])
WEIGHTS = np.array([4 / 9] + [1 / 9] * 4 + [1 / 36] * 4)
OPPOSITE = np.array([0, 3, 4, 1, 2, 7, 8, 5, 6])
PERIODIC, WALL, OPEN = 0, 1, 2  # of a side; only the right one may be open
SOUND = 1.0 / math.sqrt(3.0)
LEFT, RIGHT, BOTTOM, TOP = 0, 1, 2, 3
# Which directions come in through each side.
INCOMING = np.array([[1, 5, 8], [3, 6, 7], [2, 5, 6], [4, 7, 8]])

MATHS = {"contract", "reassoc", "nsz"}  # sums may be taken in any order; what is not finite stays so


@njit(cache=True, nogil=True)
def run(f, other, steps, even, odd, force, kinds, walls, outflow, relax, links, fractions, pushes, drag):
    """Advance a flow by `steps` steps; returns the array that holds it then, f or other.

    f, other : (9, ny + 2, nx + 2); other is scratch. even, odd : relaxation rates, in f's dtype. force : (ny, 2) x
    and y, acceleration of the fluid in each row. kinds : (4,) PERIODIC, WALL or OPEN of each side. walls : (4, longest
    side, 2) velocity of the wall at each cell along it. outflow, relax : see `let_out`. links, fractions, pushes : of a
    body, see `throw_from_body`; of none, empty. drag : (steps, 2), set to the force on the body at each step.
    """
    for step in range(steps):
        if kinds[RIGHT] == OPEN:
            let_out(f, outflow, relax)
        fill(f, kinds, walls)
        drag[step] = throw_from_body(f, links, fractions, pushes)
        sweep(f, other, even, odd, force)
        f, other = other, f
    return f


@njit(cache=True, nogil=True)
def fill(f, kinds, walls):
    """Put into the ghost cells what the cells beside them are to take: of the far side, or thrown back by a wall.

    A wall throws each population back the way it came, with twice the momentum of the moving wall (Ladd, J. Fluid Mech.
    271, 285 (1994), equation 3.3).
    """
    ny, nx = f.shape[1] - 2, f.shape[2] - 2
    if kinds[LEFT] == PERIODIC:
        f[:, 1 : ny + 1, 0] = f[:, 1 : ny + 1, nx]
        f[:, 1 : ny + 1, nx + 1] = f[:, 1 : ny + 1, 1]
    else:
        _throw_back(f, LEFT, walls)
        if kinds[RIGHT] == WALL:
            _throw_back(f, RIGHT, walls)
    if kinds[BOTTOM] == PERIODIC:
        # Corners belong to the sides at left and right, if those are walls.
        first, last = (0, nx + 2) if kinds[LEFT] == PERIODIC else (1, nx + 1)
        f[:, 0, first:last] = f[:, ny, first:last]
        f[:, ny + 1, first:last] = f[:, 1, first:last]
    else:
        _throw_back(f, BOTTOM, walls)
        _throw_back(f, TOP, walls)


@njit(cache=True, nogil=True)
def _throw_back(f, side, walls):
    ny, nx = f.shape[1] - 2, f.shape[2] - 2
    upright = side in (LEFT, RIGHT)
    length = ny if upright else nx
    for k in INCOMING[side]:
        back = OPPOSITE[k]
        for place in range(length):
            y = place + 1 if upright else (1 if side == BOTTOM else ny)
            x = place + 1 if not upright else (1 if side == LEFT else nx)
            # A slanting link meets the wall between two cells.
            beside = min(max(place - (CY[k] if upright else CX[k]), 0), length - 1)
            u = 0.5 * (walls[side, place, 0] + walls[side, beside, 0])
            v = 0.5 * (walls[side, place, 1] + walls[side, beside, 1])
            push = 6.0 * WEIGHTS[k] * (CX[k] * u + CY[k] * v)
            f[k, y - CY[k], x - CX[k]] = f[back, y, x] + push


@njit(cache=True, nogil=True)
def sweep(f, other, even, odd, force):
    """One step of all cells, of which the ghost cells are filled: take, collide, put into `other`."""
    ny, nx = f.shape[1] - 2, f.shape[2] - 2
    here, left, right = slice(1, nx + 1), slice(0, nx), slice(2, nx + 2)
    for y in range(1, ny + 1):
        _collide(
            f[0, y, here], f[1, y, left], f[2, y - 1, here], f[3, y, right], f[4, y + 1, here],
            f[5, y - 1, left], f[6, y - 1, right], f[7, y + 1, right], f[8, y + 1, left],
            other[0, y, here], other[1, y, here], other[2, y, here], other[3, y, here], other[4, y, here],
            other[5, y, here], other[6, y, here], other[7, y, here], other[8, y, here], even, odd, force[y - 1],
        )  # fmt: skip


@njit(cache=True, nogil=True, fastmath=MATHS)
def _collide(
    i0, i1, i2, i3, i4, i5, i6, i7, i8, o0, o1, o2, o3, o4, o5, o6, o7, o8, even, odd, force
):  # fmt: skip
    """A row of cells. Pairs of opposite directions relax their sums by `even` and their differences by `odd`."""
    real = i0.dtype.type
    half_even, half_odd = real(0.5) * even, real(0.5) * odd
    # A force adds half before the collision and half after (Guo, Zheng and Shi, Phys. Rev. E 65, 046308 (2002)).
    gx, gy = real(force[0]), real(force[1])
    push = real(1.0) - half_odd
    for x in range(i0.size):
        sum1, difference1 = i1[x] + i3[x], i1[x] - i3[x]
        sum2, difference2 = i2[x] + i4[x], i2[x] - i4[x]
        sum5, difference5 = i5[x] + i7[x], i5[x] - i7[x]
        sum6, difference6 = i6[x] + i8[x], i6[x] - i8[x]
        u = difference1 + difference5 - difference6 + real(0.5) * gx
        v = difference2 + difference5 + difference6 + real(0.5) * gy
        still = i0[x] + sum1 + sum2 + sum5 + sum6 - real(1.5) * (u * u + v * v)
        o0[x] = i0[x] - even * (i0[x] - real(4 / 9) * still)
        a = half_even * (sum1 - real(2 / 9) * (still + real(4.5) * u * u))
        b = half_odd * (difference1 - real(2 / 3) * u) - push * real(1 / 3) * gx
        o1[x], o3[x] = i1[x] - a - b, i3[x] - a + b
        a = half_even * (sum2 - real(2 / 9) * (still + real(4.5) * v * v))
        b = half_odd * (difference2 - real(2 / 3) * v) - push * real(1 / 3) * gy
        o2[x], o4[x] = i2[x] - a - b, i4[x] - a + b
        w, g = u + v, gx + gy
        a = half_even * (sum5 - real(1 / 18) * (still + real(4.5) * w * w))
        b = half_odd * (difference5 - real(1 / 6) * w) - push * real(1 / 12) * g
        o5[x], o7[x] = i5[x] - a - b, i7[x] - a + b
        w, g = v - u, gy - gx
        a = half_even * (sum6 - real(1 / 18) * (still + real(4.5) * w * w))
        b = half_odd * (difference6 - real(1 / 6) * w) - push * real(1 / 12) * g
        o6[x], o8[x] = i6[x] - a - b, i8[x] - a + b


@njit(cache=True, nogil=True)
def moments(f, force):
    """Deviation of the density from 1, and velocity x and y, of f as `run` leaves it : (3, ny, nx)."""
    ny, nx = f.shape[1] - 2, f.shape[2] - 2
    out = np.zeros((3, ny, nx), f.dtype)
    for k in range(9):
        for y in range(ny):
            for x in range(nx):
                value = f[k, y + 1, x + 1]
                out[0, y, x] += value
                out[1, y, x] += CX[k] * value
                out[2, y, x] += CY[k] * value
    for y in range(ny):  # half of the force came after the collision
        out[1, y] -= f.dtype.type(0.5 * force[y, 0])
        out[2, y] -= f.dtype.type(0.5 * force[y, 1])
    return out


@njit(cache=True, nogil=True)
def throw_from_body(f, links, fractions, pushes):
    """Put into the cells of a body what the cells beside it are to take; returns the force on the body, x and y.

    A population that flies toward the body comes back from where its surface cuts the link: interpolated, to second
    order (Bouzidi, Firdaouss and Lallemand, Phys. Fluids 13, 3452 (2001), equation 5). The force is the momentum that
    all of them change (Mei, Yu, Shyy and Luo, Phys. Rev. E 65, 041203 (2002), equation 16).

    links : (link, 3) row and column of the fluid's cell in f, and the direction toward the body. fractions : (link,) of
    the link that lie in the fluid. pushes : (link,) 6 weight (c . velocity of the surface).
    """
    force_x, force_y = 0.0, 0.0
    for link in range(len(links)):
        y, x, k = links[link]
        fraction, back = fractions[link], OPPOSITE[k]
        out = f[k, y, x]
        if fraction < 0.5:
            value = 2.0 * fraction * out + (1.0 - 2.0 * fraction) * f[k, y - CY[k], x - CX[k]] - pushes[link]
        else:
            value = (out - pushes[link] + (2.0 * fraction - 1.0) * f[back, y, x]) / (2.0 * fraction)
        f[back, y + CY[k], x + CX[k]] = value
        # The weights, which deviations leave out, add to nothing over a closed surface.
        force_x += CX[k] * (out + value)
        force_y += CY[k] * (out + value)
    return force_x, force_y


@njit(cache=True, nogil=True)
def let_out(f, outflow, relax):
    """Fill the ghost cells beyond an open right side, so that sound leaves through it.

    outflow : (3, ny) deviation of the density from 1, and velocity, in the ghost cells; brought to the next step. Waves
    that leave are told from those that would come in by the one-dimensional equations along x (Poinsot and Lele, J.
    Comput. Phys. 101, 104 (1992), section 3; for lattices Heubes, Bartel and Ehrhardt, J. Comput. Appl. Math. 262, 51
    (2014)); of the latter only `relax` times what the pressure is off comes in, a step, so that it does not drift.
    """
    ny, nx = f.shape[1] - 2, f.shape[2] - 2
    for y in range(1, ny + 1):
        density, u, v = outflow[0, y - 1], outflow[1, y - 1], outflow[2, y - 1]
        beside, further = _state(f, y, nx), _state(f, y, nx - 1)
        # One-sided differences of second order.
        slope = (1.5 * density - 2.0 * beside[0] + 0.5 * further[0], 1.5 * u - 2.0 * beside[1] + 0.5 * further[1])
        leaving = (u + SOUND) * SOUND * (SOUND * slope[0] + slope[1])
        coming = relax * SOUND * SOUND * density
        outflow[0, y - 1] -= (leaving + coming) / (2.0 * SOUND * SOUND)
        outflow[1, y - 1] -= (leaving - coming) / (2.0 * SOUND)
        outflow[2, y - 1] -= u * (1.5 * v - 2.0 * beside[2] + 0.5 * further[2])
        for k in INCOMING[RIGHT]:
            gradient = f[k, y, nx] - _equilibrium(k, beside[0], beside[1], beside[2])
            f[k, y, nx + 1] = _equilibrium(k, outflow[0, y - 1], outflow[1, y - 1], outflow[2, y - 1]) + gradient
    for k in INCOMING[RIGHT]:
        f[k, 0, nx + 1], f[k, ny + 1, nx + 1] = f[k, 1, nx + 1], f[k, ny, nx + 1]


@njit(cache=True, nogil=True)
def _state(f, y, x):
    density, u, v = 0.0, 0.0, 0.0
    for k in range(9):
        density += f[k, y, x]
        u += CX[k] * f[k, y, x]
        v += CY[k] * f[k, y, x]
    return density, u, v


@njit(cache=True, nogil=True)
def _equilibrium(k, density, u, v):
    along = CX[k] * u + CY[k] * v
    return WEIGHTS[k] * (density + 3.0 * along + 4.5 * along * along - 1.5 * (u * u + v * v))
