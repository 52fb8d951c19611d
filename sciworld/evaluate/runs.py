"""Runs that training made, held against recordings that they did not see; several of them at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from distributed import Client, as_completed
from distributed.scheduler import KilledWorker

from sciworld.cluster.connect import connected, cores
from sciworld.errors import ClusterError, RecordingError, SettingsError
from sciworld.evaluate.evaluate import EvaluateSettings, caption, evaluate, means, require_measure
from sciworld.evaluate.references import OTHERS, OWN, References
from sciworld.evaluate.scores import OF_MODEL, UNITS
from sciworld.evaluate.table import Table, number
from sciworld.evaluate.trial import GUESSES, MEAN, ONE, SHUFFLED
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble, member_folders
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training.run import Run
from sciworld.training.seen import unseen
from sciworld.training.trainer import as_device

UNKNOWN = "training saw these recordings, or does not say which it saw"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Recordings of a store that runs are measured on, and those that what they are held against is fitted on.

    Parameters
    ----------
    new, seen : of the store. known : whether no run was trained on the new ones; else both are all recordings.
    """

    new: Selection
    seen: Selection
    known: bool

    def references(self, domain: str = "") -> References:
        """Fitted on the seen ones."""
        return References.fit(self.seen, domain, OTHERS if self.known else OWN)

    def first(self, most: int) -> HeldOut:
        """At most so many of the new ones."""
        return dataclasses.replace(self, new=Selection(self.new.store, self.new.indices[:most]))

    def evaluate(
        self,
        surrogate: Surrogate,
        references: References,
        settings: EvaluateSettings | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> xr.Dataset:
        """`evaluate` on the new ones, by their numbers in the store; the attribute `seen` says what is known."""
        found = evaluate(surrogate, self.new, references, settings, progress)
        found = found.assign_coords(recording=self.new.indices[found.recording.values])
        return found.assign_attrs(seen="no" if self.known else UNKNOWN, store=str(self.new.store.path))


def held_out(runs: Sequence[Run], store: Store) -> HeldOut:
    """Recordings of the store that no run was trained on; all of them where a run does not say, or saw them all.

    Raises RecordingError for several runs that were trained on other parts each, so that nothing is new to all.
    """
    every = np.arange(len(store))
    told = [unseen(run, store) for run in runs]
    new = every
    for found in told:
        new = np.intersect1d(new, [] if found is None else found)
    if not len(new) and len(told) > 1 and all(found is not None and len(found) for found in told):
        raise RecordingError(
            f"{store.path}: of its {len(store)} recordings none is new to all {len(told)} runs, each of which left out "
            "others; give a store that none was trained on, or train them on one selection of this one"
        )
    if not len(new):
        return HeldOut(Selection(store, every), Selection(store, every), known=False)
    seen = np.setdiff1d(every, new)
    return HeldOut(Selection(store, new), Selection(store, seen if len(seen) else every), known=True)


def evaluate_runs(
    runs: Sequence[str | Path],
    store: Store,
    domain: str = "",
    settings: EvaluateSettings | None = None,
    client: Client | str | None = None,
    workers: int | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """`evaluate` of several runs on the recordings of the store that none was trained on, along `model` on Dask.

    All are held against the same references, from the same frames on.

    runs : folders that training made, of a model or of an ensemble, named by their last parts. client : of Dask, or the
    address of a scheduler, whose workers see the folders; else processes of this machine, as many as `workers` or one a
    core. device : of the models.
    progress : called with the runs that are done, and all. Raises SettingsError for two runs of one name, ClusterError
    where a worker died, and what `held_out` and `evaluate` raise.
    """
    settings, paths = settings or EvaluateSettings(), [Path(run).resolve() for run in runs]
    names = [path.name for path in paths]
    if not names or len(set(names)) < len(names):
        raise SettingsError(f"runs are called {', '.join(names) or 'nothing'}; give one or more, of different names")
    opened = [Run(folder) for path in paths for folder in member_folders(path) or [path]]
    held = held_out(opened, store)
    longest = max(int(run.config["windows"]["context"]) for run in opened)
    settings = dataclasses.replace(settings, context=settings.context or longest)
    found: dict[str, xr.Dataset] = {}
    with connected(client, min(workers or cores(1), len(paths))) as workforce:
        where = store.path.resolve()
        references = workforce.submit(_references, where, held.seen.indices, held.known, domain, pure=False)
        futures = {
            workforce.submit(
                _evaluated, path, where, held.new.indices, held.known, references, settings, device, pure=False
            ): name
            for name, path in zip(names, paths, strict=True)
        }  # fmt: skip
        try:
            for future in as_completed(list(futures), loop=workforce.loop):
                found[futures[future]] = future.result()
                if progress is not None:
                    progress(len(found), len(paths))
        except KilledWorker as error:
            raise ClusterError(f"a worker died, perhaps of memory ({error}); ask for fewer workers") from error
        finally:
            workforce.cancel([references, *futures])  # of an error or interrupt: what has not begun shall not
    return _joined([found[name] for name in names], names)


def _references(store: Path, seen: np.ndarray, known: bool, domain: str) -> References:
    """What a worker does first."""
    return References.fit(Selection(Store.open(store), seen), domain, OTHERS if known else OWN)


def _evaluated(
    path: Path, store: Path, new: np.ndarray, known: bool, references: References, settings: EvaluateSettings,
    device: str,
) -> xr.Dataset:  # fmt: skip
    """What a worker does for one run."""
    chosen = Selection(Store.open(store), new)
    made = [Surrogate(Run(folder).model(as_device(device))) for folder in member_folders(path) or [path]]
    surrogate = Ensemble(made) if len(made) > 1 else made[0]
    return HeldOut(chosen, chosen, known).evaluate(surrogate, references, settings)


def _joined(tables: Sequence[xr.Dataset], names: Sequence[str]) -> xr.Dataset:
    """Along `model`, of the recordings that all have."""
    model = xr.DataArray(list(names), dims="model", name="model")
    return xr.concat(
        [table.reset_coords("start_frame") for table in tables], model, data_vars="all", coords="minimal",
        compat="override", join="inner", combine_attrs="drop_conflicts",
    )  # fmt: skip


def to_table(found: xr.Dataset, measure: str) -> Table:
    """One measure of `evaluate_runs` : a row for each model, and the baselines, at the last step; columns are channels.

    Raises SettingsError for a measure that is not there.
    """
    require_measure(measure)
    last = {str(name): means(found.sel(model=name), measure).isel(step=-1) for name in found.model.values}
    several = "guess" in found[measure].dims
    rows = [
        (name, *map(number, (values.sel(guess=MEAN) if several else values).values.tolist()))
        for name, values in last.items()
    ]
    first = next(iter(last.values()))
    for guess in GUESSES if several else ():
        if guess not in (MEAN, ONE, SHUFFLED):
            rows.append((guess, *map(number, first.sel(guess=guess).values.tolist())))
    columns = zip(found.channel.values, found.channel_units.values, strict=True)
    headings = (measure, *(f"{name} ({(UNITS | OF_MODEL)[measure] or units})" for name, units in columns))
    return Table(headings, tuple(rows), f"At step {int(found.step.values[-1])}. {caption(found)}")
