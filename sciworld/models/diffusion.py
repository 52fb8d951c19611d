"""Diffusion: the next frame under a control, from a few past ones side by side. The fastest family; see `denoising`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from sciworld.config import require, whole
from sciworld.errors import ModelError
from sciworld.models.base import Losses, Signature
from sciworld.models.denoising import LARGEST_SIZE, Denoiser, DenoiserSettings
from sciworld.models.layers import Decoder, Encoder, moved
from sciworld.models.schedules import preconditioned, shown

if TYPE_CHECKING:
    from sciworld.windows import Batch


@dataclass(frozen=True)
class DiffusionSettings(DenoiserSettings):
    """The shape of the network and of its noise; see DenoiserSettings for what is not here.

    Parameters
    ----------
    encoder_blocks, decoder_blocks : residual blocks (the encoder has as many again on the coarse level).
    motion : the last frame is first moved along displacements that the network finds for every pixel (Finn, Goodfellow
        and Levine 2016, arXiv:1605.07157), and changed after that: for scenes that pass by, of which much is new.
    rollout : steps that training imagines on from its own posterior means; more than one for worlds without chance, in
        which an error that stays small over one step may grow.
    restyles : it learns from `Counterfactuals`: its context shows the moment that is asked for, in another light. Such
        a model imagines nothing; see `restyling`.
    """

    encoder_blocks: int = 1
    decoder_blocks: int = 2
    motion: bool = False
    rollout: int = 1
    restyles: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(not self.motion or self.codec == "pixels", "motion is of pixels: use it with the codec 'pixels'")
        for name, least in (("encoder_blocks", 0), ("decoder_blocks", 0), ("rollout", 1)):
            whole(getattr(self, name), name, least, LARGEST_SIZE)
        alone = self.context == self.rollout == 1 and not self.motion
        require(alone or not self.restyles, "restyles is for a context of 1 frame, a rollout of 1 step, and no motion")


# By size; and of the size of "tiny", for cameras that count, for worlds without chance, for scenes that pass by, for
# flows, of which modes are all that matters, and for other light on what was filmed.
PRESETS = {
    "tiny": DiffusionSettings(),
    "small": DiffusionSettings(context=2, width=128, coarse=192, encoder_blocks=2, decoder_blocks=3, embedding=128),
    "base": DiffusionSettings(context=4, width=256, coarse=384, encoder_blocks=3, decoder_blocks=6, embedding=256),
    "counts": DiffusionSettings(camera=True),
    "certain": DiffusionSettings(context=2, pure=1.0, undecided=0.0),
    "scene": DiffusionSettings(
        context=2, patch=4, motion=True, rollout=4, pure=1.0, undecided=0.0, dropout=(0.0, 0.0, 0.0, 0.5, 0.0)
    ),
    "modes": DiffusionSettings(
        context=2, width=256, codec="pod", modes=64, rollout=8, decoder_blocks=3, pure=1.0, undecided=0.0
    ),
    "restyle": DiffusionSettings(restyles=True, low=0.05, high=10.0, first=4.0, last=0.1, pure=0.5, undecided=0.0),
}


@dataclass
class DiffusionState:
    """The present of b candidates: latents (b, context * channel, y, x), view (b, 6), and covariates.

    covariates : (b, covariate) or None, see `Conditioning.known`. features : (b, width, ...) of the latents, or None
    until they are needed.
    """

    latents: torch.Tensor
    view: torch.Tensor
    covariates: torch.Tensor | None = None
    features: torch.Tensor | None = None


class Diffusion(Denoiser):
    """A denoising world model of one frame per control. See the module `denoising` for its sources.

    Raises ModelError if the patches (and one halving) do not divide the frames.
    """

    family = "diffusion"
    Settings = DiffusionSettings
    presets = PRESETS

    def __init__(self, signature: Signature, settings: DiffusionSettings | None = None) -> None:
        super().__init__(signature, settings or DiffusionSettings())
        s = self.settings
        channels, kernel = self.codec.latent[0], 1 if self.codec.flat else 3
        asked = self.maps + (0 if self.certain else channels)
        self.encoder = Encoder(s.context * channels, s.width, s.coarse, s.encoder_blocks, self.patch, kernel)
        self.decoder = Decoder(
            asked, channels * (1 + s.restyles) + 2 * s.motion, s.width, s.decoder_blocks, s.embedding, self.patch,
            kernel=kernel, injection=s.injection,
        )  # fmt: skip
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def lengths(cls, settings: DiffusionSettings) -> tuple[int, int]:
        """Frames of context, and those that training imagines."""
        return settings.context, settings.rollout

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Squared error of the denoised next frame, see `losses`; with a rollout also that of every imagined step."""
        frames, s = batch.frames.to(torch.float32), self.settings
        self.signature.require(tuple(frames.shape[2:]), batch.controls.shape[-1])
        view = batch.view[:, s.context - 1]
        known = self.conditioning.known(view, batch.covariates, batch.words)
        given, known = self.conditioning.dropped(
            batch.controls[:, s.context - 1 :].to(torch.float32), known, s.dropout, generator
        )
        state = self.begun(frames[:, : s.context], view, known)
        targets, first = self.encoded(frames[:, s.context :]), given[:, 0]
        if self.certain:
            noised, level = self.pure_noise(first)
        else:
            level = self.draw_levels((len(targets),), generator, targets.device)
            noised = self.noised(self._blurred(state, first, targets[:, 0], generator), level, generator)
        clean = self.denoised(state, first, state.covariates, noised, level)
        imagined = self._imagined(state, given, targets, weights, clean) if s.rollout > 1 else None
        return self.losses(clean, targets[:, 0], level, frames[:, s.context : s.context + 1], weights, imagined)

    def _imagined(
        self,
        state: DiffusionState,
        controls: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor | None,
        clean: torch.Tensor,
    ) -> torch.Tensor:
        """The mean squared error of posterior means (b, t, *latent), each imagined from the one before.

        clean : the denoised first one, which of a model without chance is that mean.
        """
        errors = []
        for step, (now, target) in enumerate(zip(controls.unbind(1), targets.unbind(1), strict=True)):
            known = step == 0 and self.certain
            mean = clean if known else self.denoised(state, now, state.covariates, *self.pure_noise(now))
            errors.append(self.weighed((mean - target).square(), weights))
            state = self.ready(self.after(state, mean, now))
        return torch.stack(errors).mean()

    def begun(self, frames: torch.Tensor, view: torch.Tensor, known: torch.Tensor | None) -> DiffusionState:
        """See `start`; known : of the run, see `Conditioning.known`."""
        if frames.shape[1] != self.context:
            raise ModelError(f"start: {frames.shape[1]} frames; the model needs a context of {self.context}")
        self.signature.require(tuple(frames.shape[2:]), len(self.signature.controls), "start")
        return self.ready(DiffusionState(self.encoded(frames).flatten(1, 2), view, known))

    def anchor(self, state: DiffusionState, frames: torch.Tensor) -> DiffusionState:
        """The state with the last of its latents that of measured frames (b, y, x, channel)."""
        measured = self.encoded(frames[:, None])[:, 0]
        latents = torch.cat([state.latents[:, : -measured.shape[1]], measured], dim=1)
        return DiffusionState(latents, state.view, state.covariates)

    def ready(self, state: DiffusionState) -> DiffusionState:
        """The state with its features."""
        return replace(state, features=self.encoder(state.latents)) if state.features is None else state

    def after(self, state: DiffusionState, latent: torch.Tensor, controls: torch.Tensor) -> DiffusionState:
        """The state when `latent` (b, *latent) has come."""
        latents = torch.cat([state.latents[:, latent.shape[1] :], latent], dim=1)
        return DiffusionState(latents, state.view, state.covariates)

    def _blurred(
        self, state: DiffusionState, controls: torch.Tensor, target: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """`target` (b, *latent), of which the undecided rows become mixtures with the posterior mean."""
        n = self.undecided(len(target))
        if n == 0:
            return target
        first = DiffusionState(
            *(None if row is None else row[:n] for row in (state.latents, state.view, state.covariates, state.features))  # type: ignore[arg-type]
        )
        with torch.no_grad():
            mean = self.denoised(first, controls[:n], first.covariates, *self.pure_noise(controls[:n]))
        return torch.cat([self.mixed(mean, target[:n], generator), target[n:]])

    def denoised(
        self,
        state: DiffusionState,
        controls: torch.Tensor,
        known: torch.Tensor | None,
        noised: torch.Tensor,
        level: torch.Tensor,
    ) -> torch.Tensor:
        """See `Denoiser.denoised`."""
        asked = self.drawn(controls, state.view)
        if not self.certain:
            asked = torch.cat([shown(noised, level), asked], dim=1)
        told, tokens = self.conditioning.embed(controls, self.level_feature(level), state.view, known)
        change = self.decoder(state.features, asked, told, tokens)
        last = state.latents[:, -noised.shape[1] :]
        if self.settings.motion:
            change, displacement = change.split([last.shape[1], 2], dim=1)
            last = moved(last, displacement)
        if self.settings.restyles:  # light and air: what is there times a number, and a number (Koschmieder 1924)
            change, gain = change.chunk(2, dim=1)
            last = last * (1 + gain)
        return preconditioned(change, noised, last, level)
