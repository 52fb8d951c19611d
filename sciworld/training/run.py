"""The run folder: what was trained on what, its log, its checkpoints, and the model that came out.

config.json          settings of model and training, the model's signature, and which windows were used
versions.json        one entry a start: python, packages, platform, threads, git commit
log.jsonl            one line every so many steps
checkpoints/step-N   model, ema and optimizer (safetensors) and state.json, all of one step
model.safetensors    the trained model, once training has ended

A checkpoint is written beside the others, appears whole under its name in one rename, and only then are older ones
removed: kill the process at any moment, and a whole one is there.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciworld import __version__
from sciworld.errors import CheckpointError, TrainingError
from sciworld.models import checkpoint
from sciworld.models.base import WorldModel

PREFIX = "step-"


class Run:
    """A run folder; `create` makes one, the constructor opens one that exists.

    Raises CheckpointError if `path` holds no run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config: dict[str, Any] = _read_json(self.path / "config.json")
        if not isinstance(self.config, dict) or not {"model", "fit", "windows"} <= self.config.keys():
            raise CheckpointError(f"{self.path}/config.json: not of a run; give the folder of a run that training made")

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: dict[str, Any]) -> Run:
        """A new folder for a run so described. Raises TrainingError if anything is there already."""
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise TrainingError(f"{path}: exists already; resume that run, or choose another folder")
        try:
            (path / "checkpoints").mkdir(parents=True)
        except OSError as error:
            raise TrainingError(f"{path}: cannot be made ({error}); choose another folder") from error
        _write_json(path / "config.json", config)
        return cls(path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def model(self, device: str | torch.device = "cpu") -> WorldModel:
        """The trained model. Raises CheckpointError before training has ended."""
        return checkpoint.load(self.path / "model.safetensors", device)

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log; one that was cut off by a kill is left out."""
        path = self.path / "log.jsonl"
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def require_same(self, config: dict[str, Any]) -> None:
        """Raise TrainingError that names the differences unless the run was begun with this `config`."""
        mine, theirs = (dict(_flat(json.loads(json.dumps(c)))) for c in (self.config, config))
        names = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
        if names:
            known = "; ".join(f"{name} was {mine.get(name)!r}, is {theirs.get(name)!r}" for name in names)
            raise TrainingError(f"{self.path}: begun otherwise: {known}; resume with the same, or begin a new run")

    def note_versions(self, step: int) -> None:
        """Write down what this start at `step` runs on."""
        path = self.path / "versions.json"
        starts = _read_json(path) if path.exists() else []
        _write_json(path, [*starts, {"step": step, **versions()}])

    def append(self, record: dict[str, Any]) -> None:
        """Add a line to the log; what is not finite becomes null. Raises TrainingError if it cannot be written."""
        try:
            with (self.path / "log.jsonl").open("a") as file:
                file.write(json.dumps(_finite(record), allow_nan=False) + "\n")
        except OSError as error:
            raise TrainingError(f"{self.path}/log.jsonl: {error}; free some space and resume") from error

    def save(self, step: int, write: Callable[[Path], dict[str, Any]]) -> None:
        """Make the checkpoint of `step`: `write` puts files into a folder and returns the state beside them.

        Raises TrainingError if it cannot be written; the checkpoint before it is then untouched.
        """
        folder = self.path / "checkpoints"
        stage, target = folder / ".stage", folder / f"{PREFIX}{step:09d}"
        older = [path for _, path in self._checkpoints() if path != target]
        if target.exists():
            return
        try:
            shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir()
            state = {**write(stage), "step": step, "log_bytes": self._sync_log()}
            checkpoint.replace_file(stage / "state.json", json.dumps(state).encode())
            stage.rename(target)
            checkpoint.sync_folder(folder)
        except (OSError, CheckpointError) as error:
            shutil.rmtree(stage, ignore_errors=True)
            kept = f"; {older[-1].name} is whole" if older else ""
            raise TrainingError(f"{target}: {error}{kept}; mend this and resume") from error
        for path in older:
            shutil.rmtree(path)

    def resume(self) -> tuple[Path, dict[str, Any]]:
        """The newest checkpoint's folder and state, with the log cut back to it. Raises CheckpointError."""
        found = self._checkpoints()
        if not found:
            raise CheckpointError(f"{self.path}: no checkpoint to resume from; delete the folder and begin again")
        folder = found[-1][1]
        state = _read_json(folder / "state.json")
        size = (self.path / "log.jsonl").stat().st_size if (self.path / "log.jsonl").exists() else 0
        if size < state["log_bytes"]:
            raise CheckpointError(
                f"{self.path}/log.jsonl: {size} bytes, {folder.name} knows of {state['log_bytes']}; restore the log"
            )
        if size:
            os.truncate(self.path / "log.jsonl", state["log_bytes"])
        return folder, state

    def _checkpoints(self) -> list[tuple[int, Path]]:
        """Steps and folders of the checkpoints, oldest first."""
        folders = (self.path / "checkpoints").glob(f"{PREFIX}*")
        return sorted((int(path.name.removeprefix(PREFIX)), path) for path in folders)

    def _sync_log(self) -> int:
        """Wait until the log is on the disk; its size in bytes."""
        path = self.path / "log.jsonl"
        if not path.exists():
            return 0
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)


def versions() -> dict[str, Any]:
    """What this process runs on. `git` is the commit of the working directory, "-dirty" if it was changed, or None."""
    return {
        "python": sys.version.split()[0],
        "sciworld": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "git": _git_commit(),
    }


def _git_commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; give the folder of a run that training made") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); restore it, or begin a new run") from error


def _write_json(path: Path, value: Any) -> None:
    checkpoint.replace_file(path, (json.dumps(value, indent=2) + "\n").encode())


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of nested dicts under its dotted name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
