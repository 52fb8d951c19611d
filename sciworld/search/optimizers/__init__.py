"""Optimizers of controls: ask/tell on NumPy arrays, one algorithm a file."""

from sciworld.errors import SearchError
from sciworld.search.optimizers import cem
from sciworld.search.optimizers.base import Optimizer

OPTIMIZERS: dict[str, Optimizer] = {
    "cem": cem,
}


def named(name: str) -> Optimizer:
    """The optimizer called `name`. Raises SearchError if there is none."""
    try:
        return OPTIMIZERS[name]
    except KeyError:
        raise SearchError(f"no optimizer '{name}'; there are {', '.join(OPTIMIZERS)}") from None
