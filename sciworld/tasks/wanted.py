"""What one may want by name, of recordings of each domain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sciworld.controls import ControlSpace
from sciworld.domains.fluid.imagined import ImaginedCost, fit_cost
from sciworld.errors import SearchError
from sciworld.selection import Selection
from sciworld.simulator import Objective
from sciworld.store import Store
from sciworld.tasks.lane_keeping import InLane, fit_lane
from sciworld.tensors import functions


class LessDrag:
    """Drag saved in % of that without control, less what lift it costs: minus the `ImaginedCost` of the future.

    Parameters
    ----------
    cost : reads drag and lift from velocities. most : bound of the control.
    """

    linear, differentiable = False, True
    title, units = "drag saved, less the lift it costs", "%"
    nan_means = "imagined wakes leave the velocities that were recorded"

    def __init__(self, cost: ImaginedCost, most: float) -> None:
        self.cost, self.most = cost, most

    def __call__(self, futures: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Scores (candidate, sample), NaN where velocities leave what was recorded."""
        c, s = futures.shape[:2]
        steps = controls.shape[1]
        played = functions(controls).broadcast_to(controls[:, None, :, 0], (c, s, steps)).reshape(c * s, steps)
        return -self.cost(futures.reshape(c * s, *futures.shape[2:]), played, self.most).reshape(c, s)


def _drag(store: Store | Selection, space: ControlSpace) -> Objective:
    space.require_bounds(space.high)
    return LessDrag(fit_cost(store.lazily(i) for i in range(len(store))), float(np.abs(space.high).max()))


def _lane(store: Store | Selection, space: ControlSpace) -> Objective:
    return InLane(fit_lane(store))


WANTED: dict[str, Callable[[Store | Selection, ControlSpace], Objective]] = {"drag": _drag, "lane": _lane}


def wanted(name: str, store: Store | Selection, space: ControlSpace) -> Objective:
    """The objective called `name`, whose readers are fitted on the store. Raises SearchError for an unknown name."""
    if name not in WANTED:
        raise SearchError(f"no objective '{name}'; there are {', '.join(WANTED)}, or give FILE.py:FUNCTION")
    return WANTED[name](store, space)
