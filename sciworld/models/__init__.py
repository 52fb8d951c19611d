"""World models: learned from batches, one file a family."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sciworld.errors import ModelError

if TYPE_CHECKING:
    from sciworld.models.base import WorldModel

# Family -> "module:class". The class has the attributes `family`, this name, and `Settings`, its settings dataclass;
# it is built as Class(signature, settings).
MODELS: dict[str, str] = {
    "causal": "sciworld.models.causal:Causal",
    "diffusion": "sciworld.models.diffusion:Diffusion",
}


def family(name: str) -> type[WorldModel]:
    """The class of the family called `name`. Raises ModelError if there is none."""
    if name not in MODELS:
        raise ModelError(f"no model family '{name}'; there are {', '.join(MODELS)}")
    module, _, attribute = MODELS[name].partition(":")
    found: type[WorldModel] = getattr(importlib.import_module(module), attribute)
    return found
