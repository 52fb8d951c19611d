"""What NumPy arrays and torch tensors do not do alike, for code that takes both and need not load torch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def functions(of: Any) -> Any:
    """The module whose functions take `of`: numpy for an array, torch for a tensor."""
    return np if isinstance(of, np.ndarray) else sys.modules["torch"]  # whoever has a tensor has loaded it


def constant(values: np.ndarray, like: Any) -> Any:
    """Values to compute with beside `like`: as they are beside an array, a tensor of its type and device beside one."""
    return values if isinstance(like, np.ndarray) else like.new_tensor(values)


def cast(values: Any, kind: str) -> Any:
    """Values as numbers of `kind`, such as "float64"; what is one of these already is not copied."""
    if isinstance(values, np.ndarray):
        return np.asarray(values, dtype=kind)
    return values.to(getattr(functions(values), kind))


def root(values: Any) -> Any:
    """The square root, and 0 of what is below 0. Its slope there is 0, where that of a root would be infinite."""
    xp, low = functions(values), values <= 0
    return xp.where(low, 0.0, xp.sqrt(xp.where(low, 1.0, values)))
