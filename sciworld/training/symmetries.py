"""Symmetries of the laboratory: the same events, seen on a mirrored or transposed pixel grid.

Each moves the frames on the pixel grid and composes `view` with the same move, so that every pixel keeps its place in
the laboratory: controls and positions in the laboratory's frame stay as they are, positions in pixels move along.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from sciworld.controls import ColumnTable
from sciworld.errors import TrainingError
from sciworld.windows import Batch


def flip_x(batch: Batch, controls: ColumnTable) -> Batch:
    """Mirror the columns: column i becomes column x - 1 - i."""
    return _flip(batch, controls, axis=-2, component=0)


def flip_y(batch: Batch, controls: ColumnTable) -> Batch:
    """Mirror the rows: row i becomes row y - 1 - i."""
    return _flip(batch, controls, axis=-3, component=1)


def transpose(batch: Batch, controls: ColumnTable) -> Batch:
    """Exchange rows and columns of square frames. Raises TrainingError for others."""
    *_, y, x, _ = batch.frames.shape
    _require_square(y, x)
    moved = batch.controls.copy()
    for across, down in _in_pixels(controls):
        moved[..., [across, down]] = moved[..., [down, across]]
    return dataclasses.replace(
        batch, frames=batch.frames.swapaxes(-3, -2), controls=moved, view=batch.view[..., [1, 0, 2, 4, 3, 5]]
    )


SYMMETRIES: dict[str, Callable[[Batch, ColumnTable], Batch]] = {
    "flip_x": flip_x,
    "flip_y": flip_y,
    "transpose": transpose,
}


def require_fit(names: Sequence[str], shape: Sequence[int]) -> None:
    """Raise TrainingError unless each of `names` is a symmetry of frames of `shape` (y, x, channel)."""
    unknown = [name for name in names if name not in SYMMETRIES]
    if unknown:
        raise TrainingError(f"no symmetry '{unknown[0]}'; there are {', '.join(SYMMETRIES)}")
    if "transpose" in names:
        _require_square(*shape[:2])


def fitting(names: Sequence[str], shape: Sequence[int]) -> tuple[str, ...]:
    """Those of `names` that frames of `shape` (y, x, channel) have: without 'transpose' where y is not x."""
    return tuple(name for name in names if name != "transpose" or shape[0] == shape[1])


def draw(batch: Batch, names: Sequence[str], controls: ColumnTable, rng: np.random.Generator) -> Batch:
    """The NumPy batch after each symmetry in `names` with probability 1/2, one draw for the whole batch."""
    for name in names:
        if rng.random() < 0.5:
            batch = SYMMETRIES[name](batch, controls)
    return dataclasses.replace(batch, frames=np.ascontiguousarray(batch.frames))


def _require_square(y: int, x: int) -> None:
    if y != x:
        raise TrainingError(f"symmetry 'transpose' needs square frames, these are {y} x {x}; leave it out")


def _flip(batch: Batch, controls: ColumnTable, axis: int, component: int) -> Batch:
    """Mirror `axis` of the frames; `component` 0 stands for x, 1 for y."""
    last = batch.frames.shape[axis] - 1
    view, moved = batch.view.copy(), batch.controls.copy()
    for place, offset in ((component, 2), (component + 3, 5)):
        view[..., offset] += last * view[..., place]
        view[..., place] *= -1
    for position in _in_pixels(controls):
        moved[..., position[component]] = last - moved[..., position[component]]
    return dataclasses.replace(batch, frames=np.flip(batch.frames, axis), controls=moved, view=view)


def _in_pixels(controls: ColumnTable) -> list[tuple[int, int]]:
    """Where the x and y of each position in pixels stand among the controls."""
    found = controls.positions().values()
    return [(x, y) for x, y in found if controls.columns[x].frame == "pixel"]
