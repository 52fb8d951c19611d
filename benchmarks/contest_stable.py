"""For how many frames a surrogate that runs freely still shows what the domain's checks pass.

From frames of held-out recordings each future runs under their own controls as long as these last. Then it goes on, two
actions at a time, under those that a held-out recording had where it read like the imagined present: so beams stay near
the silicon. Most recorded drives leave the road, and would if they were true: there a law steers by the lines that the
checks see, at a steady speed; it holds the simulator's cars on their lane.

A check is one bounded quantity of `Domain.physics`, fitted on what was trained on, in one frame; it fails out of its
bounds, or where nothing can be read. A future is stable up to the first stretch of frames in which more checks fail
than in its own recording, or in all held-out ones in the mean, whichever is more, and a tenth: one check of six that
fails for good is more than that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from contest_entrants import Entrant, Options, trained
from contest_jobs import ARENAS, domain_of, halves, surrogate_of
from harness import Figure, Run

FRAMES, STARTS = 600, 8
STRETCH = 20  # frames whose checks are counted together
TOLERANCE = 0.1  # of all checks, that more may fail than in recordings
PLAYED = 2  # actions of a recording, before another is looked for
ALIKE = 8  # recorded moments most alike, of which chance takes one
# Readings by which they are alike: they say where something is, and depend least on the last control.
PLACES = {"stem": ("silicon_x", "silicon_y"), "flow": ("enstrophy", "drag", "lift"), "road": ("line_offset",)}
# rad of steering to the left for a m and a m/frame that the line is off: the simulator's cars stay within half a metre.
STEERING, AGAINST, MOST = "steering", (0.03, 1.2), 0.3


@dataclass(frozen=True, eq=False)
class Recorded:
    """What held-out recordings say of controls and checks.

    Parameters
    ----------
    physics : of the domain. held : the recordings. failing : (recording,) share of their checks.
    places : (moment, reading) in standard deviations. played : (moment, PLAYED, control), what came after them.
    middle, scale : (reading,) of the places.
    """

    physics: Any
    held: list[Any]
    failing: np.ndarray
    places: np.ndarray
    played: np.ndarray
    middle: np.ndarray
    scale: np.ndarray

    def after(self, readings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Controls (n, PLAYED, control) that came where the places were like readings (n, reading); any for NaN."""
        chosen = []
        for row in (readings - self.middle) / self.scale:
            apart = ((self.places - row) ** 2).sum(axis=1)
            near = np.argsort(apart)[:ALIKE] if np.isfinite(row).all() else np.arange(len(apart))
            chosen.append(self.played[rng.choice(near)])
        return np.stack(chosen)


@cache
def recorded(store: str, quick: bool) -> Recorded:
    """Of a store of the contest."""
    seen, held = halves(store, quick)
    physics, kept = physics_of(store, seen, quick), [held[k] for k in range(len(held))]
    names = physics.quantities.names
    columns = [names.index(name) for name in PLACES[store] if name in names]
    failing, places, played = [], [], []
    for ds in kept:
        controls = ds["controls"].values[:-1]
        read = physics(ds["frames"].values[None].astype(np.float32), ds["view"].values[:1], controls[None])[0]
        failing.append(float(np.mean(fails(read, physics))))
        if len(controls) > 2 * PLAYED:
            moments = np.arange(PLAYED + 1, len(controls) - PLAYED + 1)  # reading k is of frame k + 1
            places.append(np.concatenate([read[moments - 1 - back][:, columns] for back in (0, PLAYED)], axis=1))
            played.append(controls[moments[:, None] + np.arange(PLAYED)])
    where, what = np.concatenate(places), np.concatenate(played)
    known = np.isfinite(where).all(axis=1) & np.isfinite(what).all(axis=(1, 2))
    middle, scale = where[known].mean(axis=0), where[known].std(axis=0) + 1e-9
    return Recorded(physics, kept, np.array(failing), (where[known] - middle) / scale, what[known], middle, scale)


def physics_of(store: str, seen: Any, quick: bool) -> Any:
    """The domain's checks; in the quick run those of the road learn less."""
    from sciworld.domains.base import domain
    from sciworld.domains.driving import physics

    if store == "road" and quick:
        return physics.fit(seen, physics.PhysicsSettings(frames=100, pairs=50, scenes=40, steps=10))
    return domain(domain_of(store)).physics(seen)


def fails(read: np.ndarray, physics: Any) -> np.ndarray:
    """Whether each bounded quantity fails : (..., check) bool, of readings (..., quantity)."""
    ends = [[np.nan if end is None else end for end in (one.low, one.high)] for one in physics.quantities]
    low, high = np.array(ends).T
    bounded = ~(np.isnan(low) & np.isnan(high))
    return ((read < low) | (read > high) | np.isnan(read))[..., bounded]


def checks(physics: Any) -> list[str]:
    """The names of the bounded quantities."""
    return [one.name for one in physics.quantities if one.low is not None or one.high is not None]


def stable(surrogate: Any, store: str, starts: int, frames: int, quick: bool = False) -> list[dict[str, Any]]:
    """How long futures from so many frames of held-out recordings stay stable : a row for each.

    A row has the frames that it was stable for, at most `frames`; the check that failed most in the stretch that ended
    it, or ""; the shares of all checks that failed in the first stretch, in that one, and in all frames; and what was
    allowed.
    """
    known = recorded(store, quick)
    names, rng = checks(known.physics), np.random.default_rng(0)
    chosen = places_to_start(known.held, starts, surrogate.model.context)
    failed = run_freely(surrogate, store, known, chosen, frames, rng)
    rows = []
    for (index, frame), one in zip(chosen, failed, strict=True):
        allowed = max(known.failing[index], float(known.failing.mean())) + TOLERANCE
        share = [float(one[k : k + STRETCH].mean()) for k in range(0, frames, STRETCH)]
        broken = next((k for k, value in enumerate(share) if value > allowed), None)
        stretch = one[-STRETCH:] if broken is None else one[broken * STRETCH :][:STRETCH]
        rows.append(
            {
                "store": store, "recording": index, "frame": frame,
                "stable": frames if broken is None else broken * STRETCH,
                "failed": "" if broken is None else names[int(stretch.mean(axis=0).argmax())],
                "allowed": allowed, "first": share[0], "last": float(stretch.mean()), "all": float(one.mean()),
                "by_check": {name: float(value) for name, value in zip(names, stretch.mean(axis=0), strict=True)},
            }
        )  # fmt: skip
    return rows


def steered(readings: np.ndarray, columns: tuple[str, ...]) -> np.ndarray:
    """Controls (n, PLAYED, control) back to the lane, of the line's offsets now and PLAYED frames ago (n, 2) in m."""
    now, before = np.nan_to_num(readings).T
    law = -AGAINST[0] * now - AGAINST[1] * (now - before) / PLAYED
    controls = np.zeros((len(readings), PLAYED, len(columns)))
    controls[..., columns.index(STEERING)] = np.clip(law, -MOST, MOST)[:, None]
    return controls


def places_to_start(held: list[Any], starts: int, context: int) -> list[tuple[int, int]]:
    """Recordings and frames to start from: the recordings in turn, each from later and later frames."""
    found = []
    for k in range(starts):
        ds = held[k % len(held)]
        rounds = -(-starts // len(held))
        room = len(ds["time"]) - 1 - context
        found.append((k % len(held), context - 1 + room * (k // len(held)) // rounds))
    return found


def run_freely(
    surrogate: Any, store: str, known: Recorded, chosen: list[tuple[int, int]], frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Which checks fail in each frame of futures from the chosen frames : (start, frame, check) bool."""
    from contest_flow import start

    physics, names = known.physics, known.physics.quantities.names
    columns = [names.index(name) for name in PLACES[store] if name in names]
    state = start(surrogate, [known.held[k] for k, _ in chosen], [frame for _, frame in chosen])
    own = [known.held[k]["controls"].values[frame:-1] for k, frame in chosen]
    views, before = state.observation.view, state.observation.frames[:, None]
    failed = []
    readings = np.full((len(chosen), 2 * len(columns)), np.nan)
    for begin in range(0, frames, PLAYED):
        if store == "road":
            controls = steered(readings, surrogate.space.table.names)
        else:
            controls = known.after(readings, rng)
            for k, row in enumerate(own):
                left = row[begin : begin + PLAYED]
                controls[k, : len(left)] = left
        seen = [before]
        for action in range(PLAYED):
            observation, state = surrogate.step(state, controls[:, action], rng)
            seen.append(observation.frames[:, None])
        read = physics(np.concatenate(seen, axis=1), views, controls)
        failed.append(fails(read, physics))
        now = np.where(np.isnan(read[:, -1, columns]), readings[:, : len(columns)], read[:, -1, columns])
        readings, before = np.concatenate([now, readings[:, : len(columns)]], axis=1), seen[-1]
    return np.concatenate(failed, axis=1)[:, :frames]


def stable_frames(entrants: dict[str, Entrant], options: Options, run: Run) -> Figure:
    """The median over starts of the store that is worst for the entrant that is best there; rows : every start."""
    starts, frames = (2, 8) if run.quick else (STARTS, FRAMES)
    rows: list[dict[str, Any]] = []
    best = []
    for store in ARENAS:
        medians = []
        for name, entrant in entrants.items():
            if store not in entrant.stores or len(entrant.seeds) > 1:
                continue
            folder, _ = trained(run, options, store, entrant, entrant.seeds[0])
            job = {"folders": [str(folder)], "family": entrant.family, "evaluations": entrant.evaluations}
            measure = partial(_measured, job, store, starts, frames, run.quick)
            settings = {**job, "folders": [folder.name], "starts": starts, "frames": frames}
            found = run.cached(f"{store}-{name}-stable", settings, measure)
            rows += [{"entrant": name, **row} for row in found]
            medians.append(float(np.median([row["stable"] for row in found])))
        best.append(max(medians))
    return Figure(min(best), "frames", (min(best), max(best)), rows)


def _measured(job: dict[str, Any], store: str, starts: int, frames: int, quick: bool) -> list[dict[str, Any]]:
    return stable(surrogate_of(job), store, starts, frames, quick)
