"""Clips with known faults, and the measure that is meant to see each: the table of the docs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness import Figure, Run
from sciworld.measures import control, fields, objects, pixels

TIME, Y, X = 12, 40, 56
NOISE = 0.02  # of the camera
THRESHOLD = 0.35
CLIPS = 8


@dataclass(frozen=True)
class Clip:
    """A spot that is pushed along x by its control, one that stands still, and small ripples all over.

    present : (y, x). clean, frames : (time, y, x) without and with noise. places : (time,) of the pushed spot along x.
    controls : (time,) pixels that it moves.
    """

    present: np.ndarray
    clean: np.ndarray
    frames: np.ndarray
    places: np.ndarray
    controls: np.ndarray


def spot(row: float, column: float) -> np.ndarray:
    """One of height 1 and 2 pixels wide."""
    y, x = np.mgrid[:Y, :X]
    return np.asarray(np.exp(-0.125 * ((y - row) ** 2 + (x - column) ** 2)))


def ripples() -> np.ndarray:
    """Fine structure that does not move."""
    y, x = np.mgrid[:Y, :X]
    return np.asarray(0.05 * np.sin(2 * np.pi * 9 * x / X) * np.sin(2 * np.pi * 8 * y / Y))


def scene(column: float) -> np.ndarray:
    """Both spots, and the ripples."""
    return spot(12, column) + spot(30, 44) + ripples()


def clip(seed: int, controls: np.ndarray | None = None) -> Clip:
    """A clip of given controls, or of drawn ones."""
    rng = np.random.default_rng(seed)
    drawn = rng.uniform(0.5, 2.5, TIME) * rng.choice([-1, 1, 1], TIME)
    controls = drawn if controls is None else controls
    places = np.clip(14 + np.cumsum(controls), 6, X - 8)
    clean = np.stack([scene(at) for at in places])
    noise = NOISE * rng.standard_normal((TIME + 1, Y, X))
    return Clip(scene(14) + noise[0], clean, clean + noise[1:], places, np.diff(np.concatenate([[14], places])))


def blurred(true: Clip, rng: np.random.Generator) -> np.ndarray:
    """Each pixel the mean of 3 x 3."""
    padded = np.pad(true.clean, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return sum(padded[:, i : i + Y, j : j + X] for i in range(3) for j in range(3)) / 9


def frozen(true: Clip, rng: np.random.Generator) -> np.ndarray:
    """The present, again and again."""
    return np.repeat(true.present[None], TIME, axis=0)


def shifted(true: Clip, rng: np.random.Generator) -> np.ndarray:
    """A frame late."""
    return np.concatenate([scene(14)[None], true.clean[:-1]])


def removed(true: Clip, rng: np.random.Generator) -> np.ndarray:
    """The spot that stands still is gone from the middle on."""
    return true.clean - spot(30, 44) * (np.arange(TIME) >= TIME // 2)[:, None, None]


def duplicated(true: Clip, rng: np.random.Generator) -> np.ndarray:
    """It stands in two places from the middle on."""
    return true.clean + spot(30, 12) * (np.arange(TIME) >= TIME // 2)[:, None, None]


def teleported(true: Clip, rng: np.random.Generator) -> np.ndarray:
    """It is somewhere else from the middle on."""
    return removed(true, rng) + spot(30, 12) * (np.arange(TIME) >= TIME // 2)[:, None, None]


def other_controls(true: Clip, rng: np.random.Generator) -> np.ndarray:
    """What shuffled controls lead to."""
    return clip(int(rng.integers(1 << 30)), rng.permutation(true.controls)).clean


def made_up_motion(true: Clip, rng: np.random.Generator) -> np.ndarray:
    """What stands still trembles."""
    steps = rng.integers(-1, 2, TIME)
    return np.stack(
        [scene(at) - spot(30, 44) + spot(30 + step, 44) for at, step in zip(true.places, steps, strict=True)]
    )


def wrong_spectrum(true: Clip, rng: np.random.Generator) -> np.ndarray:
    """The ripples are four times as strong."""
    return true.clean + 3 * ripples()


def lost_mass(true: Clip, rng: np.random.Generator) -> np.ndarray:
    """Every frame keeps 99 % of the one before."""
    return true.clean * 0.99 ** np.arange(TIME)[:, None, None]


def moved(true: Clip) -> np.ndarray:
    """The pixels that truly moved."""
    return pixels.moving(true.frames, true.present)


# Each measure of a guess, lower being better.
MEASURES: dict[str, Callable[[Clip, np.ndarray], float]] = {
    "RMSE": lambda true, guess: float(pixels.rmse(true.frames, guess).mean()),
    "1 - SSIM": lambda true, guess: float(1 - pixels.ssim(true.frames, guess, 1.0).mean()),
    "RMSE on moving pixels": lambda true, guess: float(np.nanmean(pixels.rmse(true.frames, guess, moved(true)))),
    "false motion": lambda true, guess: float(pixels.false_motion(true.frames, guess, moved(true)).mean()),
    "error of small scales": lambda true, guess: float(fields.spectral_error(true.clean, guess).mean(axis=0)[2]),
    "mass drift": lambda true, guess: float(np.abs(fields.mass_drift(guess) - fields.mass_drift(true.clean)).max()),
    "objects missing": lambda true, guess: float(-objects.count_error(true.clean, guess, THRESHOLD, 4).min()),
    "objects too many": lambda true, guess: float(objects.count_error(true.clean, guess, THRESHOLD, 4).max()),
    "jump": lambda true, guess: float(objects.jump(guess, THRESHOLD, 4).max()),
    "1 - Spearman(control, displacement)": lambda true, guess: 1 - control.spearman(true.controls, displacement(guess)),
}


def displacement(frames: np.ndarray) -> np.ndarray:
    """How far the spot of the upper half moved along x into each frame : (time,) pixels."""
    upper = np.clip(frames[:, :22] - 0.2, 0, None)
    at = (upper * np.arange(X)).sum(axis=(1, 2)) / np.maximum(upper.sum(axis=(1, 2)), 1e-9)
    return np.diff(np.concatenate([[14.0], at]))


# Each fault, and the measure that is meant to see it.
FAULTS: dict[str, tuple[Callable[[Clip, np.random.Generator], np.ndarray], str]] = {
    "blurred": (blurred, "error of small scales"),
    "frozen": (frozen, "RMSE on moving pixels"),
    "a frame late": (shifted, "RMSE on moving pixels"),
    "object removed": (removed, "objects missing"),
    "object duplicated": (duplicated, "objects too many"),
    "object teleported": (teleported, "jump"),
    "controls shuffled": (other_controls, "1 - Spearman(control, displacement)"),
    "motion made up": (made_up_motion, "false motion"),
    "wrong spectrum": (wrong_spectrum, "error of small scales"),
    "lost mass": (lost_mass, "mass drift"),
}


def table(clips: int = CLIPS) -> dict[str, dict[str, float]]:
    """Mean of every measure over clips, of the truth without noise and of every fault."""
    rows: dict[str, dict[str, list[float]]] = {}
    for seed in range(clips):
        true, rng = clip(seed), np.random.default_rng([seed, 1])
        guesses = {"truth": true.clean} | {name: make(true, rng) for name, (make, _) in FAULTS.items()}
        for name, guess in guesses.items():
            for measure, score in MEASURES.items():
                rows.setdefault(name, {}).setdefault(measure, []).append(score(true, guess))
    return {name: {measure: float(np.mean(values)) for measure, values in row.items()} for name, row in rows.items()}


def caught(run: Run) -> Figure:
    """Faults that the measure meant for each ranks below the truth, of ten; rows are the table, lower being better."""
    found = table(2 if run.quick else CLIPS)
    seen = [
        name for name, (_, measure) in FAULTS.items() if found[name][measure] > 1.1 * found["truth"][measure] + 1e-6
    ]
    rows = [{"fault": name, "meant": FAULTS.get(name, (None, ""))[1], **row} for name, row in found.items()]
    return Figure(float(len(seen)), "faults", None, rows)
