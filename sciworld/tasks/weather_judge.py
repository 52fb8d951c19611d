"""A judge of weathers: a classifier that learned them from the trusted simulator's pictures, and from nothing else.

It is asked whether variants look as they were asked to. No method of randomizing learns from the drives it learns from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sciworld.config import require, whole
from sciworld.domains.driving.road.conditions import preset
from sciworld.domains.driving.road.expert import expert_controls
from sciworld.domains.driving.road.settings import RoadSettings
from sciworld.domains.driving.road.simulator import RoadSimulator
from sciworld.errors import RecordingError, SettingsError

ROWS, COLUMNS = 48, 72  # that every frame is brought to
DRIVES, STEPS, BATCH, RATE = 240, 600, 64, 2e-3
MOMENTS = (33, 40)  # steps after which a drive is looked at
SHADE = 0.1  # by which learned pictures are made brighter by chance
WEATHERS = ("clear_noon", "rain_noon", "fog_day", "snow_day", "clear_night", "dust_storm")


@dataclass(frozen=True, eq=False)
class WeatherJudge:
    """Tells weathers from each other.

    Parameters
    ----------
    weathers : names of presets, which it learned. net : of pictures (n, 3, ROWS, COLUMNS).
    """

    weathers: tuple[str, ...]
    net: nn.Module

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """The number of the weather that frames (n, y, x, 3), from 0 to 255, are taken for : (n,)."""
        with torch.inference_mode():
            parts = np.array_split(frames, max(1, len(frames) // 64))
            return np.concatenate([self.net(_seen(fitted(part))).argmax(dim=1).numpy() for part in parts])

    def share(self, frames: np.ndarray, weather: str) -> float:
        """The share of frames (n, y, x, 3) that it takes for a weather. Raises SettingsError for one it never saw."""
        if weather not in self.weathers:
            raise SettingsError(f"the judge never saw {weather!r:.80}; it knows {', '.join(self.weathers)}")
        return float((self(frames) == self.weathers.index(weather)).mean())


def fitted(frames: np.ndarray) -> np.ndarray:
    """Frames (n, y, x, 3) brought to (n, ROWS, COLUMNS, 3) float32, by means over what falls into a pixel.

    Raises RecordingError for frames that are no colours.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise RecordingError(f"frames are {frames.shape}; a judge of weathers needs three colours")
    shown = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    small = nn.functional.interpolate(shown, (ROWS, COLUMNS), mode="bilinear", antialias=True)
    return np.asarray(small.permute(0, 2, 3, 1).numpy())


def fit_judge(
    weathers: Sequence[str] = WEATHERS,
    seed: int = 81,
    drives: int = DRIVES,
    steps: int = STEPS,
    progress: Callable[[int, int], None] | None = None,
) -> WeatherJudge:
    """A judge of these presets, fitted to simulated drives. progress(done, steps).

    Raises SettingsError for unknown presets, or less than two.
    """
    require(len(set(weathers)) > 1, f"weathers are {tuple(weathers)!r:.80}; give two or more presets")
    names = tuple(weathers)
    conditions = [preset(name) for name in names]
    drives, steps = whole(drives, "drives", 2), whole(steps, "steps", 1)
    simulator = RoadSimulator(RoadSettings(rows=ROWS, columns=COLUMNS))
    state, states = simulator.start(drives, np.random.default_rng(seed)), []
    for at in range(1, max(MOMENTS) + 1):
        state = simulator.move(state, expert_controls(simulator, state))
        if at in MOMENTS:
            states.append(state)
    rng = np.random.default_rng([seed, 1])
    frames = [simulator.image(state.under(one), rng).frames for one in conditions for state in states]
    pictures = torch.from_numpy(np.concatenate(frames))
    classes = torch.from_numpy(np.repeat(np.arange(len(names)), len(states) * drives))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _network(len(names))
        adamw = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
        for step in range(steps):
            for group in adamw.param_groups:
                group["lr"] = RATE * (1.0 - step / steps)
            rows = torch.from_numpy(rng.choice(len(classes), BATCH))
            shown = _seen(pictures[rows].numpy()) * (1.0 + SHADE * torch.randn(BATCH, 1, 1, 1))
            loss = nn.functional.cross_entropy(net(shown), classes[rows])
            adamw.zero_grad()
            loss.backward()
            adamw.step()
            if progress is not None:
                progress(step + 1, steps)
    return WeatherJudge(names, net.eval())


def _network(classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, 2), nn.ReLU(), nn.Conv2d(16, 32, 3, 2), nn.ReLU(), nn.Conv2d(32, 48, 3, 2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Dropout(0.3), nn.Linear(432, classes),
    )  # fmt: skip


def _seen(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 128.0 - 1.0
