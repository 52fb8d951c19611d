"""Several frames at a time: how the noise levels of frames that are denoised together go down.

Diffusion forcing (Chen et al. 2024, arXiv:2407.01392, section 3.3) may give each frame any level at any pass. "full"
takes all frames down together; in a "pyramid" each frame is one level behind the one before it, so that what is near
is decided first, and what is far is decided knowing it. Beside them stands how a network at a noise level sees what is
noised and what its answer means (preconditioning, Karras et al. 2022, arXiv:2206.00364, section 5).
"""

from __future__ import annotations

import math

import torch

from sciworld.config import require

SCHEDULES = ("sequential", "full", "pyramid")


def levels_of(schedule: str, frames: int, levels: list[float]) -> list[list[float]]:
    """Noise levels of every frame before each pass, and after the last : (pass + 1, frames).

    levels : from infinity down; after the last of them comes 0.
    """
    require(schedule in SCHEDULES[1:], f"schedule is {schedule!r}; frames go down together in a full one or a pyramid")
    down = [*levels, 0.0]
    behind = 1 if schedule == "pyramid" else 0
    passes = len(levels) + behind * (frames - 1)
    return [
        [down[min(max(number - behind * frame, 0), len(levels))] for frame in range(frames)]
        for number in range(passes + 1)
    ]


def lowered(
    noised: torch.Tensor, clean: torch.Tensor, level: list[float], lower: list[float], generator: torch.Generator | None
) -> torch.Tensor:
    """Latents (b, t, c, y, x) noised at `level`, taken down to `lower`, one number a frame, given their clean estimate.

    Each by an ancestral step; without a generator the estimate itself stands for what is noised.
    """
    found = []
    for frame, (high, low) in enumerate(zip(level, lower, strict=True)):
        before, estimate, noise = noised[:, frame], clean[:, frame], None
        if low > 0 and low != high and generator is not None:
            noise = torch.randn(estimate.shape, generator=generator, device=estimate.device)
        found.append(before if low == high else ancestral(before, estimate, high, low, noise))
    return torch.stack(found, dim=1)


def ancestral(
    noised: torch.Tensor, clean: torch.Tensor, level: float, lower: float, noise: torch.Tensor | None
) -> torch.Tensor:
    """Latents noised at `level` taken down to `lower`, given their clean estimate, and noise of unit variance, if any.

    From infinity the noise is added to the estimate (Ho et al. 2020, arXiv:2006.11239, equations 6 and 7, in the
    variance-exploding form of Song et al. 2021, arXiv:2011.13456, appendix F).
    """
    kept = 0.0 if math.isinf(level) else (lower / level) ** 2
    found = kept * noised + (1 - kept) * clean if kept else clean
    return found if noise is None else found + lower * math.sqrt(1 - kept) * noise


def preconditioned(change: torch.Tensor, noised: torch.Tensor, last: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """The clean latent, from a network's `change`, the noised latent, the last one, and level (b,) or (b, t)."""
    skip = 1 / (1 + level.square()[..., None, None, None])
    return skip * noised + (1 - skip) * last + (1 - skip).sqrt() * change


def shown(noised: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Noised latents at unit variance, as a network sees them."""
    return noised * torch.rsqrt(1 + level.square()[..., None, None, None])
