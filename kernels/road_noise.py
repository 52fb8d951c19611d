"""Hashes and smooth noise on lattices, and an exponential: what the road's pixels use instead of transcendentals."""

import math

from numba import njit

from sciworld.kernels.road_layout import FAST

MASK = 0xFFFFFFFF


@njit(**FAST)
def hashed(i, j, seed):
    """A number in [0, 1) that looks random, of three integers."""
    h = (i * 374761393 + j * 668265263 + seed * 1442695041) & MASK
    h = ((h ^ (h >> 15)) * 1274126177) & MASK
    h = ((h ^ (h >> 13)) * 668265263) & MASK
    return ((h ^ (h >> 16)) & 0xFFFFFF) * (1.0 / 16777216.0)


@njit(**FAST)
def noise(x, y, seed):
    """Smooth noise in [0, 1) with a lattice of unit cells (value noise)."""
    fx, fy = math.floor(x), math.floor(y)
    i, j = int(fx), int(fy)
    u, v = x - fx, y - fy
    u = u * u * (3.0 - 2.0 * u)
    v = v * v * (3.0 - 2.0 * v)
    low = hashed(i, j, seed) * (1.0 - u) + hashed(i + 1, j, seed) * u
    high = hashed(i, j + 1, seed) * (1.0 - u) + hashed(i + 1, j + 1, seed) * u
    return low * (1.0 - v) + high * v


@njit(**FAST)
def wave(x, seed):
    """Smooth noise in [0, 1) along a line."""
    fx = math.floor(x)
    i = int(fx)
    u = x - fx
    u = u * u * (3.0 - 2.0 * u)
    return hashed(i, 7, seed) * (1.0 - u) + hashed(i + 1, 7, seed) * u


@njit(**FAST)
def decay(x):
    """exp(-x) for x >= 0, to 0.2 % of 1: the Taylor polynomial of exp(x / 8) to the power of -8."""
    t = 1.0 + x * (0.125 + x * (0.0078125 + x * 0.00032552))
    t *= t
    t *= t
    return 1.0 / (t * t)


@njit(**FAST)
def ramp(low, high, x):
    """0 below low, 1 above high, smooth between."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)
