"""The arithmetic of the cross-entropy method: sampling inside bounds, and the moments of the elite.

de Boer, Kroese, Mannor and Rubinstein, "A tutorial on the cross-entropy method", Annals of Operations Research
134 (2005), with independent normals. Many problems are done side by side.
"""

import math

import numpy as np
from numba import njit


@njit(cache=True)
def transform(normals, mean, std, informed, low, high):
    """Turn standard normals into candidates inside the bounds.

    normals : (problem, candidate, dimension). mean, std, low, high : (problem, dimension). informed : (problem,)
    bool. An informed problem is sampled from N(mean, std^2) and clipped to its bounds, so that an optimum on a
    bound can be hit; an uninformed one uniformly, through the normal distribution function. Returns
    (problem, candidate, dimension).
    """
    p, n, d = normals.shape
    candidates = np.empty((p, n, d))
    for i in range(p):
        for j in range(n):
            for k in range(d):
                z = normals[i, j, k]
                if informed[i]:
                    value = mean[i, k] + std[i, k] * z
                else:
                    value = low[i, k] + (high[i, k] - low[i, k]) * 0.5 * math.erfc(-z / math.sqrt(2.0))
                candidates[i, j, k] = min(max(value, low[i, k]), high[i, k])
    return candidates


@njit(cache=True)
def _precedes(a, b):
    """Whether vector a comes before vector b in lexicographic order."""
    for k in range(len(a)):
        if a[k] != b[k]:
            return a[k] < b[k]
    return False


@njit(cache=True)
def elite_statistics(candidates, scores, count):
    """Moments of the elite of every problem, and its best candidate; the order of the candidates has no effect.

    candidates : (problem, candidate, dimension). scores : (problem, candidate), larger is better, NaN is no
    score. The elite are all candidates that score at least as much as the count-th best, so ties at the threshold
    are all in. Values are sorted before they are summed, which makes even the last bit blind to order.

    Returns mean, std : (problem, dimension), size : (problem,) of the elite (0 where every score is NaN, and the
    rest is then NaN), best : (problem, dimension), best_score : (problem,); of equal bests the first in
    lexicographic order.
    """
    p, _, d = candidates.shape
    mean = np.full((p, d), np.nan)
    std = np.full((p, d), np.nan)
    best = np.full((p, d), np.nan)
    best_score = np.full(p, np.nan)
    size = np.zeros(p, np.int64)
    for i in range(p):
        valid = scores[i][~np.isnan(scores[i])]
        if len(valid) == 0:
            continue
        valid.sort()
        threshold = valid[max(len(valid) - count, 0)]
        best_score[i] = valid[-1]
        elite = np.flatnonzero(scores[i] >= threshold)
        size[i] = len(elite)
        chosen = -1
        for j in elite:
            if scores[i, j] == best_score[i] and (chosen < 0 or _precedes(candidates[i, j], candidates[i, chosen])):
                chosen = j
        best[i] = candidates[i, chosen]
        for k in range(d):
            values = np.sort(candidates[i, :, k][elite])
            middle = values.sum() / len(values)
            # The sum of equal numbers, divided, may leave their range by an ulp.
            middle = min(max(middle, values[0]), values[-1])
            mean[i, k] = middle
            std[i, k] = math.sqrt(((values - middle) ** 2).sum() / len(values))
    return mean, std, size, best, best_score
