"""Flows of fluids: files of simulations and of particle images, and the trusted simulator of a controlled wake."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import xarray as xr

from sciworld.domains.base import Domain, Physics


def _simulator(**settings: Any) -> Any:
    # Loaded when it is asked for: a search needs this domain, and must do without its truth.
    from sciworld.domains.fluid.simulator import simulator

    return simulator(**settings)


def _physics(recordings: Iterable[xr.Dataset]) -> Physics:
    from sciworld.domains.fluid.physics import fit

    return fit(recordings)


# A cylinder that stands off the middle of its channel leaves no mirror image of its wake alike.
DOMAIN = Domain("fluid", None, (), _simulator, _physics)
