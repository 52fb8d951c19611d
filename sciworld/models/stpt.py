"""The spatial-temporal patchwise transformer of WorldDreamer (Wang et al. 2024, arXiv:2401.09985): every frame of a
window looks at every other, at once, and what is asked for may lie anywhere in it.

Attention stays within a quarter of the frame, over all frames; convolutions over space and time carry what leaves it,
and every place looks at what is told of the whole, by cross-attention.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from sciworld.models.attention import attended, heads_of, joined

STRIDE = 2  # pieces along each side of the frame, within which attention stays
THROUGH = 3  # frames and places along each axis of a convolution


class PatchwiseBlock(nn.Module):
    """Tokens (b, t, y, x, width) to the same, told tokens (b, told, embedding), if there are any."""

    def __init__(self, width: int, embedding: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.heads, self.stride = heads_of(width), stride
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.through = nn.Conv3d(width, width, THROUGH, padding=THROUGH // 2)
        self.within = nn.Linear(width, 3 * width)
        self.found = nn.Linear(width, width)
        self.ask = nn.Linear(width, width)
        self.tell = nn.Linear(embedding, 2 * width)
        self.heard = nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor, told: torch.Tensor | None) -> torch.Tensor:
        carried = self.through(self.norms[0](x).permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)
        x = x + functional.gelu(carried, approximate="tanh")
        pieces = self._pieces(self.norms[1](x))
        query, key, value = self.within(pieces).chunk(3, dim=2)
        x = x + self._whole(self.found(joined(attended(query, key, value, self.heads))), x.shape)
        if told is not None:
            key, value = self.tell(told).chunk(2, dim=2)
            query = self.ask(self.norms[2](x)).flatten(1, 3)
            x = x + self.heard(joined(attended(query, key, value, self.heads))).reshape(x.shape)
        return x + self.think(self.norms[3](x))

    def _pieces(self, x: torch.Tensor) -> torch.Tensor:
        """(b, t, y, x, width) to (b piece, t y/piece x/piece, width)."""
        b, t, rows, cols, width = x.shape
        down, along = self.stride
        x = x.reshape(b, t, down, rows // down, along, cols // along, width)
        return x.permute(0, 2, 4, 1, 3, 5, 6).reshape(b * down * along, -1, width)

    def _whole(self, pieces: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        b, t, rows, cols, width = shape
        down, along = self.stride
        pieces = pieces.reshape(b, down, along, t, rows // down, cols // along, width)
        return pieces.permute(0, 3, 1, 4, 2, 5, 6).reshape(shape)


class Patchwise(nn.Module):
    """A stack of blocks over tokens (b, t, place, width) of at most `frames` frames, whose places and times it knows
    apart. Ends normalised."""

    def __init__(self, width: int, layers: int, grid: tuple[int, int], frames: int, embedding: int) -> None:
        super().__init__()
        self.grid = grid
        # A side that cannot be halved stays whole.
        stride = tuple(STRIDE if side % STRIDE == 0 else 1 for side in grid)
        self.places = nn.Parameter(0.02 * torch.randn(grid[0] * grid[1], width))
        self.times = nn.Parameter(0.02 * torch.randn(frames, 1, width))
        self.blocks = nn.ModuleList(PatchwiseBlock(width, embedding, (stride[0], stride[1])) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, told: torch.Tensor | None) -> torch.Tensor:
        x = (x + self.places + self.times[: x.shape[1]]).unflatten(2, self.grid)
        for block in self.blocks:
            x = block(x, told)
        found: torch.Tensor = self.norm(x).flatten(2, 3)
        return found
