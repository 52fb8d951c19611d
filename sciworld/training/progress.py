"""What a person sees while a model trains."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import rich.progress
from rich.console import Console


class Bar:
    """A progress bar on the terminal or in a notebook; silent elsewhere, or unless `shown`."""

    def __init__(self, shown: bool) -> None:
        console = Console(stderr=True)
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TextColumn("{task.fields[figures]}"),
            console=console,
            disable=not (shown and (console.is_terminal or console.is_jupyter)),
            refresh_per_second=2,
        )
        self._task = self._progress.add_task("training", total=1.0, figures="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, fraction: float, record: dict[str, Any]) -> None:
        """Show the share of the budget that is used, and a line of the log."""
        self._progress.update(self._task, completed=fraction, figures=figures(fraction, record))


def figures(fraction: float, record: dict[str, Any]) -> str:
    """Step, loss, speed and time left, and in red what is wrong."""
    left = round(record["seconds"] * (1 / fraction - 1)) if fraction else 0
    text = (
        f"step {record['step']}  loss {record['loss']:.4g}  {record['windows_per_second']:.0f} windows/s  "
        f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} left"
    )
    return f"{text}  [red]{record['warning']}[/red]" if "warning" in record else text
