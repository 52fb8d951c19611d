"""Frames as rows of patches, and back."""

from __future__ import annotations

import torch


def pieces_of(images: torch.Tensor, patch: int) -> torch.Tensor:
    """Images (b, t, y, x, channel) to patches (b, t, place, pixel), row by row."""
    b, t, y, x, channels = images.shape
    found = images.reshape(b, t, y // patch, patch, x // patch, patch, channels).transpose(3, 4)
    return found.reshape(b, t, (y // patch) * (x // patch), -1)


def whole_of(pieces: torch.Tensor, grid: tuple[int, int], patch: int) -> torch.Tensor:
    """Patches (b, t, place, pixel) of a grid (y, x) to images (b, t, y, x, channel)."""
    (b, t), (rows, cols) = pieces.shape[:2], grid
    found = pieces.reshape(b, t, rows, cols, patch, patch, -1).transpose(3, 4)
    return found.reshape(b, t, rows * patch, cols * patch, -1)
