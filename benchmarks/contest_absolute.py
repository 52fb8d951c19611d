"""Diffusion without its residual: what an ablation holds the family against."""

from __future__ import annotations

import torch

from sciworld.models.diffusion import Diffusion, DiffusionState
from sciworld.models.schedules import preconditioned


class Absolute(Diffusion):
    """Its network gives the next frame itself, not the change of the last one; for settings without motion."""

    family = "absolute"

    def denoised(
        self,
        state: DiffusionState,
        controls: torch.Tensor,
        known: torch.Tensor | None,
        noised: torch.Tensor,
        level: torch.Tensor,
    ) -> torch.Tensor:
        """See `Denoiser.denoised`: what the last frame adds to it is taken away again."""
        last = state.latents[:, -noised.shape[1] :]
        nothing = torch.zeros_like(last)
        return super().denoised(state, controls, known, noised, level) - preconditioned(nothing, nothing, last, level)
