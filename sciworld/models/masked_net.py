"""The network of the masked model: codes of frames, of which some are masked, to how likely each code is there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional

from sciworld.models.base import Signature
from sciworld.models.conditioning import Conditioning
from sciworld.models.masked_settings import MaskedSettings
from sciworld.models.patches import whole_of
from sciworld.models.spacetime import SpaceTime, causal
from sciworld.models.stpt import Patchwise
from sciworld.models.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class Told:
    """What the network is told of t frames.

    Parameters
    ----------
    controls : (b, t, control), which led to each, NaN if unknown. view : (b, 6).
    covariates : (b, covariate) or None, see `Conditioning.known`.
    """

    controls: torch.Tensor
    view: torch.Tensor
    covariates: torch.Tensor | None

    def frames(self, begin: int, end: int | None = None) -> Told:
        return replace(self, controls=self.controls[:, begin:end])


@dataclass(frozen=True)
class Past:
    """What the network sees of the frames before those that it is asked about.

    Parameters
    ----------
    images : (b, context, y, x, channel), normalised. vectors : (b, context, place, part, number) of their codes.
    told : of them.
    """

    images: torch.Tensor
    vectors: torch.Tensor
    told: Told


# Vectors of codes (b, k, place, part, number), and which are hidden (b, k, place, part), to features
# (b, k, place, width).
Ahead = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class CodeNet(nn.Module, ABC):
    """What every backbone has: codes go in, of which some are hidden, and how likely each code is comes out.

    `looks` : it sees frames of the past, not only their codes.
    """

    conditioning: Conditioning
    looks: bool

    def __init__(self, s: MaskedSettings, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.grid, self.patch, self.parts = tokenizer.grid, tokenizer.patch, tokenizer.parts
        self.enter = nn.Linear(self.parts * (tokenizer.width + 1), s.width)  # and whether each is hidden
        self.decide = nn.Linear(s.width, self.parts * tokenizer.count)

    @abstractmethod
    def learned(
        self, past: Past, vectors: torch.Tensor, masked: torch.Tensor, told: Told
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of windows of t frames, `past` their beginning: features (b, n, place, width) of the last n of them; the
        change of their mean (b, t - context, y, x, channel), normalised, from the last of the past; of which windows
        (b,) it is one, since all was hidden.
        """

    @abstractmethod
    def ahead(self, past: Past, told: Told) -> Ahead:
        """What finds features of the next frames, told what led to them."""

    @abstractmethod
    def mean(self, past: Past, told: Told) -> torch.Tensor:
        """The change of the mean of the next k frames (b, k, y, x, channel), normalised, from the last of the past."""

    def shown(self, vectors: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        """Vectors (b, t, place, part, number), but for masked ones (b, t, place, part), to (b, t, place, width)."""
        hidden = masked[..., None]
        entering = torch.cat([vectors.masked_fill(hidden, 0.0), hidden.to(vectors.dtype)], dim=4)
        found: torch.Tensor = self.enter(entering.flatten(3))
        return found

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Features (b, t, place, width) to logits (b, t, place, part, code)."""
        found: torch.Tensor = self.decide(features)
        return found.unflatten(3, (self.parts, -1))


class MaskedNet(CodeNet):
    """Codes (b, t, place, part) of the past and of what is asked for, of which some are masked, to features
    (b, t, place, width), and these to logits of the codes and changes of pixels.
    """

    looks = False

    def __init__(self, signature: Signature, s: MaskedSettings, tokenizer: Tokenizer) -> None:
        super().__init__(s, tokenizer)
        self.causal = s.backbone == "genie"
        drawn = s.positions == "maps"
        self.conditioning = Conditioning(
            signature, s.embedding, drawn=drawn, apart=not self.causal, reads=s.text == "words"
        )
        self.tell = nn.Linear(s.embedding, s.width)
        maps = self.conditioning.maps * self.patch**2
        self.show = nn.Linear(maps, s.width) if maps else None
        self.net: SpaceTime | Patchwise
        if self.causal:
            self.net = SpaceTime(s.width, s.layers, self.grid[0] * self.grid[1])
        else:
            self.net = Patchwise(s.width, s.layers, self.grid, s.context + s.chunk, s.embedding)
        self.change = nn.Linear(s.width, signature.shape[2] * self.patch**2)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(
        self, vectors: torch.Tensor, masked: torch.Tensor, told: Told, offered: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Features (b, t, place, width) of vectors (b, t, place, part, number), those at `masked` (b, t,
        place, part) hidden.

        offered : what earlier frames offer, see `past`; of a causal network.
        """
        x, tokens = self._seen(vectors, masked, told)
        if isinstance(self.net, Patchwise):
            found: torch.Tensor = self.net(x, tokens)
            return found
        t, earlier = x.shape[1], 0 if offered is None else offered.shape[2]
        features: torch.Tensor = self.net(x, causal(t, t + earlier, x.device, earlier), offered)[0]
        return features

    def learned(
        self, past: Past, vectors: torch.Tensor, masked: torch.Tensor, told: Told
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        context = past.images.shape[1]
        features = self(vectors, masked, told)
        whole = masked[:, context:].flatten(1).all(dim=1) & ~masked[:, :context].flatten(1).any(dim=1)
        return features, self.changes(features[:, context:]), whole

    def ahead(self, past: Past, told: Told) -> Ahead:
        if self.causal:  # what the past offers is found once
            offered = self.past(past.vectors, past.told)
            return lambda vectors, masked: self(vectors, masked, told, offered)
        clean = torch.zeros(past.vectors.shape[:4], dtype=torch.bool, device=past.vectors.device)
        every = replace(told, controls=torch.cat([past.told.controls, told.controls], dim=1))

        def around(vectors: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
            shown, hidden = torch.cat([past.vectors, vectors], dim=1), torch.cat([clean, masked], dim=1)
            found: torch.Tensor = self(shown, hidden, every)
            return found[:, -vectors.shape[1] :]

        return around

    def mean(self, past: Past, told: Told) -> torch.Tensor:
        b, k = told.controls.shape[:2]
        nothing = past.vectors.new_zeros((b, k, *past.vectors.shape[2:]))
        hidden = torch.ones(nothing.shape[:4], dtype=torch.bool, device=nothing.device)
        return self.changes(self.ahead(past, told)(nothing, hidden))

    def past(self, vectors: torch.Tensor, told: Told) -> torch.Tensor:
        """What frames that are known offer later ones, of a causal network."""
        nothing = torch.zeros(vectors.shape[:4], dtype=torch.bool, device=vectors.device)
        x, _ = self._seen(vectors, nothing, told)
        t = x.shape[1]
        offered: torch.Tensor = self.net(x, causal(t, t, x.device))[1]
        return offered

    def changes(self, features: torch.Tensor) -> torch.Tensor:
        """Features (b, t, place, width) to changes of normalised pixels (b, t, y, x, channel)."""
        return whole_of(self.change(features), self.grid, self.patch)

    def _seen(
        self, vectors: torch.Tensor, masked: torch.Tensor, told: Told
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the network sees (b, t, place, width), and tokens (b, told, embedding) beside it, if any."""
        b, t = vectors.shape[:2]
        x = self.shown(vectors, masked)
        controls = told.controls.flatten(0, 1)
        view = told.view.repeat_interleave(t, dim=0)
        known = None if told.covariates is None else told.covariates.repeat_interleave(t, dim=0)
        embedded, tokens = self.conditioning.embed(controls, controls.new_zeros(len(controls)), view, known)
        x = x + self.tell(embedded).unflatten(0, (b, t))[:, :, None]
        if self.show is not None:
            maps = functional.pixel_unshuffle(self.conditioning.draw(controls, view), self.patch)
            x = x + self.show(maps.flatten(2).transpose(1, 2)).unflatten(0, (b, t))
        return x, None if tokens is None else tokens.reshape(b, -1, tokens.shape[2])
