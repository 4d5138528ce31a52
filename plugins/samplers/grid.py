"""Regular grids."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from pinn.core import Box, PinnError, Points, Sampler


@frozen
class Grid(Sampler):
    """Cell centres of a regular grid with as many cells along every coordinate."""

    name = "grid"

    def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Points:
        side = round(count ** (1 / domain.dimension))
        if side**domain.dimension != count:
            raise PinnError(
                f"[points] the grid sampler needs a count that is a number to the power of "
                f"{domain.dimension}, such as {side**domain.dimension}; found {count}"
            )
        axes = [
            low + (high - low) * (np.arange(side) + 0.5) / side
            for low, high in domain.intervals.values()
        ]
        return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)
