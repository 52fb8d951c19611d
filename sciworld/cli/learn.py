"""Commands that learn and judge: train, rollout, evaluate, label, replay, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sciworld.cli.terminal import (
    Device,
    RunFolder,
    Seed,
    StoreFolder,
    bar,
    count_in_range,
    show,
    warn,
    workers_in_range,
    writable,
    write,
)
from sciworld.errors import SettingsError

demo_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Do a whole job, from recording to report.")


def train(
    store: StoreFolder,
    run: Annotated[Path, typer.Option(help="The folder of the run; must not exist, but for --resume.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="The family: diffusion (if you do not say), causal, masked; vivit, a tokenizer; latent, actions."
        ),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="The family's size or kind; tiny if you do not say.")] = None,
    set: Annotated[
        list[str] | None, typer.Option(help="Change a setting of the preset: NAME=VALUE; may be given several times.")
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="A run whose model training goes on from, in place of a preset.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Of --model masked: the run of a tokenizer; without it one is trained along.")
    ] = None,
    beside: Annotated[
        Path | None, typer.Option(help="Of --preset restyle: the store of which STORE holds variants.")
    ] = None,
    domain: Annotated[
        str,
        typer.Option(help="stem: weigh by nearness to the silicon, use the square's symmetries. driving: neither."),
    ] = "",
    seconds: Annotated[float | None, typer.Option(help="Of training; 300 unless --steps is given.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Of training, in place of seconds.", callback=count_in_range("steps"))
    ] = None,
    batch: Annotated[int, typer.Option(help="Windows a step; more for a GPU.", callback=count_in_range("batch"))] = 8,
    device: Device = "cpu",
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 where that is safe.")] = "float32",
    compile: Annotated[bool, typer.Option("--compile", help="Compile the loss; takes half a minute.")] = False,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    members: Annotated[int, typer.Option(help="Of an ensemble, each a run in the folder; 1 is none.")] = 1,
    bootstrap: Annotated[bool, typer.Option("--bootstrap", help="Draw the sessions that each trains on.")] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes for several members; one a core.", callback=workers_in_range)
    ] = None,
) -> None:
    """Train a world model on a store, or an ensemble of them.

    Several processes train one model: torchrun --nproc-per-node 2 -m -- sciworld train ...; --batch is that of each.
    """
    from sciworld.store import Store
    from sciworld.training.beginnings import changes_of
    from sciworld.training.distributed import is_first
    from sciworld.training.ensemble import train_ensemble
    from sciworld.training.train import FAMILY, train
    from sciworld.training.trainer import FitSettings

    if seconds is None and steps is None:
        seconds = 300.0
    settings = FitSettings(
        steps=steps, seconds=seconds, batch=batch, device=device, seed=seed, precision=precision, compile=compile
    )
    given: dict[str, Any] = {
        "family": model, "preset": preset, "changes": changes_of(model or FAMILY, set or ()), "domain": domain,
        "start_from": start_from, "tokenizer": tokenizer, "bootstrap": bootstrap, "resume": resume,
        "beside": None if beside is None else Store.open(beside),
    }  # fmt: skip
    if beside is not None and members > 1:
        raise SettingsError("--beside is for one model; leave out --members")
    if members == 1:
        if workers is not None:
            raise SettingsError("--workers is for several --members")
        runs = [train(Store.open(store), run, settings, **given)]
    else:
        with bar("training members") as progress:
            runs = train_ensemble(
                Store.open(store), run, settings, members, workers=workers, progress=progress, **given
            )
    if is_first():
        for made in runs:
            say(made)


def say(run: Any) -> None:
    """How a training ended."""
    last = run.log()[-1]
    typer.echo(f"{run.path}: {last['step']} steps in {last['seconds']:.0f} s, loss {last['loss']:.4g}")
    if "validation" in last:
        typer.echo("; ".join(f"{name} {value:.4g}" for name, value in last["validation"].items()))
    if "control_gain" in last:
        gain = last["control_gain"]
        typer.echo(f"under other windows' controls the loss is {abs(gain):.1%} {'higher' if gain > 0 else 'lower'}")


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


def evaluate(
    run: RunFolder,
    store: StoreFolder,
    measure: Annotated[str, typer.Option(help="To show: rmse, rmse_moving, crps, vrmse, ...")] = "rmse",
    domain: Annotated[
        str, typer.Option(help="Whose physics is read from the frames: stem, fluid or driving; none by default.")
    ] = "",
    beside: Annotated[
        list[Path] | None, typer.Option(help="Another run, measured alike on Dask; may be given several times.")
    ] = None,
    member: Annotated[
        list[Path] | None, typer.Option(help="Another run that imagines along, as an ensemble; several times.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes for several runs; one a core.", callback=workers_in_range)
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Of Dask, in place of processes here, such as tcp://10.0.0.1:8786.")
    ] = None,
    steps: Annotated[int, typer.Option(help="To guess from each start.", callback=count_in_range("steps"))] = 8,
    starts: Annotated[int, typer.Option(help="In each recording.", callback=count_in_range("starts"))] = 4,
    samples: Annotated[int, typer.Option(help="Futures to draw.", callback=count_in_range("samples"))] = 4,
    data_range: Annotated[
        float | None, typer.Option(help="Of PSNR and SSIM, in the frames' units; unknown but of bytes and bounds.")
    ] = None,
    least: Annotated[
        float | None, typer.Option(help="What a pixel must change by to have moved; by default 4 times the noise.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write every measure as NetCDF, e.g. table.nc.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with curves and cases, e.g. page.html.")] = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Measure a run on the recordings that training did not see, beside guesses that know less.

    With --beside several runs are measured on the recordings that none of them saw, with --member they are measured as
    one.
    """
    from sciworld.evaluate import page, runs
    from sciworld.evaluate.evaluate import EvaluateSettings, require_measure, to_table
    from sciworld.store import Store
    from sciworld.surrogate.ensemble import Ensemble

    require_measure(measure)
    if beside and report is not None:
        raise SettingsError("a page is of one run; leave out --report or --beside, or keep the table with --out")
    if beside and member:
        raise SettingsError("several runs are measured side by side or as one ensemble; leave out --beside or --member")
    if not beside and (workers is not None or scheduler is not None):
        raise SettingsError("--workers and --scheduler are for several runs; name the others with --beside")
    if report is not None and report.exists() and not report.is_file():
        raise SettingsError(f"{report}: a page needs a file of its own; name another")
    writable(out, report)
    settings = EvaluateSettings(steps, starts, samples, data_range, least, seed=seed)
    stored = Store.open(store)
    surrogate: Any = None
    with bar("evaluating") as progress:
        if beside:
            found = runs.evaluate_runs([run, *beside], stored, domain, settings, scheduler, workers, device, progress)
        else:
            loaded = [pair for path in (run, *(member or ())) for pair in opened(path, device)]
            held = runs.held_out([made for made, _ in loaded], stored)
            surrogate = Ensemble([one for _, one in loaded]) if len(loaded) > 1 else loaded[0][1]
            found = held.evaluate(surrogate, held.references(domain), settings, progress)
    found = found.assign_attrs(run=str(run))
    if out is not None:  # before anything is shown: what took long is kept first
        write(out, bytes(found.to_netcdf(engine="h5netcdf")))
    show(runs.to_table(found, measure) if beside else to_table(found, measure))
    if "quantity" in found.coords:
        typer.echo(f"read of the domain '{domain}': {', '.join(found.quantity.values.tolist())}")
    if found.attrs["seen"] != "no":
        warn([found.attrs["seen"]])
    if out is not None:
        typer.echo(f"every measure: {out}")
    if report is not None:
        page.write(report, found, surrogate, stored, seed)
        typer.echo(f"the page: {report}")


def label(
    run: Annotated[Path, typer.Argument(help="The folder of a run that learned actions: train --model latent.")],
    store: StoreFolder,
    out: Annotated[Path, typer.Option(help="The new store; must not exist.")],
    name: Annotated[str, typer.Option(help="Of the new control.")] = "action",
    device: Device = "cpu",
) -> None:
    """Infer what happens between frames, as one of a few actions, and store it as a control."""
    from sciworld.models import checkpoint
    from sciworld.store import Store
    from sciworld.tasks import labelling
    from sciworld.training.trainer import as_device

    with bar("labelling") as progress:
        made = labelling.label(
            Store.open(store), checkpoint.load(run, as_device(device), "actions"), out, name, progress
        )
    typer.echo(repr(made))


def replay(
    run: RunFolder,
    episodes: Annotated[
        int | None,
        typer.Option(
            help="Of each controller; 20 atoms, 4 wakes, 12 drives if you do not say.",
            callback=count_in_range("episodes"),
        ),
    ] = None,
    within: Annotated[float | None, typer.Option(help="Of silicon: how far the goals are, at most; 10 A.")] = None,
    rates: Annotated[
        str | None, typer.Option(help="Of silicon: the judge's, simple, prior (if you do not say) or mixture.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Of wakes or drives, whose simulator judges; with --objective, its recordings judge."),
    ] = None,
    objective: Annotated[str | None, typer.Option(help="As of search: drag, lane, or FILE.py:FUNCTION.")] = None,
    horizon: Annotated[
        int, typer.Option(help="Steps that are held against the recordings.", callback=count_in_range("horizon"))
    ] = 8,
    out: Annotated[Path | None, typer.Option(help="Write the verdicts as JSON, e.g. verdict.json.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with promises beside outcomes, e.g. verdict.html.")
    ] = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Judge a run in the trusted simulator, or by recordings that training did not see.

    Silicon is steered beside greedy, which knows the rates, and chance. With --store wakes are calmed, or lanes kept,
    in the simulator that made the store, beside rivals. With --store and --objective recordings judge what is promised
    of their own controls.
    """
    from sciworld.demos import stem_report
    from sciworld.evaluate import verdict, verdict_page
    from sciworld.tasks import held_out, trusted

    writable(out, report)
    if objective is not None and store is None:
        raise SettingsError("recordings judge an objective; give --store with --objective")
    if objective is not None and not (within is None and rates is None):
        raise SettingsError("--within and --rates are of silicon in the simulator; leave them out with --objective")
    made, surrogate = load(run, device)
    with bar("judging") as progress:
        if objective is not None:
            judged = held_out.judge(made, surrogate, str(store), objective, horizon, seed, progress)
            verdicts, table = {judged.controller: judged}, judged.to_table()
        else:
            verdicts = trusted.judge(made, surrogate, store, episodes, within, rates, seed, progress)
            table = stem_report.verdict_table(verdicts)
    show(table)
    warn(text for found in verdicts.values() for text in found.warnings())
    if out is not None:
        write(out, verdict.to_json(verdicts))
        typer.echo(f"the verdicts: {out}")
    if report is not None:
        write(report, verdict_page.page(verdicts, table))
        typer.echo(f"the page: {report}")


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


@demo_app.command("fluid")
def demo_fluid(
    out: Annotated[Path, typer.Option(help="The folder of the report; an earlier demo there is replaced.")],
    data: Annotated[Path | None, typer.Option(help="A store of simulated wakes; else the catalogue's.")] = None,
    steps: Annotated[int, typer.Option(help="Of training.", callback=count_in_range("steps"))] = 5000,
    episodes: Annotated[int, typer.Option(help="Of each controller.", callback=count_in_range("episodes"))] = 4,
    seed: Seed = 0,
) -> None:
    """Calm the wake of a cylinder by jets: record, train, search, replay, report."""
    from sciworld.demos import fluid

    fluid.run(out, fluid.DemoSettings(steps=steps, episodes=episodes, seed=seed), data)


@demo_app.command("driving")
def demo_driving(
    out: Annotated[Path, typer.Option(help="The folder of the report; an earlier demo there is replaced.")],
    data: Annotated[
        Path | None, typer.Option(help="A store of recordings of the road simulator; else some are made.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Of training.", callback=count_in_range("steps"))] = 2000,
    episodes: Annotated[int, typer.Option(help="Of driving.", callback=count_in_range("episodes"))] = 12,
    seed: Seed = 0,
) -> None:
    """Keep a lane on winding roads: record, train, search, replay, report."""
    from sciworld.demos import driving

    driving.run(out, driving.DemoSettings(steps=steps, episodes=episodes, seed=seed), data)


def opened(path: Path, device: str) -> list[tuple[Any, Any]]:
    """The run in a folder and its surrogate, or those of all members of an ensemble."""
    from sciworld.surrogate.ensemble import member_folders
    from sciworld.surrogate.surrogate import Surrogate
    from sciworld.training.run import Run
    from sciworld.training.trainer import as_device

    made = [Run(folder) for folder in member_folders(path) or [path]]
    return [(one, Surrogate(one.model(as_device(device)))) for one in made]


def load(path: Path, device: str) -> tuple[Any, Any]:
    """The run in a folder and its surrogate; of an ensemble the first run, which stands for all, and all as one.

    Raises SettingsError for members of which one has seen what another has not.
    """
    from sciworld.surrogate.ensemble import Ensemble

    (first, surrogate), *others = opened(path, device)
    for other, _ in others:
        if any(first.config.get(name) != other.config.get(name) for name in ("sources", "validation")):
            raise SettingsError(
                f"{path}: {first.path.name} and {other.path.name} were not trained on the same recordings; measure "
                "them with evaluate, which knows how"
            )
    return first, Ensemble([surrogate, *(one for _, one in others)]) if others else surrogate
