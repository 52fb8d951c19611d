"""Whether a policy gains by randomized drives: lane keeping by imitation, tested where nobody drove before.

One driver was recorded under a cloudy noon. Policies learn the expert's steering from those frames alone, from the same
with photometric jitter, or with variants in other weathers: drawn into the video, by a learned restyler, or anew by the
simulator; all for as many steps. Then they drive, in the trusted simulator, on other roads and in weathers that none of
the variants had.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from harness import Figure, Run
from randomize_learned import learned, variants

SOURCE = "cloudy_noon"
LEARNED = ("wet_noon", "clear_dawn", "fog_day", "snow_clear", "clear_night", "drizzle_dusk")
UNSEEN = ("rain_noon", "rain_night", "sunset", "fog_dawn", "fog_night", "snow_day", "snow_night", "dust_storm")
ARMS = ("real", "jitter", "video", "learned", "exact")
PLAIN, OURS = "real", "video"
ROWS, COLUMNS, STEP = 32, 56, 0.1  # pixels, and s a frame
DRIVES, FRAMES, WANDER = 80, 60, 0.5  # recorded; m by which the driver strays, so that there is something to correct
STEPS, BATCH, RATE = 2000, 64, 2e-3
SEEDS, TESTS, SECONDS = 5, 24, 8.0  # policies of each arm; drives in each weather, and how long
JITTER = 0.4  # of brightness, contrast and the three colours, either way


def gain(run: Run) -> Figure:
    """Success under unseen conditions, of randomized minus real alone, mean over seeds and weathers.

    spread : 95 % interval, by drawing seeds and drives with replacement. rows : of each arm, seed and weather the
    successes of every drive.
    """
    seeds, tests = (1, 3) if run.quick else (SEEDS, TESTS)
    rows = []
    for arm in ARMS:
        for seed in range(seeds):
            settings = {"arm": arm, "seed": seed, "tests": tests, "steps": _steps(run), "drives": _drives(run)}
            settings["constants"] = repr((LEARNED, UNSEEN, ROWS, COLUMNS, FRAMES, WANDER, RATE, SECONDS, JITTER))
            rows += run.cached(f"downstream-{arm}-{seed}", settings,
                               lambda arm=arm, seed=seed: _tested(run, arm, seed, tests))  # fmt: skip
    rivals = run.cached("downstream-rivals", {"tests": tests}, lambda: _rivals(tests))
    print(table([*rows, *rivals]))
    found = {arm: np.array([[row["success"] for row in rows if (row["arm"], row["seed"]) == (arm, seed)
                             and row["weather"] in UNSEEN] for seed in range(seeds)], dtype=float)
             for arm in (PLAIN, OURS)}  # fmt: skip
    apart = found[OURS] - found[PLAIN]  # (seed, weather, drive)
    rng = np.random.default_rng(0)
    drawn = [apart[rng.integers(seeds, size=seeds)][:, :, rng.integers(tests, size=tests)].mean() for _ in range(2000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Figure(float(apart.mean()), "1", (float(low), float(high)), [*rows, *rivals])


def _steps(run: Run) -> int:
    return 10 if run.quick else STEPS


def _drives(run: Run) -> int:
    return 4 if run.quick else DRIVES


def _simulator(weather: str = SOURCE) -> Any:
    from sciworld.domains.driving.road.settings import RoadSettings
    from sciworld.domains.driving.road.simulator import RoadSimulator

    return RoadSimulator(RoadSettings(rows=ROWS, columns=COLUMNS, step=STEP, vehicles=0, pedestrians=0), weather)


@cache
def _recorded(drives: int) -> tuple[list[np.ndarray], list[Any], np.ndarray]:
    """Frames (time, y, x, 3) and states of each drive, and what the expert would do: (drive, time) rad."""
    from sciworld.domains.driving.road.expert import drive, expert_controls

    simulator, rng = _simulator(), np.random.default_rng(91)
    seen, _, states = drive(simulator, simulator.start(drives, rng), FRAMES - 1, rng, WANDER)
    steering = np.stack([expert_controls(simulator, state)[:, 0] for state in states], axis=1)
    frames = np.stack([one.frames for one in seen], axis=1)
    return list(frames), states, steering


@cache
def _pool(run: Run, arm: str, drives: int) -> np.ndarray:
    """What an arm learns from : (variant, drive, time, y, x, 3) uint8; the first is the source."""
    frames, states, _ = _recorded(drives)
    if arm == "learned":  # by a restyler that saw other drives, in the weathers of the variants alone
        made = variants(learned(run, ROWS, COLUMNS, STEP, LEARNED, 93), np.stack(frames), LEARNED, STEP)
        return np.stack([np.stack(frames), *made.values()])
    if arm == "exact":
        simulator, rng = _simulator(), np.random.default_rng(0)
        anew = [np.stack([simulator.image(state.under(name), rng).frames for state in states], axis=1)
                for name in LEARNED]  # fmt: skip
        return np.stack([np.stack(frames), *anew])
    if arm == "video":
        return np.stack([np.stack(frames), *_videos(frames)])
    return np.stack(frames)[None]


def _videos(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Variants of each drive, drawn into the video : (drive, time, y, x, 3) of each weather."""
    from sciworld.domains.driving.randomize import Randomizing
    from sciworld.domains.driving.scene import Optics

    one = _simulator().settings
    horizon = 0.5 * (ROWS - 1) + one.focal * np.tan(np.radians(one.camera_pitch))
    settings = Randomizing("video", SOURCE, Optics(one.field_of_view, one.camera_height, float(horizon)))
    return list(variants(settings, np.stack(frames), LEARNED, STEP).values())


class _Steers:
    """A policy as a controller: it steers by the present frame, and keeps its speed."""

    def __init__(self, net: Any, scale: float) -> None:
        self.net, self.scale = net, scale

    def start(self, n: int, rng: np.random.Generator) -> None:
        """It remembers nothing."""

    def act(self, state: None, observation: Any) -> tuple[np.ndarray, None]:
        """Steering in rad, no acceleration."""
        import torch

        with torch.inference_mode():
            told = self.net(_seen(torch.from_numpy(observation.frames)))[:, 0].numpy().astype(np.float64)
        return np.column_stack([np.clip(self.scale * told, -0.5, 0.5), np.zeros(len(told))]), None


def _seen(pictures: Any) -> Any:
    return pictures.permute(0, 3, 1, 2).float() / 128.0 - 1.0


def _policy(run: Run, arm: str, seed: int) -> _Steers:
    """Imitates the expert's steering by the arm's frames."""
    import torch

    pool, (_, _, steering) = _pool(run, arm, _drives(run)), _recorded(_drives(run))
    scale, rng = float(steering.std()), np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 24, 5, 2, 2), torch.nn.ReLU(), torch.nn.Conv2d(24, 36, 3, 2, 1), torch.nn.ReLU(),
            torch.nn.Conv2d(36, 48, 3, 2, 1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Dropout(0.1),
            torch.nn.Linear(48 * -(-ROWS // 8) * -(-COLUMNS // 8), 64), torch.nn.ReLU(), torch.nn.Linear(64, 1),
        )  # fmt: skip
        adamw = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.02)
        for step in range(_steps(run)):
            for group in adamw.param_groups:
                group["lr"] = RATE * (1.0 - step / _steps(run))
            variant, drive, at = (rng.integers(size, size=BATCH) for size in pool.shape[:3])
            shown = _seen(torch.from_numpy(pool[variant, drive, at]))
            if arm == "jitter":
                gain = 1.0 + JITTER * (2.0 * torch.rand(BATCH, 4, 1, 1) - 1.0)
                middle, offset = shown.mean(dim=(2, 3), keepdim=True), JITTER * (2.0 * torch.rand(BATCH, 1, 1, 1) - 1.0)
                shown = ((shown - middle) * gain[:, :1] + middle + offset + 1.0) * gain[:, 1:] - 1.0
                shown = shown.clip(-1.0, 1.0)
            wanted = torch.from_numpy((steering[drive, at] / scale).astype(np.float32))
            loss = torch.nn.functional.smooth_l1_loss(net(shown)[:, 0], wanted)
            adamw.zero_grad()
            loss.backward()
            adamw.step()
    return _Steers(net.eval(), scale)


def _tested(run: Run, arm: str, seed: int, tests: int) -> list[dict[str, Any]]:
    """One row a weather."""
    policy = _policy(run, arm, seed)
    return [{"arm": arm, "seed": seed, "weather": name, "success": _kept(policy, name, tests)}
            for name in (SOURCE, *LEARNED, *UNSEEN)]  # fmt: skip


def _rivals(tests: int) -> list[dict[str, Any]]:
    """The expert, who knows the truth, and nobody at the wheel; weather is nothing to either."""
    from sciworld.search.receding import FixedPlan
    from sciworld.tasks.lane_keeping import Episodes, Expert

    drawn = Episodes.draw(_simulator(), tests, SECONDS, 92)
    who = {"expert": Expert(drawn.simulator, drawn.state.road), "nobody": FixedPlan(np.zeros((drawn.steps, 2)))}
    return [{"arm": name, "seed": 0, "weather": weather, "success": drawn.judge(one, name, 1, None).success.tolist()}
            for name, one in who.items() for weather in UNSEEN]  # fmt: skip


def _kept(policy: _Steers, weather: str, tests: int) -> list[bool]:
    """Whether each drive stayed in its lane."""
    from sciworld.tasks.lane_keeping import Episodes

    drawn = Episodes.draw(_simulator(weather), tests, SECONDS, 92)
    found: list[bool] = drawn.judge(policy, "imitates", 1, None).success.tolist()
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Success by arm: where it was recorded, in the weathers of the variants, and in each unseen one, as Markdown."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    lines = [f"| arm | {SOURCE} | of the variants | unseen | {' | '.join(UNSEEN)} |", "|---" * (4 + len(UNSEEN)) + "|"]
    for arm in arms:
        cells = []
        for part in ((SOURCE,), LEARNED, UNSEEN, *((name,) for name in UNSEEN)):
            own = [row["success"] for row in rows if row["arm"] == arm and row["weather"] in part]
            cells.append(f"{np.mean(own):.2f}" if own else "")
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)
