"""Drives: road video with steering, throttle and what a car measures of itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import xarray as xr

from sciworld.config import from_dict
from sciworld.domains.base import Domain, Physics


def _simulator(**settings: Any) -> Any:
    # Loaded when it is asked for: a search needs this domain, and must do without its truth.
    from sciworld.domains.driving.road.settings import RoadSettings
    from sciworld.domains.driving.road.simulator import RoadSimulator

    return RoadSimulator(from_dict(RoadSettings, settings, "road simulator"))


def _physics(recordings: Iterable[xr.Dataset]) -> Physics:
    from sciworld.domains.driving.physics import fit

    return fit(recordings)


# Cameras differ in where they look, so that nothing is known beforehand of where the road is; and a road has no
# symmetry: mirrored, it is one on which people drive at the other side.
DOMAIN = Domain("driving", None, (), _simulator, _physics)
