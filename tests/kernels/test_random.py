"""Random streams: the published generator, and the moments of what is made of it."""

import numpy as np
from numba import njit
from scipy import stats

from sciworld.kernels import random


@njit
def drawn(kind, mean, seed, n):
    stream = np.array([seed], dtype=np.uint64)
    out = np.empty(n)
    for i in range(n):
        if kind == 0:
            out[i] = random.uniform(stream)
        elif kind == 1:
            out[i] = random.exponential(stream)
        elif kind == 2:
            out[i] = random.normal(stream)
        else:
            out[i] = random.poisson(mean, stream)
    return out


def draw(kind, n=20_000, mean=0.0, seed=7):
    return drawn(("uniform", "exponential", "normal", "poisson").index(kind), mean, np.uint64(seed), n)


def test_uniform_is_splitmix64():
    # The first outputs of SplitMix64 seeded with 0 are known; the doubles are their upper 53 bits.
    known = np.array([0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F], dtype=np.uint64)
    assert (draw("uniform", 3, seed=0) == (known >> np.uint64(11)) / 2.0**53).all()


def test_distributions():
    assert stats.kstest(draw("uniform"), "uniform").pvalue > 1e-3
    assert stats.kstest(draw("exponential"), "expon").pvalue > 1e-3
    assert stats.kstest(draw("normal"), "norm").pvalue > 1e-3


def test_poisson_has_its_distribution_on_both_sides_of_a_piece():
    for mean in (0.3, 5.0, 40.0):
        counts = draw("poisson", mean=mean)
        edges = np.unique(stats.poisson.ppf(np.linspace(0, 1, 12)[1:-1], mean))
        observed = np.bincount(np.searchsorted(edges, counts), minlength=len(edges) + 1)
        expected = np.diff(stats.poisson.cdf(edges, mean), prepend=0, append=1) * len(counts)
        assert stats.chisquare(observed, expected).pvalue > 1e-3
    assert (draw("poisson", 10, mean=0.0) == 0).all()


def test_streams_of_neighbouring_seeds_are_not_correlated():
    first = np.array([draw("uniform", 1, seed=seed)[0] for seed in range(2000)])
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.08
