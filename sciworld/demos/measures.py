"""The parts of a demo's report that measure its surrogate on recordings that training did not see."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sciworld.evaluate import page
from sciworld.evaluate.evaluate import EvaluateSettings
from sciworld.evaluate.imagine import STEPS, steps_ahead
from sciworld.evaluate.report import Section
from sciworld.evaluate.runs import UNKNOWN, held_out
from sciworld.files import replace_file
from sciworld.store import Store
from sciworld.streamed import Streamed
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training.run import Run

FILE = "measures.nc"
RECORDINGS = 16  # at most


def parts(run: Run, surrogate: Surrogate, store: Store, domain: str, seed: int, folder: Path) -> list[Section]:
    """Measure as `sciworld evaluate` does, with the domain's physics, and keep every number in the folder as NetCDF.

    A part begins with a warning where training saw the recordings.
    """
    held = held_out([run], store).first(RECORDINGS)
    steps = min(STEPS, max(int(steps_ahead(ds).max()) for ds in Streamed(held.new)))
    found = held.evaluate(surrogate, held.references(domain), EvaluateSettings(steps=steps, seed=seed))
    replace_file((folder / FILE).resolve(), bytes(found.to_netcdf(engine="h5netcdf")))
    first, *rest = page.sections(found, surrogate, store, seed)
    warnings = [*([] if held.known else [UNKNOWN]), *first.warnings]
    return [dataclasses.replace(first, heading=f"Measured: {first.heading.lower()}", warnings=warnings), *rest]
