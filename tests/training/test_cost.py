"""What models cost is counted: against arithmetic done by hand, and without a value computed."""

from __future__ import annotations

from typing import Any

import linear_world
import pytest
import torch
import toy

from sciworld import models
from sciworld.errors import ModelError
from sciworld.models.base import Losses
from sciworld.models.causal_settings import CausalSettings
from sciworld.store import Store
from sciworld.training import cost as cost_module
from sciworld.training.cost import BYTES_A_WEIGHT, Cost, cost, costs, signature_of, signature_of_windows
from sciworld.windows import Batch, Windows


class Looking(linear_world.Linear):
    """Looks at its values, which tensors without values have not."""

    def loss(self, batch: Batch, generator: torch.Generator, weights: torch.Tensor | None = None) -> Losses:
        assert float(batch.frames.sum()) == 0.0
        square = self.residual(batch.frames[:, 1].float(), batch.controls[:, 1]) ** 2
        return Losses(square.mean(), {})

    def start(self, frames: Any, view: Any, covariates: Any = None, words: Any = None) -> Any:
        return self.normal(frames)[:, -1]

    def step(self, state: Any, controls: Any, generator: Any, evaluations: int = 1) -> Any:
        for _ in range(evaluations - 1):
            self.residual(state, controls[:, 0])
        return super().step(state, controls, generator)


@pytest.fixture(autouse=True)
def families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the one of the tests, which has no presets, and the one whose large presets take seconds to follow."""
    monkeypatch.delitem(models.MODELS, "linear")
    monkeypatch.delitem(models.MODELS, "causal")


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(models.MODELS, "looking", f"{__name__}:Looking")
    return "looking"


def test_arithmetic_and_memory_are_those_of_the_layers(looking: str) -> None:
    signature = signature_of((6, 8, 2), 3)
    found = cost(looking, "tiny", linear_world.LinearSettings(), signature, evaluations=4, batch=5)
    convolution, product = 2 * 6 * 8 * 2 * (9 * 2), 2 * 3 * 2
    assert found.mean == convolution + product and found.sample == 4 * found.mean
    weights = 2 * 2 * 9 + 2 + 3 * 2
    assert found.parameters == weights and found.weights == 4 * weights + 8  # its counter is an int64
    kept = found.training - BYTES_A_WEIGHT * weights
    frame, window = 6 * 8 * 2 * 4, 3
    controls = (window - 1) * 3 * 4
    assert kept == 5 * (window * frame + controls + frame)  # the batch, which is looked into, and what is squared


def test_every_preset_is_listed_and_larger_ones_cost_more() -> None:
    before = torch.get_rng_state()
    found = {one.preset: one for one in costs(signature_of((16, 24, 1), 2), 4, 8) if one.family == "diffusion"}
    assert torch.equal(torch.get_rng_state(), before)
    assert list(found) == list(models.family("diffusion").presets)
    for less, more in (("tiny", "small"), ("small", "base")):
        for name in ("context", "parameters", "mean", "sample", "weights", "training"):
            assert 0 < getattr(found[less], name) < getattr(found[more], name), name
        assert found[less].mean < found[less].sample < 4 * found[less].mean  # the context is encoded once
    assert found["tiny"].weights == pytest.approx(4 * found["tiny"].parameters, rel=0.01)


@pytest.mark.parametrize("forcing", [0.0, 0.5])
def test_no_value_is_computed_of_a_window_that_rolls(forcing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    counted = cost_module._counted

    def spied(*given: Any) -> tuple[int, int, int]:
        tried.append(given)
        return counted(*given)

    monkeypatch.setattr(cost_module, "_counted", spied)
    monkeypatch.setitem(models.MODELS, "causal", "sciworld.models.causal:Causal")
    settings = CausalSettings(width=8, coarse=16, embedding=8, layers=1, forcing=forcing)
    assert cost("causal", "tiny", settings, signature_of((8, 12, 1), 2), 4, 8).sample > 0
    assert len(tried) == 1  # where tensors without values do not do, it is counted again with some


def test_memory_grows_with_the_batch_and_arithmetic_with_the_pixels() -> None:
    settings: Any = models.family("diffusion").presets["tiny"]

    def of(y: int, batch: int) -> Cost:
        return cost("diffusion", "tiny", settings, signature_of((y, 16, 1), 2), 1, batch)

    small, large, many = of(16, 8), of(32, 8), of(16, 16)
    fixed = BYTES_A_WEIGHT * small.parameters
    assert large.mean == pytest.approx(2 * small.mean, rel=0.02) and small.mean == small.sample
    assert many.training - fixed == pytest.approx(2 * (small.training - fixed), rel=0.05)


def test_a_preset_that_does_not_fit_says_why() -> None:
    tiny = next(one for one in costs(signature_of((10, 16, 1), 2), 4, 8) if one.family == "diffusion")
    assert "frames of 10 x 16 pixels" in tiny.why_not and tiny.parameters == 0
    with pytest.raises(ModelError, match="10 x 16"):
        cost("diffusion", "tiny", models.family("diffusion").presets["tiny"], signature_of((10, 16, 1), 2), 1, 1)


def test_a_store_brings_its_frames_and_columns(tmp_path: Any) -> None:
    store = Store.create(tmp_path / "store")
    store.append(toy.recordings(1))
    signature = signature_of_windows(Windows(store, 1, 1))
    assert signature.shape == (toy.Y, toy.X, 2) and signature.controls.names == toy.CONTROLS.names
    assert len(signature.covariate_mean) == len(signature.covariate_scale) == len(toy.COVARIATES) > 0
    assert costs(signature, 2, 2)[0].parameters > 0
