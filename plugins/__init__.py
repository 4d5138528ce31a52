"""The built-in networks, samplers, weightings and optimizers, and the commands."""
