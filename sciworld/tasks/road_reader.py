"""Where a car is on its road, how far the next one is and how fast it drives, read from a few frames in a row.

Small convolutional networks, fitted to recordings whose states are known: shadows and houses change a picture more
than a metre to the side does, and speed is seen in no single frame. It is fitted to what a surrogate imagines as well,
which is smoother than what a camera sees; and there place and speed are told the controls, too: a short training leaves
what steering and braking do within a second half unsaid, in frames that are right to a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sciworld.domains.reader import measured
from sciworld.errors import RecordingError
from sciworld.simulator import Observation
from sciworld.store import Store
from sciworld.surrogate.surrogate import Surrogate
from sciworld.tensors import cast, constant, functions

SEEN = 3  # frames in a row
STATES = ("road_offset", "gap", "speed")
NEAREST, FARTHEST = 0.5, 60.0  # m: gaps are told between these, and no vehicle is as one that is far
ASIDE = 1.0  # m beyond the lanes' middles: frames from farther away teach nothing
STILL = 4  # one measured run of so many is shown as a car sees it that stands: the last frame, again and again
IMAGINED = 12_000  # windows that the surrogate imagines on
NETS = 3  # of which the mean is read
BATCH, RATE = 64, 2e-3
SHADE, GRAIN = 0.1, 0.1  # by which frames are made brighter and noisier by chance, in units of their spread
SCALE = 5.0  # m/s


@dataclass(frozen=True, eq=False)
class RoadReader:
    """Reads STATES from frames.

    Parameters
    ----------
    net : of frames (n, SEEN * channel, y, x), whose logarithms are centred and divided by `mean` and `spread`, and of
        what was played since the last measured frame (n, 2), to three numbers.
    error : (state,) mean absolute errors in m, m and m/s on recordings that were left out.
    """

    net: nn.Module
    mean: float
    spread: float
    error: np.ndarray

    def __call__(self, frames: np.ndarray, played: np.ndarray | None = None) -> np.ndarray:
        """Place in m left of the road's middle, gap in m and speed in m/s : (..., time - SEEN + 1, 3), of frames
        (..., time, y, x, channel), each from itself and those before.

        played : (..., time, 2) sums of controls since the last measured frame, see `summed`; None where all were
        measured. Of tensors it reads tensors, with their gradients.
        """
        last = frames.shape[-4] - SEEN + 1
        runs = [frames[..., k : k + last, :, :, :] for k in range(SEEN)]
        windows = functions(frames).stack(runs, axis=-4)  # (..., time, SEEN, y, x, channel)
        lead = windows.shape[:-4]
        sums = constant(np.zeros((*lead, 2)), frames)
        if played is not None:
            sums = sums + played[..., SEEN - 1 :, :]
        told, given = torch.as_tensor(cast(sums.reshape(-1, 2), "float32")), isinstance(frames, torch.Tensor)
        with torch.inference_mode(not given):
            seen = _seen(windows.reshape(-1, *windows.shape[-4:]), self.mean, self.spread)
            read = self.net(seen, told)
        return _told(cast(read if given else read.numpy(), "float64")).reshape(*lead, len(STATES))


def _seen(windows: np.ndarray, mean: float, spread: float) -> torch.Tensor:
    """Frames (n, SEEN, y, x, channel) as the network takes them."""
    xp = functions(windows)
    logs = (xp.log(cast(windows, "float32").clip(min=0.0) + 10.0) - mean) / spread
    n, t, y, x, c = logs.shape
    return torch.as_tensor(xp.moveaxis(logs, -1, 2).reshape(n, t * c, y, x))


def _asked(states: np.ndarray) -> np.ndarray:
    """What the network tells of states (..., 3): gaps by their logarithm, as pictures grow."""
    gap = np.clip(np.where(np.isnan(states[..., 1]), FARTHEST, states[..., 1]), NEAREST, FARTHEST)
    return np.stack([states[..., 0], np.log(gap), states[..., 2] / SCALE], axis=-1).astype(np.float32)


def _told(read: np.ndarray) -> np.ndarray:
    xp = functions(read)
    gap = xp.exp(read[..., 1].clip(float(np.log(NEAREST)), float(np.log(FARTHEST))))
    states: np.ndarray = xp.stack([read[..., 0], gap, (read[..., 2] * SCALE).clip(min=0.0)], axis=-1)
    return states


def fit_road_reader(
    store: Store, surrogate: Surrogate, steps: int, seed: int, horizon: int, imagined: int = IMAGINED
) -> RoadReader:
    """The reader of frames such as the store's, and such as the surrogate imagines up to `horizon` steps ahead.

    steps : of fitting, of each network. imagined : windows that the surrogate imagines on, about. Every fifth recording
    is left out to tell the errors. Raises RecordingError where the states have no place on the road, gap or speed.
    """
    rng = np.random.default_rng([seed, 21])
    both = zip(_recorded(store), _imagined(store, surrogate, horizon, imagined, rng), strict=True)
    windows, played, states, number = (np.concatenate(parts) for parts in both)
    logs = np.log(windows[:: max(1, len(windows) // 500)] + 10.0)
    scale = float(logs.mean()), float(logs.std())
    left, wanted = number % 5 == 4, _asked(states)
    nets = [_network(windows.shape, wanted[~left], NETS * seed + k) for k in range(NETS)]
    for one in nets:
        _learn(one, (windows, played, wanted), np.flatnonzero(~left), steps, scale, rng)
    net = _Mean(nets)
    found, wrong = RoadReader(net, *scale, np.full(len(STATES), np.nan)), []
    for rows in np.array_split(np.flatnonzero(left), max(1, left.sum() // 500)):
        sums = np.repeat(played[rows, None], SEEN, axis=1)
        wrong.append(np.abs(found(windows[rows], sums)[:, 0] - _told(wanted[rows].astype(np.float64))))
    return RoadReader(net, *scale, np.concatenate(wrong).mean(axis=0))


def _recorded(store: Store) -> tuple[np.ndarray, ...]:
    """Runs of frames (n, SEEN, y, x, channel), nothing played (n, 2), states (n, 3) of the last, and whose (n,)."""
    parts = []
    for index in range(len(store)):
        ds = store.lazily(index)
        states = measured(ds, STATES)
        if len(states) < SEEN:
            continue
        frames = np.moveaxis(np.lib.stride_tricks.sliding_window_view(ds["frames"].values, SEEN, axis=0), -1, 1)
        rows = _near(states[SEEN - 1 :])
        seen, known = frames[rows], states[SEEN - 1 :][rows]
        # Hardly anybody who records stands, and whoever is to stop must be told when it does.
        still, standing = seen[::STILL, -1:].repeat(SEEN, axis=1), known[::STILL].copy()
        standing[:, 2] = 0.0
        seen, known = np.concatenate([seen, still]), np.concatenate([known, standing])
        parts.append((seen, np.zeros((len(seen), 2), dtype=np.float32), known, np.full(len(seen), index)))
    if not sum(len(part[1]) for part in parts):
        raise RecordingError(f"{store.path}: no {SEEN} frames in a row on the road; record longer drives")
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def _near(states: np.ndarray) -> np.ndarray:
    """Those of states (n, 3) on, or hardly beside, the own half of the road."""
    place = states[:, 0]
    return np.flatnonzero((place < ASIDE) & (place > -12.0) & np.isfinite(states[:, 2]))


def _imagined(
    store: Store, surrogate: Surrogate, horizon: int, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """The same of what the surrogate imagines under recorded controls, with the sums of these."""
    context, parts = surrogate.model.context, []
    lengths = np.array([len(store.lazily(index)["time"]) for index in range(len(store))])
    long = np.flatnonzero(lengths >= context + horizon)
    each = -(-most // max(len(long), 1))
    for index in long:
        ds = store[int(index)]
        frames, controls, states = ds["frames"].values, ds["controls"].values, measured(ds, STATES)
        begins = rng.integers(0, lengths[index] - context - horizon + 1, each)
        history = [
            Observation(frames[begins + k], np.zeros(each), ds["view"].values[begins + k]) for k in range(context)
        ]
        now = begins + context - 1
        played = np.stack([controls[at : at + horizon] for at in now])
        futures = surrogate.futures(surrogate.start(history), played[:, None], 0, rng)[:, 0, 0]
        runs = np.moveaxis(np.lib.stride_tricks.sliding_window_view(futures, SEEN, axis=1), -1, 2)
        true = np.stack([states[at + SEEN : at + horizon + 1] for at in now])
        seconds = float(np.diff(ds["time"].values).mean())
        sums = summed(played, seconds)[:, SEEN - 1 :].reshape(-1, 2).astype(np.float32)
        runs, true = runs.reshape(-1, *runs.shape[2:]), true.reshape(-1, len(STATES))
        rows = _near(true)
        kept = np.clip(np.rint(runs[rows]), 0, 255).astype(np.uint8)
        parts.append((kept, sums[rows], true[rows], np.full(len(rows), index)))
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def summed(controls: np.ndarray, seconds: float) -> np.ndarray:
    """What controls (..., step, 2) add up to by the end of each step : (..., step, 2). Of steering in rad its sum of
    sums, as it moves a car to the side, 10 rad s^2; of acceleration its sum, m/s."""
    xp, sums = functions(controls), seconds * controls.cumsum(axis=-2)
    found: np.ndarray = xp.stack([10.0 * seconds * sums[..., 0].cumsum(axis=-1), sums[..., 1]], axis=-1)
    return found


class _Net(nn.Module):
    """Three halvings and two layers; what comes out has the mean and the spread of what is wanted."""

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self, channels: int, shape: tuple[int, ...], wanted: np.ndarray) -> None:
        super().__init__()
        y, x = (-(-side // 8) for side in shape)
        self.look = nn.Sequential(
            nn.Conv2d(channels, 32, 5, 2, 2), nn.ReLU(), nn.Conv2d(32, 48, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(48, 64, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2),
        )  # fmt: skip
        self.tell = nn.Sequential(nn.Linear(64 * y * x + 2, 96), nn.ReLU(), nn.Linear(96, 2))
        # Who recorded braked for what was near: told the controls, a gap would be guessed from them.
        self.gap = nn.Sequential(nn.Linear(64 * y * x, 96), nn.ReLU(), nn.Linear(96, 1))
        self.register_buffer("mean", torch.from_numpy(wanted.mean(axis=0)))
        self.register_buffer("spread", torch.from_numpy(wanted.std(axis=0) + 1e-3))

    def forward(self, frames: torch.Tensor, played: torch.Tensor) -> torch.Tensor:
        seen = self.look(frames)
        place, speed = self.tell(torch.cat([seen, played], dim=1)).unbind(dim=1)
        read: torch.Tensor = torch.stack([place, self.gap(seen)[:, 0], speed], dim=1)
        return read * self.spread + self.mean


class _Mean(nn.Module):
    """What several networks tell on average: each errs elsewhere where little was recorded."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, frames: torch.Tensor, played: torch.Tensor) -> torch.Tensor:
        return torch.stack([net(frames, played) for net in self.nets]).mean(dim=0)


def _network(shape: tuple[int, ...], wanted: np.ndarray, seed: int) -> _Net:
    """The network of windows of this shape, with weights by the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _Net(shape[1] * shape[-1], shape[2:4], wanted).eval()


def _learn(
    net: _Net,
    known: tuple[np.ndarray, np.ndarray, np.ndarray],
    taught: np.ndarray,
    steps: int,
    scale: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Mean absolute errors, in units of what is wanted, by AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101)."""
    adamw = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
    net.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**62)))
        for step in range(steps):
            for group in adamw.param_groups:
                group["lr"] = RATE * min(1.0, 1.5 * (1.0 - step / steps))
            rows = rng.choice(taught, BATCH)
            windows, played, wanted = (part[rows] for part in known)
            frames = _seen(windows, *scale)
            light, offset, grain = torch.randn(3, BATCH, 1, 1, 1)
            frames = frames * (1.0 + SHADE * light) + SHADE * offset + GRAIN * grain * torch.randn_like(frames)
            wrong = net(frames, torch.from_numpy(played)) - torch.from_numpy(wanted)
            adamw.zero_grad()
            (wrong / net.spread).abs().mean().backward()
            adamw.step()
    net.eval()
