"""Controls are searched against a surrogate."""
