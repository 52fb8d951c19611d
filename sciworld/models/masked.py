"""Masked dynamics: the codes of the next frames, a few at a time, given those that are decided.

A network sees the past and the codes of the next frames that are known, and says how likely each code is in every
other place (MaskGIT: Chang et al. 2022, arXiv:2202.04200; of video under controls: Bruce et al. 2024,
arXiv:2402.15391). A sample decides more and more of them; an event, such as a hop of an atom, is then one choice among
codes, and what is decided later agrees with it. Beside them the network learns the mean frame of what it cannot decide:
the answer in one evaluation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from sciworld.errors import ModelError
from sciworld.models.base import Losses, Signature, WorldModel
from sciworld.models.conditioning import KINDS, Conditioning
from sciworld.models.masked_conv import ConvolvedNet
from sciworld.models.masked_hiding import drawn_masks
from sciworld.models.masked_net import MaskedNet, Past, Told
from sciworld.models.masked_sampling import Ask, decided
from sciworld.models.masked_settings import PRESETS, MaskedSettings
from sciworld.models.tokenizers.base import Tokenizer
from sciworld.models.tokenizers.vivit import ViViT

if TYPE_CHECKING:
    from sciworld.windows import Batch


@dataclass
class MaskedState:
    """The present of b candidates, and what is seen of their past.

    Parameters
    ----------
    frames : (b, context, y, x, channel) in their units. codes : (b, context, place, part) of them.
    led : (b, context, control), which controls led to each, NaN if unknown. view : (b, 6).
    covariates : (b, covariate) or None, see `Conditioning.known`.
    """

    frames: torch.Tensor
    codes: torch.Tensor
    led: torch.Tensor
    view: torch.Tensor
    covariates: torch.Tensor | None = None


class Masked(WorldModel):
    """A world model that decides codes of frames. See the module for its sources.

    Its tokenizer is a part of it: one that is trained before, see `adopt`, or along with it. Raises ModelError if the
    patches do not divide the frames.
    """

    family = "masked"
    Settings = MaskedSettings
    presets = PRESETS

    def __init__(self, signature: Signature, settings: MaskedSettings | None = None) -> None:
        super().__init__(signature)
        self._settings = s = settings or MaskedSettings()
        self.context, self.chunk = s.context, s.chunk
        self.tokenizer = ViViT(signature, s.tokenizer).requires_grad_(s.joint)
        y, x, _ = signature.shape
        if s.backbone == "conv" and (y % (2 * s.pixels) or x % (2 * s.pixels)):
            raise ModelError(f"frames of {y} x {x} pixels: both must be multiples of {2 * s.pixels}; crop or pad")
        kind: type[ConvolvedNet | MaskedNet] = ConvolvedNet if s.backbone == "conv" else MaskedNet
        self.net = kind(signature, s, self.tokenizer)

    @property
    def settings(self) -> MaskedSettings:
        """What the model is rebuilt from."""
        return self._settings

    @property
    def conditioning(self) -> Conditioning:
        """What it is told beside frames."""
        return self.net.conditioning

    @classmethod
    def lengths(cls, settings: MaskedSettings) -> tuple[int, int]:
        """Frames of context, and those of a chunk."""
        return settings.context, settings.chunk

    def adopt(self, tokenizer: Tokenizer) -> None:
        """Take what a trained tokenizer has learned, and keep it.

        Raises ModelError for one of other frames or settings, or where the model trains its own.
        """
        mine = self.tokenizer
        if self._settings.joint:
            raise ModelError("a model with joint=True trains a tokenizer of its own; set joint=False")
        if tokenizer.settings != mine.settings or tokenizer.signature.shape != mine.signature.shape:
            raise ModelError(
                f"a tokenizer of {tokenizer.settings} for frames {tokenizer.signature.shape}; the model needs one of "
                f"{mine.settings} for {mine.signature.shape}: train one on this store"
            )
        theirs, own = (one.signature.channels for one in (tokenizer, mine))
        if theirs.unbounded() != own.unbounded():
            raise ModelError(
                f"a tokenizer of the channels {theirs.names}; the model's are {own.names}, or in other units"
            )
        mine.load_state_dict(tokenizer.state_dict())

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Cross-entropy of masked codes, in nats, and the squared error of the mean of frames that are all masked, both
        weighed by `weights`; and the loss of a tokenizer that is trained along.
        """
        frames, s = batch.frames.to(torch.float32), self._settings
        self.signature.require(tuple(frames.shape[2:]), batch.controls.shape[-1])
        b, t = frames.shape[:2]
        view = batch.view[:, s.context - 1]
        known = self.conditioning.known(view, batch.covariates, batch.words)
        controls, known = self.conditioning.dropped(batch.controls.to(torch.float32), known, s.dropout, generator)
        if s.anything:  # what is made from nothing is made under no controls at all
            nothing = torch.rand((b, 1, 1), generator=generator, device=frames.device) < s.anything / 2
            controls = torch.where(nothing, math.nan, controls)
        # A start does not know what led to its frames: of some of the first ones no controls are told.
        ignorant = torch.randint(1, s.context + 1, (b, 1, 1), generator=generator, device=frames.device)
        led = torch.cat([torch.full_like(controls[:, :1], math.nan), controls], dim=1)
        led = torch.where(torch.arange(t, device=frames.device)[:, None] < ignorant, math.nan, led)
        tokenizing = None
        if s.joint:
            tokenizing, codes = self.tokenizer.learn(frames, generator, weights)
        else:
            codes = self.tokenizer.encode(frames)
        codes = codes.flatten(2, 3)
        masked = drawn_masks(s, (b, t), self.tokenizer, generator, frames.device)
        before = frames[:, : s.context]
        if self.net.looks:
            before = self._as_seen(before, codes[:, : s.context], generator)
        told, vectors = Told(led, view, known), self.tokenizer.vectors(codes).detach()
        past = Past(self._normalised(before), vectors[:, : s.context], told.frames(0, s.context))
        features, change, whole = self.net.learned(past, vectors, masked, told)
        parts = {"codes": self._undecided(features, codes, masked, weights)}
        truth = (frames[:, s.context :] - before[:, -1:]) / self.tokenizer.scale
        error = (change - truth).square().mean(dim=(1, 4))
        if weights is not None:
            error = error * weights
        parts["mean"] = (error.mean(dim=(1, 2)) * whole).sum() / whole.sum().clamp(min=1)
        if tokenizing is not None:
            parts["tokenizer"] = tokenizing.total
        total = torch.stack(list(parts.values())).sum()
        said = {"total": total, **parts, **({} if tokenizing is None else tokenizing.parts)}
        return Losses(total, {name: part.detach() for name, part in said.items()})

    def _normalised(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (..., y, x, channel) in their units to unit variance, as the tokenizer does."""
        return (frames - self.tokenizer.mean) / self.tokenizer.scale

    @torch.no_grad()
    def _as_seen(self, frames: torch.Tensor, codes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Frames of the past (b, context, y, x, channel), of some windows what their codes keep of them."""
        luck = torch.rand((len(frames), 1, 1, 1, 1), generator=generator, device=frames.device)
        return torch.where(luck < self._settings.rebuilt, self.decoded(codes), frames)

    def _undecided(
        self, features: torch.Tensor, codes: torch.Tensor, masked: torch.Tensor, weights: torch.Tensor | None
    ) -> torch.Tensor:
        """Cross-entropy in nats a code, the mean over those that are masked."""
        first = 0 if self._settings.region + self._settings.anything else 1 if self._settings.every else self.context
        features = features[:, first - codes.shape[1] :] if first else features
        codes, masked = codes[:, first:], masked[:, first:]
        nats = functional.cross_entropy(self.net.logits(features).flatten(0, 3), codes.flatten(), reduction="none")
        nats = nats.reshape(codes.shape) * masked
        if weights is not None:
            nats = nats * functional.avg_pool2d(weights[:, None], self.tokenizer.patch).flatten(2)[..., None]
        return nats.sum() / masked.sum().clamp(min=1)

    def start(
        self,
        frames: torch.Tensor,
        view: torch.Tensor,
        covariates: torch.Tensor | None = None,
        words: torch.Tensor | None = None,
    ) -> MaskedState:
        """See `WorldModel.start`. Raises ModelError for frames of another shape, or number."""
        if frames.shape[1] != self.context:
            raise ModelError(f"start: {frames.shape[1]} frames; the model needs a context of {self.context}")
        self.signature.require(tuple(frames.shape[2:]), len(self.signature.controls), "start")
        if not torch.isfinite(frames).all():
            raise ModelError("start: frames are NaN or infinite; they have no codes")
        frames = frames.to(torch.float32)
        led = frames.new_full((*frames.shape[:2], len(self.signature.controls)), math.nan)
        known = self.conditioning.known(view, covariates, words)
        return MaskedState(frames, self.tokenizer.encode(frames).flatten(2, 3), led, view, known)

    def anchor(self, state: MaskedState, frames: torch.Tensor) -> MaskedState:
        """The state with a measured present, frames (b, y, x, channel)."""
        now, before = frames[:, None].to(torch.float32), state.frames[:, :-1]
        codes = self._encoded(before, now)
        return replace(
            state, frames=torch.cat([before, now], dim=1), codes=torch.cat([state.codes[:, :-1], codes], dim=1)
        )

    def step(
        self, state: MaskedState, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int = 1
    ) -> tuple[torch.Tensor, MaskedState]:
        """A chunk further under controls (b, chunk, control): the posterior mean in one evaluation, else a sample whose
        codes are decided in so many evaluations.

        Raises ModelError for controls of another shape, or a sample without a generator.
        """
        k = self.chunk
        if controls.ndim != 3 or controls.shape[1] != k:
            raise ModelError(f"step: controls are {tuple(controls.shape)}; one step takes (b, {k}, control)")
        self.signature.require(self.signature.shape, controls.shape[2], "step")
        if evaluations == 1:
            change = self.net.mean(*self._given(state, controls))
            frames = state.frames[:, -1:] + change * self.tokenizer.scale
            codes = self._encoded(state.frames, frames.detach())
        elif generator is None:
            raise ModelError(f"step: a sample in {evaluations} evaluations is drawn from a generator; give one")
        else:
            nothing = torch.zeros((len(controls), k, *self.codes_a_frame), dtype=torch.long, device=controls.device)
            masked = torch.ones_like(nothing, dtype=torch.bool)
            codes = decided(self.asker(state, controls), nothing, masked, generator, evaluations, self._settings)
            frames = self.decoded(torch.cat([self._recalled(state.codes), codes], dim=1))[:, -k:]

        def after(seen: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            return torch.cat([seen, new.detach()], dim=1)[:, -self.context :]

        frames_seen, led = after(state.frames, frames), after(state.led, controls)
        return frames, replace(state, frames=frames_seen, codes=after(state.codes, codes), led=led)

    def decoded(self, codes: torch.Tensor) -> torch.Tensor:
        """Frames (b, t, y, x, channel) of codes (b, t, place, part)."""
        return self.tokenizer.decode(codes.unflatten(2, self.tokenizer.grid))

    def _encoded(self, before: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Codes (b, k, place, part) of frames (b, k, y, x, channel) that come after others."""
        seen = torch.cat([self._recalled(before), frames], dim=1)
        return self.tokenizer.encode(seen)[:, -frames.shape[1] :].flatten(2, 3)

    def _recalled(self, past: torch.Tensor) -> torch.Tensor:
        """As much of the past (b, t, ...) as codes of what comes next depend on."""
        return past[:, max(0, past.shape[1] - self.tokenizer.recalls) :]

    @property
    def codes_a_frame(self) -> tuple[int, int]:
        """Places, and codes of each."""
        return math.prod(self.tokenizer.grid), self.tokenizer.parts

    def asker(self, state: MaskedState, controls: torch.Tensor) -> Ask:
        """What answers for the next frames under controls (b, chunk, control), guided."""
        kinds = [(kind, b) for kind, b in zip(KINDS, self._settings.guidance, strict=True) if b]
        knowing = self.net.ahead(*self._given(state, controls))
        ignorant = []
        for kind, strength in kinds:
            now, known = self.conditioning.without(kind, controls, state.covariates)
            # Training hides a kind from all of a window.
            led, _ = self.conditioning.without(kind, state.led, state.covariates)
            ignorant.append((strength, self.net.ahead(*self._given(replace(state, covariates=known, led=led), now))))

        def ask(codes: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
            """g = (1 + b) c - b u for every kind with guidance b (Ho and Salimans 2022, arXiv:2207.12598)."""
            vectors = self.tokenizer.vectors(codes)
            found = known = self.net.logits(knowing(vectors, masked))
            for strength, unknowing in ignorant:
                found = found + strength * (known - self.net.logits(unknowing(vectors, masked)))
            return found

        return ask

    def _given(self, state: MaskedState, controls: torch.Tensor) -> tuple[Past, Told]:
        """What the network is given of a state, and of the next frames under controls (b, chunk, control)."""
        told = Told(state.led, state.view, state.covariates)
        past = Past(self._normalised(state.frames), self.tokenizer.vectors(state.codes), told)
        return past, replace(told, controls=controls)
