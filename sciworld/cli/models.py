"""The command that says what models there are, and what each costs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from sciworld.cli.terminal import count_in_range, show, warn
from sciworld.errors import SettingsError


def models(
    shape: Annotated[str, typer.Option(help="Of frames: YxXxCHANNELS.")] = "32x32x1",
    controls: Annotated[int, typer.Option(help="How many.", callback=count_in_range("controls"))] = 2,
    store: Annotated[Path | None, typer.Option(help="Frames and columns of a store, in place of both.")] = None,
    evaluations: Annotated[int, typer.Option(help="Of a sampled frame.", callback=count_in_range("evaluations"))] = 4,
    batch: Annotated[int, typer.Option(help="Windows in a step of training.", callback=count_in_range("batch"))] = 8,
) -> None:
    """List every preset of every family: weights, arithmetic, memory."""
    from sciworld.evaluate.table import DASH, Table, number
    from sciworld.store import Store
    from sciworld.training import cost
    from sciworld.windows import Windows

    if min(evaluations, batch) < 1 or controls < 0:
        raise SettingsError("evaluations and batch are 1 or more, controls 0 or more")
    if store is None:
        signature = cost.signature_of(shape_of(shape), controls)
    else:
        signature = cost.signature_of_windows(Windows(Store.open(store), 1, 1, memory_bytes=0))
    found = cost.costs(signature, evaluations, batch)
    headings = (
        "family",
        "preset",
        "context",
        "weights (M)",
        "mean (GFLOP)",
        "sample (GFLOP)",
        "model (MB)",
        "training (MB)",
    )
    rows = []
    for one in found:
        millions = one.parameters / 1e6, one.mean / 1e9, one.sample / 1e9, one.weights / 1e6, one.training / 1e6
        figures = [DASH] * 6 if one.why_not else [str(one.context), *map(number, millions)]
        rows.append((one.family, one.preset, *figures))
    y, x, c = signature.shape
    caption = (
        f"Frames of {y} x {x} pixels and {c} channels, {len(signature.controls)} controls. GFLOP are of one further "
        f"frame of one candidate; a sample takes {evaluations} evaluations. Training has a batch of {batch}."
    )
    show(Table(headings, tuple(rows), caption))
    warn(f"{one.family} {one.preset}: {one.why_not}" for one in found if one.why_not)


def shape_of(text: str) -> tuple[int, int, int]:
    """Three numbers such as "32x32x1". Raises SettingsError."""
    with contextlib.suppress(ValueError):
        y, x, c = (int(part) for part in text.lower().split("x"))
        if min(y, x, c) > 0 and max(y, x, c) <= 65536:
            return y, x, c
    raise SettingsError(f"shape is '{text}'; write YxXxCHANNELS, such as 32x32x1")
