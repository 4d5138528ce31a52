"""The commands of `pinn`."""
