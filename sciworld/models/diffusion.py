"""Diffusion: the next frame under a control, from a few past ones side by side. The fastest family; see `denoising`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sciworld.config import require
from sciworld.errors import ModelError
from sciworld.models.base import Losses, Signature
from sciworld.models.denoising import Denoiser, DenoiserSettings, preconditioned, shown
from sciworld.models.layers import Decoder, Encoder, moved

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
    """

    encoder_blocks: int = 1
    decoder_blocks: int = 2
    motion: bool = False
    rollout: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(not self.motion or self.codec == "pixels", "motion is of pixels: use it with the codec 'pixels'")
        require(self.rollout >= 1, f"rollout is {self.rollout} steps; use at least 1")


# By size; and of the size of "tiny", for cameras that count, for worlds without chance, for scenes that pass by, and
# for flows, of which modes are all that matters.
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
            asked, channels + 2 * s.motion, s.width, s.decoder_blocks, s.embedding, self.patch,
            kernel=kernel, injection=s.injection,
        )  # fmt: skip
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def lengths(cls, settings: DiffusionSettings) -> tuple[int, int]:
        """Frames of context, and those that training imagines."""
        return settings.context, settings.rollout

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Squared error of the denoised next frame, weighed by `weights` and by the noise level (Karras, table 1).

        With a rollout also that of the posterior mean of every step, in the mean.
        """
        frames, s = batch.frames.to(torch.float32), self.settings
        self.signature.require(tuple(frames.shape[2:]), batch.controls.shape[-1])
        view = batch.view[:, s.context - 1]
        known = self.conditioning.known(view, batch.covariates, batch.words)
        given, known = self.conditioning.dropped(
            batch.controls[:, s.context - 1 :].to(torch.float32), known, s.dropout, generator
        )
        state = self._begun(frames[:, : s.context], view, known)
        targets = self.encoded(frames[:, s.context :])
        level = self.draw_levels(len(targets), generator, targets.device)
        seen = self.noised(self._blurred(state, given[:, 0], targets[:, 0], generator), level, generator)
        clean = self._denoise(state, given[:, 0], state.covariates, seen, level)
        weight = torch.where(torch.isfinite(level), 1 + level**-2, 1.0)
        parts = {"denoised": (self.weighed((clean - targets[:, 0]).square(), weights) * weight).mean()}
        if self.noise is not None:
            parts["camera"] = self.camera_loss(clean, targets[:, 0])
        if s.rollout > 1:
            errors = []
            for step in range(s.rollout):
                mean = self.mean_of(state, given[:, step])
                errors.append(self.weighed((mean - targets[:, step]).square(), weights))
                state = self._after(state, mean)
            parts["imagined"] = torch.stack(errors).mean()
        reconstructed = self.codec.loss(self.normalised(frames[:, s.context]))
        if reconstructed is not None:
            parts["reconstructed"] = reconstructed
        total = torch.stack(list(parts.values())).sum()
        return Losses(total, {"total": total.detach(), **{name: part.detach() for name, part in parts.items()}})

    def start(
        self,
        frames: torch.Tensor,
        view: torch.Tensor,
        covariates: torch.Tensor | None = None,
        words: torch.Tensor | None = None,
    ) -> DiffusionState:
        """Encode frames (b, context, y, x, channel) in their units, and the view (b, 6) of the last.

        Raises ModelError for frames of another shape.
        """
        return self._begun(frames, view, self.conditioning.known(view, covariates, words))

    def _begun(self, frames: torch.Tensor, view: torch.Tensor, known: torch.Tensor | None) -> DiffusionState:
        """See `start`; known : of the run, see `Conditioning.known`."""
        if frames.shape[1] != self.context:
            raise ModelError(f"start: {frames.shape[1]} frames; the model needs a context of {self.context}")
        self.signature.require(tuple(frames.shape[2:]), len(self.signature.controls), "start")
        latents = self.encoded(frames).flatten(1, 2)
        return DiffusionState(latents, view, known, self.encoder(latents))

    def anchor(self, state: DiffusionState, frames: torch.Tensor) -> DiffusionState:
        """The state with the last of its latents that of measured frames (b, y, x, channel)."""
        measured = self.encoded(frames[:, None])[:, 0]
        latents = torch.cat([state.latents[:, : -measured.shape[1]], measured], dim=1)
        return DiffusionState(latents, state.view, state.covariates)

    def expand(self, state: DiffusionState, n: int) -> DiffusionState:
        """Every row n times in place."""
        rows = (state.latents, state.view, state.covariates, state.features)
        return DiffusionState(*(None if row is None else row.repeat_interleave(n, dim=0) for row in rows))  # type: ignore[arg-type]

    def step(
        self, state: DiffusionState, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int = 1
    ) -> tuple[torch.Tensor, DiffusionState]:
        """One frame further under controls (b, 1, control): the posterior mean in one evaluation, else a sample.

        Raises ModelError for controls of another shape, or a sample without a generator.
        """
        self.require_step(controls, generator, evaluations)
        now = controls[:, 0]
        if state.features is None:
            state = DiffusionState(state.latents, state.view, state.covariates, self.encoder(state.latents))
        found = self.mean_of(state, now)
        if evaluations > 1 and not self.certain:
            found = self.sampled(
                lambda seen, level: self._answer(state, now, seen, level), found, generator, evaluations
            )
        return self.decoded(found)[:, None], self._after(state, found)

    def mean_of(self, state: DiffusionState, controls: torch.Tensor) -> torch.Tensor:
        """The posterior mean of the next latent (b, *latent) under controls (b, control)."""
        nothing = torch.zeros_like(state.latents[:, : self.codec.latent[0]])
        return self._answer(state, controls, nothing, nothing.new_full((len(nothing),), torch.inf))

    def _after(self, state: DiffusionState, latent: torch.Tensor) -> DiffusionState:
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
            state.latents[:n], state.view[:n], None if state.covariates is None else state.covariates[:n],
            None if state.features is None else state.features[:n],
        )  # fmt: skip
        with torch.no_grad():
            mean = self.mean_of(first, controls[:n])
        return torch.cat([self.mixed(mean, target[:n], generator), target[n:]])

    def _answer(
        self, state: DiffusionState, controls: torch.Tensor, noised: torch.Tensor, level: torch.Tensor
    ) -> torch.Tensor:
        """The clean next latent, guided."""
        return self.guided(
            lambda told, facts: self._denoise(state, told, facts, noised, level), controls, state.covariates
        )

    def _denoise(
        self,
        state: DiffusionState,
        controls: torch.Tensor,
        covariates: torch.Tensor | None,
        noised: torch.Tensor,
        level: torch.Tensor,
    ) -> torch.Tensor:
        """The mean of the clean next latent (b, *latent), given it noised at `level` (b,); one evaluation."""
        features = self.encoder(state.latents) if state.features is None else state.features
        asked = self.drawn(controls, state.view)
        if not self.certain:
            asked = torch.cat([shown(noised, level), asked], dim=1)
        told, tokens = self.conditioning.embed(controls, self.level_feature(level), state.view, covariates)
        change = self.decoder(features, asked, told, tokens)
        last = state.latents[:, -noised.shape[1] :]
        if self.settings.motion:
            change, displacement = change.split([last.shape[1], 2], dim=1)
            last = moved(last, displacement)
        return preconditioned(change, noised, last, level)
