"""Figures of the measures: held to other libraries, their speed, and the faults that they see.

python benchmarks/measures.py [--quick] [--only FIGURE] [--json benchmarks/measures.json]
"""

from __future__ import annotations

import measure_faults
import measure_oracles
import measure_speed
from harness import Benchmark

bench = Benchmark("measures", __doc__)
bench.figure("oracle_worst_relative")(measure_oracles.worst)
bench.figure("suite_seconds")(measure_speed.suite)
bench.figure("ssim_over_skimage")(measure_speed.ssim)
bench.figure("faults_caught")(measure_faults.caught)

if __name__ == "__main__":
    bench.main()
