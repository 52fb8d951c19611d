"""What training begins from: a preset, perhaps with changes, or the weights of a model, perhaps of other data."""

from __future__ import annotations

import dataclasses
import logging
import os
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from sciworld import config, models
from sciworld.errors import ModelError, SettingsError, TrainingError
from sciworld.loader import Mixture
from sciworld.models import checkpoint
from sciworld.models.base import Learned, Signature, WorldModel
from sciworld.models.masked import Masked
from sciworld.models.tokenizers.base import Tokenizer
from sciworld.windows import Windows

LOG = logging.getLogger(__name__)
TABLES = ("channels", "controls", "covariates")
SHOWN = 12  # names of weights, in a line
TRUTH = {"true": True, "false": False}


def settings_of(family: str, preset: str, changes: Mapping[str, Any] | None = None) -> Any:
    """The settings of a family's preset, with changes by name.

    Raises ModelError for an unknown family or preset, SettingsError for changes that it does not have or take.
    """
    kind = models.family(family)
    if preset not in kind.presets:
        raise ModelError(f"{family}: no preset '{preset}'; there are {', '.join(kind.presets)}")
    chosen = kind.presets[preset]
    if not changes:
        return chosen
    fields = {field.name: getattr(chosen, field.name) for field in dataclasses.fields(chosen)}
    for name, change in changes.items():
        part = isinstance(change, Mapping) and dataclasses.is_dataclass(fields.get(name))
        fields[name] = {**config.to_dict(fields[name]), **change} if part else change
    return config.from_dict(kind.Settings, fields, f"{family} {preset}")


def changes_of(family: str, texts: Iterable[str]) -> dict[str, Any]:
    """Changes of a family's settings from texts such as "context=2", read as the type of each setting.

    A sequence is written with commas, no value as none, a setting of a part with a dot: tokenizer.patch=8. Raises
    ModelError, and SettingsError, naming the settings that there are.
    """
    hints = _types(models.family(family).Settings)
    known = ", ".join(f"{name} ({_named(hint)})" for name, hint in hints.items())
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or name not in hints:
            raise SettingsError(f"set '{text}': write NAME=VALUE, where {family} knows {known}")
        try:
            read = _read(value.strip(), hints[name])
        except ValueError as error:
            raise SettingsError(f"set '{text}': {name} is of type {_named(hints[name])}") from error
        part, dot, inner = name.partition(".")
        if dot:
            found.setdefault(part, {})[inner] = read
        else:
            found[name] = read
    return found


def codes_for(
    kind: type[Learned], tokenizer: str | os.PathLike[str], changes: Mapping[str, Any]
) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokenizer of a run, and the changes of settings with which a model of `kind` takes it.

    Raises CheckpointError, SettingsError for a model that has none, or changes of it.
    """
    if not issubclass(kind, Masked):
        raise SettingsError(f"{kind.family}: has no tokenizer, masked models have; leave out {tokenizer}")
    if "tokenizer" in changes or changes.get("joint"):
        raise SettingsError(f"{tokenizer} brings the tokenizer's settings, and is kept; leave out those of your own")
    codes: Tokenizer = checkpoint.load(tokenizer, role="tokenizer")
    return codes, {**changes, "tokenizer": codes.settings, "joint": False}


def new_model(kind: type[Learned], chosen: Any, signature: Signature, seed: int, codes: Tokenizer | None = None) -> Any:
    """A model with initial weights from `seed`, and the tokenizer `codes` if it takes one.

    Raises ModelError where there is no memory for it, SettingsError for a tokenizer that is not given.
    """
    with torch.random.fork_rng():  # torch's layers draw them from its global generator alone
        torch.manual_seed(seed)
        try:
            model = kind(signature, chosen)
        except RuntimeError as error:  # torch found no memory for it
            why = str(error).strip().splitlines()[0]
            raise ModelError(f"{kind.family}: a model of {chosen} cannot be built: {why:.200}; choose less") from error
    if isinstance(model, Masked) and not chosen.joint:
        if codes is None:
            raise SettingsError("joint=False is for a model that takes a trained tokenizer: name its run")
        model.adopt(codes)
    return model


def for_windows(trained: WorldModel, windows: Windows | Mixture, seed: int, where: str) -> WorldModel:
    """A trained model for these windows: itself, where frames and columns are those that it was made for.

    Its normalisation then stays. Otherwise it is a new one of the same settings, made for the windows, which begins
    with the weights whose names and shapes agree; the others are drawn from `seed`, and named in the log. Columns are
    never brought into the order of the old ones: a weight that belongs to a column by its place is then copied to
    another, and has to learn. Raises TrainingError where no weight agrees.
    """
    other = _differences(trained.signature, windows)
    if not other:
        return trained
    codes = trained.tokenizer if isinstance(trained, Masked) and not trained.settings.joint else None
    model = new_model(type(trained), trained.settings, Signature.of(windows), seed, codes)
    theirs = dict(trained.named_parameters())
    copied, anew = [], []
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in theirs and theirs[name].shape == weight.shape:
                weight.copy_(theirs[name])
                copied.append(name)
            else:
                anew.append(name)
    if not copied:
        raise TrainingError(
            f"{where}: it was made for other {', '.join(other)}, and none of its weights has the shape that these "
            "recordings need; train a new model"
        )
    text = "%s: made for other %s; of %d weights %d are copied, %d begin anew: %s"
    LOG.warning(text, where, ", ".join(other), len(copied) + len(anew), len(copied), len(anew), _listed(anew))
    LOG.info("copied: %s", ", ".join(copied))
    return model


def _differences(signature: Signature, windows: Windows | Mixture) -> list[str]:
    """What of the windows is not what a model was made for, but for bounds: "frames", or names of column tables."""
    frames = [] if tuple(windows.shape) == tuple(signature.shape) else ["frames"]
    return frames + [
        name for name in TABLES if getattr(signature, name).unbounded() != getattr(windows, name).unbounded()
    ]


def _listed(names: list[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more


def _types(kind: type) -> dict[str, Any]:
    """The type of each setting; those of a part after its name and a dot."""
    found: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(kind).items():
        inner = _types(hint) if dataclasses.is_dataclass(hint) and isinstance(hint, type) else None
        found |= {name: hint} if inner is None else {f"{name}.{each}": one for each, one in inner.items()}
    return found


def _read(text: str, hint: Any) -> Any:
    """A value of the type `hint`. Raises ValueError."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        kinds = typing.get_args(hint)
        if type(None) in kinds and text.lower() == "none":
            return None
        return _read(text, next(kind for kind in kinds if kind is not type(None)))
    if typing.get_origin(hint) is tuple:
        parts = text.strip("()[]").split(",")
        return tuple(_read(part.strip(), typing.get_args(hint)[0]) for part in parts if part.strip())
    if hint is bool:
        if text.lower() not in TRUTH:
            raise ValueError(text)
        return TRUTH[text.lower()]
    return hint(text) if hint in (int, float) else text


def _named(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")
