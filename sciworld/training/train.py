"""From a store to a trained model, with the defaults that a domain brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sciworld import models
from sciworld.domains import base as domains
from sciworld.errors import ModelError
from sciworld.models.base import Signature
from sciworld.store import Store
from sciworld.training.fit import fit
from sciworld.training.run import Run
from sciworld.training.trainer import FitSettings
from sciworld.windows import Windows

HELD_OUT = 0.1  # of the sessions, for the diagnostics


def train(
    store: Store,
    run_folder: str | Path,
    settings: FitSettings,
    *,
    family: str = "diffusion",
    preset: str = "tiny",
    domain: str = "",
    recordings: Any = None,
    resume: bool = False,
    progress: bool = True,
) -> Run:
    """Train a model of a family's preset on a store, a tenth of its sessions held out for the diagnostics.

    domain : brings focus and symmetries; without it every pixel counts alike. recordings : indices of those to use.
    Raises ModelError for an unknown family or preset, RecordingError where no window is left, TrainingError.
    """
    kind = models.family(family)
    if preset not in kind.presets:
        raise ModelError(f"{family}: no preset '{preset}'; there are {', '.join(kind.presets)}")
    chosen = kind.presets[preset]
    held_out = None
    if recordings is None and len(set(store.sessions())) > 1:
        held_out, recordings = store.split((HELD_OUT, 1 - HELD_OUT), settings.seed)
    windows = Windows(store, chosen.context, kind.chunk, recordings=recordings)
    validation = None if held_out is None else Windows(store, chosen.context, kind.chunk, recordings=held_out)
    torch.manual_seed(settings.seed)  # initial weights: torch's layers draw them from its global generator alone
    model = kind(Signature.of(windows), chosen)
    field = domains.domain(domain) if domain else None
    return fit(
        model,
        windows,
        run_folder,
        settings,
        focus=field.focus if field else None,
        symmetries=field.symmetries if field else (),
        validation=validation,
        progress=progress,
        resume=resume,
    )
