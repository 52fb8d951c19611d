"""Transformers over frames of tokens: each place looks at the others of its frame, and at itself in earlier frames.

Attention over space and over time alternate (Xu et al. 2020, arXiv:2001.02908), with one feed-forward layer after both,
as in Genie (Bruce et al. 2024, arXiv:2402.15391, section 2): what a frame costs grows with its tokens squared, but a
rollout's cost only with its frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from sciworld.models.attention import attended, heads_of, joined, rotated, split


@dataclass(frozen=True)
class Times:
    """When frames are, and what each may look at.

    Parameters
    ----------
    own : (t,), of the frames asked about; seen : (s,), of all that they may look at, themselves last.
    mask : (t, s) bool.
    """

    own: torch.Tensor
    seen: torch.Tensor
    mask: torch.Tensor


def causal(frames: int, window: int, device: torch.device, earlier: int = 0) -> Times:
    """Each of `frames` looks at itself and as many before it as make up `window`, `earlier` of which are kept."""
    seen = torch.arange(-earlier, frames, device=device)
    own = seen[earlier:]
    ago = own[:, None] - seen
    return Times(own, seen, (ago >= 0) & (ago < window))


class SpaceTimeBlock(nn.Module):
    """Tokens (b, t, place, width) to the same. See the module."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = heads_of(width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.across = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.back = nn.Linear(width, 3 * width)
        self.recalled = nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(
        self, x: torch.Tensor, times: Times, earlier: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x with what it finds, and what it offers later frames: keys and values (b, t, place, 2 width).

        earlier : what earlier frames offered, (b, s - t, place, 2 width).
        """
        width = x.shape[3]
        query, key, value = self.across(self.norms[0](x)).flatten(0, 1).chunk(3, dim=2)
        x = x + self.mixed(joined(attended(query, key, value, self.heads)).reshape(x.shape))
        made = self.back(self.norms[1](x))
        query, offered = made[..., :width], made[..., width:]
        seen = offered if earlier is None else torch.cat([earlier, offered], dim=1)
        # Who looks at itself alone finds its own value.
        found = seen[..., width:] if seen.shape[1] == 1 else self._recalled(query, seen, times)
        x = x + self.recalled(found)
        return x + self.think(self.norms[2](x)), offered

    def _recalled(self, query: torch.Tensor, seen: torch.Tensor, times: Times) -> torch.Tensor:
        """What each place finds of itself in other frames : (b, t, place, width)."""
        b, t, places, width = query.shape
        key, value = seen.chunk(2, dim=3)
        asked, keyed, valued = (split(part.transpose(1, 2).flatten(0, 1), self.heads) for part in (query, key, value))
        asked, keyed = rotated(asked, times.own), rotated(keyed, times.seen)
        found = functional.scaled_dot_product_attention(asked, keyed, valued, attn_mask=times.mask)
        return joined(found).reshape(b, places, t, width).transpose(1, 2)


class SpaceTime(nn.Module):
    """A stack of blocks over tokens (b, t, place, width), whose places it knows apart. Ends normalised."""

    def __init__(self, width: int, layers: int, places: int) -> None:
        super().__init__()
        self.places = nn.Parameter(0.02 * torch.randn(places, width))
        self.blocks = nn.ModuleList(SpaceTimeBlock(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, x: torch.Tensor, times: Times, earlier: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `SpaceTimeBlock.forward`; what is offered has a row a layer : (b, layer, t, place, 2 width)."""
        x, offers = x + self.places, []
        for layer, block in enumerate(self.blocks):
            x, offered = block(x, times, None if earlier is None else earlier[:, layer])
            offers.append(offered)
        return self.norm(x), torch.stack(offers, dim=1)
