"""A peer of the contest: diffusion for world modelling after DIAMOND, written from its paper.

Alonso et al. 2024, "Diffusion for world modeling: visual details matter in Atari", arXiv:2405.12399, sections 2.2 and
3.1 and appendix on hyperparameters; preconditioning and schedule as in Karras et al. 2022, arXiv:2206.00364, table 1.
Two things differ, both by the contract that all entrants share: of past actions it sees the last one alone, since a
start knows frames and no controls, and its widths are small, so that it learns on a CPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from contest_peers import Peer, Seen, weighed
from sciworld.config import require
from sciworld.errors import ModelError
from sciworld.models.base import Losses, Signature
from sciworld.models.layers import Block
from sciworld.windows import Batch

DATA = 0.5  # standard deviation of what is denoised
MEAN, DEVIATION = -0.4, 1.2  # of the logarithm of the noise levels of training
LOWEST, HIGHEST, RHO = 2e-3, 5.0, 7.0  # of the schedule of sampling


@dataclass(frozen=True)
class DiamondSettings:
    """context : past frames seen. widths : channels at each level of the U-Net, each at half the resolution of the one
    before. blocks : a level, on the way down and on the way up. embedding : width of that of actions and noise."""

    context: int = 4
    widths: tuple[int, ...] = (24, 48, 64)
    blocks: int = 1
    embedding: int = 64

    def __post_init__(self) -> None:
        require(self.context >= 1 and self.blocks >= 1, "context and blocks: use at least 1")
        require(len(self.widths) > 0 and all(w % 8 == 0 for w in self.widths), "widths must be multiples of 8")


PRESETS = {"tiny": DiamondSettings()}


class Diamond(Peer):
    """EDM in pixels on (noised next frame, past frames), actions and noise level through adaptive group norm.

    Raises ModelError where the levels do not divide the frames.
    """

    family = "diamond"
    Settings = DiamondSettings
    presets = PRESETS
    frequencies: torch.Tensor

    def __init__(self, signature: Signature, settings: DiamondSettings | None = None) -> None:
        s = settings or DiamondSettings()
        super().__init__(signature, s)
        rows, columns, channels = signature.shape
        factor = 2 ** (len(s.widths) - 1)
        if rows % factor or columns % factor:
            raise ModelError(f"frames of {rows} x {columns} pixels: both must be multiples of {factor}; crop or pad")
        self.actions = nn.Sequential(
            nn.Linear(self.count(), s.embedding), nn.SiLU(), nn.Linear(s.embedding, s.embedding)
        )
        self.register_buffer("frequencies", torch.randn(s.embedding // 2))
        self.mix = nn.Sequential(nn.Linear(s.embedding, s.embedding), nn.SiLU(), nn.Linear(s.embedding, s.embedding))
        self.network = UNet((s.context + 1) * channels, channels, s)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Squared error of the network's output, whose target has unit variance at every noise level."""
        state, target, controls = self.given(batch)
        clean = DATA * target[:, 0]
        draw = torch.randn(len(clean), generator=generator, device=clean.device)
        level = torch.exp(MEAN + DEVIATION * draw)[:, None, None, None]
        noised = clean + level * torch.randn(clean.shape, generator=generator, device=clean.device)
        skip, out, _ = scales(level)
        found = self._network(state, controls[:, 0], noised, level)
        return weighed((found - (clean - skip * noised) / out).square(), weights)

    def ahead(
        self, state: Seen, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int
    ) -> tuple[torch.Tensor, Seen]:
        """Euler's method down the schedule; the mean, one evaluation, is what it sees in nothing but noise."""
        channels = self.signature.shape[2]
        levels = schedule(evaluations)
        frame = torch.zeros_like(state.frames[:, :channels])
        if evaluations > 1:
            frame = levels[0] * torch.randn(frame.shape, generator=generator, device=frame.device)
        for level, lower in zip(levels, [*levels[1:], 0.0], strict=True):
            noise = frame.new_full((len(frame), 1, 1, 1), level)
            skip, out, _ = scales(noise)
            clean = skip * frame + out * self._network(state, controls, frame, noise)
            frame = clean + (frame - clean) * (lower / level)
        frame = frame / DATA
        return frame, Seen(torch.cat([state.frames[:, channels:], frame], dim=1), state.view)

    def _network(self, state: Seen, controls: torch.Tensor, noised: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        angles = 2 * math.pi * (level.flatten().log() / 4)[:, None] * self.frequencies
        features = torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
        embedding = self.mix(features + self.actions(self.told(controls, state.view)))
        shown: torch.Tensor = self.network(torch.cat([scales(level)[2] * noised, state.frames], dim=1), embedding)
        return shown


class UNet(nn.Module):
    """Images (b, channels, y, x) to (b, out, y, x), every block modulated by an embedding (b, embedding)."""

    def __init__(self, channels: int, out: int, s: DiamondSettings) -> None:
        super().__init__()
        widths = s.widths
        self.enter = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_blocks(width, s) for width in widths)
        pairs = list(pairwise(widths))
        self.narrow = nn.ModuleList(nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairs)
        self.widen = nn.ModuleList(nn.Conv2d(coarse + fine, fine, 3, padding=1) for fine, coarse in pairs)
        self.up = nn.ModuleList(_blocks(fine, s) for fine, _ in pairs)
        self.norm = nn.GroupNorm(8, widths[0])
        self.leave = nn.Conv2d(widths[0], out, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        x = self.enter(images.contiguous(memory_format=torch.channels_last))
        kept = []
        for level, blocks in enumerate(self.down):
            x = self.narrow[level - 1](x) if level else x
            for block in blocks:
                x = block(x, embedding)
            kept.append(x)
        for level in reversed(range(len(self.up))):
            wide = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.widen[level](torch.cat([wide, kept[level]], dim=1))
            for block in self.up[level]:
                x = block(x, embedding)
        found: torch.Tensor = self.leave(functional.silu(self.norm(x)))
        return found


def _blocks(width: int, s: DiamondSettings) -> nn.ModuleList:
    return nn.ModuleList(Block(width, s.embedding) for _ in range(s.blocks))


def scales(level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """c_skip, c_out and c_in of noise levels, any shape (Karras, table 1)."""
    total = level.square() + DATA**2
    return DATA**2 / total, level * DATA / total.sqrt(), 1 / total.sqrt()


def schedule(evaluations: int) -> list[float]:
    """Noise levels from the highest to the lowest (Karras, equation 5); of one evaluation the highest."""
    high, low = HIGHEST ** (1 / RHO), LOWEST ** (1 / RHO)
    return [(high + i / max(evaluations - 1, 1) * (low - high)) ** RHO for i in range(evaluations)]
