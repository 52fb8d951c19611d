"""What is known: numbers whose masked places are NaN, and means that leave NaN out; it is nobody's answer.

Formulas that are `quiet` do not warn: what is too large to be squared is infinite, and what cannot be told NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sciworld.errors import SettingsError

quiet = np.errstate(divide="ignore", over="ignore", invalid="ignore")


def plain(values: ArrayLike, name: str) -> np.ndarray:
    """An array of real numbers, NaN where masked; floats then, else of its own dtype.

    values : an array, masked or not, a number, or lists of them. name : what it is, for the error. Raises SettingsError
    for complex numbers, text and objects, and for rows of unlike lengths.
    """
    try:
        found = _filled(values)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{name}: no array; give real numbers, in rows of one length") from error
    if found.dtype.kind not in "iufb":
        raise SettingsError(f"{name}: {found.dtype}; give real numbers")
    return found


@quiet
def floats(values: ArrayLike, name: str) -> np.ndarray:
    """As `plain`, in float64; numbers that it does not hold are infinite."""
    return plain(values, name).astype(np.float64, copy=False)


@quiet
def mean(values: ArrayLike, axis: int | tuple[int, ...] = 0, where: np.ndarray | None = None) -> np.ndarray:
    """Mean along the axes, of what is not NaN and, if given, `where` says : (...); NaN of nothing."""
    values = plain(values, "values")
    counted = ~np.isnan(values) if where is None else where & ~np.isnan(values)
    return ratio(np.where(counted, values, 0.0).sum(axis=axis), counted.sum(axis=axis))


@quiet
def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, both (...) : (...), NaN where `below` is 0."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)


def _filled(values: Any) -> np.ndarray:
    """Lists are taken apart where they hold masks, which np.asarray would lose."""
    if isinstance(values, np.ma.MaskedArray):
        if values.dtype.kind not in "iufb" or not np.ma.is_masked(values):
            return np.asarray(values.data)
        kind = np.promote_types(values.dtype, np.float16)
        return np.where(np.ma.getmaskarray(values), kind.type(np.nan), values.data.astype(kind))
    if _masked(values):
        return np.stack([_filled(one) for one in values])
    return np.asarray(values)


def _masked(values: Any) -> bool:
    """Whether it is masked, or a list of what is."""
    if isinstance(values, list | tuple):
        return any(_masked(one) for one in values)
    return isinstance(values, np.ma.MaskedArray)
