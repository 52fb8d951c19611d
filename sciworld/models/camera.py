"""The noise of a camera, as far as recordings tell it before anything is learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from sciworld.loader import Mixture
    from sciworld.windows import Windows

LOOKED_AT = 16  # windows, about
MIDDLE = 0.6745  # standard deviations, within which half of all normal errors are
LEAST = 1e-6  # variance, of data of unit variance


@torch.no_grad()
def noise_in(
    windows: Windows | Mixture, normalise: Callable[[torch.Tensor], torch.Tensor], zero: torch.Tensor
) -> torch.Tensor:
    """The logarithms of floor and share (2, channel, 1, 1) of the variance of normalised images: floor + share of the
    intensity (Foi et al. 2008, IEEE Transactions on Image Processing 17, 1737).

    From how consecutive frames differ, where they are dark and where they are bright; by medians, since what moves is
    no noise. zero : (1, channel, 1, 1), the normalised value of no intensity.
    """
    ids = list(range(0, len(windows), windows.length))
    frames = torch.as_tensor(windows.batch(ids[:: max(1, len(ids) // LOOKED_AT)]).frames, device=zero.device)
    images = normalise(frames.flatten(0, 1).to(torch.float32)).unflatten(0, frames.shape[:2])
    error = ((images[:, 1:] - images[:, :-1]).abs() / 2**0.5).transpose(0, 2).flatten(1)
    intensity = ((images[:, 1:] + images[:, :-1]) / 2 - zero).clamp(min=0).transpose(0, 2).flatten(1)
    found = []
    for errors, brightness in zip(error, intensity, strict=True):
        dark, bright = brightness <= brightness.median(), brightness >= _ninth(brightness)
        low, high = ((errors[part].median() / MIDDLE) ** 2 for part in (dark, bright))
        apart = (brightness[bright].mean() - brightness[dark].mean()).clamp(min=LEAST)
        share = ((high - low) / apart).clamp(min=LEAST)
        floor = (low - share * brightness[dark].mean()).maximum(0.01 * low).clamp(min=LEAST)
        found.append(torch.stack([floor, share]))
    return torch.stack(found, dim=1)[..., None, None].log()


def _ninth(values: torch.Tensor) -> torch.Tensor:
    """What nine tenths of values (n,) are below."""
    return values.kthvalue(max(1, int(0.9 * len(values)))).values
