"""What frames of one silicon in graphene say, whoever made them, and what must hold of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.domains.base import widened
from sciworld.domains.stem.checks import INTACT
from sciworld.domains.stem.constants import BOND
from sciworld.domains.stem.locate import locate
from sciworld.errors import RecordingError
from sciworld.streamed import one_kind, sampled
from sciworld.units import LENGTHS, convert

FRAMES = 2000  # of the recordings, at most, that a fit looks at
PLACE = ("silicon_x", "silicon_y")  # of the silicon, as states call it
MOSTLY = 0.5  # of the recorded frames must show what is asked of others

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Beam:
    """Where among the controls the position of the beam stands.

    Parameters
    ----------
    columns : of x and y. in_pixels : whether they are column and row; else they are in the laboratory frame, in the
        units of the view, as every recording has it.
    """

    columns: tuple[int, int]
    in_pixels: bool

    def places(self, controls: np.ndarray, view: np.ndarray) -> np.ndarray:
        """The beam in the laboratory frame : (n, step, 2), for controls (n, step, control) and view (n, 6)."""
        x, y = np.moveaxis(controls[..., list(self.columns)].astype(np.float64), -1, 0)
        if not self.in_pixels:
            return np.stack([x, y], axis=-1)
        a, b, c, d, e, f = view.T[:, :, None]
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1)


@dataclass(frozen=True)
class StemPhysics:
    """What is read of silicon in graphene; see `fit` for the quantities.

    Parameters
    ----------
    quantities : what is read. channel : of the frames, in which atoms are looked for.
    scale : A in a unit of the view; None if no atoms are looked for. beam : None if it was not controlled. place : A in
    a unit of silicon_x and silicon_y.
    """

    quantities: ColumnTable
    channel: int
    scale: float | None
    beam: Beam | None
    place: float = 1.0

    @property
    def rates(self) -> tuple[tuple[str, str], ...]:
        """Hops depend on how far the beam is from the silicon, and from the carbon that may change places with it."""
        return () if self.beam is None else (("beam", "hopped"), ("carbon", "hopped"))

    def __call__(self, frames: np.ndarray, view: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """The quantities after each step : (n, step, quantity) float64, NaN where one cannot be read.

        frames : (n, step + 1, y, x, channel). view : (n, 6), in the units of the recordings. controls :
        (n, step, control).
        """
        pixels = np.asarray(frames)[..., self.channel]
        found = {"counts": _mean(pixels[:, 1:])}
        if self.scale is not None:
            view = np.asarray(view, dtype=np.float64)
            beam = None if self.beam is None else self.scale * self.beam.places(np.asarray(controls), view)
            found |= _atoms(pixels, self.scale * view, beam)
            found |= {name: found[name] / self.place for name in PLACE}
        return np.stack([found[name] for name in self.quantities.names], axis=-1)


def fit(recordings: Iterable[xr.Dataset]) -> StemPhysics:
    """What can be read of such recordings, of which at most FRAMES frames are looked at, evenly, in two passes.

    | quantity | units | what | must hold |
    |---|---|---|---|
    | silicon | 1 | atoms that stand out as silicon | 1: it can neither vanish nor double |
    | intact | 1 | share of carbon sites within 10 A that are as bright as carbon | at least 0.8: the lattice stays |
    | moved | A | of the silicon since the frame before | |
    | hopped | event | whether it moved more than half a bond | |
    | silicon_x, silicon_y | of the states, else of the view | of the silicon, in the laboratory | |
    | counts | of the channel | mean of a frame, the dose that the detector tells | recorded range, a tenth wider |
    | beam | A | of the beam from the silicon of the frame before | |
    | carbon | A | of the beam from that silicon's nearest carbon neighbour, by which hops vary most | |

    Atoms are read where the units of the view are a length and most recorded frames show one silicon, the lattice where
    most show it intact, the beam where it is the one position among the controls, or the position "beam". Frames of
    several channels are read in the one whose name holds "haadf". silicon_x, silicon_y, moved, hopped, beam and carbon
    are NaN where a frame that they need does not show exactly one silicon. Where nothing but counts can be read, a
    warning in the log says why.

    Raises RecordingError where there are no recordings or they are not alike (`one_kind`); where no channel is the one
    to look at, and where no frame is finite.
    """
    first = one_kind(recordings)
    channel = _channel(first)
    units = str(first["view"].attrs.get("units", ""))
    scale = convert(1.0, units, "A") if units in LENGTHS else None
    beam = None if scale is None else _beam(recording.control_table(first))
    means, silicon, intact = [], [], []
    for _, ds, rows, frames in sampled(recordings, FRAMES):
        pixels, view = frames[..., channel], ds["view"].values[rows]
        known = np.isfinite(pixels).all(axis=(1, 2))
        means.append(_mean(pixels[known]))
        if scale is not None:
            seen = locate(pixels[known], scale * view[known])
            silicon.append(seen.n_silicon == 1)
            intact.append(seen.intact >= INTACT)
    mean = np.concatenate(means)
    if not len(mean):
        raise RecordingError(f"{first.attrs['source']}: no frame without NaN; give recordings in which something shows")
    columns = [_counts(recording.channel_table(first).columns[channel].units, mean)]
    why = _unread(units, scale, silicon)
    if scale is None or why:
        LOG.warning("stem physics: nothing is read of the frames but their mean counts, as %s", why)
        return StemPhysics(ColumnTable(tuple(columns)), channel, None, None)
    if np.concatenate(intact).mean() >= MOSTLY:
        columns.insert(0, Column("intact", "1", low=INTACT, role="measured"))
    columns.insert(0, Column("silicon", "1", low=1.0, high=1.0, role="measured"))
    told = _place_units(first, units)
    columns += [Column(name, told, group="silicon", axis=name[-1], frame="lab", role="measured") for name in PLACE]
    columns += [Column("moved", "A", role="measured"), Column("hopped", "1", kind="event", role="measured")]
    if beam is not None:
        columns += [Column(name, "A", role="measured") for name in ("beam", "carbon")]
    return StemPhysics(ColumnTable(tuple(columns)), channel, scale, beam, convert(1.0, told, "A"))


def _unread(units: str, scale: float | None, silicon: list[np.ndarray]) -> str:
    """Why atoms cannot be read; nothing if they can. silicon : (n,) bool each, the frames that show just one."""
    if scale is None:
        return f"the view is in '{units}', no unit of length: set the pixel size of the recordings"
    share = np.concatenate(silicon).mean()
    if share < MOSTLY:
        return f"{share:.0%} of the recorded frames show one silicon in graphene, {MOSTLY:.0%} are needed"
    return ""


def _place_units(ds: xr.Dataset, view: str) -> str:
    """Units of the place of the silicon: of the states that tell it, so that both compare, else those of the view."""
    table = recording.table(ds, "states")
    told = {table[name].units for name in PLACE if name in table.names}
    return told.pop() if len(told) == 1 and told <= LENGTHS.keys() else view


def _atoms(pixels: np.ndarray, view: np.ndarray, beam: np.ndarray | None) -> dict[str, np.ndarray]:
    """What the atoms say : each (n, step). pixels : (n, step + 1, y, x). view : (n, 6) A. beam : (n, step, 2) A."""
    n, moments, y, x = pixels.shape
    seen = locate(pixels.reshape(n * moments, y, x), np.repeat(view, moments, axis=0))
    known = np.isfinite(pixels).all(axis=(2, 3))
    silicon = np.where(known, seen.n_silicon.reshape(n, moments), np.nan)
    intact = np.where(known, seen.intact.reshape(n, moments), np.nan)
    # Of two atoms alike nobody knows which was the silicon of the frame before.
    place = np.where((silicon == 1)[..., None], seen.silicon.reshape(n, moments, 2), np.nan)
    moved = np.linalg.norm(np.diff(place, axis=1), axis=-1)
    hopped = np.where(np.isnan(moved), np.nan, moved > 0.5 * BOND)
    found = {"silicon": silicon[:, 1:], "intact": intact[:, 1:], "moved": moved, "hopped": hopped}
    found |= {name: place[:, 1:, k] for k, name in enumerate(PLACE)}
    if beam is not None:
        offset = beam - place[:, :-1]
        bonds = (seen.neighbours - seen.silicon[:, None]).reshape(n, moments, 3, 2)[:, :-1]
        found["beam"] = np.linalg.norm(offset, axis=-1)
        found["carbon"] = np.linalg.norm(offset[:, :, None] - bonds, axis=-1).min(axis=-1)
    return found


def _mean(pixels: np.ndarray) -> np.ndarray:
    """Means of frames : (...), of (..., y, x)."""
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, as it should be
        return np.asarray(pixels.mean(axis=(-2, -1), dtype=np.float64))


def _counts(units: str, mean: np.ndarray) -> Column:
    """The column of means of frames; a single value is no range."""
    low, high = float(mean.min()), float(mean.max())
    if not low < high:
        return Column("counts", units, role="measured")
    low, high = widened(low, high)
    return Column("counts", units, low=low, high=high, role="measured")


def _beam(controls: ColumnTable) -> Beam | None:
    """The position of the beam : "beam", or the only one there is."""
    positions = controls.positions()
    name = "beam" if "beam" in positions else next(iter(positions)) if len(positions) == 1 else ""
    if not name:
        return None
    columns = positions[name]
    return Beam(columns, in_pixels=controls.columns[columns[0]].frame == "pixel")


def _channel(ds: xr.Dataset) -> int:
    """The channel in which atoms are looked for."""
    names = recording.channel_table(ds).names
    found = [place for place, name in enumerate(names) if len(names) == 1 or "haadf" in name.lower()]
    if len(found) != 1:
        raise RecordingError(
            f"{ds.attrs['source']}: {len(found)} of the channels {', '.join(names)} are called haadf; name one so, "
            "in which atoms are looked for"
        )
    return found[0]
