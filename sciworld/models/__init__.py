"""What is learned: world models and what they are made of, one file a family."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sciworld.errors import ModelError

if TYPE_CHECKING:
    from sciworld.models.base import Learned

# Family -> "module:class". The class has the attributes `family`, this name, and `Settings`, its settings dataclass;
# it is built as Class(signature, settings).
MODELS: dict[str, str] = {
    "causal": "sciworld.models.causal:Causal",
    "diffusion": "sciworld.models.diffusion:Diffusion",
    "masked": "sciworld.models.masked:Masked",
}
TOKENIZERS: dict[str, str] = {"vivit": "sciworld.models.tokenizers.vivit:ViViT"}
ACTIONS: dict[str, str] = {"latent": "sciworld.models.latent:LatentActions"}


def family(name: str) -> type[Learned]:
    """The class of the family called `name`, of world models, of tokenizers, or of what infers actions.

    Raises ModelError if there is none.
    """
    known = MODELS | TOKENIZERS | ACTIONS
    if name not in known:
        others = ", ".join([*TOKENIZERS, *ACTIONS])
        raise ModelError(f"no model family '{name}'; there are {', '.join(MODELS)}, and beside world models {others}")
    module, _, attribute = known[name].partition(":")
    found: type[Learned] = getattr(importlib.import_module(module), attribute)
    return found
