from __future__ import annotations

import pytest

from sciworld.domains.stem import simulator


@pytest.fixture
def blind(monkeypatch):
    """No images are drawn, for tests of many steps that look at the truth alone."""
    monkeypatch.setattr(simulator.kernels, "render", lambda *arguments: arguments[-1].fill(0.0))
