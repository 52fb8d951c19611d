"""What a field of science brings: how to read, simulate, locate, judge."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciworld.errors import SettingsError


@dataclass(frozen=True)
class Domain:
    """One field of science, as the generic parts see it.

    Parameters
    ----------
    name : what it is called on the command line.
    focus : where a loss may weigh more, from what is known beforehand: frames (n, y, x, channel) and view (n, 6) to
        weights (n, y, x) float32 of mean about one.
    symmetries : names of the transforms under which frames, views and controls keep their meaning.
    simulator : makes the trusted simulator from its settings' fields.
    """

    name: str
    focus: Callable[[np.ndarray, np.ndarray], np.ndarray] | None
    symmetries: tuple[str, ...]
    simulator: Callable[..., Any]


DOMAINS = {"stem": "sciworld.domains.stem:DOMAIN"}


def domain(name: str) -> Domain:
    """The domain called `name`. Raises SettingsError listing those that exist."""
    if name not in DOMAINS:
        raise SettingsError(f"no domain '{name}'; there are {', '.join(sorted(DOMAINS))}")
    module, attribute = DOMAINS[name].split(":")
    found: Domain = getattr(importlib.import_module(module), attribute)
    return found
