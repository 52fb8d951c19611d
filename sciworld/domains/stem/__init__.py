"""Silicon in graphene under the beam of a scanning transmission electron microscope."""

from __future__ import annotations

from typing import Any

from sciworld.config import from_dict
from sciworld.domains.base import Domain
from sciworld.domains.stem.focus import focus
from sciworld.domains.stem.simulator import StemSettings, StemSimulator


def _simulator(**settings: Any) -> StemSimulator:
    return StemSimulator(from_dict(StemSettings, settings, "stem simulator"))


# The image of graphene may be mirrored and turned by a quarter: the views turn with it, the physics is the same.
DOMAIN = Domain("stem", focus, ("flip_x", "flip_y", "transpose"), _simulator)
