"""The closed loop: starts and goals, the controllers that compete, and their verdicts in the trusted simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sciworld.controls import ControlSpace
from sciworld.domains.stem.appearance import Appearance
from sciworld.domains.stem.constants import BOND
from sciworld.domains.stem.greedy import BEST, Greedy
from sciworld.domains.stem.locate import locate
from sciworld.domains.stem.objectives import REACHED, Aim, Steer, SteerSettings, region
from sciworld.domains.stem.simulator import StemSimulator, StemState, random_goals
from sciworld.errors import ControlError, SearchError
from sciworld.evaluate.replay import replay
from sciworld.evaluate.verdict import Verdict
from sciworld.familiar.familiar import Familiar
from sciworld.search import optimizers
from sciworld.search.plan import Plan
from sciworld.search.problem import Problem
from sciworld.search.receding import RandomController, RecedingHorizon
from sciworld.search.risk import Risk
from sciworld.search.search import SearchSettings, search
from sciworld.simulator import Controller, Observation, Trajectory, rollout
from sciworld.surrogate.surrogate import Surrogate

PLANNED, GREEDY = "planned on the surrogate", "greedy with known rates"
LIMIT = 600.0  # s, after which an episode has failed
STEPS = 200  # actions at most: 600 s of the shortest dwells
SAMPLES = 16  # futures from which the uncertainty of one action is read
OPTIMIZER = optimizers.named("cem").Settings(population=32, elite=0.2)


@dataclass(frozen=True, eq=False)
class Episodes:
    """Starts and goals that every controller gets alike: n atoms with their first image, and goals (n, 2) A."""

    simulator: StemSimulator
    state: StemState
    first: Observation
    goals: np.ndarray

    @classmethod
    def draw(cls, simulator: StemSimulator, n: int, radius: float, seed: int) -> Episodes:
        """n atoms, with goals at lattice sites within `radius` A."""
        rng = np.random.default_rng(seed)
        state = simulator.start(n, rng)
        goals = random_goals(state, radius, rng)
        first, state = simulator.expose(state, rng)
        return cls(simulator, state, first, goals)

    def reached(self, state: StemState, observation: Observation) -> np.ndarray:
        """Whether the silicon truly is at its goal : (n,) bool."""
        return np.linalg.norm(state.silicon - self.goals, axis=1) < REACHED

    def judge(
        self,
        controller: Controller,
        name: str,
        seed: int,
        made_training_data: bool | None,
        aim: str = "progress",
        expected: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Verdict:
        """Replay `controller` on these episodes; promises are set beside what came true.

        aim : of the controller's `SteerSettings`: promises are approach per second (progress) or per electron (dose);
        of the aim "site" the truth is not kept. expected : of the aim "progress", promises are set beside what their
        controls bring on average, by the truth, not beside what they brought by chance.
        """
        settings = self.simulator.settings
        outcomes = {"progress": self.approach_per_second, "dose": self.approach_per_electron}
        return replay(
            controller,
            self.simulator,
            self.state,
            self.first,
            goal_reached=self.reached,
            steps=STEPS,
            rng=np.random.default_rng(seed),
            judge=f"{self.simulator.judge}, {settings.rates} rates",
            made_training_data=made_training_data,
            name=name,
            limit=LIMIT,
            dose_units="e",
            promise_units={"progress": "A/s", "dose": "A/e"}.get(aim, "1"),
            goal=f"the silicon truly is at its goal within {LIMIT:g} s",
            outcome=self.expected_per_second if expected else outcomes.get(aim),
            best=self.best_per_second if aim == "progress" else None,
            progress=progress,
        )

    def approach_per_second(self, before: StemState, after: StemState, controls: np.ndarray) -> np.ndarray:
        """Approach to the goal per second, as it came : (n,) A/s. What `ProgressRate` promises."""
        return self._approach(before, after) / (after.seconds - before.seconds)

    def approach_per_electron(self, before: StemState, after: StemState, controls: np.ndarray) -> np.ndarray:
        """Approach to the goal per electron, as it came : (n,) A. What `ProgressRate` promises of dose."""
        return self._approach(before, after) / (after.dose - before.dose)

    def best_per_second(self, state: StemState, rows: np.ndarray, steps: int) -> np.ndarray:
        """The most approach to the goal per second that one beam can be expected to bring : (row,) A/s, by the truth.

        state : of all episodes, of which those in `rows` are looked at. steps : 1, that of a beam.
        Beams lie on the axes of the three bonds, by symmetry, in steps of 0.1 A; dwells in steps of a second.
        """
        settings, n, state = SteerSettings(), len(rows), state.take(rows)
        dwells = np.arange(settings.low_dwell, settings.high_dwell + 0.5)
        along = (state.neighbours - state.silicon[:, None]) / BOND
        places = state.silicon[:, None, None] + along[:, :, None] * np.arange(0.0, 2.2, 0.1)[:, None]
        flat = places.reshape(n, -1, 2)
        beams = np.concatenate(
            [np.repeat(flat, len(dwells), 1), np.tile(dwells, flat.shape[1])[None, :, None].repeat(n, 0)], 2
        )
        return self.take(rows)._per_second(state, beams).max(axis=1)

    def expected_per_second(self, before: StemState, after: StemState, controls: np.ndarray) -> np.ndarray:
        """Approach to the goal per second that controls (n, 1, 3) bring on average : (n,) A/s, by the truth; NaN where
        an episode was over, whose controls are NaN."""
        found = np.full(len(controls), np.nan)
        played = np.flatnonzero(~np.isnan(controls).any(axis=(1, 2)))
        if len(played):
            found[played] = self.take(played)._per_second(before.take(played), controls[played])[:, 0]
        return found

    def _per_second(self, state: StemState, beams: np.ndarray) -> np.ndarray:
        """Approach per second that beams (n, beam, 3) bring on average : (n, beam) A/s."""
        n = len(self.goals)
        many = state.take(np.repeat(np.arange(n), beams.shape[1]))
        chances = self.simulator.outcomes(many, self.simulator.space.clip(beams.reshape(-1, 3)))[:, 1:].reshape(
            n, -1, 3
        )
        now = np.linalg.norm(state.silicon - self.goals, axis=1)
        after = np.linalg.norm(state.neighbours - self.goals[:, None], axis=2)
        gains = np.einsum("ncs,ns->nc", chances, now[:, None] - after)
        rate: np.ndarray = gains / (beams[..., 2] + self.simulator.settings.frame_time)
        return rate

    def _approach(self, before: StemState, after: StemState) -> np.ndarray:
        """How much nearer to the goal : (n,) A."""
        was, now = (np.linalg.norm(state.silicon - self.goals, axis=1) for state in (before, after))
        nearer: np.ndarray = was - now
        return nearer

    def take(self, index: np.ndarray) -> Episodes:
        """The episodes in `index`."""
        return dataclasses.replace(
            self, state=self.state.take(index), first=self.first.take(index), goals=self.goals[index]
        )


def planner(
    surrogate: Surrogate,
    appearance: Appearance,
    goals: np.ndarray,
    settings: SteerSettings | None = None,
    budget: int = 160,
    familiar: Familiar | None = None,
    risk: Risk | None = None,
) -> RecedingHorizon:
    """The controller that searches the surrogate after every frame; near what is familiar, where that is given.

    risk : what candidates are compared by, where it is not what is expected of them.
    """
    space = beam_space(surrogate)
    steer = Steer(goals, appearance, settings, lambda observation: idle_frames(surrogate, observation, settings))
    return RecedingHorizon(
        surrogate,
        lambda seen: dataclasses.replace(problem(steer(seen), space), familiar=familiar, risk=risk or Risk()),
        context=surrogate.model.context,
        settings=SearchSettings(budget=budget),
        optimizer_settings=OPTIMIZER,
    )


def plan_action(
    surrogate: Surrogate,
    appearance: Appearance,
    history: Sequence[Observation],
    goal: np.ndarray,
    rng: np.random.Generator,
    settings: SteerSettings | None = None,
    budget: int = 160,
    progress: Callable[[int, int], None] | None = None,
    familiar: Familiar | None = None,
    risk: Risk | None = None,
) -> Plan:
    """One action of the planner, for the frame that `history` ends with; its uncertainty is that of sampled futures.

    goal : (2,) A, laboratory frame. familiar : what the surrogate was trained near, see `Problem`. risk : as of
    `planner`. Raises SearchError where the silicon is not found, or is at the goal already.
    """
    present = history[-1]
    space = beam_space(surrogate)
    located = locate(present.frames, present.view)
    if located.n_silicon[0] != 1:
        raise SearchError(f"the frame shows {located.n_silicon[0]} silicon atoms, not one; choose another frame")
    aim = Steer(goal[None], appearance, settings, lambda seen: idle_frames(surrogate, seen, settings))(present)
    if not aim.active[0]:
        x, y = located.silicon[0]
        raise SearchError(f"the silicon, at {x:.2f},{y:.2f} A, is at the goal already; there is nothing to search for")
    wanted = dataclasses.replace(problem(aim, space), familiar=familiar, risk=risk or Risk())
    plan = search(surrogate, history, wanted, rng, "cem", SearchSettings(budget=budget), OPTIMIZER, progress=progress)
    futures = surrogate.futures(surrogate.start(history), plan.controls[:, None], SAMPLES, rng)
    scores = wanted.score(futures, plan.controls[:, None])[:, 0]
    return dataclasses.replace(
        plan,
        uncertainty=scores.std(axis=1, ddof=1),
        evaluations=plan.evaluations + surrogate.evaluations(1, 1, SAMPLES),
    )


def idle_frames(surrogate: Surrogate, observation: Observation, settings: SteerSettings | None = None) -> np.ndarray:
    """Frames (n, y, x, channel) that the surrogate expects of a beam that does next to nothing.

    It stands for the shortest dwell in the corner of the searched square that is farthest from the silicon.
    """
    silicon = locate(observation.frames, observation.view).silicon
    low, high = region(silicon, observation, settings)
    # Not a corner of the field: a surrogate knows beams about as far from the silicon as those it was trained on.
    far = np.where(high[:, :2] - silicon > silicon - low[:, :2], high[:, :2], low[:, :2])
    controls = surrogate.space.clip(np.column_stack([far, low[:, 2]]))[:, None, None]
    state = surrogate.start(observation)
    frames: np.ndarray = surrogate.futures(state, controls, 0, np.random.default_rng(0))[:, 0, 0, 0]
    return frames


def problem(aim: Aim, space: ControlSpace) -> Problem:
    """The aim as one step of a search, inside the bounds that the surrogate knows."""
    return Problem(aim.objectives, 1, space, space.clip(aim.low), space.clip(aim.high), aim.active)


def beam_space(surrogate: Surrogate) -> ControlSpace:
    """The surrogate's controls, which must be a beam's x and y in A and its dwell in s, by whatever names.

    Raises ControlError.
    """
    space = surrogate.space
    units = [column.units for column in space.table]
    lab = all(column.frame == "lab" for column in space.table.columns[:2])
    if units != ["A", "A", "s"] or list(space.table.positions().values()) != [(0, 1)] or not lab:
        found = ", ".join(f"{column.name} ({column.units})" for column in space.table)
        raise ControlError(
            f"the surrogate's controls are {found}; steering needs the beam's x and y in A, and a dwell in s"
        )
    return space


def near(observation: Observation) -> tuple[np.ndarray, np.ndarray]:
    """The square that the planner searches around the silicon : low, high (n, control)."""
    return region(locate(observation.frames, observation.view).silicon, observation)


def chance(simulator: StemSimulator) -> RandomController:
    """The controller that places beams at random in the square that the planner searches."""
    return RandomController(simulator.space, near)


def best_greedy(
    simulator: StemSimulator, seed: int, dwells: tuple[float, ...] = (2.0, 3.0, 4.0, 5.0, 6.0), episodes: int = 100
) -> tuple[float, dict[float, float]]:
    """The fixed dwell with which greedy needs the fewest mean seconds, and those seconds by dwell.

    It is chosen on episodes of its own, so that the comparison on others favours nobody.
    """
    trial = Episodes.draw(simulator, episodes, 10.0, seed)
    offset, _ = BEST[simulator.settings.rates]
    seconds = {
        dwell: float(trial.judge(Greedy(trial.goals, offset, dwell), "greedy", seed, False).seconds.mean())
        for dwell in dwells
    }
    return min(seconds, key=lambda dwell: seconds[dwell]), seconds


def contest(
    episodes: Episodes,
    surrogate: Surrogate,
    appearance: Appearance,
    seed: int,
    made_training_data: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Verdict]:
    """The verdicts on the planner, on greedy that knows the rates, and on chance, from the same starts and goals.

    Nobody knows the rates of a mixture, which differ from atom to atom: there is no greedy then.
    """
    rivals: dict[str, Controller] = {PLANNED: planner(surrogate, appearance, episodes.goals)}
    rates = episodes.simulator.settings.rates
    if rates in BEST:
        rivals[GREEDY] = Greedy(episodes.goals, *BEST[rates])
    rivals["random"] = chance(episodes.simulator)
    return {
        name: episodes.judge(rival, name, seed, made_training_data if name == PLANNED else None, progress=progress)
        for name, rival in rivals.items()
    }


def one_path(
    episodes: Episodes, surrogate: Surrogate, appearance: Appearance, seed: int
) -> tuple[Trajectory, np.ndarray]:
    """The planner on the episode whose goal is farthest, with the truth after every step; and that goal (2,) in A."""
    far = np.linalg.norm(episodes.state.silicon - episodes.goals, axis=1).argmax()
    one = episodes.take(np.array([far]))
    trajectory = rollout(
        one.simulator,
        one.state,
        one.first,
        planner(surrogate, appearance, one.goals),
        STEPS,
        np.random.default_rng(seed),
        one.reached,
        keep_states=True,
    )
    return trajectory, one.goals[0]
