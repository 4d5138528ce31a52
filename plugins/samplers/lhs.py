"""Latin hypercube sampling."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from pinn.core import Box, Points, Sampler


@frozen
class LatinHypercube(Sampler):
    """One point in each of `count` slices along every coordinate (McKay et al. 1979)."""

    name = "lhs"

    def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Points:
        from scipy.stats import qmc

        unit = qmc.LatinHypercube(domain.dimension, rng=generator).random(count)
        return qmc.scale(unit, domain.lower, domain.upper)
