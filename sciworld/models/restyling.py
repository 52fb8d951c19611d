"""Restyling: the frames of a recording as they would be under other covariates, by a world model.

A denoising model takes each frame noised to a level, and denoises it under the covariates that are wanted, knowing the
restyled frames before it (SDEdit: Meng et al. 2022, arXiv:2108.01073). One that was trained on `Counterfactuals` sees
the frame itself beside them, so that nothing of the layout need be guessed. A masked model keeps a share of the codes,
decides the others, and then decides anew what it kept (restyling as in WorldDreamer: Wang et al. 2024,
arXiv:2401.09985).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional

from sciworld.config import real, require, whole
from sciworld.errors import ModelError
from sciworld.models.base import WorldModel
from sciworld.models.denoising import Denoiser
from sciworld.models.masked import Masked
from sciworld.models.masked_tasks import filled, some_of
from sciworld.models.schedules import ancestral

PASSES = 3  # over the first frame, of a model that knows the others by those before
COARSE = 5  # pixels over which the light of a frame changes


@dataclass(frozen=True)
class Restyling:
    """How frames are restyled.

    Parameters
    ----------
    strength : 0 keeps all. Of a model that sees what it restyles 1 makes all anew, and is what None stands for; between
        them the mean is mixed with the frame itself. Samples, and all of models that do not see it, begin with the
        frame, noised to a level between the model's lowest and highest, or of codes that share is decided anew; there
        None is 0.5, and 1, of which nothing of the frame would be left, is refused.
    layout : share of the fine structure that is taken from the frame itself, in the contrast of what the model makes of
        it: guidance at every level. Of masked models there is none. On roads in twelve weathers shares of 0.3 to 0.6
        kept 0.954 of what stands where, 0 kept 0.947, 1 kept 0.952.
    evaluations : of the model, for a frame, or for a chunk. One gives the mean of what may be: light and air are no
        chance, but drops and flakes are, and in the mean they are haze. More give samples.
    """

    strength: float | None = None
    layout: float = 0.5
    evaluations: int = 1

    def __post_init__(self) -> None:
        for name in ("strength", "layout"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, real(getattr(self, name), name, 0.0, 1.0))
        require(self.layout is not None, "layout is None; use a number of 0 to 1")
        whole(self.evaluations, "evaluations", 1)


@torch.no_grad()
def restyled(
    model: WorldModel,
    frames: torch.Tensor,
    covariates: torch.Tensor,
    generator: torch.Generator,
    settings: Restyling | None = None,
    controls: torch.Tensor | None = None,
    view: torch.Tensor | None = None,
) -> torch.Tensor:
    """Frames (b, t, y, x, channel), in their units, under covariates (b, covariate) : the same, float32.

    controls : (b, t - 1, control) that led from each frame to the next; unknown without them. view : (b, 6), needed
    where controls are positions. Raises ModelError for frames of another shape, and models that cannot restyle: such as
    learned nothing of chance, or of no covariates.
    """
    settings = settings or Restyling()
    model.signature.require(tuple(frames.shape[2:]), len(model.signature.controls), "restyled")
    wanted = (len(frames), len(model.signature.covariates))
    if not wanted[1] or covariates.shape != wanted:
        raise ModelError(
            f"restyled: covariates are {tuple(covariates.shape)}; the model knows {wanted}: "
            f"{', '.join(model.signature.covariates.names) or 'none, so that it cannot restyle'}"
        )
    if not torch.isfinite(frames).all():
        raise ModelError("restyled: frames are NaN or infinite; fill them first")
    frames, seen = frames.to(torch.float32), is_restyler(model)
    if settings.strength is None:
        settings = replace(settings, strength=1.0 if seen else 0.5)
    if settings.strength == 1 and not seen:
        raise ModelError("restyled: with a strength of 1 nothing of the frames would be left; use less for this model")
    if settings.strength == 0:
        return frames.clone()
    if controls is None:
        controls = frames.new_full((len(frames), frames.shape[1] - 1, len(model.signature.controls)), math.nan)
    view = frames.new_zeros((len(frames), 6)) if view is None else view
    if isinstance(model, Masked):
        return _decided(model, frames, covariates, generator, settings, controls, view)
    if not isinstance(model, Denoiser) or model.certain:
        raise ModelError(
            "restyled: the model learned nothing between noise and frames; train the preset 'restyle', or one of "
            "'tiny', 'small', 'base'"
        )
    if is_restyler(model):
        return _beside(model, frames, covariates, generator, settings, view)
    return _imagined(model, frames, covariates, generator, settings, controls, view)


def is_restyler(model: WorldModel) -> bool:
    """Whether a model sees what it restyles; see `Counterfactuals`."""
    return bool(getattr(model.settings, "restyles", False))


def _beside(
    model: Denoiser, frames: torch.Tensor, covariates: torch.Tensor, generator: torch.Generator, settings: Restyling,
    view: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Each from itself alone: who sees what was restyled before copies it, errors and all."""
    out = []
    for now in frames.unbind(1):
        state = model.ready(model.start(now[:, None], view, covariates))
        none = now.new_zeros((len(now), 0))
        out.append(model.decoded(_denoised(model, state, none, now, generator, settings)))
    return torch.stack(out, dim=1)


def _imagined(
    model: Denoiser, frames: torch.Tensor, covariates: torch.Tensor, generator: torch.Generator, settings: Restyling,
    controls: torch.Tensor, view: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Each as what comes next, of the restyled ones before it; the first time and again from what it became."""
    first = frames[:, 0]
    none = controls.new_full((len(frames), controls.shape[2]), math.nan)
    for _ in range(PASSES):
        state = model.ready(model.start(first[:, None].repeat(1, model.context, 1, 1, 1), view, covariates))
        first = model.decoded(_denoised(model, state, none, frames[:, 0], generator, settings))
    out = [first]
    state = model.start(first[:, None].repeat(1, model.context, 1, 1, 1), view, covariates)
    for now, played in zip(frames[:, 1:].unbind(1), controls.unbind(1), strict=True):
        state = model.ready(state)
        latent = _denoised(model, state, played, now, generator, settings)
        state = model.after(state, latent, played)
        out.append(model.decoded(latent))
    return torch.stack(out, dim=1)


def _denoised(
    model: Denoiser, state: Any, controls: torch.Tensor, frame: torch.Tensor, generator: torch.Generator,
    settings: Restyling,
) -> torch.Tensor:  # fmt: skip
    """A sample of the latent (b, *latent) that a frame (b, y, x, channel), noised to a level, may be of."""
    s, own = model.settings, model.encoded(frame[:, None])[:, 0]
    assert settings.strength is not None
    mixed, sampled = is_restyler(model) and settings.evaluations == 1, settings.evaluations > 1
    if settings.strength < 1 and not mixed:
        top = s.last * (s.first / s.last) ** settings.strength
        n = settings.evaluations
        levels = [top * (s.last / top) ** (i / max(n - 1, 1)) for i in range(n)]
        found = own + top * torch.randn(own.shape, generator=generator, device=own.device)
    else:
        levels, found = [math.inf, *model.levels_below(settings.evaluations)], model.pure_noise(controls)[0]
    for level, lower in pairwise([*levels, 0.0]):
        clean = model.answer(state, controls, found, own.new_full((len(own),), level), sampled)
        if settings.layout:
            clean = _held(clean, own, settings.layout)
        found = ancestral(found, clean, level, lower, torch.randn(own.shape, generator=generator, device=own.device))
    return torch.lerp(own, found, settings.strength) if mixed else found


def _held(clean: torch.Tensor, own: torch.Tensor, share: float) -> torch.Tensor:
    """Latents (b, c, y, x) with a share of the fine structure of others, in their own contrast."""

    def fine(image: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(image, (COARSE // 2,) * 4, mode="replicate")
        return image - functional.avg_pool2d(padded, COARSE, stride=1)

    made, given = fine(clean), fine(own)
    contrast = [part.square().mean(dim=(2, 3), keepdim=True).sqrt() for part in (made, given)]
    return clean + share * (given * contrast[0] / contrast[1].clamp(min=1e-6) - made)


def _decided(
    model: Masked, frames: torch.Tensor, covariates: torch.Tensor, generator: torch.Generator, settings: Restyling,
    controls: torch.Tensor, view: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Window by window, of which the first frames are the last ones that were decided: first a share, then the rest."""
    assert settings.strength is not None
    length, patch = model.context + model.chunk, model.tokenizer.patch
    out = frames[:, :0]
    while out.shape[1] < frames.shape[1]:
        before = out[:, out.shape[1] - min(model.context, out.shape[1]) :]
        at = out.shape[1] - before.shape[1]
        window = frames[:, at : at + length].clone()
        window[:, : before.shape[1]] = before
        kept = some_of(tuple(window.shape), patch, 1 - settings.strength, generator)
        old = torch.zeros_like(kept)
        old[:, : before.shape[1]] = True
        given = controls[:, at : at + window.shape[1] - 1], covariates, None, settings.evaluations
        window = filled(model, window, kept | old, view, generator, *given)
        if settings.strength < 1:
            window = filled(model, window, ~kept | old, view, generator, *given)
        out = torch.cat([out, window[:, before.shape[1] :]], dim=1)
    return out
