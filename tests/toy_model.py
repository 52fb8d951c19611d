"""A tiny diffusion model of the toy domain, and batches to train and ask it with."""

from __future__ import annotations

import numpy as np
import torch
import toy

from sciworld.controls import ColumnTable
from sciworld.models.base import Signature
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.windows import Batch

SIGNATURE = Signature(
    shape=(toy.Y, toy.X, 2),
    channels=toy.CHANNELS,
    controls=toy.CONTROLS,
    covariates=ColumnTable(()),
    mean=(25.0, 300.4),
    scale=(25.0, 0.3),
    control_mean=(2.5, 1.7, 0.0),
    control_scale=(1.6, 1.0, 1.0),
    view_step=toy.PITCH,
)
TINY = {"width": 16, "coarse": 16, "embedding": 16, "decoder_blocks": 1}


def tiny(seed: int = 0, trained: bool = True, **settings: int | float) -> Diffusion:
    """A model from `seed`; `trained` means that no weight is zero, as they are at first where it leaves."""
    torch.manual_seed(seed)
    model = Diffusion(SIGNATURE, DiffusionSettings(**{**TINY, **settings}))  # type: ignore[arg-type]
    if trained:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))
    return model.eval()


def batch(b: int = 6, t: int = 2, seed: int = 0, seconds: float = 1.0) -> Batch:
    """Windows of t frames of blobs under random fans, as tensors."""
    rng = np.random.default_rng(seed)
    positions = [rng.uniform([0, 0], [toy.WIDTH, toy.HEIGHT], (b, 2))]
    controls = toy.SPACE.sample(rng, (b, t - 1))
    for step in range(t - 1):
        positions.append(toy.advance(positions[-1], controls[:, step], seconds))
    return Batch(
        frames=toy.render(np.stack(positions, axis=1), np.ones((b, t))),
        controls=controls.astype(np.float32),
        time=np.tile(np.arange(t) * seconds, (b, 1)),
        view=np.tile(toy.VIEW, (b, t, 1)),
        covariates=np.zeros((b, 0), dtype=np.float32),
        index=np.arange(b),
    ).to("cpu")
