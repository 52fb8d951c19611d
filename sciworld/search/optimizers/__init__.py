"""Optimizers of controls: ask/tell on NumPy arrays, one algorithm a file."""

from typing import Any

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


def settings_of(name: str, settings: Any) -> Any:
    """Settings of the optimizer called `name`, its own ones for None. Raises SearchError for those of another."""
    kind = named(name).Settings
    if settings is not None and not isinstance(settings, kind):
        raise SearchError(
            f"optimizer '{name}': settings are {settings!r:.80}; give {kind.__module__}.{kind.__qualname__}, or None"
        )
    return kind() if settings is None else settings
