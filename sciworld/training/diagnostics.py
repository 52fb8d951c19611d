"""Does a model listen to its controls? The commonest fault of learned simulators is that it does not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import numpy as np
import torch

from sciworld.errors import TrainingError
from sciworld.models.base import Learned, WorldModel
from sciworld.windows import Batch


def control_gain(
    model: WorldModel, batches: Iterable[tuple[Batch, torch.Tensor | None]], generator: torch.Generator
) -> dict[str, float]:
    """How much worse the loss is when every window gets the controls of another one.

    Parameters
    ----------
    batches : two or more batches of tensors on the model's device, each with the weights : (b, y, x) of its loss, or
        None. A batch needs two or more windows.
    generator : on the model's device; both losses of a batch see the same random numbers.

    Returns
    -------
    `loss`; `control_gain`, the relative increase of the loss; and `control_gain_standard_error`, over the batches.
    Raises TrainingError for fewer batches or windows.
    """
    true, shuffled = [], []
    with torch.no_grad():
        for batch, weights in batches:
            b = len(batch)
            if b < 2:
                raise TrainingError("control gain: a batch of 1 window has no other's controls; use at least 2")
            # Each window gets the controls of the one before it on a random cycle: none keeps its own.
            cycle = torch.randperm(b, generator=generator, device=generator.device)
            controls = torch.empty_like(batch.controls)
            controls[cycle] = batch.controls[cycle.roll(1)]
            state = generator.get_state()
            true.append(model.loss(batch, generator, weights).total)
            generator.set_state(state)
            shuffled.append(model.loss(dataclasses.replace(batch, controls=controls), generator, weights).total)
    if len(true) < 2:
        raise TrainingError(f"control gain: {len(true)} batch; its standard error needs at least 2")
    own, other = torch.stack(true).double().cpu().numpy(), torch.stack(shuffled).double().cpu().numpy()
    gain = float(other.mean() / own.mean() - 1)
    # The standard error of a ratio of means of pairs (Cochran 1977, Sampling Techniques, section 2.11).
    error = np.std(other - (1 + gain) * own, ddof=1) / (abs(own.mean()) * math.sqrt(len(own)))
    return {"loss": float(own.mean()), "control_gain": gain, "control_gain_standard_error": float(error)}


def mean_parts(
    model: Learned, batches: Iterable[tuple[Batch, torch.Tensor | None]], generator: torch.Generator
) -> dict[str, float]:
    """Parts of the loss of a model that has no use for controls, means over batches as of `control_gain`."""
    with torch.no_grad():
        each = [model.loss(batch, generator, weights).parts for batch, weights in batches]
    return {name: float(np.mean([float(parts[name]) for parts in each])) for name in each[0]}


def controls_are_ignored(found: dict[str, float]) -> bool:
    """Whether a control gain is not above 0 by two standard errors."""
    return not found["control_gain"] > 2 * found["control_gain_standard_error"]
