"""Convolutional blocks with feature-wise modulation (FiLM: Perez et al. 2018), for pixels and for latents."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from sciworld.models.attention import CrossAttention

GROUPS = 8


class Block(nn.Module):
    """Residual block, (b, width, y, x) to the same; an embedding (b, embedding), if any, acts inside.

    It starts as the identity, so that deep stacks train from the first step.

    injection : "film", the embedding scales and shifts; "add", it shifts alone; "attention", it scales and shifts, and
    every place attends to tokens (b, token, embedding) as well. kernel : of the convolutions, 1 where there is no grid.
    """

    def __init__(self, width: int, embedding: int = 0, *, kernel: int = 3, injection: str = "film") -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, width)
        self.conv1 = nn.Conv2d(width, width, kernel, padding=kernel // 2)
        self.norm2 = nn.GroupNorm(GROUPS, width)
        self.conv2 = nn.Conv2d(width, width, kernel, padding=kernel // 2)
        self.shifts_alone = injection == "add"
        self.film = nn.Linear(embedding, width if self.shifts_alone else 2 * width) if embedding else None
        self.cross = CrossAttention(width, embedding) if embedding and injection == "attention" else None
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(
        self, x: torch.Tensor, embedding: torch.Tensor | None = None, tokens: torch.Tensor | None = None
    ) -> torch.Tensor:
        if self.cross is not None and tokens is not None:
            x = x + self.cross(x, tokens)
        h = self.norm2(self.conv1(functional.silu(self.norm1(x))))
        if self.film is not None and embedding is not None:
            told = self.film(functional.silu(embedding))[:, :, None, None]
            if self.shifts_alone:
                h = h + told
            else:
                scale, shift = told.chunk(2, dim=1)
                h = h * (1 + scale) + shift
        return x + self.conv2(functional.silu(h))


class Encoder(nn.Module):
    """Images (b, channels, y, x) to features (b, width, y / patch, x / patch), with one coarser level inside.

    The coarser level, at half the resolution, lets every feature see the surroundings; images of one pixel have none.
    """

    def __init__(self, channels: int, width: int, coarse: int, blocks: int, patch: int, kernel: int = 3) -> None:
        super().__init__()
        self.patch, self.flat = patch, kernel == 1
        self.enter = nn.Conv2d(channels * patch**2, width, kernel, padding=kernel // 2)
        self.fine = nn.ModuleList(Block(width, kernel=kernel) for _ in range(blocks))
        if not self.flat:
            self.down = nn.Conv2d(width, coarse, 2, stride=2)
            self.middle = nn.ModuleList(Block(coarse) for _ in range(blocks))
            self.up = nn.ConvTranspose2d(coarse, width, 2, stride=2)
            self.mix = nn.Conv2d(2 * width, width, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.enter(patches(images, self.patch))
        for block in self.fine:
            x = block(x)
        if self.flat:
            return x
        h = self.down(x)
        for block in self.middle:
            h = block(h)
        mixed: torch.Tensor = self.mix(torch.cat([x, self.up(h)], dim=1))
        return mixed


class Decoder(nn.Module):
    """Features of the context, and images that ask (maps, a noised frame), if any, to images (b, out, y, x)."""

    def __init__(
        self, channels: int, out: int, width: int, blocks: int, embedding: int, patch: int, *, kernel: int = 3,
        injection: str = "film",
    ) -> None:  # fmt: skip
        super().__init__()
        self.patch = patch
        self.enter = nn.Conv2d(channels * patch**2, width, kernel, padding=kernel // 2) if channels else None
        self.blocks = nn.ModuleList(Block(width, embedding, kernel=kernel, injection=injection) for _ in range(blocks))
        self.norm = nn.GroupNorm(GROUPS, width)
        self.leave = nn.Conv2d(width, out * patch**2, kernel, padding=kernel // 2)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(
        self, features: torch.Tensor, images: torch.Tensor, embedding: torch.Tensor, tokens: torch.Tensor | None = None
    ) -> torch.Tensor:
        x = features if self.enter is None else features + self.enter(patches(images, self.patch))
        for block in self.blocks:
            x = block(x, embedding, tokens)
        return functional.pixel_shuffle(self.leave(functional.silu(self.norm(x))), self.patch)


def moved(images: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """Images (b, c, y, x), each pixel taken from where it was: displacement (b, 2, y, x), columns and rows, in pixels.

    Between pixels bilinearly; beyond the edge there is more of the edge.
    """
    rows, cols = images.shape[2:]
    row = torch.arange(rows, device=images.device, dtype=images.dtype)[:, None]
    col = torch.arange(cols, device=images.device, dtype=images.dtype)
    x = (col - displacement[:, 0]) * (2 / (cols - 1)) - 1
    y = (row - displacement[:, 1]) * (2 / (rows - 1)) - 1
    grid = torch.stack([x, y], dim=-1)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=True)


def patches(images: torch.Tensor, patch: int) -> torch.Tensor:
    """Images (b, c, y, x) to (b, c patch^2, y / patch, x / patch), channels last in memory: faster on CPUs."""
    return functional.pixel_unshuffle(images, patch).contiguous(memory_format=torch.channels_last)
