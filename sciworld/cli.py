"""The command line. It parses and calls, nothing more; what is heavy is imported inside the command that needs it."""

from __future__ import annotations

import errno
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sciworld import __version__
from sciworld.errors import SciworldError

INTERRUPTED = "Interrupted; what was finished is kept. Give the same command again to go on (train: add --resume)."


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
        except KeyboardInterrupt as interrupt:
            typer.secho(INTERRUPTED, fg="yellow", err=True)
            raise typer.Exit(130) from interrupt


# Plain help: the rich one doubles the time that `sciworld --help` takes.
app = typer.Typer(cls=OneLineErrors, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback(no_args_is_help=True)
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Learn a simulator from video and its control inputs, search the controls, prove that they work."""


@app.command()
def doctor() -> None:
    """Say what this machine can do, and how to mend what it cannot."""
    from sciworld import doctor

    raise typer.Exit(0 if doctor.show() else 1)


def main() -> None:
    """The `sciworld` command."""
    app(prog_name="sciworld")
