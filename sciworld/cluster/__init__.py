"""Dask workers: processes of this machine, or of a cluster."""
