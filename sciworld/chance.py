"""Streams of random numbers that share a seed and nothing else."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """The random numbers of a seed for one purpose, and for each number there of its own.

    `default_rng([seed, 0])` is the same stream as `default_rng(seed)`, since NumPy fills short seeds up with zeros;
    a spawn key has no such twin.
    """
    key = (zlib.crc32(purpose.encode()), number)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def seed_of(seed: int, purpose: str, number: int = 0) -> int:
    """A seed that was drawn from such a stream, for what takes seeds: not negative, of 63 bits."""
    return int(stream(seed, purpose, number).integers(2**63))
