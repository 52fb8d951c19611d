"""Frames of a drive whose pictures are not there, so that what was logged can still be read."""

from __future__ import annotations

import numpy as np

from sciworld.controls import Column, ColumnTable

ABSENT = "no video is there: every frame is one pixel that is NaN, in the channel 'video absent'"


def absent_frames(count: int) -> tuple[np.ndarray, ColumnTable]:
    """Frames (time, 1, 1, 1) float32 of NaN, and the table that says so; a recording must have frames."""
    frames = np.full((count, 1, 1, 1), np.nan, dtype=np.float32)
    return frames, ColumnTable((Column("video absent", "unknown", role="measured"),))
