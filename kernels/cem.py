"""The arithmetic of the cross-entropy method: sampling inside bounds, and the moments of the elite.

de Boer, Kroese, Mannor and Rubinstein, "A tutorial on the cross-entropy method", Annals of Operations Research
134 (2005), with independent normals. Many problems are done side by side.
"""

import math

import numpy as np
from numba import njit

from sciworld.kernels.ranking import best_of, moments


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
        lowest, highest, centre, wide = low[i], high[i], mean[i], std[i]
        if informed[i]:
            _spread(normals[i], centre, wide, lowest, highest, candidates[i])
        else:
            for j in range(n):
                for k in range(d):
                    share = 0.5 * math.erfc(-normals[i, j, k] / math.sqrt(2.0))
                    value = lowest[k] + (highest[k] - lowest[k]) * share
                    candidates[i, j, k] = min(max(value, lowest[k]), highest[k])
    return candidates


@njit(cache=True, inline="always")
def _spread(normals, mean, std, low, high, out):
    """N(mean, std^2) clipped to the bounds : (candidate, dimension) into `out`.

    Four at a time, and compiled where it is called, which knows that `out` overlaps nothing: twice as fast.
    """
    n, d = normals.shape
    fours = n - n % 4
    for j in range(0, fours, 4):
        for k in range(d):
            m, s, least, most = mean[k], std[k], low[k], high[k]
            out[j, k] = min(max(m + s * normals[j, k], least), most)
            out[j + 1, k] = min(max(m + s * normals[j + 1, k], least), most)
            out[j + 2, k] = min(max(m + s * normals[j + 2, k], least), most)
            out[j + 3, k] = min(max(m + s * normals[j + 3, k], least), most)
    for j in range(fours, n):
        for k in range(d):
            out[j, k] = min(max(mean[k] + std[k] * normals[j, k], low[k]), high[k])


@njit(cache=True)
def elite_statistics(candidates, scores, count):
    """Moments of the elite of every problem, and its best candidate; the order of the candidates has no effect.

    candidates : (problem, candidate, dimension). scores : (problem, candidate), larger is better, NaN is no
    score. The elite are all candidates that score at least as much as the count-th best, so ties at the threshold
    are all in.

    Returns mean, std : (problem, dimension), size : (problem,) of the elite (0 where every score is NaN, and the
    rest is then NaN), best : (problem, dimension), best_score : (problem,); of equal bests the first in
    lexicographic order.
    """
    p, n, d = candidates.shape
    mean = np.full((p, d), np.nan)
    std = np.full((p, d), np.nan)
    best = np.full((p, d), np.nan)
    best_score = np.full(p, np.nan)
    size = np.zeros(p, np.int64)
    alike = np.ones(n)
    for i in range(p):
        valid = scores[i][~np.isnan(scores[i])]
        if len(valid) == 0:
            continue
        place = max(len(valid) - count, 0)
        threshold = np.partition(valid, place)[place]
        elite = np.flatnonzero(scores[i] >= threshold)
        size[i] = len(elite)
        chosen = best_of(candidates[i], scores[i])
        best[i], best_score[i] = candidates[i, chosen], scores[i, chosen]
        mean[i], std[i] = moments(candidates[i], elite, alike, float(len(elite)))
    return mean, std, size, best, best_score
