"""Models as files: one safetensors file that holds the weights and everything else that rebuilds the model.

The file's metadata are strings: `sciworld_format`, `kind`, `sciworld` (the version that wrote it) and, as JSON,
`family`, `settings`, `signature` and `extra`. `sha256` is over all of these and all tensors. Nothing is pickled.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from sciworld import __version__, config
from sciworld.controls import ColumnTable
from sciworld.errors import CheckpointError, SciworldError
from sciworld.files import replace_file
from sciworld.models import ACTIONS, MODELS, TOKENIZERS, family
from sciworld.models.base import Learned, Signature

FORMAT = 1
FILE = "model.safetensors"  # the trained model in the folder of a run
TABLES = ("channels", "controls", "covariates")


def save(model: Learned, path: str | os.PathLike[str], extra: Mapping[str, Any] | None = None) -> None:
    """Write `model` as one file; what stood there before is replaced in one go, or kept if that fails.

    extra : JSON-safe facts that travel with it. Raises CheckpointError if the file cannot be written.
    """
    facts = {
        "family": model.family,
        "settings": config.to_dict(model.settings),
        "signature": signature_to_dict(model.signature),
        "extra": dict(extra or {}),
    }
    write_tensors(Path(path), model.state_dict(), model.role, {name: json.dumps(fact) for name, fact in facts.items()})


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu", role: str = "model") -> Any:
    """Rebuild a model that `save` wrote, in evaluation mode; the folder of a run stands for the model in it.

    role : what it must be, see `Learned`.
    Raises CheckpointError, naming the file, if it is missing, damaged, foreign, newer, or of an unknown family.
    """
    folder = Path(path)
    path = folder / FILE if folder.is_dir() else folder
    if folder.is_dir() and not path.exists() and any(folder.glob(f"*/{FILE}")):
        raise CheckpointError(
            f"{folder}: holds several runs, as of an ensemble; give one of them, or use Ensemble.load"
        )
    tensors, facts = read_tensors(path, role)
    name, settings, signature = (_fact(facts, fact, path) for fact in ("family", "settings", "signature"))
    known = MODELS | TOKENIZERS | ACTIONS
    if not isinstance(name, str) or name not in known:
        raise CheckpointError(
            f"{path}: a {role} of the family '{name}'; known are {', '.join(known)}: enter it in "
            "sciworld.models.MODELS if it is yours, else upgrade sciworld"
        )
    kind: Any = family(name)
    try:
        # Building draws initial weights: not from the caller's random numbers.
        with torch.random.fork_rng(devices=[]):
            model: Learned = kind(signature_from_dict(signature), config.from_dict(kind.Settings, settings))
    except (SciworldError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: its '{name}' model cannot be rebuilt: {error}; use the version that wrote it, sciworld "
            f"{facts['sciworld']}"
        ) from error
    load_state(model, tensors, path)
    return model.eval().to(device)


def digest(model: Learned) -> str:
    """Eight letters that tell a model's weights from others."""
    return _digest({name: value.detach().cpu() for name, value in model.state_dict().items()}, {})[:8]


def extra(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The facts that were saved along with a model. Raises CheckpointError as `load` does."""
    path = Path(path)
    facts: dict[str, Any] = _fact(read_tensors(path, "model")[1], "extra", path)
    return facts


def load_state(model: Learned, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Copy `tensors` into `model`. Raises CheckpointError, naming `path`, unless names, shapes and dtypes agree."""
    mine = {name: (tuple(value.shape), value.dtype) for name, value in model.state_dict().items()}
    theirs = {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()}
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            here, there = (_describe(tensors_of.get(name)) for tensors_of in (mine, theirs))
            raise CheckpointError(f"{path}: tensor '{name}' is {there}, the model's is {here}; use the model it is of")
    model.load_state_dict(dict(tensors))


def signature_to_dict(signature: Signature) -> dict[str, Any]:
    """The signature as JSON-safe values; each column table is its own JSON."""
    fields = {field.name: getattr(signature, field.name) for field in dataclasses.fields(signature)}
    return {name: value.to_json() if name in TABLES else value for name, value in fields.items()}


def signature_from_dict(fields: Mapping[str, Any]) -> Signature:
    """Read what `signature_to_dict` made. Raises SettingsError, ControlError or KeyError for anything else."""
    tables = {name: ColumnTable.from_json(fields[name], name) for name in TABLES}
    return config.from_dict(Signature, {**fields, **tables})


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], kind: str, facts: Mapping[str, str]) -> None:
    """Write `tensors` and the strings `facts` to `path`, atomically. Raises CheckpointError if it cannot."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {**facts, "kind": kind, "sciworld_format": str(FORMAT), "sciworld": __version__}
    data = to_bytes(held, {**metadata, "sha256": _digest(held, metadata)})
    try:
        replace_file(path, data)
    except OSError as error:
        raise CheckpointError(str(error)) from error


def read_tensors(path: Path, kind: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and facts that `write_tensors` wrote as that kind. Raises CheckpointError for any other file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; check the path, or train a model first")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: truncated, or no safetensors file ({error}); copy or train it again") from error
    written = metadata.get("sciworld_format", "")
    if not written.isdecimal():
        raise CheckpointError(f"{path}: safetensors, but not written by sciworld; give a file that training made")
    if int(written) > FORMAT:
        raise CheckpointError(f"{path}: format {written}, newer than the {FORMAT} known here; upgrade sciworld")
    digest = metadata.pop("sha256", "")
    if digest != _digest(tensors, metadata):
        raise CheckpointError(f"{path}: its bytes are not those that were saved (sha256); copy or train it again")
    if (found := metadata.get("kind")) != kind:
        raise CheckpointError(f"{path}: the file of the {found}, not of the {kind}; give the other")
    return tensors, metadata


def _digest(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """sha256 over the metadata, and over each contiguous tensor's name, dtype, shape and bytes."""
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _fact(facts: Mapping[str, str], name: str, path: Path) -> Any:
    try:
        return json.loads(facts[name])
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: metadata '{name}' cannot be read ({error}); train the model again") from error


def _describe(found: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    return "missing" if found is None else f"{found[0]} {str(found[1]).removeprefix('torch.')}"
