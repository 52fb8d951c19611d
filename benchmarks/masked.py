"""Masked models: what tokenizers keep, how sampling in codes fares, and what actions mean that nobody recorded.

    python benchmarks/masked.py [--seconds 300] [--threads 2] [--starts 40]

The options are the contest's, and so are the stores and the held-out sessions. Tokenizers, models and scores are kept
in benchmarks/cache/contest; delete what is to be measured again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from contest import CODES, OURS, TOKENS
from contest_entrants import Entrant, Options, parsed, scored, trained
from contest_jobs import ARENAS
from harness import Benchmark, Figure, Run, mean, median
from masked_jobs import run as run_job

MASKED = OURS["masked"]
TOKENIZER = Entrant("vivit", {}, dict(CODES), fit={"batch": 8}, focus=False)
ACTIONS = Entrant("latent", {}, {"road": {"pixels": 4}}, fit={"batch": 8}, stores=("stem", "road"))
STEPS = (10, 25)  # evaluations of a sample that are held against each other


class Measured:
    """The figures, from what is trained once."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def job(self, run: Run, kind: str, name: str, store: str, entrant: Entrant, one: bool = False) -> dict[str, Any]:
        """What masked_jobs finds of an entrant trained on a store, or on one of its recordings, kept."""
        folder, _ = trained(run, self.options, store, entrant, entrant.seeds[0], one)
        job = {
            "store": store, "family": entrant.family, "evaluations": entrant.evaluations,
            "threads": self.options.threads, "starts": 2 if run.quick else self.options.starts,
            "samples": 2 if run.quick else 16, "folders": [folder.name],
        }  # fmt: skip
        given = {**job, "quick": run.quick, "folders": [str(folder)]}
        measure = partial(run_job, kind, given, apart=not run.quick)
        found: dict[str, Any] = run.cached(f"{store}-{name}-{kind}", job, measure)
        return found

    def tokens(self, run: Run) -> dict[str, Figure]:
        """rows : of each store the PSNR of every held-out recording, and the share of codes that they take."""
        rows = [{"store": store, **self.job(run, "tokens", "tokenizer", store, TOKENIZER)} for store in ARENAS]
        by_store = [float(np.mean(row["psnr"])) for row in rows]
        used = [row["used"] for row in rows]
        return {
            "tokenizer_psnr": Figure(min(by_store), "dB", (min(by_store), max(by_store)), rows),
            "code_use": Figure(min(used), "1", (min(used), max(used)), used),
        }

    def overfit(self, run: Run) -> Figure:
        """One recording of each store, of which a model learns the codes of a tokenizer that is kept; the worst store.

        rows : of each store the share of right codes in each frame.
        """
        rows = []
        for store in ARENAS:
            tokenizer, _ = trained(run, self.options, store, TOKENIZER, 0)
            settings = {**TOKENS[store], "tokenizer": TOKENIZER.resolved(store), "joint": False}
            alone = Entrant("masked", settings, fit={"batch": 8}, takes=tokenizer)
            rows.append({"store": store, **self.job(run, "overfit", "masked-one", store, alone, one=True)})
        shares = [float(np.mean(row["accuracy"])) for row in rows]
        return Figure(min(shares), "1", (min(shares), max(shares)), rows)

    def ahead(self, run: Run, store: str, evaluations: int = MASKED.evaluations) -> dict[str, Any]:
        """What masked_jobs.ahead finds of samples in so many evaluations."""
        asked = dataclasses.replace(MASKED, evaluations=evaluations)
        return self.job(run, "ahead", f"masked-{evaluations}", store, asked)

    def heeded(self, run: Run) -> Figure:
        """The store on which the wrong controls cost least; spread : its 95 % interval over recordings."""
        found = {store: self.ahead(run, store)["delta"] for store in ARENAS}
        each = {store: mean([v for v in values if np.isfinite(v)], "dB") for store, values in found.items()}
        worst = min(each.values(), key=lambda figure: figure.value)
        return dataclasses.replace(worst, rows=[{"store": store, "recordings": found[store]} for store in ARENAS])

    def hops(self, run: Run) -> Figure:
        """As sampled_hop_map_mae of stem.py, on the same recordings, contexts, beams and dwells."""
        job = {
            "settings": MASKED.resolved("stem"), "family": "masked", "evaluations": MASKED.evaluations,
            "seconds": self.options.seconds, "threads": self.options.threads,
        }  # fmt: skip
        given = {**job, "quick": run.quick, "cache": str(run.cache)}
        found = run.cached("stem-hop-map", job, partial(run_job, "hop_map", given, apart=not run.quick))
        return mean(found["errors"], "1")

    def agreement(self, run: Run) -> Figure:
        """The control that is read best, of the store on which that is least; rows : of each store and control."""
        found = {store: self.job(run, "agreement", "actions", store, ACTIONS)["rows"] for store in ACTIONS.stores}
        best = [max(row["over_chance"] for row in rows) for rows in found.values()]
        rows = [{"store": store, **row} for store, each in found.items() for row in each]
        return Figure(min(best), "x", (min(best), max(best)), rows)

    def steps(self, run: Run) -> Figure:
        """CRPS four steps ahead in 10 evaluations over that in 25, the worst store."""
        rows = []
        for store in ARENAS:
            few, many = (self.ahead(run, store, n)["crps"] for n in STEPS)
            rows.append({"store": store, "ratio": float(np.mean(few) / np.mean(many)), "few": few, "many": many})
        ratios = [row["ratio"] for row in rows]
        return Figure(max(ratios), "x", (min(ratios), max(ratios)), rows)

    def pace(self, run: Run) -> dict[str, Figure]:
        """Imagined frames a second on silicon, 32 x 32: of the posterior mean, and of samples."""
        mean_of = scored(run, self.options, "stem", "masked_mean", dataclasses.replace(MASKED, evaluations=1))
        sampled = scored(run, self.options, "stem", "masked", MASKED)
        return {
            "fps_32": median(mean_of["frames_per_second"], "1/s"),
            "sampled_fps_32": median(sampled["frames_per_second"], "1/s"),
        }


def published(run: Run) -> Figure:
    """Seconds of one step of training of the model of Genie's CoinRun experiment, one window of 16 frames of 64 x 64
    and a float32 on this machine; rows : parameters of the tokenizer and of the dynamics."""
    found = run_job("published", {"quick": run.quick, "threads": 2}, apart=not run.quick)
    return Figure(found["seconds"], "s", rows=[found])


def main(arguments: Sequence[str] | None = None) -> None:
    """As the contest's, but for the table."""
    options, _, others = parsed(arguments)
    measured = Measured(options)
    bench = Benchmark("contest", __doc__)
    bench.figure("tokenizer_psnr", "code_use")(measured.tokens)
    bench.figure("token_overfit")(measured.overfit)
    bench.figure("delta4_psnr")(measured.heeded)
    bench.figure("masked_hop_map_mae")(measured.hops)
    bench.figure("latent_action_agreement")(measured.agreement)
    bench.figure("steps_10_over_25")(measured.steps)
    bench.figure("fps_32", "sampled_fps_32")(measured.pace)
    bench.figure("genie_step_seconds")(published)
    bench.main(others)


if __name__ == "__main__":
    main()
