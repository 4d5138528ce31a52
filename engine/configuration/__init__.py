"""A pinn.toml, read strictly, and the directory that keeps it."""
