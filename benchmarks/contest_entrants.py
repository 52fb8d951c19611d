"""Who takes part in the contest: how an entrant is made, trained and scored, each result kept."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from contest_jobs import FACTS, SPLIT, kind_of, run_job
from contest_peers import NEURALOP
from harness import Run
from stem_entrants import made_once


@dataclass(frozen=True)
class Entrant:
    """One that is trained and scored on every store.

    Parameters
    ----------
    family : of ours, or of a peer in contest_peers.FAMILIES.
    settings : fields of the family's settings that differ from those of `preset`, and by_store : those of one store.
    evaluations : a frame; one is the posterior mean, and draws no samples.
    seeds : of training; several make an ensemble, whose members share the seconds that anyone else is trained.
    fit : fields of FitSettings that differ. stores : it takes part in. focus : whether training heeds the domain's.
    asked : settings that differ from those it was trained with when it is scored. alone : that differ where it learns
    one recording alone. takes : the folder of a trained tokenizer that it keeps.
    """

    family: str
    settings: dict[str, Any] = field(default_factory=dict)
    by_store: dict[str, dict[str, Any]] = field(default_factory=dict)
    preset: str = "tiny"
    evaluations: int = 4
    seeds: tuple[int, ...] = (0,)
    fit: dict[str, Any] = field(default_factory=dict)
    stores: tuple[str, ...] = ("stem", "flow", "road")
    focus: bool = True
    asked: dict[str, Any] = field(default_factory=dict)
    alone: dict[str, Any] = field(default_factory=dict)
    takes: Path | None = None

    def missing(self) -> str:
        """Why it cannot take part here, or nothing."""
        folder = os.environ.get(NEURALOP, "")
        if self.family == "fno" and PathFinder.find_spec("neuralop", [folder] if folder else None) is None:
            return f"not installed: neuraloperator is not found; name the folder that it is installed in by {NEURALOP}"
        return ""

    def resolved(self, store: str) -> dict[str, Any]:
        """All settings of its model, JSON-safe."""
        from sciworld.config import from_dict, to_dict

        kind = kind_of(self.family)
        settings = {**to_dict(kind.presets[self.preset]), **self.settings, **self.by_store.get(store, {})}
        return to_dict(from_dict(kind.Settings, settings))


@dataclass(frozen=True)
class Options:
    """seconds : of training of each model. threads : of torch. starts : on each store that is scored from, at least."""

    seconds: float = 300.0
    threads: int = 2
    starts: int = 40


def parsed(arguments: Sequence[str] | None) -> tuple[Options, Path | None, list[str]]:
    """What a command line says of the contest, where its tables go, and what is left for the harness."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--seconds", type=float, default=Options.seconds)
    parser.add_argument("--threads", type=int, default=Options.threads)
    parser.add_argument("--starts", type=int, default=Options.starts)
    parser.add_argument("--table", type=Path)
    chosen, others = parser.parse_known_args(arguments)
    return Options(chosen.seconds, chosen.threads, chosen.starts), chosen.table, others


def fitting(entrant: Entrant, seed: int, options: Options, quick: bool) -> dict[str, Any]:
    """FitSettings of a training, JSON-safe."""
    budget: dict[str, Any] = {"steps": 2, "batch": 4} if quick else {"seconds": options.seconds / len(entrant.seeds)}
    return {**entrant.fit, **budget, "seed": seed, "threads": options.threads}


def trained(
    run: Run, options: Options, store: str, entrant: Entrant, seed: int, one: bool = False
) -> tuple[Path, dict[str, Any]]:
    """The folder of a trained model and what is known of its training, trained once for its settings.

    one : on one recording alone, as it is.
    """
    job = {
        "store": store, "quick": run.quick, "family": entrant.family, "settings": entrant.resolved(store),
        "fit": fitting(entrant, seed, options, run.quick), "one": one, "split": SPLIT,
    }  # fmt: skip
    if not entrant.focus:
        job["focus"] = False
    if entrant.takes is not None:
        job["tokenizer"] = entrant.takes.name
    digest = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:12]
    folder = run.cache / "runs" / f"{store}-{entrant.family}-{digest}"

    def make(staged: Path) -> None:
        where = {} if entrant.takes is None else {"tokenizer": str(entrant.takes)}
        run_job("train", {**job, **where, "folder": str(staged)}, apart=not run.quick)

    made_once(folder, make)
    return folder, json.loads((folder / FACTS).read_text())


def scored(run: Run, options: Options, store: str, name: str, entrant: Entrant) -> dict[str, Any]:
    """What an entrant is measured to be on a store, with what is known of its training; see `contest_jobs.score`."""
    members = [trained(run, options, store, entrant, seed) for seed in entrant.seeds]
    job = {
        "store": store, "family": entrant.family, "evaluations": entrant.evaluations, "threads": options.threads,
        "starts": 2 if run.quick else options.starts, "samples": 2 if run.quick else 16,
        "rollouts": 2 if run.quick else 64, "folders": [folder.name for folder, _ in members],
    }  # fmt: skip
    if entrant.asked:
        job["asked"] = entrant.asked
    given = {**job, "quick": run.quick, "folders": [str(folder) for folder, _ in members]}
    measure = partial(run_job, "score", given, apart=not run.quick)
    found: dict[str, Any] = run.cached(f"{store}-{name}", job, measure)
    facts = [facts for _, facts in members]
    return found | {
        "seconds": sum(one["seconds"] for one in facts),
        "steps": sum(one["steps"] for one in facts),
        "parameters": sum(one["parameters"] for one in facts),
        "training_mb": max(one["training_mb"] for one in facts),
        "evaluations": found["evaluations"],
        "members": len(members),
    }


def reproduced(run: Run, options: Options, store: str, name: str, entrant: Entrant) -> float:
    """PSNR (dB) of one recording that an entrant was trained on alone; see `contest_jobs.reproduce`."""
    changed = dataclasses.replace(entrant, settings={**entrant.settings, **entrant.alone})
    folder, _ = trained(run, options, store, changed, entrant.seeds[0], one=True)
    job = {"store": store, "family": entrant.family, "threads": options.threads, "folders": [folder.name]}
    given = {**job, "quick": run.quick, "folders": [str(folder)]}
    found = run.cached(f"{store}-{name}-one", job, partial(run_job, "reproduce", given, apart=not run.quick))
    psnr: float = found["psnr"]
    return psnr
