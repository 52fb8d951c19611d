"""Learn a simulator from video and its control inputs, search the controls against it, prove that they work.

The names below are loaded when they are first used: `import sciworld` itself loads no numerical package.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Column": "sciworld.controls",
    "ColumnTable": "sciworld.controls",
    "ControlSpace": "sciworld.controls",
    "FitSettings": "sciworld.training.trainer",
    "FixedPlan": "sciworld.search.receding",
    "Loader": "sciworld.loader",
    "LoopSettings": "sciworld.loop",
    "Mixture": "sciworld.loader",
    "Observation": "sciworld.simulator",
    "Plan": "sciworld.search.search",
    "Problem": "sciworld.search.problem",
    "RandomController": "sciworld.search.receding",
    "RecedingHorizon": "sciworld.search.receding",
    "SciworldError": "sciworld.errors",
    "SearchSettings": "sciworld.search.search",
    "Store": "sciworld.store",
    "Surrogate": "sciworld.surrogate.surrogate",
    "Trajectory": "sciworld.simulator",
    "Verdict": "sciworld.evaluate.verdict",
    "Windows": "sciworld.windows",
    "improve": "sciworld.loop",
    "observed": "sciworld.evaluate.imagine",
    "replay": "sciworld.evaluate.replay",
    "rollout": "sciworld.simulator",
    "train": "sciworld.training.train",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sciworld' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
