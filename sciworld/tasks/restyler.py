"""Variants of a drive by a world model that learned other light and weather; a method of `randomize`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciworld import recording
from sciworld.config import path_of, require
from sciworld.domains.driving import exact
from sciworld.domains.driving.randomize import levels
from sciworld.domains.driving.road.conditions import RANGES, RoadConditions, preset
from sciworld.errors import ModelError, RecordingError
from sciworld.models import checkpoint
from sciworld.models.base import WorldModel
from sciworld.models.restyling import Restyling, is_restyler, restyled
from sciworld.recording import Recording
from sciworld.training.trainer import as_device

TOGETHER = 64  # frames that a model is given at once


@dataclass(frozen=True)
class Restyler:
    """Draws variants with a trained model; give it to `randomize` as its settings.

    The model knows conditions as covariates: one of the preset "restyle" that was trained on variants beside their
    sources, or any world model of drives in many weathers, see `sciworld.models.restyling`.

    Parameters
    ----------
    run : the folder of the run, or a checkpoint. restyling : how. device : that it runs on.
    """

    run: str | Path
    restyling: Restyling = field(default_factory=Restyling)
    device: str = "cpu"

    def source(self, ds: Recording, depth: np.ndarray | None) -> _Restyled:
        """See `Method.source`. Raises CheckpointError, and ModelError for frames that the model does not know."""
        require(depth is None, "depth: a learned restyler has no use for it; leave it out")
        path = path_of(self.run, "run")
        file = path / checkpoint.FILE if path.is_dir() else path
        model = _loaded(str(path), str(as_device(self.device)), file.stat().st_mtime_ns if file.exists() else 0)
        if not set(model.signature.covariates.names) & set(RANGES):
            raise ModelError(f"{self.run}: knows no conditions; train on variants of drives, see docs/randomize.md")
        model.signature.require(ds["frames"].shape[1:], len(model.signature.controls), str(ds.attrs["session"]))
        theirs, own = model.signature.channels, recording.channel_table(ds)
        if theirs.unbounded() != own.unbounded():
            raise ModelError(f"'{ds.attrs['session']}': channels {own.in_line()}; {self.run} knows {theirs.in_line()}")
        if not np.isfinite(ds["frames"].values).all():
            raise RecordingError(f"'{ds.attrs['session']}': has pixels that are not finite; fill them first")
        said = exact.conditions_of(ds)
        return _Restyled(
            model,
            self.restyling,
            f"{path.name} ({checkpoint.digest(model)})",
            preset("cloudy_noon") if said is None else said,
        )


@lru_cache(maxsize=2)
def _loaded(path: str, device: str, changed: int) -> WorldModel:
    model: WorldModel = checkpoint.load(path, device)
    return model


@dataclass(frozen=True, eq=False)
class _Restyled:
    """A recording's frames, as a model restyles them."""

    model: WorldModel
    restyling: Restyling
    name: str
    before: RoadConditions

    @property
    def told(self) -> str:
        """For the history."""
        return f"restyled by the model {self.name} ({self.restyling})"

    @torch.no_grad()
    def frames(self, ds: Recording, conditions: RoadConditions, seed: int) -> np.ndarray:
        """See `Source.frames`. Raises ModelError for what would have to change and the model never saw change."""
        known = self.model.signature.covariates.names
        for name in RANGES:
            asked_for, is_now = getattr(conditions, name), getattr(self.before, name)
            if name not in known and asked_for != is_now:
                raise ModelError(
                    f"{self.name}: saw no {name} change; the source has {is_now:g}, and {asked_for:g} is asked for: "
                    "train on variants with such weather, or ask for other"
                )
        stored, model = ds["frames"].values, self.model
        device = next(model.parameters()).device
        generator = torch.Generator(device).manual_seed(seed)
        values = [getattr(conditions, name, np.nan) for name in known]
        asked = torch.tensor(values, dtype=torch.float32, device=device)[None]
        frames = torch.from_numpy(stored.astype(np.float32)).to(device)
        if is_restyler(model):  # frames know nothing of each other
            parts = [restyled(model, part[:, None], asked.expand(len(part), -1), generator, self.restyling)[:, 0]
                     for part in frames.split(TOGETHER)]  # fmt: skip
            found = torch.cat(parts)
        else:
            view = torch.from_numpy(ds["view"].values[:1]).to(device)
            found = restyled(model, frames[None], asked, generator, self.restyling, self._controls(ds, device), view)[0]
        low, high = levels(ds)
        counts = found.clamp(low, high).cpu().numpy()
        return (np.rint(counts) if stored.dtype.kind in "iu" else counts).astype(stored.dtype)

    def _controls(self, ds: Recording, device: Any) -> torch.Tensor:
        """The recording's controls in the model's order (1, t - 1, control), NaN where it has none such."""
        table, wanted = recording.control_table(ds), self.model.signature.controls.names
        found = np.full((ds.sizes["time"] - 1, len(wanted)), np.nan, dtype=np.float32)
        for k, name in enumerate(wanted):
            if name in table.names:
                found[:, k] = ds["controls"].values[:-1, table.index(name)]
        return torch.from_numpy(found).to(device)[None]
