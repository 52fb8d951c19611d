"""Figures of the data plane: the loader, ingest, sweeps, and what happens to damaged files.

    python benchmarks/data.py [--quick] [--only FIGURE] [--json benchmarks/data.json]

Real sources are read where SCIWORLD_MIRROR names the folder that holds them.
"""

from __future__ import annotations

import data_damage
import data_ingest
import data_loader
import data_sweep
from harness import Benchmark

bench = Benchmark("data", __doc__)
bench.figure("loader_over_tensorstore", "loader_over_xbatcher", "loader_over_zarr_dataloader")(data_loader.throughput)
bench.figure("loader_growth_mb")(data_loader.growth)
bench.figure("ingest_over_decoder")(data_ingest.over_decoder)
bench.figure("ingest_two_workers")(data_ingest.two_workers)
bench.figure("sweep_two_workers")(data_sweep.two_workers)
bench.figure("sweep_kill_lost", "sweep_kill_rerun")(data_sweep.kills)
bench.figure("damaged_inputs", "damaged_bad")(data_damage.damage)

if __name__ == "__main__":
    bench.main()
