"""Flows: velocity, pressure, vorticity and density on grids, from simulations and from particle images."""
