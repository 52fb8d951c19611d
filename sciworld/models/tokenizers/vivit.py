"""ST-ViViT: codes of patches by transformers over space and time, causal in time (Bruce et al. 2024, arXiv:2402.15391,
section 2.1; Villegas et al. 2023, arXiv:2210.02399). What the codes are is a setting: learned vectors, or a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from sciworld.config import require, whole
from sciworld.errors import ModelError
from sciworld.models.base import Losses, Signature
from sciworld.models.denoising import LARGEST_SIZE
from sciworld.models.patches import pieces_of, whole_of
from sciworld.models.spacetime import SpaceTime, causal
from sciworld.models.tokenizers.base import Tokenizer
from sciworld.models.tokenizers.quantizers import Levels, Quantizer, Vectors

MOST_CODES = 2**20


@dataclass(frozen=True)
class ViViTSettings:
    """The shape of encoder and decoder, and of the codes.

    Parameters
    ----------
    patch : pixels along the side of a place. parts : codes of each place. frames : of a window of training.
    window : frames that each looks at, itself among them; with 1 every frame has codes of its own.
    width : of the transformers. layers : of each of both. codes : how many vectors are learned, of how many numbers
    each: `code_width`. levels : of each axis of a grid, in place of learned vectors; none for these.
    """

    patch: int = 8
    parts: int = 16
    frames: int = 2
    window: int = 1
    width: int = 96
    layers: int = 2
    levels: tuple[int, ...] = (4, 4, 4)
    codes: int = 1024
    code_width: int = 32

    def __post_init__(self) -> None:
        for name in ("patch", "parts", "frames", "window", "layers", "code_width"):
            whole(getattr(self, name), name, 1, LARGEST_SIZE)
        whole(self.codes, "codes", 2, MOST_CODES)
        require(self.window <= self.frames, f"window is {self.window} frames, of {self.frames} that training sees")
        require(self.width % 8 == 0 and self.width > 0, f"width is {self.width}; use a multiple of 8")
        require(all(n >= 2 for n in self.levels), f"levels are {self.levels}; an axis has at least 2")
        count = math.prod(self.levels)
        require(count <= MOST_CODES, f"levels are {self.levels}, {count} codes; use at most {MOST_CODES}")


PRESETS = {
    "tiny": ViViTSettings(),
    "vectors": ViViTSettings(levels=(), codes=64, code_width=8),
    "small": ViViTSettings(frames=8, window=8, width=256, layers=4),
    "base": ViViTSettings(frames=16, window=16, width=384, layers=6),
    "genie-coinrun": ViViTSettings(
        patch=4, parts=1, frames=16, window=16, width=512, layers=8, levels=(), codes=1024, code_width=32
    ),
}


class ViViT(Tokenizer):
    """A tokenizer of transformers. See the module. Raises ModelError if the patches do not divide the frames."""

    family = "vivit"
    Settings = ViViTSettings
    presets = PRESETS
    context = 1

    def __init__(self, signature: Signature, settings: ViViTSettings | None = None) -> None:
        super().__init__(signature, settings)
        self._settings = s = settings or ViViTSettings()
        y, x, channels = signature.shape
        if y % s.patch or x % s.patch:
            raise ModelError(f"frames of {y} x {x} pixels: both must be multiples of {s.patch}; crop or pad")
        self.patch, self.grid, self.recalls = s.patch, (y // s.patch, x // s.patch), s.layers * (s.window - 1)
        self.quantizer: Quantizer = Levels(s.levels) if s.levels else Vectors(s.codes, s.code_width)
        self.count, self.width, self.parts = self.quantizer.count, self.quantizer.width, s.parts
        pixels, places = channels * s.patch**2, self.grid[0] * self.grid[1]
        self.enter, self.leave = nn.Linear(pixels, s.width), nn.Linear(s.width, pixels)
        self.encoder, self.decoder = (SpaceTime(s.width, s.layers, places) for _ in range(2))
        self.narrow, self.widen = nn.Linear(s.width, s.parts * self.width), nn.Linear(s.parts * self.width, s.width)

    @property
    def settings(self) -> ViViTSettings:
        return self._settings

    @classmethod
    def lengths(cls, settings: ViViTSettings) -> tuple[int, int]:
        return 1, settings.frames - 1

    def learn(
        self, frames: torch.Tensor, generator: torch.Generator, weights: torch.Tensor | None = None
    ) -> tuple[Losses, torch.Tensor]:
        """Squared error of normalised frames, weighed by `weights`, and what the codes need; and the codes.

        parts : beside these the root of the mean squared error of each channel, in its units, and the share of codes
        that are used.
        """
        self.signature.require(tuple(frames.shape[2:]), len(self.signature.controls))
        images = (frames - self.mean) / self.scale
        vectors, codes, quantized = self.quantizer.learned(self.unquantized(images), generator)
        error = (self._decoded(vectors) - images).square()
        plain = error.detach().mean(dim=(0, 1, 2, 3)).sqrt() * self.scale
        if weights is not None:
            error = error * weights[:, None, :, :, None]
        reconstructed = error.mean()
        parts = {"reconstructed": reconstructed.detach(), "codes": quantized.detach()}
        parts |= {f"rmse_{name}": plain[k] for k, name in enumerate(self.signature.channels.names)}
        parts["codes_used"] = self.quantizer.alive()
        return Losses(reconstructed + quantized, parts), codes.unflatten(2, self.grid)

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        with torch.autocast(frames.device.type, enabled=False):
            numbers = self.quantizer.numbers(self.unquantized((frames.to(torch.float32) - self.mean) / self.scale))
        return numbers.unflatten(2, self.grid)

    def vectors(self, codes: torch.Tensor) -> torch.Tensor:
        return self.quantizer.vectors(codes)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return self._decoded(self.vectors(codes.flatten(2, 3))) * self.scale + self.mean

    def unquantized(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.narrow(self._over_time(self.encoder, self.enter(pieces_of(images, self.patch))))
        return found.unflatten(3, (self.parts, self.width))

    def _decoded(self, vectors: torch.Tensor) -> torch.Tensor:
        pieces = self.leave(self._over_time(self.decoder, self.widen(vectors.flatten(3))))
        return whole_of(pieces, self.grid, self.patch)

    def _over_time(self, stack: SpaceTime, x: torch.Tensor) -> torch.Tensor:
        b, t = x.shape[:2]
        if self._settings.window == 1:  # no frame looks at another: they stand side by side
            x = x.flatten(0, 1)[:, None]
        found = stack(x, causal(x.shape[1], self._settings.window, x.device))[0]
        return found.reshape(b, t, *found.shape[2:])
