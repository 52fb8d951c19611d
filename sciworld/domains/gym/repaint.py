"""An episode of an environment that draws its colours by chance, played again in others: exact counterfactual pairs.

CarRacing draws its colours, then its track, from the generator that `reset` seeds. Reset with one seed, it has that
seed's colours; reset with another and told to keep them, it has the other's track and the same car.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np

from sciworld import recording
from sciworld.config import LARGEST, from_dict, whole
from sciworld.controls import Column, ColumnTable
from sciworld.domains.gym.episodes import Recipe
from sciworld.domains.gym.spaces import Actions
from sciworld.domains.gym.watching import Watched, frame_source
from sciworld.errors import RecordingError, SettingsError
from sciworld.recording import Recording

PAINT = Column("paint_seed", "1", 0.0, kind="integer")  # covariate: of the colours


def repaint(ds: Recording, n: int, seed: int = 0) -> Iterator[Recording]:
    """n variants of an episode that `record` played, in other colours, each made when it is asked for.

    Track, car, actions, rewards and times stay. Raises RecordingError for what is no such episode, or is another one
    now, SettingsError for environments that do not draw their colours.
    """
    n, seed = whole(n, "n", 1), whole(seed, "seed", 0, LARGEST)
    recording.check(ds, "repaint")
    if not {"environment_seed", "recipe"} <= set(ds.attrs) or "controls" not in ds:
        raise RecordingError(
            f"'{ds.attrs['session']}': does not say how it was played; record it with `sciworld record`"
        )
    recipe = json.loads(ds.attrs["recipe"])
    recipe.pop("policy")
    return (_painted(ds, from_dict(Recipe, recipe, "recipe"), seed, number) for number in range(n))


def _painted(ds: Recording, recipe: Recipe, seed: int, number: int) -> Recording:
    """One variant."""
    # 31 bits, which every environment takes, whatever it does with its seed.
    paint = int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) >> 1
    env = _made(str(ds.attrs["source"]), recipe)
    try:
        actions = Actions(env.action_space, recipe.names, "action space")
        if actions.table.to_json() != recording.control_table(ds).to_json():
            raise RecordingError(f"'{ds.attrs['session']}': its controls are not the actions of {ds.attrs['source']}")
        watched = Watched(frame_source(env, recipe.frames, recipe.channels, str(ds.attrs["source"])), recipe.infos)
        env.reset(seed=paint)
        options = {**(json.loads(recipe.options) or {}), "randomize": False}
        watched.see(env, *env.reset(seed=int(ds.attrs["environment_seed"]), options=options))
        for row, earned in zip(ds["controls"].values[:-1], ds["rewards"].values[:-1, 0], strict=True):
            observation, reward, _, _, info = env.step(actions.to_action(row))
            if not np.isclose(float(reward), earned, rtol=0.0, atol=1e-9):
                raise RecordingError(
                    f"'{ds.attrs['session']}': is another episode now, it earns {float(reward):g} where {earned:g} is "
                    "recorded; record it anew with this version of the environment"
                )
            watched.see(env, observation, info)
    finally:
        env.close()
    return _with_paint(ds, np.stack(watched.frames), paint)


def _made(name: str, recipe: Recipe) -> gymnasium.Env[Any, Any]:
    mode = "rgb_array" if recipe.frames == "render" else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of the packages that an environment imports
            return gymnasium.make(name, render_mode=mode, disable_env_checker=True, domain_randomize=True)
    except TypeError as error:
        raise SettingsError(f"{name}: has no domain_randomize; only CarRacing-v3 and its like draw colours") from error


def _with_paint(ds: Recording, frames: np.ndarray, paint: int) -> Recording:
    old = recording.covariate_table(ds)
    columns = (*(column for column in old if column.name != PAINT.name), PAINT)
    known = dict(zip(old.names, ds["covariates"].values.tolist(), strict=True)) if len(old) else {}
    values = np.array([{**known, PAINT.name: float(paint)}[column.name] for column in columns])
    made = ds.copy(data={**{name: ds[name].values for name in ds.data_vars}, "frames": frames})
    made["covariates"] = (("covariate",), values, {"columns": ColumnTable(columns).to_json()})
    made.attrs["history"] = f"{ds.attrs['history']}; played again in the colours of seed {paint}"
    return recording.check(made, "repaint")
