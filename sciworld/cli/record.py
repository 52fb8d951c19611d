"""The command that records a simulator's own episodes: record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sciworld.cli.terminal import Seed, bar, count_in_range


def record(
    env: Annotated[str, typer.Argument(help="The id of a Gymnasium environment, e.g. CarRacing-v3.")],
    out: Annotated[Path, typer.Option(help="The store that the episodes are appended to; made if missing.")],
    episodes: Annotated[int, typer.Option(help="How many.", callback=count_in_range("episodes"))] = 10,
    policy: Annotated[str, typer.Option(help="What acts: smooth, random or held.")] = "smooth",
    seed: Seed = 0,
    frames: Annotated[
        str, typer.Option(help="render, observation, or observation:KEY where there are several images.")
    ] = "render",
    channels: Annotated[str, typer.Option(help="Where image observations have their channels: first or last.")] = "",
    max_steps: Annotated[
        int | None, typer.Option(help="Of an episode; else the environment's own.", callback=count_in_range("steps"))
    ] = None,
    dt: Annotated[float | None, typer.Option(help="Seconds a step; else by the environment's render_fps.")] = None,
    hold: Annotated[
        int, typer.Option(help="Steps that actions stay alike, if smooth or held.", callback=count_in_range("hold"))
    ] = 8,
    names: Annotated[str, typer.Option(help="Of the controls, in order: 'steering,gas,brake'.")] = "",
) -> None:
    """Play episodes of a Gymnasium environment into a store; what it holds already is not played again."""
    from sciworld.domains.gym.episodes import Recipe, record_to

    called = tuple(name.strip() for name in names.split(",")) if names else ()
    recipe = Recipe(seed=seed, max_steps=max_steps, frames=frames, channels=channels, dt=dt, hold=hold, names=called)
    with bar(env) as progress:
        count = record_to(out, env, episodes, policy, recipe, progress=progress)
    held = f", {episodes - count} were there" if count < episodes else ""
    typer.echo(f"{out}: {count} episodes recorded{held}")
