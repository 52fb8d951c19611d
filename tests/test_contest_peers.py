"""The contest's peers hold to the contract of world models."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sciworld import testing
from sciworld.errors import ModelError

SMALL = {"width": 16, "coarse": 16, "embedding": 16, "decoder_blocks": 1}


@pytest.fixture(scope="module")
def peers(benchmarks: Callable[..., Any]) -> Any:
    """Every family's class by its name, known to checkpoints."""
    return benchmarks("contest_jobs").contest_jobs.kind_of


def built(kind: Any, settings: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(testing.signature(), settings)


@dataclass
class Made:
    """As much of windows as `prepare` reads: 64 of the contract's own."""

    frames: int

    def __len__(self) -> int:
        return 64

    def batch(self, ids: np.ndarray) -> Any:
        whole = testing.windows(testing.signature(), self.frames, len(self))
        return type(whole)(*(getattr(whole, name).numpy()[ids] for name in vars(whole)))


def test_diamond_holds_to_the_contract(peers: Any) -> None:
    kind = peers("diamond")
    testing.check_model(kind, kind.Settings(context=2, widths=(16, 16), embedding=16))


def test_its_schedule_is_that_of_the_paper(peers: Any) -> None:
    schedule = importlib.import_module("contest_diamond").schedule
    # The middle is the mean of 5^(1/7) = 1.2585 and 0.002^(1/7) = 0.4116, to the 7th power.
    assert schedule(3) == pytest.approx([5.0, 0.2831, 0.002], rel=2e-3)
    assert schedule(1) == pytest.approx([5.0])


@pytest.mark.parametrize(("name", "settings"), [("pod_mlp", {"width": 32, "modes": 8}), ("dmdc", {"modes": 8})])
@pytest.mark.parametrize("keep", [False, True])
def test_modes_hold_to_it(peers: Any, name: str, settings: dict[str, int], keep: bool) -> None:
    kind = peers(name)
    model = built(kind, kind.Settings(keep=keep, **settings))
    model.prepare(Made(model.context + 1))
    testing._stirred(model)
    checks = testing._Checks(model, 4)
    if name == "pod_mlp":
        checks.run()
    else:  # it is solved
        with torch.no_grad():
            for check in ("shapes", "same", "expands", "rolls_out", "looks_back_alone", "anchors", "saves", "refuses"):
                getattr(checks, check)()
        with pytest.raises(ModelError, match="solved"):
            model.loss(checks.batch, torch.Generator())


def test_the_network_of_modes_learns_and_heeds_its_controls(peers: Any) -> None:
    kind = peers("pod_mlp")
    model = built(kind, kind.Settings(width=64, context=1))
    model.prepare(Made(2))
    model.prepare = lambda windows: None  # keeps those modes
    testing._trained(model)


def test_linear_dynamics_beat_the_present(peers: Any) -> None:
    kind = peers("dmdc")
    model = built(kind, kind.Settings(context=1))
    model.prepare(Made(2))
    held = testing.windows(model.signature, 2, 32, 3)
    frames, _ = model.step(model.start(held.frames[:, :1], held.view[:, 0]), held.controls, None)
    scale = torch.tensor(model.signature.scale)
    wrong, still = (float((((one - held.frames[:, 1:]) / scale) ** 2).mean()) for one in (frames, held.frames[:, :1]))
    assert wrong < 0.85 * still


def test_modes_leave_out_as_little_as_any_could(peers: Any) -> None:
    kind = peers("dmdc")
    model = built(kind, kind.Settings(context=1, modes=12))
    model.prepare(Made(2))
    flat = model._flat(Made(2).batch(np.arange(64)).frames[:, :1])[:, 0]
    left = float((model._frames(model._amplitudes(flat)) - flat).square().sum())
    sizes = np.linalg.svd((flat - flat.mean(dim=0)).numpy(), compute_uv=False)
    assert left == pytest.approx(float((sizes[12:] ** 2).sum()), rel=1e-3)
    assert model.size.numpy() == pytest.approx(sizes[:12] / 8, rel=1e-3)


def test_the_operator_holds_to_it(peers: Any) -> None:
    if importlib.import_module("contest_entrants").Entrant("fno").missing():
        pytest.skip("neuraloperator is not installed: NEURALOP_PATH names its folder")
    kind = peers("fno")
    for maps in (False, True):
        model = built(kind, kind.Settings(maps=maps, modes=4, hidden=8, layers=2))
        testing._stirred(model)
        testing._Checks(model, 4).run()
    testing._trained(model)


def test_without_the_package_the_operator_says_so(peers: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "neuralop", None)
    monkeypatch.setenv("NEURALOP_PATH", str(tmp_path))
    with pytest.raises(ModelError, match="NEURALOP_PATH"):
        built(peers("fno"), None)


def test_the_blind_one_breaks_the_contract_by_nature(peers: Any) -> None:
    from sciworld.models.diffusion import DiffusionSettings

    with pytest.raises(ModelError, match="'to_x' changes nothing"):
        testing.check_model(peers("blind"), DiffusionSettings(**SMALL), trains=False)


def test_positions_are_told_as_they_fall_in_the_frame(peers: Any) -> None:
    kind = peers("pod_mlp")
    model = built(kind, kind.Settings(modes=4))
    view = torch.tensor([[0.5, 0.0, 1.0, 0.0, 0.25, -2.0]])
    corner = torch.tensor([[1.0 + 23 * 0.5, -2.0 + 15 * 0.25, 0.3, 1.0]])  # of frames of 16 x 24
    assert model.told(corner, view)[0].tolist() == pytest.approx([0.5, 0.0, 1.0, 1.0, 1.0])
    assert model.told(corner, view, drawn=True)[0].tolist() == pytest.approx([0.5, 0.0, 1.0])
