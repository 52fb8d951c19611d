"""Every notebook runs from top to bottom in an empty folder, within its time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))

# Seconds for one notebook that has the machine to itself. Beside other test workers it has a share of the cores.
TIME_LIMIT = 60 * int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=2 * TIME_LIMIT, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    begin = time.monotonic()
    client.execute()
    seconds = time.monotonic() - begin
    assert seconds <= TIME_LIMIT, f"{path.name} took {seconds:.0f} s; {TIME_LIMIT} s are allowed"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs"), f"{path.name}: clear its outputs before committing"
