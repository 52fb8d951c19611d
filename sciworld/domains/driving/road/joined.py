"""Drives of several states as one, in no more worlds than they drive in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from sciworld.domains.driving.road.state import RoadState
from sciworld.domains.driving.road.world import Worlds


def join(states: Sequence[RoadState]) -> RoadState:
    """The drives of the states, one after the other; worlds that none of them is in are dropped.

    The states are of simulators with the same settings but for the place.
    """
    used = [np.unique(state.which, return_inverse=True) for state in states]
    first = np.cumsum([0, *(len(index) for index, _ in used)])
    parts = {
        field.name: np.concatenate([getattr(state, field.name) for state in states])
        for field in dataclasses.fields(RoadState)
        if field.name != "worlds"
    }
    parts["which"] = np.concatenate([at + inverse for at, (_, inverse) in zip(first, used, strict=False)])
    worlds = [_chosen(state.worlds, index) for state, (index, _) in zip(states, used, strict=True)]
    return RoadState(_stacked(worlds), **parts)


def _chosen(worlds: Worlds, index: np.ndarray) -> Worlds:
    return Worlds(**{field.name: getattr(worlds, field.name)[index] for field in dataclasses.fields(Worlds)})


def _stacked(worlds: Sequence[Worlds]) -> Worlds:
    """All worlds, the tables of their objects as long as the longest."""
    most = max(int(one.count.max()) for one in worlds)
    parts = {field.name: [getattr(one, field.name) for one in worlds] for field in dataclasses.fields(Worlds)}
    objects = []
    for table in parts["objects"]:
        cut = table[:, :most]
        objects.append(np.pad(cut, ((0, 0), (0, most - cut.shape[1]), (0, 0))))
    parts["objects"] = objects
    return Worlds(**{name: np.concatenate(values) for name, values in parts.items()})
