"""The command line. It parses and calls, nothing more; what is heavy is imported inside the command that needs it."""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sciworld import __version__
from sciworld.errors import SciworldError, SettingsError

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


# Plain help: the rich one doubles the time that `sciworld --help` takes.
app = typer.Typer(cls=OneLineErrors, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
catalog_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Data sets: what there is, and fetch it.")
demo_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Do a whole job, from recording to report.")
app.add_typer(catalog_app, name="catalog")
app.add_typer(demo_app, name="demo")

StoreFolder = Annotated[Path, typer.Argument(help="A store of recordings, as ingest and catalog make it.")]
RunFolder = Annotated[Path, typer.Argument(help="The folder of a run, as train makes it.")]
TORCH_FULL = ("out of memory", "can't allocate memory")  # what its RuntimeErrors say
LARGEST_SEED, LARGEST_COUNT = 2**62, 10**9


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


Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Seed = Annotated[int, typer.Option(help="Of all random numbers.", callback=seed_in_range)]


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


@catalog_app.command("list")
def catalog_list() -> None:
    """Every data set, one a line."""
    from sciworld import catalog

    width = max(len(name) for name in catalog.entries())
    for name, entry in catalog.entries().items():
        origin = f"{entry.bytes / 1e6:.1f} MB" if entry.kind == "files" else "generated"
        typer.echo(f"{name:<{width}}  {entry.domain}  {origin:<9}  {entry.title}")


@catalog_app.command("show")
def catalog_show(name: Annotated[str, typer.Argument(help="As the list has it.")]) -> None:
    """What a data set is, its licence, and how to cite it."""
    from sciworld import catalog

    typer.echo(catalog.show(name))


@catalog_app.command("fetch")
def catalog_fetch(name: Annotated[str, typer.Argument(help="As the list has it.")]) -> None:
    """Bring a data set here, and print the path of its store or of its files."""
    from sciworld import catalog

    with bar(name) as progress:
        found = catalog.fetch(name, progress)
    for path in [found] if isinstance(found, Path) else found:
        typer.echo(path)


@catalog_app.command("ingest")
def catalog_ingest(
    name: Annotated[str, typer.Argument(help="As the list has it.")],
    out: Annotated[Path, typer.Option(help="The store that its recordings are appended to; made if missing.")],
) -> None:
    """Fetch a data set of files, and read its frames into a store."""
    from sciworld.ingest import run

    report(run.ingest_entry(name, out))


@app.command()
def ingest(
    sources: Annotated[list[Path], typer.Argument(help="Files, one recording each; a folder is one movie.")],
    out: Annotated[Path, typer.Option(help="The store that the recordings are appended to; made if missing.")],
    controls: Annotated[
        list[Path] | None, typer.Option(help="A CSV file with the controls; one for each source, in their order.")
    ] = None,
    mapping: Annotated[
        str, typer.Option("--map", help="Which controls are which columns, e.g. 'x=beam_x:A,y=beam_y:A,dwell=t:s'.")
    ] = "",
    times: Annotated[str, typer.Option(help="The column that says when a row acted, in s; else rows are frames.")] = "",
    shift: Annotated[int, typer.Option(help="Give the controls to frames so many later, to mend a lag.")] = 0,
    together: Annotated[bool, typer.Option("--together", help="All sources are one movie.")] = False,
    reader: Annotated[str | None, typer.Option(help="A domain and suffix to read as, e.g. 'stem:.tif'.")] = None,
    pixel_size: Annotated[str | None, typer.Option(help="Length a pixel where the file is silent: 0.08:A.")] = None,
    frame_seconds: Annotated[float | None, typer.Option(help="Seconds a frame where the file is silent.")] = None,
    frames: Annotated[int | None, typer.Option(help="Keep only the first so many frames.")] = None,
    array: Annotated[str | None, typer.Option(help="Which array, where a file holds several.")] = None,
    session: Annotated[str | None, typer.Option(help="Name of the session; else that of the file.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the data.")] = None,
    citation: Annotated[str | None, typer.Option(help="Of the data.")] = None,
    allow_nan: Annotated[
        bool, typer.Option("--allow-nan", help="Keep frames with pixels that are not finite.")
    ] = False,
) -> None:
    """Read files and their controls into a store; measure the lag."""
    from sciworld.domains.stem.raw import parse_length
    from sciworld.ingest import run

    stated = {"frame_seconds": frame_seconds, "frames": frames, "array": array, "session": session}
    stated |= {"licence": licence, "citation": citation}
    stated |= {"pixel_size": None if pixel_size is None else parse_length(pixel_size)}
    found = run.ingest(
        [list(sources)] if together else list(sources), out, controls=controls or (), mapping=mapping, times=times,
        shift=shift, reader=reader, allow_nan=allow_nan,
        options={name: value for name, value in stated.items() if value is not None},
    )  # fmt: skip
    report(found)


@app.command()
def train(
    store: StoreFolder,
    run: Annotated[Path, typer.Option(help="The folder of the run; must not exist, but for --resume.")],
    model: Annotated[str, typer.Option(help="The family.")] = "diffusion",
    preset: Annotated[str, typer.Option(help="The family's size.")] = "tiny",
    domain: Annotated[
        str, typer.Option(help="stem: weigh by nearness to the silicon, use the square's symmetries.")
    ] = "",
    seconds: Annotated[float | None, typer.Option(help="Of training; 300 unless --steps is given.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Of training, in place of seconds.", callback=count_in_range("steps"))
    ] = None,
    batch: Annotated[int, typer.Option(help="Windows a step.", callback=count_in_range("batch"))] = 32,
    device: Device = "cpu",
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
) -> None:
    """Train a world model on a store."""
    from sciworld.store import Store
    from sciworld.training.train import train
    from sciworld.training.trainer import FitSettings

    if seconds is None and steps is None:
        seconds = 300.0
    settings = FitSettings(steps=steps, seconds=seconds, batch=batch, device=device, seed=seed)
    made = train(Store.open(store), run, settings, family=model, preset=preset, domain=domain, resume=resume)
    log = made.log()
    typer.echo(f"{made.path}: {log[-1]['step']} steps in {log[-1]['seconds']:.0f} s, loss {log[-1]['loss']:.4g}")
    if "control_gain" in log[-1]:
        typer.echo(f"under other windows' controls the loss is {log[-1]['control_gain']:+.1%} worse")


@app.command()
def rollout(
    run: RunFolder,
    store: StoreFolder,
    out: Annotated[Path, typer.Option(help="The page to write, e.g. rollout.html.")],
    recording: Annotated[int | None, typer.Option(help="Which; else the first that training did not see.")] = None,
    start: Annotated[
        int | None, typer.Option(help="The frame that is the present; else the first that serves.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="To imagine; as many as can be held against it, at most 8.", callback=count_in_range("steps")
        ),
    ] = None,
    samples: Annotated[int, typer.Option(help="Futures to draw.", callback=count_in_range("samples"))] = 4,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Draw a recording beside what is imagined under its controls."""
    from sciworld.demos.rollout import rollout
    from sciworld.store import Store

    writable(out)
    made, surrogate = load(run, device)
    table = rollout(made, surrogate, Store.open(store), out, recording, start, steps, samples, seed)
    show(table)
    typer.echo(f"the page: {out}")


@app.command()
def search(
    run: RunFolder,
    store: StoreFolder,
    goal: Annotated[str, typer.Option(help="Where the silicon should go: X,Y in A, laboratory frame.")],
    recording: Annotated[int, typer.Option(help="Which; -1 is the last.")] = -1,
    frame: Annotated[int, typer.Option(help="The frame to decide from; -1 is the last.")] = -1,
    aim: Annotated[str, typer.Option(help="progress (a second), dose (progress an electron), or site.")] = "progress",
    budget: Annotated[int, typer.Option(help="Model evaluations.", callback=count_in_range("budget"))] = 160,
    out: Annotated[Path | None, typer.Option(help="Write the plan as JSON, e.g. plan.json.")] = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Find one action on silicon in graphene, from a recorded frame."""
    from sciworld.demos import stem_run
    from sciworld.store import Store

    writable(out)
    _, surrogate = load(run, device)
    with bar("searching") as progress:
        decision = stem_run.plan(
            surrogate, Store.open(store), point(goal), recording, frame, aim, budget, seed, progress
        )  # fmt: skip
    show(decision.to_table())
    warn(decision.warnings())
    if out is not None:
        write(out, decision.to_json())
        typer.echo(f"the plan: {out}")


@app.command()
def replay(
    run: RunFolder,
    episodes: Annotated[int, typer.Option(help="Atoms to steer.", callback=count_in_range("episodes"))] = 20,
    within: Annotated[float, typer.Option(help="How far the goals are, at most, in A.")] = 10.0,
    rates: Annotated[str, typer.Option(help="Of the judge: simple, prior or mixture.")] = "prior",
    out: Annotated[Path | None, typer.Option(help="Write the verdicts as JSON, e.g. verdict.json.")] = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Steer silicon in the trusted simulator: a verdict on the run.

    The planner with the run's surrogate stands beside greedy, which knows the rates, and chance.
    """
    from sciworld.demos import stem_report, stem_run
    from sciworld.evaluate import verdict

    writable(out)
    made, surrogate = load(run, device)
    with bar("steering") as progress:
        verdicts = stem_run.judge(made, surrogate, episodes, within, rates, seed, progress)
    show(stem_report.verdict_table(verdicts))
    warn(text for found in verdicts.values() for text in found.warnings())
    if out is not None:
        write(out, verdict.to_json(verdicts))
        typer.echo(f"the verdicts: {out}")


@demo_app.command("stem")
def demo_stem(
    out: Annotated[Path, typer.Option(help="The folder of the report; an earlier demo there is replaced.")],
    steps: Annotated[int, typer.Option(help="Of training.", callback=count_in_range("steps"))] = 5000,
    episodes: Annotated[int, typer.Option(help="Of steering.", callback=count_in_range("episodes"))] = 30,
    seed: Seed = 0,
) -> None:
    """Steer silicon through graphene: record, train, search, replay, report."""
    from sciworld.demos import stem

    stem.run(out, stem.DemoSettings(steps=steps, episodes=episodes, seed=seed))


def report(found: Any) -> None:
    """What an ingest did."""
    from sciworld.evaluate.table import Table

    for history in found.histories:
        typer.echo(f"- {history}")
    rows = [("store", str(found.store)), ("recordings", str(found.recordings)), ("frames", str(found.frames))]
    if found.lag is not None:
        rows += [("lag", found.lag.summary()), ("its picture", str(found.figure))]
    show(Table(("appended", ""), tuple(rows)))
    warn(found.warnings)


def load(run: Path, device: str) -> tuple[Any, Any]:
    """The run and its surrogate."""
    from sciworld.surrogate.surrogate import Surrogate
    from sciworld.training.run import Run
    from sciworld.training.trainer import as_device

    made = Run(run)
    return made, Surrogate(made.model(as_device(device)))


def point(text: str) -> tuple[float, float]:
    """Two numbers such as "3.2,-1". Raises SettingsError."""
    with contextlib.suppress(ValueError):
        x, y = (float(part) for part in text.split(","))
        if math.isfinite(x + y):
            return x, y
    raise SettingsError(f"goal is '{text}'; write X,Y in A, such as --goal=3.2,-1.0")


def writable(path: Path | None) -> None:
    """Raise SettingsError or OSError unless a file can be written at `path`: before the work, not after it."""
    import tempfile

    if path is None or (path.exists() and not path.is_dir() and not path.is_file()):  # such as /dev/stdout
        return
    if path.is_dir():
        raise SettingsError(f"{path}: is a folder; name a file in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def write(path: Path, text: str) -> None:
    """Put `text` at `path`, all of it or nothing."""
    from sciworld.models.checkpoint import replace_file

    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
    else:
        replace_file(path.resolve(), text.encode())


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


def main() -> None:
    """The `sciworld` command."""
    app(prog_name="sciworld")
