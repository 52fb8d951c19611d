"""Causal diffusion: every frame has a noise level of its own and looks back over a window that rolls on.

Diffusion forcing (Chen et al. 2024, arXiv:2407.01392) trains one network for frames of any mixture of noise levels.
Here most windows show it clean history and ask for every frame after it at once, side by side with that history (the
frames asked for see the clean ones before them and themselves), which is what rollouts meet; a share of windows has
independent levels, which is what rollouts of several frames at a time meet. What history offers is kept: a step costs
as much after a thousand frames as after one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from sciworld.errors import ModelError
from sciworld.models.base import Losses, Signature
from sciworld.models.causal_net import Asked, CausalNet, Past
from sciworld.models.causal_settings import PRESETS, CausalSettings
from sciworld.models.denoising import Denoiser
from sciworld.models.schedules import levels_of, lowered, preconditioned, shown

if TYPE_CHECKING:
    from sciworld.windows import Batch


@dataclass
class CausalState:
    """The present of b candidates.

    Parameters
    ----------
    last, before : (b, *latent), the present and the latent before it. led : (b, control), which controls led to the
        present, NaN if unknown; None once it is among the past.
    offered : (b, layer, s, 2 width, y, x), what frames of the past offer, and times : (b, s) when they were; None
        without a past. now : (b,), the time of the present, in frames; the same for all.
    view : (b, 6). covariates : (b, covariate) or None, see `Conditioning.known`.
    """

    last: torch.Tensor
    before: torch.Tensor
    now: torch.Tensor
    view: torch.Tensor
    covariates: torch.Tensor | None = None
    led: torch.Tensor | None = None
    offered: torch.Tensor | None = None
    times: torch.Tensor | None = None


class Causal(Denoiser):
    """A world model with a memory of a window of frames, and of key frames before it. See the module for its sources.

    Raises ModelError if the patches (and one halving) do not divide the frames.
    """

    family = "causal"
    Settings = CausalSettings
    presets = PRESETS

    def __init__(self, signature: Signature, settings: CausalSettings | None = None) -> None:
        super().__init__(signature, settings or CausalSettings())
        s = self.settings
        channels = self.codec.latent[0]
        self.net = CausalNet(
            2 * channels + self.maps, channels, s.width, s.coarse, blocks=s.blocks, layers=s.layers,
            embedding=s.embedding, patch=self.patch, flat=self.codec.flat, backbone=s.backbone, injection=s.injection,
            checkpointing=s.checkpointing,
        )  # fmt: skip
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def lengths(cls, settings: CausalSettings) -> tuple[int, int]:
        """Frames of context, and those of training after them."""
        return settings.context, settings.horizon

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        """Squared error of every denoised frame but the first, weighed by `weights` and by the noise level."""
        frames, s = batch.frames.to(torch.float32), self.settings
        self.signature.require(tuple(frames.shape[2:]), batch.controls.shape[-1])
        b, n = frames.shape[0], frames.shape[1] - 1
        view = batch.view[:, s.context - 1]
        controls, covariates = self.conditioning.dropped(
            batch.controls.to(torch.float32), self.conditioning.known(view, batch.covariates, batch.words), s.dropout,
            generator,
        )  # fmt: skip
        latents = self.encoded(frames)
        unknown = torch.full_like(controls[:, :1], torch.nan)
        around = _Around(view, covariates, torch.cat([unknown, controls], dim=1))
        # A start does not know what led to its frames: history is as ignorant of some of its first ones.
        known = torch.randint(1, s.context + 1, (b, 1, 1), generator=generator, device=latents.device)
        hidden = torch.arange(n + 1, device=latents.device)[:, None] < known
        recalled = replace(around, controls=torch.where(hidden, torch.nan, around.controls))
        # The first windows are asked for side by side with their history, the last ones forced.
        split = b - math.ceil(s.forcing * b)
        parts = []
        if split:
            parts.append(self._asked_for(latents[:split], recalled.rows(0, split), around.rows(0, split), generator))
        if split < b:
            level = self.draw_levels((b - split, n), generator, latents.device)
            first = s.history * torch.rand((b - split, 1), generator=generator, device=latents.device)
            seen = torch.cat([first, level], dim=1)
            parts.append(
                (self._forced(self.noised(latents[split:], seen, generator), seen, recalled.rows(split, b)), level)
            )
        clean, level = (torch.cat(part) for part in zip(*parts, strict=True))
        return self.losses(clean, latents[:, 1:], level, frames, weights)

    def _asked_for(
        self, latents: torch.Tensor, recalled: _Around, around: _Around, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Clean latents (b, n, *latent) of the frames after the first, side by side, and their levels (b, n)."""
        b, n = latents.shape[0], latents.shape[1] - 1
        level = self.draw_levels((b, n), generator, latents.device)
        told = self.settings.history * torch.rand((b, n), generator=generator, device=latents.device) ** 2
        past = self.noised(latents[:, :-1], told, generator)
        asked_for = self._blurred(past, told, latents[:, 1:], (recalled, around), generator)
        asked_for = self.noised(asked_for, level, generator)
        return self._side_by_side(past, told, asked_for, level, (recalled, around)), level

    def begun(self, frames: torch.Tensor, view: torch.Tensor, known: torch.Tensor | None) -> CausalState:
        """See `start`; known : of the run, see `Conditioning.known`."""
        b, t = frames.shape[:2]
        if not 1 <= t <= self.context:
            raise ModelError(f"start: {t} frames; the model looks back at 1 to {self.context}")
        self.signature.require(tuple(frames.shape[2:]), len(self.signature.controls), "start")
        latents = self.encoded(frames)
        unknown = latents.new_full((b, t, len(self.signature.controls)), torch.nan)
        asked = self._asked(latents, latents.new_zeros((b, t)), _Around(view, known, unknown), latents[:, 0])
        times = asked.times
        _, offered = self.net(asked, None, self._visible(times, times), 0)
        kept, before = times.expand(b, t), latents[:, max(t - 2, 0)]
        return CausalState(latents[:, -1], before, kept[:, -1], view, known, None, offered, kept)

    @property
    def shortest(self) -> int:
        """A window may begin at any time."""
        return 1

    def anchor(self, state: CausalState, frames: torch.Tensor) -> CausalState:
        """The state with a measured present, frames (b, y, x, channel)."""
        last = self.encoded(frames[:, None])[:, 0]
        if state.led is not None:
            return replace(state, last=last)
        # As it was begun: its present is the last of what it remembers.
        past = self._past(state)
        return replace(
            state,
            last=last,
            before=state.before if len(past.times) > 1 else last,
            led=last.new_full((len(last), len(self.signature.controls)), torch.nan),
            offered=past.offered[:, :, :-1],
            times=state.times[:, :-1],  # type: ignore[index]
        )

    def after(self, state: CausalState, latent: torch.Tensor, controls: torch.Tensor) -> CausalState:
        """The state when `latent` (b, *latent) has come, which controls (b, control) led to."""
        return replace(state, last=latent, before=state.last, now=state.now + 1, led=controls)

    def rollout(
        self, state: CausalState, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int = 1
    ) -> tuple[torch.Tensor, CausalState]:
        """Frames under controls (b, n, control), by the schedule of the settings; see `WorldModel.rollout`."""
        if self.settings.schedule == "sequential" or not controls.shape[1]:
            return super().rollout(state, controls, generator, evaluations)
        self.require_step(controls[:, :1], generator, evaluations)
        evaluations = 1 if self.certain else evaluations
        found = []
        for part in controls.split(self.context, dim=1):
            latents = self._together(self.ready(state), part, generator, evaluations)
            for step in range(part.shape[1]):
                state = self.after(self.ready(state), latents[:, step], part[:, step])
            found.append(self.decoded(latents.flatten(0, 1)).unflatten(0, part.shape[:2]))
        return torch.cat(found, dim=1), state

    def _together(
        self, state: CausalState, controls: torch.Tensor, generator: torch.Generator | None, evaluations: int
    ) -> torch.Tensor:
        """The next latents (b, n, *latent) under controls (b, n, control), denoised side by side."""
        b, n = controls.shape[:2]
        past, when = self._past(state), state.now[:1] + 1 + torch.arange(n, device=controls.device)
        mask = self._visible(when, torch.cat([past.times, when]))
        found = state.last.new_zeros((b, n, *state.last.shape[1:]))
        down = levels_of(self.settings.schedule, n, [torch.inf, *self.levels_below(evaluations)])
        for levels, lower in pairwise(down):
            level = found.new_tensor(levels).expand(b, n)

            def denoise(
                told: torch.Tensor,
                covariates: torch.Tensor | None,
                noised: torch.Tensor = found,
                level: torch.Tensor = level,
            ) -> torch.Tensor:
                asked = self._asked(noised, level, _Around(state.view, covariates, told), state.last, when)
                change, _ = self.net(asked, past, mask, n)
                before = torch.cat([state.last[:, None], _expected(noised, level)[:, :-1]], dim=1)
                return preconditioned(change, noised, before, level)

            clean = self.guided(denoise, controls, state.covariates, evaluations > 1)
            found = lowered(found, clean, levels, lower, generator)
        return self.pictured(found, generator) if evaluations > 1 else found

    def denoised(
        self,
        state: CausalState,
        controls: torch.Tensor,
        known: torch.Tensor | None,
        noised: torch.Tensor,
        level: torch.Tensor,
    ) -> torch.Tensor:
        """See `Denoiser.denoised`."""
        past, when = self._past(state), state.now[:1] + 1
        around = _Around(state.view, known, controls[:, None])
        asked = self._asked(noised[:, None], level[:, None], around, state.last, when)
        change, _ = self.net(asked, past, self._visible(when, torch.cat([past.times, when])), 1)
        return preconditioned(change[:, 0], noised, state.last, level)

    def ready(self, state: CausalState) -> CausalState:
        """The state with its present among the past, and what the window has left behind forgotten."""
        if state.led is None:
            return state
        past, when = self._past(state), state.now[:1]
        level = state.last.new_full((len(state.last), 1), self.settings.imagined)
        around = _Around(state.view, state.covariates, state.led[:, None])
        asked = self._asked(state.last[:, None], level, around, state.before, when)
        times = torch.cat([past.times, when])
        _, offered = self.net(asked, past, self._visible(when, times), 0)
        # Without key frames these are the last ones; looking which would let a device wait for the host.
        kept = self._visible(when + 1, times)[0] if self.settings.memory else slice(-self.context, None)
        rows = torch.cat([past.offered, offered], dim=2)[:, :, kept]
        return replace(state, led=None, offered=rows, times=times[kept].expand(len(rows), -1))

    def _past(self, state: CausalState) -> Past:
        assert state.offered is not None and state.times is not None  # every state has been started
        return Past(state.offered, state.times[0])

    def _visible(self, when: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Which of the frames at `times` : (s,) frames at `when` : (t,) look at : (t, s) bool.

        The window before each, itself, and the newest key frames before the window.
        """
        s = self.settings
        ago = when[:, None] - times
        seen = (ago >= 0) & (ago <= s.context)
        if s.memory:
            newest = (when[:, None] - s.context - 1).div(s.stride, rounding_mode="floor") * s.stride
            key = (times % s.stride == 0) & (times <= newest) & (times > newest - s.memory * s.stride)
            seen = seen | (key & (ago > s.context))
        return seen

    def _forced(self, noised: torch.Tensor, level: torch.Tensor, around: _Around) -> torch.Tensor:
        """Clean latents (b, n, *latent) of the frames after the first, of n + 1 that see each other as they are."""
        asked = self._asked(noised, level, around, noised[:, 0])
        change, _ = self.net(asked, None, self._visible(asked.times, asked.times), noised.shape[1] - 1)
        return preconditioned(change, noised[:, 1:], _expected(noised, level)[:, :-1], level[:, 1:])

    def _side_by_side(
        self,
        past: torch.Tensor,
        told: torch.Tensor,
        noised: torch.Tensor,
        level: torch.Tensor,
        around: tuple[_Around, _Around],
    ) -> torch.Tensor:
        """Clean latents (b, n, *latent) of the frames after the first; each sees the past before it and itself.

        past : (b, n, *latent), the frames but the last, noised at levels `told`. noised : those after the first, at
        `level`. around : as the past recalls it, and as it is, of all n + 1 frames.
        """
        n, (recalled, known) = noised.shape[1], around
        history = self._asked(past, told, recalled.frames(0, n), past[:, 0])
        when, before = history.times + 1, _expected(past, told)
        question = self._asked(noised, level, known.frames(1, n + 1), before, when)
        asked = Asked(
            torch.cat([history.images, question.images], dim=1),
            torch.cat([history.embedding, question.embedding], dim=1),
            None if history.tokens is None else torch.cat([history.tokens, question.tokens], dim=1),  # type: ignore[list-item]
            torch.cat([history.times, when]),
        )
        back = self._visible(asked.times, history.times)
        back[n:] &= history.times < when[:, None]
        own = torch.cat([torch.zeros_like(back[:n]), torch.eye(n, dtype=torch.bool, device=back.device)])
        change, _ = self.net(asked, None, torch.cat([back, own], dim=1), n)
        return preconditioned(change, noised, before, level)

    def _blurred(
        self,
        past: torch.Tensor,
        told: torch.Tensor,
        targets: torch.Tensor,
        around: tuple[_Around, _Around],
        generator: torch.Generator,
    ) -> torch.Tensor:
        """`targets` (b, n, *latent), of which those of the undecided windows become mixtures with their mean."""
        rows = self.undecided(len(targets))
        if not rows:
            return targets
        level = torch.full_like(told[:rows], torch.inf)
        recalled, known = (each.rows(0, rows) for each in around)
        with torch.no_grad():
            nothing = torch.zeros_like(targets[:rows])
            mean = self._side_by_side(past[:rows], told[:rows], nothing, level, (recalled, known))
        first = self.mixed(mean.flatten(0, 1), targets[:rows].flatten(0, 1), generator)
        return torch.cat([first.unflatten(0, mean.shape[:2]), targets[rows:]])

    def _asked(
        self,
        latents: torch.Tensor,
        level: torch.Tensor,
        around: _Around,
        before: torch.Tensor,
        times: torch.Tensor | None = None,
    ) -> Asked:
        """What the network is shown of noised latents (b, t, *latent) at level (b, t), and of what led to each.

        before : the latents before them, (b, t, *latent), or (b, *latent) before the first of those given.
        """
        b, t = latents.shape[:2]
        if before.ndim == 4:
            before = torch.cat([before[:, None], _expected(latents, level)[:, :-1]], dim=1)
        controls = around.controls.flatten(0, 1)
        view = around.view.repeat_interleave(t, dim=0)
        covariates = None if around.covariates is None else around.covariates.repeat_interleave(t, dim=0)
        maps = self.drawn(controls, view).unflatten(0, (b, t))
        images = torch.cat([shown(latents, level), before, maps], dim=2)
        embedding, tokens = self.conditioning.embed(controls, self.level_feature(level.flatten()), view, covariates)
        times = torch.arange(t, device=latents.device) if times is None else times
        return Asked(
            images, embedding.unflatten(0, (b, t)), None if tokens is None else tokens.unflatten(0, (b, t)), times
        )


@dataclass(frozen=True)
class _Around:
    """What is known beside the frames: view (b, 6), covariates (b, covariate) or None, controls (b, t, control).

    Controls of a frame are those that led to it, NaN if unknown.
    """

    view: torch.Tensor
    covariates: torch.Tensor | None
    controls: torch.Tensor

    def frames(self, first: int, last: int) -> _Around:
        """Of the frames from `first` to before `last`."""
        return replace(self, controls=self.controls[:, first:last])

    def rows(self, first: int, last: int) -> _Around:
        """Of the windows from `first` to before `last`."""
        covariates = None if self.covariates is None else self.covariates[first:last]
        return _Around(self.view[first:last], covariates, self.controls[first:last])


def _expected(noised: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """The mean of latents of unit variance (b, t, *latent), given them noised at level (b, t), and nothing else."""
    return noised / (1 + level.square())[..., None, None, None]
