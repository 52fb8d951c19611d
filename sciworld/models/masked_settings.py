"""The shape of the masked model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from sciworld.config import require, whole
from sciworld.models.conditioning import require_shares
from sciworld.models.denoising import LARGEST_SIZE
from sciworld.models.tokenizers.vivit import PRESETS as TOKENIZERS
from sciworld.models.tokenizers.vivit import ViViTSettings

ORDERS = ("random", "confident")
BACKBONES = ("conv", "genie", "stpt")


@dataclass(frozen=True)
class MaskedSettings:
    """The shape of the network, what it sees, and how it is asked.

    Parameters
    ----------
    tokenizer : of the frames. joint : it is trained along; else one that is trained before is taken as it is.
    context : past frames seen. chunk : frames that come after them together.
    backbone : "conv", convolutions see the past, see `masked_conv`; "genie", each frame sees the codes of itself and of
        those before it, see `spacetime`; "stpt", all see each other, see `stpt`: what is asked for may then lie
        anywhere.
    width : of the transformer. layers : of it. embedding : width of what scalars, categories, covariates and text say.
    fine : width of the convolutions, twice that where they see coarsely. pixels : along the side of what they see.
    motion : of "conv": the mean is the last frame, moved, and what differs from it; see DiffusionSettings.
    least : the lowest share of codes that training masks; it is drawn from there to 1 (Bruce et al., section 2.1).
    rebuilt : of "conv", which sees frames: share of training windows whose past is what the tokenizer makes of it, as
        in samples.
    whole : share of training windows in which all that comes after the context is masked, and nothing else: of these
        the posterior mean is learned; "conv" learns it of all.
    every : in the others frames of the context are masked, too, and learned, as in Genie; else they are clean, as in
        rollouts.
    region, anything : shares of training windows in which what is masked lies in a rectangle of all frames, or anywhere
        in them: what a model learns inpainting, restyling and generating from, see `masked_tasks`.
    order : in which samples are decided: "random", or the most "confident" first (MaskGIT: Chang et al. 2022,
        arXiv:2202.04200), which looks better and changes how often things happen.
    temperature : of what is drawn. choice : of confidence, falling to 0.
    positions : "maps", drawn on the pixel grid, or "numbers". text : "words", or "" to heed none.
    dropout, guidance : see DenoiserSettings.
    """

    tokenizer: ViViTSettings = field(default_factory=ViViTSettings)
    joint: bool = True
    context: int = 1
    chunk: int = 1
    backbone: str = "conv"
    width: int = 96
    layers: int = 2
    embedding: int = 64
    fine: int = 48
    pixels: int = 2
    motion: bool = False
    rebuilt: float = 0.5
    least: float = 0.0
    whole: float = 0.5
    every: bool = False
    region: float = 0.0
    anything: float = 0.0
    order: str = "random"
    temperature: float = 1.0
    choice: float = 4.5
    positions: str = "maps"
    text: str = ""
    dropout: tuple[float, ...] = (0.0, 0.0, 0.0, 0.1, 0.1)
    guidance: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("context", "chunk", "layers", "embedding", "pixels"):
            whole(getattr(self, name), name, 1, LARGEST_SIZE)
        for name in ("width", "fine"):
            value = getattr(self, name)
            require(value % 8 == 0 and value > 0, f"{name} is {value}; use a multiple of 8")
        for name in ("least", "whole", "region", "anything", "rebuilt"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name} is {value}; it is a share")
        require(self.region + self.anything <= 1, "region and anything are shares of all windows; together at most 1")
        if self.backbone == "conv":
            alone = self.chunk == 1 and not self.every and not self.region + self.anything
            require(alone, "backbone 'conv' learns one next frame alone: chunk is 1, every, region and anything are 0")
        require(not self.motion or self.backbone == "conv", "motion is of the backbone 'conv', which sees frames")
        require(self.order in ORDERS, f"order is {self.order!r}; use one of {', '.join(ORDERS)}")
        require(0 < self.temperature < math.inf, f"temperature must be above 0, and a number: {self.temperature}")
        require(0 <= self.choice < math.inf, f"choice must be at least 0, and a number: {self.choice}")
        for name, known in (("positions", ("maps", "numbers")), ("text", ("", "words")), ("backbone", BACKBONES)):
            value = getattr(self, name)
            require(value in known, f"{name} is {value!r}; use one of {', '.join(map(repr, known))}")
        require_shares(self.dropout, self.guidance)


TASKS: dict[str, Any] = {"chunk": 4, "region": 0.2, "anything": 0.3, "dropout": (0.1, 0.1, 0.1, 0.3, 0.3)}
GENIE: dict[str, Any] = {
    "context": 15,
    "width": 512,
    "layers": 12,
    "embedding": 512,
    "least": 0.5,
    "whole": 0.1,
}
PRESETS = {
    "tiny": MaskedSettings(),
    "scene": MaskedSettings(
        ViViTSettings(parts=28, width=64, layers=1),
        context=2,
        pixels=4,
        motion=True,
        dropout=(0.0, 0.0, 0.0, 0.5, 0.0),
    ),
    "tasks": MaskedSettings(backbone="stpt", layers=3, **TASKS),
    "genie": MaskedSettings(backbone="genie", layers=3),
    "small": MaskedSettings(TOKENIZERS["small"], backbone="genie", context=4, width=256, layers=6, embedding=128),
    "base": MaskedSettings(TOKENIZERS["base"], backbone="genie", context=8, width=384, layers=12, embedding=256),
    "genie-coinrun": MaskedSettings(
        TOKENIZERS["genie-coinrun"], backbone="genie", order="confident", every=True, **GENIE
    ),
}
