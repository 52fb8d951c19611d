"""What a masked model does beside predicting: it fills in whatever of a window of frames is not known.

`filled` is the one call (the tasks are those of WorldDreamer, Wang et al. 2024, arXiv:2401.09985, section 3):

predict               known : the first frames
predict under controls  the same, with controls
inpaint a region      known : all but a rectangle
restyle               known : a share of places, see `some_of`; covariates or words are those that are wanted
generate              known : nothing
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from sciworld.errors import ModelError
from sciworld.models.masked import Masked
from sciworld.models.masked_net import MaskedNet, Told
from sciworld.models.masked_sampling import decided


@torch.no_grad()
def filled(
    model: Masked,
    frames: torch.Tensor,
    known: torch.Tensor,
    view: torch.Tensor,
    generator: torch.Generator,
    controls: torch.Tensor | None = None,
    covariates: torch.Tensor | None = None,
    words: torch.Tensor | None = None,
    evaluations: int = 10,
) -> torch.Tensor:
    """A sample of frames (b, t, y, x, channel) in their units, at most context + chunk of them, of which some is known.

    known : (b, t, y, x) bool; what is known stays as it is. Of a patch of which a pixel is unknown the codes are drawn
    anew, with nothing of it seen. view : (b, 6). controls : (b, t - 1, control), NaN for unknown, or None for all
    unknown. covariates, words : see `WorldModel.start`.

    A causal backbone ("genie") decides one frame after the other, each knowing the ones before it; "stpt" all together.
    Raises ModelError for shapes that do not fit, more frames than the model sees, or what its training never hid.
    """
    b, t, y, x, _ = frames.shape
    model.signature.require(tuple(frames.shape[2:]), len(model.signature.controls), "filled")
    if not isinstance(model.net, MaskedNet):
        raise ModelError("filled: backbone 'conv' sees whole frames of the past alone; train the preset 'tasks'")
    if known.shape != (b, t, y, x) or known.dtype != torch.bool:
        raise ModelError(
            f"filled: known is {known.dtype} {tuple(known.shape)}; give a bool for each pixel, {(b, t, y, x)}"
        )
    if not torch.isfinite(frames[known]).all():
        raise ModelError("filled: a pixel that is known is NaN or infinite; say in `known` that it is not")
    s = model.settings
    first = 0 if s.region + s.anything else 1 if s.every else s.context
    if not known[:, :first].all():
        raise ModelError(
            f"filled: the first {first} frames of {t} are not all known, and this model's training never hid any of "
            "them; train the preset 'tasks', or with region and anything above 0"
        )
    if t > model.context + model.chunk:
        raise ModelError(f"filled: {t} frames; the model sees {model.context + model.chunk} at a time")
    wanted = (b, t - 1, len(model.signature.controls))
    if controls is None:
        controls = frames.new_full(wanted, math.nan, dtype=torch.float32)
    if controls.shape != wanted:
        raise ModelError(f"filled: controls are {tuple(controls.shape)}; give {wanted}, NaN where they are unknown")
    led = torch.cat([controls.new_full((b, 1, controls.shape[2]), math.nan), controls], dim=1)
    told = Told(led, view, model.conditioning.known(view, covariates, words))
    patch = model.tokenizer.patch
    # What is not known is not looked at: the mean stands for it where the tokenizer sees a frame as a whole.
    shown = torch.where(known[..., None], frames.to(torch.float32), model.tokenizer.mean)
    codes = model.tokenizer.encode(shown).flatten(2, 3)
    anew = functional.max_pool2d((~known).float(), patch) > 0
    hidden = anew.flatten(2)[..., None].expand(codes.shape)
    parts = [(k, k + 1) for k in range(t)] if model.net.causal else [(0, t)]
    for begin, end in parts:

        def ask(
            found: torch.Tensor, masked: torch.Tensor, earlier: torch.Tensor = codes[:, :begin], end: int = end
        ) -> torch.Tensor:
            begin = earlier.shape[1]
            seen = torch.cat([earlier, found], dim=1)
            clean = torch.zeros_like(hidden[:, :begin])
            asked = torch.cat([clean, masked], dim=1)
            features = model.net(model.tokenizer.vectors(seen), asked, told.frames(0, end))
            return model.net.logits(features[:, begin:])

        now = slice(begin, end)
        drawn = decided(ask, codes[:, now], hidden[:, now], generator, evaluations, model.settings)
        codes = torch.cat([codes[:, :begin], drawn, codes[:, end:]], dim=1)
    return torch.where(known[..., None], frames.to(torch.float32), model.decoded(codes))


def some_of(shape: tuple[int, ...], patch: int, share: float, generator: torch.Generator) -> torch.Tensor:
    """Which pixels of frames of a shape (b, t, y, x, channel) stay known, when a share of all patches does : bool.

    Raises ModelError for what is no share.
    """
    if not 0 <= share <= 1:
        raise ModelError(f"some_of: share is {share}; it is a share")
    b, t, y, x, _ = shape
    luck = torch.rand((b, t, y // patch, x // patch), generator=generator, device=generator.device)
    return functional.interpolate((luck < share).float(), scale_factor=patch) > 0
