"""Which codes training hides from a masked model: what it learns to decide."""

from __future__ import annotations

import torch

from sciworld.models.masked_settings import MaskedSettings
from sciworld.models.tokenizers.base import Tokenizer


def drawn_masks(
    s: MaskedSettings, windows: tuple[int, int], tokenizer: Tokenizer, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """Which codes (b, t, place, part) of b windows of t frames are hidden: see MaskedSettings, from `least` on."""
    (b, t), (rows, cols), parts = windows, tokenizer.grid, tokenizer.parts

    def drawn(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, device=device)

    share = s.least + (1 - s.least) * drawn(b, 1, 1, 1)
    anything = drawn(b, t, rows * cols, parts) < share
    when = torch.arange(t, device=device)[:, None, None]
    predicted = anything & (when >= (1 if s.every else s.context))
    predicted = torch.where(drawn(b, 1, 1, 1) < s.whole, when >= s.context, predicted)
    kind = drawn(b, 1, 1, 1)
    corner, opposite = drawn(2, b, 2).sort(dim=0).values  # of a rectangle
    inside = [
        (place >= corner[:, axis, None]) & (place < opposite[:, axis, None])
        for axis, place in enumerate((torch.arange(n, device=device) + 0.5) / n for n in (rows, cols))
    ]
    region = (inside[0][:, :, None] & inside[1][:, None]).flatten(1)[:, None, :, None].expand(b, t, -1, parts)
    return torch.where(kind < s.region, region, torch.where(kind < s.region + s.anything, anything, predicted))
