"""One page: a recording beside what a surrogate imagines under its controls. For any domain."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sciworld.config import require
from sciworld.evaluate.imagine import imagine
from sciworld.evaluate.report import Section, write_report
from sciworld.evaluate.table import Table
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training.run import Run
from sciworld.training.seen import unseen

SEEN = {True: "Training did not see it.", False: "Training saw it.", None: "Whether training saw it is not known."}


def rollout(
    run: Run,
    surrogate: Surrogate,
    store: Store,
    out: Path,
    which: int | None = None,
    start: int | None = None,
    steps: int | None = None,
    samples: int = 4,
    seed: int = 0,
) -> Table:
    """Write the page `out`; its table of errors.

    which : recording of `store`; by default the first that the training of `run` did not see. start, steps, samples :
    see `imagine`. The caption says whether training saw the recording.
    """
    held_out = unseen(run, store)
    if which is None:
        which = int(held_out[0]) if held_out is not None and len(held_out) else 0
    require(-len(store) <= which < len(store), f"recording is {which}; {store.path} has 0 to {len(store) - 1}")
    which %= len(store)
    ds = store[which]
    found = imagine(surrogate, ds, np.random.default_rng(seed), start, steps, samples)
    new = None if held_out is None else which in held_out
    name = f"Recording {which} of {store.path.name} (session {ds.attrs['session']})"
    prose = f"{name}, from frame {found.start} on. {SEEN[new]}"
    table = found.to_table()
    table = Table(table.columns, table.rows, f"{prose} {table.caption}")
    images = "Above what was recorded; below, futures sampled one by one under the same controls."
    write_report(
        out,
        "A recording, imagined",
        [Section("Truth and sampled futures", f"{prose} {images}", found.figures()), Section("Errors", "", [table])],
    )
    return table
