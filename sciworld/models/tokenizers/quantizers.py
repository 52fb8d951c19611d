"""Vectors to codes of a finite set, and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import distributed as dist
from torch import nn
from torch.nn import functional

KEPT = 0.99  # of the running counts of codes, by each step of training
DEAD = 0.05  # of its even share: a code used less is revived
COMMITMENT = 0.25  # of the encoder to the codes, over that of the codes to it (van den Oord et al. 2017, equation 3)
FAST = 10  # times an optimizer's step that learned codes go, whose vectors it moves but slowly


class Quantizer(nn.Module, ABC):
    """Vectors (..., width) to the nearest of `count` codes.

    `used` : (count,), a running mean of how often each code comes, of all.
    """

    count: int
    width: int
    used: torch.Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.count, self.width = count, width
        self.register_buffer("used", torch.full((count,), 1 / count))

    @abstractmethod
    def numbers(self, found: torch.Tensor) -> torch.Tensor:
        """The code of each vector (..., width) : (...) int64."""

    @abstractmethod
    def vectors(self, numbers: torch.Tensor) -> torch.Tensor:
        """What codes (...) stand for : (..., width)."""

    @abstractmethod
    def learned(
        self, found: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Vectors for the decoder, whose gradient passes straight to `found` (Bengio et al. 2013, arXiv:1308.3432);
        their codes; and what the quantizer adds to the loss.
        """

    def note(self, numbers: torch.Tensor) -> None:
        """Count the codes of a step of training."""
        if self.training:
            each = torch.full((numbers.numel(),), 1 / numbers.numel(), device=numbers.device)
            share = torch.zeros_like(self.used).scatter_add(0, numbers.flatten(), each)
            self.used.lerp_(share, 1 - KEPT)

    def alive(self) -> torch.Tensor:
        """The share of codes that are used, a scalar: those with a twentieth of an even share at least."""
        return (self.used > DEAD / self.count).float().mean()


class Vectors(Quantizer):
    """Codes that are learned: VQ (van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937), of vectors that are
    of mean 0 and variance 1 along every axis of a batch, so that codes have something to stand for from the first step.

    A code that is not used is put where a vector of the data is (Zeghidour et al. 2021, arXiv:2107.03312, section
    III.C), the same in all processes that train together.
    """

    mean: torch.Tensor
    variance: torch.Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__(count, width)
        self.codes = nn.Parameter(torch.randn(count, width) / FAST)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def numbers(self, found: torch.Tensor) -> torch.Tensor:
        return self._nearest(self._spread(found, learns=False))

    def vectors(self, numbers: torch.Tensor) -> torch.Tensor:
        return functional.embedding(numbers, FAST * self.codes)

    def learned(
        self, found: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        spread = self._spread(found, learns=self.training)
        if self.training:
            self._revive(spread.detach().reshape(-1, self.width), generator)
        numbers = self._nearest(spread)
        chosen = self.vectors(numbers)
        loss = functional.mse_loss(chosen, spread.detach()) + COMMITMENT * functional.mse_loss(spread, chosen.detach())
        self.note(numbers)
        return spread + (chosen - spread).detach(), numbers, loss

    @torch.no_grad()
    def _revive(self, data: torch.Tensor, generator: torch.Generator) -> None:
        """Put codes that are not used where some of data (n, width) are."""
        picks = torch.randint(len(data), (self.count,), generator=generator, device=data.device)
        dead = (self.used < DEAD / self.count)[:, None]
        self.codes.copy_(torch.where(dead, data[picks] / FAST, self.codes))
        self.used.copy_(torch.where(dead[:, 0], 1 / self.count, self.used))
        if dist.is_available() and dist.is_initialized():
            dist.broadcast(self.codes.data, 0)
            dist.broadcast(self.used, 0)

    def _spread(self, found: torch.Tensor, learns: bool) -> torch.Tensor:
        """Vectors (..., width) of mean 0 and variance 1, by the batch or by what training has seen."""
        flat = found.reshape(-1, self.width)
        learns = learns and len(flat) > 1  # one alone has no variance
        return functional.batch_norm(flat, self.mean, self.variance, training=learns).reshape(found.shape)

    def _nearest(self, spread: torch.Tensor) -> torch.Tensor:
        codes = FAST * self.codes
        return (codes.square().sum(dim=1) - 2 * spread @ codes.T).argmin(dim=-1)


class Levels(Quantizer):
    """A grid of codes, `levels` an axis, from -1 to 1: FSQ (Mentzer et al. 2024, arXiv:2309.15505). Nothing of it is
    learned."""

    steps: torch.Tensor
    strides: torch.Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__(math.prod(levels), len(levels))
        strides = [math.prod(levels[:axis]) for axis in range(len(levels))]
        self.register_buffer("steps", torch.tensor(levels), persistent=False)
        self.register_buffer("strides", torch.tensor(strides), persistent=False)

    def numbers(self, found: torch.Tensor) -> torch.Tensor:
        return (self._placed(found).round().long() * self.strides).sum(dim=-1)

    def vectors(self, numbers: torch.Tensor) -> torch.Tensor:
        return self._centred(numbers[..., None] // self.strides % self.steps)

    def learned(
        self, found: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        placed, numbers = self._placed(found), self.numbers(found.detach())
        self.note(numbers)
        return self._centred(placed + (placed.round() - placed).detach()), numbers, found.new_zeros(())

    def _placed(self, found: torch.Tensor) -> torch.Tensor:
        """Vectors on the axes' scales, whose whole numbers are the levels, and beyond whose ends nothing rounds."""
        return (torch.sigmoid(2 * found) * self.steps - 0.5).clamp(min=-0.499).minimum(self.steps - 0.501)

    def _centred(self, placed: torch.Tensor) -> torch.Tensor:
        return 2 * placed / (self.steps - 1) - 1
