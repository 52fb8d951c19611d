"""Flows whose solution is known, and every step against the same in NumPy."""

import numpy as np
import pytest

from sciworld.kernels import lbm

Y, X = 12, 18


def rates(viscosity, dtype=np.float64):
    """Relaxation rates of sums and differences, with the magic product 3/16."""
    half = 3 * viscosity
    return dtype(1 / (half + 0.5)), dtype(1 / (3 / 16 / half + 0.5))


def advance(f, steps, pair, force=None, kinds=(lbm.PERIODIC,) * 4, walls=None, body=None, outflow=None):
    """`lbm.run` of one flow from a copy of f; with a body (links, fractions, velocities) also the force at each step.

    walls : (4, longest side, 2) velocity of the wall at each cell along it.
    """
    ny, nx = f.shape[1] - 2, f.shape[2] - 2
    force = np.zeros((ny, 2)) if force is None else force
    pushes = np.zeros((4, 3, max(ny, nx)))
    for side in range(4) if walls is not None else ():
        upright = side in (lbm.LEFT, lbm.RIGHT)
        length = ny if upright else nx
        for i, k in enumerate(lbm.INCOMING[side]):
            for place in range(length):
                # A slanting link meets the wall between two cells.
                beside = min(max(place - (lbm.CY[k] if upright else lbm.CX[k]), 0), length - 1)
                wall = (walls[side, place] + walls[side, beside]) / 2
                pushes[side, i, place] = 6 * lbm.WEIGHTS[k] * (lbm.CX[k] * wall[0] + lbm.CY[k] * wall[1])
    inflow = np.zeros((ny, 2)) if walls is None else walls[lbm.LEFT, :ny].copy()
    box = lbm.Box(*pair, force, np.array(kinds), pushes, inflow, 0.001)
    one = lbm.Body(*(body or (np.zeros((0, 3), np.int64), np.zeros(0), np.zeros((1, 0, 2)))))
    forces = np.zeros((1, steps, 2))
    outflow = np.zeros((1, 3, ny)) if outflow is None else outflow[None].copy()
    f = f[None].copy()
    lbm.run(f, outflow, box, one, np.ones((1, steps, 1)), forces)
    return (f[0], forces[0]) if body else f[0]


def moments(f, force=None):
    """Density deviation, velocity x and y : (3, ny, nx)."""
    out = np.empty((3, f.shape[1] - 2, f.shape[2] - 2), f.dtype)
    lbm.moments(f, np.zeros((out.shape[1], 2)) if force is None else force, out)
    return out


def circle(ny, nx, middle, radius, turn=0.0):
    """Links of a circle that turns by `turn` radians a step; cell (0, 0) has its centre at (0.5, 0.5)."""
    y, x = np.mgrid[:ny, :nx] + 0.5 - np.array(middle)[:, None, None]
    solid = np.hypot(x, y) < radius
    found = []
    for k in range(1, 9):
        dx, dy = lbm.CX[k], lbm.CY[k]
        for row, column in zip(*np.nonzero(~solid & np.roll(solid, (-dy, -dx), axis=(0, 1))), strict=True):
            px, py = x[row, column], y[row, column]
            a, b, c = dx * dx + dy * dy, px * dx + py * dy, px * px + py * py - radius**2
            fraction = (-b - np.sqrt(b * b - a * c)) / a
            velocity = -turn * (py + fraction * dy), turn * (px + fraction * dx)
            found.append((row + 1, column + 1, k, fraction, *velocity))
    rows = np.array(found)
    return rows[:, :3].astype(np.int64), rows[:, 3].copy(), rows[None, :, 4:].copy()


def equilibrium(density, u, v):
    """Populations (9, ny + 2, nx + 2) of a flow, but for the gradients' own part."""
    f = np.zeros((9, u.shape[0] + 2, u.shape[1] + 2))
    for k in range(9):
        along = lbm.CX[k] * u + lbm.CY[k] * v
        f[k, 1:-1, 1:-1] = lbm.WEIGHTS[k] * (density + 3 * along + 4.5 * along**2 - 1.5 * (u * u + v * v))
    return f


def twin(f, even, odd, force):
    """One step of a periodic flow, with full populations and plain definitions: collide, then fly."""
    f = f[:, 1:-1, 1:-1]
    half = force[:, None, :] / 2
    u = np.tensordot(lbm.CX, f, 1) + half[..., 0]
    v = np.tensordot(lbm.CY, f, 1) + half[..., 1]
    wanted = equilibrium(f.sum(axis=0), u, v)[:, 1:-1, 1:-1]
    turned, aim = f[lbm.OPPOSITE], wanted[lbm.OPPOSITE]
    sums = even / 2 * (f + turned - wanted - aim)
    differences = odd / 2 * (f - turned - wanted + aim)
    along = lbm.CX[:, None, None] * force[:, 0, None] + lbm.CY[:, None, None] * force[:, 1, None]
    f = f - sums - differences + (1 - odd / 2) * 3 * lbm.WEIGHTS[:, None, None] * along
    return np.stack([np.roll(f[k], (lbm.CY[k], lbm.CX[k]), axis=(0, 1)) for k in range(9)])


@pytest.mark.parametrize("steps", [2, 4, 6])
def test_steps_are_those_of_the_plain_definition(steps):
    rng = np.random.default_rng(0)
    f = equilibrium(*(0.01 * rng.normal(size=(3, Y, X))))
    force, (even, odd) = 1e-4 * rng.normal(size=(Y, 2)), rates(0.03)
    expected = f.copy()
    for _ in range(steps):
        expected[:, 1:-1, 1:-1] = twin(expected, even, odd, force)
    found = advance(f, steps, (even, odd), force)
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], rtol=0, atol=1e-15)


def test_vortices_decay_as_taylor_and_green_say_to_second_order():
    """u = exp(-2 nu k^2 t) of the start; errors fall by four when cells are halved and the Mach number with them."""
    errors = []
    for n in (16, 32):
        ny, nx, viscosity, speed = n, 3 * n // 2, 0.02, 0.64 / n
        y, x = np.mgrid[:ny, :nx] + 0.5
        kx, ky = 2 * np.pi / nx, 2 * np.pi / ny
        u = -speed * np.cos(kx * x) * np.sin(ky * y)
        v = speed * kx / ky * np.sin(kx * x) * np.cos(ky * y)
        pressure = -(speed**2) / 4 * (np.cos(2 * kx * x) + (kx / ky) ** 2 * np.cos(2 * ky * y))
        steps = n * n // 4
        f = advance(equilibrium(3 * pressure, u, v), steps, rates(viscosity))
        left = np.exp(-viscosity * (kx**2 + ky**2) * steps)
        _, found_u, found_v = moments(f)
        errors.append(np.hypot(found_u - left * u, found_v - left * v).max() / speed)
    assert np.log2(errors[0] / errors[1]) > 1.9 and errors[1] < 0.01


@pytest.mark.parametrize("across", ["y", "x"])
def test_a_driven_channel_is_exact_with_walls_half_a_cell_out(across):
    n, viscosity, push = 11, 0.1, 1e-5
    shape, axis = ((n, 5), 0) if across == "y" else ((5, n), 1)
    force = np.zeros((shape[0], 2))
    force[:, axis] = push
    kinds = ([lbm.PERIODIC] * 2 + [lbm.WALL] * 2)[:: 1 if across == "y" else -1]
    f = advance(np.zeros((9, shape[0] + 2, shape[1] + 2)), 6000, rates(viscosity), force, kinds)
    along = np.arange(n) + 0.5
    expected = push / (2 * viscosity) * along * (n - along)
    found = moments(f, force)[1 + axis]
    np.testing.assert_allclose(found if across == "x" else found.T, np.tile(expected, (5, 1)), rtol=1e-9)


def test_a_moving_wall_drags_the_fluid_linearly():
    n, speed = 9, 0.05
    walls = np.zeros((4, n, 2))
    walls[lbm.TOP, :, 0] = speed
    kinds = (lbm.PERIODIC, lbm.PERIODIC, lbm.WALL, lbm.WALL)
    f = advance(np.zeros((9, n + 2, 7)), 6000, rates(0.1), kinds=kinds, walls=walls)
    expected = speed * (np.arange(n) + 0.5) / n
    np.testing.assert_allclose(moments(f)[1], np.tile(expected[:, None], 5), rtol=1e-9)


@pytest.mark.parametrize("side", [lbm.PERIODIC, lbm.WALL])
def test_no_mass_is_lost_in_a_closed_box(side):
    rng = np.random.default_rng(1)
    f = equilibrium(*(0.02 * rng.normal(size=(3, Y, X))))
    before = f[:, 1:-1, 1:-1].sum()
    walls = np.zeros((4, X, 2))
    walls[lbm.TOP, :, 0] = 0.05
    f = advance(f, 400, rates(0.05), kinds=(side,) * 4, walls=walls)
    assert f[:, 1:-1, 1:-1].sum() == pytest.approx(before, abs=1e-12)


def test_single_precision_is_as_good_for_small_flows():
    """Deviations from rest are kept: a velocity of 1e-5 has six digits too."""
    rng = np.random.default_rng(2)
    f = equilibrium(*(1e-5 * rng.normal(size=(3, Y, X))))
    one, two = advance(f.astype(np.float32), 50, rates(0.05, np.float32)), advance(f, 50, rates(0.05))
    assert one.dtype == np.float32
    np.testing.assert_allclose(moments(one), moments(two), atol=1e-10)


def test_between_a_turning_cylinder_and_one_at_rest_the_flow_is_couette_s_to_second_order():
    """u = a r + b / r: the outer circle is a body as well, whose inside is the fluid."""
    errors = []
    for scale in (0.5, 1.0):
        n, inner, outer, turn = int(60 * scale), 10.3 * scale, 25.7 * scale, 0.004 / scale**2
        middle = (n / 2 + 0.2, n / 2 - 0.3)
        links = [circle(n, n, middle, inner, turn), _hollow(n, middle, outer)]
        body = tuple(np.concatenate(pair, axis=int(pair[0].ndim == 3)) for pair in zip(*links, strict=True))
        f, drag = advance(np.zeros((9, n + 2, n + 2)), int(12000 * scale**2), rates(0.15), body=body)
        y, x = np.mgrid[:n, :n] + 0.5 - np.array(middle)[:, None, None]
        r = np.hypot(x, y)
        a = -turn * inner**2 / (outer**2 - inner**2)
        expected = a * r - a * outer**2 / r
        _, u, v = moments(f)
        error = np.hypot(u + expected * y / r, v - expected * x / r)[(r > inner) & (r < outer)]
        errors.append(np.sqrt(np.mean(error**2)) / (turn * inner))
        assert np.abs(drag[-1]).max() < 1e-12  # a torque, no force
    assert errors[1] < 0.002 and errors[0] / errors[1] > 4


def _hollow(n, middle, radius):
    """Links from inside a circle to beyond it, at rest."""
    y, x = np.mgrid[:n, :n] + 0.5 - np.array(middle)[:, None, None]
    fluid = np.hypot(x, y) < radius
    found = []
    for k in range(1, 9):
        dx, dy = lbm.CX[k], lbm.CY[k]
        for row, column in zip(*np.nonzero(fluid & ~np.roll(fluid, (-dy, -dx), axis=(0, 1))), strict=True):
            px, py = x[row, column], y[row, column]
            a, b, c = dx * dx + dy * dy, px * dx + py * dy, px * px + py * py - radius**2
            found.append((row + 1, column + 1, k, (-b + np.sqrt(b * b - a * c)) / a, 0.0, 0.0))
    rows = np.array(found)
    return rows[:, :3].astype(np.int64), rows[:, 3].copy(), rows[None, :, 4:].copy()


def test_the_force_on_a_body_balances_what_drives_the_fluid():
    """In a periodic box at its final speed all that a uniform push gives the fluid ends on the cylinder."""
    n, push = 24, 1e-6
    body = circle(n, n, (12.3, 11.8), 4.2)
    force = np.tile([push, 0.0], (n, 1))
    _, drag = advance(np.zeros((9, n + 2, n + 2)), 8000, rates(0.1), force, body=body)
    given = push * n * n
    assert 0.85 < drag[-1, 0] / given <= 1.0 and abs(drag[-1, 1]) < 0.01 * given


def test_sound_leaves_through_an_open_side():
    """A pulse that runs along with the flow; a side of given pressure would throw back nine tenths of it."""
    ny, nx, speed, height = 6, 400, 0.05, 1e-3
    walls, outflow = np.zeros((4, nx, 2)), np.zeros((3, ny))
    walls[lbm.LEFT, :ny, 0] = outflow[1] = speed
    density = np.tile(height * np.exp(-(((np.arange(nx) - 250) / 12) ** 2)), (ny, 1))
    u = speed + density / np.sqrt(3)
    kinds = (lbm.WALL, lbm.OPEN, lbm.PERIODIC, lbm.PERIODIC)
    f = equilibrium(density, u, np.zeros((ny, nx)))
    f = advance(f, 400, rates(0.01), kinds=kinds, walls=walls, outflow=outflow)
    left, found, across = moments(f)
    assert np.abs(left[:, 100:]).max() < 0.06 * height
    np.testing.assert_allclose(found[:, 100:], speed, atol=0.06 * height)
    assert np.abs(across).max() < 1e-12


def test_a_channel_keeps_its_profile_to_its_open_end():
    ny, nx, speed, viscosity = 12, 60, 0.05, 0.05
    along = np.arange(ny) + 0.5
    profile = 6 * speed * along * (ny - along) / ny**2
    walls, outflow = np.zeros((4, nx, 2)), np.zeros((3, ny))
    walls[lbm.LEFT, :ny, 0] = outflow[1] = profile
    f = equilibrium(*np.stack([np.zeros((ny, nx)), np.tile(profile[:, None], nx), np.zeros((ny, nx))]))
    kinds = (lbm.WALL, lbm.OPEN, lbm.WALL, lbm.WALL)
    f = advance(f, 8000, rates(viscosity), kinds=kinds, walls=walls, outflow=outflow)
    density, u, _ = moments(f)
    np.testing.assert_allclose(u, np.tile(profile[:, None], nx), atol=0.02 * speed)
    # Poiseuille: the pressure falls by 12 nu U / H^2 a cell, and is the surroundings' at the end.
    fall = -np.polyfit(np.arange(5, nx - 5), density[:, 5:-5].mean(axis=0) / 3, 1)[0]
    assert fall == pytest.approx(12 * viscosity * speed / ny**2, rel=0.02) and np.abs(density[:, -1]).max() < 0.002
