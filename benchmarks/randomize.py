"""Figures of drives in other light and weather.

python benchmarks/randomize.py [--quick] [--only FIGURE] [--json benchmarks/randomize.json]

Recorded video comes from the catalogue: commavq-highway and donkeycar-tub.
"""

from __future__ import annotations

import randomize_clips
import randomize_downstream
import randomize_judges
import randomize_learned
import randomize_motion
import randomize_video
from harness import Benchmark

bench = Benchmark("randomize", __doc__)
bench.figure("compliance", "compliance_source")(randomize_judges.compliance)
bench.figure("dial_spearman")(randomize_video.dials)
bench.figure("layout_agreement")(randomize_learned.layout)
bench.figure("compliance_clips")(randomize_clips.compliance)
bench.figure("motion_r2_drop")(randomize_motion.drop)
bench.figure("flicker_ratio")(randomize_video.flicker)
bench.figure("diversity_ratio")(randomize_video.diversity)
bench.figure("downstream_gain")(randomize_downstream.gain)
bench.figure("variants_per_second")(randomize_video.speed)

if __name__ == "__main__":
    bench.main()
