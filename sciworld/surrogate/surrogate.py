"""A Surrogate: a world model that steps like a simulator and imagines futures, in the recordings' units."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from sciworld.config import require, whole
from sciworld.controls import ControlSpace
from sciworld.errors import ModelError
from sciworld.models import checkpoint
from sciworld.models.base import WorldModel
from sciworld.models.restyling import is_restyler
from sciworld.simulator import Observation
from sciworld.words import words_of


@dataclass(frozen=True, eq=False)
class Imagined:
    """The present of n candidates, measured or imagined.

    Parameters
    ----------
    state : the model's. observation : that it stands for. covariates : (candidate, covariate) or None, and words :
        (candidate, 16) or None, what the model was told of the whole run.
    """

    state: Any
    observation: Observation
    covariates: np.ndarray | None = None
    words: np.ndarray | None = None


class Surrogate:
    """Stands in for the instrument: forks, steps, samples, and is re-anchored on what was measured.

    Parameters
    ----------
    model : a trained world model, on its device.
    evaluations : model evaluations for one sampled frame (the posterior mean takes one).
    seconds : that a step lasts, from which imagined observations get their time: a number, or the control that says how
        long, and the seconds that the frame itself takes. One second, if you do not say.
    batch : candidates that the model is given at a time; bounds the memory.
    """

    def __init__(
        self,
        model: WorldModel,
        evaluations: int = 4,
        seconds: tuple[str, float] | float = 1.0,
        batch: int = 256,
    ) -> None:
        whole(evaluations, "evaluations", 1)
        whole(batch, "batch", 1)
        require(not is_restyler(model), "the model restyles, and imagines nothing; use it with sciworld randomize")
        require(model.chunk == 1, f"the model gives {model.chunk} frames at a time; a surrogate steps one by one")
        self.model = model.eval()
        self.sample_evaluations = evaluations
        self.seconds = seconds
        self.batch = batch
        self._space = ControlSpace(model.signature.controls)
        self._facts: tuple[np.ndarray | None, str | None] = (None, None)

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "cpu", **settings: Any) -> Surrogate:
        """The surrogate of a checkpoint, or of the folder of a run. Raises CheckpointError."""
        return cls(checkpoint.load(path, device), **settings)

    @property
    def space(self) -> ControlSpace:
        """The controls that the model was trained on, in its order and units."""
        return self._space

    def knowing(self, covariates: np.ndarray | None = None, text: str | None = None) -> Self:
        """The same surrogate, which takes these for the facts of every run that `start` is told none of.

        covariates : (covariate,), text : as of `start`. So searches and controllers, which know frames alone, imagine
        under the conditions of the run that they steer.
        """
        known = copy.copy(self)
        known._facts = (covariates, text)
        return known

    def asking(self, evaluations: int) -> Self:
        """The same surrogate, with so many model evaluations for a sampled frame: few for a quick look, many for a
        careful one."""
        asked = copy.copy(self)
        asked.sample_evaluations = whole(evaluations, "evaluations", 1)
        return asked

    def start(
        self,
        history: Observation | Sequence[Observation],
        covariates: np.ndarray | None = None,
        text: str | Sequence[str] | None = None,
    ) -> Imagined:
        """Encode what was seen, oldest first; the last observation is the present.

        The model's context is filled up with the oldest frame, unless the model takes fewer; a frame that was seen
        through another view than the present one shows another place, and the next newer frame stands in for it.
        covariates : (candidate, covariate), or (covariate,) of all candidates, in the order and units of
        `model.signature.covariates`; NaN is unknown, as are all without them (but see `knowing`). text : that describes
        the run, as the `description` of a recording does, or one for each candidate; only a model that was trained to
        read heeds it.
        Raises ModelError where frames, covariates or texts do not fit the model.
        """
        seen = [history] if isinstance(history, Observation) else list(history)
        if not seen:
            raise ModelError("start: the history is empty; give at least the present observation")
        covariates = self._facts[0] if covariates is None else covariates
        text = self._facts[1] if text is None else text
        return self._started(seen, self._told(covariates, len(seen[-1])), _read(text, len(seen[-1])))

    def _started(self, seen: list[Observation], told: np.ndarray | None, words: np.ndarray | None) -> Imagined:
        """See `start`; told : (candidate, covariate), words : (candidate, 16)."""
        present = seen[-1]
        for one in seen[-self.model.context :]:
            self._require(one, len(present), "start")
        stack = [present.frames]
        missing = max(0, self.model.shortest - len(seen))
        older_first = [*[seen[0]] * missing, *seen[:-1]]
        for older in older_first[::-1][: self.model.context - 1]:
            moved = np.any(older.view != present.view, axis=1)[:, None, None, None]
            stack.append(np.where(moved, stack[-1], older.frames))
        stacked = np.stack(stack[::-1], axis=1).astype(np.float32)
        with torch.inference_mode():
            device = self._device()
            frames, view = (torch.from_numpy(array).to(device) for array in (stacked, present.view))
            facts, read = (None if array is None else torch.from_numpy(array).to(device) for array in (told, words))
            state = self.model.start(frames, view, facts, read)
        return Imagined(state, present, told, words)

    def observe(self, state: Imagined, observation: Observation) -> Imagined:
        """Replace the imagined present by a measured one; what came before it is still remembered.

        Through another view the model looks at it alone.
        """
        before = state.observation
        if len(before) != len(observation) or np.any(before.view != observation.view):
            return self._started([observation], state.covariates, state.words)
        self._require(observation, len(before), "observe")
        with torch.inference_mode():
            frames = torch.from_numpy(observation.frames.astype(np.float32)).to(self._device())
            anchored = self.model.anchor(state.state, frames)
        return dataclasses.replace(state, state=anchored, observation=observation)

    def step(self, state: Imagined, controls: np.ndarray, rng: np.random.Generator) -> tuple[Observation, Imagined]:
        """Sample one step further under controls : (candidate, control). Raises ControlError outside the bounds."""
        controls = np.asarray(self._space.check(controls), dtype=np.float32)
        if controls.ndim != 2 or len(controls) != len(state.observation):
            raise ModelError(
                f"step: controls are {controls.shape}; give ({len(state.observation)}, {len(self._space)}), a row for "
                "each candidate"
            )
        frames, following = self._advance(state.state, controls, self._generator(rng), self.sample_evaluations)
        seen = state.observation
        observation = Observation(frames, seen.time + self.lasts(controls), seen.view)
        return observation, dataclasses.replace(state, state=following, observation=observation)

    def lasts(self, controls: np.ndarray) -> np.ndarray:
        """Seconds that steps under controls : (..., control) last : (...) float64."""
        if not isinstance(self.seconds, tuple):
            return np.full(controls.shape[:-1], float(self.seconds))
        name, more = self.seconds
        dwell: np.ndarray = controls[..., self._space.table.index(name)].astype(np.float64)
        return dwell + more

    def futures(self, state: Imagined, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Imagine what controls : (problem, candidate, step, control) lead to.

        Returns (problem, candidate, sample, step, y, x, channel) float32 in the recording's units; samples = 0 gives
        the posterior mean of each step as one sample (of several steps, each given the mean of the one before), as
        does every sample of a model that learned nothing of chance. Raises ControlError outside the bounds, ModelError
        unless there is a problem for each row of the state.
        """
        controls = np.asarray(self._space.check(controls), dtype=np.float32)
        whole(samples, "samples", 0)
        if controls.ndim != 4 or len(controls) != len(state.observation):
            raise ModelError(
                f"futures: controls are {controls.shape}; give ({len(state.observation)}, candidate, step, "
                f"{len(self._space)}), a problem for each row of the state"
            )
        p, c, t, k = controls.shape
        s = 1 if self.model.certain else max(samples, 1)
        evaluations = 1 if samples == 0 else self.sample_evaluations
        generator = self._generator(rng)
        rows = controls.repeat(s, axis=1).reshape(p * c * s, t, k)
        problem = np.repeat(np.arange(p), c * s)
        out = np.empty((p * c * s, t, *self.model.signature.shape), dtype=np.float32)
        for begin in range(0, len(rows), self.batch):
            piece = slice(begin, begin + self.batch)
            with torch.inference_mode():
                given = torch.from_numpy(rows[piece]).to(self._device())
                frames, _ = self.model.rollout(self._rows(state.state, problem[piece]), given, generator, evaluations)
            out[piece] = frames.cpu().numpy()
        found = out.reshape(p, c, s, t, *self.model.signature.shape)
        return np.repeat(found, max(samples, 1), axis=2) if self.model.certain else found

    def differentiable(self, state: Imagined, controls: torch.Tensor) -> torch.Tensor:
        """The posterior mean of futures under controls (problem, candidate, step, control), with its gradients.

        Returns (problem, candidate, 1, step, y, x, channel), as `futures` of no samples; all is in memory at once.
        """
        p, c, t, k = controls.shape
        picked = self._rows(state.state, np.repeat(np.arange(p), c))
        # What was made without gradients may not be a part of what has them; a copy may.
        plain = {
            field.name: None if (value := getattr(picked, field.name)) is None else value.clone()
            for field in dataclasses.fields(picked)
        }
        rows = controls.reshape(p * c, t, k).to(self._device())
        frames, _ = self.model.rollout(type(picked)(**plain), rows, None, 1)
        return frames.reshape(p, c, 1, t, *self.model.signature.shape).to(controls.device)

    def take(self, state: Imagined, index: np.ndarray) -> Imagined:
        """The candidates in `index` (integers), repeats allowed."""
        told, words = (None if array is None else array[index] for array in (state.covariates, state.words))
        return Imagined(self._rows(state.state, index), state.observation.take(index), told, words)

    def joined(self, states: Sequence[Imagined]) -> Imagined:
        """The candidates of several states as those of one."""
        first = states[0]
        observation = Observation(
            *(np.concatenate([getattr(one.observation, name) for one in states]) for name in ("frames", "time", "view"))
        )
        told, words = (
            None if getattr(first, name) is None else np.concatenate([getattr(one, name) for one in states])
            for name in ("covariates", "words")
        )
        return Imagined(self._together([one.state for one in states]), observation, told, words)

    def evaluations(self, candidates: int, steps: int, samples: int) -> int:
        """Model evaluations that `futures` needs for that many candidates of one problem."""
        one = samples == 0 or self.model.certain
        return candidates * steps * (1 if one else samples * self.sample_evaluations)

    def _advance(
        self, state: Any, controls: np.ndarray, generator: torch.Generator, evaluations: int
    ) -> tuple[np.ndarray, Any]:
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(controls)).to(self._device())[:, None]
            frames, following = self.model.step(state, given, generator, evaluations)
        return frames[:, -1].cpu().numpy(), following

    def _rows(self, state: Any, index: np.ndarray) -> Any:
        """The state of the rows in `index`: a dataclass of tensors with a leading axis of candidates."""
        chosen = torch.from_numpy(index).to(self._device())
        with torch.inference_mode():
            picked = {
                field.name: None if (value := getattr(state, field.name)) is None else value[chosen]
                for field in dataclasses.fields(state)
            }
        return type(state)(**picked)

    def _together(self, states: Sequence[Any]) -> Any:
        """States of the model as one."""
        fields: dict[str, Any] = {}
        with torch.inference_mode():
            for field in dataclasses.fields(states[0]):
                parts = [getattr(one, field.name) for one in states]
                fields[field.name] = None if any(part is None for part in parts) else torch.cat(parts)
        return type(states[0])(**fields)

    def _told(self, covariates: np.ndarray | None, n: int) -> np.ndarray | None:
        """Covariates (candidate, covariate) float32 of n candidates. Raises ModelError for another number of them."""
        if covariates is None:
            return None
        table = self.model.signature.covariates
        try:
            given = np.asarray(covariates, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ModelError(f"covariates are {covariates!r:.80}; give numbers, NaN where one is unknown") from error
        if np.isinf(given).any():
            raise ModelError("covariates: one is infinite; give NaN where one is unknown")
        if given.ndim not in (1, 2) or given.shape[-1] != len(table) or (given.ndim == 2 and len(given) != n):
            raise ModelError(
                f"covariates are {given.shape}; the model knows ({len(table)},) or ({n}, {len(table)}): "
                f"{', '.join(table.names) or 'none'}"
            )
        return np.array(np.broadcast_to(given, (n, len(table))))

    def _require(self, seen: Observation, n: int, where: str) -> None:
        """Raise ModelError unless this shows n candidates in frames that the model knows, all of them finite."""
        self.model.signature.require(seen.frames.shape[1:], len(self._space), where)
        if len(seen) != n:
            raise ModelError(f"{where}: an observation of {len(seen)} candidates, the present has {n}; give as many")
        for name, values in (("frames", seen.frames), ("view", seen.view)):
            if not np.isfinite(values).all():
                raise ModelError(f"{where}: {name} are NaN or infinite; a model knows nothing of what was not seen")

    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _generator(self, rng: np.random.Generator) -> torch.Generator:
        return torch.Generator(self._device()).manual_seed(int(rng.integers(2**62)))


def _read(text: str | Sequence[str] | None, n: int) -> np.ndarray | None:
    """The words of the texts of n candidates : (candidate, 16). Raises ModelError for another number of them."""
    if text is None:
        return None
    if isinstance(text, str):
        text = [text] * n
    texts = list(text) if isinstance(text, Iterable) else []
    if len(texts) != n or not all(isinstance(each, str) for each in texts):
        raise ModelError(f"text is {text!r:.80}; give a string, or one for each of {n} candidates")
    return np.stack([words_of(each) for each in texts])
