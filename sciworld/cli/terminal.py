"""What all commands share: errors in one line, tables, progress bars, careful writing, checked options."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sciworld.errors import SciworldError, SettingsError
from sciworld.files import replace_file

INTERRUPTED = "Interrupted; what was finished is kept. Give the same command again to go on (train: add --resume)."
TORCH_FULL = ("out of memory", "can't allocate memory")  # what its RuntimeErrors say
LARGEST_SEED, LARGEST_COUNT, LARGEST_WORKERS = 2**62, 10**9, 1024


class OneLineErrors(TyperGroup):
    """Errors that a user can mend are one red line and exit code 1; an interrupt is one line and exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (SciworldError, OSError) as error:
            # A closed pipe (`sciworld ... | head`) is no error of anyone's; typer ends quietly.
            if ctx.params["debug"] or getattr(error, "errno", None) == errno.EPIPE:
                raise
            typer.secho(f"error: {error}", fg="red", bold=True, err=True)
            raise typer.Exit(1) from error
        except (MemoryError, RuntimeError) as error:
            full = isinstance(error, MemoryError) or any(text in str(error) for text in TORCH_FULL)
            if ctx.params["debug"] or not full:
                raise
            why = str(error).split("\n")[0]
            typer.secho(f"error: out of memory: {why}; ask for less at a time", fg="red", bold=True, err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interrupt:
            typer.secho(INTERRUPTED, fg="yellow", err=True)
            raise typer.Exit(130) from interrupt


StoreFolder = Annotated[Path, typer.Argument(help="A store of recordings, as ingest and catalog make it.")]
RunFolder = Annotated[Path, typer.Argument(help="The folder of a run, as train makes it.")]


def seed_in_range(value: int) -> int:
    if not 0 <= value <= LARGEST_SEED:
        raise SettingsError(f"seed is {value}; use 0 to {LARGEST_SEED}")
    return value


def count_in_range(name: str) -> Callable[[int | None], int | None]:
    """A check that a number is no slip of the hand, before memory is asked for."""

    def check(value: int | None) -> int | None:
        if value is not None and abs(value) > LARGEST_COUNT:
            raise SettingsError(f"{name} is {value}; use at most {LARGEST_COUNT}")
        return value

    return check


def workers_in_range(value: int | None) -> int | None:
    if value is not None and not 1 <= value <= LARGEST_WORKERS:
        raise SettingsError(f"workers is {value}; use 1 to {LARGEST_WORKERS}")
    return value


Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Seed = Annotated[int, typer.Option(help="Of all random numbers.", callback=seed_in_range)]


def writable(*paths: Path | None) -> None:
    """Raise SettingsError or OSError unless files can be written at these: before the work, not after it."""
    import tempfile

    named = [path for path in paths if path is not None]
    files = [path.resolve() for path in named if not path.exists() or path.is_dir() or path.is_file()]
    if len(set(files)) < len(files):
        raise SettingsError(f"{named[-1]}: is named for two outputs; a page needs a file of its own")
    for path in files:
        if path.is_dir():
            raise SettingsError(f"{path}: is a folder; name a file in it")
        above = next(folder for folder in path.parents if folder.exists())
        if not above.is_dir():
            raise SettingsError(f"{path}: {above} is a file; name a folder there, or another")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def write(path: Path, content: str | bytes) -> None:
    """Put `content` at `path`, all of it or nothing; a device or pipe stays what it is. Raises OSError."""
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
    else:
        replace_file(path.resolve(), data)


def show(table: Any) -> None:
    """A table, as wide as the terminal allows."""
    import shutil

    typer.echo(table.fit(shutil.get_terminal_size().columns))


def warn(texts: Any) -> None:
    """Each in red."""
    for text in texts:
        typer.secho(f"warning: {text}", fg="red", err=True)


@contextlib.contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal: what it gives is called as progress(done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(label, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
