"""The arithmetic of model predictive path integral control.

Williams, Aldrich and Theodorou, Journal of Guidance, Control, and Dynamics 40 (2017), equations 35 and 36. Many
problems are done side by side.
"""

import math

import numpy as np
from numba import njit

from sciworld.kernels.ranking import exact_sum, moments


@njit(cache=True)
def weighed(candidates, scores, temperature):
    """Mean and standard deviation of candidates, each weighed by the exponential of its score.

    candidates : (problem, candidate, dimension). scores : (problem, candidate); NaN and -inf weigh nothing.
    temperature : as a share of the range of the finite scores. Returns mean, std : (problem, dimension) and size :
    (problem,), how many weigh anything. The order of the candidates has no effect.
    """
    p, n, d = candidates.shape
    mean, std = np.full((p, d), np.nan), np.full((p, d), np.nan)
    size = np.zeros(p, np.int64)
    weights = np.empty(n)
    for i in range(p):
        finite = np.flatnonzero(np.isfinite(scores[i]))
        if len(finite) == 0:
            continue
        size[i] = len(finite)
        highest = lowest = scores[i, finite[0]]
        for j in finite:
            highest, lowest = max(highest, scores[i, j]), min(lowest, scores[i, j])
        scale = temperature * (highest - lowest)
        for j in finite:
            weights[j] = math.exp((scores[i, j] - highest) / scale) if scale > 0.0 else 1.0
        mean[i], std[i] = moments(candidates[i], finite, weights, exact_sum(weights[finite]))
    return mean, std, size
