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
    "Observation": "sciworld.simulator",
    "SciworldError": "sciworld.errors",
    "Trajectory": "sciworld.simulator",
    "rollout": "sciworld.simulator",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sciworld' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
