from __future__ import annotations

import linear_world
import pytest

from sciworld.store import Store
from sciworld.windows import Windows


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store.create(tmp_path_factory.mktemp("training") / "store")
    store.append([linear_world.make(seed) for seed in range(6)])
    return store


@pytest.fixture
def windows(store: Store) -> Windows:
    return Windows(store, context=2, horizon=1)
