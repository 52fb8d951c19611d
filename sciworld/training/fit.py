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
from sciworld.familiar.familiar import FILE, Familiar
from sciworld.loader import Loader, Mixture
from sciworld.models import checkpoint
from sciworld.models.base import WorldModel
from sciworld.training import distributed
from sciworld.training import symmetries as symmetry
from sciworld.training.distributed import Processes
from sciworld.training.progress import Bar
from sciworld.training.run import Run
from sciworld.training.trainer import FitSettings, Focus, Trainer
from sciworld.windows import Windows

LogExtra = Callable[[Any, int], dict[str, Any]]


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
    seen: Sequence[int] = (),
    progress: bool = True,
    resume: bool = False,
    log_extra: LogExtra | None = None,
    familiar: Callable[[], Familiar] | None = None,
) -> Run:
    """Train `model` in place on `windows`; the run's `model()` then has the averaged weights.

    Parameters
    ----------
    focus : where the loss weighs more: (frames (n, y, x, channel), view (n, 6)) -> (n, y, x), from the last context
        frames alone.
    symmetries : names from `symmetries.SYMMETRIES`, each applied to a batch with probability 1/2.
    validation : windows on which the diagnostics are measured; else those of training.
    sources : where the recordings came from, for the run's `config.json`: a verdict asks who made them.
    seen : the `marks` of these recordings, for the run's `config.json`: they cannot judge it.
    resume : go on with the run in `run_folder` from its newest checkpoint.
    log_extra : figures for the log, of the averaged model at a step, measured with the diagnostics.
    familiar : makes what the run keeps of its recordings, so that searches know what the model was trained near.

    Begun by `torchrun`, several processes train one model, each on `settings.batch` windows a step, see `distributed`;
    the first one alone writes. All must be given the same.

    An interrupt (SIGINT), of any process, ends the step, makes a checkpoint, and raises KeyboardInterrupt; a second one
    does not wait. Raises TrainingError if the loss or gradient is not finite, the folder exists or belongs to another
    run, another process trains there or has ended here, or the disk is full; CheckpointError if a checkpoint is
    damaged; ModelError if the windows do not fit the model. A run that stopped before its first line of log is begun
    anew.
    """
    _require_fit(model, windows)
    if validation is not None:
        _require_fit(model, validation)
    symmetry.require_fit(symmetries, windows.shape)
    here = distributed.join()
    description = _describe(model, windows, settings, focus, symmetries, validation)
    description |= {"sources": sorted(set(sources)), "processes": here.ranks, **({"seen": list(seen)} if seen else {})}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_threads(settings.threads))
        loader = stack.enter_context(Loader(windows, settings.batch, settings.seed, rank=here.rank, ranks=here.ranks))
        # First all that can fail by its settings: a run that cannot begin leaves no folder behind.
        trainer = Trainer(model, loader, settings, focus, tuple(symmetries), validation, here)
        run = stack.enter_context(_held(run_folder, description, resume, here))
        _begin(trainer, run)
        if here.first and familiar is not None and not (run.path / FILE).exists():
            familiar().save(run.path / FILE)
        with Bar(progress and here.first) as bar:
            _train(trainer, run, bar, log_extra)
        if here.first:
            facts = {"step": trainer.step, "seconds": trainer.seconds}
            checkpoint.save(trainer.ema, run.path / checkpoint.FILE, facts)
        here.wait()  # for the model to be there, whichever process asks for it
    return run


@contextlib.contextmanager
def _held(folder: str | Path, description: dict[str, Any], resume: bool, here: Processes) -> Iterator[Run]:
    """The run, which the first of the processes holds for all."""
    if here.first:
        with Run.held(folder, description, resume) as run:
            here.wait()
            yield run
    else:
        here.wait()
        yield Run(folder)


def _begin(trainer: Trainer, run: Run) -> None:
    """Go on from the newest checkpoint, or make the first."""
    first = trainer.processes.first
    newest = run.newest()
    trainer.processes.wait()  # all have looked before any writes
    if newest is not None:
        folder, state = newest
        trainer.restore(folder, state)
        if first:
            run.cut_log(state["log_bytes"])
    else:
        trainer.prepare()
        if first:
            run.save(0, trainer.save)
    if first:
        run.note_versions(trainer.step)


def _train(trainer: Trainer, run: Run, bar: Bar, log_extra: LogExtra | None) -> None:
    """Advance until the budget is used, with logs, diagnostics and checkpoints on the way."""
    settings, first = trainer.settings, trainer.processes.first
    saved = time.perf_counter()
    done = trainer.fraction >= 1
    with _interrupts() as interrupted:
        while not done:
            stop = trainer.advance(interrupted.is_set)
            done = trainer.fraction >= 1
            diagnose = done or trainer.step % settings.diagnostic_every == 0
            if not (stop or diagnose or trainer.step % settings.log_every == 0):
                continue
            record = trainer.record()
            if diagnose and first:
                record |= trainer.diagnose()
                record |= {"extra": log_extra(trainer.ema, trainer.step)} if log_extra else {}
            if first:
                run.append(record)
                bar.show(trainer.fraction, record)
            if first and (done or stop or time.perf_counter() - saved >= settings.checkpoint_every):
                run.save(trainer.step, trainer.save)
                saved = time.perf_counter()
            if stop:
                trainer.processes.wait()  # for the checkpoint to be there
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
    """An event that the first SIGINT or SIGTERM sets; the next one acts as it did before. A scheduler that takes
    a machine back sends SIGTERM. Signals reach the main thread alone.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
