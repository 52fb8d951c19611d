"""Optimizers of controls: ask/tell on NumPy arrays, one algorithm a file."""

from sciworld.errors import SearchError
from sciworld.search.optimizers import adam, categorical, cem, cmaes, de, gradcem, icem, mppi, shooting
from sciworld.search.optimizers.base import Optimizer

OPTIMIZERS: dict[str, Optimizer] = {
    "shooting": shooting,
    "cem": cem,
    "icem": icem,
    "mppi": mppi,
    "cmaes": cmaes,
    "de": de,
    "categorical": categorical,
    "adam": adam,
    "gradcem": gradcem,
}


def named(name: str) -> Optimizer:
    """The optimizer called `name`. Raises SearchError if there is none."""
    try:
        return OPTIMIZERS[name]
    except KeyError:
        raise SearchError(f"no optimizer '{name}'; there are {', '.join(OPTIMIZERS)}") from None
