"""What each part of a world model buys: the contest's models with and without it, scored as there.

    python benchmarks/ablations.py [--seconds 300] [--threads 2] [--starts 40] [--table FILE.md]

The options are the contest's, and so are its models where they are the same. A figure is the CRPS four steps ahead
(of memory 16) without the part over that with it, the geometric mean over stores: above 1 the part is worth its place
there. Its spread is the 95 % interval over held-out recordings; another seed of training would move it, too. Figures
`cost_...` are imagined frames a second without it over those with it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from contest import CERTAIN, KINDS, OURS, row_of
from contest_entrants import Entrant, Options, parsed, scored
from contest_jobs import HORIZONS
from contest_report import table
from harness import Benchmark, Figure, Run

HORIZON = 4  # whose CRPS makes the figure
DRAWS = 2000  # of recordings, for an interval


@dataclass(frozen=True)
class Part:
    """A part of a model.

    stores : store -> variant -> (name of the results that are kept, entrant). The first variant has the part, the last
    has not; what lies between is in the table alone. horizon : whose CRPS makes the figure.
    """

    name: str
    what: str
    stores: dict[str, dict[str, tuple[str, Entrant]]]
    horizon: int = HORIZON


def changed(entrant: str, **changes: Any) -> Entrant:
    """One of the contest's with other settings on every store."""
    one = OURS[entrant]
    by_store = {store: {**settings, **changes} for store, settings in one.by_store.items()}
    return dataclasses.replace(one, by_store=by_store)


def contest(entrant: str) -> tuple[str, Entrant]:
    """One of the contest's as it is."""
    return entrant, OURS[entrant]


DIFFUSION, CAUSAL = contest("diffusion"), contest("causal")
HEEDLESS = (0.1, 0.0, 0.0, 0.0, 0.0)  # share of windows whose positions training hides


def guided(scale: float) -> tuple[str, Entrant]:
    """Trained with some of the positions hidden, asked with guidance."""
    asked = {"guidance": [scale, 0.0, 0.0, 0.0, 0.0]}
    return f"guided_{scale:g}", dataclasses.replace(changed("diffusion", dropout=HEEDLESS), asked=asked)


def refined(evaluations: int) -> tuple[str, Entrant]:
    """Asked in so many evaluations."""
    return f"evaluations_{evaluations}", dataclasses.replace(OURS["diffusion"], evaluations=evaluations)


def windowed(context: int) -> tuple[str, Entrant]:
    """Frames seen side by side."""
    return f"context_{context}", changed("diffusion", context=context)


ABSOLUTE = ("absolute", dataclasses.replace(OURS["diffusion"], family="absolute"))
UNFOCUSED = ("unfocused", dataclasses.replace(OURS["diffusion"], focus=False))
PARTS = [
    Part("residual", "the frame as a change of the last one", {
        store: {"change": DIFFUSION, "the frame itself": ABSOLUTE} for store in ("stem", "flow")
    }),
    Part("focus", "errors weighed where the domain looks", {
        store: {"focus": DIFFUSION, "all alike": UNFOCUSED} for store in ("stem", "road")
    }),
    Part("maps", "positions drawn as maps", {
        "stem": {"maps": DIFFUSION, "numbers": ("numbers", changed("diffusion", positions="numbers"))},
    }),
    Part("guidance", "guidance by positions", {
        "stem": {**{f"scale {scale:g}": guided(scale) for scale in (1.0, 3.0, 0.0)}, "nothing hidden": DIFFUSION},
    }),
    Part("window", "frames seen side by side", {
        store: {("1 frame" if n == 1 else f"{n} frames"): DIFFUSION if n == 2 else windowed(n) for n in (2, 4, 1)}
        for store in ("flow", "road")
    }),
    Part("evaluations", "evaluations of a sample", {
        "stem": {f"{n}": DIFFUSION if n == 4 else refined(n) for n in (4, 8, 2, 1)},
    }),
    Part("memory", "key frames of the causal family beyond its window", {
        store: {"3 key frames": ("memory", changed("causal", memory=3, stride=3, horizon=9)),
                "none": ("forgetful", changed("causal", horizon=9))} for store in ("road",)
    }, horizon=16),
    Part("ensemble", "members, trained for the same seconds together", {
        store: {"3 members": contest(name), "1 member": DIFFUSION}
        for store, name in (("stem", "ensemble"), ("flow", "ensemble_certain"), ("road", "ensemble_certain"))
    }),
    Part("camera", "noise of a camera that counts", {
        "stem": {"camera": DIFFUSION, "none": ("smooth", changed("diffusion", camera=False))},
    }),
    Part("certain", "the posterior mean learned alone, where there is no chance", {
        "flow": {"alone": DIFFUSION, "with samples": ("chance", dataclasses.replace(
            OURS["diffusion"], by_store={"flow": {k: v for k, v in KINDS["flow"].items() if k not in CERTAIN}}))},
    }),
]  # fmt: skip


class Ablations:
    """The figures, one a part."""

    def __init__(self, options: Options, path: Path | None = None) -> None:
        self.options, self.path = options, path

    def scored(self, run: Run, store: str, name: str, entrant: Entrant) -> dict[str, Any]:
        """See `contest_entrants.scored`; kept where the contest keeps its own."""
        return scored(dataclasses.replace(run, cache=run.cache.parent / "contest"), self.options, store, name, entrant)

    def rows(self, run: Run, part: Part) -> list[dict[str, Any]]:
        """One for each store, variant and horizon, as the contest has them."""
        found = []
        for store, variants in part.stores.items():
            for variant, (name, entrant) in variants.items():
                one = self.scored(run, store, name, entrant)
                for h in map(str, HORIZONS):
                    row = row_of(store, h, name, one["guesses"]["model"], one)
                    found.append({"part": part.name, "variant": variant, **row})
        return found

    def figures(self, part: Part, run: Run) -> dict[str, Figure]:
        """What the part buys, and what it costs."""
        pairs, costs = [], []
        for store, variants in part.stores.items():
            with_it, without = (
                self.scored(run, store, *variants[name]) for name in (next(iter(variants)), list(variants)[-1])
            )
            pairs.append([np.array(one["guesses"]["model"]["crps"][str(part.horizon)]) for one in (without, with_it)])
            costs.append(np.median(without["frames_per_second"]) / np.median(with_it["frames_per_second"]))
        rng, drawn = np.random.default_rng(0), np.zeros(DRAWS)
        for without, with_it in pairs:
            picks = rng.integers(len(without), size=(DRAWS, len(without)))
            drawn += np.log(without[picks].mean(axis=1) / with_it[picks].mean(axis=1)) / len(pairs)
        low, high = np.exp(np.quantile(drawn, [0.025, 0.975]))
        value = _geometric([without.mean() / with_it.mean() for without, with_it in pairs])
        return {
            part.name: Figure(value, "x", (float(low), float(high)), self.rows(run, part)),
            f"cost_{part.name}": Figure(_geometric(costs), "x", rows=[float(cost) for cost in costs]),
        }

    def report(self, run: Run) -> None:
        """Write the table."""
        if self.path is not None:
            self.path.write_text(written([row for part in PARTS for row in self.rows(run, part)]))
            print(f"table: {self.path}")


def written(rows: Sequence[Mapping[str, Any]]) -> str:
    """All parts as Markdown."""
    headings = ["part", "store", "variant", "PSNR of moving pixels (dB)", "CRPS", "control gain at 4", "frames/s"]
    lines = [headings, ["---"] * len(headings)]
    found = {(row["part"], row["store"], row["variant"], row["horizon"]): row for row in rows}
    for part in PARTS:
        for store, variants in part.stores.items():
            for variant in variants:
                own = {h: found[part.name, store, variant, h] for h in HORIZONS}
                cells = [
                    " / ".join(form.format(own[h][measure]) for h in HORIZONS)
                    for measure, form in (("psnr_moving", "{:.2f}"), ("crps", "{:.3g}"))
                ]
                last = [f"{own[HORIZON]['control_gain']:.3f}", f"{own[HORIZON]['frames_per_second']:.0f}"]
                lines.append([part.what, store, variant, *cells, *last])
    return table(lines) + "\n"


def _geometric(values: Sequence[float]) -> float:
    return math.exp(float(np.mean(np.log(values))))


def main(arguments: Sequence[str] | None = None) -> None:
    """As the contest's."""
    options, path, others = parsed(arguments)
    ablations = Ablations(options, path)
    bench = Benchmark("ablations", __doc__)
    for part in PARTS:
        bench.figure(part.name, f"cost_{part.name}")(partial(ablations.figures, part))
    bench.main(others, finish=ablations.report)


if __name__ == "__main__":
    main()
