from __future__ import annotations

import linear_world
import numpy as np
import pytest
import torch

from sciworld.errors import TrainingError
from sciworld.models.base import Losses
from sciworld.training.diagnostics import control_gain, controls_are_ignored
from sciworld.windows import Batch


class Told(linear_world.Linear):
    """Its loss : 1 for every window that has another's controls, and what the generator says."""

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        wrong = (batch.controls[:, 0, 0] != batch.index).double().mean()
        noise = torch.rand((), generator=generator, dtype=torch.float64)
        return Losses(1.0 + wrong + noise, {})


def numbered(count: int = 4, b: int = 5) -> list[tuple[Batch, None]]:
    """Batches in which each window's control is its own number."""
    batches = []
    for _ in range(count):
        batch = linear_world.batch(b=b)
        batch.controls[:, 0, 0] = batch.index
        batches.append((batch.to("cpu"), None))
    return batches


def told() -> Told:
    return Told(linear_world.SIGNATURE, linear_world.LinearSettings())


def test_no_window_keeps_its_controls_and_both_losses_see_the_same_noise() -> None:
    draws = torch.Generator().manual_seed(3)
    found = control_gain(told(), numbered(), draws)
    # loss = 1 + noise, shuffled = 2 + noise with the same noise: the gain is 1 / mean(1 + noise).
    assert found["control_gain"] == pytest.approx(1 / found["loss"])
    assert 1.0 < found["loss"] < 2.0
    assert 0 < found["control_gain_standard_error"] < 0.2
    assert not controls_are_ignored(found)


def test_the_standard_error_is_the_spread_over_repeats() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [control_gain(told(), numbered(20, b=2), generator) for _ in range(80)]
    spread = np.std([one["control_gain"] for one in found])
    assert np.mean([one["control_gain_standard_error"] for one in found]) == pytest.approx(spread, rel=0.25)


def test_a_model_that_is_deaf_is_found_out() -> None:
    generator = torch.Generator().manual_seed(0)
    batches = [(linear_world.batch(seed, b=16).to("cpu"), None) for seed in range(4)]
    assert controls_are_ignored(control_gain(linear_world.linear(hears=False), batches, generator))
    hearing = linear_world.linear(hears=True)
    with torch.no_grad():
        hearing.control.weight.copy_(torch.tensor([[1.5, 0.0], [0.0, 0.0]]))
    assert not controls_are_ignored(control_gain(hearing, batches, generator))


def test_weights_reach_the_loss() -> None:
    model, batch = linear_world.linear(), linear_world.batch().to("cpu")
    y, x, _ = model.signature.shape

    def loss(weights: torch.Tensor | None) -> float:
        return control_gain(model, [(batch, weights)] * 2, torch.Generator().manual_seed(0))["loss"]

    assert loss(torch.full((4, y, x), 3.0)) == pytest.approx(3 * loss(None))


def test_too_little_to_compare() -> None:
    generator = torch.Generator()
    with pytest.raises(TrainingError, match="a batch of 1 window"):
        control_gain(told(), numbered(b=1), generator)
    with pytest.raises(TrainingError, match="1 batch; its standard error needs at least 2"):
        control_gain(told(), numbered(count=1), generator)
