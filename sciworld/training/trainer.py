"""One model in training: its optimizer, the average of its weights, and what makes a step.

A run is a function of its settings, data and initial weights: every random number of step n comes from (seed, n), so
that a run killed at any moment and resumed ends with the very bits of one that was not, on the CPU, with the same
number of threads and processes, if its budget is in `steps`. With a budget in `seconds` the learning rate follows the
clock, and no two runs are the same. A model draws random numbers from the generator that it is given, and from nothing
else.

Of several processes each draws for its own windows, by (seed, n, rank): the same symmetries, but not the noise that one
process would draw for all of them.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciworld.config import require
from sciworld.errors import CheckpointError, SettingsError, TrainingError
from sciworld.loader import Loader, Mixture
from sciworld.models import checkpoint
from sciworld.models.base import Learned, Losses, WorldModel
from sciworld.training import symmetries as symmetry
from sciworld.training.diagnostics import control_gain, controls_are_ignored, mean_parts
from sciworld.training.distributed import Processes
from sciworld.windows import Batch, Windows

LOG = logging.getLogger(__name__)
Focus = Callable[[np.ndarray, np.ndarray], np.ndarray]
PRECISIONS = ("float32", "bfloat16")

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # that AdamW keeps of a weight
EMA_RAMP = 50  # steps: early on the average forgets faster
# Diagnostics look at so many windows, in batches as training takes them, but so many at least: events are rare.
DIAGNOSTIC_WINDOWS, DIAGNOSTIC_BATCHES = 256, 8
IGNORED_AFTER = 1 / 3  # of the budget: by then a model should listen to its controls
IGNORED = "controls are ignored: the loss is no worse under other windows' controls"


@dataclass(frozen=True)
class FitSettings:
    """How to train.

    Parameters
    ----------
    steps, seconds : the budget, one of both; seconds of training, added up over resumes.
    batch : windows a step, of each process: few, for short training; more, for a GPU or fewer noisy steps.
    learning_rate : of AdamW, reached after `warmup` steps, falling to 0 over the last `decay` of the budget.
    weight_decay, betas : of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
    ema : how much the average of the weights keeps each step; step / (step + 50) while that is less.
    clip : largest norm of the gradient.
    seed : of the order of the windows, the symmetries and the model's noise.
    device : "cpu", "cuda", ... threads : of torch on the CPU, 0 for its own choice.
    precision : of what the loss computes; "bfloat16" where torch's autocast finds it safe, with weights, their average
        and the diagnostics in float32.
    compile : the loss by torch.compile, which takes half a minute or more before the first step.
    log_every, diagnostic_every : steps.
    checkpoint_every : seconds, at least; a checkpoint is made with a line of the log.
    """

    steps: int | None = None
    seconds: float | None = None
    batch: int = 8
    learning_rate: float = 2e-3
    warmup: int = 100
    decay: float = 0.4
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    ema: float = 0.998
    clip: float = 1.0
    seed: int = 0
    device: str = "cpu"
    threads: int = 0
    precision: str = "float32"
    compile: bool = False
    log_every: int = 50
    diagnostic_every: int = 500
    checkpoint_every: float = 60.0

    def __post_init__(self) -> None:
        where = "FitSettings"
        require((self.steps is None) != (self.seconds is None), f"{where}: give one of steps and seconds")
        for name in ("steps", "seconds", "batch", "learning_rate", "clip", "log_every", "diagnostic_every"):
            value = getattr(self, name)
            require(value is None or 0 < value < math.inf, f"{where}: {name} is {value}; it must be above 0")
        for name in ("warmup", "weight_decay", "seed", "threads", "checkpoint_every"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"{where}: {name} is {value}; use at least 0")
        require(self.seed < 2**63, f"{where}: seed is {self.seed}; use one below 2**63")
        require(0 <= self.decay <= 1, f"{where}: decay is {self.decay}; it is a share of the budget, from 0 to 1")
        known = " or ".join(PRECISIONS)
        require(self.precision in PRECISIONS, f"{where}: precision is {self.precision!r}; use {known}")
        for name, value in (("ema", self.ema), *(("betas", beta) for beta in self.betas)):
            require(0 <= value < 1, f"{where}: {name} is {value}; use 0 to below 1")


class Trainer:
    """A model, its average and its optimizer at one step of a run."""

    def __init__(
        self,
        model: Learned,
        loader: Loader,
        settings: FitSettings,
        focus: Focus | None,
        symmetries: tuple[str, ...],
        validation: Windows | Mixture | None,
        processes: Processes | None = None,
    ) -> None:
        self.processes = processes or Processes()
        self.settings, self.loader, self.focus, self.symmetries = settings, loader, focus, symmetries
        self.validation = validation
        self.device = as_device(self.processes.device(settings.device))
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # whose memory is pinned
        self.model = model.to(self.device).train()
        self.ema = copy.deepcopy(self.model).requires_grad_(False).eval()
        averages = dict(self.ema.named_parameters())
        self.named = {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}
        self.parameters: list[torch.Tensor] = list(self.named.values())
        self.averages: list[torch.Tensor] = [averages[name] for name in self.named]
        self.adamw = torch.optim.AdamW(
            self.parameters,
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        self.generator = torch.Generator(self.device)
        self._loss = torch.compile(self.model.loss) if settings.compile else self.model.loss
        self.step = 0
        self._pending: list[tuple[torch.Tensor, torch.Tensor, dict[str, Any]]] = []
        self._warned = False
        self.seconds = 0.0  # of training so far, over all starts, when the clock was last read
        self._read = time.perf_counter()
        self._logged = (0, 0.0)  # step and seconds at the last record

    @property
    def fraction(self) -> float:
        """The share of the budget that is used."""
        if self.settings.steps is not None:
            return self.step / self.settings.steps
        assert self.settings.seconds is not None
        return min(1.0, self.seconds / self.settings.seconds)

    @property
    def learning_rate(self) -> float:
        settings = self.settings
        rise = min(1.0, (self.step + 1) / max(1, settings.warmup))
        fall = min(1.0, (1 - self.fraction) / settings.decay) if settings.decay else 1.0
        return settings.learning_rate * rise * fall

    def prepare(self) -> None:
        """Let the model fit what no gradient trains, and give it to the other processes and to the average."""
        if self.processes.first:
            self.model.prepare(self.loader.windows)
        self.processes.share(self.model.state_dict().values())
        self.ema.load_state_dict(self.model.state_dict())

    def advance(self, asked: Callable[[], bool] = lambda: False) -> bool:
        """One step; whether any of the processes was `asked` to stop by its end.

        Nothing here waits for the device: losses are read when they are logged.
        """
        rng = np.random.default_rng([self.settings.seed, self.step])
        self.generator.manual_seed(_noise_seed(rng, self.processes.rank))
        batch = symmetry.draw(next(self.loader), self.symmetries, self.model.signature.controls, rng)
        placed, weights = self._placed(batch)
        losses = self._losses(placed, weights)
        self.adamw.zero_grad(set_to_none=True)
        losses.total.backward()
        self.processes.average_gradients(self.parameters)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        for group in self.adamw.param_groups:
            group["lr"] = self.learning_rate
        self.adamw.step()
        keep = min(self.settings.ema, self.step / (self.step + EMA_RAMP))
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.parameters, 1 - keep)
            for mine, theirs in zip(self.ema.buffers(), self.model.buffers(), strict=True):
                mine.copy_(theirs)
        self._pending.append((losses.total.detach(), norm.detach(), losses.parts))
        self.step += 1
        # The processes must agree when to end: by the latest of their clocks.
        now = time.perf_counter()
        self.seconds, stop = self.processes.largest([self.seconds + now - self._read, float(asked())])
        self._read = now
        return bool(stop)

    def record(self) -> dict[str, Any]:
        """A line for the log: means over the steps since the last one, and over the processes.

        Raises TrainingError, naming the step, if a loss or the norm of a gradient was not finite.
        """
        pending, self._pending = self._pending, []
        mine, norms = (torch.stack(column).double().cpu().numpy() for column in list(zip(*pending, strict=True))[:2])
        losses = self.processes.mean(mine.tolist())
        for offset, (loss, norm) in enumerate(zip(losses, norms, strict=True)):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise TrainingError(
                    f"step {self.step - len(pending) + offset + 1}: the loss is {loss}, its gradient's norm {norm}; "
                    "begin a new run with a lower learning_rate or clip, or look for windows with values that are not "
                    "finite. The last checkpoint is from before"
                )
        step, seconds = self._logged
        self._logged = (self.step, self.seconds)
        names = list(pending[0][2])
        parts = self.processes.mean([float(np.mean([float(part[name]) for *_, part in pending])) for name in names])
        windows = (self.step - step) * self.settings.batch * self.processes.ranks
        return {
            "step": self.step,
            "seconds": self.seconds,
            "epoch": self.loader.epoch,
            "loss": float(np.mean(losses)),
            "parts": dict(zip(names, parts, strict=True)),
            "learning_rate": self.adamw.param_groups[0]["lr"],
            "gradient_norm": float(norms.mean()),
            "windows_per_second": windows / (self.seconds - seconds),
        }

    def diagnose(self) -> dict[str, Any]:
        """Diagnostics of the averaged model, always on the same windows and random numbers, for the log."""
        self.generator.manual_seed(self.settings.seed)
        if not isinstance(self.ema, WorldModel):
            return {"validation": mean_parts(self.ema, self._diagnostic_batches(), self.generator)}
        found = control_gain(self.ema, self._diagnostic_batches(), self.generator)
        record: dict[str, Any] = {} if self.validation is None else {"validation_loss": found["loss"]}
        if len(self.model.signature.controls):
            record |= {name: value for name, value in found.items() if name != "loss"}
            if self.fraction >= IGNORED_AFTER and controls_are_ignored(found):
                record["warning"] = IGNORED
                if not self._warned:
                    LOG.warning("step %d: %s", self.step, IGNORED)
                self._warned = True
        return record

    def save(self, folder: Path) -> dict[str, Any]:
        """Write all tensors into `folder`; the rest of the state is returned, JSON-safe."""
        facts = {"step": self.step, "seconds": self.seconds}
        checkpoint.save(self.model, folder / "model.safetensors", facts)
        checkpoint.save(self.ema, folder / "ema.safetensors", facts)
        moments = {
            f"{name}/{key}": value
            for name, parameter in self.named.items()
            for key, value in self.adamw.state.get(parameter, {}).items()
        }
        checkpoint.write_tensors(folder / "optimizer.safetensors", moments, "optimizer", {})
        return {"seconds": self.seconds, "loader": self.loader.state()}

    def restore(self, folder: Path, state: dict[str, Any]) -> None:
        """Go on from what `save` wrote and returned. Raises CheckpointError."""
        for model, name in ((self.model, "model"), (self.ema, "ema")):
            path = folder / f"{name}.safetensors"
            checkpoint.load_state(model, checkpoint.read_tensors(path, model.role)[0], path)
        moments, _ = checkpoint.read_tensors(folder / "optimizer.safetensors", "optimizer")
        states: dict[int, dict[str, torch.Tensor]] = {}
        for index, (name, parameter) in enumerate(self.named.items()):
            kept = {key: moments[f"{name}/{key}"] for key in MOMENTS if f"{name}/{key}" in moments}
            if kept and [kept[key].shape if key in kept else None for key in MOMENTS] != [(), *[parameter.shape] * 2]:
                raise CheckpointError(f"{folder}/optimizer.safetensors: not of this model ('{name}'); restore the file")
            for key, value in kept.items():
                # In the parameter's own memory layout: the fused kernel walks both side by side.
                like = value if key == "step" else parameter
                states.setdefault(index, {})[key] = torch.empty_like(like, requires_grad=False).copy_(value)
        self.adamw.load_state_dict({"state": states, "param_groups": self.adamw.state_dict()["param_groups"]})
        self.loader.restore(state["loader"])
        self.step, self.seconds, self._read = state["step"], state["seconds"], time.perf_counter()
        self._logged = (self.step, self.seconds)

    def _diagnostic_batches(self) -> Iterator[tuple[Batch, torch.Tensor | None]]:
        windows = self.loader.windows if self.validation is None else self.validation
        rng = np.random.default_rng(self.settings.seed)
        b = max(2, self.settings.batch)
        for ids in rng.integers(len(windows), size=(max(DIAGNOSTIC_BATCHES, -(-DIAGNOSTIC_WINDOWS // b)), b)):
            yield self._placed(windows.batch(ids))

    def _losses(self, batch: Batch, weights: torch.Tensor | None) -> Losses:
        """The loss in the precision of the settings. Raises TrainingError if it cannot be compiled."""
        low = self.settings.precision == "bfloat16"
        try:
            # Its cache would keep weights that a pass without gradients cast, which then get none.
            with torch.autocast(self.device.type, torch.bfloat16, enabled=low, cache_enabled=False):
                return self._loss(batch, self.generator, weights)
        except RuntimeError as error:
            if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                why = str(error).strip().splitlines()[0]
                raise TrainingError(f"the loss cannot be compiled ({why:.200}); train without compile") from error
            raise

    def _placed(self, batch: Batch) -> tuple[Batch, torch.Tensor | None]:
        """The NumPy batch on the device, with the weights : (b, y, x) of its loss."""
        if self.focus is None:
            return batch.to(self.device), None
        last = self.model.context - 1
        weights = np.asarray(self.focus(batch.frames[:, last], batch.view[:, last]), dtype=np.float32)
        b, _, y, x, _ = batch.frames.shape
        if weights.shape != (b, y, x):
            raise TrainingError(
                f"focus: weights are {weights.shape}, of frames {(b, y, x)} (n, y, x); give one a pixel"
            )
        return batch.to(self.device), torch.from_numpy(weights).to(self.device)


def _noise_seed(rng: np.random.Generator, rank: int) -> int:
    """The seed of a process's noise in the step of `rng`, which is left the same for all of them."""
    drawn = int(rng.integers(1 << 63))
    return drawn if rank == 0 else int(np.random.default_rng([drawn, rank]).integers(1 << 63))


def as_device(name: str) -> torch.device:
    """The device called `name`, of the CPU or CUDA. Raises SettingsError for one that this torch does not have."""
    if name.split(":")[0] not in ("cpu", "cuda"):
        raise SettingsError(f"device '{name}': not one to train or imagine on; use 'cpu' or 'cuda'")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        raise SettingsError(f"device '{name}': {why}; use 'cpu', or install a torch for this device") from error
    return device
