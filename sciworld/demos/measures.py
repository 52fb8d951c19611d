"""The parts of a demo's report that measure its surrogate on recordings that training did not see."""

from __future__ import annotations

from pathlib import Path

from sciworld.errors import RecordingError
from sciworld.evaluate import page
from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
from sciworld.evaluate.imagine import STEPS, steps_ahead
from sciworld.evaluate.report import Section
from sciworld.evaluate.runs import held_out
from sciworld.files import replace_file
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training.run import Run

FILE = "measures.nc"
RECORDINGS = 16  # at most


def parts(run: Run, surrogate: Surrogate, store: Store, domain: str, seed: int, folder: Path) -> list[Section]:
    """Measure as `sciworld evaluate` does, with the domain's physics, and keep every number in the folder as NetCDF.

    A part begins with a warning where training saw the recordings, or they tell nothing of the domain's physics.
    """
    chosen, seen, known = held_out([run], store)
    chosen = chosen[:RECORDINGS]
    warnings = [] if known else ["training saw these recordings, or does not say which it saw"]
    steps = min(STEPS, max(int(steps_ahead(store.lazily(int(place))).max()) for place in chosen))
    settings = EvaluateSettings(steps=steps, domain=domain, seed=seed)
    held, fitted = Selection(store, chosen), Selection(store, seen)
    try:
        found = evaluate(surrogate, held, fitted, settings)
    except RecordingError as error:
        warnings.append(f"physics is left out: {error}")
        found = evaluate(surrogate, held, fitted, EvaluateSettings(steps=steps, seed=seed))
    found = found.assign_coords(recording=chosen[found.recording.values])  # their numbers in the store
    replace_file((folder / FILE).resolve(), bytes(found.to_netcdf(engine="h5netcdf")))
    first, *rest = page.sections(found, surrogate, store, seed)
    return [
        Section(f"Measured: {first.heading.lower()}", first.prose, first.items, [*warnings, *first.warnings]),
        *rest,
    ]
