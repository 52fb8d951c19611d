"""The contract of a tokenizer: frames to codes and back, learned before the dynamics of the codes."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import torch

from sciworld.models.base import Learned, Losses, Signature

if TYPE_CHECKING:
    from sciworld.windows import Batch


class Tokenizer(Learned):
    """Learned codes of patches of frames. The code of a frame depends on it and on frames before it, never on later
    ones, and so does what comes back.

    Parameters
    ----------
    count : of codes. width : of the vectors that they stand for. grid : (y, x), places of a frame. parts : codes of a
    place. patch : pixels along the side of a place. recalls : frames before one that its codes depend on, and codes
    before its own that what comes back depends on.
    """

    role = "tokenizer"
    count: int
    width: int
    grid: tuple[int, int]
    parts: int
    patch: int
    recalls: int
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, signature: Signature, settings: Any = None) -> None:
        super().__init__(signature, settings)
        for name in ("mean", "scale"):
            self.register_buffer(name, torch.tensor(getattr(signature, name)))  # of the frames it was trained on

    @abstractmethod
    def learn(
        self, frames: torch.Tensor, generator: torch.Generator, weights: torch.Tensor | None = None
    ) -> tuple[Losses, torch.Tensor]:
        """The loss of frames (b, t, y, x, channel) in their units, weighed as in `loss`, and their codes."""

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """See `Learned.loss`."""
        return self.learn(batch.frames.to(torch.float32), generator, weights)[0]

    @abstractmethod
    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """Codes (b, t, *grid, part) int64 of frames (b, t, y, x, channel) in their units."""

    @abstractmethod
    def unquantized(self, images: torch.Tensor) -> torch.Tensor:
        """What is said of normalised frames (b, t, y, x, channel), before it is codes : (b, t, place, part, width)."""

    @abstractmethod
    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        """What codes (...) stand for : (..., width), of order one."""

    @abstractmethod
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Frames (b, t, y, x, channel) in their units, of codes (b, t, *grid, part)."""

    @property
    def digest(self) -> str:
        """A hash of everything that decides which codes a frame has: codes of another one mean something else."""
        found = hashlib.sha256(repr((self.family, self.settings, self.signature.shape)).encode())
        for name, value in sorted(self.state_dict().items()):
            found.update(name.encode() + value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return found.hexdigest()
