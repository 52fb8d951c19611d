"""Fit a world model to windows: resumable, logged, with an exponential moving average of the weights."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from sciworld import config
from sciworld.errors import TrainingError
from sciworld.loader import Loader, Mixture
from sciworld.models import checkpoint
from sciworld.models.base import WorldModel
from sciworld.training import symmetries as symmetry
from sciworld.training.progress import Bar
from sciworld.training.run import Run
from sciworld.training.trainer import FitSettings, Focus, Trainer
from sciworld.windows import Windows

LogExtra = Callable[[WorldModel, int], dict[str, Any]]


def fit(
    model: WorldModel,
    windows: Windows | Mixture,
    run_folder: str | Path,
    settings: FitSettings,
    *,
    focus: Focus | None = None,
    symmetries: Sequence[str] = (),
    validation: Windows | Mixture | None = None,
    sources: Sequence[str] = (),
    progress: bool = True,
    resume: bool = False,
    log_extra: LogExtra | None = None,
) -> Run:
    """Train `model` in place on `windows`; the run's `model()` then has the averaged weights.

    Parameters
    ----------
    focus : where the loss weighs more: (frames (n, y, x, channel), view (n, 6)) -> (n, y, x), from the last context
        frames alone.
    symmetries : names from `symmetries.SYMMETRIES`, each applied to a batch with probability 1/2.
    validation : windows on which the diagnostics are measured; else those of training.
    sources : where the recordings came from, for the run's `config.json`: a verdict asks who made them.
    resume : go on with the run in `run_folder` from its newest checkpoint.
    log_extra : figures for the log, of the averaged model at a step, measured with the diagnostics.

    An interrupt (SIGINT) ends the step, makes a checkpoint, and raises KeyboardInterrupt; a second one does not wait.
    Raises TrainingError if the loss or gradient is not finite, the folder exists or belongs to another run, another
    process trains there, or the disk is full; CheckpointError if a checkpoint is damaged; ModelError if the windows do
    not fit the model. A run that stopped before its first line of log is begun anew.
    """
    _require_fit(model, windows)
    if validation is not None:
        _require_fit(model, validation)
    symmetry.require_fit(symmetries, windows.shape)
    description = _describe(model, windows, settings, focus, symmetries, validation)
    description |= {"sources": sorted(set(sources))}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_threads(settings.threads))
        loader = stack.enter_context(Loader(windows, settings.batch, settings.seed))
        # First all that can fail by its settings: a run that cannot begin leaves no folder behind.
        trainer = Trainer(model, loader, settings, focus, tuple(symmetries), validation)
        run = stack.enter_context(Run.held(run_folder, description, resume))
        newest = run.newest()
        if newest is not None:
            folder, state = newest
            trainer.restore(folder, state)
            run.cut_log(state["log_bytes"])
        else:
            trainer.prepare()
            run.save(0, trainer.save)
        run.note_versions(trainer.step)
        with Bar(progress) as bar:
            _train(trainer, run, bar, log_extra)
        facts = {"step": trainer.step, "seconds": trainer.seconds}
        checkpoint.save(trainer.ema, run.path / checkpoint.FILE, facts)
    return run


def _train(trainer: Trainer, run: Run, bar: Bar, log_extra: LogExtra | None) -> None:
    """Advance until the budget is used, with logs, diagnostics and checkpoints on the way."""
    settings = trainer.settings
    saved = time.perf_counter()
    done = trainer.fraction >= 1
    with _interrupts() as interrupted:
        while not done:
            trainer.advance()
            done, stop = trainer.fraction >= 1, interrupted.is_set()
            diagnose = done or trainer.step % settings.diagnostic_every == 0
            if not (stop or diagnose or trainer.step % settings.log_every == 0):
                continue
            record = trainer.record()
            if diagnose:
                record |= trainer.diagnose()
                record |= {"extra": log_extra(trainer.ema, trainer.step)} if log_extra else {}
            run.append(record)
            bar.show(trainer.fraction, record)
            if done or stop or time.perf_counter() - saved >= settings.checkpoint_every:
                run.save(trainer.step, trainer.save)
                saved = time.perf_counter()
            if stop:
                raise KeyboardInterrupt


def _require_fit(model: WorldModel, windows: Windows | Mixture) -> None:
    """Raise TrainingError or ModelError unless `windows` are what `model` was made for."""
    model.signature.require(windows.shape, len(windows.controls), "windows")
    context, horizon = model.lengths(model.settings)
    if windows.length != context + horizon:
        raise TrainingError(
            f"windows of {windows.length} frames; the model takes {context} and learns from {horizon} more: make them "
            f"with context={context}, horizon={horizon}"
        )
    for name in ("channels", "controls", "covariates"):
        mine, theirs = getattr(model.signature, name), getattr(windows, name)
        if mine.names != theirs.names:
            raise TrainingError(
                f"windows: {name} are {', '.join(theirs.names) or 'none'}; the model was made for "
                f"{', '.join(mine.names) or 'none'}, in this order"
            )


def _describe(
    model: WorldModel,
    windows: Windows | Mixture,
    settings: FitSettings,
    focus: Focus | None,
    symmetries: Sequence[str],
    validation: Windows | Mixture | None,
) -> dict[str, Any]:
    """What makes this run the run it is, JSON-safe."""
    return {
        "model": {"family": model.family, "settings": config.to_dict(model.settings)},
        "signature": checkpoint.signature_to_dict(model.signature),
        "fit": config.to_dict(settings),
        "windows": _describe_windows(windows),
        "validation": None if validation is None else _describe_windows(validation),
        "symmetries": list(symmetries),
        "focus": None if focus is None else getattr(focus, "__qualname__", type(focus).__qualname__),
    }


def _describe_windows(windows: Windows | Mixture) -> dict[str, Any]:
    return {
        "count": len(windows),
        "context": windows.context,
        "horizon": windows.horizon,
        "dtype": str(windows.dtype),
        "fingerprint": windows.fingerprint(),
    }


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Torch with `count` threads, 0 for as many as it has."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that the first SIGINT sets; the next one acts as it did before. Signals reach the main thread alone."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
