"""What tells physical fields apart: errors by their variance and by wave number, and what a flow must keep.

true and guess are arrays (..., y, x) of one field, `cell` is the spacing in m, one number or (along y, along x). Sums
are in float64. In vrmse, nrmse and correlation pixels whose truth is not finite, or masked, do not count, and a guess
that is so where the truth is not makes them NaN. What needs neighbours, spectra and derivatives, is NaN of a field that
is not known everywhere, and so are its sums over time. What is no array of real numbers raises SettingsError.
"""

from __future__ import annotations

import numpy as np

from sciworld.errors import SettingsError
from sciworld.measures import known
from sciworld.measures.known import quiet
from sciworld.measures.pixels import mse

AXES = (-2, -1)  # y, x
EPSILON = 1e-7  # in squared units of the field, of The Well, Ohana et al., NeurIPS 2024, appendix E
CORRELATED = 0.8  # Kochkov et al., Proc. Natl. Acad. Sci. 118 (2021): forecasts are of use while they correlate so
BINS, ROUNDING = 3, 1e-24  # scales; a share of the power that rounding leaves where there is none


@quiet
def vrmse(true: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Variance-scaled error, sqrt(mean((guess - true)^2) / (mean((true - mean(true))^2) + 1e-7)) : (...), no unit.

    0 is perfect; the mean of the true field as a guess scores 1 where its variance is far above 1e-7. That is in
    squared units of the field: of one that varies by little more than 3.2e-4 the score depends on the units, and of a
    constant one it is the error over 3.2e-4. Ohana et al., "The Well", NeurIPS 2024, appendix E.
    """
    true, guess = _pair(true, guess)
    error, true = mse(true, guess), _finite(true)
    variance = known.mean((true - known.mean(true, AXES)[..., None, None]) ** 2, AXES)
    return np.asarray(np.sqrt(error / (variance + EPSILON)))


@quiet
def nrmse(true: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Error over size, sqrt(mean((guess - true)^2) / (mean(true^2) + 1e-7)) : (...), no unit; 0 is perfect.

    Zero as a guess scores 1: a field with a large mean has a small one for that alone. The 1e-7 is in squared units of
    the field: of fields not far above 3.2e-4 the score depends on the units. Ohana et al. (2024), appendix E.
    """
    true, guess = _pair(true, guess)
    return np.asarray(np.sqrt(mse(true, guess) / (known.mean(_finite(true) ** 2, AXES) + EPSILON)))


@quiet
def power(values: np.ndarray, cell: float | tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Power by wave number : (k,) rad/m, and (..., k), whose sum over k is the mean square of the field.

    Grids need not be square, nor their cells: rings are as wide as the coarser of the two spacings of wave numbers,
    and k is their middle. The field is taken as periodic.
    """
    values = _single(values)
    ny, nx = values.shape[-2:]
    dy, dx = _spacing(cell)
    density = np.abs(np.fft.fft2(values)) ** 2 / (ny * nx) ** 2
    kx, ky = 2 * np.pi * np.fft.fftfreq(nx, dx), 2 * np.pi * np.fft.fftfreq(ny, dy)
    width = 2 * np.pi / min(dy * ny, dx * nx)
    ring = np.rint(np.hypot(ky[:, None], kx) / width).astype(np.int64).ravel()
    count = int(ring.max()) + 1
    flat = density.reshape(-1, ny * nx)
    found = np.stack([np.bincount(ring, one, count) for one in flat]) if len(flat) else np.zeros((0, count))
    return width * np.arange(count), found.reshape(*values.shape[:-2], count)


@quiet
def spectral_error(true: np.ndarray, guess: np.ndarray, cell: float | tuple[float, float] = 1.0) -> np.ndarray:
    """Error by scale : (..., 3) for large, middle and small structures, no unit; 0 is perfect, 1 that of no structure.

    The power of guess - true in a bin over that of the truth there, as square roots. Bins share the logarithm of the
    wave numbers from the lowest ring to the highest evenly, and leave out the mean: Ohana et al. (2024), appendix E,
    whose bins these are for square grids. NaN where the truth has nothing in a bin.
    """
    true, guess = _pair(true, guess)
    k, wrong = power(guess - true, cell)
    _, right = power(true, cell)
    edges = np.geomspace(k[1], k[-1], BINS + 1) if len(k) > 1 else np.zeros(BINS + 1)
    place = np.clip(np.searchsorted(edges, k * (1 + 1e-12), side="right") - 1, 0, BINS - 1)
    found = np.full((*true.shape[:-2], BINS), np.nan)
    for index in range(BINS):
        chosen = (place == index) & (k > 0)
        above, below = wrong[..., chosen].sum(axis=-1), right[..., chosen].sum(axis=-1)
        there = below > ROUNDING * right.sum(axis=-1)
        found[..., index] = np.sqrt(known.ratio(above, np.where(there, below, 0.0)))
    return found


@quiet
def vorticity(u: np.ndarray, v: np.ndarray, cell: float | tuple[float, float]) -> np.ndarray:
    """dv/dx - du/dy : (..., y, x) 1/s, of u and v in m/s; central differences, one-sided at borders. y grows upward."""
    u, v = _pair(u, v)
    dy, dx = _spacing(cell)
    return np.asarray(np.gradient(v, dx, axis=-1) - np.gradient(u, dy, axis=-2))


@quiet
def enstrophy(u: np.ndarray, v: np.ndarray, cell: float | tuple[float, float]) -> np.ndarray:
    """Half the mean squared vorticity : (...), 1/s^2; what small whirls hold most of, and blurring loses first."""
    return np.asarray(0.5 * (vorticity(u, v, cell) ** 2).mean(axis=(-2, -1)))


@quiet
def divergence(
    u: np.ndarray, v: np.ndarray, cell: float | tuple[float, float], where: np.ndarray | None = None
) -> np.ndarray:
    """Root mean square of du/dx + dv/dy over that of all four derivatives : (...), no unit; 0 is incompressible.

    0 too where nothing moves. where : bool (y, x), the cells that count. Central differences, one-sided at borders.
    """
    u, v = _pair(u, v)
    dy, dx = _spacing(cell)
    ux, vx = (np.gradient(one, dx, axis=-1) for one in (u, v))
    uy, vy = (np.gradient(one, dy, axis=-2) for one in (u, v))
    chosen = np.ones(u.shape[-2:], bool) if where is None else np.asarray(np.ma.filled(where, False), dtype=bool)
    if not chosen.any():
        return np.full(u.shape[:-2], np.nan)
    size = np.sqrt((ux**2 + uy**2 + vx**2 + vy**2)[..., chosen].mean(axis=-1))
    wrong = np.sqrt(((ux + vy) ** 2)[..., chosen].mean(axis=-1))
    return np.asarray(wrong / np.where(size > 0, size, 1.0))


@quiet
def mass_drift(density: np.ndarray) -> np.ndarray:
    """(mean(t) - mean(0)) / mean(0) of density (..., time, y, x) at every moment : (..., time), no unit; 0 is right."""
    mean = _single(density).mean(axis=(-2, -1))
    first = mean[..., :1]
    return known.ratio(mean - first, first)


@quiet
def correlation(true: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Pearson's correlation over pixels : (...), -1 to 1; 1 is perfect, NaN where either field is constant."""
    true, guess = _pair(true, guess)
    counted = np.isfinite(true)
    a, b = (_departure(one, counted) for one in (true, guess))
    size = np.sqrt((a * a).sum(axis=AXES) * (b * b).sum(axis=AXES))
    return known.ratio((a * b).sum(axis=AXES), size)


def correlation_time(
    true: np.ndarray, guess: np.ndarray, seconds: np.ndarray, threshold: float = CORRELATED
) -> np.ndarray:
    """The first of seconds (time,) at which the correlation is below `threshold` : (...) s.

    true, guess : (..., time, y, x), of one moment or more. Infinite where it stays above to the end: at least the last
    second, that is. NaN where a correlation is unknown before it fell, as that of a constant field is. Kochkov et al.,
    Proc. Natl. Acad. Sci. 118, e2101784118 (2021).
    """
    found = correlation(true, guess)
    seconds = known.floats(seconds, "correlation_time: seconds")
    if found.ndim < 1 or not len(seconds) or seconds.shape != found.shape[-1:]:
        raise SettingsError(
            f"correlation_time: {seconds.shape} seconds for frames {np.shape(true)}; give one a frame, of one or more"
        )
    unknown = np.isnan(found)
    ended = unknown | (found < threshold)
    first = ended.argmax(axis=-1)
    fell = np.where(np.take_along_axis(unknown, first[..., None], -1)[..., 0], np.nan, seconds[first])
    return np.where(ended.any(axis=-1), fell, np.inf)


def _departure(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """From the mean of what is counted, over the largest : (..., y, x), 0 elsewhere; NaN where it is constant."""
    low = values.min(axis=AXES, where=counted, initial=np.inf, keepdims=True)
    high = values.max(axis=AXES, where=counted, initial=-np.inf, keepdims=True)
    away = np.where(counted, values - known.mean(values, AXES, counted)[..., None, None], 0.0)
    # Squares of what is at most 1 are in range. A mean may round: whether a field is constant is not read off it.
    largest = np.where(low < high, np.abs(away).max(axis=AXES, initial=0.0, keepdims=True), np.nan)
    return np.asarray(away / largest)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)


def _pair(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64. Raises SettingsError for shapes that differ."""
    one, other = _single(one), _single(other)
    if one.shape != other.shape:
        raise SettingsError(f"fields are {one.shape} and {other.shape}; give (..., y, x) of one shape")
    return one, other


def _single(values: np.ndarray) -> np.ndarray:
    """As float64. Raises SettingsError for what is no field of 2 x 2 cells or more."""
    values = known.plain(values, "a field")
    if values.ndim < 2 or min(values.shape[-2:]) < 2 or values.dtype.kind == "b":
        raise SettingsError(f"a field is {values.dtype} {values.shape}; give real numbers (..., y, x), 2 x 2 or more")
    return known.floats(values, "a field")


def _spacing(cell: float | tuple[float, float]) -> tuple[float, float]:
    """Along y and x, in m. Raises SettingsError unless both are above 0."""
    both = known.floats(cell, "cell")
    if both.shape in ((), (1,)):
        both = np.repeat(both, 2)
    if both.shape != (2,) or not (np.isfinite(both).all() and (both > 0).all()):
        raise SettingsError(f"cell is {cell}; give the spacing in m, above 0, one number or (along y, along x)")
    return float(both[0]), float(both[1])
