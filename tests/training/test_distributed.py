"""Several processes train as one: the same loss curve, one writer, one end. Torchrun begins this file, too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import linear_world
import numpy as np
import pytest
import torch

from sciworld.errors import SettingsError, TrainingError
from sciworld.models.base import Losses
from sciworld.store import Store
from sciworld.training import distributed
from sciworld.training.distributed import Processes
from sciworld.training.fit import FitSettings, fit
from sciworld.training.run import Run
from sciworld.training.trainer import _noise_seed
from sciworld.windows import Batch, Windows

STEPS, STOP, BATCH = 20, 7, 8
SAME = ("step", "epoch", "loss", "learning_rate", "gradient_norm")


class Interrupted(linear_world.Linear):
    """Interrupts its own process in its loss number STOP."""

    calls = 0

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        self.calls += 1
        if self.calls == STOP:
            signal.raise_signal(signal.SIGINT)
        return super().loss(batch, generator, weights)


def begin(store: str | Path, folder: str | Path, batch: int, rank: int = 0, stop: bool = False, **more: Any) -> Run:
    """A run whose loss draws no noise, with initial weights by rank: only those of the first process may count."""
    model = linear_world.linear(seed=rank, noise=0.0)
    model.__class__ = Interrupted if stop else linear_world.Linear
    settings = FitSettings(
        steps=STEPS, batch=batch, warmup=5, log_every=1, diagnostic_every=10, learning_rate=0.02, threads=1
    )
    windows = Windows(Store(store), context=2, horizon=1)
    return fit(model, windows, folder, settings, symmetries=("flip_x",), **more)


def as_one_of_several(store: str, folder: str) -> None:
    """A run that the second process stops and all resume, with a word on it from each process."""
    rank = int(os.environ["RANK"])
    assert distributed.launched() and distributed.is_first() == (rank == 0)
    interrupted = False
    try:
        begin(store, folder, BATCH, rank, stop=rank == 1)
    except KeyboardInterrupt:
        interrupted = True
    steps = [line["step"] for line in Run(folder).log()]
    run = begin(store, folder, BATCH, rank + 5, resume=True)
    told = {"interrupted": interrupted, "before": steps, "weight": float(run.model().control.weight.detach().sum())}  # type: ignore[operator, union-attr]
    Path(f"{folder}-{rank}.json").write_text(json.dumps(told))


def test_two_processes_train_as_one_with_twice_the_batch(store: Store, tmp_path: Path) -> None:
    paths = os.pathsep.join(str(Path(module).parent) for module in (linear_world.__file__, __file__))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, __file__, str(store.path), str(tmp_path / "two")],
        capture_output=True, text=True, timeout=120, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two = begin(store.path, tmp_path / "one", 2 * BATCH), Run(tmp_path / "two")
    assert [line["step"] for line in two.log()] == list(range(1, STEPS + 1))
    for mine, theirs in zip(one.log(), two.log(), strict=True):
        np.testing.assert_allclose([mine[name] for name in SAME], [theirs[name] for name in SAME], rtol=2e-5)
        assert mine["parts"]["light"] == pytest.approx(theirs["parts"]["light"], rel=2e-5)
    assert two.log()[-1]["loss"] < 0.9 * two.log()[0]["loss"] and "control_gain" in two.log()[9]
    for ours, other in zip(one.model().parameters(), two.model().parameters(), strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-5)
    first, second = (json.loads((tmp_path / f"two-{rank}.json").read_text()) for rank in range(2))
    assert first == second and first["interrupted"]
    assert first["before"] == list(range(1, STOP + 1))
    assert two.config["processes"] == 2 and two.config["fit"]["batch"] == BATCH
    with pytest.raises(TrainingError, match="processes was 2, is 1"):
        begin(store.path, tmp_path / "two", BATCH, resume=True)


def test_each_process_draws_its_own_noise_and_the_same_symmetries() -> None:
    seeds, following = [], []
    for rank in range(3):
        rng = np.random.default_rng([0, 7])
        seeds.append(_noise_seed(rng, rank))
        following.append(rng.random())
    assert len(set(seeds)) == 3 and len(set(following)) == 1
    assert seeds[0] == int(np.random.default_rng([0, 7]).integers(1 << 63))


def test_a_process_takes_the_gpu_of_its_number() -> None:
    assert Processes().device("cuda:1") == "cuda:1" and Processes().first
    assert Processes(5, 8, 1).device("cuda") == "cuda:1" and not Processes(5, 8, 1).first
    assert Processes(1, 2, 1).device("cpu") == "cpu"
    with pytest.raises(SettingsError, match="'cuda:0' for 2 processes; use 'cuda'"):
        Processes(1, 2, 1).device("cuda:0")


def test_one_process_is_its_own_mean() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    alone = Processes()
    alone.average_gradients([parameter])
    assert parameter.grad is None
    assert alone.mean([1.0, 2.0]) == alone.largest([1.0, 2.0]) == [1.0, 2.0]
    alone.wait()


def test_a_process_that_ended_is_named() -> None:
    with pytest.raises(TrainingError, match="has ended; see what it said"), distributed._together():
        raise RuntimeError("Connection closed by peer [127.0.0.1]:1\nmore")


if __name__ == "__main__":
    as_one_of_several(*sys.argv[1:])
