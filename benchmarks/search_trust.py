"""Whether a search knows where its surrogate does not: presents and controls outside of what was recorded.

Nothing is trained: `Familiar` is made of three quarters of the sessions, and asked of the others, of frames of the same
simulator under other conditions, and of controls whose every number was played, but not together.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from harness import Figure, Run

HELD_OUT, SPLIT = 0.25, 11  # of the sessions
STEPS = 8  # of a plan
PLANS, FRAMES = 300, 200  # of each kind
NEAR = 2.8  # A: a beam so close to the silicon may have been recorded there


def refusal(run: Run) -> Figure:
    """Area under the curve of refusals (Hanley and McNeil 1982, Radiology 143, 29), the worst of all cases.

    rows : each domain's conditions and controls, with the quartiles of the distances inside and outside.
    """
    rows = [row for domain in (_stem, _flow, _road) for row in domain(run)]
    areas = [row["auroc"] for row in rows]
    return Figure(min(areas), "1", (min(areas), max(areas)), rows)


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """The chance that what is outside is farther than what is inside; ties count half."""
    above, alike = outside[:, None] > inside, outside[:, None] == inside
    return float((above + 0.5 * alike).mean())


def _stem(run: Run) -> list[dict[str, Any]]:
    from sciworld.domains.stem.locate import locate
    from sciworld.domains.stem.simulator import StemSettings, StemSimulator

    near, held = _split("si-graphene-sim-tiny", run)
    others = {}
    changes: dict[str, dict[str, float]] = {
        "half the light": {"carbon_counts": 6.0},
        "twice the light": {"carbon_counts": 24.0},
        "out of focus": {"probe_sigma": 0.7},
        "background": {"background": 0.3},
    }
    for name, change in changes.items():
        simulator, rng = StemSimulator(StemSettings(**change)), np.random.default_rng(5)  # type: ignore[arg-type]
        others[name] = simulator.expose(simulator.start(20 if run.quick else FRAMES, rng), rng)[0].frames

    def strange(plans: np.ndarray, frames: np.ndarray, view: np.ndarray) -> np.ndarray:
        silicon = locate(frames, view).silicon
        return ~(np.abs(plans[:, 0, :2] - silicon) < NEAR).all(axis=1)

    return _rows("stem", near, held, others, 1, strange, run)


def _flow(run: Run) -> list[dict[str, Any]]:
    from sciworld.domains.fluid.generate import generate

    with tempfile.TemporaryDirectory() as scratch:

        def wakes(name: str, seed: int, episodes: int, **settings: Any) -> Any:
            return generate(Path(scratch) / name, seed, episodes=episodes, actions=60, **settings)

        # An operator who swings the jets, or lets them heed the flow: no jumps.
        smooth = wakes("smooth", 3, 4 if run.quick else 32, controls=("smooth", "expert"))
        near, held = _split(smooth, run)
        speeds = (50.0, 200.0) if run.quick else (50.0, 70.0, 150.0, 200.0)
        others = {
            f"Reynolds {speed:g}": _frames(wakes(f"re{speed:g}", 7, 4, controls=("smooth", "expert"), reynolds=speed))
            for speed in speeds
        }
    return _rows("flow", near, held, others, STEPS, None, run)


def _road(run: Run) -> list[dict[str, Any]]:
    import tomllib

    from sciworld.domains.driving.road.generate import generate

    path = Path(__file__).resolve().parents[1] / "datasets_catalog" / "road-sim-lane.toml"
    lane = tomllib.loads(path.read_text())["settings"]
    common = {name: value for name, value in lane.items() if name not in ("episodes", "steps", "conditions")}
    with tempfile.TemporaryDirectory() as scratch:

        def drives(weather: str, seed: int, episodes: int) -> Any:
            place = Path(scratch) / f"{weather}-{seed}"
            return generate(place, seed, episodes, 40, ("smooth", "held"), weather, **common)

        near, held = _split(drives("clear_noon", 3, 24 if run.quick else 160), run)
        weathers = ("fog_day", "clear_night") if run.quick else (
            "cloudy_noon", "wet_noon", "rain_noon", "fog_day", "snow_day", "sunset", "clear_night", "dust_storm",
        )  # fmt: skip
        others = {weather: _frames(drives(weather, 7, 4 if run.quick else 16)) for weather in weathers}
    return _rows("road", near, held, others, STEPS, None, run)


def _split(data: Any, run: Run) -> tuple[Any, list[xr.Dataset]]:
    """What is familiar of three quarters of the sessions; and the recordings of the others."""
    from sciworld import catalog
    from sciworld.controls import ControlSpace
    from sciworld.familiar.familiar import Familiar
    from sciworld.recording import control_table
    from sciworld.store import Store

    store = Store.open(catalog.fetch(data)) if isinstance(data, str) else data
    held, seen = store.split((HELD_OUT, 1 - HELD_OUT), SPLIT)
    recordings = [held[i] for i in range(len(held))]
    return Familiar.of(seen, ControlSpace(control_table(recordings[0]))), recordings


def _frames(store: Any) -> np.ndarray:
    frames = np.concatenate([store[i]["frames"].values for i in range(len(store))])
    return frames[:: max(1, len(frames) // FRAMES)]


def _rows(
    domain: str,
    near: Any,
    held: Sequence[xr.Dataset],
    others: dict[str, np.ndarray],
    steps: int,
    strange: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None,
    run: Run,
) -> list[dict[str, Any]]:
    """One row for each other condition, and one for controls that were not played together.

    strange : plans (n, step, control), frames and views of their presents -> (n,), which of them are strange in truth.
    """
    from sciworld.simulator import Observation

    def seen(frames: np.ndarray, view: np.ndarray | None = None) -> Observation:
        return Observation(frames, np.zeros(len(frames)), np.zeros((len(frames), 6)) if view is None else view)

    inside = near.presents(seen(np.concatenate([ds["frames"].values for ds in held])))
    rows = [_row(domain, name, inside, near.presents(seen(frames))) for name, frames in others.items()]
    rng = np.random.default_rng(0)
    frames, view, plans = _windows(held, steps, 40 if run.quick else PLANS, rng)
    pool = plans.reshape(-1, plans.shape[2])
    mixed = np.stack([rng.choice(column, plans.shape[:2]) for column in pool.T], axis=2)
    chosen = np.ones(len(mixed), dtype=bool) if strange is None else strange(mixed, frames, view)
    played = near.plans(seen(frames, view), plans[:, None])[:, 0]
    never = near.plans(seen(frames[chosen], view[chosen]), mixed[chosen, None])[:, 0]
    return [*rows, _row(domain, "controls never played together", played, never)]


def _windows(
    held: Sequence[xr.Dataset], steps: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Presents (n, y, x, channel), their views (n, 6), and the controls (n, step, control) that followed."""
    long = [ds for ds in held if ds.sizes["time"] > steps]
    parts = []
    for ds in (long[i] for i in rng.integers(len(long), size=count)):
        first = int(rng.integers(ds.sizes["time"] - steps))
        parts.append(
            [ds[name].values[first] for name in ("frames", "view")] + [ds["controls"].values[first : first + steps]]
        )
    frames, view, plans = (np.stack(values) for values in zip(*parts, strict=True))
    return frames, view, plans


def _row(domain: str, case: str, inside: np.ndarray, outside: np.ndarray) -> dict[str, Any]:
    quartiles = {
        name: np.quantile(v, [0.25, 0.5, 0.75]).tolist() for name, v in (("inside", inside), ("outside", outside))
    }
    refused = {"inside_refused": float((inside > 1.25).mean()), "outside_refused": float((outside > 1.25).mean())}
    return {"domain": domain, "case": case, "auroc": auroc(inside, outside), **quartiles, **refused}
