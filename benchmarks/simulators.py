"""Figures of the trusted simulators: flows against published numbers, speed, and what direct search reaches.

python benchmarks/simulators.py [--quick] [--only FIGURE] [--json benchmarks/simulators.json]
"""

from __future__ import annotations

import sim_flows
import sim_road
import sim_search
import sim_speed
from harness import Benchmark

bench = Benchmark("simulators", __doc__)
bench.figure("taylor_green_order")(sim_flows.taylor_green)
bench.figure("ghia_worst_re100", "ghia_worst_re400", "ghia_worst_re1000")(sim_flows.ghia)
bench.figure("schafer_turek_2d1_cd_error", "schafer_turek_2d2_cd_error", "schafer_turek_2d2_st_error")(
    sim_flows.schafer_turek
)
bench.figure("unbounded_st_error", "unbounded_cd_error")(sim_flows.unbounded)
bench.figure("mass_drift")(sim_flows.mass)
bench.figure("lbm_over_ceiling")(sim_speed.over_ceiling)
bench.figure("lbm_mlups_256")(sim_speed.mlups_256)
bench.figure("lbm_two_cores")(sim_speed.two_cores)
bench.figure("direct_j_jets")(sim_search.direct_jets)
bench.figure("direct_j_rotary")(sim_search.direct_rotary)
bench.figure("road_fps_64", "road_fps_320")(sim_road.speed)
bench.figure("counterfactual_mask_difference")(sim_road.counterfactuals)

if __name__ == "__main__":
    bench.main()
