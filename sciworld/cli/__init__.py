"""The command line. It parses and calls, nothing more; what is heavy is imported inside the command that needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from sciworld import __version__
from sciworld.cli import data, export, learn, record
from sciworld.cli.improve import improve
from sciworld.cli.models import models
from sciworld.cli.randomize import futures, randomize
from sciworld.cli.search import search
from sciworld.cli.sweep import sweep
from sciworld.cli.terminal import OneLineErrors

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


def doctor() -> None:
    """Say what this machine can do, and how to mend what it cannot."""
    from sciworld import doctor

    raise typer.Exit(0 if doctor.show() else 1)


for command in (
    doctor,
    data.ingest,
    data.compact,
    record.record,
    randomize,
    futures,
    export.export,
    models,
    learn.train,
    learn.rollout,
    learn.evaluate,
    learn.label,
    search,
    learn.replay,
    improve,
    sweep,
):
    app.command()(command)
app.add_typer(data.catalog_app, name="catalog")
app.add_typer(learn.demo_app, name="demo")


def main() -> None:
    """The `sciworld` command."""
    app(prog_name="sciworld")
