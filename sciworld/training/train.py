"""From a store to a trained model, with the defaults that a domain brings."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sciworld import models
from sciworld.config import require
from sciworld.controls import ControlSpace
from sciworld.counterfactuals import Counterfactuals
from sciworld.domains import base as domains
from sciworld.errors import SettingsError
from sciworld.familiar.familiar import Familiar
from sciworld.loader import Mixture
from sciworld.models import checkpoint
from sciworld.models.base import Learned, Signature
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.training import beginnings
from sciworld.training import symmetries as symmetry
from sciworld.training.fit import fit
from sciworld.training.run import Run
from sciworld.training.seen import HELD_OUT, SPLIT, choice, drawn_again, marks
from sciworld.training.trainer import FitSettings
from sciworld.windows import Windows

LOG = logging.getLogger(__name__)

FAMILY, PRESET = "diffusion", "tiny"  # where nothing is said
READ = 200  # recordings, at most, that tell what is familiar: more would take longer, and hardly tell more


def train(
    store: Store | Selection,
    run_folder: str | Path,
    settings: FitSettings,
    *,
    family: str | None = None,
    preset: str | None = None,
    changes: Mapping[str, Any] | None = None,
    domain: str = "",
    recordings: Any = None,
    start_from: str | Path | None = None,
    tokenizer: str | Path | None = None,
    beside: Store | None = None,
    bootstrap: bool = False,
    resume: bool = False,
    progress: bool = True,
) -> Run:
    """Train a model of a family's preset on a store; a tenth of its sessions is held out for the diagnostics.

    Which are held out is the same for all runs on a store.

    family, preset : "diffusion" and "tiny", if you do not say and nothing is started from.
    changes : settings in place of those of the preset, by name.
    domain : brings focus and symmetries, those that the frames have; without it every pixel counts alike.
    recordings : indices of those to use.
    start_from : a checkpoint, or the folder of a run, that training goes on from, in place of a preset: its weights
        and normalisation, or of the weights what fits, where frames or columns are others; see `beginnings`.
    tokenizer : of a masked model, the folder of a run that trained one; without it the model trains its own along.
    beside : the store that the recordings are variants of, for a preset that restyles; see `Counterfactuals`.
    bootstrap : train on as many sessions as there are, drawn with replacement by the seed; the held-out ones stay out.
    Raises CheckpointError, ModelError for an unknown family or preset, SettingsError for changes that do not fit it,
    RecordingError where no window is left, TrainingError.
    """
    trained = None if start_from is None else checkpoint.load(start_from)
    if trained is not None and (family or preset or changes):
        raise SettingsError(
            f"{start_from} brings its own family and settings; leave out either it or family, preset and changes"
        )
    family, preset = family or FAMILY, preset or PRESET
    kind: type[Learned] = models.family(family) if trained is None else type(trained)
    codes = None
    if tokenizer is not None:
        if trained is not None:
            raise SettingsError(f"{start_from} brings its own tokenizer; leave out {tokenizer}")
        codes, changes = beginnings.codes_for(kind, tokenizer, changes or {})
    chosen = beginnings.settings_of(family, preset, changes) if trained is None else trained.settings
    held_out = None
    if recordings is None and len(set(store.sessions())) > 1:
        held_out, store = store.split((HELD_OUT, 1 - HELD_OUT), SPLIT)
    sources, seen = _origins(store, recordings, start_from)
    if bootstrap:
        if recordings is not None:
            raise SettingsError("bootstrap draws sessions of the whole store; leave out recordings")
        store = drawn_again(store, settings.seed)
    told = None if trained is None else trained.signature.covariates.names
    windows = _windows(kind, store, chosen, recordings, beside, told)
    validation = None if held_out is None else _windows(kind, held_out, chosen, None, beside, windows.covariates.names)
    if trained is None:
        model: Any = beginnings.new_model(kind, chosen, Signature.of(windows), settings.seed, codes)
    else:
        model = beginnings.for_windows(trained, windows, settings.seed, str(start_from))
    field = domains.domain(domain) if domain else None
    near = partial(_near, store, recordings, ControlSpace(windows.controls))
    if trained is not None:
        sources = [*sources, f"the weights of {start_from}"]
    if codes is not None:
        sources = [*sources, f"the tokenizer {codes.digest[:16]}"]
    return fit(
        model,
        windows,
        run_folder,
        settings,
        focus=field.focus if field else None,
        symmetries=_symmetries(field.symmetries, windows) if field else (),
        validation=validation,
        sources=sources,
        seen=seen,
        progress=progress,
        resume=resume,
        familiar=near if kind.role == "model" and len(windows.controls) else None,
    )


def _windows(
    kind: type[Learned], store: Store | Selection, chosen: Any, recordings: Any, beside: Store | None,
    told: Sequence[str] | None,
) -> Windows | Mixture:  # fmt: skip
    """What a model of the chosen settings is trained on; told : the covariates, of what restyles. Raises SettingsError
    where that lacks what it restyles."""
    restyles = bool(getattr(chosen, "restyles", False))
    if restyles != (beside is not None):
        raise SettingsError(
            "the preset restyles: give the store of which the recordings are variants (beside)"
            if restyles
            else "beside is for a preset that restyles, such as diffusion's 'restyle'; choose it, or leave out beside"
        )
    if beside is None:
        return Windows(store, *kind.lengths(chosen), recordings=recordings)
    require(recordings is None, "recordings: choose them by a selection of the store, where beside is given")
    return Mixture([Counterfactuals(store, beside, told)])


def _origins(store: Store | Selection, recordings: Any, start_from: Any) -> tuple[list[str], list[int]]:
    """Where recordings came from, and the marks of all that training sees: also of what weights were trained on that
    it starts from, as far as they lie in the folder of a run."""
    used = slice(None) if recordings is None else recordings
    sources, seen = np.array(store.sources())[used].tolist(), set(marks(store)[used].tolist())
    if start_from is not None and (Path(start_from) / "config.json").is_file():
        seen |= set(Run(start_from).config.get("seen", []))
    return sources, sorted(seen)


def _near(store: Store | Selection, recordings: Any, space: ControlSpace) -> Familiar:
    """What is familiar of at most READ of the recordings, evenly spaced."""
    chosen = np.arange(len(store)) if recordings is None else np.asarray(recordings)
    chosen = chosen[:: -(-len(chosen) // READ)]
    return Familiar.of(choice(store, chosen), space)


def _symmetries(names: tuple[str, ...], windows: Windows | Mixture) -> tuple[str, ...]:
    """Those of a domain's symmetries that the frames have; what is left out is logged."""
    kept = symmetry.fitting(names, windows.shape)
    if kept != names:
        y, x, _ = windows.shape
        left = ", ".join(name for name in names if name not in kept)
        LOG.warning("training without the symmetry %s: it needs square frames, these are %d x %d", left, y, x)
    return kept
