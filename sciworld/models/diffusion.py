"""Diffusion in pixels: the next frame under a control, its posterior mean in one evaluation, samples in a few.

The denoiser predicts the clean next frame as a change of the last one, preconditioned as in Karras et al. 2022
("Elucidating the design space of diffusion-based generative models", table 1, with unit data variance). At infinite
noise it sees no noised frame at all and returns the posterior mean. Samples start there, and go down a few noise
levels by ancestral steps (Ho et al. 2020, arXiv:2006.11239, equations 6 and 7, in the variance-exploding form of Song
et al. 2021, arXiv:2011.13456, appendix F).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sciworld.config import require
from sciworld.errors import ModelError
from sciworld.models.base import Losses, Signature, WorldModel
from sciworld.models.conditioning import Conditioning
from sciworld.models.layers import Decoder, Encoder

if TYPE_CHECKING:
    from sciworld.windows import Batch


@dataclass(frozen=True)
class DiffusionSettings:
    """The shape of the network and of its noise.

    Parameters
    ----------
    context : past frames seen.
    width, coarse : channels at the patches' resolution, and at half of it.
    encoder_blocks, decoder_blocks : residual blocks (the encoder has as many again on the coarse level).
    embedding : width of the embedding of scalars and noise level.
    patch : pixels along a patch's side.
    pure : share of the other training draws at infinite noise: what the posterior mean is learned from.
    low, high : noise levels, in standard deviations of the data, between which the others are drawn log-uniformly.
    first, last : the highest and lowest noise level at which a sample is refined.
    undecided : share of training draws at noise levels between `low` and `decided` at which the model learns to decide:
        it sees a mixture of the true next frame with the posterior mean. The other draws are split by `pure`.
    """

    context: int = 1
    width: int = 48
    coarse: int = 96
    encoder_blocks: int = 1
    decoder_blocks: int = 2
    embedding: int = 64
    patch: int = 2
    pure: float = 0.6
    low: float = 1.0
    high: float = 25.0
    first: float = 8.0
    last: float = 1.2
    undecided: float = 0.125
    decided: float = 4.0

    def __post_init__(self) -> None:
        require(self.context >= 1, f"context is {self.context} frames; use at least 1")
        require(self.width % 8 == 0 and self.coarse % 8 == 0, "width and coarse must be multiples of 8")
        require(0 <= self.pure <= 1, f"pure is {self.pure}; it is a share")
        require(0 < self.low < self.high, f"noise levels from {self.low} to {self.high} are no range")
        require(0 < self.last < self.first, f"a sample is refined from {self.first} to {self.last}: swap them")
        require(0 <= self.undecided < 1, f"undecided is {self.undecided}; it is a share below 1")
        require(self.decided > self.low, f"decided is {self.decided}; it must be above low, {self.low}")


PRESETS = {
    "tiny": DiffusionSettings(),
    "small": DiffusionSettings(context=2, width=128, coarse=192, encoder_blocks=2, decoder_blocks=3, embedding=128),
    "base": DiffusionSettings(context=4, width=256, coarse=384, encoder_blocks=3, decoder_blocks=6, embedding=256),
}


@dataclass
class DiffusionState:
    """The present of b candidates: frames (b, context * channel, y, x) normalised, and view (b, 6).

    features : (b, width, y / patch, x / patch) of the frames, or None until they are needed.
    """

    frames: torch.Tensor
    view: torch.Tensor
    features: torch.Tensor | None = None


class Diffusion(WorldModel):
    """A denoising world model of one frame per control. See the module's docstring for its sources.

    Raises ModelError if the patches (and one halving) do not divide the frames.
    """

    family = "diffusion"
    Settings = DiffusionSettings
    presets = PRESETS
    chunk = 1
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, signature: Signature, settings: DiffusionSettings | None = None) -> None:
        super().__init__(signature)
        self._settings = s = settings or DiffusionSettings()
        self.context = s.context
        rows, cols, channels = signature.shape
        if rows % (2 * s.patch) or cols % (2 * s.patch):
            raise ModelError(f"frames of {rows} x {cols} pixels: both must be multiples of {2 * s.patch}; crop or pad")
        self.conditioning = Conditioning(signature, s.embedding)
        self.encoder = Encoder(s.context * channels, s.width, s.coarse, s.encoder_blocks, s.patch)
        asked = channels + self.conditioning.maps
        self.decoder = Decoder(asked, channels, s.width, s.decoder_blocks, s.embedding, s.patch)
        shape = (1, channels, 1, 1)
        self.register_buffer("mean", torch.tensor(signature.mean).reshape(shape), persistent=False)
        self.register_buffer("scale", torch.tensor(signature.scale).reshape(shape), persistent=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def settings(self) -> DiffusionSettings:
        """What the model is rebuilt from."""
        return self._settings

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Squared error of the denoised next frame, weighed by `weights` and by the noise level (Karras, table 1)."""
        frames = batch.frames.to(torch.float32)
        self.signature.require(tuple(frames.shape[2:]), batch.controls.shape[-1])
        state = self.start(frames[:, : self.context], batch.view[:, self.context - 1])
        target = self._normalised(frames[:, self.context])
        controls = batch.controls[:, self.context - 1].to(torch.float32)
        level = self._draw_levels(len(target), generator, target.device)
        noise = torch.randn(target.shape, generator=generator, device=target.device)
        finite = torch.isfinite(level)[:, None, None, None]
        shown = self._blurred(state, controls, target, generator)
        noised = torch.where(finite, shown + torch.where(finite, level[:, None, None, None], 0.0) * noise, 0.0)
        error = (self._denoise(state, controls, noised, level) - target).square().mean(dim=1)
        if weights is not None:
            error = error * weights
        error = error.mean(dim=(1, 2))
        total = (error * torch.where(torch.isfinite(level), 1 + level**-2, 1.0)).mean()
        return Losses(total, {"total": total.detach()})

    def start(self, frames: torch.Tensor, view: torch.Tensor, covariates: torch.Tensor | None = None) -> DiffusionState:
        """Encode frames (b, context, y, x, channel) in their units, and the view (b, 6) of the last.

        Raises ModelError for frames of another shape.
        """
        if frames.shape[1] != self.context:
            raise ModelError(f"start: {frames.shape[1]} frames; the model needs a context of {self.context}")
        b, t, y, x, c = frames.shape
        self.signature.require((y, x, c), len(self.signature.controls), "start")
        images = self._normalised(frames.reshape(b * t, y, x, c)).reshape(b, t * c, y, x)
        return DiffusionState(images, view, self.encoder(images))

    def expand(self, state: DiffusionState, n: int) -> DiffusionState:
        """Every row n times in place."""
        features = None if state.features is None else state.features.repeat_interleave(n, dim=0)
        return DiffusionState(
            state.frames.repeat_interleave(n, dim=0), state.view.repeat_interleave(n, dim=0), features
        )

    def step(
        self, state: DiffusionState, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int = 1
    ) -> tuple[torch.Tensor, DiffusionState]:
        """One frame further under controls (b, 1, control): the posterior mean in one evaluation, else a sample.

        Raises ModelError for controls of another shape, or a sample without a generator.
        """
        if controls.ndim != 3 or controls.shape[1] != 1:
            raise ModelError(f"step: controls are {tuple(controls.shape)}; one step takes (b, 1, control)")
        self.signature.require(self.signature.shape, controls.shape[2], "step")
        if evaluations > 1 and generator is None:
            raise ModelError(f"step: a sample in {evaluations} evaluations is drawn from a generator; give one")
        now = controls[:, 0]
        if state.features is None:
            state = DiffusionState(state.frames, state.view, self.encoder(state.frames))
        nothing = torch.zeros_like(state.frames[:, : len(self.signature.mean)])
        frame = self._denoise(state, now, nothing, torch.full((len(now),), torch.inf, device=now.device))
        if evaluations > 1:
            frame = self._sample(state, now, frame, generator, evaluations)
        images = torch.cat([state.frames[:, frame.shape[1] :], frame], dim=1)
        return (frame * self.scale + self.mean).permute(0, 2, 3, 1)[:, None], DiffusionState(images, state.view)

    def _normalised(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (b, y, x, channel) in their units to (b, channel, y, x) of about unit variance."""
        return (frames.permute(0, 3, 1, 2) - self.mean) / self.scale

    def _draw_levels(self, n: int, generator: torch.Generator, device: torch.device) -> torch.Tensor:
        """Noise levels (b,): low for the undecided rows; of the others a share `pure` infinite, else log-uniform."""
        s = self._settings
        draw = torch.rand((2, n), generator=generator, device=device)
        level = s.low * (s.high / s.low) ** draw[0]
        level = torch.where(draw[1] < s.pure, torch.inf, level)
        # The first rows: windows come in random order, and a fixed number keeps the device from waiting for the host.
        first = self._undecided(n)
        level[:first] = s.low * (s.decided / s.low) ** draw[0, :first]
        return level

    def _undecided(self, n: int) -> int:
        """How many of n draws show the model a mixture."""
        return int(self._settings.undecided * n)

    @torch.no_grad()
    def _blurred(
        self, state: DiffusionState, controls: torch.Tensor, target: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """`target` (b, channel, y, x), of which the undecided rows become mixtures with the posterior mean.

        A sample of few evaluations takes large steps, and may reach a low noise level halfway between two outcomes,
        where no noised true frame ever is. The mixtures, at least half of them truth, teach it to end at the nearer.
        """
        n = self._undecided(len(target))
        if n == 0:
            return target
        features = None if state.features is None else state.features[:n]
        nothing = torch.zeros_like(target[:n])
        mean = self._denoise(
            DiffusionState(state.frames[:n], state.view[:n], features),
            controls[:n],
            nothing,
            torch.full((n,), torch.inf, device=target.device),
        )
        truth = 0.5 + 0.5 * torch.rand((n, 1, 1, 1), generator=generator, device=target.device) ** 2
        return torch.cat([torch.lerp(mean, target[:n], truth), target[n:]])

    def _denoise(
        self, state: DiffusionState, controls: torch.Tensor, noised: torch.Tensor, level: torch.Tensor
    ) -> torch.Tensor:
        """The mean of the clean next frame (b, channel, y, x), given it noised at `level` (b,); one evaluation."""
        square = level.square()[:, None, None, None]
        skip = 1 / (1 + square)
        last = state.frames[:, -noised.shape[1] :]
        asked = torch.cat([noised * skip.sqrt(), self.conditioning.draw(controls, state.view)], dim=1)
        # Half the logarithm is of order one; infinity gets a value beyond the highest level.
        feature = 0.5 * level.clamp(max=10.0 * self._settings.high).log()
        embedding = self.conditioning.embed(controls, feature)
        change = self.decoder(state.features, asked, embedding)
        return skip * noised + (1 - skip) * last + (1 - skip).sqrt() * change

    def _sample(
        self,
        state: DiffusionState,
        controls: torch.Tensor,
        mean: torch.Tensor,
        generator: torch.Generator | None,
        evaluations: int,
    ) -> torch.Tensor:
        """A sample (b, channel, y, x), from the posterior mean and evaluations - 1 noise levels below infinity."""
        s = self._settings
        n = evaluations - 1
        levels = [s.first * (s.last / s.first) ** (i / max(n - 1, 1)) for i in range(n)]
        frame = mean + levels[0] * torch.randn(mean.shape, generator=generator, device=mean.device)
        for level, lower in zip(levels, [*levels[1:], 0.0], strict=True):
            clean = self._denoise(state, controls, frame, mean.new_full((len(mean),), level))
            kept = (lower / level) ** 2
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            frame = kept * frame + (1 - kept) * clean + lower * (1 - kept) ** 0.5 * noise
        return frame
