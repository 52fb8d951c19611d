"""Counter-seeded random numbers, one stream a candidate, so that results do not depend on the number of threads.

SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 16.
A stream is an array of one uint64, advanced in place.
"""

import math

import numpy as np
from numba import njit

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


@njit(cache=True, inline="always")
def uniform(stream):
    """The next number of the stream, uniform in [0, 1) with 53 bits."""
    stream[0] += _STEP
    z = stream[0]
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True, inline="always")
def exponential(stream):
    """The next number of the stream, exponential with mean 1."""
    return -math.log(1.0 - uniform(stream))


@njit(cache=True, inline="always")
def normal(stream):
    """The next number of the stream, standard normal (Box and Muller, one of the pair)."""
    radius = math.sqrt(2.0 * exponential(stream))
    return radius * math.cos(2.0 * math.pi * uniform(stream))


@njit(cache=True)
def poisson(mean, stream):
    """The next number of the stream, Poisson: Knuth's product of uniforms, in pieces so that exp never underflows."""
    count = 0
    while mean > 0.0:
        piece = min(mean, 16.0)
        mean -= piece
        limit = math.exp(-piece)
        product = uniform(stream)
        while product > limit:
            count += 1
            product *= uniform(stream)
    return count
