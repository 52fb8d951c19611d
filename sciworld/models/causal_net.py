"""The network of the causal model: places mix within a frame, and each place looks back at itself in earlier frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from sciworld.models.attention import SpatialBlock, TemporalAttention
from sciworld.models.layers import GROUPS, Block, patches


@dataclass(frozen=True)
class Asked:
    """Frames as the network is shown them.

    Parameters
    ----------
    images : (b, t, channel, y, x). embedding : (b, t, embedding). tokens : (b, t, token, embedding) or None.
    times : (t,), in frames.
    """

    images: torch.Tensor
    embedding: torch.Tensor
    tokens: torch.Tensor | None
    times: torch.Tensor


@dataclass(frozen=True)
class Past:
    """What earlier frames offer: keys and values (b, layer, s, 2 width, y, x), and their times (s,)."""

    offered: torch.Tensor
    times: torch.Tensor


class CausalNet(nn.Module):
    """Frames (b, t, channel, y, x) to (b, t, out, y, x); frames see what a mask allows of each other and of the past.

    One fine level mixes neighbours by convolutions; a coarse one, at half the resolution, holds the layers that look
    back, each a convolution ("conv") or attention over all places ("attention", as in DiT), then attention over time.
    Latents without a grid have one level of plain layers.
    """

    def __init__(
        self, channels: int, out: int, width: int, coarse: int, *, blocks: int, layers: int, embedding: int, patch: int,
        flat: bool, backbone: str, injection: str, checkpointing: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.patch, self.checkpointing = patch, checkpointing
        kernel, half = (1, 1) if flat else (3, 2)

        def block(size: int) -> Block:
            return Block(size, embedding, kernel=kernel, injection=injection)

        def mixer() -> nn.Module:
            attends = backbone == "attention" and not flat
            return SpatialBlock(coarse, embedding, injection) if attends else block(coarse)

        self.enter = nn.Conv2d(channels * patch**2, width, kernel, padding=kernel // 2)
        self.fine = nn.ModuleList(block(width) for _ in range(blocks))
        self.down = nn.Conv2d(width, coarse, half, stride=half)
        self.mixers = nn.ModuleList(mixer() for _ in range(layers))
        self.backs = nn.ModuleList(TemporalAttention(coarse) for _ in range(layers))
        self.up = nn.ConvTranspose2d(coarse, width, half, stride=half)
        self.mix = nn.Conv2d(2 * width, width, 1)
        self.last = nn.ModuleList(block(width) for _ in range(blocks))
        self.norm = nn.GroupNorm(GROUPS, width)
        self.leave = nn.Conv2d(width, out * patch**2, kernel, padding=kernel // 2)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(
        self, asked: Asked, past: Past | None, mask: torch.Tensor, answers: int
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Answers to the last `answers` frames, and what all of them offer later ones : (b, layer, t, 2 width, y, x).

        mask : (t, s + t) bool, which of the past's s frames and of these each may look at.
        """
        b, t = asked.images.shape[:2]
        told, tokens = asked.embedding.flatten(0, 1), None if asked.tokens is None else asked.tokens.flatten(0, 1)
        x = self.enter(patches(asked.images.flatten(0, 1), self.patch))
        for block in self.fine:
            x = self._run(block, x, told, tokens)
        h = self.down(x)
        times = asked.times if past is None else torch.cat([past.times, asked.times])
        offers = []
        for layer, (mixer, back) in enumerate(zip(self.mixers, self.backs, strict=True)):
            h = self._run(mixer, h, told, tokens).unflatten(0, (b, t))
            h, offered = back(h, None if past is None else past.offered[:, layer], (asked.times, times), mask)
            h = h.flatten(0, 1)
            offers.append(offered)
        if not answers:
            return None, torch.stack(offers, dim=1)

        def picked(whole: torch.Tensor) -> torch.Tensor:
            return whole.unflatten(0, (b, t))[:, t - answers :].flatten(0, 1)

        x, told, tokens = picked(x), picked(told), None if tokens is None else picked(tokens)
        x = self.mix(torch.cat([x, self.up(picked(h))], dim=1))
        for block in self.last:
            x = self._run(block, x, told, tokens)
        found = functional.pixel_shuffle(self.leave(functional.silu(self.norm(x))), self.patch)
        return found.unflatten(0, (b, answers)), torch.stack(offers, dim=1)

    def _run(
        self, block: nn.Module, x: torch.Tensor, embedding: torch.Tensor, tokens: torch.Tensor | None
    ) -> torch.Tensor:
        """block(x, embedding, tokens); with checkpointing its insides are computed again for the gradient."""
        if self.checkpointing and torch.is_grad_enabled():
            found: torch.Tensor = checkpoint(block, x, embedding, tokens, use_reentrant=False)
        else:
            found = block(x, embedding, tokens)
        return found
