"""The log of controllers as recordings: what they saw and did becomes what the next surrogate learns from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import ColumnTable, ControlSpace
from sciworld.simulator import Trajectory


def recordings_of(
    run: Trajectory,
    space: ControlSpace,
    channels: ColumnTable,
    sessions: list[str],
    source: str,
    view_units: str = "",
    licence: str = "",
    history: str = "controls chosen by a search",
    covariates: Mapping[str, float] | None = None,
    covariate_table: ColumnTable | None = None,
) -> list[xr.Dataset]:
    """One recording an episode, as long as it lasted: frames as they were seen, controls as they were played.

    run : of a rollout. channels : of its frames. sessions : a name for each episode, by which splits are made.
    source : what was steered. view_units : of the laboratory, "" where it is the pixel grid. covariates : facts of all
    episodes, with their table. Raises RecordingError.
    """
    found = []
    for i, session in enumerate(sessions):
        steps = int(run.length[i])
        seen = run.observations[: steps + 1]
        rows = np.full((steps + 1, len(space)), np.nan)
        rows[:-1] = run.controls[i, :steps]
        found.append(
            recording.make(
                np.stack([one.frames[i] for one in seen]),
                np.array([one.time[i] for one in seen]),
                channels=channels,
                controls=rows,
                control_table=space.table,
                view=np.stack([one.view[i] for one in seen]) if view_units else None,
                view_units=view_units,
                covariates=covariates,
                covariate_table=covariate_table,
                session=session,
                source=source,
                licence=licence,
                citation="",
                history=history,
            )
        )
    return found
