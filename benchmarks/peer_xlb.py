"""Million updates a second of XLB's JAX backend on the CPU: D2Q9, one relaxation time, 256 x 256, periodic, float32.

Run by the Python of an environment with xlb 0.3.1, jax 0.10 and warp-lang 1.9, see `sim_speed.mlups_256`.
"""

import time

import xlb
from xlb.compute_backend import ComputeBackend
from xlb.grid import grid_factory
from xlb.operator.stepper import IncompressibleNavierStokesStepper
from xlb.precision_policy import PrecisionPolicy

CELLS, STEPS = 256, 50

backend, policy = ComputeBackend.JAX, PrecisionPolicy.FP32FP32
velocities = xlb.velocity_set.D2Q9(precision_policy=policy, compute_backend=backend)
xlb.init(velocity_set=velocities, default_backend=backend, default_precision_policy=policy)
grid = grid_factory((CELLS, CELLS), compute_backend=backend)
stepper = IncompressibleNavierStokesStepper(grid=grid, boundary_conditions=[], collision_type="BGK")
here, there, mask, missing = stepper.prepare_fields()
for _ in range(2):  # the first compiles
    begin = time.perf_counter()
    for step in range(STEPS):
        here, there = stepper(here, there, mask, missing, 1.9, step)[::-1]
    here.block_until_ready()
print(STEPS * CELLS**2 / (time.perf_counter() - begin) / 1e6)
