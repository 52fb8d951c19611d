"""Training by several processes that stand for one: what they tell each other, and who writes.

Each process has its share of a step's windows, and all have the same weights: they begin with those of the first and
descend the mean of all gradients, so that n processes with a batch of b train as one would with n b. The gradients are
averaged as one flat vector. torch's DistributedDataParallel would hide this behind `forward`, which a world model has
not, and overlaps sending with the backward pass, which pays for models far larger than ours.

What every process must decide alike, by a clock or an interrupt, goes through the CPU (gloo) on each step, so that
nothing waits for a GPU; the gradients of a GPU go through NCCL. Processes are begun by `torchrun`.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist

from sciworld.errors import SettingsError, TrainingError

# One process may be alone at work for long: the first prepares the model, measures diagnostics, writes checkpoints.
PATIENCE = datetime.timedelta(hours=12)


@dataclass(frozen=True)
class Processes:
    """This process among those that train one model together. rank : from 0; the first one writes. local : the rank
    on this machine."""

    rank: int = 0
    ranks: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and is seen."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device of this process: of "cuda", the GPU that has its number on the machine.

        Raises SettingsError for one GPU that all processes would share.
        """
        if self.ranks > 1 and name.startswith("cuda"):
            if name != "cuda":
                raise SettingsError(f"device '{name}' for {self.ranks} processes; use 'cuda', and each takes its own")
            return f"cuda:{self.local}"
        return name

    def average_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Replace the gradient of each parameter by its mean over the processes; none counts as 0."""
        if self.ranks == 1:
            return
        each = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([gradient.reshape(-1) for gradient in each])
        with _together():
            dist.all_reduce(flat)
        pieces = (flat / self.ranks).split([gradient.numel() for gradient in each])
        for parameter, gradient, piece in zip(parameters, each, pieces, strict=True):
            # In the parameter's own memory layout: the fused kernel of AdamW walks both side by side.
            parameter.grad = gradient.copy_(piece.view(gradient.shape))

    def mean(self, values: Sequence[float]) -> list[float]:
        """Of numbers that each process has, the means over the processes."""
        return [value / self.ranks for value in self._reduced(values, dist.ReduceOp.SUM)]

    def largest(self, values: Sequence[float]) -> list[float]:
        """Of numbers that each process has, the largest of all processes."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Overwrite `tensors` by those of the first process."""
        if self.ranks == 1:
            return
        for tensor in tensors:
            told = tensor.detach().contiguous()
            with _together():
                dist.broadcast(told, 0)
            if told.data_ptr() != tensor.data_ptr():
                with torch.no_grad():
                    tensor.copy_(told)

    def wait(self) -> None:
        """Until all processes are here. Raises TrainingError if one has ended."""
        self.largest([0.0])

    def _reduced(self, values: Sequence[float], operation: dist.ReduceOp.RedOpType) -> list[float]:
        if self.ranks == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64)
        with _together():
            dist.all_reduce(told, operation)
        return [float(value) for value in told]


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """Where all processes are needed. Raises TrainingError if one has ended."""
    try:
        yield
    except RuntimeError as error:
        raise TrainingError(
            "another process of this training has ended; see what it said, and resume with as many as before"
        ) from error


def join() -> Processes:
    """The processes that `torchrun` began, or this one alone. Raises TrainingError if they do not find each other."""
    if not (dist.is_available() and dist.is_initialized()):
        if not launched():
            return Processes()
        # Both at once: what is on the CPU goes by gloo, what is on a GPU by NCCL, where this torch has it.
        several = "cpu:gloo,cuda:nccl" if dist.is_nccl_available() else "gloo"
        try:
            dist.init_process_group(several, timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"the processes do not find each other: {error}; see torchrun --help") from error
        # Not before: a group that is made a second time finds the addresses of the first, and waits for ever.
        atexit.register(dist.destroy_process_group)
    rank = dist.get_rank()
    return Processes(rank, dist.get_world_size(), int(os.environ.get("LOCAL_RANK", rank)))


def launched() -> bool:
    """Whether `torchrun` began this process."""
    return dist.is_available() and dist.is_torchelastic_launched()


def is_first() -> bool:
    """Whether this process is the one that writes: alone, or the first of those that `torchrun` began."""
    return not launched() or os.environ.get("RANK", "0") == "0"
