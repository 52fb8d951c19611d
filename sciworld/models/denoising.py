"""What denoising world models share: codec, conditioning, noise levels, guidance, and samples in few evaluations.

The denoiser predicts the clean next frame as a change of the last one, preconditioned as in Karras et al. 2022
("Elucidating the design space of diffusion-based generative models", table 1, with unit data variance). At infinite
noise it sees no noised frame at all and returns the posterior mean. Samples start there, and go down a few noise
levels by ancestral steps, see `schedules`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from sciworld.config import require, whole
from sciworld.errors import ModelError
from sciworld.models.base import Losses, Signature, WorldModel
from sciworld.models.camera import MIDDLE, noise_in
from sciworld.models.codecs import CODECS, Autoencoder, codec_of
from sciworld.models.conditioning import INJECTIONS, KINDS, Conditioning, require_shares
from sciworld.models.schedules import ancestral

if TYPE_CHECKING:
    from sciworld.loader import Mixture
    from sciworld.windows import Windows

FAINTEST = 0.002  # the lowest noise level that is told apart from none
HIGHEST = 1e4  # noise level
UNKNOWN_NOISE = -2.0  # logarithm of a camera's noise before `prepare`
LARGEST_SIZE = 4096  # of what a setting counts
Answer = Callable[[torch.Tensor, "torch.Tensor | None"], torch.Tensor]  # controls, covariates -> clean latents


@dataclass(frozen=True)
class DenoiserSettings:
    """The codec, the conditioning and the noise of a denoiser.

    Parameters
    ----------
    context : past frames seen.
    width, coarse : channels at the patches' resolution, and at half of it.
    embedding : width of the embedding of scalars and noise level.
    patch : pixels along a patch's side; a latent that is no image has none.
    codec : what the dynamics run in: "pixels", "pod" (proper orthogonal decomposition) or "autoencoder". modes : of the
        second. latent : channels of the third.
    positions : "maps", drawn on the pixel grid, or "numbers"; without a grid they are numbers always.
    injection : how what is not drawn acts: "film" scales and shifts features, "add" shifts them, by "attention" every
        place looks at one token a column.
    text : "words", the descriptions of recordings are heeded, as bags of words; "", they are not.
    dropout : share of training windows in which positions, scalars, categories, covariates and text are unknown, in
        this order; the last two often are of a run that is steered. guidance : how far beyond the prediction that knows
        them samples go from the one that does not, the same five; needs dropout, and one evaluation more a kind.
    pure : share of the other training draws at infinite noise: what the posterior mean is learned from. With 1, and
        nothing undecided, that is all that is learned: for worlds without chance, which it then knows much better.
    low, high : noise levels, in standard deviations of the data, between which the others are drawn log-uniformly.
    first, last : the highest and lowest noise level at which a sample is refined.
    camera : samples end with noise of its own in every pixel, as pictures of a camera have it: its variance is a floor
        and, as of counts, a share of the intensity, two numbers a channel that are learned along (Foi et al. 2008, IEEE
        Transactions on Image Processing 17, 1737). Without it samples are smooth, and so is what they are stepped from.
    undecided : share of training windows, rounded up, at noise levels between `low` and `decided` at which the model
        learns to decide: it sees a mixture of the true next frame with the posterior mean. The others are split by
        `pure`.
    """

    context: int = 1
    width: int = 48
    coarse: int = 96
    embedding: int = 64
    patch: int = 2
    codec: str = "pixels"
    modes: int = 32
    latent: int = 8
    positions: str = "maps"
    injection: str = "film"
    text: str = ""
    dropout: tuple[float, ...] = (0.0, 0.0, 0.0, 0.1, 0.1)
    guidance: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)
    pure: float = 0.6
    low: float = 1.0
    high: float = 25.0
    first: float = 8.0
    last: float = 1.2
    undecided: float = 0.125
    decided: float = 4.0
    camera: bool = False

    def __post_init__(self) -> None:
        for name, least in (("context", 1), ("width", 8), ("coarse", 8), ("embedding", 2), ("patch", 1), ("modes", 1),
                            ("latent", 1)):  # fmt: skip
            whole(getattr(self, name), name, least, LARGEST_SIZE)
        require(self.width % 8 == 0 and self.coarse % 8 == 0, "width and coarse must be multiples of 8")
        for name, known in (("codec", CODECS), ("positions", ("maps", "numbers")), ("injection", INJECTIONS)):
            value = getattr(self, name)
            require(value in known, f"{name} is {value!r}; use one of {', '.join(known)}")
        require(self.text in ("", "words"), f"text is {self.text!r}; use 'words', or '' to heed none")
        require_shares(self.dropout, self.guidance)
        require(0 <= self.pure <= 1, f"pure is {self.pure}; it is a share")
        for name in ("high", "first", "decided"):
            value = getattr(self, name)
            require(
                value <= HIGHEST, f"{name} is {value:g}; a noise level is at most {HIGHEST:g}, of data of unit variance"
            )
        require(0 < self.low < self.high, f"noise levels from {self.low} to {self.high} are no range")
        require(FAINTEST <= self.last < self.first, f"a sample is refined from {self.first} to {self.last}: swap them")
        require(0 <= self.undecided < 1, f"undecided is {self.undecided}; it is a share below 1")
        require(not self.camera or self.codec == "pixels", "a camera's noise is of pixels: use the codec 'pixels'")
        require(self.decided > self.low, f"decided is {self.decided}; it must be above low, {self.low}")


class Denoiser(WorldModel):
    """A world model of one frame a control that denoises latents of frames."""

    Settings: type[DenoiserSettings]
    chunk = 1
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, signature: Signature, settings: Any) -> None:
        super().__init__(signature)
        self._settings = s = settings
        self.context = s.context
        self.codec = codec_of(s.codec, signature, s.modes, s.latent, s.width)
        _, rows, cols = self.codec.latent
        self.patch = s.patch if s.codec == "pixels" else 1
        if not self.codec.flat and (rows % (2 * self.patch) or cols % (2 * self.patch)):
            least = 2 * self.patch * self.codec.shrink
            y, x, _ = signature.shape
            raise ModelError(f"frames of {y} x {x} pixels: both must be multiples of {least}; crop or pad")
        drawn = s.positions == "maps" and not self.codec.flat
        self.conditioning = Conditioning(
            signature, s.embedding, drawn=drawn, apart=s.injection == "attention", reads=s.text == "words"
        )
        self.maps = self.conditioning.maps * self.codec.shrink**2
        shape = (1, len(signature.mean), 1, 1)
        self.register_buffer("mean", torch.tensor(signature.mean).reshape(shape), persistent=False)
        self.register_buffer("scale", torch.tensor(signature.scale).reshape(shape), persistent=False)
        self.noise = nn.Parameter(torch.full((2, *shape[1:]), UNKNOWN_NOISE)) if s.camera else None

    @property
    def settings(self) -> Any:
        """What the model is rebuilt from."""
        return self._settings

    @property
    def certain(self) -> bool:
        """Trained at infinite noise alone, it knows nothing else."""
        return bool(self._settings.pure == 1 and not self._settings.undecided)

    def prepare(self, windows: Windows | Mixture) -> None:
        """Fit the codec, and begin the camera's noise as consecutive frames show it, if it was not learned before."""
        self.codec.prepare(windows, self.normalised)
        if self.noise is not None and bool((self.noise == UNKNOWN_NOISE).all()):
            self.noise.data.copy_(noise_in(windows, self.normalised, -self.mean / self.scale))

    @abstractmethod
    def begun(self, frames: torch.Tensor, view: torch.Tensor, known: torch.Tensor | None) -> Any:
        """See `start`; known : of the run, see `Conditioning.known`."""

    @abstractmethod
    def ready(self, state: Any) -> Any:
        """The state with everything that a step needs of it."""

    @abstractmethod
    def after(self, state: Any, latent: torch.Tensor, controls: torch.Tensor) -> Any:
        """The state when `latent` (b, *latent) has come, which controls (b, control) led to."""

    @abstractmethod
    def denoised(
        self,
        state: Any,
        controls: torch.Tensor,
        known: torch.Tensor | None,
        noised: torch.Tensor,
        level: torch.Tensor,
    ) -> torch.Tensor:
        """The mean of the clean next latent (b, *latent), given it noised at `level` (b,); one evaluation.

        controls : (b, control). known : of the run, see `Conditioning.known`; the state is `ready`.
        """

    def start(
        self,
        frames: torch.Tensor,
        view: torch.Tensor,
        covariates: torch.Tensor | None = None,
        words: torch.Tensor | None = None,
    ) -> Any:
        """Encode frames (b, context, y, x, channel) in their units, and the view (b, 6) of the last.

        Raises ModelError for frames of another shape.
        """
        return self.begun(frames, view, self.conditioning.known(view, covariates, words))

    def step(
        self, state: Any, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int = 1
    ) -> tuple[torch.Tensor, Any]:
        """One frame further under controls (b, 1, control): the posterior mean in one evaluation, else a sample.

        Raises ModelError for controls of another shape, or a sample without a generator.
        """
        self.require_step(controls, generator, evaluations)
        state, now = self.ready(state), controls[:, 0]
        drawn = evaluations > 1 and not self.certain
        found = self.answer(state, now, *self.pure_noise(now), drawn)
        if drawn:
            found = self.sampled(partial(self.answer, state, now), found, generator, evaluations)
        return self.decoded(found)[:, None], self.after(state, found, now)

    def answer(
        self, state: Any, controls: torch.Tensor, noised: torch.Tensor, level: torch.Tensor, drawn: bool = True
    ) -> torch.Tensor:
        """The clean next latent, see `guided`."""
        return self.guided(
            lambda told, known: self.denoised(state, told, known, noised, level), controls, state.covariates, drawn
        )

    def pure_noise(self, controls: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents of which nothing is to be seen (b, *latent), and their level (b,): what gives the posterior mean."""
        b = len(controls)
        return controls.new_zeros((b, *self.codec.latent)), controls.new_full((b,), torch.inf)

    def require_step(self, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int) -> None:
        """Raise ModelError for controls of another shape than (b, 1, control), or a sample without a generator."""
        if controls.ndim != 3 or controls.shape[1] != 1:
            raise ModelError(f"step: controls are {tuple(controls.shape)}; one step takes (b, 1, control)")
        self.signature.require(self.signature.shape, controls.shape[2], "step")
        if evaluations > 1 and generator is None:
            raise ModelError(f"step: a sample in {evaluations} evaluations is drawn from a generator; give one")

    def normalised(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (b, y, x, channel) in their units to (b, channel, y, x) of about unit variance."""
        return (frames.permute(0, 3, 1, 2) - self.mean) / self.scale

    def encoded(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (b, t, y, x, channel) in their units to latents (b, t, *latent)."""
        with torch.autocast(frames.device.type, enabled=False):  # what is learned is not rounded
            images = self.normalised(frames.flatten(0, 1).to(torch.float32))
            return self.codec.encode(images).unflatten(0, frames.shape[:2])

    def decoded(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (b, *latent) to frames (b, y, x, channel) in their units."""
        return (self.codec.decode(latents) * self.scale + self.mean).permute(0, 2, 3, 1)

    def drawn(self, controls: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
        """Maps of controls (b, control) on the grid of the latent."""
        if self.maps:
            return functional.pixel_unshuffle(self.conditioning.draw(controls, view), self.codec.shrink)
        return controls.new_zeros((len(controls), 0, *self.codec.latent[1:]))

    def weighed(self, error: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        """Squared errors (b, *latent), or (b, t, *latent), to their weighted mean (b,) or (b, t).

        weights : (b, y, x) of the pixels; a latent without a grid has no place for them.
        """
        error = (error * self.codec.importance).mean(dim=-3)
        if weights is not None and not self.codec.flat:
            weights = functional.avg_pool2d(weights[:, None], self.codec.shrink)[:, 0]
            error = error * (weights if error.ndim == 3 else weights[:, None])
        return error.mean(dim=(-2, -1))

    def losses(
        self,
        clean: torch.Tensor,
        targets: torch.Tensor,
        level: torch.Tensor,
        frames: torch.Tensor,
        weights: torch.Tensor | None,
        imagined: torch.Tensor | None = None,
    ) -> Losses:
        """The loss of clean latents (b, *latent), or (b, t, *latent), noised at level (b,) or (b, t), and its parts.

        By noise level as Karras, table 1. frames : (b, t, y, x, channel) in their units, those that the targets are of.
        imagined : the loss of what was imagined on from them, if anything was.
        """
        weight = torch.where(torch.isfinite(level), 1 + level**-2, 1.0)
        parts = {"denoised": (self.weighed((clean - targets).square(), weights) * weight).mean()}
        if self.noise is not None:
            parts["camera"] = self.camera_loss(clean, targets)
        if imagined is not None:
            parts["imagined"] = imagined
        if isinstance(self.codec, Autoencoder):
            parts["reconstructed"] = self.codec.loss(self.normalised(frames.flatten(0, 1)))
        total = torch.stack(list(parts.values())).sum()
        return Losses(total, {"total": total.detach(), **{name: part.detach() for name, part in parts.items()}})

    def level_feature(self, level: torch.Tensor) -> torch.Tensor:
        """A noise level as a number of order one: half its logarithm; infinity lies beyond the highest level."""
        return 0.5 * level.clamp(FAINTEST, 10.0 * self._settings.high).log()

    def draw_levels(self, shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> torch.Tensor:
        """Noise levels (b, ...): low for undecided windows; of the others a share `pure` infinite, else log-uniform."""
        s = self._settings
        draw = torch.rand((2, *shape), generator=generator, device=device)
        level = s.low * (s.high / s.low) ** draw[0]
        level = torch.where(draw[1] < s.pure, torch.inf, level)
        first = self.undecided(shape[0])
        level[:first] = s.low * (s.decided / s.low) ** draw[0, :first]
        return level

    def undecided(self, n: int) -> int:
        """To how many of n windows the model is shown mixtures, the first: they come in random order, and a fixed
        number keeps the device from waiting for the host. At least one, but where it is alone.
        """
        return min(math.ceil(self._settings.undecided * n), n - 1)

    def mixed(self, mean: torch.Tensor, target: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Mixtures of a posterior mean with what came, (n, ...) each, at least half of it the truth.

        A sample of few evaluations takes large steps, and may reach a low noise level halfway between two outcomes,
        where no noised true frame ever is. The mixtures teach it to end at the nearer.
        """
        shape = (len(target), *[1] * (target.ndim - 1))
        truth = 0.5 + 0.5 * torch.rand(shape, generator=generator, device=target.device) ** 2
        return torch.lerp(mean, target, truth)

    def noised(self, latents: torch.Tensor, level: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """latents (b, ..., c, y, x) plus noise of level (b, ...); 0 where it is infinite."""
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        level = level[..., None, None, None]
        finite = torch.isfinite(level)
        return torch.where(finite, latents + torch.where(finite, level, 0.0) * noise, 0.0)

    def noise_of(self, images: torch.Tensor) -> torch.Tensor:
        """Standard deviation of the camera's noise in normalised images (..., c, y, x)."""
        assert self.noise is not None
        intensity = (images + self.mean / self.scale).clamp(min=0)
        return (self.noise[0].exp() + self.noise[1].exp() * intensity).sqrt()

    def camera_loss(self, clean: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """How far the noise is from that of clean images (..., c, y, x); outliers, which are events, count little.

        Half of all errors are below MIDDLE standard deviations if they are normal, and the median of the logarithm is
        where its mean absolute difference is least.
        """
        error, clean = (clean - target).detach().abs(), clean.detach()
        return ((error + 1e-4).log() - (MIDDLE * self.noise_of(clean)).log()).abs().mean()

    def pictured(self, images: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """Sampled images (..., c, y, x) as a camera shows them; without one, as they are."""
        if self.noise is None:
            return images
        return images + self.noise_of(images) * torch.randn(images.shape, generator=generator, device=images.device)

    def levels_below(self, evaluations: int) -> list[float]:
        """The noise levels below infinity at which a sample in so many evaluations is refined, highest first."""
        s, n = self._settings, evaluations - 1
        return [s.first * (s.last / s.first) ** (i / max(n - 1, 1)) for i in range(n)]

    def guided(
        self, answer: Answer, controls: torch.Tensor, covariates: torch.Tensor | None, drawn: bool
    ) -> torch.Tensor:
        """g = (1 + b) c - b u for every kind with guidance b: c knows it, u does not (Ho and Salimans 2022).

        drawn : of a sample; the posterior mean is c, guided it would be no mean.
        """
        found = known = answer(controls, covariates)
        for kind, strength in zip(KINDS, self._settings.guidance, strict=True):
            if drawn and strength:
                found = found + strength * (known - answer(*self.conditioning.without(kind, controls, covariates)))
        return found

    def sampled(
        self,
        denoise: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        mean: torch.Tensor,
        generator: torch.Generator | None,
        evaluations: int,
    ) -> torch.Tensor:
        """A sample (b, *latent), from the posterior mean and evaluations - 1 noise levels below infinity.

        denoise : of noised latents and their level : (b,).
        """
        found = clean = mean
        for level, lower in pairwise([torch.inf, *self.levels_below(evaluations), 0.0]):
            if level < torch.inf:
                clean = denoise(found, mean.new_full((len(mean),), level))
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            found = ancestral(found, clean, level, lower, noise)
        return self.pictured(found, generator)
