"""Figures of the search for controls.

python benchmarks/search.py [--quick] [--only FIGURE] [--json benchmarks/search.json]
"""

from __future__ import annotations

import search_active
import search_flow
import search_optimizers
import search_plans
import search_promises
import search_road
import search_stem
import search_trust
from harness import Benchmark

bench = Benchmark("search", __doc__)
bench.figure("cmaes_over_cmaes", "cmaes_over_cma")(search_optimizers.overhead)
bench.figure("cem_over_twin", "mppi_over_twin")(search_optimizers.twins)
bench.figure("evaluations_over_cmaes")(search_optimizers.evaluations)
bench.figure("fluid_fraction_verified", "fluid_fraction_top1", "fluid_equal_budget", "fluid_break_even")(
    search_flow.fractions
)
bench.figure("active_gain")(search_active.active)
bench.figure("stem_success", "stem_seconds_ratio")(search_stem.steering)
bench.figure("plans_per_second")(search_plans.plans)
bench.figure("refusal_auroc")(search_trust.refusal)
bench.figure("road_success")(search_road.manoeuvres)
bench.figure("optimism", "regret")(search_promises.promises)

if __name__ == "__main__":
    bench.main()
