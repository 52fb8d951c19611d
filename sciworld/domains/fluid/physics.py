"""What velocities of a flow in two dimensions say, whoever made them, and what must hold of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.base import widened
from sciworld.domains.fluid import checks
from sciworld.domains.fluid.reader import NAMES, fit_reader
from sciworld.domains.reader import Reader, measured
from sciworld.errors import RecordingError
from sciworld.measures import fields
from sciworld.streamed import one_kind, sampled

VELOCITIES = (("velocity_x", "velocity_y"), ("u", "v"), ("Vx", "Vy"))  # as files call them
DENSITIES = ("density", "rho")
FRAMES = 2000  # of the recordings, at most, that a fit looks at
REST = 0.01  # of the root mean square speed: cells that never exceed it belong to a body
TWICE = 2.0  # times the largest that recordings showed may be
NOISE = 0.7  # relative divergence; 0.71 is that of noise without any structure
ALL = 1.0  # relative outflow, from which on as much is lost as enters
TOLD = 0.5  # of the spread of a force, above which an error of the reader tells nothing
CELLS = 1 << 17  # of a field that are looked at together, so that what is made of them stays in the cache


@dataclass(frozen=True, eq=False)
class FluidPhysics:
    """What is read of a flow; see `fit` for the quantities.

    Parameters
    ----------
    quantities : what is read. velocity : channels of the velocity along x and y. density : its channel, or None.
    speed : root mean square of what was recorded, in its units. body : (y, x) bool, cells at rest, or None.
    reader : of drag and lift, or None. masked : (y, x) bool, cells without a velocity, or None. rates : none.
    """

    quantities: ColumnTable
    velocity: tuple[int, int]
    density: int | None
    speed: float
    body: np.ndarray | None
    reader: Reader | None = None
    masked: np.ndarray | None = None
    rates: tuple[tuple[str, str], ...] = field(default=(), init=False)

    @property
    def solid(self) -> np.ndarray | None:
        """Cells of a body : (y, x) bool, at rest or masked, or None."""
        if self.body is None or self.masked is None:
            return self.masked if self.body is None else self.body
        return np.asarray(self.body | self.masked)

    def __call__(self, frames: np.ndarray, view: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """The quantities after each step : (n, step, quantity) float64, NaN where one cannot be read.

        frames : (n, step + 1, y, x, channel). view : (n, 6). controls : (n, step, control), which tell nothing here.
        Raises RecordingError for frames on another grid than that of a body, and for views that are skewed.
        """
        frames = np.asarray(frames)
        n, moments, *grid, channels = frames.shape
        shape, steps = (n, moments - 1), np.repeat(np.asarray(view), moments - 1, axis=0)
        found = {
            name: values.reshape(shape)
            for name, values in self.read(frames[:, 1:].reshape(-1, *grid, channels), steps).items()
        }
        if self.density is not None:
            found["density_drift"] = fields.mass_drift(_known(frames[..., self.density], self.masked))[:, 1:]
        return np.stack([found[name] for name in self.quantities.names], axis=-1)

    def read(self, frames: np.ndarray, view: np.ndarray) -> dict[str, np.ndarray]:
        """What each frame says by itself : (n,) each. frames : (n, y, x, channel). view : (n, 6)."""
        n, y, x, _ = frames.shape
        if self.solid is not None and self.solid.shape != (y, x):
            shape = self.solid.shape
            raise RecordingError(f"fluid physics: frames of {y} x {x}; it was fitted on {shape}: fit it anew")
        rows = max(1, CELLS // (y * x))
        parts = [self._block(frames[k : k + rows], view[k : k + rows]) for k in range(0, max(n, 1), rows)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _block(self, frames: np.ndarray, view: np.ndarray) -> dict[str, np.ndarray]:
        velocity = _known(np.moveaxis(frames[..., list(self.velocity)], -1, 0), self.masked)
        (along, across), cells = _on_grid(velocity, view)
        found = {name: np.empty(len(frames)) for name in ("divergence", "outflow", "enstrophy")}
        for cell in np.unique(cells, axis=0):
            mine = (cells == cell).all(axis=1)
            u, v, spacing = along[mine], across[mine], (float(cell[0]), float(cell[1]))
            found["divergence"][mine] = checks.divergence(u, v, spacing, self.solid)
            found["outflow"][mine] = checks.outflow(u, v, spacing)
            found["enstrophy"][mine] = fields.enstrophy(u, v, spacing)
        if self.body is not None:
            found["slip"] = checks.slip(velocity[0], velocity[1], self.body, self.speed)
        if self.reader is not None:
            forces = self.reader(np.moveaxis(velocity, 0, -1))
            found |= {"drag": forces[:, 0], "lift": forces[:, 1]}
        return found


def fit(recordings: Iterable[xr.Dataset]) -> FluidPhysics:
    """What can be read of such recordings, of which at most FRAMES frames are looked at, evenly, in a few passes.

    | quantity | units | what | must hold |
    |---|---|---|---|
    | divergence | 1 | du/dx + dv/dy over the gradient, root mean squares | twice the largest recorded |
    | outflow | 1 | what leaves less what enters the view, over their mean | twice the largest recorded |
    | enstrophy | 1/s^2 | half the mean squared vorticity, lost first by what blurs | recorded range, a tenth wider |
    | slip | 1 | mean speed in a body at rest, over the root mean square of all | at most 0.02: a body lets nothing in |
    | density_drift | 1 | of the mean density since the present | twice the largest within a recording |
    | drag, lift | 1 | as `fluid.reader` reads them | recorded range, a tenth and two errors of the reader wider |

    The first two are 0 in any flow of a liquid, but for what the grid is too coarse for and the instrument's noise,
    which the recordings show. A body is where cells, two by two at least, never were faster than a hundredth of the
    root mean square speed; or where cells, be it one, have a velocity in no frame, as in masked bodies: these count as
    0, whatever is imagined there, and have no slip. A bound is left out where it would bound nothing: a divergence that
    noise has, an outflow of all that enters. Drag and lift are read where they were measured as states, and the
    reader's error is below half their spread. Units of enstrophy follow those of velocities and view. A frame in which
    a velocity elsewhere is not finite has NaN.

    Raises RecordingError where there are no recordings or they are not alike (`one_kind`); where they have no
    velocities in a plane of 2 x 2 cells or more, no finite frame, or a skewed view.
    """
    first = one_kind(recordings)
    if min(first["frames"].shape[1:3]) < 2:
        raise RecordingError(
            f"{first.attrs['source']}: frames are {first['frames'].shape} (time, y, x, channel); give those of 2 x 2 "
            "cells or more"
        )
    names = recording.channel_table(first).names
    velocity, density = _velocity(first), next((names.index(one) for one in DENSITIES if one in names), None)
    masked = _masked(recordings, velocity)
    speed, body = _at_rest(recordings, velocity, masked)
    bare = FluidPhysics(ColumnTable(()), velocity, density, speed, body, _reader(recordings, velocity, masked), masked)
    read: dict[str, list[np.ndarray]] = {}
    drift: dict[int, list[np.ndarray]] = {}
    for number, ds, rows, frames in sampled(recordings, FRAMES):
        for name, values in bare.read(frames, ds["view"].values[rows]).items():
            read.setdefault(name, []).append(values[np.isfinite(values)])
        if density is not None:
            drift.setdefault(number, []).append(_known(frames[..., density], masked).mean(axis=(1, 2)))
    shown = {name: np.concatenate(values) for name, values in read.items()}
    if not len(shown["divergence"]):
        raise RecordingError(
            f"{first.attrs['source']}: every frame looked at has a velocity that is NaN; fill in the invalid vectors"
        )
    columns = [_symmetric("divergence", shown["divergence"], NOISE), _symmetric("outflow", shown["outflow"], ALL)]
    columns.append(_ranged("enstrophy", _enstrophy_units(first, velocity), shown["enstrophy"]))
    if body is not None:
        columns.append(Column("slip", "1", low=0.0, high=TWICE * REST, role="measured"))
    if density is not None:
        changes = [_change(np.concatenate(means)) for means in drift.values()]
        columns.append(_symmetric("density_drift", np.array(changes), ALL))
    if bare.reader is not None:
        columns += _forces(recordings, bare.reader)
    return replace(bare, quantities=ColumnTable(tuple(columns)))


def _known(values: np.ndarray, masked: np.ndarray | None) -> np.ndarray:
    """Fields (..., y, x) as float64, 0 in masked cells, NaN all over where one value is not finite elsewhere.

    So no arithmetic warns.
    """
    values = values if masked is None else np.where(masked, 0, values)
    finite = np.isfinite(values).all(axis=(-2, -1), keepdims=True)
    return np.where(finite, values, np.nan).astype(np.float64)


def _on_grid(velocity: np.ndarray, view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Velocities along the columns and rows of frames : (2, n, y, x), and the cells along rows and columns : (n, 2).

    velocity : (2, n, y, x), along x and y of the laboratory, in which a view may be turned or upside down.
    """
    column, row = view[:, [0, 3]], view[:, [1, 4]]
    cells = np.stack([np.hypot(*row.T), np.hypot(*column.T)], axis=1)
    skew = np.abs((column * row).sum(axis=1))
    wrong = np.flatnonzero(~(np.isfinite(cells).all(axis=1) & (cells > 0).all(axis=1) & (skew <= 1e-6 * cells.prod(1))))
    if len(wrong):
        raise RecordingError(
            f"fluid physics: the view {view[wrong[0]]} is skewed or flat; put the flow on a right grid"
        )
    if not (column[:, 1].any() or row[:, 0].any()) and (column[:, 0] > 0).all() and (row[:, 1] > 0).all():
        return velocity, cells
    turns = np.stack([column / cells[:, [1]], row / cells[:, [0]]])
    return np.einsum("anc,cnyx->anyx", turns, velocity), cells


def _symmetric(name: str, shown: np.ndarray, most: float) -> Column:
    """The column of what is 0 by physics, and at most twice as far off as was recorded; no bounds from `most` on."""
    shown = np.abs(shown[np.isfinite(shown)])
    high = TWICE * float(shown.max()) if len(shown) else most
    if high >= most:
        return Column(name, "1", role="measured")
    return Column(name, "1", low=0.0 if name == "divergence" else -high, high=high, role="measured")


def _ranged(name: str, units: str, shown: np.ndarray, slack: float = 0.0) -> Column:
    """The column of what keeps to the recorded range, a tenth and `slack` wider; a single value is no range."""
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    if not low < high:
        return Column(name, units, role="measured")
    low, high = widened(low, high, slack)
    return Column(name, units, low=low, high=high, role="measured")


def _enstrophy_units(ds: xr.Dataset, velocity: tuple[int, int]) -> str:
    speed = recording.channel_table(ds).columns[velocity[0]].units
    length = str(ds["view"].attrs.get("units", "1"))
    return "1/s^2" if speed == f"{length}/s" else f"({speed})^2/{length}^2"


def _change(means: np.ndarray) -> float:
    """The largest change between two of the means (n,), relative to one of them; NaN if there are not two."""
    means = np.abs(means[np.isfinite(means)])
    return float(np.ptp(means) / means.min()) if len(means) > 1 and means.min() > 0 else np.nan


def _masked(recordings: Iterable[xr.Dataset], velocity: tuple[int, int]) -> np.ndarray | None:
    """The cells that have a velocity in no frame : (y, x) bool, or None for none, and where all have none."""
    masked: np.ndarray | None = None
    for _, _, _, frames in sampled(recordings, FRAMES):
        never = ~np.isfinite(frames[..., list(velocity)]).all(axis=-1).any(axis=0)
        masked = never if masked is None else masked & never
        if not masked.any():  # most have no mask: these are not gone through
            return None
    return None if masked is None or masked.all() else masked


def _at_rest(
    recordings: Iterable[xr.Dataset], velocity: tuple[int, int], masked: np.ndarray | None
) -> tuple[float, np.ndarray | None]:
    """The root mean square speed, and the cells of a body at rest that has velocities : (y, x) bool, or None."""
    top, squares, count = None, 0.0, 0
    for _, _, _, frames in sampled(recordings, FRAMES):
        u, v = _known(np.moveaxis(frames[..., list(velocity)], -1, 0), masked)
        square = u**2 + v**2
        seen = square[np.isfinite(square[:, 0, 0])]
        squares, count = squares + float(seen.sum()), count + seen.size
        fastest = seen.max(axis=0, initial=0.0)
        top = fastest if top is None else np.maximum(top, fastest)
    speed = float(np.sqrt(squares / max(count, 1)))
    if top is None or not speed > 0:
        return speed, None
    still = np.sqrt(top) <= REST * speed
    if masked is not None:
        still &= ~masked
    pairs = still[1:] & still[:-1]
    blocks = pairs[:, 1:] & pairs[:, :-1]
    body = np.zeros_like(still)
    for rows in (slice(1, None), slice(-1)):
        for columns in (slice(1, None), slice(-1)):
            body[rows, columns] |= blocks
    return speed, body if body.any() else None


@dataclass(frozen=True)
class _Velocities:
    """The recordings, of their frames only the velocities and those that a fit looks at."""

    recordings: Iterable[xr.Dataset]
    velocity: tuple[int, int]
    masked: np.ndarray | None

    def __iter__(self) -> Iterator[xr.Dataset]:
        step = max(1, -(-sum(ds.sizes["time"] for ds in self.recordings) // FRAMES))
        seen = 0
        for ds in self.recordings:
            rows = slice(-seen % step, None, step)
            seen += ds.sizes["time"]
            columns = recording.channel_table(ds).columns
            chosen = ds.isel(time=rows, channel=list(self.velocity))
            if chosen.sizes["time"]:
                chosen["frames"].attrs["columns"] = ColumnTable(tuple(columns[k] for k in self.velocity)).to_json()
                if self.masked is not None:
                    chosen["frames"] = chosen["frames"].where(~self.masked[:, :, None], 0)
                yield chosen


def _reader(recordings: Iterable[xr.Dataset], velocity: tuple[int, int], masked: np.ndarray | None) -> Reader | None:
    """Of drag and lift, where they were measured and it can tell both."""
    try:
        reader = fit_reader(_Velocities(recordings, velocity, masked))
    except RecordingError:  # they were not measured, or in too few recordings to tell how well they are read
        return None
    spread = np.nanstd(np.concatenate([measured(ds, NAMES) for ds in recordings]), axis=0)
    return reader if (reader.error < TOLD * spread).all() else None


def _forces(recordings: Iterable[xr.Dataset], reader: Reader) -> list[Column]:
    """The columns of drag and lift."""
    values = np.concatenate([measured(ds, NAMES) for ds in recordings])
    return [_ranged(name, "1", values[:, k], TWICE * float(reader.error[k])) for k, name in enumerate(NAMES)]


def _velocity(ds: xr.Dataset) -> tuple[int, int]:
    """The channels of the velocity along x and y."""
    names = recording.channel_table(ds).names
    for x, y in VELOCITIES:
        if x in names and y in names:
            return names.index(x), names.index(y)
    raise RecordingError(
        f"{ds.attrs['source']}: no velocities among the channels {', '.join(names)}; call them velocity_x, velocity_y"
    )
