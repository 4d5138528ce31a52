"""Scrambled Sobol sequences."""

from __future__ import annotations

import warnings

import numpy as np
from attrs import frozen

from pinn.core import Box, Points, Sampler


@frozen
class Sobol(Sampler):
    """A scrambled Sobol sequence; best balanced where the count is a power of two."""

    name = "sobol"

    def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Points:
        from scipy.stats import qmc

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The balance properties")
            unit = qmc.Sobol(domain.dimension, rng=generator).random(count)
        return qmc.scale(unit, domain.lower, domain.upper)
