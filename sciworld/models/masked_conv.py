"""A masked model's backbone for few recordings: convolutions see the past and the controls once a frame, and find the
mean of what comes; a transformer over the places of one frame decides codes in the light of it, and of what the
tokenizer would make of it.

What a beam does depends on how it lies to an atom, wherever both are: convolutions know that from the first step, and
transformers over patches must learn it everywhere anew.
"""

from __future__ import annotations

import torch
from torch import nn

from sciworld.models.base import Signature
from sciworld.models.conditioning import Conditioning
from sciworld.models.layers import Decoder, Encoder, moved
from sciworld.models.masked_net import Ahead, CodeNet, Past, Told
from sciworld.models.masked_settings import MaskedSettings
from sciworld.models.patches import pieces_of
from sciworld.models.spacetime import SpaceTime, causal
from sciworld.models.tokenizers.base import Tokenizer

BLOCKS = 2  # of the convolutions that heed the controls


class ConvolvedNet(CodeNet):
    """The mean of the next frame, and features (b, 1, place, width) of its codes."""

    looks = True

    def __init__(self, signature: Signature, s: MaskedSettings, tokenizer: Tokenizer) -> None:
        super().__init__(s, tokenizer)
        self.channels = signature.shape[2]
        self.conditioning = Conditioning(
            signature, s.embedding, drawn=s.positions == "maps", apart=False, reads=s.text == "words"
        )
        self.expected = tokenizer.unquantized
        self.motion = s.motion
        self.encoder = Encoder(s.context * self.channels, s.fine, 2 * s.fine, 1, s.pixels)
        found = self.channels + 2 * s.motion
        self.decoder = Decoder(self.conditioning.maps, found, s.fine, BLOCKS, s.embedding, s.pixels)
        self.hint = nn.Linear(2 * self.channels * self.patch**2 + self.parts * tokenizer.width, s.width)
        self.net = SpaceTime(s.width, s.layers, self.grid[0] * self.grid[1])

    def learned(
        self, past: Past, vectors: torch.Tensor, masked: torch.Tensor, told: Told
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        context = past.images.shape[1]
        change, hints = self._seen(past, told.frames(context))
        whole = torch.ones(len(change), dtype=torch.bool, device=change.device)
        return self(vectors[:, context:], masked[:, context:], hints), change, whole

    def ahead(self, past: Past, told: Told) -> Ahead:
        _, hints = self._seen(past, told)
        return lambda vectors, masked: self(vectors, masked, hints)

    def mean(self, past: Past, told: Told) -> torch.Tensor:
        return self._changed(past, told)

    def forward(self, vectors: torch.Tensor, masked: torch.Tensor, hints: torch.Tensor) -> torch.Tensor:
        """Features (b, 1, place, width) of codes' vectors, see `shown`, and `hints`, see `_seen`."""
        x = self.shown(vectors, masked) + hints
        found: torch.Tensor = self.net(x, causal(1, 1, x.device))[0]
        return found

    def _changed(self, past: Past, told: Told) -> torch.Tensor:
        """The change of the mean (b, 1, y, x, channel)."""
        images, controls = past.images.movedim(4, 2), told.controls[:, 0]
        embedded, _ = self.conditioning.embed(controls, controls.new_zeros(len(controls)), told.view, told.covariates)
        maps = self.conditioning.draw(controls, told.view)
        change = self.decoder(self.encoder(images.flatten(1, 2)), maps, embedded)
        if self.motion:
            last = images[:, -1]
            change, displacement = change.split([self.channels, 2], dim=1)
            change = change + moved(last, displacement) - last
        return change.movedim(1, 3)[:, None]

    def _seen(self, past: Past, told: Told) -> tuple[torch.Tensor, torch.Tensor]:
        """The change of the mean, and what the places are told (b, 1, place, width)."""
        change, last = self._changed(past, told), past.images[:, -1:]
        # The codes of windows are noisy: through what they ask for, convolutions would not come to heed controls.
        mean = change.detach()
        with torch.no_grad():
            expected = self.expected(last + mean).flatten(3)
        return change, self.hint(torch.cat([pieces_of(torch.cat([last, mean], 4), self.patch), expected], dim=3))
