"""Ask/tell optimizers on NumPy arrays, one algorithm a file."""
