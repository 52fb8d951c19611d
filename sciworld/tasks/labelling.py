"""Controls for video that has none: actions are inferred from what changes, stored, and told in real controls."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from sciworld import recording
from sciworld.controls import Column, ColumnTable
from sciworld.errors import ControlError, ModelError, SettingsError
from sciworld.files import staged
from sciworld.models.latent import LatentActions
from sciworld.parts import kind
from sciworld.store import Store

AT_ONCE = 2**18  # pixels of frames of which actions are inferred together
HELD = 2**28  # bytes of frames in memory before they are written
NAME = "action"


def label(
    store: Store,
    actions: LatentActions,
    out: str | Path,
    name: str = NAME,
    progress: Callable[[int, int], None] | None = None,
) -> Store:
    """A new store of the same recordings, with the inferred actions as another control, see `labelled`.

    progress : called with the recordings that are done, and all. Raises SettingsError where `out` exists, ControlError
    if the recordings have a control of that name, ModelError if their frames are not those of `actions`.
    """
    out = Path(out)
    if os.path.lexists(out):
        raise SettingsError(f"{out}: exists already; name a new store, the old one is left as it is")
    if not out.parent.is_dir():
        raise SettingsError(f"{out}: there is no folder {out.parent}; make it, or name another place")
    if out.resolve().is_relative_to(Path(store.path).resolve()):
        raise SettingsError(f"{out}: lies inside the store that is labelled; name a place outside")
    try:
        with staged(out) as stage:
            made, held = Store.create(stage), list[xr.Dataset]()
            for number in range(len(store)):
                one = labelled(store[number], actions, name)
                # A store brings recordings of one kind together: those of several would change their order.
                if held and (kind(one) != kind(held[0]) or sum(other["frames"].nbytes for other in held) > HELD):
                    made.append(held)
                    held = []
                held.append(one)
                if progress is not None:
                    progress(number + 1, len(store))
            if held:
                made.append(held)
    except FileExistsError as error:
        raise SettingsError(f"{out}: another process made it meanwhile; name a new store") from error
    return Store.open(out)


def labelled(ds: xr.Dataset, actions: LatentActions, name: str = NAME) -> xr.Dataset:
    """A copy of a recording with the inferred actions as a control of kind categorical and role "inferred".

    Row t is of what happens between the frames t and t + 1; the last is NaN, as of every control.
    Raises ControlError if there is a control of that name, ModelError if the frames are not those of `actions`.
    """
    table = recording.control_table(ds)
    if name in table.names:
        raise ControlError(f"{ds.attrs['source']}: has a control '{name}' already; choose another name")
    theirs, known = recording.channel_table(ds), actions.signature.channels
    if theirs.unbounded() != known.unbounded():
        raise ModelError(
            f"{ds.attrs['source']}: channels are {theirs.in_line()}; the actions were learned of {known.in_line()}"
        )
    levels = tuple(f"{name}{code}" for code in range(actions.settings.codes))
    column = Column(name, "1", kind="categorical", levels=levels, role="inferred")
    found = np.full((ds.sizes["time"], 1), np.nan)
    frames = ds["frames"].values
    found[:-1, 0] = codes_of(frames, actions)
    # An action depends on the frame that it led to and on those before it: where one is NaN it is unknown.
    odd = ~np.isfinite(frames).all(axis=tuple(range(1, frames.ndim)))
    for number in np.flatnonzero(odd):
        found[max(number - 1, 0) : number + actions.context, 0] = np.nan
    own = [ds["controls"].values] if len(table) else []
    variables = {
        "controls": (
            ("time", "control"), np.concatenate([*own, found], axis=1),
            {"columns": ColumnTable((*table, column)).to_json()},
        )
    }  # fmt: skip
    history = f"{ds.attrs['history']}; control {name} inferred from frames by a model of {len(levels)} actions"
    return recording.check(ds.drop_vars("controls", errors="ignore").assign(variables).assign_attrs(history=history))


def codes_of(frames: np.ndarray, actions: LatentActions) -> np.ndarray:
    """The actions (time - 1,) int64 between frames (time, y, x, channel) in their units: `LatentActions.actions`."""
    count, device = max(len(frames) - 1, 0), actions.mean.device
    found = np.zeros(count, dtype=np.int64)
    with torch.no_grad():
        at_once = max(1, AT_ONCE // frames[0, ..., 0].size) if count else 1
        for begin in range(0, count, at_once):
            first = max(0, begin - actions.context + 1)  # that the first of these depends on
            seen = np.asarray(frames[None, first : begin + at_once + 1], dtype=np.float32)
            read = actions.actions(torch.from_numpy(seen).to(device))[0, begin - first :]
            found[begin : begin + at_once] = read.cpu().numpy()
    return found


@dataclass(frozen=True, eq=False)
class Meaning:
    """What actions mean in real controls, from frames of which both are known.

    Parameters
    ----------
    table : of the controls. means : (action, control) in their units, NaN for an action that was not seen; of a
    categorical or whole control the commonest value, of an angle the mean direction. counts : (action,), how often
    each was seen.
    """

    table: ColumnTable
    means: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, actions: np.ndarray, controls: np.ndarray, table: ColumnTable, count: int) -> Meaning:
        """From actions (n,) of `count`, and the controls (n, control) that came with them.

        Raises ControlError for shapes that do not fit, unknown controls, or nothing.
        """
        actions, controls = np.asarray(actions), np.asarray(controls, dtype=np.float64)
        if controls.shape != (len(actions), len(table)) or not len(actions) or not np.isfinite(controls).all():
            raise ControlError(
                f"meaning: {len(actions)} actions and controls {controls.shape} of {len(table)} columns; give one "
                "known row of controls for each action"
            )
        actions = _numbers(actions, count)
        means = np.full((count, len(table)), np.nan)
        for code in np.unique(actions):
            rows = controls[actions == code]
            for k, column in enumerate(table):
                if column.is_whole:
                    values, often = np.unique(rows[:, k], return_counts=True)
                    means[code, k] = values[often.argmax()]
                elif column.kind == "angle":
                    means[code, k] = np.arctan2(np.sin(rows[:, k]).mean(), np.cos(rows[:, k]).mean())
                else:
                    means[code, k] = rows[:, k].mean()
        return cls(table, means, np.bincount(actions, minlength=count))

    def controls(self, actions: np.ndarray) -> np.ndarray:
        """Controls (..., control) that actions (...) stand for, in their units; NaN for one that was never seen."""
        given = np.asarray(actions, dtype=np.float64)
        known = ~np.isnan(given)
        found = np.full((*given.shape, len(self.table)), np.nan)
        found[known] = self.means[_numbers(given[known], len(self.means))]
        return found


def _numbers(actions: np.ndarray, count: int) -> np.ndarray:
    """Actions as int64. Raises ControlError unless each is a whole number below `count`."""
    given = np.asarray(actions, dtype=np.float64)
    odd = given[~((given >= 0) & (given < count) & (given == np.floor(given)))]
    if odd.size:
        raise ControlError(f"meaning: an action is {odd.flat[0]:g}; there are the actions 0 to {count - 1}")
    return given.astype(np.int64)
