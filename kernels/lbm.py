"""Flow in two dimensions by the lattice Boltzmann method: D2Q9, two relaxation times, walls that move.

Populations are kept as deviations from the weights of a fluid at rest, so that float32 keeps what is small, and density
and velocity enter the equilibrium apart (He and Luo, J. Stat. Phys. 88, 927 (1997)): no division, and no error that
grows with density. The two rates are those of Ginzburg, Verhaeghe and d'Humieres, Commun. Comput. Phys. 3, 427 (2008):
the even one gives the viscosity, and the odd one follows from the product "magic", of which 3/16 puts a straight wall
exactly half a cell beyond the last fluid cell, at any viscosity. Equal rates are the model of Bhatnagar, Gross and
Krook.

Steps come in pairs that work in place (the A-A pattern: Bailey, Myre, Walsh, Lilja and Saar, ICPP 2009, p. 550), so
that half the memory moves. After the first step of a pair populations still lie in the cell that they leave, each in
the slot of the opposite direction; after the second they have flown, and lie where they go. `_at` knows both, and
boundaries are written with it: they set what a cell would take from beyond a wall, so that the cells themselves know of
no walls.

Lattice units throughout: cells, steps, and the density 1. Direction k moves by (CX[k], CY[k]); its opposite is
OPPOSITE[k]. Arrays of populations f (9, 1 + ny + 1, 1 + nx + 1) have one layer of ghost cells about them.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit, prange

CX = np.array([0, 1, 0, -1, 0, 1, -1, -1, 1])
CY = np.array([0, 0, 1, 0, -1, 1, 1, -1, -1])
WEIGHTS = np.array([4 / 9] + [1 / 9] * 4 + [1 / 36] * 4)
OPPOSITE = np.array([0, 3, 4, 1, 2, 7, 8, 5, 6])
PERIODIC, WALL, OPEN, INLET = 0, 1, 2, 3  # of a side; only the right one may be open, only the left one an inlet
SOUND = 1.0 / math.sqrt(3.0)
LEFT, RIGHT, BOTTOM, TOP = 0, 1, 2, 3
# Which directions come in through each side.
INCOMING = np.array([[1, 5, 8], [3, 6, 7], [2, 5, 6], [4, 7, 8]])

MATHS = {"contract", "reassoc", "nsz"}  # sums may be taken in any order; what is not finite stays so


class Box(NamedTuple):
    """The fluid and its sides.

    even, odd : relaxation rates, in the dtype of the populations. force : (ny, 2) x and y, acceleration of the fluid in
    each row. kinds : (4,) PERIODIC, WALL, OPEN or INLET of each side. pushes : (4, 3, longest side) of moving walls, by
    the directions in INCOMING: 6 weight (c . velocity). inflow : (ny, 2) velocity in an inlet. relax : see `_let_out`.
    """

    even: np.floating
    odd: np.floating
    force: np.ndarray
    kinds: np.ndarray
    pushes: np.ndarray
    inflow: np.ndarray
    relax: float


class Body(NamedTuple):
    """Links that the surface of a body cuts, and how actuators move it.

    links : (link, 3) row and column in f of the fluid's cell, and the direction toward the body. fractions : (link,) of
    the link that lie in the fluid. velocities : (actuator, link, 2) of the surface there at unit amplitude.
    """

    links: np.ndarray
    fractions: np.ndarray
    velocities: np.ndarray


@njit(cache=True, parallel=True)
def run(f, outflow, box, body, amplitudes, forces):
    """Advance independent flows in place, one a thread.

    f : (flow, 9, ny + 2, nx + 2). outflow : (flow, 3, ny), see `_let_out`. amplitudes : (flow, step, actuator), an even
    number of steps. forces : (flow, step, 2), set to the force on the body, x and y.
    """
    for n in prange(len(f)):
        for pair in range(amplitudes.shape[1] // 2):
            for half in range(2):
                flown, step = half == 1, 2 * pair + half
                if flown:
                    _fly(f[n], box)
                else:
                    _turn(f[n], box)
                if box.kinds[RIGHT] == OPEN:
                    _let_out(f[n], outflow[n], box.relax, flown)
                if box.kinds[LEFT] == INLET:
                    _let_in(f[n], box.inflow, flown)
                _fill(f[n], box, flown)
                _throw_from_body(f[n], body, amplitudes[n, step], forces[n, step], flown)


@njit(cache=True, nogil=True)
def _turn(f, box):
    """The first step of a pair: each cell takes what lies in it, and puts it back turned round."""
    here = slice(1, f.shape[2] - 1)
    for y in range(1, f.shape[1] - 1):
        _collide(
            f[0, y, here], f[1, y, here], f[2, y, here], f[3, y, here], f[4, y, here],
            f[5, y, here], f[6, y, here], f[7, y, here], f[8, y, here], box.even, box.odd, box.force[y - 1],
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _fly(f, box):
    """The second: each cell takes what its neighbours turned round, and sends its own to where those lay."""
    nx = f.shape[2] - 2
    here, left, right = slice(1, nx + 1), slice(0, nx), slice(2, nx + 2)
    for y in range(1, f.shape[1] - 1):
        _collide(
            f[0, y, here], f[3, y, left], f[4, y - 1, here], f[1, y, right], f[2, y + 1, here],
            f[7, y - 1, left], f[8, y - 1, right], f[5, y + 1, right], f[6, y + 1, left],
            box.even, box.odd, box.force[y - 1],
        )  # fmt: skip


@njit(cache=True, nogil=True, fastmath=MATHS)
def _collide(f0, f1, f2, f3, f4, f5, f6, f7, f8, even, odd, force):
    """A row of cells: takes direction k from fk, and leaves it in the opposite.

    Pairs of opposite directions relax their sums by `even` and their differences by `odd`.
    """
    real = f0.dtype.type
    half_even, half_odd = real(0.5) * even, real(0.5) * odd
    # A force adds half before the collision and half after (Guo, Zheng and Shi, Phys. Rev. E 65, 046308 (2002)).
    gx, gy = real(0.5) * real(force[0]), real(0.5) * real(force[1])
    push = real(2.0) - odd
    x1, y2 = push * real(1 / 3) * gx, push * real(1 / 3) * gy
    xy5, xy6 = push * real(1 / 12) * (gx + gy), push * real(1 / 12) * (gy - gx)
    for x in range(f0.size):
        i1, i2, i3, i4, i5, i6, i7, i8 = f1[x], f2[x], f3[x], f4[x], f5[x], f6[x], f7[x], f8[x]
        sum1, difference1 = i1 + i3, i1 - i3
        sum2, difference2 = i2 + i4, i2 - i4
        sum5, difference5 = i5 + i7, i5 - i7
        sum6, difference6 = i6 + i8, i6 - i8
        u = difference1 + difference5 - difference6 + gx
        v = difference2 + difference5 + difference6 + gy
        still = f0[x] + sum1 + sum2 + sum5 + sum6 - real(1.5) * (u * u + v * v)
        f0[x] -= even * (f0[x] - real(4 / 9) * still)
        a = half_even * (sum1 - real(2 / 9) * (still + real(4.5) * u * u))
        b = half_odd * (difference1 - real(2 / 3) * u) - x1
        f3[x], f1[x] = i1 - a - b, i3 - a + b
        a = half_even * (sum2 - real(2 / 9) * (still + real(4.5) * v * v))
        b = half_odd * (difference2 - real(2 / 3) * v) - y2
        f4[x], f2[x] = i2 - a - b, i4 - a + b
        w = u + v
        a = half_even * (sum5 - real(1 / 18) * (still + real(4.5) * w * w))
        b = half_odd * (difference5 - real(1 / 6) * w) - xy5
        f7[x], f5[x] = i5 - a - b, i7 - a + b
        w = v - u
        a = half_even * (sum6 - real(1 / 18) * (still + real(4.5) * w * w))
        b = half_odd * (difference6 - real(1 / 6) * w) - xy6
        f8[x], f6[x] = i6 - a - b, i8 - a + b


@njit(cache=True, nogil=True, inline="always")
def _at(k, y, x, flown):
    """Where in f lies what leaves the cell (y, x) in direction k; of a ghost cell, what comes from there."""
    if flown:
        return k, y + CY[k], x + CX[k]
    return OPPOSITE[k], y, x


@njit(cache=True, nogil=True)
def _fill(f, box, flown):
    """What cells are to take from beyond the sides: of the far side, or thrown back by a wall."""
    ny, nx = f.shape[1] - 2, f.shape[2] - 2
    kinds = box.kinds
    if kinds[LEFT] == PERIODIC:
        for y in range(1, ny + 1):
            for i in range(3):
                k, other = INCOMING[LEFT, i], INCOMING[RIGHT, i]
                f[_at(k, y, 0, flown)] = f[_at(k, y, nx, flown)]
                f[_at(other, y, nx + 1, flown)] = f[_at(other, y, 1, flown)]
    if kinds[LEFT] == WALL:
        _throw_back(f, LEFT, box.pushes[LEFT], flown)
    if kinds[RIGHT] == WALL:
        _throw_back(f, RIGHT, box.pushes[RIGHT], flown)
    if kinds[BOTTOM] == PERIODIC:
        # Corners belong to the sides at left and right, if those are walls.
        first, last = int(kinds[LEFT] == WALL), nx + int(kinds[RIGHT] != WALL)
        for i in range(3):
            k, other = INCOMING[BOTTOM, i], INCOMING[TOP, i]
            for x in range(first, last + 1):
                if 1 <= x + CX[k] <= nx:
                    f[_at(k, 0, x, flown)] = f[_at(k, ny, x, flown)]
                if 1 <= x + CX[other] <= nx:
                    f[_at(other, ny + 1, x, flown)] = f[_at(other, 1, x, flown)]
    else:
        _throw_back(f, BOTTOM, box.pushes[BOTTOM], flown)
        _throw_back(f, TOP, box.pushes[TOP], flown)


@njit(cache=True, nogil=True)
def _throw_back(f, side, pushes, flown):
    """A wall throws each population back the way it came, with twice the momentum of the moving wall (Ladd, J. Fluid
    Mech. 271, 285 (1994), equation 3.3)."""
    ny, nx = f.shape[1] - 2, f.shape[2] - 2
    upright = side in (LEFT, RIGHT)
    for i in range(3):
        k = INCOMING[side, i]
        for place in range(ny if upright else nx):
            y = place + 1 if upright else (1 if side == BOTTOM else ny)
            x = place + 1 if not upright else (1 if side == LEFT else nx)
            f[_at(k, y - CY[k], x - CX[k], flown)] = f[_at(OPPOSITE[k], y, x, flown)] + pushes[i, place]


@njit(cache=True, nogil=True)
def _throw_from_body(f, body, amplitudes, force, flown):
    """What the cells beside a body are to take from it; sets `force` to what it feels.

    A population that flies toward the body comes back from where its surface cuts the link: interpolated, to second
    order (Bouzidi, Firdaouss and Lallemand, Phys. Fluids 13, 3452 (2001), equation 5). The force is the momentum that
    all of them change (Mei, Yu, Shyy and Luo, Phys. Rev. E 65, 041203 (2002), equation 16), with what a jet throws out.
    """
    force[:] = 0.0
    for link in range(len(body.links)):
        y, x, k = body.links[link]
        fraction, back = body.fractions[link], OPPOSITE[k]
        u, v = 0.0, 0.0
        for actuator in range(len(amplitudes)):
            u += amplitudes[actuator] * body.velocities[actuator, link, 0]
            v += amplitudes[actuator] * body.velocities[actuator, link, 1]
        push = 6.0 * WEIGHTS[k] * (CX[k] * u + CY[k] * v)
        out = f[_at(k, y, x, flown)]
        if fraction < 0.5:
            behind = f[_at(k, y - CY[k], x - CX[k], flown)]
            value = 2.0 * fraction * out + (1.0 - 2.0 * fraction) * behind - push
        else:
            value = (out - push + (2.0 * fraction - 1.0) * f[_at(back, y, x, flown)]) / (2.0 * fraction)
        f[_at(back, y + CY[k], x + CX[k], flown)] = value
        # The weights, which deviations leave out, add to nothing over a closed surface.
        force[0] += CX[k] * (out + value)
        force[1] += CY[k] * (out + value)


@njit(cache=True, nogil=True)
def _let_in(f, inflow, flown):
    """What cells are to take from an inlet, one cell beyond them on the left, of given velocity.

    The pressure and the stress are those of the cell beside it (Guo, Zheng and Shi, Chin. Phys. 11, 366 (2002)). Where
    viscosity is low this stays stable, unlike a wall that moves into the fluid.
    """
    for y in range(1, f.shape[1] - 1):
        density, u, v = _state(f, y, 1, flown)
        for k in INCOMING[LEFT]:
            stress = _stress(f, k, y, 1, flown, density, u, v)
            f[_at(k, y, 0, flown)] = _equilibrium(k, density, inflow[y - 1, 0], inflow[y - 1, 1]) + stress


@njit(cache=True, nogil=True)
def _let_out(f, outflow, relax, flown):
    """What cells are to take from beyond an open right side, so that sound leaves through it.

    outflow : (3, ny) deviation of the density from 1, and velocity, in the ghost cells; brought to the next step. Waves
    that leave are told from those that would come in by the one-dimensional equations along x (Poinsot and Lele, J.
    Comput. Phys. 101, 104 (1992), section 3; for lattices Heubes, Bartel and Ehrhardt, J. Comput. Appl. Math. 262, 51
    (2014)); of the latter only `relax` times what the pressure is off comes in, a step, so that it does not drift.
    """
    ny, nx = f.shape[1] - 2, f.shape[2] - 2
    for y in range(1, ny + 1):
        density, u, v = outflow[0, y - 1], outflow[1, y - 1], outflow[2, y - 1]
        beside, further = _state(f, y, nx, flown), _state(f, y, nx - 1, flown)
        # One-sided differences of second order.
        slope = (1.5 * density - 2.0 * beside[0] + 0.5 * further[0], 1.5 * u - 2.0 * beside[1] + 0.5 * further[1])
        leaving = (u + SOUND) * SOUND * (SOUND * slope[0] + slope[1])
        coming = relax * SOUND * SOUND * density
        outflow[0, y - 1] -= (leaving + coming) / (2.0 * SOUND * SOUND)
        outflow[1, y - 1] -= (leaving - coming) / (2.0 * SOUND)
        outflow[2, y - 1] -= u * (1.5 * v - 2.0 * beside[2] + 0.5 * further[2])
        for k in INCOMING[RIGHT]:
            stress = _stress(f, k, y, nx, flown, beside[0], beside[1], beside[2])
            value = _equilibrium(k, outflow[0, y - 1], outflow[1, y - 1], outflow[2, y - 1]) + stress
            f[_at(k, y, nx + 1, flown)] = value


@njit(cache=True, nogil=True)
def _state(f, y, x, flown):
    density, u, v = 0.0, 0.0, 0.0
    for k in range(9):
        value = f[_at(k, y, x, flown)]
        density += value
        u += CX[k] * value
        v += CY[k] * value
    return density, u, v


@njit(cache=True, nogil=True)
def _stress(f, k, y, x, flown, density, u, v):
    """What direction k and its opposite share beyond equilibrium in the cell (y, x): the stress.

    What they differ by relaxes slowly where viscosity is low, and would grow if a side kept it up.
    """
    back = OPPOSITE[k]
    both = f[_at(k, y, x, flown)] + f[_at(back, y, x, flown)]
    return 0.5 * (both - _equilibrium(k, density, u, v) - _equilibrium(back, density, u, v))


@njit(cache=True, nogil=True)
def _equilibrium(k, density, u, v):
    along = CX[k] * u + CY[k] * v
    return WEIGHTS[k] * (density + 3.0 * along + 4.5 * along * along - 1.5 * (u * u + v * v))


@njit(cache=True, nogil=True)
def equilibrium(fields, f):
    """Set the populations f of one flow to those of fields (3, ny, nx): density deviation, velocity x and y."""
    for k in range(9):
        for y in range(fields.shape[1]):
            for x in range(fields.shape[2]):
                f[k, y + 1, x + 1] = _equilibrium(k, fields[0, y, x], fields[1, y, x], fields[2, y, x])


@njit(cache=True, nogil=True)
def moments(f, force, out):
    """Set `out` (3, ny, nx) to the density's deviation from 1, and velocity x and y, of one flow as `run` leaves it."""
    out[:] = 0.0
    for k in range(9):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                value = f[k, y + 1, x + 1]
                out[0, y, x] += value
                out[1, y, x] += CX[k] * value
                out[2, y, x] += CY[k] * value
    for y in range(out.shape[1]):  # half of the force comes before the collision
        out[1, y] += f.dtype.type(0.5 * force[y, 0])
        out[2, y] += f.dtype.type(0.5 * force[y, 1])
