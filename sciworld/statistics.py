"""How what a model is given is normalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciworld.controls import ColumnTable
from sciworld.measures.moments import Moments


@dataclass(frozen=True)
class Statistics:
    """How frames and controls are normalised: (value - mean) / scale. A scale is never 0.

    Parameters
    ----------
    mean, scale : one number a channel, in its units.
    control_mean, control_scale : one number a control; 0 and 1 for a categorical one. covariate_mean, covariate_scale :
        the same of covariates.
    view_step : the median pixel pitch, in the laboratory's units.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    control_mean: tuple[float, ...]
    control_scale: tuple[float, ...]
    covariate_mean: tuple[float, ...]
    covariate_scale: tuple[float, ...]
    view_step: float

    @classmethod
    def of(
        cls, frames: Moments, controls: tuple[Moments, ColumnTable], covariates: tuple[Moments, ColumnTable],
        pitch: float,
    ) -> Statistics:  # fmt: skip
        """From the moments of frames, and those of controls and covariates with their columns."""
        found = [frames.normal()]
        for moments, columns in (controls, covariates):
            mean, scale = moments.normal()
            categorical = np.array([column.kind == "categorical" for column in columns], dtype=bool)
            mean[categorical], scale[categorical] = 0.0, 1.0
            found.append((mean, scale))
        (m, s), (cm, cs), (vm, vs) = ((tuple(mean.tolist()), tuple(scale.tolist())) for mean, scale in found)
        return cls(m, s, cm, cs, vm, vs, pitch)
