"""Many futures from one moment of a drive: under other controls, and in other light and weather.

What was seen up to that moment is drawn in the wanted weather first, see `randomize`: a model that saw noon goes on
with noon, whatever it is told. Then a surrogate imagines on under controls that somebody once played, drawn by chance
from recordings: so they change as fast as hands do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sciworld import recording
from sciworld.chance import stream
from sciworld.config import LARGEST, whole
from sciworld.domains.driving.randomize import Method, drawn_conditions, levels, randomize, variant_seed, with_facts
from sciworld.domains.driving.road.conditions import RANGES
from sciworld.errors import RecordingError, StoreError
from sciworld.evaluate.imagine import controls_of, covariates_of, observed, require_kind, steps_ahead
from sciworld.models import checkpoint
from sciworld.recording import Recording
from sciworld.selection import IMAGINED
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate

DIGEST = re.compile(r"imagined by the world model (\w+)")
DRIVERS = 50  # recordings of a store whose controls are played, at most


def futures(
    surrogate: Surrogate,
    ds: Recording,
    n: int,
    steps: int,
    conditions: Any = "any",
    seed: int = 0,
    method: Method | None = None,
    start: int | None = None,
    drivers: Sequence[Recording] = (),
    of: int = -1,
) -> Iterator[Recording]:
    """n futures of `steps` steps from the frame `start` of a recording, each made when it is asked for.

    conditions, method, of : see `randomize`; conditions None leave the weather that was recorded. start : by default
    the first frame before which the model's context was seen. drivers : recordings whose controls are played, pieces of
    them by chance; the recording's own without any.

    A future begins with the frame that is the present. Its session is that of the recording, its covariates say the
    conditions and, as of variants, number, source and seed; its history says that it was imagined. The same recording,
    number and seed give the same future. Raises RecordingError where nobody played so many steps, or the recording is
    of another kind than the model's; see `randomize` for the others.
    """
    n, steps, seed = whole(n, "n", 1), whole(steps, "steps", 1), whole(seed, "seed", 0, LARGEST)
    require_kind(surrogate, ds)
    last = ds.sizes["time"] - 1
    start = min(surrogate.model.context - 1, last) if start is None else whole(start, "start", 0, last)
    played = [(controls_of(one), steps_ahead(one)) for one in (drivers or [ds])]
    for one in drivers:
        require_kind(surrogate, one)
    if not any((ahead >= steps).any() for _, ahead in played):
        raise RecordingError(
            f"'{ds.attrs['session']}': nobody played {steps} steps in a row; take fewer, or give more drivers"
        )
    if conditions is None:
        variants: Iterator[Recording] = (ds for _ in range(n))
    else:
        variants = randomize(ds, n, conditions, seed, method, of=of)

    def future(number: int, one: Recording) -> Recording:
        controls = _piece(played, steps, stream(seed, "futures", number))
        known = {"variant": number, "variant_of": of, "variant_seed": variant_seed(seed, number)}
        values, table = with_facts(one, known)
        one = one.assign(covariates=("covariate", values, {"columns": table.to_json()}))
        return _future(surrogate, one, start, controls, number, seed)

    return (future(number, one) for number, one in enumerate(variants))


def _piece(played: list[tuple[np.ndarray, np.ndarray]], steps: int, rng: np.random.Generator) -> np.ndarray:
    """Controls (steps, control) that were played in a row, each piece as likely as the others."""
    begins = [np.flatnonzero(ahead >= steps) for _, ahead in played]
    number = int(rng.integers(sum(map(len, begins))))
    for (controls, _), each in zip(played, begins, strict=True):
        if number < len(each):
            found: np.ndarray = controls[each[number] : each[number] + steps]
            return found
        number -= len(each)
    raise AssertionError("a number below their sum")


def _future(surrogate: Surrogate, ds: Recording, start: int, controls: np.ndarray, number: int, seed: int) -> Recording:
    history = observed(ds, start, surrogate.model.context)
    state = surrogate.start(history, covariates_of(surrogate, ds), ds.attrs.get("description"))
    rng = stream(seed, "imagined", number)
    controls = surrogate.space.clip(controls)
    imagined = surrogate.futures(state, controls[None, None], 1, rng)[0, 0, 0]
    stored = ds["frames"].dtype
    if stored.kind in "iu":
        imagined = np.rint(imagined.clip(*levels(ds)))
    frames = np.concatenate([ds["frames"].values[start : start + 1], imagined.astype(stored)])
    step = float(np.median(np.diff(ds["time"].values))) if ds.sizes["time"] > 1 else 1.0
    table = recording.covariate_table(ds)
    facts = dict(zip(table.names, ds["covariates"].values.tolist(), strict=True))
    return recording.make(
        frames,
        step * np.arange(len(frames)),
        channels=recording.channel_table(ds),
        session=ds.attrs["session"],
        source=IMAGINED + str(ds.attrs["source"]).removeprefix(IMAGINED),
        licence=ds.attrs["licence"],
        citation=ds.attrs["citation"],
        history=f"{ds.attrs['history']}; future {number} with seed {seed}, imagined by the world model "
        f"{checkpoint.digest(surrogate.model)} from frame {start} under controls that were played before",
        view=ds["view"].values[start],
        view_units=ds["view"].attrs["units"],
        controls=np.concatenate([controls, np.full((1, controls.shape[1]), np.nan)]),
        control_table=recording.control_table(ds),
        covariates=facts,
        covariate_table=table,
    )


def imagine_store(
    surrogate: Surrogate,
    source: Store,
    path: str | Path,
    n: int,
    steps: int,
    conditions: Any = "any",
    seed: int = 0,
    method: Method | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Store:
    """Write n futures of every recording of a store into the store at `path`, which is made if missing; drivers are
    recordings of the whole store.

    Each recording has a seed of its own. Call it again after an interrupt: recordings whose futures the store holds are
    left out. Raises StoreError where it holds anything else, others as `futures`.
    """
    if not len(source):
        raise StoreError(f"{source.path}: holds nothing; ingest or record drives first")
    seeds = [int(np.random.SeedSequence([seed, index, 808]).generate_state(1)[0]) for index in range(len(source))]
    digest, known = checkpoint.digest(surrogate.model), _weathers(source)
    asked = [
        _asked(session, n, steps, [weather] * n if conditions is None else conditions, own, digest)
        for session, weather, own in zip(source.sessions(), known, seeds, strict=True)
    ]
    chosen = np.linspace(0, len(source) - 1, min(DRIVERS, len(source))).astype(int)
    drivers = [source.lazily(int(index)) for index in np.unique(chosen)]

    def ways(index: int) -> Iterator[Recording]:
        own = seeds[index]
        return futures(surrogate, source[index], n, steps, conditions, own, method, drivers=drivers, of=index)

    ways(0)  # what cannot be imagined leaves no empty store
    out = Store.create(path)
    held = _held(out, asked)
    for index in range(len(source)):
        if index not in held:
            out.append(list(ways(index)), admit=partial(_refuse, asked, index))
        if progress is not None:
            progress(n * (index + 1), n * len(source))
    return out


def _weathers(store: Store) -> list[tuple[float, ...]]:
    """The conditions of each recording, empty where a store says none."""
    facts = store.facts()
    if not set(RANGES) <= set(facts):
        return [()] * len(store)
    return list(zip(*(facts[name].values.tolist() for name in RANGES), strict=True))


def _asked(session: str, n: int, steps: int, conditions: Any, seed: int, digest: str) -> list[tuple[Any, ...]]:
    """What tells the futures of a recording from others, of each of them; conditions as of `randomize`, or a tuple for
    each as of `_weathers`."""
    if not isinstance(conditions, list) or not all(isinstance(one, tuple) for one in conditions):
        drawn = drawn_conditions(conditions, n, seed)
        conditions = [tuple(float(getattr(one, name)) for name in RANGES) for one in drawn]
    return [(session, k, variant_seed(seed, k), steps + 1, digest, str(conditions[k])) for k in range(n)]


def _held(out: Store, asked: list[list[tuple[Any, ...]]]) -> set[int]:
    """Recordings whose futures a store holds. Raises StoreError for what is no future that is asked for."""
    if not len(out):
        return set()
    facts, weathers, found = out.facts(), _weathers(out), dict[int, list[tuple[Any, ...]]]()
    for index, source in enumerate(out.sources()):
        of = int(facts["variant_of"][index]) if source.startswith(IMAGINED) else -1
        if not 0 <= of < len(asked):
            break
        digest = DIGEST.search(str(out.lazily(index).attrs["history"]))
        numbers = (int(facts[name][index]) for name in ("variant", "variant_seed", "frames"))
        key = (out.sessions()[index], *numbers, digest[1] if digest else "", str(weathers[index]))
        found.setdefault(of, []).append(key)
    if sum(map(len, found.values())) < len(out) or any(sorted(keys) != sorted(asked[of]) for of, keys in found.items()):
        raise StoreError(
            f"{out.path}: holds recordings that are no such futures; give a new folder, or the same number, steps, "
            "conditions, seed and model as before"
        )
    return set(found)


def _refuse(asked: list[list[tuple[Any, ...]]], index: int, out: Store) -> None:
    """Raise StoreError if the store, as it is just before they are committed, holds futures of that recording."""
    if index in _held(out, asked):
        raise StoreError(f"{out.path}: another process writes the same futures; let it end, and call again")
