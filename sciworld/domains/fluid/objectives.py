"""What a fluid dynamicist wants of a wake: less drag, without the lift that a cheat pays for it, and at what effort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciworld.config import require
from sciworld.tensors import root

# Constant jets or slow rotation "reduce" drag at the price of a steady lift: it is charged for. A fluctuating lift is
# charged for as far as it exceeds that of the wake without control.
LIFT_WEIGHT, FLUCTUATION_WEIGHT = 0.2, 0.05


@dataclass(frozen=True)
class WakeCost:
    """The terms of a control's cost for n episodes, each (candidate,); `total` is what a search minimises.

    Parameters
    ----------
    drag : mean drag coefficient. drag_change : against the wake without control, %. lift : mean lift coefficient.
    lift_rms : of the lift about its mean. energy : mean square of the amplitude, in units of its bound.
    total : drag_change + (0.2 |lift| + 0.05 max(0, lift_rms - that without control)) in % of the drag without control.
    """

    drag: np.ndarray
    drag_change: np.ndarray
    lift: np.ndarray
    lift_rms: np.ndarray
    energy: np.ndarray
    total: np.ndarray


def wake_cost(coefficients: np.ndarray, amplitudes: np.ndarray, most: float, drag: float, lift_rms: float) -> WakeCost:
    """Cost of controls, from what the trusted simulator tells of each action.

    coefficients : (candidate, action, 3) means of drag, lift and lift squared. amplitudes : (candidate, action), most :
    their bound. drag, lift_rms : of the wake without control. Raises SettingsError unless drag and bound
    are above 0.
    """
    require(drag > 0, f"drag without control is {drag}; give that of a developed wake")
    require(most > 0, f"most is {most}; give the bound of the control")
    mean_drag, mean_lift, square = coefficients.mean(axis=1).T
    fluctuation = root(square - mean_lift**2)
    change = mean_drag - drag
    penalty = LIFT_WEIGHT * abs(mean_lift) + FLUCTUATION_WEIGHT * (fluctuation - lift_rms).clip(min=0.0)
    energy = (amplitudes**2).mean(axis=1) / most**2
    return WakeCost(
        mean_drag, 100 * change / drag, mean_lift, fluctuation, energy, 100 * (change + penalty) / drag
    )  # fmt: skip
