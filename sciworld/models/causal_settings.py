"""The shape of the causal model."""

from __future__ import annotations

from dataclasses import dataclass

from sciworld.config import require, whole
from sciworld.models.denoising import LARGEST_SIZE, DenoiserSettings
from sciworld.models.schedules import SCHEDULES

BACKBONES = ("conv", "attention")


@dataclass(frozen=True)
class CausalSettings(DenoiserSettings):
    """The shape of the network and of what it sees; see DenoiserSettings for what is not here.

    Parameters
    ----------
    context : frames looked back at, each from itself: the window. horizon : frames after them in training.
    blocks : residual blocks on the fine level, before and after the coarse one. layers : of the coarse level, that look
        back. backbone : of these, "conv" or "attention".
    history : highest noise level of history in training, so that what a rollout gets slightly wrong does not add up.
    imagined : noise level that the network is told of frames that it imagined itself.
    forcing : share of training windows, rounded up, in which every frame has a noise level of its own.
    memory : key frames kept beyond the window. stride : frames from one key frame to the next.
    schedule : of rollouts: "sequential", one frame after the other; "full" and "pyramid" denoise as many frames as the
        context has together, see `schedules`, and need forcing.
    checkpointing : compute the insides of blocks again for the gradient, which takes less memory and a third longer.
    """

    context: int = 4
    horizon: int = 4
    blocks: int = 1
    layers: int = 2
    backbone: str = "conv"
    history: float = 0.3
    imagined: float = 0.0
    forcing: float = 0.0
    memory: int = 0
    stride: int = 4
    schedule: str = "sequential"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("horizon", 1), ("blocks", 0), ("layers", 1), ("memory", 0), ("stride", 1)):
            whole(getattr(self, name), name, least, LARGEST_SIZE)
        require(self.backbone in BACKBONES, f"backbone is {self.backbone!r}; use one of {', '.join(BACKBONES)}")
        require(0 <= self.history < self.low, f"history is {self.history}; it must be below low, {self.low}")
        require(0 <= self.imagined <= self.history, f"imagined is {self.imagined}; use 0 to history, {self.history}")
        require(0 <= self.forcing <= 1, f"forcing is {self.forcing}; it is a share")
        require(self.schedule in SCHEDULES, f"schedule is {self.schedule!r}; use one of {', '.join(SCHEDULES)}")
        alone = self.schedule == "sequential"
        require(alone or self.forcing > 0, f"schedule '{self.schedule}' needs a model that was trained with forcing")
        least = (self.memory - 1) * self.stride + 2
        require(
            not self.memory or self.horizon >= least,
            f"memory of {self.memory} key frames, {self.stride} apart, needs a horizon of {least} frames to be trained",
        )


# By size; and of the size of "tiny", see those of diffusion.
PRESETS = {
    "tiny": CausalSettings(),
    "small": CausalSettings(
        context=8, horizon=8, width=96, coarse=192, embedding=128, layers=4, backbone="attention", forcing=0.2
    ),
    "base": CausalSettings(
        context=16, horizon=16, width=192, coarse=512, embedding=512, blocks=2, layers=12, backbone="attention",
        forcing=0.2, checkpointing=True,
    ),
    "counts": CausalSettings(camera=True),
    "certain": CausalSettings(patch=4, pure=1.0, undecided=0.0),
    "modes": CausalSettings(
        context=8, horizon=8, width=128, coarse=128, codec="pod", modes=64, pure=1.0, undecided=0.0
    ),
}  # fmt: skip
