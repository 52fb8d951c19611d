"""Several models as one: their samples side by side, and how far they are apart from each other."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from sciworld.config import require
from sciworld.errors import CheckpointError, ModelError
from sciworld.models.base import Signature
from sciworld.simulator import Observation
from sciworld.surrogate.surrogate import Imagined, Surrogate


@dataclass(frozen=True, eq=False)
class Spread:
    """Where futures differ, and why. All (problem, candidate, step, y, x, channel), in the recordings' units.

    Parameters
    ----------
    mean : over members and samples. within : standard deviation of a member's samples, the world's chance as the
        members believe it. between : standard deviation of the members' means, beyond what so few samples make of
        chance: what the members do not agree on, and so do not know.
    """

    mean: np.ndarray
    within: np.ndarray
    between: np.ndarray


class Ensemble(Surrogate):
    """Surrogates of one kind, trained from other seeds or on other sessions, that stand for one.

    Every sample is one of a member drawn by chance, so that samples are independent draws from what the ensemble
    believes, as their scores take them to be; all candidates are drawn the same members. A candidate that is stepped
    follows one member from the start on: rollouts of an ensemble are futures that some member believes in, not mixtures
    that none does. Each member goes on from what it imagined itself, so that `futures` of a stepped state are those of
    several presents: `observe` makes them one.

    Members are called one after the other, each with all candidates in one batch. On a CPU thread torch.vmap over their
    stacked weights took 1.5 to 1.8 times as long for batches of 32 and 128 (3 and 5 members of the preset tiny, frames
    of 32 x 32 pixels), and 0.7 to 0.9 times for a single candidate: its grouped convolutions run without channels_last.

    Parameters
    ----------
    members : two or more, of the same frames, channels and controls. Raises ModelError for others.
    """

    def __init__(self, members: Sequence[Surrogate]) -> None:
        require(len(members) > 1, f"{len(members)} members; an ensemble has two or more")
        first = members[0]
        super().__init__(first.model, first.sample_evaluations, first.seconds, first.batch)
        self.members = tuple(members)
        for member in self.members:
            self.space.require_same(member.space, "a member of the ensemble")
            mine, own = (made.model.signature for made in (member, first))
            kinds = [(one.shape, one.channels.unbounded(), one.covariates.unbounded()) for one in (mine, own)]
            if kinds[0] != kinds[1]:
                raise ModelError(
                    f"ensemble: a member was made for {_said(mine)}, the first for {_said(own)}; "
                    "give members of one kind, with the same channels and covariates in the same order"
                )

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "cpu", **settings: Any) -> Ensemble:
        """The ensemble whose members' runs are in the folder `path`. Raises CheckpointError."""
        folders = member_folders(path)
        if not folders:
            raise CheckpointError(f"{path}: no folder of an ensemble; give one in which each member has its run")
        return cls([Surrogate.load(folder, device, **settings) for folder in folders])

    def knowing(self, covariates: np.ndarray | None = None, text: str | None = None) -> Self:
        """See `Surrogate.knowing`."""
        known = copy.copy(self)
        known.members = tuple(member.knowing(covariates, text) for member in self.members)
        return known

    def asking(self, evaluations: int) -> Self:
        """See `Surrogate.asking`."""
        asked = super().asking(evaluations)
        asked.members = tuple(member.asking(evaluations) for member in self.members)
        return asked

    def start(
        self,
        history: Observation | Sequence[Observation],
        covariates: np.ndarray | None = None,
        text: str | Sequence[str] | None = None,
    ) -> Imagined:
        """What every member makes of what was seen; see `Surrogate.start`."""
        return self._joined([member.start(history, covariates, text) for member in self.members])

    def observe(self, state: Imagined, observation: Observation) -> Imagined:
        """Replace what every member imagines by one measured present; see `Surrogate.observe`."""
        return self._joined([member.observe(own, observation) for member, own in self.each(state)])

    def step(self, state: Imagined, controls: np.ndarray, rng: np.random.Generator) -> tuple[Observation, Imagined]:
        """Sample one step further; candidate i is shown what member i mod m imagines. See `Surrogate.step`."""
        stepped = [member.step(own, controls, rng) for member, own in self.each(state)]
        shown = stepped[0][0]
        which = np.arange(len(shown)) % len(self.members)
        frames = np.stack([observation.frames for observation, _ in stepped])[which, np.arange(len(shown))]
        observation = Observation(frames, shown.time, shown.view)
        return observation, replace(self._joined([after for _, after in stepped]), observation=observation)

    def futures(self, state: Imagined, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Samples of members drawn by chance; 0 gives the mean of their posterior means. See `Surrogate.futures`."""
        if samples == 0:
            return np.asarray(self._of_members(state, controls, 0, rng).mean(axis=0))
        drawn = rng.integers(len(self.members), size=samples)
        parts = [
            member.futures(own, controls, count, rng)
            for (member, own), count in zip(
                self.each(state), np.bincount(drawn, minlength=len(self.members)), strict=True
            )
            if count
        ]
        place = np.argsort(np.argsort(drawn, kind="stable"))  # of each sample among the parts
        return np.concatenate(parts, axis=2)[:, :, place]

    def differentiable(self, state: Imagined, controls: torch.Tensor) -> torch.Tensor:
        """The mean of the members' posterior means; see `Surrogate.differentiable`."""
        return torch.stack([member.differentiable(own, controls) for member, own in self.each(state)]).mean(dim=0)

    def evaluations(self, candidates: int, steps: int, samples: int) -> int:
        """Model evaluations that `futures` needs: every member's for a mean, one member's for a sample."""
        one = super().evaluations(candidates, steps, samples)
        return one if samples else len(self.members) * one

    def spread(self, state: Imagined, controls: np.ndarray, samples: int, rng: np.random.Generator) -> Spread:
        """How far futures are apart, within members and between them, by the law of total variance.

        controls : (problem, candidate, step, control). samples : of each member, two or more. The variance of m means
        of s samples is that of the members' beliefs and 1/s of that within, which is taken off; where chance makes it
        negative it is 0.
        """
        require(samples > 1, f"samples is {samples}; two or more tell how far they are apart")
        found = self._of_members(state, controls, samples, rng).astype(np.float64)
        within = found.var(axis=3, ddof=1).mean(axis=0)
        between = found.mean(axis=3).var(axis=0, ddof=1) - within / samples
        return Spread(found.mean(axis=(0, 3)), np.sqrt(within), np.sqrt(np.maximum(between, 0.0)))

    def disagreement(self, state: Imagined, controls: np.ndarray) -> np.ndarray:
        """How much the members' expected frames differ, for controls (problem, candidate, step, control).

        The variance between members of their posterior means, in units of each channel's deviation, averaged over
        steps, pixels and channels : (problem, candidate). It has no part of chance, and takes one evaluation of every
        member a step (Pathak et al. 2019, arXiv:1906.04161; of world models: Sekar et al. 2020, arXiv:2005.05960).
        """
        means = self._of_members(state, controls, 0, np.random.default_rng(0))[:, :, :, 0]
        apart = means / np.asarray(self.model.signature.scale, dtype=np.float32)
        return np.asarray(apart.var(axis=0, ddof=1).mean(axis=(2, 3, 4, 5)), dtype=np.float64)

    def _of_members(self, state: Imagined, controls: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Futures of each : (member, problem, candidate, sample, step, y, x, channel)."""
        return np.stack([member.futures(own, controls, samples, rng) for member, own in self.each(state)])

    def each(self, state: Imagined) -> list[tuple[Surrogate, Imagined]]:
        """Every member with its own state, for those who must tell them apart."""
        return [(member, replace(state, state=own)) for member, own in zip(self.members, state.state, strict=True)]

    def _rows(self, state: Any, index: np.ndarray) -> Any:
        return tuple(member._rows(own, index) for member, own in zip(self.members, state, strict=True))

    def _together(self, states: Sequence[Any]) -> Any:
        return tuple(
            member._together(each) for member, each in zip(self.members, zip(*states, strict=True), strict=True)
        )

    def _joined(self, states: Sequence[Imagined]) -> Imagined:
        """The members' states as one."""
        return replace(states[0], state=tuple(one.state for one in states))


def member_folders(path: str | os.PathLike[str]) -> list[Path]:
    """The runs in the folder of an ensemble, in the order of their numbers; none where `path` is a run itself."""
    path = Path(path)
    if not path.is_dir() or (path / "config.json").exists():
        return []
    folders = [entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    return sorted(folders, key=lambda folder: [int(part) if part.isdigit() else part for part in _parts(folder.name)])


def _said(signature: Signature) -> str:
    """What tells a member's kind."""
    names = ", ".join(signature.channels.names)
    return f"{signature.shape} {names} with covariates {', '.join(signature.covariates.names) or 'none'}"


def _parts(name: str) -> list[str]:
    """Texts and numbers in turn."""
    return re.split(r"(\d+)", name)
