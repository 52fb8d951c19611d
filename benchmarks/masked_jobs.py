"""What masked.py measures, one job at a time, each in a process of its own: `python masked_jobs.py KIND < JOB.json`.

See contest_jobs.py, whose stores, held-out sessions and training these are.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from contest_jobs import ARENAS, CONTEXT, KINDS, halves, references, run_job, surrogate_of

AT_ONCE = 16  # frames that go through a tokenizer together
LABELLED = 200  # transitions whose controls are known when actions are told in controls
AHEAD = 4  # steps
BINS = 3  # of equal counts, of a control that actions are told in


def loaded(job: dict[str, Any], role: str) -> Any:
    """The one model of a job."""
    import torch

    from sciworld.models import checkpoint

    torch.set_num_threads(job["threads"])
    return checkpoint.load(Path(job["folders"][0]), role=role)


def tokens(job: dict[str, Any]) -> dict[str, Any]:
    """What a tokenizer keeps of held-out recordings, and how many of its codes they take.

    psnr : of each recording in dB, the mean over channels, of all pixels. used : share of all codes.
    """
    import torch

    tokenizer, data_range = loaded(job, "tokenizer"), np.array(ARENAS[job["store"]].data_range)
    _, held = halves(job["store"], job["quick"])
    psnr, used = [], np.zeros(tokenizer.count, dtype=bool)
    for ds in held:
        frames = torch.from_numpy(ds["frames"].values.astype(np.float32))
        with torch.no_grad():
            codes = torch.cat([tokenizer.encode(part[None])[0] for part in frames.split(AT_ONCE)])
            shown = torch.cat([tokenizer.decode(part[None])[0] for part in codes.split(AT_ONCE)])
        used[codes.numpy().ravel()] = True
        error = (shown.double() - frames).square().mean(dim=(0, 1, 2)).numpy()
        psnr.append(float(np.mean(10 * np.log10(data_range**2 / error))))
    return {"psnr": psnr, "used": float(used.mean())}


def overfit(job: dict[str, Any]) -> dict[str, Any]:
    """The share of codes of the next frame that are the likeliest of all, in one evaluation that sees the last frame
    alone, on the one recording that was trained on."""
    import torch

    model = loaded(job, "model")
    seen, _ = halves(job["store"], job["quick"])
    ds = seen[0]
    frames = torch.from_numpy(ds["frames"].values.astype(np.float32))
    view = torch.from_numpy(ds["view"].values.astype(np.float32))
    controls = torch.from_numpy(ds["controls"].values.astype(np.float32))
    starts = range(model.context, len(frames))
    right = []
    for k in starts:
        with torch.no_grad():
            state = model.start(frames[None, k - model.context : k], view[None, k - 1])
            truth = model.tokenizer.encode(frames[None, k - model.context : k + 1])[:, -1:].flatten(2, 3)
            ask = model.asker(state, controls[None, k - 1 : k])
            logits = ask(torch.zeros_like(truth), torch.ones_like(truth, dtype=torch.bool))
            right.append(float((logits.argmax(dim=-1) == truth).float().mean()))
    return {"accuracy": right}


def ahead(job: dict[str, Any]) -> dict[str, Any]:
    """What 16 samples say four steps ahead, of each recording.

    delta : by how much the PSNR of their mean falls under other windows' controls, dB (Genie's controllability: Bruce
    et al. 2024, arXiv:2402.15391, section 3.1). crps : of the samples, in the channels' units.
    """
    import torch

    from sciworld.evaluate.evaluate import EvaluateSettings, evaluate
    from sciworld.evaluate.trial import MEAN, SHUFFLED

    torch.set_num_threads(job["threads"])
    _, held = halves(job["store"], job["quick"])
    settings = EvaluateSettings(
        steps=AHEAD, starts=-(-job["starts"] // len(held)), samples=job["samples"],
        data_range=ARENAS[job["store"]].data_range, context=CONTEXT,
    )  # fmt: skip
    found = evaluate(surrogate_of(job), held, references(job["store"], job["quick"]), settings).sel(step=AHEAD)
    psnr = found.psnr.mean("channel")
    return {
        "delta": (psnr.sel(guess=MEAN) - psnr.sel(guess=SHUFFLED)).values.tolist(),
        "crps": found.crps.sel(guess=MEAN).mean("channel").values.tolist(),
    }


def agreement(job: dict[str, Any]) -> dict[str, Any]:
    """How well each control is read from actions that are told in controls by a few labelled transitions.

    For each control, in bins of equal counts: the balanced accuracy on held-out recordings, over that of chance; an
    action says the bin that is most over its share among the labelled transitions that it has. rows : control,
    balanced accuracy, bins, over chance, and the bins (true, read) of all held-out transitions.
    """
    from sciworld.recording import control_table
    from sciworld.tasks.labelling import codes_of

    actions = loaded(job, "actions")
    seen, held = halves(job["store"], job["quick"])
    table = control_table(seen[0])

    def gathered(recordings: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
        codes, controls = [], []
        for ds in recordings:
            codes.append(codes_of(ds["frames"].values, actions))
            controls.append(read_controls(job["store"], ds))
        return codes, controls

    codes, controls = gathered(seen)
    flat, values = np.concatenate(codes), np.concatenate(controls)
    picks = np.random.default_rng(0).permutation(len(flat))[:LABELLED]
    held_codes, held_controls = gathered(held)
    rows = []
    names = NAMES.get(job["store"], table.names)
    for k, name in enumerate(names):
        edges = np.unique(np.quantile(values[:, k], np.arange(1, BINS) / BINS))
        binned = partial(np.digitize, bins=edges)
        known = binned(values[picks, k])
        everyone = np.bincount(known, minlength=len(edges) + 1)
        means = np.zeros(actions.settings.codes, dtype=int)
        for code in range(actions.settings.codes):
            mine = known[flat[picks] == code]
            # Of an action that no label has, the commonest bin of all.
            weights = np.bincount(mine, minlength=len(everyone)) / everyone.clip(min=1) if len(mine) else everyone
            means[code] = int(np.argmax(weights))
        truth = np.concatenate([binned(one[:, k]) for one in held_controls])
        read = means[np.concatenate(held_codes)]
        present = np.unique(truth)
        balanced = float(np.mean([(read[truth == one] == one).mean() for one in present]))
        over = balanced * len(present)
        rows.append(
            {"control": name, "balanced": balanced, "bins": len(present), "over_chance": over, "true": truth.tolist(),
             "read": read.tolist()}
        )  # fmt: skip
    return {"rows": rows, "used": len(np.unique(flat))}


NAMES = {"stem": ("beam_angle", "dwell")}


def read_controls(store: str, ds: Any) -> np.ndarray:
    """What actions are told in : (transition, control). Of a beam the angle in which it lies from the silicon, since a
    place in the laboratory says nothing of what happens."""
    controls = ds["controls"].values[:-1]
    if store != "stem":
        return controls
    from sciworld.domains.stem.locate import locate

    silicon = locate(ds["frames"].values[:-1], ds["view"].values[:-1]).silicon
    away = controls[:, :2] - silicon
    return np.column_stack([np.arctan2(away[:, 1], away[:, 0]), controls[:, 2]])


def hop_map(job: dict[str, Any]) -> dict[str, Any]:
    """Train on the recordings of stem.py for so many seconds, and map hops from samples as it does: errors of each
    context."""
    import torch

    import stem_entrants
    from harness import Run
    from sciworld.config import from_dict
    from sciworld.models.masked import Masked
    from sciworld.surrogate.surrogate import Surrogate
    from sciworld.tasks.hop_map import beams
    from sciworld.tasks.hop_map import hop_map as mapped
    from sciworld.training.train import train
    from sciworld.training.trainer import FitSettings

    torch.set_num_threads(job["threads"])
    run, scale = Run(job["quick"], Path(job["cache"]).parent / "stem"), stem_entrants.Scale(job["quick"])
    budget: dict[str, Any] = {"steps": 2} if job["quick"] else {"seconds": job["seconds"]}
    fit = FitSettings(**budget, batch=8, threads=job["threads"])
    folder = Path(job["cache"]) / "hop-map"
    shutil.rmtree(folder, ignore_errors=True)
    made = train(
        stem_entrants.store_of(run, "prior"), folder, fit, family="masked", domain="stem", progress=False,
        changes=dataclasses.asdict(from_dict(Masked.Settings, job["settings"])),
    )  # fmt: skip
    surrogate = Surrogate(made.model(), evaluations=job["evaluations"], seconds=("dwell", 2.0))
    simulator, state, present = stem_entrants.unseen(scale.contexts, 1)
    grid = beams().reshape(21, 21, 2)[::4, ::4].reshape(-1, 2)
    dwells, rng = np.array([2.0, 5.0, 8.0]), np.random.default_rng(0)
    found = mapped(
        surrogate, simulator, stem_entrants.appearance(run), state, present, grid, dwells, rng, scale.samples
    )
    return {"errors": np.abs(found.learned - found.true).mean(axis=(1, 2, 3)).tolist()}


def published(job: dict[str, Any]) -> dict[str, Any]:
    """The model of Genie's CoinRun experiment: its parameters, and seconds of one step of training.

    It imagines a frame, too.
    """
    import torch

    from sciworld.models.masked import Masked
    from sciworld.testing import signature, windows

    torch.set_num_threads(job["threads"])
    settings = Masked.presets["genie-coinrun"]
    made = signature(64, 64, 3)
    model = Masked(made, settings)
    batch, noise = windows(made, settings.context + 1, 1), torch.Generator().manual_seed(0)
    began = time.perf_counter()
    model.loss(batch, noise).total.backward()
    seconds = time.perf_counter() - began
    state = model.eval().start(batch.frames[:, : settings.context], batch.view[:, settings.context - 1])
    with torch.no_grad():
        model.step(state, batch.controls[:, -1:], noise, 2 if job["quick"] else 25)
    parts = {"tokenizer": model.tokenizer, "dynamics": model.net}
    return {"seconds": seconds} | {
        name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()
    }


KINDS.update({"hop_map": hop_map, "published": published})
KINDS.update({"tokens": tokens, "overfit": overfit, "ahead": ahead, "agreement": agreement})
run = partial(run_job, script=Path(__file__).resolve())

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](json.load(sys.stdin))))
