"""Numbers that vary in time alone, which act between frames: controls."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciworld.controls import ColumnTable


def control_parts(series: np.ndarray, columns: ColumnTable, time: np.ndarray) -> dict[str, Any]:
    """Arguments of `recording.make`: controls of series (time, control), and the whole series as logs.

    The last value of what acts between frames acts after the last one: it stands in the logs alone.
    """
    if not len(columns):
        return {}
    acting = series.copy()
    acting[-1, [column.acts == "between" for column in columns]] = np.nan
    n = len(columns)
    logs = (np.tile(time, n), np.repeat(np.arange(n), len(time)), series.T.ravel())
    return {"controls": acting, "control_table": columns, "logs": logs, "log_table": columns}
