"""Samples of a masked model: codes that are decided a few at a time (MaskGIT: Chang et al. 2022, arXiv:2202.04200)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional

from sciworld.config import whole
from sciworld.models.masked_settings import MaskedSettings

LEAST = 1e-20  # of a uniform number whose logarithm is taken

# Codes (b, ...) and which of them are masked (b, ...) to logits (b, ..., code).
Ask = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def decided(
    ask: Ask, codes: torch.Tensor, masked: torch.Tensor, generator: torch.Generator, evaluations: int, s: MaskedSettings
) -> torch.Tensor:
    """Codes (b, ...), of which the masked ones (b, ...) are drawn, in so many evaluations.

    How many are left masked falls as a cosine: few are decided at first, when little is known of the others.
    """
    whole(evaluations, "evaluations", 1)
    shape, count = codes.shape, masked.flatten(1).sum(dim=1, keepdim=True)
    for number in range(1, evaluations + 1):
        drawn, chance = drawn_from(ask(codes, masked) / s.temperature, generator)
        codes = torch.where(masked, drawn, codes)
        if number == evaluations:
            break
        left = (count * math.cos(math.pi / 2 * number / evaluations)).floor()
        luck = torch.rand(masked.shape, generator=generator, device=masked.device).clamp(min=LEAST).flatten(1)
        if s.order == "random":
            rank = luck
        else:  # Gumbel noise on the logarithm of the chance, ever less
            rank = chance.flatten(1) - s.choice * (1 - number / evaluations) * (-luck.log()).log()
        place = rank.masked_fill(~masked.flatten(1), math.inf).argsort(dim=1).argsort(dim=1)
        masked = (place < left).reshape(shape)
    return codes


def drawn_from(logits: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A code for each row of logits (..., code) by its chance, and the logarithm of that : (...)."""
    chances = functional.softmax(logits, dim=-1)
    until = chances.cumsum(dim=-1)
    luck = torch.rand(logits.shape[:-1], generator=generator, device=logits.device)[..., None] * until[..., -1:]
    drawn = (until <= luck).sum(dim=-1).clamp(max=logits.shape[-1] - 1)  # rounded, a number may be 1
    return drawn, chances.gather(-1, drawn[..., None])[..., 0].log()
