"""Numba kernels: arrays in, arrays out."""

if __name__ != "sciworld.kernels":
    raise ImportError("these kernels are imported as sciworld.kernels; install sciworld and import them from there")
