"""The catalogue: one TOML file a data set."""
