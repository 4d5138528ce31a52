"""Other ways to compute one PINN training step, to time the project's own step against."""
