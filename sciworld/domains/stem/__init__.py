"""Silicon in graphene under the beam of a scanning transmission electron microscope."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import xarray as xr

from sciworld.config import from_dict
from sciworld.domains.base import Domain, Physics
from sciworld.domains.stem.focus import focus


def _simulator(**settings: Any) -> Any:
    # Loaded when it is asked for: a search needs this domain, and must do without its truth.
    from sciworld.domains.stem.simulator import StemSettings, StemSimulator

    return StemSimulator(from_dict(StemSettings, settings, "stem simulator"))


def _physics(recordings: Iterable[xr.Dataset]) -> Physics:
    from sciworld.domains.stem.physics import fit

    return fit(recordings)


# The image of graphene may be mirrored and turned by a quarter: the views turn with it, the physics is the same.
DOMAIN = Domain("stem", focus, ("flip_x", "flip_y", "transpose"), _simulator, _physics)
