"""What a model costs before it is trained: weights, arithmetic, memory. Counted on tensors without values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.flop_counter import FlopCounterMode

from sciworld import models
from sciworld.controls import Column, ColumnTable
from sciworld.errors import ModelError
from sciworld.models.base import Signature, WorldModel
from sciworld.windows import Batch, Windows

# float32 of a weight, its gradient, the two moments of AdamW and the average.
BYTES_A_WEIGHT = 5 * 4
PITCH = 1.0


@dataclass(frozen=True)
class Cost:
    """Of one preset of a family.

    Parameters
    ----------
    context : frames that it sees. parameters : weights that are trained.
    mean, sample : floating point operations for one further frame of one candidate, a multiplication and an addition
        counted as two: of the posterior mean, and of a sample of several evaluations. Matrix products, convolutions
        and attention are counted, nothing else.
    weights : bytes that the trained model takes. training : bytes that a step of training takes: weights, gradients,
        the optimizer's moments, the average, and what the loss keeps of a batch for its gradient.
    why_not : why the preset cannot be built for such frames; the rest is then 0.
    """

    family: str
    preset: str
    context: int = 0
    parameters: int = 0
    mean: int = 0
    sample: int = 0
    weights: int = 0
    training: int = 0
    why_not: str = ""


def signature_of(shape: tuple[int, int, int], controls: int) -> Signature:
    """Of frames of a shape (y, x, channel) under that many scalar controls."""
    channels = tuple(Column(f"channel{i}", "1") for i in range(shape[2]))
    table = tuple(Column(f"control{i}", "1", -1.0, 1.0) for i in range(controls))
    return _unit_signature(shape, ColumnTable(channels), ColumnTable(table), ColumnTable(()))


def signature_of_windows(windows: Windows) -> Signature:
    """Of frames and columns like those of the windows, of which nothing is measured. Raises ModelError for a z axis."""
    if len(windows.shape) != 3:
        raise ModelError(f"windows: frames are {windows.shape}; models take (y, x, channel): choose one z")
    y, x, channel = windows.shape
    return _unit_signature((y, x, channel), windows.channels, windows.controls, windows.covariates)


def costs(signature: Signature, evaluations: int, batch: int) -> list[Cost]:
    """Of every preset of every family, for such frames and columns.

    evaluations : of a sampled frame. batch : windows in a step of training.
    """
    found = []
    for family in models.MODELS:
        for preset, settings in models.family(family).presets.items():
            try:
                found.append(cost(family, preset, settings, signature, evaluations, batch))
            except ModelError as error:
                found.append(Cost(family, preset, why_not=str(error)))
    return found


def cost(family: str, preset: str, settings: Any, signature: Signature, evaluations: int, batch: int) -> Cost:
    """Of one model. Raises ModelError where it cannot be built for such frames."""
    kind: Any = models.family(family)
    with torch.random.fork_rng(devices=[]):
        try:
            with FakeTensorMode():  # weights, too: drawing those of large presets takes seconds
                model: WorldModel = kind(signature, settings)
                mean, sample, kept = _counted(model, evaluations, batch)
        except RuntimeError:  # a family that looks at values, which such tensors have not
            model = kind(signature, settings)
            mean, sample, kept = _counted(model, evaluations, 1)
            kept *= batch
    weights = [p.numel() for p in model.parameters()]
    return Cost(
        family=family,
        preset=preset,
        context=model.context,
        parameters=sum(weights),
        mean=mean,
        sample=sample,
        weights=sum(value.numel() * value.element_size() for value in model.state_dict().values()),
        training=BYTES_A_WEIGHT * sum(weights) + kept,
    )


def _counted(model: WorldModel, evaluations: int, batch: int) -> tuple[int, int, int]:
    """Operations of a mean and of a sample, a frame each, and the bytes that the loss of a batch keeps."""
    generator = torch.Generator()
    windows = _windows(model, batch)
    mean, sample = (_operations(model, count, generator) for count in (1, evaluations))
    return mean, sample, _kept(model, windows, generator)


def _operations(model: WorldModel, evaluations: int, generator: torch.Generator) -> int:
    """Of one further frame, in the midst of a rollout: the first step may find what `start` has prepared."""
    one = _windows(model, 1)
    with torch.no_grad():
        state = model.start(one.frames[:, : model.context], one.view[:, model.context - 1], one.covariates)
        controls = one.controls[:, :1].expand(-1, model.chunk, -1)
        _, state = model.step(state, controls, generator, evaluations)
        with FlopCounterMode(display=False) as counter:
            model.step(state, controls, generator, evaluations)
    return int(counter.get_total_flops()) // model.chunk


def _kept(model: WorldModel, batch: Batch, generator: torch.Generator) -> int:
    """Bytes that the loss of a batch keeps for its gradient, beside the weights themselves."""
    own = {StorageWeakRef(p.untyped_storage()) for p in model.parameters()}
    seen: dict[StorageWeakRef, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if StorageWeakRef(storage) not in own:
            seen[StorageWeakRef(storage)] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.loss(batch, generator)
    return sum(seen.values())


def _windows(model: WorldModel, b: int) -> Batch:
    """b windows of zeros, as long as the model's loss takes them, with two frames or more."""
    t = sum(model.lengths(model.settings))
    y, x, c = model.signature.shape
    view = torch.tensor([PITCH, 0.0, 0.0, 0.0, PITCH, 0.0], dtype=torch.float64).expand(b, t, 6)
    return Batch(
        frames=torch.zeros(b, t, y, x, c),
        controls=torch.zeros(b, t - 1, len(model.signature.controls)),
        time=torch.arange(t, dtype=torch.float64).expand(b, t),
        view=view,
        covariates=torch.zeros(b, len(model.signature.covariates)),
        index=torch.arange(b),
    )


def _unit_signature(
    shape: tuple[int, int, int], channels: ColumnTable, controls: ColumnTable, covariates: ColumnTable
) -> Signature:
    n, k, m = len(channels), len(controls), len(covariates)
    return Signature(
        shape, channels, controls, covariates, (0.0,) * n, (1.0,) * n, (0.0,) * k, (1.0,) * k, PITCH, (0.0,) * m,
        (1.0,) * m,
    )  # fmt: skip
