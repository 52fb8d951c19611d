"""What was measured of a recording, kept as covariates of the role "quality"."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import ControlError, RecordingError
from sciworld.measures.quality import VARIANCE

QUALITY = "quality"
UNITS = {"quality_lag": "frame"}  # of what is neither a share nor a variance


def with_quality(ds: xr.Dataset, measured: Mapping[str, float]) -> xr.Dataset:
    """The recording with `measured` among its covariates, in place of what was measured of it before.

    measured : by name; "quality_variance_<control>" is in the square of the control's units, the rest are shares.
    Raises RecordingError if a covariate that the recording brought has one of these names.
    """
    where = ds.attrs.get("source") or "recording"
    table = recording.covariate_table(ds)
    values = ds["covariates"].values if len(table) else np.empty(0)
    kept = [(column, value) for column, value in zip(table, values, strict=True) if column.role != QUALITY]
    controls = recording.control_table(ds)
    kept += [(_column(name, controls), value) for name, value in measured.items()]
    rest = ds.drop_vars("covariates", errors="ignore")
    if not kept:
        return recording.check(rest, where)
    try:
        columns = ColumnTable(tuple(column for column, _ in kept))
    except ControlError as error:
        raise RecordingError(f"{where}: a covariate has the name of what is measured ({error})") from error
    numbers = np.array([value for _, value in kept], dtype=np.float64)
    variable = xr.Variable(("covariate",), numbers, {"columns": columns.to_json()})
    return recording.check(rest.assign(covariates=variable), where)


def _column(name: str, controls: ColumnTable) -> Column:
    if name in UNITS:
        return Column(name, UNITS[name], role=QUALITY)
    control = name.removeprefix(VARIANCE)
    if name.startswith(VARIANCE) and control in controls.names and controls[control].kind != "categorical":
        units = controls[control].units
        return Column(name, units if units == "1" else f"({units})^2", low=0.0, role=QUALITY)
    return Column(name, "1", low=0.0, high=1.0, role=QUALITY)
