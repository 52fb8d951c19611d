"""What a person sees while a sweep runs: a bar on a terminal, a line in a notebook, nothing elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import rich.progress
from rich.console import Console

SECONDS_BETWEEN = 0.5  # two updates of a notebook's line


@dataclass
class Count:
    """How far a sweep is. kept : rows that were there at its start."""

    total: int
    kept: int
    finished: int = 0
    failed: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def remaining(self) -> int:
        return self.total - self.kept - self.finished - self.failed

    def __str__(self) -> str:
        rate = (self.finished + self.failed) / max(time.monotonic() - self.began, 1e-9)
        left = f"  {round(self.remaining / rate)} s left" if rate and self.remaining else ""
        kept = f"  {self.kept} kept" if self.kept else ""
        ended = f"{self.finished} finished  {self.failed} failed  {self.remaining} remaining"
        return f"{ended}{kept}  {rate:.3g} cells/s{left}"


@contextlib.contextmanager
def shown(count: Count, wanted: bool) -> Iterator[Callable[[], None]]:
    """Shows `count` whenever what it gives is called."""
    console = Console(stderr=True)
    if wanted and console.is_jupyter:
        with _line(count) as show:
            yield show
        return
    progress = rich.progress.Progress(
        rich.progress.TextColumn("sweep"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TextColumn("{task.description}"),
        console=console,
        disable=not (wanted and console.is_terminal),
        refresh_per_second=2,
    )
    with progress:
        task = progress.add_task(str(count), total=count.total)
        show = lambda: progress.update(  # noqa: E731
            task, completed=count.total - count.remaining, description=str(count)
        )
        show()
        yield show
        show()


@contextlib.contextmanager
def _line(count: Count) -> Iterator[Callable[[], None]]:
    """One line of a notebook, changed in place: rich's own bar would need ipywidgets there."""
    display: Any = importlib.import_module("IPython.display")
    handle = display.display(display.HTML(_html(count)), display_id=True)
    last = time.monotonic()

    def show() -> None:
        nonlocal last
        if time.monotonic() - last > SECONDS_BETWEEN:
            handle.update(display.HTML(_html(count)))
            last = time.monotonic()

    try:
        yield show
    finally:
        handle.update(display.HTML(_html(count)))


def _html(count: Count) -> str:
    return f"<progress max='{count.total}' value='{count.total - count.remaining}'></progress> {count}"
