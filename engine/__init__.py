"""A pinn.toml trained, measured, drawn."""
