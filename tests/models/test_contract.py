"""Every family holds to the contract, and the contract sees what does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sciworld.errors import ModelError
from sciworld.models import MODELS, family
from sciworld.models.diffusion import Diffusion, DiffusionSettings
from sciworld.models.tokenizers.vivit import ViViTSettings
from sciworld.testing import check_model

FEW: dict[str, dict[str, Any]] = {
    "causal": {"width": 16, "coarse": 16, "embedding": 16},
    "diffusion": {"width": 16, "coarse": 16, "embedding": 16},
    "masked": {
        "width": 32,
        "layers": 2,
        "embedding": 16,
        "fine": 16,
        "tokenizer": ViViTSettings(patch=4, width=32, parts=2),
    },
}
SMALL: dict[str, list[dict[str, Any]]] = {
    "causal": [
        {},
        {
            "backbone": "attention", "injection": "attention", "context": 2, "memory": 1, "stride": 1, "forcing": 0.5,
            "text": "words",
        },
        {"codec": "pod", "modes": 12, "layers": 1, "dropout": (0.2, 0.2, 0.2, 0.0, 0.0)},
        {"codec": "autoencoder", "context": 1, "layers": 1, "pure": 1.0, "undecided": 0.0},
    ],
    "diffusion": [
        {"decoder_blocks": 1},
        {"decoder_blocks": 1, "injection": "attention", "codec": "autoencoder", "context": 2},
        {"codec": "pod", "modes": 40, "rollout": 2, "pure": 1.0, "undecided": 0.0},
        {
            "injection": "add", "positions": "numbers", "decoder_blocks": 1, "dropout": (0.2, 0.2, 0.2, 0.0, 0.0),
            "guidance": (0.5, 0.5, 0.5, 0.0, 0.0), "text": "words",
        },
    ],
    "masked": [
        {},
        {"backbone": "genie"},
        {"backbone": "stpt", "chunk": 2, "text": "words", "order": "confident"},
        {
            "backbone": "genie", "context": 2, "every": True, "positions": "numbers",
            "dropout": (0.2, 0.2, 0.2, 0.0, 0.0), "guidance": (0.5, 0.5, 0.5, 0.0, 0.0),
        },
    ],
}  # fmt: skip


def test_every_family_is_held_to_it() -> None:
    assert {name for name, where in MODELS.items() if where.startswith("sciworld.")} == set(SMALL)


@pytest.mark.parametrize(
    ("name", "settings"), [(name, each) for name, several in SMALL.items() for each in several], ids=str
)
def test_a_family_holds_to_the_contract(name: str, settings: dict[str, Any]) -> None:
    # A spot that jumps is the last thing that modes are for: what they learn is tested on waves, in test_codecs.
    check_model(family(name), family(name).Settings(**FEW[name], **settings), trains=settings.get("codec") != "pod")


class Forgetful(Diffusion):
    def step(self, state: Any, controls: torch.Tensor, generator: Any, evaluations: int = 1) -> Any:
        frames, _ = super().step(state, controls, generator, evaluations)
        return frames, state


class Deaf(Diffusion):
    def step(self, state: Any, controls: torch.Tensor, generator: Any, evaluations: int = 1) -> Any:
        return super().step(state, torch.zeros_like(controls), generator, evaluations)


class Global(Diffusion):
    def loss(self, batch: Any, generator: Any, weights: Any = None) -> Any:
        torch.rand(1)
        return super().loss(batch, generator, weights)


class Crowded(Diffusion):
    def start(
        self,
        frames: torch.Tensor,
        view: torch.Tensor,
        covariates: torch.Tensor | None = None,
        words: torch.Tensor | None = None,
    ) -> Any:
        return super().start(frames - 0.1 * frames.mean(dim=0), view)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Forgetful, "a second step gives what the first gave"),
        (Deaf, "the control 'to_x' changes nothing"),
        (Global, "torch's global generator"),
        (Crowded, "a row depends on the others"),
    ],
)
def test_what_breaks_the_contract_is_named(kind: type[Diffusion], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        check_model(kind, DiffusionSettings(**FEW["diffusion"], decoder_blocks=1), trains=False)
