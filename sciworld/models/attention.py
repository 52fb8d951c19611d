"""Attention over places, over time, and to what a model is told (Vaswani et al. 2017, arXiv:1706.03762)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

HEAD = 16  # channels of a head, or the next more that divide the width
SLOWEST = 1000.0  # frames: the longest period of the rotary features of time, over 2 pi


def heads_of(width: int) -> int:
    """How many heads attend over so many channels."""
    return next(heads for heads in range(max(1, width // HEAD), 0, -1) if width % heads == 0)


class CrossAttention(nn.Module):
    """Every place of (b, width, y, x) looks at tokens (b, token, embedding); gives (b, width, y, x), at first zero."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.heads = heads_of(width)
        self.norm = nn.GroupNorm(1, width)
        self.ask = nn.Conv2d(width, width, 1)
        self.tell = nn.Linear(embedding, 2 * width)
        self.leave = nn.Conv2d(width, width, 1)
        _silent(self.leave)

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        b, width, rows, cols = x.shape
        query = self.ask(self.norm(x)).flatten(2).transpose(1, 2)
        key, value = self.tell(tokens).chunk(2, dim=2)
        seen = attended(query, key, value, self.heads)
        found: torch.Tensor = self.leave(joined(seen).transpose(1, 2).reshape(b, width, rows, cols))
        return found


class SpatialBlock(nn.Module):
    """A transformer block over the places of (b, width, y, x), modulated by an embedding (b, embedding).

    The modulation is that of DiT (Peebles and Xie 2023, arXiv:2212.09748, adaLN-Zero): it starts as the identity.
    """

    def __init__(self, width: int, embedding: int, injection: str = "film") -> None:
        super().__init__()
        self.heads = heads_of(width)
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.attend = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.modulate = nn.Linear(embedding, 6 * width)
        self.cross = CrossAttention(width, embedding) if injection == "attention" else None
        _silent(self.modulate)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor, tokens: torch.Tensor | None = None) -> torch.Tensor:
        b, width, rows, cols = x.shape
        if self.cross is not None and tokens is not None:
            x = x + self.cross(x, tokens)
        h = x.flatten(2).transpose(1, 2)
        scale1, shift1, gate1, scale2, shift2, gate2 = self.modulate(functional.silu(embedding))[:, None].chunk(
            6, dim=2
        )
        query, key, value = self.attend(self.norm1(h) * (1 + scale1) + shift1).chunk(3, dim=2)
        h = h + gate1 * self.mix(joined(attended(query, key, value, self.heads)))
        h = h + gate2 * self.think(self.norm2(h) * (1 + scale2) + shift2)
        return h.transpose(1, 2).reshape(b, width, rows, cols)


class TemporalAttention(nn.Module):
    """Every place looks at itself in other frames. Adds to (b, t, width, y, x), at first nothing.

    Times enter as differences (rotary embedding: Su et al. 2021, arXiv:2104.09864), so that a window may roll on.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = heads_of(width)
        self.norm = nn.GroupNorm(1, width)
        self.attend = nn.Conv2d(width, 3 * width, 1)
        self.leave = nn.Conv2d(width, width, 1)
        _silent(self.leave)

    def forward(
        self,
        x: torch.Tensor,
        earlier: torch.Tensor | None,
        times: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x with what it finds, and what it offers others: keys and values (b, t, 2 width, y, x).

        earlier : what s earlier frames offered (b, s, 2 width, y, x). times : of the frames (t,), and of the earlier
        and these (s + t,). mask : (t, s + t) bool, what each may look at.
        """
        b, t, width, rows, cols = x.shape
        made = self.attend(self.norm(x.flatten(0, 1))).reshape(b, t, 3 * width, rows, cols)
        query, offered = made[:, :, :width], made[:, :, width:]
        seen = offered if earlier is None else torch.cat([earlier, offered], dim=1)
        key, value = seen.chunk(2, dim=2)
        asked, keyed = (rotated(self._over_time(part), when) for part, when in zip((query, key), times, strict=True))
        found = functional.scaled_dot_product_attention(asked, keyed, self._over_time(value), attn_mask=mask)
        found = joined(found).reshape(b, rows, cols, t, width).permute(0, 3, 4, 1, 2)
        return x + self.leave(found.flatten(0, 1)).reshape(x.shape), offered

    def _over_time(self, x: torch.Tensor) -> torch.Tensor:
        """(b, t, width, y, x) to (b y x, head, t, channel)."""
        return split(x.permute(0, 3, 4, 1, 2).flatten(0, 2), self.heads)


def attended(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int) -> torch.Tensor:
    """What queries (b, n, width) find in keys and values (b, m, width) : (b, head, n, channel)."""
    return functional.scaled_dot_product_attention(split(query, heads), split(key, heads), split(value, heads))


def split(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(b, n, width) to (b, head, n, channel)."""
    b, n, width = x.shape
    return x.reshape(b, n, heads, width // heads).transpose(1, 2)


def joined(x: torch.Tensor) -> torch.Tensor:
    """(b, head, n, channel) to (b, n, width)."""
    return x.transpose(1, 2).flatten(2)


def rotated(x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """x : (b, head, n, channel), its pairs of channels turned by angles proportional to times : (n,)."""
    half = x.shape[3] // 2
    rates = SLOWEST ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angles = times[:, None].to(torch.float32) * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    one, other = x[..., :half], x[..., half : 2 * half]
    return torch.cat([one * cos - other * sin, one * sin + other * cos, x[..., 2 * half :]], dim=3)


def _silent(layer: nn.Module) -> None:
    """A layer that gives nothing at first."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
