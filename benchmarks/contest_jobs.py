"""What contest.py measures, one job at a time, each in a process of its own: `python contest_jobs.py KIND < JOB.json`.

A job is a JSON object, and so is its result, the last line on the standard output. A process of its own tells the
peak memory of one entrant, and none slows or helps the next.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
# Of the sessions, and the seed by which they are chosen: the same for all entrants. Settings were chosen on another
# choice, of seed 7.
HELD_OUT, SPLIT = 0.25, 11
HORIZONS = (1, 4, 16)
CONTEXT = 4  # frames before a start that all entrants may look at: as many as the longest of them does
BY_GUESS = ("psnr_moving", "ssim_moving", "false_motion", "vrmse", "crps")
FACTS = "facts.json"  # in the folder of a trained model


@dataclass(frozen=True)
class Arena:
    """A store that the contest is held on.

    data : its name in the catalogue. data_range : of PSNR and SSIM, one a channel. least : what a pixel must change by
    to have moved, see `pixels.moving`; None for 4 standard deviations of the noise. Both in the channels' units.
    """

    data: str
    data_range: tuple[float, ...]
    least: float | None


ARENAS = {
    "stem": Arena("si-graphene-sim-tiny", (64.0,), None),  # counts: the brightest of the recordings is 64
    "flow": Arena("fluid-cylinder-sim-tiny", (3.5, 3.0), 0.1),  # m/s: what they span; a tenth of the inflow
    "road": Arena("road-sim-tiny", (255.0,) * 3, 10.0),  # counts of bytes, rendered without noise
}


def halves(store: str, quick: bool) -> tuple[Any, Any]:
    """The recordings that are trained on, and those held out; of each a few to see whether it works."""
    from sciworld import catalog
    from sciworld.selection import Selection
    from sciworld.store import Store

    held, seen = Store.open(catalog.fetch(ARENAS[store].data)).split((HELD_OUT, 1 - HELD_OUT), SPLIT)
    if quick:
        held, seen = Selection(held.store, held.indices[:2]), Selection(seen.store, seen.indices[:3])
    return seen, held


@cache
def references(store: str, quick: bool) -> Any:
    """What every entrant is held against, fitted on what they are trained on."""
    from sciworld.evaluate.references import References

    return References.fit(halves(store, quick)[0])


def kind_of(family: str) -> Any:
    """The class of a family of ours or of a peer's."""
    from contest_peers import FAMILIES
    from sciworld import models

    models.MODELS.update(FAMILIES)  # so that checkpoints of peers load as ours do
    return models.family(family)


def train(job: dict[str, Any]) -> dict[str, Any]:
    """Fit a model, and keep it in a folder with its facts.

    job : family, settings, fit (of FitSettings), folder, and what `learned_from` asks for; focus, False for none;
    tokenizer, the run of one that the model takes.
    """
    import torch

    from sciworld.config import from_dict
    from sciworld.models import checkpoint
    from sciworld.models.base import Signature
    from sciworld.training.beginnings import new_model
    from sciworld.training.fit import fit
    from sciworld.training.trainer import FitSettings
    from sciworld.windows import Windows

    seen, focus, symmetries = learned_from(job)
    kind, settings = kind_of(job["family"]), from_dict(FitSettings, job["fit"])
    own = from_dict(kind.Settings, job["settings"])
    windows = Windows(seen, *kind.lengths(own))
    torch.set_num_threads(settings.threads)
    codes = checkpoint.load(Path(job["tokenizer"]), role="tokenizer") if "tokenizer" in job else None
    model = new_model(kind, own, Signature.of(windows), settings.seed, codes)
    folder, began, steps = Path(job["folder"]), time.perf_counter(), 0
    if any(parameter.requires_grad for parameter in model.parameters()):
        focus = focus if job.get("focus", True) else None
        run = fit(model, windows, folder, settings, focus=focus, symmetries=symmetries, progress=False)
        steps = run.log()[-1]["step"]
    else:  # it is solved
        folder.mkdir(parents=True)
        model.prepare(windows)
        checkpoint.save(model, folder / checkpoint.FILE)
    facts = {
        "seconds": time.perf_counter() - began,
        "steps": steps,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_mb": peak(),
    }
    (folder / FACTS).write_text(json.dumps(facts))
    return facts


def learned_from(job: dict[str, Any]) -> tuple[Any, Any, tuple[str, ...]]:
    """The recordings that a job trains on, and their domain's focus and symmetries.

    job : data, a name in the catalogue, for all of its recordings; or store and quick, for those that are not held
    out, and one, for the first of these alone, as it is.
    """
    from sciworld import catalog
    from sciworld.domains.base import domain
    from sciworld.selection import Selection
    from sciworld.store import Store

    if "data" in job:
        field = domain(catalog.get(job["data"]).domain)
        return Store.open(catalog.fetch(job["data"])), field.focus, field.symmetries
    seen, _ = halves(job["store"], job["quick"])
    if job["one"]:
        return Selection(seen.store, seen.indices[:1]), None, ()
    field = domain(domain_of(job["store"]))
    return seen, field.focus, field.symmetries


def domain_of(store: str) -> str:
    """Of a store of the contest."""
    from sciworld import catalog

    return catalog.get(ARENAS[store].data).domain


def surrogate_of(job: dict[str, Any]) -> Any:
    """The trained models of a job as one surrogate.

    job : folders, family, evaluations; asked, settings that differ from those of training.
    """
    from sciworld.models import checkpoint
    from sciworld.surrogate.ensemble import Ensemble
    from sciworld.surrogate.surrogate import Surrogate

    kind_of(job["family"])
    members = [
        Surrogate(asked(checkpoint.load(folder), job.get("asked", {})), job["evaluations"]) for folder in job["folders"]
    ]
    return members[0] if len(members) == 1 else Ensemble(members)


def asked(model: Any, settings: dict[str, Any]) -> Any:
    """The model with settings that change none of its weights."""
    from sciworld.config import from_dict, to_dict

    if not settings:
        return model
    changed = type(model)(model.signature, from_dict(model.Settings, to_dict(model.settings) | settings))
    changed.load_state_dict(model.state_dict())
    return changed.eval()


def score(job: dict[str, Any]) -> dict[str, Any]:
    """Every measure by entrant's guess, horizon and recording, and what the entrant costs.

    job : store, quick, threads, starts (in all recordings together, at least), samples, rollouts, and what
    `surrogate_of` asks for. PSNRs and all else are means over channels, the gain of controls in standard deviations of
    the channel.
    """
    import torch

    from sciworld.evaluate.evaluate import EvaluateSettings, evaluate

    torch.set_num_threads(job["threads"])
    _, held = halves(job["store"], job["quick"])
    surrogate, arena = surrogate_of(job), ARENAS[job["store"]]
    pace = speed(surrogate, held[0], job["rollouts"])
    memory = peak()
    settings = EvaluateSettings(
        steps=max(HORIZONS),
        starts=-(-job["starts"] // len(held)),
        samples=job["samples"],
        data_range=arena.data_range,
        least=arena.least,
        context=CONTEXT,
    )
    found = evaluate(surrogate, held, references(job["store"], job["quick"]), settings)
    return {
        "guesses": {str(guess): _by_horizon(found.sel(guess=guess)) for guess in found.guess.values},
        "model": _of_model(found, np.array(surrogate.model.signature.scale)),
        "evaluations": surrogate.evaluations(1, 1, 1),
        "frames_per_second": pace,
        "imagining_mb": memory,
        "starts": int(np.isfinite(found.start_frame).sum()),
    }


def _by_horizon(found: Any) -> dict[str, Any]:
    """measure -> horizon -> a value for each recording."""
    each = {name: found[name].mean("channel") for name in BY_GUESS}
    return {name: {str(h): values.sel(step=h).values.tolist() for h in HORIZONS} for name, values in each.items()}


def _of_model(found: Any, deviation: np.ndarray) -> dict[str, Any]:
    """As `_by_horizon`, of what a model alone has.

    coverage : the share of truths between the lowest and the highest sample, of n samples (n - 1) / (n + 1) if right.
    """
    ranks = found.ranks.sum("channel")
    inside = ranks.isel(rank=slice(1, -1)).sum("rank") / ranks.sum("rank")
    gain = (found.control_gain / deviation).mean("channel")
    both = {"coverage": inside, "control_gain": gain}
    return {name: {str(h): values.sel(step=h).values.tolist() for h in HORIZONS} for name, values in both.items()}


def speed(surrogate: Any, recording: Any, rollouts: int, seconds: float = 10.0) -> list[float]:
    """Imagined frames a second of so many rollouts at a time: of each repeat, up to 5 in so many seconds."""
    from sciworld.evaluate.imagine import observed
    from sciworld.evaluate.trial import Span

    span, rng = Span(4, 1, CONTEXT), np.random.default_rng(0)
    history = [
        dataclasses.replace(
            seen, **{n: np.repeat(getattr(seen, n), rollouts, axis=0) for n in ("frames", "time", "view")}
        )
        for seen in observed(recording, int(span.starts_of(recording)[0]), surrogate.model.context)
    ]
    state, controls = surrogate.start(history), np.repeat(span.controls_of(recording)[:, None], rollouts, axis=0)
    surrogate.futures(state, controls[:, :, :1], 1, rng)
    paces: list[float] = []
    began = time.perf_counter()
    while not paces or (len(paces) < 5 and time.perf_counter() - began < seconds):
        start = time.perf_counter()
        surrogate.futures(state, controls, 1, rng)
        paces.append(rollouts * span.steps / (time.perf_counter() - start))
    return paces


def reproduce(job: dict[str, Any]) -> dict[str, Any]:
    """PSNR (dB) of the posterior mean one step ahead, on the recording that alone was trained on."""
    import torch

    from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
    from sciworld.evaluate.trial import MEAN

    torch.set_num_threads(job["threads"])
    seen, _ = halves(job["store"], job["quick"])
    surrogate = surrogate_of({**job, "evaluations": 1})
    settings = EvaluateSettings(
        steps=1,
        starts=4 if job["quick"] else len(seen[0]["time"]),
        samples=1,
        data_range=ARENAS[job["store"]].data_range,
    )
    found = evaluate(surrogate, [seen[0]], None, settings)
    return {"psnr": float(found.psnr.sel(guess=MEAN, step=1).mean())}


def peak() -> float:
    """The most memory that this process ever held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


KINDS = {"train": train, "score": score, "reproduce": reproduce}


def run_job(
    kind: str, job: dict[str, Any], apart: bool = True, script: Path = HERE / "contest_jobs.py"
) -> dict[str, Any]:
    """The result of a job, in a process of its own, of `script`, or in this one."""
    if not apart:
        return KINDS[kind](job)
    threads = str(job.get("threads") or job["fit"]["threads"])
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
    done = subprocess.run(
        [sys.executable, str(script), kind],
        input=json.dumps(job), text=True, stdout=subprocess.PIPE, env=environment, check=True,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](json.load(sys.stdin))))
