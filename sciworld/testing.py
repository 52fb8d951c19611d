"""What every world model must hold to, for the tests of this library and of families that others write.

from sciworld.testing import check_model
check_model(MyModel, MySettings(width=16))
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciworld.controls import Column, ColumnTable
from sciworld.errors import ModelError
from sciworld.models import checkpoint
from sciworld.models.base import Signature, State, WorldModel
from sciworld.training.diagnostics import control_gain, controls_are_ignored
from sciworld.windows import Batch
from sciworld.words import words_of

ROWS, COLUMNS = 16, 24  # of the frames: not square
STEPS = 3  # of a rollout
TRAINING = 100  # steps
CLOSE = 2e-4  # of the scale of a channel, which float32 adds up differently in batches of other sizes
CHANNELS = ColumnTable((Column("ink", "1"), Column("heat", "K")))
CONTROLS = ColumnTable(
    (
        Column("to_x", "mm", 0.0, 12.0, group="to", axis="x", frame="lab"),
        Column("to_y", "mm", 0.0, 8.0, group="to", axis="y", frame="lab"),
        Column("heating", "W", -1.0, 1.0),
        Column("mode", "1", kind="categorical", levels=("rest", "go")),
    )
)
COVARIATES = ColumnTable((Column("sun", "K"), Column("season", "1", kind="categorical", levels=("dry", "wet", "cold"))))
VIEW = (0.5, 0.0, 0.0, 0.0, 0.5, 0.0)  # mm a pixel


def signature(rows: int = ROWS, columns: int = COLUMNS, channels: int = 2) -> Signature:
    """Of frames in which a spot goes where it is told, while all grows warmer or colder; further channels are still.

    Covariates and words change nothing.
    """
    names = (*CHANNELS, *(Column(f"still_{k}", "1") for k in range(2, channels)))[:channels]
    return Signature(
        (rows, columns, channels), ColumnTable(tuple(names)), CONTROLS, COVARIATES,
        (0.1, 300.0, *[0.0] * channels)[:channels], (0.3, 1.0, *[1.0] * channels)[:channels],
        (6.0, 4.0, 0.0, 0.0), (3.0, 2.0, 0.6, 1.0), VIEW[0], (0.0, 0.0), (1.0, 1.0),
    )  # fmt: skip


def windows(made: Signature, frames: int, n: int = 8, seed: int = 0) -> Batch:
    """n windows of so many frames, as tensors."""
    rng = np.random.default_rng(seed)
    rows, columns, channels = made.shape
    reach = np.array([columns, rows]) * VIEW[0]
    place, heat = rng.uniform(0.2, 0.8, (n, 2)) * reach, rng.normal(300, 1, n)
    controls = np.concatenate(
        [rng.uniform(0, 1, (n, frames - 1, 2)) * reach, rng.uniform(-1, 1, (n, frames - 1, 1)),
         rng.integers(0, 2, (n, frames - 1, 1))], axis=2,
    )  # fmt: skip
    covariates = np.stack([rng.normal(0, 1, n), rng.integers(0, 3, n)], axis=1)
    y, x = np.mgrid[:rows, :columns] * VIEW[0]
    shown = np.zeros((n, frames, *made.shape), dtype=np.float32)
    for t in range(frames):
        square = (x - place[:, 0, None, None]) ** 2 + (y - place[:, 1, None, None]) ** 2
        shown[:, t, :, :, 0] = np.exp(-0.5 * square)
        if channels > 1:
            shown[:, t, :, :, 1] = heat[:, None, None]
        if t < frames - 1:
            place = np.where(controls[:, t, 3:] > 0, 0.3 * place + 0.7 * controls[:, t, :2], place)
            heat = heat + controls[:, t, 2]
    return Batch(
        shown, controls.astype(np.float32), np.tile(np.arange(frames, dtype=float), (n, 1)),
        np.tile(VIEW, (n, frames, 1)), covariates.astype(np.float32), np.arange(n),
        np.stack([words_of(f"run {i % 2}") for i in range(n)]),
    ).to("cpu")  # fmt: skip


def check_model(kind: type[WorldModel], settings: Any = None, *, evaluations: int = 4, trains: bool = True) -> None:
    """Hold a family of world models to its contract, see `models.base.WorldModel`.

    kind : its class. settings : of a size that trains in seconds; by default the family's own. evaluations : of a
    sample. trains : also train it for some seconds, after which it must beat the present again and heed its controls.

    Raises ModelError that says what does not hold.
    """
    with torch.random.fork_rng(devices=[]):
        for channels in (1, 2, 3):
            torch.manual_seed(0)
            model = kind(signature(channels=channels), settings)
            _stirred(model)
            _Checks(model, evaluations).run()
        if trains:
            torch.manual_seed(0)
            _trained(kind(signature(), settings))


def _stirred(model: WorldModel) -> None:
    """No weight is zero, as they are at first where a model leaves: what is untrained may heed nothing."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    model.eval()


class _Checks:
    """One untrained model, and what must hold of it."""

    def __init__(self, model: WorldModel, evaluations: int) -> None:
        self.model, self.evaluations = model, evaluations
        self.k = model.chunk
        context, horizon = model.lengths(model.settings)
        self.batch = windows(model.signature, context + STEPS * self.k)
        self.trained_on = windows(model.signature, context + horizon)
        self.scale = torch.tensor(model.signature.scale)

    def run(self) -> None:
        with torch.no_grad():
            for check in (
                self.shapes, self.chance, self.same, self.expands, self.rolls_out, self.looks_back_alone, self.anchors,
                self.ignorant, self.saves, self.refuses,
            ):  # fmt: skip
                check()
        self.learns_everywhere()

    def start(self, rows: slice = slice(None), frames: torch.Tensor | None = None) -> State:
        seen = (self.batch.frames[:, : self.model.context] if frames is None else frames)[rows]
        view = self.batch.view[rows, self.model.context - 1]
        return self.model.start(seen, view, self.batch.covariates[rows], self.batch.words[rows])

    def controls(self, step: int = 0) -> torch.Tensor:
        first = self.model.context - 1 + step * self.k
        found: torch.Tensor = self.batch.controls[:, first : first + self.k]
        return found

    def require(self, holds: object, what: str) -> None:
        if not holds:
            raise ModelError(f"{self.model.family}, {self.model.signature.shape[2]} channels: {what}")

    def close(self, one: torch.Tensor, other: torch.Tensor, what: str) -> None:
        apart = ((one - other).abs() / self.scale).max()
        self.require(apart < CLOSE, f"{what}; they are {float(apart):.2g} standard deviations apart")

    def shapes(self) -> None:
        n = len(self.batch)
        for evaluations in (1, self.evaluations):
            frames, following = self.model.step(self.start(), self.controls(), _noise(), evaluations)
            expected = (n, self.k, *self.model.signature.shape)
            self.require(frames.shape == expected, f"step gives {tuple(frames.shape)}; it must be {expected}")
            self.require(frames.dtype == torch.float32, f"step gives {frames.dtype}; it must be float32")
            self.require(torch.isfinite(frames).all(), "step gives frames that are not finite")
            again, _ = self.model.step(following, self.controls(), _noise(), evaluations)
            self.require(not torch.equal(again, frames), "a second step gives what the first gave")

    def chance(self) -> None:
        one, same, other = (
            self.model.step(self.start(), self.controls(), _noise(seed), self.evaluations)[0] for seed in (1, 1, 2)
        )
        self.require(torch.equal(one, same), "the same generator gives other samples")
        differ = not torch.equal(one, other)
        self.require(differ != self.model.certain, "another generator gives the same sample, but it is not `certain`")
        mean, again = (self.model.step(self.start(), self.controls(), made)[0] for made in (None, _noise()))
        if self.model.certain:
            self.close(one, mean, "it is `certain`, but a sample is not the posterior mean")
        self.require(torch.equal(mean, again), "the posterior mean, one evaluation, depends on a generator")
        before = torch.random.get_rng_state()
        self.model.step(self.start(), self.controls(), _noise(), self.evaluations)
        self.model.loss(self.trained_on, _noise())
        unchanged = torch.equal(before, torch.random.get_rng_state())
        self.require(unchanged, "it draws from torch's global generator; draw from the one that is given")

    def same(self) -> None:
        state = self.start()
        first, _ = self.model.step(state, self.controls(), None)
        self.model.step(state, self.controls(1), None)
        again, _ = self.model.step(state, self.controls(), None)
        self.require(torch.equal(first, again), "a step changes the state that it is given; return a new one")
        alone, _ = self.model.step(self.start(slice(2, 3)), self.controls()[2:3], None)
        self.close(alone, first[2:3], "a row depends on the others of its batch")

    def expands(self) -> None:
        state = self.start()
        repeated = self.model.start(
            self.batch.frames[:, : self.model.context].repeat_interleave(3, dim=0),
            self.batch.view[:, self.model.context - 1].repeat_interleave(3, dim=0),
            self.batch.covariates.repeat_interleave(3, dim=0),
            self.batch.words.repeat_interleave(3, dim=0),
        )
        given = self.controls().repeat_interleave(3, dim=0).roll(1, dims=0)
        one, after = self.model.step(self.model.expand(state, 3), given, None)
        other, _ = self.model.step(repeated, given, None)
        self.close(one, other, "expand(state, 3) is not the state of frames that are repeated")
        many, _ = self.model.step(self.model.expand(after, 2), given.repeat_interleave(2, dim=0), None)
        few, _ = self.model.step(after, given, None)
        self.close(many[::2], few, "an imagined state does not expand to itself")

    def rolls_out(self) -> None:
        controls = torch.cat([self.controls(step) for step in range(STEPS)], dim=1)
        for evaluations in (1, self.evaluations):
            generator, state, parts = _noise(), self.start(), []
            for step in range(STEPS):
                frames, state = self.model.step(state, self.controls(step), generator, evaluations)
                parts.append(frames)
            whole, _ = self.model.rollout(self.start(), controls, _noise(), evaluations)
            self.close(whole, torch.cat(parts, dim=1), f"rollout differs from its steps, {evaluations} evaluations")

    def looks_back_alone(self) -> None:
        base, _ = self.model.rollout(self.start(), self.controls(), None)
        for later in (self.controls(1), torch.full_like(self.controls(1), 0.5)):
            found, _ = self.model.rollout(self.start(), torch.cat([self.controls(), later], dim=1), None)
            self.close(found[:, : self.k], base, "a frame depends on what comes after its chunk")
        for column, name in enumerate(self.model.signature.controls.names):
            controls = self.controls().clone()
            controls[..., column] = 1 - controls[..., column] if name == "mode" else controls[..., column] + 0.5
            moved = (self.model.rollout(self.start(), controls, None)[0] - base).abs().amax(dim=(1, 2, 3, 4))
            self.require((moved > 0).all(), f"the control '{name}' changes nothing in some row")

    def anchors(self) -> None:
        _, imagined = self.model.step(self.start(), self.controls(), None)
        other = self.batch.frames[:, : self.model.context].clone()
        other[:, :-1] += 0.5
        for state in (self.start(), imagined):
            known = self.batch.frames[:, 0] + 0.5
            base, _ = self.model.step(state, self.controls(1), None)
            found, _ = self.model.step(self.model.anchor(state, known), self.controls(1), None)
            self.require(found.shape == base.shape and not torch.equal(found, base), "anchor changes nothing")
        present = self.batch.frames[:, self.model.context - 1]
        one, moved = (
            self.model.step(self.model.anchor(self.start(frames=seen), present), self.controls(), None)[0]
            for seen in (None, other)
        )
        remembers = self.model.context == 1 or not torch.equal(one, moved)
        self.require(remembers, "an anchored state has forgotten what came before the present")
        self.close(one, self.model.step(self.start(), self.controls(), None)[0], "anchoring on the present changes it")
        fewest = self.start(frames=self.batch.frames[:, : self.model.shortest])
        few, _ = self.model.step(fewest, self.controls(), None)
        self.require(torch.isfinite(few).all(), f"a start from {self.model.shortest} frames, `shortest`, is not finite")

    def ignorant(self) -> None:
        seen, view = self.batch.frames[:, : self.model.context], self.batch.view[:, self.model.context - 1]
        unknown, none = torch.full_like(self.batch.covariates, torch.nan), torch.zeros_like(self.batch.words)
        for covariates, words in ((None, None), (unknown, none)):
            frames, _ = self.model.step(self.model.start(seen, view, covariates, words), self.controls(), None)
            self.require(torch.isfinite(frames).all(), "unknown covariates or words give frames that are not finite")

    def saves(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint.save(self.model, Path(folder) / checkpoint.FILE)
            loaded = checkpoint.load(folder)
        one, other = (
            made.step(
                made.start(
                    self.batch.frames[:, : made.context], self.batch.view[:, made.context - 1], self.batch.covariates,
                    self.batch.words,
                ),
                self.controls(), _noise(), self.evaluations,
            )[0]
            for made in (self.model, loaded)
        )  # fmt: skip
        self.require(torch.equal(one, other), "a model that was saved and loaded gives other frames")
        state = self.start()
        kept = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
        for name, value in kept.items():
            fine = value is None or (isinstance(value, torch.Tensor) and len(value) == len(self.batch))
            self.require(fine, f"state.{name} is no tensor of a row for each candidate, nor None")
        copied = type(state)(**{name: None if value is None else value.clone() for name, value in kept.items()})
        back, _ = self.model.step(copied, self.controls(), None)
        own, _ = self.model.step(state, self.controls(), None)
        self.require(torch.equal(back, own), "a state that is rebuilt from its tensors is another one")

    def learns_everywhere(self) -> None:
        controls = self.controls().clone().requires_grad_()
        frames, _ = self.model.step(self.start(), controls, None)
        if frames.requires_grad:  # a family that is not differentiable says so by giving none
            (gradient,) = torch.autograd.grad(frames.square().sum(), controls)
            smooth = [k for k, c in enumerate(self.model.signature.controls) if c.kind != "categorical"]
            self.require((gradient[..., smooth].abs().sum(dim=(0, 1)) > 0).all(), "no gradient reaches some control")
        self.model.zero_grad()
        shown = self.trained_on
        whole = dataclasses.replace(shown, frames=(40 * shown.frames).to(torch.int16))
        self.require(
            torch.isfinite(self.model.loss(whole, _noise()).total), "the loss of frames of integers is not finite"
        )
        losses = self.model.loss(shown, _noise(), torch.ones(shown.frames[:, 0, ..., 0].shape))
        self.require(losses.total.shape == () and torch.isfinite(losses.total), "the loss is no finite scalar")
        losses.total.backward()
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                self.require(
                    parameter.grad is not None and parameter.grad.abs().max() > 0, f"no gradient reaches '{name}'"
                )

    def refuses(self) -> None:
        context, shape = self.model.context, self.batch.frames.shape
        view = self.batch.view[:, context - 1]
        odd: dict[str, Callable[[], Any]] = {
            "frames of another size": lambda: self.model.start(torch.zeros((*shape[:1], context, 3, 5, 1)), view),
            "more frames than its context": lambda: self.model.start(
                self.batch.frames[:, :1].repeat(1, context + 1, 1, 1, 1), view
            ),
            "one control too many": lambda: self.model.step(
                self.start(), torch.cat([self.controls(), self.controls()[..., :1]], dim=2), None
            ),
            "more controls than a chunk": lambda: self.model.step(self.start(), self.controls().repeat(1, 2, 1), None),
            "a sample without a generator": lambda: self.model.step(self.start(), self.controls(), None, 4),
        }
        for what, call in odd.items():
            try:
                call()
            except ModelError:
                continue
            except Exception as error:
                said = f"of {what} it says {type(error).__name__}, {error}; raise ModelError"
                raise ModelError(f"{self.model.family}: {said}") from error
            self.require(False, f"it takes {what}; raise ModelError")


def _trained(model: WorldModel) -> None:
    """Train for some seconds, on two batches; then it must know more than the present, and heed its controls."""
    batches = [windows(model.signature, sum(model.lengths(model.settings)), 32, seed) for seed in (1, 2)]
    model.prepare(_Few(batches[0]))  # type: ignore[arg-type]
    adamw, generator = torch.optim.AdamW(model.parameters(), lr=3e-3), _noise()
    model.train()
    for step in range(TRAINING):
        loss = model.loss(batches[step % 2], generator).total
        adamw.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
    model.eval()
    unseen = [windows(model.signature, sum(model.lengths(model.settings)), 32, seed) for seed in (3, 4, 5)]
    held = unseen[0]
    with torch.no_grad():
        gain = control_gain(model, [(each, None) for each in unseen], generator)
        seen, view = held.frames[:, : model.context], held.view[:, model.context - 1]
        ahead = slice(model.context - 1, model.context - 1 + model.chunk)
        guesses = {
            what: model.step(model.start(seen, view, *told), held.controls[:, ahead], None)[0]
            for what, told in (("", (held.covariates, held.words)), (" knowing nothing of the run", (None, None)))
        }
    if controls_are_ignored(gain):
        raise ModelError(f"{model.family}: after {TRAINING} steps it ignores its controls: {gain}")
    truth = held.frames[:, model.context : model.context + model.chunk]
    scale = torch.tensor(model.signature.scale)
    present = held.frames[:, model.context - 1 : model.context]
    still = float((((present - truth) / scale) ** 2).mean())
    for what, frames in guesses.items():
        wrong = float((((frames - truth) / scale) ** 2).mean())
        if not wrong < still:
            raise ModelError(
                f"{model.family}: after {TRAINING} steps its error{what} is {wrong:.3g}, the present's {still:.3g}"
            )


class _Few:
    """A batch as the windows that `prepare` reads."""

    def __init__(self, batch: Batch) -> None:
        self.held, self.length = batch, batch.frames.shape[1]

    def __len__(self) -> int:
        return len(self.held) * self.length

    def batch(self, ids: list[int]) -> Batch:
        rows = [i // self.length for i in ids]
        return dataclasses.replace(self.held, frames=self.held.frames[rows])


def _noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
