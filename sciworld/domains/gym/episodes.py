"""Episodes of a Gymnasium environment as recordings, one after the other, and into a store."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import xarray as xr

from sciworld import config, recording
from sciworld.config import LARGEST, require, whole
from sciworld.controls import Column, ColumnTable
from sciworld.domains.gym.policies import POLICIES, Policy
from sciworld.domains.gym.spaces import Actions
from sciworld.domains.gym.watching import Watched, frame_source
from sciworld.errors import SciworldError, SettingsError, SimulatorError
from sciworld.store import Store

REWARDS = ColumnTable((Column("reward", "1", role="measured"),))
ENDS = tuple(Column(name, "1", 0.0, 1.0, kind="event", role="measured") for name in ("terminated", "truncated"))


@dataclass(frozen=True)
class Recipe:
    """How episodes are recorded; the same recipe, policy and environment give the same recordings.

    Parameters
    ----------
    seed : of all episodes; each environment is reset with a seed drawn from it and the episode's number.
    max_steps : the most steps an episode has; None for the environment's own limit.
    frames : "render", "observation", or "observation:KEY" where observations hold several images.
    channels : "first" or "last", where an image observation has its channels; "" if that is plain from its shape.
    dt : seconds a step; None for one over the environment's render_fps.
    hold : steps over which a smooth or held policy keeps its mind.
    names : of the controls; those of the action space's keys and indices if empty.
    infos : numbers in each step's info that become states, NaN where it has none.
    options : JSON of what `reset` gets as options.
    """

    seed: int = 0
    max_steps: int | None = None
    frames: str = "render"
    channels: str = ""
    dt: float | None = None
    hold: int = 8
    names: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    options: str = "null"

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole(self.seed, "seed", 0, LARGEST))
        object.__setattr__(self, "hold", whole(self.hold, "hold", 1))
        if self.max_steps is not None:
            object.__setattr__(self, "max_steps", whole(self.max_steps, "max_steps", 1))
        known = self.frames == "render" or self.frames.partition(":")[0] == "observation"
        require(known, f"frames is {self.frames!r}; use 'render', 'observation' or 'observation:KEY'")
        require(self.channels in ("", "first", "last"), f"channels is {self.channels!r}; use 'first' or 'last'")
        good = self.dt is None or (isinstance(self.dt, int | float) and 0 < self.dt < np.inf)
        require(good, f"dt is {self.dt!r}; use seconds above 0")
        try:
            valid = json.loads(self.options) is None or isinstance(json.loads(self.options), dict)
        except (TypeError, ValueError, RecursionError):
            valid = False
        require(valid, f"options are {self.options!r}; use the JSON of an object, they are recorded")

    def to_json(self, policy: str | Policy) -> str:
        """The recipe, and the policy's name, as recordings state them."""
        return json.dumps({"policy": _called(policy), **config.to_dict(self)})


def record(
    env: str | gymnasium.Env,
    episodes: int,
    policy: str | Policy = "smooth",
    recipe: Recipe | None = None,
    *,
    skip: Collection[str] = (),
) -> Iterator[xr.Dataset]:
    """Recordings of episodes, each made when it is asked for, so that one at a time is in memory.

    Controls are the actions, in the columns of `spaces.Actions`, whose `to_action` gives them back bit by bit: row t
    is what was done after frame t, and earned the reward of row t. An action of a function is first cast to the
    space's dtype, and that is both done and recorded. Observations that are no images are states, beside the events
    `terminated` and `truncated`, each of the frame that the step led to.

    env : an id, made and closed here; or an environment, which is neither. policy : a name in POLICIES, or a function
    (observation, generator) -> action. skip : sessions that are left out.
    Raises SettingsError for what cannot be recorded so, SimulatorError, naming the episode and step, if the
    environment or the policy fails.
    """
    _require_known(policy)
    episodes = whole(episodes, "episodes", 1)
    return _record(env, episodes, policy, recipe or Recipe(), skip)


def record_to(
    store: str | Path,
    env: str | gymnasium.Env,
    episodes: int,
    policy: str | Policy = "smooth",
    recipe: Recipe | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Append episodes to a store, which is made if missing; how many were recorded.

    Each is a part of its own, until `Store.compact` merges them. Episodes that the store holds by session are not
    recorded again: a run that was killed goes on. Raises what `record` does, StoreError, and SettingsError if the store
    holds an episode of another recipe or policy.
    """
    recipe = recipe or Recipe()
    _require_known(policy)
    episodes = whole(episodes, "episodes", 1)
    with opened(env, recipe.frames) as made:
        held, stated = _held(Path(store)), recipe.to_json(policy)
        wanted = [session_of(made, recipe.seed, episode) for episode in range(episodes)]
        for session in wanted:
            if held.get(session, stated) != stated:
                raise SettingsError(
                    f"{store}: holds '{session}' by another recipe, {held[session] or 'none'}; give that one, another "
                    "seed, or another store"
                )
        done, count = sum(session in held for session in wanted), 0
        into: Store | None = None
        for ds in _record(made, episodes, policy, recipe, held):
            into = into or Store.create(store)  # not before an episode shows that it can be recorded
            into.append([ds])
            count += 1
            if progress is not None:
                progress(done + count, episodes)
    return count


@contextlib.contextmanager
def opened(env: str | gymnasium.Env, frames: str = "render") -> Iterator[gymnasium.Env]:
    """An environment as it can be recorded; one that was made here, from its id, is closed. Raises SettingsError."""
    if isinstance(env, gymnasium.Env):
        if frames == "render" and env.render_mode != "rgb_array":
            raise SettingsError(
                f"{name_of(env)}: its render_mode is {env.render_mode!r}; make it with render_mode='rgb_array', or "
                "take frames='observation' if its observations are images"
            )
        yield env
        return
    if not isinstance(env, str):
        raise SettingsError(f"env is a {type(env).__name__}; give a gymnasium.Env, not one of vectors, or an id")
    made = _made(env, "rgb_array" if frames == "render" else None)
    try:
        yield made
    finally:
        made.close()


def name_of(env: gymnasium.Env) -> str:
    """The id of an environment, or the name of its class."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def session_of(env: gymnasium.Env, seed: int, episode: int) -> str:
    """The session of an episode."""
    return f"{name_of(env)}/seed-{seed}/episode-{episode}"


def _require_known(policy: str | Policy) -> None:
    if policy not in POLICIES if isinstance(policy, str) else not callable(policy):
        raise SettingsError(f"policy is {policy!r}; use one of {', '.join(POLICIES)}, or give a function")


def _called(policy: str | Policy) -> str:
    """The name of a policy, or of its function."""
    return policy if isinstance(policy, str) else getattr(policy, "__qualname__", type(policy).__qualname__)


def _made(name: str, render_mode: str | None) -> gymnasium.Env:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of the packages that an environment imports
            made = gymnasium.make(name, render_mode=render_mode, disable_env_checker=True)
    except Exception as error:  # an environment may raise anything at all
        raise SettingsError(
            f"{name}: cannot be made with render_mode={render_mode!r} ({type(error).__name__}: {error}); mend the id, "
            "install what it needs, or take frames='observation' if it does not render"
        ) from error
    if render_mode and render_mode not in made.metadata.get("render_modes", ()):
        modes = made.metadata.get("render_modes", ())
        made.close()
        raise SettingsError(
            f"{name}: renders {', '.join(map(repr, modes)) or 'nothing'}, not 'rgb_array'; take frames='observation' "
            "if its observations are images"
        )
    return made


def _record(
    env: str | gymnasium.Env, episodes: int, policy: str | Policy, recipe: Recipe, skip: Collection[str]
) -> Iterator[xr.Dataset]:
    with opened(env, recipe.frames) as made:
        plan = _Plan(made, recipe, policy)
        for episode in range(episodes):
            if session_of(made, recipe.seed, episode) not in skip:
                yield plan.episode(episode)


class _Plan:
    """What all episodes of an environment share."""

    def __init__(self, env: gymnasium.Env, recipe: Recipe, policy: str | Policy) -> None:
        self.env, self.recipe, self.policy, self.name = env, recipe, policy, name_of(env)
        self.actions = Actions(env.action_space, recipe.names, f"{self.name}: action space")
        if not len(self.actions.table):
            raise SettingsError(f"{self.name}: its action space has no columns; there is nothing to control")
        self.frames = frame_source(env, recipe.frames, recipe.channels, self.name)
        self.states = self.frames.states(recipe.infos, ENDS)
        own = env.spec.max_episode_steps if env.spec is not None else None
        self.steps = min((limit for limit in (own, recipe.max_steps) if limit is not None), default=0)
        require(self.steps > 0, f"{self.name}: episodes may never end; give max_steps")
        self.dt, self.clock = _clock(env, recipe.dt, self.name)

    def episode(self, episode: int) -> xr.Dataset:
        """Play and record one episode."""
        # 31 bits, which every environment takes, whatever it does with its seed.
        seeds = np.random.SeedSequence([self.recipe.seed, episode]).generate_state(2, np.uint64).tolist()
        seed, rng, policy = seeds[0] >> 33, np.random.default_rng(seeds[1]), self.policy
        run = _Run(self, episode)
        with run.failing():
            act = POLICIES[policy](self.actions, rng, self.recipe.hold) if isinstance(policy, str) else policy
            run.start(self.env.reset(seed=seed, options=json.loads(self.recipe.options)))
            while not run.over:
                run.take(self.env, act(run.observation, rng))
            return self._recording(run, seed)

    def _recording(self, run: _Run, seed: int) -> xr.Dataset:
        session = session_of(self.env, self.recipe.seed, run.episode)
        ended = [column.name for column, last in zip(ENDS, run.ends[-1], strict=True) if last]
        how = " and ".join(ended) or f"cut after {self.steps} steps"
        given = self.env.spec.kwargs if self.env.spec is not None else {}
        with_ = f" with {json.dumps(given, default=lambda value: type(value).__name__)}" if given else ""
        history = (
            f"played {self.name}{with_} in Gymnasium {gymnasium.__version__}: episode {run.episode}, reset with seed "
            f"{seed}, policy {_called(self.policy)}, {how}; {self.clock}; {self.frames.note}"
        )
        n = len(self.actions.table)
        ds = recording.make(
            run.frames(),
            np.arange(len(run.ends)) * self.dt,
            channels=self.frames.channels,
            controls=np.stack([*run.controls, np.full(n, np.nan)]),
            control_table=self.actions.table,
            rewards=np.append(run.rewards, np.nan)[:, None],
            reward_table=REWARDS,
            states=np.column_stack([run.states(), np.array(run.ends, dtype=np.float64)]),
            state_table=self.states,
            session=session,
            source=self.name,
            licence="",
            citation="",
            history=history,
        )
        return ds.assign_attrs(environment_seed=str(seed), episode=run.episode, recipe=self.recipe.to_json(self.policy))


class _Run:
    """One episode while it is played: `ends` has (terminated, truncated) of each frame."""

    def __init__(self, plan: _Plan, episode: int) -> None:
        self.plan, self.episode = plan, episode
        self.controls: list[np.ndarray] = []
        self.rewards: list[float] = []
        self.ends: list[tuple[bool, bool]] = []
        self._watched = Watched(plan.frames, plan.recipe.infos)
        self.observation: Any = None

    @property
    def over(self) -> bool:
        """Whether the episode ended, or reached its limit."""
        return any(self.ends[-1]) or len(self.controls) >= self.plan.steps

    def start(self, reset: tuple[Any, dict[str, Any]]) -> None:
        """Note the first frame."""
        self._see(*reset, (False, False))

    def take(self, env: gymnasium.Env, action: Any) -> None:
        """Do one action and note what came of it."""
        actions = self.plan.actions
        done = actions.to_action(actions.to_row(action))
        row = actions.to_row(done)
        observation, reward, terminated, truncated, info = env.step(done)
        if not np.isfinite(float(reward)):
            raise ValueError(f"the reward is {reward}; mend the environment, or wrap it in TransformReward")
        self.controls.append(row)
        self.rewards.append(float(reward))
        self._see(observation, info, (bool(terminated), bool(truncated)))

    def frames(self) -> np.ndarray:
        """The frames so far : (time, y, x, channel)."""
        return np.stack(self._watched.frames)

    def states(self) -> np.ndarray:
        """The observations and infos so far : (time, state)."""
        return np.stack(self._watched.states)

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Turn whatever goes wrong into a SimulatorError that names the episode and the step."""
        try:
            yield
        except Exception as error:  # an environment or a policy may raise anything at all
            what = str(error) if isinstance(error, SciworldError) else f"{type(error).__name__}: {error}"
            raise SimulatorError(
                f"{self.plan.name}: episode {self.episode}, step {len(self.controls)}: {what}"
            ) from error

    def _see(self, observation: Any, info: dict[str, Any], ends: tuple[bool, bool]) -> None:
        self._watched.see(self.plan.env, observation, info)
        self.observation = observation
        self.ends.append(ends)


def _clock(env: gymnasium.Env, dt: float | None, where: str) -> tuple[float, str]:
    """Seconds a step, and a clause on where they are from."""
    if dt is not None:
        return float(dt), f"{dt:g} s a step as given"
    fps = env.metadata.get("render_fps")
    if not isinstance(fps, int | float | np.number) or not 0 < fps < np.inf:
        raise SettingsError(f"{where}: its render_fps is {fps!r}; give dt, the seconds that a step takes")
    return 1.0 / float(fps), f"time by its render_fps, {fps:g}"


def _held(store: Path) -> dict[str, str]:
    """The recipe of each session that a store holds; nothing if there is no store."""
    if not Store.exists(store):
        return {}
    return {
        attributes["session"]: attributes.get("recipe", "")
        for part in Store.open(store).parts
        for attributes in part.attributes
    }
