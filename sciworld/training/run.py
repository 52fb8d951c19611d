"""The run folder: what was trained on what, its log, its checkpoints, and the model that came out.

config.json          settings of model and training, the model's signature, and which windows were used
versions.json        one entry a start: python, packages, platform, threads, git commit
log.jsonl            one line every so many steps
checkpoints/step-N   model, ema and optimizer (safetensors) and state.json, all of one step
familiar.npz         what the recordings are like, so that a search knows where the model does not
model.safetensors    the trained model, once training has ended

A checkpoint is written beside the others, appears whole under its name in one rename, and only then are older ones
removed: kill the process at any moment, and a whole one is there.
"""

from __future__ import annotations

import contextlib
import json
import logging
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
from sciworld.familiar.familiar import Familiar
from sciworld.files import STAGE, lock, replace_file, staged, sync_folder
from sciworld.models import checkpoint
from sciworld.models.base import WorldModel
from sciworld.models.tokenizers.base import Tokenizer

LOG = logging.getLogger(__name__)
PREFIX = "step-"
NEEDED = {"model": set(), "fit": {"seed"}, "windows": {"context", "horizon", "fingerprint"}}  # of a run's config


class Run:
    """A run folder; `held` makes one to train in, the constructor opens one that exists.

    Raises CheckpointError if `path` holds no run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config: dict[str, Any] = _read_json(self.path / "config.json")
        known = self.config if isinstance(self.config, dict) else {}
        for name, needed in NEEDED.items():
            if not isinstance(known.get(name), dict) or not needed <= known[name].keys():
                raise CheckpointError(
                    f"{self.path}/config.json: not of a run, or damaged ('{name}'); give the folder of a run that "
                    "training made, or restore the file"
                )

    @classmethod
    @contextlib.contextmanager
    def held(cls, path: str | os.PathLike[str], config: dict[str, Any], resume: bool = False) -> Iterator[Run]:
        """A new run so described, or with `resume` the one in `path`; no other process can train there meanwhile.

        A run that never came to log anything is begun anew. Raises TrainingError if anything else is there, another
        process trains there, or the run to resume was begun otherwise; CheckpointError if there is none.
        """
        path = Path(path)
        if resume:
            cls(path).require_same(config)
        else:
            _make_folder(path)
        with _lock(path):
            if not resume or (_unborn(path) and not _checkpoints(path)):
                cls._create(path, config)
            for stage in (path / "checkpoints").glob(f"{STAGE}*"):  # of a process that was killed
                shutil.rmtree(stage, ignore_errors=True)
            yield cls(path)

    @staticmethod
    def _create(path: Path, config: dict[str, Any]) -> None:
        """Make the run in the folder `path`. Raises TrainingError if it holds anything but a run without a log."""
        if any(path.iterdir()) and not _unborn(path):
            raise TrainingError(f"{path}: exists already; resume that run, or choose another folder")
        try:
            shutil.rmtree(path / "checkpoints", ignore_errors=True)
            (path / "checkpoints").mkdir()
            _write_json(path / "config.json", config)
        except OSError as error:
            raise TrainingError(f"{path}: cannot be made ({error}); choose another folder") from error

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def model(self, device: str | torch.device = "cpu") -> WorldModel:
        """The trained model. Raises CheckpointError before training has ended."""
        model: WorldModel = checkpoint.load(self.path / checkpoint.FILE, device)
        return model

    def tokenizer(self, device: str | torch.device = "cpu") -> Tokenizer:
        """The trained tokenizer, where that is what was trained. Raises CheckpointError as `model` does."""
        tokenizer: Tokenizer = checkpoint.load(self.path / checkpoint.FILE, device, "tokenizer")
        return tokenizer

    def familiar(self) -> Familiar:
        """What the model was trained near. Raises CheckpointError where the run did not keep it, or it is damaged."""
        return Familiar.load(self.path)

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log; one that was cut off by a kill is left out. Raises CheckpointError if it is damaged."""
        path = self.path / "log.jsonl"
        try:
            whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
            lines = [json.loads(line) for line in whole.splitlines()]
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}: cannot be read ({error}); restore it") from error
        for number, line in enumerate(lines, 1):
            if not isinstance(line, dict):
                raise CheckpointError(f"{path}: line {number} is no record; restore it")
        return lines

    def require_same(self, config: dict[str, Any]) -> None:
        """Raise TrainingError that names the differences unless the run was begun with this `config`."""
        mine, theirs = (dict(_flat(json.loads(json.dumps(c)))) for c in (self.config, config))
        # Which recordings were seen is in the windows' fingerprint; runs of earlier versions do not list them.
        names = sorted(
            name for name in mine.keys() | theirs.keys() if name != "seen" and mine.get(name) != theirs.get(name)
        )
        if names:
            known = "; ".join(f"{name} was {mine.get(name)!r}, is {theirs.get(name)!r}" for name in names)
            raise TrainingError(f"{self.path}: begun otherwise: {known}; resume with the same, or begin a new run")

    def note_versions(self, step: int) -> None:
        """Write down what this start at `step` runs on. Raises TrainingError if that cannot be written."""
        path = self.path / "versions.json"
        starts = _read_json(path) if path.exists() else []
        try:
            _write_json(path, [*starts, {"step": step, **versions()}])
        except OSError as error:
            raise TrainingError(str(error)) from error

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
        target = folder / f"{PREFIX}{step:09d}"
        older = [path for _, path in _checkpoints(self.path) if path != target]
        if target.exists():
            return
        try:
            with staged(target) as stage:
                stage.mkdir()
                state = {**write(stage), "step": step, "log_bytes": self._sync_log()}
                replace_file(stage / "state.json", json.dumps(state).encode())
            sync_folder(folder)
        except (OSError, CheckpointError) as error:
            kept = f"; {older[-1].name} is whole" if older else ""
            raise TrainingError(f"{target}: {error}{kept}; mend this and resume") from error
        for path in older:
            shutil.rmtree(path)

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest checkpoint's folder and state; None before the first. Nothing is changed.

        Raises CheckpointError if there is a log but no checkpoint, the state is damaged, or the log is not of it.
        """
        found = _checkpoints(self.path)
        if not found:
            if _unborn(self.path):
                return None
            raise CheckpointError(f"{self.path}: no checkpoint to resume from; delete the folder and begin again")
        step, folder = found[-1]
        state = _read_json(folder / "state.json")
        if not _is_state(state, step):
            raise CheckpointError(f"{folder}/state.json: not the state of step {step}; restore it, or begin a new run")
        log, known = self.path / "log.jsonl", state["log_bytes"]
        size = log.stat().st_size if log.exists() else 0
        if size < known:
            raise CheckpointError(f"{log}: {size} bytes, {folder.name} knows of {known}; restore the log")
        if known:
            with log.open("rb") as file:
                file.seek(known - 1)
                if file.read(1) != b"\n":
                    raise CheckpointError(
                        f"{log}: no line ends at byte {known}, where {folder.name} was made; restore it"
                    )
        return folder, state

    def cut_log(self, size: int) -> None:
        """Drop what the log has beyond the first `size` bytes: lines later than the checkpoint that training goes on
        from."""
        if (self.path / "log.jsonl").exists():
            os.truncate(self.path / "log.jsonl", size)

    def _sync_log(self) -> int:
        """Wait until the log is on the disk; its size in bytes."""
        path = self.path / "log.jsonl"
        if not path.exists():
            return 0
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise TrainingError(f"{path}: exists already; resume that run, or choose another folder") from error
    except OSError as error:
        raise TrainingError(f"{path}: cannot be made ({error}); choose another folder") from error


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of `folder`, where the system has locks. Raises TrainingError if one is in there."""
    with contextlib.ExitStack() as stack:
        try:
            locked = stack.enter_context(lock(folder))
        except BlockingIOError as error:
            raise TrainingError(f"{folder}: another process trains here; wait for it, or choose another") from error
        if not locked:
            LOG.warning("%s: cannot be locked; let no other process train there", folder)
        yield


def _unborn(path: Path) -> bool:
    """Whether the folder holds a run that stopped before its first line of log: nothing is lost with it."""
    names = {entry.name for entry in path.iterdir()}
    begun = any(step for step, _ in _checkpoints(path))
    return "checkpoints" in names and names <= {"checkpoints", "config.json", "versions.json"} and not begun


def _checkpoints(path: Path) -> list[tuple[int, Path]]:
    """Steps and folders of a run's checkpoints, oldest first."""
    folders = {folder.name.removeprefix(PREFIX): folder for folder in (path / "checkpoints").glob(f"{PREFIX}*")}
    return sorted((int(step), folder) for step, folder in folders.items() if step.isdecimal())


def _is_state(state: Any, step: int) -> bool:
    """Whether `state` is what `Run.save` writes at `step`."""
    if not isinstance(state, dict) or not isinstance(state.get("loader"), dict):
        return False
    if type(state["loader"].get("batch")) is not int:
        return False
    whole = all(type(state.get(name)) is int and state[name] >= 0 for name in ("step", "log_bytes"))
    seconds = state.get("seconds")
    return whole and state["step"] == step and isinstance(seconds, float) and 0 <= seconds < math.inf


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
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); restore it, or begin a new run") from error


def _write_json(path: Path, value: Any) -> None:
    replace_file(path, (json.dumps(value, indent=2) + "\n").encode())


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
