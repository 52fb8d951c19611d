"""Many models held against the same recordings, at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from distributed import Client, as_completed
from distributed.scheduler import KilledWorker

from sciworld.cluster.connect import connected, cores
from sciworld.errors import ClusterError, RecordingError, SettingsError
from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
from sciworld.evaluate.scores import UNITS
from sciworld.evaluate.table import Table, number
from sciworld.evaluate.trial import GUESSES, MEAN, ONE, SHUFFLED
from sciworld.selection import Selection
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.training.run import Run
from sciworld.training.train import unseen
from sciworld.training.trainer import as_device


def held_out(runs: Sequence[Run], store: Store) -> tuple[np.ndarray, np.ndarray, bool]:
    """Recordings of the store that no run was trained on, all others, and whether that is known : (recording,) int64.

    Where a run does not say, or saw them all, all recordings are given twice.
    """
    every = np.arange(len(store))
    chosen = every
    for run in runs:
        new = unseen(run, store)
        chosen = np.intersect1d(chosen, [] if new is None else new)
    if not len(chosen):
        return every, every, False
    return chosen, np.setdiff1d(every, chosen) if len(chosen) < len(every) else every, True


def evaluate_runs(
    runs: Sequence[str | Path],
    store: Store,
    settings: EvaluateSettings | None = None,
    client: Client | str | None = None,
    workers: int | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """`evaluate` of several runs on the recordings of the store that none was trained on, along `model` on Dask.

    runs : folders that training made, named by their last parts. client : of Dask, or the address of a scheduler, whose
    workers see the folders; else processes of this machine, as many as `workers` or one a core. device : of the models.
    progress : called with the runs that are done, and all. Raises SettingsError for two runs of one name, ClusterError
    where a worker died, and what `evaluate` raises.
    """
    settings, paths = settings or EvaluateSettings(), [Path(run).resolve() for run in runs]
    names = [path.name for path in paths]
    if not names or len(set(names)) < len(names):
        raise SettingsError(f"runs are called {', '.join(names) or 'nothing'}; give one or more, of different names")
    chosen, seen, _ = held_out([Run(path) for path in paths], store)
    found: dict[str, xr.Dataset] = {}
    with connected(client, min(workers or cores(1), len(paths))) as workforce:
        futures = {
            workforce.submit(_evaluated, path, store.path.resolve(), chosen, seen, settings, device, pure=False): name
            for name, path in zip(names, paths, strict=True)
        }
        try:
            for future in as_completed(list(futures), loop=workforce.loop):
                found[futures[future]] = future.result()
                if progress is not None:
                    progress(len(found), len(paths))
        except KilledWorker as error:
            raise ClusterError(
                f"a worker died, perhaps of memory ({error}); ask for fewer workers or samples"
            ) from error
        finally:
            workforce.cancel(list(futures))  # of an error or interrupt: what has not begun shall not
    return _joined([found[name] for name in names], names)


def _evaluated(
    path: Path, store: Path, chosen: np.ndarray, seen: np.ndarray, settings: EvaluateSettings, device: str
) -> xr.Dataset:
    """What a worker does."""
    held = Store.open(store)
    surrogate = Surrogate(Run(path).model(as_device(device)))
    found = evaluate(surrogate, Selection(held, chosen), Selection(held, seen), settings)
    return found.assign_coords(recording=chosen[found.recording.values])  # their numbers in the store


def _joined(tables: Sequence[xr.Dataset], names: Sequence[str]) -> xr.Dataset:
    """Along `model`, of the recordings that all have."""
    if any(table.sizes["channel"] != tables[0].sizes["channel"] for table in tables):
        raise RecordingError("the runs are of other channels; compare such as were trained on recordings of one kind")
    model = xr.DataArray(list(names), dims="model", name="model")
    return xr.concat(
        [table.reset_coords("start_frame") for table in tables], model, data_vars="all", coords="minimal",
        compat="override", join="inner", combine_attrs="drop_conflicts",
    )  # fmt: skip


def to_table(found: xr.Dataset, measure: str) -> Table:
    """One measure of `evaluate_runs` : a row for each model, and the baselines of the first, at the last step.

    Columns are channels. Raises SettingsError for a measure that is not there.
    """
    if measure not in UNITS:
        raise SettingsError(f"measure is {measure!r:.80}; there are {', '.join(UNITS)}")
    last = found[measure].isel(step=-1).mean("recording", skipna=True)
    rows = [(str(name), *map(number, last.sel(guess=MEAN, model=name).values.tolist())) for name in found.model.values]
    rows += [
        (guess, *map(number, last.sel(guess=guess).isel(model=0).values.tolist()))
        for guess in GUESSES
        if guess not in (MEAN, ONE, SHUFFLED)
    ]
    columns = zip(found.channel.values, found.channel_units.values, strict=True)
    headings = (measure, *(f"{name} ({UNITS[measure] or units})" for name, units in columns))
    caption = f"At step {int(found.step.values[-1])}, means over {found.sizes['recording']} recordings."
    return Table(headings, tuple(rows), caption)
