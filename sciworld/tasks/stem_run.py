"""What the commands do with a trained run on silicon in graphene: one decision, and a contest before the judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sciworld import recording
from sciworld.config import require
from sciworld.domains.stem import generate
from sciworld.domains.stem.appearance import FRAMES, appearance_of, measure_appearance
from sciworld.domains.stem.objectives import SteerSettings
from sciworld.domains.stem.simulator import StemSettings, StemSimulator
from sciworld.errors import RecordingError, SettingsError
from sciworld.evaluate.imagine import covariates_of, observed
from sciworld.evaluate.table import Table, number
from sciworld.evaluate.verdict import Verdict
from sciworld.familiar.familiar import Familiar
from sciworld.search.plan import Plan
from sciworld.search.risk import Risk
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tasks.steering import SAMPLES, Episodes, beam_space, contest, plan_action
from sciworld.training.run import Run

PROMISES = {
    "progress": "expected approach to the goal (A/s)",
    "dose": "expected approach to the goal (A/e)",
    "site": "probability of the site next to the goal",
}
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Decision:
    """One action, with what was asked for.

    Parameters
    ----------
    plan : what was found.
    goal : x and y in A, laboratory frame. within : whether it lies inside the frame.
    recording, frame : which, counted from 0. aim : of the search.
    sampled : those of the plan's model evaluations that went into its uncertainty, not into the search.
    """

    plan: Plan
    goal: tuple[float, float]
    within: bool
    recording: int
    frame: int
    aim: str
    sampled: int

    def to_json(self) -> str:
        """The plan, as `Plan.from_json` reads it, and beside it what was asked for."""
        asked = {"goal": list(self.goal), "goal_units": "A", "recording": self.recording, "frame": self.frame}
        promised = {"aim": self.aim, "promise_is": PROMISES[self.aim], "evaluations_for_uncertainty": self.sampled}
        return json.dumps({**json.loads(self.plan.to_json()), **asked, **promised})

    def to_table(self) -> Table:
        """What was asked for, the controls with their units, what they promise, and what that cost."""
        plan = self.plan
        rows = [
            ("goal", ", ".join(f"{value:g}" for value in self.goal), "x, y in A"),
            ("decided from", f"recording {self.recording}", f"frame {self.frame}"),
            ("aim", self.aim, ""),
        ]
        rows += [
            (column.name, number(value), column.units)
            for column, value in zip(plan.space.table, plan.controls[0, 0], strict=True)
        ]
        searching = f"{plan.evaluations - self.sampled} searching + {self.sampled} for the uncertainty"
        rows += [
            ("promise", number(plan.promise[0]), PROMISES[self.aim]),
            ("uncertainty", number(plan.uncertainty[0]), "standard deviation over sampled futures"),
            ("evaluations", str(plan.evaluations), f"of the model: {searching}; stopped: {plan.stopped}"),
        ]
        return Table(("", "value", ""), tuple(rows))

    def warnings(self) -> list[str]:
        """What a reader must not overlook."""
        found = self.plan.warnings()
        if self.within:
            return found
        x, y = self.goal
        return [
            *found,
            f"the goal {x:g},{y:g} A lies outside the frame; whether there is a site for silicon is not seen",
        ]


def plan(
    surrogate: Surrogate,
    store: Store,
    goal: tuple[float, float],
    which: int = 0,
    frame: int = -1,
    aim: str = "progress",
    budget: int = 160,
    seed: int = 0,
    progress: Progress | None = None,
    familiar: Familiar | None = None,
    risk: Risk | None = None,
) -> Decision:
    """One action toward `goal`, x and y in A, decided from frame number `frame` of a recording.

    familiar : what the surrogate was trained near; without it beams are searched anywhere near the silicon. risk : what
    beams are compared by, see `search.risk`. Raises SearchError, RecordingError, SettingsError or ControlError where
    there is nothing to decide.
    """
    ds = recording_of(store, which)
    units, n = ds["view"].attrs["units"], ds.sizes["time"]
    if units != "A":
        raise RecordingError(
            f"{store.path}, recording {which}: its view is in {units}, a goal in A means nothing there; state the "
            "pixel size when it is ingested"
        )
    require(-n <= frame < n, f"frame is {frame}; the recording has the frames 0 to {n - 1}")
    require(seed >= 0, f"seed is {seed}; use at least 0")
    history = observed(ds, frame % n, surrogate.model.context)
    surrogate = surrogate.knowing(covariates_of(surrogate, ds), ds.attrs.get("description"))
    settings, appearance = steer_settings(ds, aim), appearance_of(store)
    rng = np.random.default_rng(seed)
    found = plan_action(surrogate, appearance, history, np.array(goal), rng, settings, budget, progress, familiar, risk)
    within = in_frame(np.array(goal), ds["view"].values[frame], ds["frames"].shape[1:3])
    sampled = surrogate.evaluations(1, 1, SAMPLES)
    return Decision(found, goal, within, which % len(store), frame % n, aim, sampled)


def recording_of(store: Store, which: int) -> xr.Dataset:
    """The recording number `which`. Raises SettingsError if there is none."""
    require(-len(store) <= which < len(store), f"recording is {which}; {store.path} has 0 to {len(store) - 1}")
    return store[which]


def steer_settings(ds: xr.Dataset, aim: str) -> SteerSettings:
    """How to steer in a microscope that is set as in the recording: its time for an image, and its current."""
    found = {}
    if "time_bounds" in ds:
        found["frame_time"] = float(np.median(np.diff(ds["time_bounds"].values, axis=1)))
    facts = recording.covariate_table(ds)
    if "current" in facts.names and facts["current"].units == "nA":
        found["current"] = float(ds["covariates"].values[facts.index("current")])
    elif aim == "dose":
        raise SettingsError("aim is 'dose', but the recording does not state its 'current' (nA); use progress or site")
    return SteerSettings(aim=aim, **found)


def in_frame(point: np.ndarray, view: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether the laboratory point (2,) lies on the pixels of a frame of `shape` (y, x) that is seen through `view`."""
    matrix, origin = view[[0, 1, 3, 4]].reshape(2, 2), view[[2, 5]]
    column, row = np.linalg.solve(matrix, point - origin)
    return bool(-0.5 <= column <= shape[1] - 0.5 and -0.5 <= row <= shape[0] - 0.5)


def judge(
    run: Run,
    surrogate: Surrogate,
    episodes: int = 20,
    within: float = 10.0,
    rates: str = "prior",
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Verdict]:
    """The planner with the run's surrogate, greedy and chance, in the trusted simulator.

    The simulated microscope takes frames of the size and pixels that the surrogate knows; how atoms look there is
    measured from images of other atoms. within : A, how far the goals are. Raises ControlError where the surrogate is
    of something else, SettingsError where the run does not say whether the simulator made its training data.
    """
    beam_space(surrogate)
    require(episodes >= 1, f"episodes is {episodes}; use at least 1")
    require(0 < within < np.inf, f"within is {within} A; it must be above 0")
    require(seed >= 0, f"seed is {seed}; use at least 0")
    signature = surrogate.model.signature
    rows, columns, _ = signature.shape
    simulator = StemSimulator(
        StemSettings(rates=rates, rows=rows, columns=columns, field_of_view=columns * signature.view_step)
    )
    drawn = Episodes.draw(simulator, episodes, within, seed)
    rng = np.random.default_rng([seed, 1])
    others, _ = simulator.expose(simulator.start(FRAMES, rng), rng)
    appearance = measure_appearance(others.frames, others.view)
    made = simulated(run)
    return contest(drawn, surrogate, appearance, seed, made_training_data=made, progress=progress)


def simulated(run: Run, maker: str = generate.SOURCE) -> bool:
    """Whether the trusted simulator made any recording that the run was trained on. Raises SettingsError if unknown.

    maker : what begins the sources of its recordings; silicon's if not said.
    """
    if "sources" not in run.config:
        raise SettingsError(f"{run.path}/config.json: does not say where its recordings came from; train it again")
    return any(source.startswith(maker) for source in run.config["sources"])
