"""One function over many parameters, on Dask: every finished cell durable at once in one Zarr table."""
