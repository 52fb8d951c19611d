"""A recording and its variants beside each other, to look at."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import plotly.graph_objects as go

from sciworld.domains.driving.exact import conditions_of
from sciworld.domains.driving.road.conditions import PRESETS
from sciworld.plots.sheets import contact_sheet
from sciworld.recording import Recording

SHOWN = 24  # frames of a film, at most


def sheet(source: Recording, variants: Iterable[Recording], across: int = 4, frames: int = SHOWN) -> go.Figure:
    """The first frames of a recording and of its variants as films that play together; `frames` 1 for pictures.

    Raises SettingsError for frames that are no colours in 8 bits.
    """
    shown = {"as recorded": source["frames"].values[:frames]}
    for number, one in enumerate(variants):
        shown[f"{number}: {name_of(one)}"] = one["frames"].values[:frames]
    time = source["time"].values
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
    return contact_sheet(shown, across, str(source.attrs["session"]), step)


def name_of(variant: Recording) -> str:
    """The preset that a variant was drawn under, or what differs from the clear noon most."""
    conditions = conditions_of(variant)
    known = [name for name, one in PRESETS.items() if one == conditions]
    if known or conditions is None:
        return known[0] if known else "other colours"
    differs = {name: value for name, value in vars(conditions).items() if value != getattr(PRESETS["clear_noon"], name)}
    return ", ".join(f"{name} {value:.3g}" for name, value in list(differs.items())[:2])
