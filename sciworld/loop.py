"""The active loop: train, judge, record what is not known yet, and train again, until the verdict holds.

Recordings go into the store, in sessions that are named by the loop and the round: a round whose sessions are there was
recorded. Kill the process at any moment and call it again: what is finished is kept, what was begun goes on
(see `rounds`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr

from sciworld import rounds as folders
from sciworld.chance import seed_of, stream
from sciworld.config import LARGEST, positive, real, to_dict, whole
from sciworld.controls import ControlSpace
from sciworld.errors import SettingsError, StoreError
from sciworld.evaluate.table import Table, interval
from sciworld.evaluate.verdict import Verdict, judged
from sciworld.measures.intervals import Interval, wilson
from sciworld.recording import control_table
from sciworld.rounds import Round
from sciworld.selection import Selection
from sciworld.simulator import Controller, Observation
from sciworld.store import Store
from sciworld.surrogate.ensemble import Ensemble
from sciworld.training.train import train
from sciworld.training.trainer import FitSettings

SHOWN = ("success", "promise", "outcome", "optimism", "actions", "seconds")  # of a verdict's summary


class Experiment(Protocol):
    """What a field brings to the loop: what is steered, where to, and how to look for what is not known."""

    @property
    def domain(self) -> str:
        """Whose focus and symmetries training takes, "" for none."""
        ...

    @property
    def seconds(self) -> tuple[str, float] | float:
        """That a step lasts, see `Surrogate`."""
        ...

    @property
    def space(self) -> ControlSpace:
        """The controls, which must be those of the store."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """What tells it from others, JSON-safe: a loop goes on with the same."""
        ...

    def explore(self, surrogate: Ensemble, present: Observation, rng: np.random.Generator) -> Controller:
        """What chooses the controls of the next recordings, from frames and the surrogate alone.

        present : the first frame of each.
        """
        ...

    def run(
        self, explore: Callable[[Observation], Controller], sessions: list[str], rng: np.random.Generator
    ) -> list[xr.Dataset]:
        """Start one episode a session, in the simulator or on the instrument, and record what `explore` makes of it."""
        ...

    def judge(self, surrogate: Ensemble, episodes: int, seed: int) -> Verdict:
        """What planning with the surrogate achieves in something trusted; the same episodes for the same seed."""
        ...


@dataclass(frozen=True)
class LoopSettings:
    """How long the loop goes on, and how much it records.

    Parameters
    ----------
    rounds : trainings, at most; it records between them.
    recordings : after the first round; `growth` times as many after each further one.
    members : of the ensemble, two or more: what they disagree on is what is not known.
    episodes : of each verdict, the same ones in every round, and as many others where a verdict is confirmed.
    target : of the share of successes; None for all rounds, whatever comes of them. The lower end of its interval must
        reach it, not the share itself: that is 1 after one lucky episode. As many episodes are needed as can show it.
        A round in which it does is judged once more, on episodes that no round has seen, and there it must again: the
        best of several looks at the same episodes promises more than it keeps.
    seed : of all random numbers.
    """

    rounds: int = 6
    recordings: int = 4
    growth: float = 2.0
    members: int = 3
    episodes: int = 30
    target: float | None = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("recordings", 1), ("members", 2), ("episodes", 1)):
            whole(getattr(self, name), name, least)
        whole(self.seed, "seed", 0, LARGEST)
        positive(self.growth, "growth", 1e3)
        best = wilson(self.episodes, self.episodes).low
        if self.target is not None and best < real(self.target, "target", 0, 1):
            raise SettingsError(
                f"target is {self.target}, but if all of {self.episodes} episodes succeed the interval still begins at "
                f"{best:.3f}; judge more episodes, or lower the target"
            )

    def recorded(self, number: int) -> int:
        """How many recordings are made after round `number`."""
        return max(1, round(self.recordings * self.growth**number))


@dataclass(frozen=True, eq=False)
class Improved:
    """What the loop came to. rounds : all of them, in order. target : of the settings."""

    rounds: tuple[Round, ...]
    target: float | None

    @property
    def reached(self) -> bool:
        """Whether the last verdict holds."""
        return self.rounds[-1].holds(self.target)

    def to_xarray(self) -> xr.Dataset:
        """Along `round`: transitions, and of each quantity of the verdicts its value, and the ends of its interval."""
        variables: dict[str, Any] = {"transitions": ("round", [one.transitions for one in self.rounds])}
        summaries = [one.verdict.summary() for one in self.rounds]
        verdict = self.rounds[-1].verdict
        units = dict.fromkeys(("promise", "outcome", "optimism"), verdict.promise_units)
        units |= {"seconds": "s", "dose": verdict.dose_units}
        for name in summaries[0]:
            for end in Interval._fields:
                values = [float(getattr(summary[name], end)) for summary in summaries]
                label = name if end == "value" else f"{name}_{end}"
                variables[label] = ("round", values, {"units": units.get(name, "1")})
        attributes: dict[str, Any] = {"judge": verdict.judge, "reached": int(self.reached)}
        if self.target is not None:
            attributes["target"] = self.target
        return xr.Dataset(variables, {"round": np.arange(len(self.rounds))}, attributes)

    def to_table(self) -> Table:
        """One round a row."""
        promised = self.rounds[-1].verdict.promise_units
        units = dict.fromkeys(("promise", "outcome", "optimism"), promised) | {"seconds": "s"}
        titles = [f"{name} ({units[name]})" if units.get(name, "1") != "1" else name for name in SHOWN]
        rows = []
        for number, one in enumerate(self.rounds):
            summary = one.verdict.summary()
            rows.append((str(number), str(one.transitions), *(interval(summary[name]) for name in SHOWN)))
        caption = judged(self.rounds[-1].verdict)
        if self.target is not None:
            end = "reached, and again on fresh episodes" if self.reached else "not reached"
            caption = f"An interval of success that begins at {self.target:g} or above was {end}; {caption}"
        return Table(("round", "transitions", *titles), tuple(rows), caption)

    def _repr_html_(self) -> str:
        return self.to_table()._repr_html_()


def improve(
    store: Store,
    folder: str | Path,
    experiment: Experiment,
    fit: FitSettings,
    settings: LoopSettings | None = None,
    *,
    family: str | None = None,
    preset: str | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Improved:
    """Train on the store, judge, record what the ensemble does not know, until the verdict holds or the rounds end.

    A verdict that reaches the target is confirmed on fresh episodes, and that verdict is reported; where it does not
    reach the target the loop goes on.

    Every round trains all members for the budget of `fit`, on all that is stored, from their weights of the round
    before. Nothing is held out: the verdict judges. Call it again to go on after a kill, or with more rounds; what the
    store held is never changed.

    store : with one recording or more. folder : of the loop, new or its own. fit : of each member in each round; member
    i by its seed plus i. family, preset, changes : as of `train`. progress : told what was done, line by line; without
    it training shows none either.

    Raises StoreError for an empty store, ControlError where its controls are not the experiment's, TrainingError for a
    folder of something else, or of a loop that was begun otherwise, or where another process works in it.
    """
    settings, folder = settings or LoopSettings(), Path(folder)
    say = progress or (lambda text: None)
    _require_fits(store, experiment)
    given = {"family": family, "preset": preset, "changes": None if changes is None else dict(changes)}
    rounds: list[Round] = []
    asked = {"loop": to_dict(settings), "fit": to_dict(fit), "experiment": experiment.facts, **given}
    with folders.held(folder, asked, store) as own:
        for number in range(settings.rounds):
            place, name = folder / f"round-{number:03d}", f"loop-{own}-round-{number:03d}-"
            found = folders.known(place)
            if found is None:
                before, learned = rounds[-1].folder if rounds else None, folders.learned(place, store)
                say(f"round {number}: {settings.members} members learn from {_transitions(learned)} transitions")
                _train(learned, place, experiment, fit, settings.members, before, given, progress is not None)
                found = Round(_transitions(learned), _judge(place, experiment, fit, settings, settings.seed), place)
                folders.write(found)
            if found.promising(settings.target) and found.confirmed is None:
                fresh = seed_of(settings.seed, "confirmed", number)
                found = dataclasses.replace(found, confirmed=_judge(place, experiment, fit, settings, fresh))
                folders.write(found)
            rounds.append(found)
            seen = "" if found.confirmed is None else " on fresh episodes"
            say(f"round {number}: {found.transitions} transitions, success {interval(found.success)}{seen}")
            if found.holds(settings.target) or number + 1 == settings.rounds:
                break
            if not any(session.startswith(name) for session in store.sessions()):
                made = _record(place, experiment, fit, settings, number, name)
                store.append(made)
                say(f"round {number}: recorded {sum(ds.sizes['time'] - 1 for ds in made)} transitions more")
    return Improved(tuple(rounds), settings.target)


def _train(
    store: Selection,
    place: Path,
    experiment: Experiment,
    fit: FitSettings,
    members: int,
    before: Path | None,
    given: dict[str, Any],
    progress: bool,
) -> None:
    """Make the ensemble of a round, or go on making it."""
    kind = given if before is None else {}  # else the weights bring it
    for member in range(members):
        name = f"member-{member}"
        if (place / name / "model.safetensors").exists():
            continue
        (place / name).mkdir(parents=True, exist_ok=True)
        train(
            store,
            place / name,
            dataclasses.replace(fit, seed=fit.seed + member),
            domain=experiment.domain,
            recordings=np.arange(len(store)),  # all of them: nothing is held out
            start_from=None if before is None else before / name,
            resume=(place / name / "config.json").exists(),
            progress=progress,
            **kind,
        )


def _judge(place: Path, experiment: Experiment, fit: FitSettings, settings: LoopSettings, seed: int) -> Verdict:
    return experiment.judge(_ensemble(place, experiment, fit), settings.episodes, seed)


def _record(
    place: Path, experiment: Experiment, fit: FitSettings, settings: LoopSettings, number: int, name: str
) -> list[xr.Dataset]:
    """What the ensemble of a round proposes, as it came."""
    rng = stream(settings.seed, "recorded", number)
    surrogate = _ensemble(place, experiment, fit)
    sessions = [f"{name}{episode:03d}" for episode in range(settings.recorded(number))]
    return experiment.run(lambda present: experiment.explore(surrogate, present, rng), sessions, rng)


def _ensemble(place: Path, experiment: Experiment, fit: FitSettings) -> Ensemble:
    return Ensemble.load(place, fit.device, seconds=experiment.seconds)


def _transitions(store: Selection) -> int:
    frames = np.concatenate([np.diff(part.offsets()) for part in store.store.parts])
    return int((frames[store.indices] - 1).sum())


def _require_fits(store: Store, experiment: Experiment) -> None:
    if not len(store):
        raise StoreError(f"{store.path}: holds nothing; record or ingest something that the first round can learn from")
    experiment.space.require_same(ControlSpace(control_table(store.lazily(0))), str(store.path))
