"""Latent actions: a few codes for what happens between frames, learned from video that has no controls.

An encoder sees both frames and may tell a decoder one code of a few; the decoder, which sees the past alone, must guess
the next frame with it. So the codes come to mean what the past does not tell (Bruce et al. 2024, arXiv:2402.15391,
section 2.1). The decoder serves training alone: a world model is then trained on the codes as on any other control.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from sciworld.config import require
from sciworld.errors import ModelError
from sciworld.models.base import Learned, Losses, Signature
from sciworld.models.patches import pieces_of
from sciworld.models.spacetime import SpaceTime, causal
from sciworld.models.tokenizers.quantizers import Vectors

if TYPE_CHECKING:
    from sciworld.windows import Batch


@dataclass(frozen=True)
class LatentSettings:
    """The shape of encoder and decoder.

    Parameters
    ----------
    codes : how many actions there are. code_width : numbers that each stands for.
    patch : pixels along the side of what is a token. frames : of a window of training; the decoder sees all but the
        last.
    width : of the transformers. layers : of each of both.
    """

    codes: int = 8
    code_width: int = 16
    patch: int = 4
    frames: int = 3
    width: int = 96
    layers: int = 2

    def __post_init__(self) -> None:
        require(self.codes >= 2, f"codes is {self.codes}; one action tells nothing, use at least 2")
        for name in ("code_width", "patch", "layers"):
            value = getattr(self, name)
            require(value >= 1, f"{name} is {value}; use at least 1")
        require(self.frames >= 2, f"frames is {self.frames}; an action lies between two")
        require(self.width % 8 == 0 and self.width > 0, f"width is {self.width}; use a multiple of 8")


PRESETS = {
    "tiny": LatentSettings(),
    "small": LatentSettings(frames=8, width=256, layers=4),
    "genie-coinrun": LatentSettings(code_width=32, frames=16, patch=16, width=512, layers=8),
}


class LatentActions(Learned):
    """What infers actions. See the module. Raises ModelError if the patches do not divide the frames."""

    role = "actions"
    family = "latent"
    Settings = LatentSettings
    presets = PRESETS
    context = 1
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, signature: Signature, settings: LatentSettings | None = None) -> None:
        super().__init__(signature)
        self._settings = s = settings or LatentSettings()
        y, x, channels = signature.shape
        if y % s.patch or x % s.patch:
            raise ModelError(f"frames of {y} x {x} pixels: both must be multiples of {s.patch}; crop or pad")
        for name in ("mean", "scale"):
            self.register_buffer(name, torch.tensor(getattr(signature, name)), persistent=False)
        pixels, places = channels * s.patch**2, (y // s.patch) * (x // s.patch)
        self.enter, self.show = nn.Linear(2 * pixels, s.width), nn.Linear(pixels, s.width)
        self.encoder, self.decoder = (SpaceTime(s.width, s.layers, places) for _ in range(2))
        self.narrow, self.tell = nn.Linear(s.width, s.code_width), nn.Linear(s.code_width, s.width)
        self.quantizer = Vectors(s.codes, s.code_width)
        self.leave = nn.Linear(s.width, pixels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    @property
    def settings(self) -> LatentSettings:
        """What it is rebuilt from."""
        return self._settings

    @classmethod
    def lengths(cls, settings: LatentSettings) -> tuple[int, int]:
        """One frame, and those after it."""
        return 1, settings.frames - 1

    def actions(self, frames: torch.Tensor) -> torch.Tensor:
        """The actions (b, t - 1) int64, from 0 on, between frames (b, t, y, x, channel) in their units, t at least 2.

        Each depends on the frames up to the one that it led to.
        """
        self._require(frames)
        return self.quantizer.numbers(self._said(self._pieces(frames)))

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Squared error of normalised frames after the first, weighed by `weights`, and what the codes need.

        parts : beside these the error that is left where the next frame is guessed to be the last, and the share of
        codes that are used.
        """
        self._require(batch.frames)
        pieces = self._pieces(batch.frames)
        chosen, _, quantized = self.quantizer.learned(self._said(pieces), generator)
        x = self.show(pieces[:, :-1]) + self.tell(chosen)[:, :, None]
        t = x.shape[1]
        found = self.leave(self.decoder(x, causal(t, t, x.device))[0])
        change = pieces[:, 1:] - pieces[:, :-1]
        error, still = ((change - found).square().mean(dim=3)), change.square().mean(dim=3)
        if weights is not None:
            weighed = functional.avg_pool2d(weights[:, None], self._settings.patch).flatten(2)
            error, still = error * weighed, still * weighed
        parts = {"guessed": error.mean(), "codes": quantized}
        total = torch.stack(list(parts.values())).sum()
        parts |= {"still": still.mean(), "codes_used": self.quantizer.alive()}
        return Losses(total, {"total": total.detach(), **{name: part.detach() for name, part in parts.items()}})

    def _require(self, frames: torch.Tensor) -> None:
        """Raise ModelError for frames of another shape, or too few of them."""
        self.signature.require(tuple(frames.shape[2:]), len(self.signature.controls), "actions")
        if frames.shape[1] < 2:
            raise ModelError(f"actions: {frames.shape[1]} frame; an action lies between two")

    def _said(self, pieces: torch.Tensor) -> torch.Tensor:
        """What the encoder says (b, t - 1, code_width) of each frame after the first, before it is a code."""
        t = pieces.shape[1]
        change = torch.cat([torch.zeros_like(pieces[:, :1]), pieces[:, 1:] - pieces[:, :-1]], dim=1)
        found = self.encoder(self.enter(torch.cat([pieces, change], dim=3)), causal(t, t, pieces.device))[0]
        said: torch.Tensor = self.narrow(found[:, 1:].mean(dim=2))
        return said

    def _pieces(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (b, t, y, x, channel) in their units to normalised patches (b, t, place, pixel)."""
        return pieces_of((frames.to(torch.float32) - self.mean) / self.scale, self._settings.patch)
