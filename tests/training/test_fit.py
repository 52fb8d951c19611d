from __future__ import annotations

import dataclasses
import errno
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import linear_world
import numpy as np
import pytest
import torch

from sciworld.errors import CheckpointError, ModelError, SettingsError, TrainingError
from sciworld.loader import Loader, Mixture
from sciworld.models import checkpoint
from sciworld.models.base import Losses, Signature
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.store import Store
from sciworld.training import run as run_module
from sciworld.training.fit import FitSettings, fit
from sciworld.training.run import Run
from sciworld.training.trainer import Trainer
from sciworld.windows import Batch, Windows

SETTINGS: dict[str, Any] = {"steps": 40, "batch": 8, "warmup": 5, "log_every": 5, "diagnostic_every": 20}
TIMED = ("seconds", "windows_per_second")


def begin(store: str | Path, folder: str | Path, die: int = -1, resume: bool = False) -> Run:
    """A run of 40 steps that kills its process within the step `die`, counted from 0, if that is not negative."""
    calls = 0

    def focus(frames: np.ndarray, view: np.ndarray) -> np.ndarray:
        nonlocal calls
        if calls == die:
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return np.abs(frames[..., 0]) + 0.1

    return fit(
        linear_world.linear(seed=99 if resume else 0),
        Windows(Store(store), context=2, horizon=1),
        folder,
        settings(diagnostic_every=100, checkpoint_every=0, threads=1),
        focus=focus,
        symmetries=("flip_x", "flip_y"),
        resume=resume,
    )


class Sudden(linear_world.Linear):
    """Calls `event` in place of a loss in its call number `at`, counted from 1."""

    at, calls = 0, 0

    def event(self, losses: Losses) -> Losses:
        raise NotImplementedError

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        losses = super().loss(batch, generator, weights)
        type(self).calls += 1
        return self.event(losses) if self.calls == self.at else losses


def sudden(at: int, event: Any) -> Sudden:
    kind = type("Now", (Sudden,), {"at": at, "event": event})
    return kind(linear_world.SIGNATURE, linear_world.LinearSettings())


def settings(**changes: Any) -> FitSettings:
    return FitSettings(**(SETTINGS | changes))


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def untimed(run: Run) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name not in TIMED} for line in run.log()]


def test_it_learns_and_writes_a_run(windows: Windows, tmp_path: Path) -> None:
    model = linear_world.linear()
    run = fit(model, windows, tmp_path / "run", settings(steps=200, learning_rate=0.05), validation=windows)
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoints", "config.json", "log.jsonl", "model.safetensors", "versions.json",
    ]  # fmt: skip
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["step-000000200"]
    log = run.log()
    assert [line["step"] for line in log] == list(range(5, 201, 5))
    assert log[-1]["loss"] < 0.5 * log[0]["loss"]
    assert log[-1]["parts"]["light"] < 0.2 * log[0]["parts"]["light"]
    assert log[-1]["epoch"] == pytest.approx(200 * 8 / len(windows))
    assert {"gradient_norm", "learning_rate", "seconds", "windows_per_second"} <= log[0].keys()
    assert log[-1]["control_gain"] > 2 * log[-1]["control_gain_standard_error"] > 0
    assert log[-1]["validation_loss"] < log[3]["validation_loss"]
    assert not any("warning" in line for line in log)
    trained = run.model()
    assert isinstance(trained, linear_world.Linear) and trained.count == 200
    assert not same(weights(trained), weights(model))  # the average is not the last
    assert checkpoint.extra(run.path / "model.safetensors")["step"] == 200
    [start] = json.loads((run.path / "versions.json").read_text())
    assert start["step"] == 0 and start["torch"] == torch.__version__ and start["threads"] >= 1
    assert Run(run.path).config["fit"]["steps"] == 200


def test_the_same_settings_give_the_same_bits(windows: Windows, tmp_path: Path) -> None:
    runs = [fit(linear_world.linear(), windows, tmp_path / name, settings(seed=seed))
            for name, seed in (("a", 1), ("b", 1), ("c", 2))]  # fmt: skip
    a, b, c = (weights(run.model()) for run in runs)
    assert same(a, b) and untimed(runs[0]) == untimed(runs[1])
    assert not same(a, c)


def test_a_mixture_is_trained_on_like_windows(store: Store, tmp_path: Path) -> None:
    sources = [Windows(store, 2, 1, recordings=chosen) for chosen in ([0, 1], [2])]
    one, other = (
        fit(linear_world.linear(), Mixture(sources, weights), tmp_path / name, settings())
        for name, weights in (("a", [1, 1]), ("b", [9, 1]))
    )
    assert one.log()[-1]["step"] == 40
    assert one.config["windows"]["count"] == len(sources[0]) + len(sources[1])
    assert one.config["windows"]["fingerprint"] != other.config["windows"]["fingerprint"]


def test_the_average_and_the_learning_rate_follow_their_schedules(windows: Windows) -> None:
    model = linear_world.linear()
    chosen = settings(steps=100, warmup=10, decay=0.4, ema=0.5)
    with Loader(windows, 8, 0) as loader:
        trainer = Trainer(model, loader, chosen, None, (), None)
        expected = model.control.weight.detach().double().clone()
        for step in range(100):
            rate = trainer.learning_rate
            assert rate == pytest.approx(2e-3 * min(1, (step + 1) / 10) * min(1, (100 - step) / 40))
            trainer.advance()
            assert trainer.adamw.param_groups[0]["lr"] == rate
            keep = min(0.5, step / (step + 50))
            expected = keep * expected + (1 - keep) * model.control.weight.detach().double()
            torch.testing.assert_close(trainer.ema.control.weight.double(), expected, rtol=0, atol=1e-6)


def test_the_gradient_is_clipped(windows: Windows) -> None:
    model = linear_world.linear()
    with Loader(windows, 8, 0) as loader:
        trainer = Trainer(model, loader, settings(clip=1e-3), None, (), None)
        trainer.advance()
    norm = math.sqrt(sum(float((p.grad**2).sum()) for p in model.parameters() if p.grad is not None))
    assert norm == pytest.approx(1e-3, rel=1e-3)
    assert trainer.record()["gradient_norm"] > 1e-2  # before clipping


@pytest.mark.parametrize(("size", "expected"), [(1, (128, 2)), (8, (32, 8)), (24, (11, 24)), (64, (8, 64))])
def test_small_batches_are_not_what_diagnostics_go_by(windows: Windows, size: int, expected: tuple[int, int]) -> None:
    with Loader(windows, 1, 0) as loader:
        trainer = Trainer(linear_world.linear(), loader, settings(batch=size), None, (), None)
        looked = [len(batch) for batch, _ in trainer._diagnostic_batches()]
    assert (len(looked), looked[0]) == expected and len(set(looked)) == 1


def test_bfloat16_computes_the_loss_alone(windows: Windows, tmp_path: Path) -> None:
    seen = []

    def event(self: Sudden, losses: Losses) -> Losses:
        seen.append(self.frame(torch.zeros(1, 2, 5, 7)).dtype)
        return losses

    model = sudden(3, event)
    low = fit(model, windows, tmp_path / "low", settings(precision="bfloat16"))
    high = fit(linear_world.linear(), windows, tmp_path / "high", settings())
    assert seen == [torch.bfloat16]
    assert {value.dtype for value in low.model().parameters()} == {torch.float32}
    mine, theirs = low.log()[-1]["loss"], high.log()[-1]["loss"]
    assert mine != theirs and low.config["fit"]["precision"] == "bfloat16"


def test_bfloat16_reaches_every_weight(windows: Windows) -> None:
    """A pass without gradients comes first, in which autocast casts the weights that the loss then uses."""
    torch.manual_seed(0)
    model = Diffusion(Signature.of(windows), DiffusionSettings(width=16, coarse=16, embedding=8, codec="pod", modes=8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    with Loader(windows, 8, 0) as loader:
        trainer = Trainer(model, loader, settings(precision="bfloat16"), None, (), None)
        trainer.advance()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    with torch.autocast("cpu", torch.bfloat16):
        assert model.encoded(torch.zeros(1, 1, *model.signature.shape)).dtype == torch.float32


def test_compiling_is_asked_for_and_its_failure_is_ours(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    fails = type("BackendCompilerFailed", (RuntimeError,), {"__module__": "torch._dynamo.exc"})

    def compiled(function: Any) -> Any:
        asked.append(function)

        def call(*given: Any) -> Losses:
            if len(asked) > 1:
                raise fails("no C++ compiler\nat all")
            return function(*given)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    plain = fit(linear_world.linear(), windows, tmp_path / "plain", settings())
    assert not asked
    fast = fit(linear_world.linear(), windows, tmp_path / "fast", settings(compile=True))
    assert len(asked) == 1 and same(weights(fast.model()), weights(plain.model()))
    with pytest.raises(TrainingError, match=r"cannot be compiled \(no C\+\+ compiler\); train without compile"):
        fit(linear_world.linear(), windows, tmp_path / "never", settings(compile=True))


def test_killed_and_resumed_ends_with_the_same_bits(store: Store, tmp_path: Path) -> None:
    folders = [str(Path(module).parent) for module in (__file__, linear_world.__file__)]
    code = f"import sys; sys.path[:0] = {folders}; import test_fit; test_fit.begin(*sys.argv[1:], die=17)"
    command = [sys.executable, "-c", code, str(store.path), str(tmp_path / "killed")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    log = tmp_path / "killed" / "log.jsonl"
    log.write_bytes(log.read_bytes() + b'{"step": 16, "los')  # as a kill within a write leaves it
    assert [line["step"] for line in Run(tmp_path / "killed").log()] == [5, 10, 15]
    killed, whole = begin(store.path, tmp_path / "killed", resume=True), begin(store.path, tmp_path / "whole")
    assert same(weights(whole.model()), weights(killed.model()))
    assert untimed(whole) == untimed(killed) and len(whole.log()) == 8
    starts = json.loads((killed.path / "versions.json").read_text())
    assert [start["step"] for start in starts] == [0, 15]


@pytest.mark.parametrize("moment", ["before the rename", "after the rename"])
def test_killed_while_a_checkpoint_is_written(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    whole = fit(linear_world.linear(), windows, tmp_path / "whole", settings(checkpoint_every=0))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        if moment == "before the rename":
            write = Trainer.save
            patch.setattr(Trainer, "save", lambda self, folder: (write(self, folder), self.step == 10 and die())[0])
        else:
            remove = run_module.shutil.rmtree
            patch.setattr(
                run_module.shutil, "rmtree", lambda p, **k: die() if p.name == "step-000000005" else remove(p, **k)
            )
        fit(linear_world.linear(), windows, tmp_path / "killed", settings(checkpoint_every=0))
    run = fit(linear_world.linear(9), windows, tmp_path / "killed", settings(checkpoint_every=0), resume=True)
    assert same(weights(run.model()), weights(whole.model()))
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["step-000000040"]


def test_resuming_a_finished_run_changes_nothing(windows: Windows, tmp_path: Path) -> None:
    run = fit(linear_world.linear(), windows, tmp_path / "run", settings())
    before, log = weights(run.model()), run.log()
    run = fit(linear_world.linear(5), windows, tmp_path / "run", settings(), resume=True)
    assert same(weights(run.model()), before) and run.log() == log


def test_resuming_with_other_settings_or_another_model(windows: Windows, store: Store, tmp_path: Path) -> None:
    fit(linear_world.linear(), windows, tmp_path / "run", settings())

    def resume(model: Any = None, other: Windows = windows, symmetries: tuple[str, ...] = (), **changes: Any) -> None:
        fit(
            model or linear_world.linear(),
            other,
            tmp_path / "run",
            settings(**changes),
            symmetries=symmetries,
            resume=True,
        )

    with pytest.raises(TrainingError, match=r"fit\.batch was 8, is 4; fit\.seed was 0, is 3; resume with the same"):
        resume(batch=4, seed=3)
    with pytest.raises(TrainingError, match=r"model\.settings\.hears was True, is False"):
        resume(linear_world.linear(hears=False))
    with pytest.raises(TrainingError, match=r"windows\.count was 54, is 30"):
        resume(other=Windows(store, context=2, horizon=1, stride=2))
    with pytest.raises(TrainingError, match=r"symmetries was \[\], is \['flip_x'\]"):
        resume(symmetries=("flip_x",))


def test_folders_that_do_not_fit(windows: Windows, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(TrainingError, match="exists already; resume that run, or choose another folder"):
        fit(linear_world.linear(), windows, tmp_path, settings())
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    with pytest.raises(CheckpointError, match=r"config\.json: no such file; give the folder of a run"):
        fit(linear_world.linear(), windows, tmp_path / "none", settings(), resume=True)
    run = fit(linear_world.linear(), windows, tmp_path / "run", settings())
    with pytest.raises(TrainingError, match="exists already"):
        fit(linear_world.linear(), windows, run.path, settings())


def test_a_damaged_run_folder(windows: Windows, tmp_path: Path) -> None:
    run = fit(linear_world.linear(), windows, tmp_path / "run", settings())

    def damage(name: str, size: int, message: str) -> None:
        path = run.path / name
        whole = path.read_bytes()
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=message):
            fit(linear_world.linear(), windows, run.path, settings(), resume=True)
        path.write_bytes(whole)

    newest = "checkpoints/step-000000040"
    damage("log.jsonl", 10, r"log\.jsonl: 10 bytes, step-000000040 knows of \d+")
    damage("config.json", 10, r"config\.json: cannot be read")
    damage(f"{newest}/state.json", 10, r"state\.json: cannot be read")
    damage(f"{newest}/optimizer.safetensors", 200, r"optimizer\.safetensors: truncated")
    (run.path / newest).rename(run.path / "elsewhere")
    with pytest.raises(CheckpointError, match="no checkpoint to resume from"):
        fit(linear_world.linear(), windows, run.path, settings(), resume=True)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("first", ["no checkpoint", "a step"])
def test_a_run_without_a_log_is_begun_anew(windows: Windows, tmp_path: Path, first: str, resume: bool) -> None:
    def event(self: Sudden, losses: Losses) -> Losses:
        raise MemoryError

    cut = sudden(2, event)
    cut.load_state_dict(linear_world.linear().state_dict())
    with pytest.raises(MemoryError):
        fit(cut, windows, tmp_path / "run", settings())
    if first == "no checkpoint":  # as a kill before the first one leaves it
        newest = tmp_path / "run" / "checkpoints" / "step-000000000"
        newest.rename(newest.with_name(".sciworld-stage-abc"))
    model = linear_world.linear(5 if resume and first == "a step" else 0)
    run = fit(model, windows, tmp_path / "run", settings(), resume=resume)
    whole = fit(linear_world.linear(), windows, tmp_path / "whole", settings())
    assert same(weights(run.model()), weights(whole.model())) and untimed(run) == untimed(whole)
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["step-000000040"]


def test_only_one_trains_in_a_folder(windows: Windows, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")

    def other(resume: bool) -> None:
        fit(linear_world.linear(), windows, tmp_path / "run", settings(), resume=resume)

    def event(self: Sudden, losses: Losses) -> Losses:
        for resume in (True, False):
            with pytest.raises(TrainingError, match="another process trains here"):
                other(resume)
        return losses

    fit(sudden(13, event), windows, tmp_path / "run", settings())
    other(resume=True)


@pytest.mark.parametrize(
    "change",
    [
        {"step": 39},
        {"step": "40"},
        {"seconds": None},
        {"seconds": math.nan},
        {"loader": 3},
        {"loader": {}},
        {"log_bytes": -1},
        {"log_bytes": True},
        {"log_bytes": 100},
    ],
)
def test_a_state_that_cannot_be(windows: Windows, tmp_path: Path, change: dict[str, Any]) -> None:
    run = fit(linear_world.linear(), windows, tmp_path / "run", settings())
    path = run.path / "checkpoints" / "step-000000040" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    log = (run.path / "log.jsonl").read_bytes()
    with pytest.raises(CheckpointError, match=r"not the state of step 40|no line ends at byte 100"):
        fit(linear_world.linear(), windows, run.path, settings(), resume=True)
    assert (run.path / "log.jsonl").read_bytes() == log


def test_the_log_is_cut_only_once_the_tensors_are_whole(windows: Windows, tmp_path: Path) -> None:
    run = fit(linear_world.linear(), windows, tmp_path / "run", settings())
    with (run.path / "log.jsonl").open("a") as file:
        file.write('{"step": 45}\n')
    log = (run.path / "log.jsonl").read_bytes()
    model = run.path / "checkpoints" / "step-000000040" / "ema.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole[:-8])
    with pytest.raises(CheckpointError, match="truncated"):
        fit(linear_world.linear(), windows, run.path, settings(), resume=True)
    assert (run.path / "log.jsonl").read_bytes() == log
    model.write_bytes(whole)
    assert fit(linear_world.linear(), windows, run.path, settings(), resume=True).log()[-1]["step"] == 40
    (run.path / "log.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(CheckpointError, match="log"):
        run.log()


@pytest.mark.parametrize("wrong", ["loss", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite(windows: Windows, tmp_path: Path, wrong: str) -> None:
    def event(self: Sudden, losses: Losses) -> Losses:
        if wrong == "loss":
            return Losses(losses.total * math.nan, losses.parts)
        zero = (self.control.weight * 0).sum()
        return Losses(losses.total + torch.sqrt(zero**2 + 0), losses.parts)  # its derivative at 0 is 0 / 0

    with pytest.raises(TrainingError, match=r"^step 13: the loss is .*lower learning_rate or clip"):
        fit(sudden(13, event), windows, tmp_path / "run", settings(checkpoint_every=0))
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000000010"]
    good = checkpoint.read_tensors(tmp_path / "run/checkpoints/step-000000010/ema.safetensors", "model")[0]
    assert all(torch.isfinite(tensor).all() for tensor in good.values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])  # a scheduler sends the second
def test_an_interrupt_makes_a_checkpoint(windows: Windows, tmp_path: Path, number: signal.Signals) -> None:
    def event(self: Sudden, losses: Losses) -> Losses:
        signal.raise_signal(number)
        return losses

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        fit(sudden(13, event), windows, tmp_path / "run", settings())
    assert signal.getsignal(number) is before
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000000013"]
    run = fit(linear_world.linear(5), windows, tmp_path / "run", settings(), resume=True)
    assert [line["step"] for line in run.log()] == [5, 10, 13, 15, 20, 25, 30, 35, 40]
    whole = fit(sudden(0, event), windows, tmp_path / "whole", settings())
    assert run.model().count == whole.model().count == 40


def test_a_second_interrupt_does_not_wait(windows: Windows, tmp_path: Path) -> None:
    def event(self: Sudden, losses: Losses) -> Losses:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second one was not heard")

    with pytest.raises(KeyboardInterrupt):
        fit(sudden(13, event), windows, tmp_path / "run", settings())


def test_it_trains_beside_the_main_thread(windows: Windows, tmp_path: Path) -> None:
    thread = threading.Thread(target=fit, args=(linear_world.linear(), windows, tmp_path / "run", settings()))
    thread.start()
    thread.join()
    assert Run(tmp_path / "run").model().count == 40


def test_a_full_disk_keeps_the_checkpoint_before(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = checkpoint.replace_file

    def full(path: Path, data: bytes) -> None:
        if path.name == "optimizer.safetensors" and (path.parents[2] / "step-000000010").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(path, data)

    chosen = settings(checkpoint_every=0)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "replace_file", full)
        with pytest.raises(TrainingError, match=r"step-000000015: .*No space left.*; step-000000010 is whole; mend"):
            fit(linear_world.linear(), windows, tmp_path / "run", chosen)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000000010"]
    run = fit(linear_world.linear(5), windows, tmp_path / "run", chosen, resume=True)
    whole = fit(linear_world.linear(), windows, tmp_path / "whole", chosen)
    assert same(weights(run.model()), weights(whole.model()))


def test_a_deaf_model_raises_a_warning(windows: Windows, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = settings(steps=60, diagnostic_every=10)
    with caplog.at_level(logging.WARNING, "sciworld"):
        log = fit(linear_world.linear(hears=False), windows, tmp_path / "run", chosen).log()
    warned = [line["step"] for line in log if line.get("warning", "").startswith("controls are ignored")]
    assert warned == [20, 30, 40, 50, 60]  # from a third of the budget on
    assert [record.message.split(":")[0] for record in caplog.records] == ["step 20"]  # once


def test_a_budget_in_seconds_adds_up(windows: Windows, tmp_path: Path) -> None:
    def event(self: Sudden, losses: Losses) -> Losses:
        signal.raise_signal(signal.SIGINT)
        return losses

    chosen = settings(steps=None, seconds=0.4, log_every=1)
    with pytest.raises(KeyboardInterrupt):
        fit(sudden(3, event), windows, tmp_path / "run", chosen)
    used = Run(tmp_path / "run").log()[-1]["seconds"]
    assert used < 0.4
    log = fit(linear_world.linear(), windows, tmp_path / "run", chosen, resume=True).log()
    assert used <= log[3]["seconds"] < 0.4 <= log[-1]["seconds"]
    left = 1 - log[-2]["seconds"] / 0.4  # of the budget, as the last step began
    assert log[-1]["learning_rate"] == pytest.approx(chosen.learning_rate * min(1.0, left / chosen.decay))


def test_the_focus_sees_the_last_context_frame_alone(windows: Windows, tmp_path: Path) -> None:
    seen = []

    def focus(frames: np.ndarray, view: np.ndarray) -> np.ndarray:
        seen.append((frames.shape, frames.dtype, view.shape))
        return np.full(frames.shape[:3], 2.0)

    plain = fit(linear_world.linear(), windows, tmp_path / "plain", settings(steps=5)).log()
    doubled = fit(linear_world.linear(), windows, tmp_path / "doubled", settings(steps=5, clip=1e9), focus=focus).log()
    assert set(seen) == {((8, 5, 7, 2), np.dtype("float32"), (8, 6))}
    assert doubled[0]["loss"] > 1.5 * plain[0]["loss"]
    with pytest.raises(TrainingError, match=r"focus: weights are \(8, 5, 1\), of frames \(8, 5, 7\)"):
        fit(
            linear_world.linear(), windows, tmp_path / "bad", settings(), focus=lambda frames, view: frames[:, :, :1, 0]
        )


def test_figures_of_the_caller_go_to_the_log(windows: Windows, tmp_path: Path) -> None:
    def extra(model: Any, step: int) -> dict[str, float]:
        assert not model.training
        return {"twice": 2.0 * step, "unknown": math.nan}

    log = fit(linear_world.linear(), windows, tmp_path / "run", settings(), log_extra=extra).log()
    assert {line["step"]: line["extra"] for line in log if "extra" in line} == {
        step: {"twice": 2.0 * step, "unknown": None} for step in (20, 40)
    }


def test_windows_of_another_kind(store: Store, windows: Windows, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"windows of 4 frames; .* context=2, horizon=1"):
        fit(linear_world.linear(), Windows(store, context=3, horizon=1), tmp_path / "run", settings())
    other = linear_world.linear()
    other.signature = dataclasses.replace(linear_world.SIGNATURE, shape=(7, 5, 2))
    with pytest.raises(ModelError, match=r"windows: frames are \(5, 7, 2\)"):
        fit(other, windows, tmp_path / "run", settings())
    with pytest.raises(TrainingError, match="no symmetry 'turn'"):
        fit(linear_world.linear(), windows, tmp_path / "run", settings(), symmetries=("turn",))
    with pytest.raises(TrainingError, match="needs square frames, these are 5 x 7"):
        fit(linear_world.linear(), windows, tmp_path / "run", settings(), symmetries=("transpose",))
    with pytest.raises(TrainingError, match="windows of 4 frames"):
        wrong = Windows(store, context=3, horizon=1)
        fit(linear_world.linear(), windows, tmp_path / "run", settings(), validation=wrong)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seconds": 3.0}, "one of steps and seconds"),
        ({"precision": "float16"}, "precision is 'float16'; use float32 or bfloat16"),
        ({"steps": None}, "one of steps and seconds"),
        ({"steps": 0}, "steps is 0; it must be above 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"betas": (0.9, 1.0)}, "betas is 1.0"),
        ({"decay": 1.5}, "decay is 1.5"),
        ({"threads": -1}, "threads is -1"),
    ],
)
def test_settings_that_cannot_work(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings(**changes)


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there(windows: Windows, tmp_path: Path, device: str) -> None:
    with pytest.raises(SettingsError, match=rf"device '{device}': .*; use 'cpu'"):
        fit(linear_world.linear(), windows, tmp_path / "run", settings(device=device))
    assert not (tmp_path / "run").exists()


def test_threads_are_given_back(windows: Windows, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    fit(linear_world.linear(), windows, tmp_path / "run", settings(steps=1, threads=before + 1))
    assert torch.get_num_threads() == before
    assert json.loads((tmp_path / "run/versions.json").read_text())[0]["threads"] == before + 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("fit", {}),
        ("fit", "x"),
        ("windows", {}),
        ("windows", 3),
        ("model", 1),
    ],
    ids=str,
)
def test_a_config_of_which_something_is_gone(windows: Windows, tmp_path: Path, name: str, change: Any) -> None:
    run = fit(linear_world.linear(), windows, tmp_path / "run", settings(steps=2))
    (run.path / "config.json").write_text(json.dumps(run.config | {name: change}))
    with pytest.raises(CheckpointError, match=f"not of a run, or damaged \\('{name}'\\)"):
        Run(run.path)


@pytest.mark.parametrize(("line", "message"), [(b"\xff\n", "cannot be read"), (b"null\n", "line 1 is no record")])
def test_a_log_that_is_none(windows: Windows, tmp_path: Path, line: bytes, message: str) -> None:
    run = fit(linear_world.linear(), windows, tmp_path / "run", settings(steps=2))
    (run.path / "log.jsonl").write_bytes(line)
    with pytest.raises(CheckpointError, match=message):
        run.log()


@pytest.mark.parametrize("lacks", [True, False])
def test_moments_of_another_model(windows: Windows, tmp_path: Path, lacks: bool) -> None:
    def event(self: Sudden, losses: Losses) -> Losses:
        signal.raise_signal(signal.SIGINT)
        return losses

    with pytest.raises(KeyboardInterrupt):
        fit(sudden(13, event), windows, tmp_path / "run", settings())
    path = tmp_path / "run/checkpoints/step-000000013/optimizer.safetensors"
    moments, _ = checkpoint.read_tensors(path, "optimizer")
    name = next(name for name in moments if name.endswith("/exp_avg"))
    moments = {key: value for key, value in moments.items() if key != name} | ({} if lacks else {name: torch.zeros(7)})
    checkpoint.write_tensors(path, moments, "optimizer", {})
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors: not of this model"):
        fit(linear_world.linear(5), windows, tmp_path / "run", settings(), resume=True)
