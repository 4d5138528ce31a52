"""Independent uniform points."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from pinn.core import Box, Points, Sampler


@frozen
class Uniform(Sampler):
    """Independent, uniformly distributed points."""

    name = "uniform"

    def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Points:
        return generator.uniform(domain.lower, domain.upper, (count, domain.dimension))
