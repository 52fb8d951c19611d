"""Flows whose solution is known, and every step against the same in NumPy."""

import numpy as np
import pytest

from sciworld.kernels import lbm

Y, X = 12, 18


def rates(viscosity, dtype=np.float64):
    """Relaxation rates of sums and differences, with the magic product 3/16."""
    half = 3 * viscosity
    return dtype(1 / (half + 0.5)), dtype(1 / (3 / 16 / half + 0.5))


def equilibrium(density, u, v):
    """Populations (9, ny + 2, nx + 2) of a flow, but for the gradients' own part."""
    f = np.zeros((9, u.shape[0] + 2, u.shape[1] + 2))
    for k in range(9):
        along = lbm.CX[k] * u + lbm.CY[k] * v
        f[k, 1:-1, 1:-1] = lbm.WEIGHTS[k] * (density + 3 * along + 4.5 * along**2 - 1.5 * (u * u + v * v))
    return f


def twin(f, even, odd, force):
    """One step of a periodic flow, with full populations and plain definitions."""
    f = np.stack([np.roll(f[k, 1:-1, 1:-1], (lbm.CY[k], lbm.CX[k]), axis=(0, 1)) for k in range(9)])
    half = force[:, None, :] / 2
    u = np.tensordot(lbm.CX, f, 1) + half[..., 0]
    v = np.tensordot(lbm.CY, f, 1) + half[..., 1]
    wanted = equilibrium(f.sum(axis=0), u, v)[:, 1:-1, 1:-1]
    turned, aim = f[lbm.OPPOSITE], wanted[lbm.OPPOSITE]
    sums = even / 2 * (f + turned - wanted - aim)
    differences = odd / 2 * (f - turned - wanted + aim)
    along = lbm.CX[:, None, None] * force[:, 0, None] + lbm.CY[:, None, None] * force[:, 1, None]
    return f - sums - differences + (1 - odd / 2) * 3 * lbm.WEIGHTS[:, None, None] * along


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_steps_are_those_of_the_plain_definition(steps):
    rng = np.random.default_rng(0)
    f = equilibrium(*(0.01 * rng.normal(size=(3, Y, X))))
    force, (even, odd) = 1e-4 * rng.normal(size=(Y, 2)), rates(0.03)
    expected = f.copy()
    for _ in range(steps):
        expected[:, 1:-1, 1:-1] = twin(expected, even, odd, force)
    kinds, walls = np.full(4, lbm.PERIODIC), np.zeros((4, X, 2))
    found = lbm.run(f, np.zeros_like(f), steps, even, odd, force, kinds, walls)
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
        f, steps, still = equilibrium(3 * pressure, u, v), n * n // 4, np.zeros((ny, 2))
        kinds, walls = np.full(4, lbm.PERIODIC), np.zeros((4, nx, 2))
        f = lbm.run(f, np.zeros_like(f), steps, *rates(viscosity), still, kinds, walls)
        left = np.exp(-viscosity * (kx**2 + ky**2) * steps)
        _, found_u, found_v = lbm.moments(f, still)
        errors.append(np.hypot(found_u - left * u, found_v - left * v).max() / speed)
    assert np.log2(errors[0] / errors[1]) > 1.9 and errors[1] < 0.01


@pytest.mark.parametrize("across", ["y", "x"])
def test_a_driven_channel_is_exact_with_walls_half_a_cell_out(across):
    n, viscosity, push = 11, 0.1, 1e-5
    shape, axis = ((n, 5), 0) if across == "y" else ((5, n), 1)
    force = np.zeros((shape[0], 2))
    force[:, axis] = push
    kinds = np.array([lbm.PERIODIC] * 2 + [lbm.WALL] * 2)[:: 1 if across == "y" else -1].copy()
    f = np.zeros((9, shape[0] + 2, shape[1] + 2))
    f = lbm.run(f, np.zeros_like(f), 6000, *rates(viscosity), force, kinds, np.zeros((4, n, 2)))
    along = np.arange(n) + 0.5
    expected = push / (2 * viscosity) * along * (n - along)
    found = lbm.moments(f, force)[1 + axis]
    np.testing.assert_allclose(found if across == "x" else found.T, np.tile(expected, (5, 1)), rtol=1e-9)


def test_a_moving_wall_drags_the_fluid_linearly():
    n, speed = 9, 0.05
    walls = np.zeros((4, n, 2))
    walls[lbm.TOP, :, 0] = speed
    f, still = np.zeros((9, n + 2, 7)), np.zeros((n, 2))
    kinds = np.array([lbm.PERIODIC, lbm.PERIODIC, lbm.WALL, lbm.WALL])
    f = lbm.run(f, np.zeros_like(f), 6000, *rates(0.1), still, kinds, walls)
    expected = speed * (np.arange(n) + 0.5) / n
    np.testing.assert_allclose(lbm.moments(f, still)[1], np.tile(expected[:, None], 5), rtol=1e-9)


@pytest.mark.parametrize("side", [lbm.PERIODIC, lbm.WALL])
def test_no_mass_is_lost_in_a_closed_box(side):
    rng = np.random.default_rng(1)
    f = equilibrium(*(0.02 * rng.normal(size=(3, Y, X))))
    before = f[:, 1:-1, 1:-1].sum()
    walls = np.zeros((4, X, 2))
    walls[lbm.TOP, :, 0] = 0.05
    f = lbm.run(f, np.zeros_like(f), 400, *rates(0.05), np.zeros((Y, 2)), np.full(4, side), walls)
    assert f[:, 1:-1, 1:-1].sum() == pytest.approx(before, abs=1e-12)


def test_single_precision_is_as_good_for_small_flows():
    """Deviations from rest are kept: a velocity of 1e-5 has six digits too."""
    rng = np.random.default_rng(2)
    f = equilibrium(*(1e-5 * rng.normal(size=(3, Y, X))))
    still, kinds, walls = np.zeros((Y, 2)), np.full(4, lbm.PERIODIC), np.zeros((4, X, 2))
    single = f.astype(np.float32)
    one = lbm.run(single, np.zeros_like(single), 50, *rates(0.05, np.float32), still, kinds, walls)
    two = lbm.run(f, np.zeros_like(f), 50, *rates(0.05), still, kinds, walls)
    assert one.dtype == np.float32
    np.testing.assert_allclose(lbm.moments(one, still), lbm.moments(two, still), atol=1e-10)
