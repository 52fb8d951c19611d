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
from sciworld.models.layers import Decoder, Encoder, moved
from sciworld.models.tokenizers.quantizers import Vectors

if TYPE_CHECKING:
    from sciworld.windows import Batch


@dataclass(frozen=True)
class LatentSettings:
    """The shape of encoder and decoder.

    Parameters
    ----------
    codes : how many actions there are. code_width : numbers that each stands for.
    context : frames before the next one that both see; with two or more the decoder knows how things went on before,
        and codes tell what is new of it.
    width : of the convolutions, twice that where they see coarsely. pixels : along the side of what they see.
    motion : the decoder may move the last frame, see DiffusionSettings.
    """

    codes: int = 8
    code_width: int = 4
    context: int = 1
    width: int = 48
    pixels: int = 2
    motion: bool = True

    def __post_init__(self) -> None:
        require(self.codes >= 2, f"codes is {self.codes}; one action tells nothing, use at least 2")
        for name in ("code_width", "context", "pixels"):
            value = getattr(self, name)
            require(value >= 1, f"{name} is {value}; use at least 1")
        require(self.width % 8 == 0 and self.width > 0, f"width is {self.width}; use a multiple of 8")


PRESETS = {"tiny": LatentSettings(), "small": LatentSettings(width=128), "base": LatentSettings(context=4, width=256)}
BLOCKS = 2  # that heed an action


class LatentActions(Learned):
    """What infers actions. See the module. Raises ModelError if the patches do not divide the frames."""

    role = "actions"
    family = "latent"
    Settings = LatentSettings
    presets = PRESETS
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, signature: Signature, settings: LatentSettings | None = None) -> None:
        super().__init__(signature)
        self._settings = s = settings or LatentSettings()
        y, x, channels = signature.shape
        least = 2 * s.pixels
        if y % least or x % least:
            raise ModelError(f"frames of {y} x {x} pixels: both must be multiples of {least}; crop or pad")
        self.context = s.context
        for name in ("mean", "scale"):
            self.register_buffer(name, torch.tensor(getattr(signature, name))[:, None, None], persistent=False)
        self.encoder = Encoder((s.context + 2) * channels, s.width, 2 * s.width, 1, s.pixels)
        self.narrow = nn.Linear(2 * s.width, s.code_width)
        self.quantizer = Vectors(s.codes, s.code_width)
        self.past = Encoder(s.context * channels, s.width, 2 * s.width, 1, s.pixels)
        self.tell = nn.Linear(s.code_width, s.width)
        # What the past is like as a whole, so that a code need not tell it.
        self.like = nn.Linear(2 * s.width, s.width)
        self.decoder = Decoder(0, channels + 2 * s.motion, s.width, BLOCKS, s.width, s.pixels)

    @property
    def settings(self) -> LatentSettings:
        """What it is rebuilt from."""
        return self._settings

    @classmethod
    def lengths(cls, settings: LatentSettings) -> tuple[int, int]:
        """Frames that both see, and the one after them."""
        return settings.context, 1

    def actions(self, frames: torch.Tensor) -> torch.Tensor:
        """The actions (b, t - 1) int64, from 0 on, between frames (b, t, y, x, channel) in their units, t at least 2.

        Each depends on the frames up to the one that it led to, `context` before that; what came before the first one
        is taken to be like it.
        """
        self._require(frames)
        b, t = frames.shape[:2]
        images = self._images(frames)
        images = torch.cat([images[:, :1].expand(-1, self.context - 1, -1, -1, -1), images], dim=1)
        windows = torch.stack([images[:, k : k + self.context + 1] for k in range(t - 1)], dim=1)
        return self.quantizer.numbers(self._said(windows.flatten(0, 1))).unflatten(0, (b, t - 1))

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Squared error of the next frame, normalised and weighed by `weights`, and what the codes need.

        parts : beside these the error that is left where the next frame is guessed to be the last, and the share of
        codes that are used.
        """
        self._require(batch.frames)
        images = self._images(batch.frames)
        chosen, _, quantized = self.quantizer.learned(self._said(images), generator)
        last, truth = images[:, -2], images[:, -1]
        past = self.past(images[:, :-1].flatten(1, 2))
        found = self.decoder(past, last, self.tell(chosen) + self.like(_pooled(past)))
        if self._settings.motion:
            found, displacement = found.split([last.shape[1], 2], dim=1)
            guess = moved(last, displacement) + found
        else:
            guess = last + found
        error, still = ((one - truth).square().mean(dim=1) for one in (guess, last))
        if weights is not None:
            error, still = error * weights, still * weights
        parts = {"guessed": error.mean(), "codes": quantized}
        total = torch.stack(list(parts.values())).sum()
        parts |= {"still": still.mean(), "codes_used": self.quantizer.alive()}
        return Losses(total, {"total": total.detach(), **{name: part.detach() for name, part in parts.items()}})

    def _require(self, frames: torch.Tensor) -> None:
        """Raise ModelError for frames of another shape, or too few of them."""
        self.signature.require(tuple(frames.shape[2:]), len(self.signature.controls), "actions")
        if frames.shape[1] < 2:
            raise ModelError(f"actions: {frames.shape[1]} frame; an action lies between two")

    def _said(self, images: torch.Tensor) -> torch.Tensor:
        """What the encoder says (b, code_width) of the last of images (b, context + 1, channel, y, x), before it is a
        code."""
        change = images[:, -1:] - images[:, -2:-1]
        asked = torch.cat([images, change], dim=1)
        # Beside it the same past if nothing happened: what a recording looks like is no action.
        still = torch.cat([images[:, :-1], images[:, -2:-1], torch.zeros_like(change)], dim=1)
        happened, looks = _pooled(self.encoder(torch.cat([asked, still]).flatten(1, 2))).chunk(2)
        said: torch.Tensor = self.narrow(happened - looks)
        return said

    def _images(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (b, t, y, x, channel) in their units to normalised images (b, t, channel, y, x)."""
        return (frames.to(torch.float32).movedim(4, 2) - self.mean) / self.scale


def _pooled(features: torch.Tensor) -> torch.Tensor:
    """The mean and the most of features (b, width, y, x) over all places : (b, 2 width)."""
    found = functional.silu(features)
    return torch.cat([found.mean(dim=(2, 3)), found.amax(dim=(2, 3))], dim=1)
