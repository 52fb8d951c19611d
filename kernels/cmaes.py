"""The arithmetic of CMA-ES, with the covariance's Cholesky factor in place of its eigenvectors.

Hansen, "The CMA evolution strategy: a tutorial", arXiv:1604.00772v2, equations 38 to 47; Krause, Arbones and Igel,
"CMA-ES with optimal covariance update and storage complexity", NeurIPS 2016, section 3: any root does.
One problem at a time, in coordinates in which the bounds are from 0 to 1.
"""

import math

import numpy as np
from numba import njit


@njit(cache=True)
def sample(normals, mean, sigma, root, full, low, high):
    """Candidates (candidate, dimension) of standard normals, clipped to their bounds low, high : (dimension,).

    mean : (dimension,), as shares of the bounds' width. root : (dimension, dimension), lower triangle, or (1,
    dimension) standard deviations where the covariance is not full. Returns also which (candidate,) had to be clipped.
    """
    n, d = normals.shape
    out, outside = np.empty((n, d)), np.zeros(n, np.bool_)
    for j in range(n):
        for k in range(d):
            step = 0.0
            if full:
                for m in range(k + 1):
                    step += root[k, m] * normals[j, m]
            else:
                step = root[0, k] * normals[j, k]
            share = mean[k] + sigma * step
            if share < 0.0 or share > 1.0:
                outside[j], share = True, min(max(share, 0.0), 1.0)
            out[j, k] = min(max(low[k] + share * (high[k] - low[k]), low[k]), high[k])
    return out, outside


@njit(cache=True)
def update(ordered, weights, rates, mean, sigma, cov, root, path, path_cov, generation, full):
    """One generation learned: the arrays are changed in place, sigma is returned.

    ordered : (candidate, dimension), best first. weights : (candidate,), whose positive ones sum to 1. rates : mu_eff,
    c_sigma, d_sigma, c_c, c_1, c_mu, and the expected length of a normal vector. path, path_cov : (dimension,), the
    evolution paths. generation : from 1 on.
    """
    n, d = ordered.shape
    mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, length = rates
    shift = np.zeros(d)
    for j in range(n):
        if weights[j] > 0.0:
            for k in range(d):
                shift[k] += weights[j] * (ordered[j, k] - mean[k])
    steps = (ordered - mean) / sigma
    mean += shift
    shift /= sigma
    white = _solved(root, shift, full)
    along = math.sqrt(c_sigma * (2.0 - c_sigma) * mu_eff)
    norm = 0.0
    for k in range(d):
        path[k] = (1.0 - c_sigma) * path[k] + along * white[k]
        norm += path[k] * path[k]
    norm = math.sqrt(norm)
    # A path that grew long in few generations says nothing of the covariance yet (below equation 45).
    grown = norm / math.sqrt(1.0 - (1.0 - c_sigma) ** (2.0 * generation))
    stalled = 0.0 if grown < (1.4 + 2.0 / (d + 1.0)) * length else 1.0
    along = (1.0 - stalled) * math.sqrt(c_c * (2.0 - c_c) * mu_eff)
    for k in range(d):
        path_cov[k] = (1.0 - c_c) * path_cov[k] + along * shift[k]
    scaled = weights.copy()
    total = 0.0
    for j in range(n):
        total += weights[j]
        if weights[j] < 0.0:
            away = _solved(root, steps[j], full)
            scaled[j] *= d / ((away * away).sum() + 1e-300)
    decay = 1.0 - c_1 * (1.0 - stalled * c_c * (2.0 - c_c)) - c_mu * total
    if full:
        _full(cov, steps, scaled, path_cov, decay, c_1, c_mu)
        _factor(cov, root)
    else:
        for k in range(d):
            found = decay * cov[0, k] + c_1 * path_cov[k] * path_cov[k]
            for j in range(n):
                found += c_mu * scaled[j] * steps[j, k] * steps[j, k]
            cov[0, k] = max(found, 1e-30)
            root[0, k] = math.sqrt(cov[0, k])
    return sigma * math.exp(min(1.0, (c_sigma / d_sigma) * (norm / length - 1.0)))


@njit(cache=True)
def _full(cov, steps, weights, path, decay, c_1, c_mu):
    """The covariance's lower triangle under rank-one and rank-mu updates (equation 47)."""
    n, d = steps.shape
    for k in range(d):
        for m in range(k + 1):
            cov[k, m] = decay * cov[k, m] + c_1 * path[k] * path[m]
    for j in range(n):
        w = c_mu * weights[j]
        for k in range(d):
            own = w * steps[j, k]
            for m in range(k + 1):
                cov[k, m] += own * steps[j, m]


@njit(cache=True)
def _factor(cov, root):
    """The lower root of a covariance's lower triangle; what makes it no covariance is lifted."""
    d = len(cov)
    for k in range(d):
        for m in range(k + 1):
            found = cov[k, m]
            for i in range(m):
                found -= root[k, i] * root[m, i]
            if m < k:
                root[k, m] = found / root[m, m]
            else:
                least = 1e-14 * cov[k, k]
                if not found > least:
                    cov[k, k] += least - found
                    found = max(least, 1e-30)
                root[k, k] = math.sqrt(found)


@njit(cache=True)
def _solved(root, vector, full):
    """The vector that the root maps to this one."""
    d = len(vector)
    out = np.empty(d)
    for k in range(d):
        if full:
            found = vector[k]
            for m in range(k):
                found -= root[k, m] * out[m]
            out[k] = found / root[k, k]
        else:
            out[k] = vector[k] / root[0, k]
    return out
