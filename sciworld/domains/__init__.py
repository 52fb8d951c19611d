"""One folder a field of science: readers, trusted simulator, objectives, checks."""
