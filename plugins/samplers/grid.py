"""Regular grids."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from pinn.core import Box, PinnError, Points, Sampler, at_least, choice, option


@frozen
class Grid(Sampler):
    """A regular grid with as many nodes along every coordinate, or some of its nodes, drawn."""

    name = "grid"

    ends: str = option(
        "none",
        "of an interval that are nodes: none (nodes are the middles of cells), lower, both",
        choice("none", "lower", "both"),
    )
    nodes: int = option(
        0,
        "along a coordinate, of which points are drawn, none twice; 0: all are points",
        at_least(0),
    )

    def draw(self, domain: Box, count: int, generator: np.random.Generator) -> Points:
        nodes = self.nodes or self._along_a_coordinate(count, domain.dimension)
        axes = [self._axis(low, high, nodes) for low, high in domain.intervals.values()]
        grid = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)
        if count > len(grid):
            raise PinnError(
                f"[points] the grid sampler cannot draw {count} points, none twice, from the "
                f"{len(grid)} nodes that nodes = {self.nodes} makes"
            )
        return grid[generator.permutation(len(grid))[:count]] if self.nodes else grid

    def _axis(self, low: float, high: float, nodes: int) -> NDArray[np.float64]:
        if self.ends == "both":
            return np.linspace(low, high, nodes)
        shift = 0.0 if self.ends == "lower" else 0.5
        return low + (high - low) * (np.arange(nodes) + shift) / nodes

    def _along_a_coordinate(self, count: int, dimension: int) -> int:
        side = round(count ** (1 / dimension))
        if side**dimension != count:
            raise PinnError(
                f"[points] the grid sampler needs a count that is a number to the power of "
                f"{dimension}, such as {side**dimension}, or nodes = … to draw from; found {count}"
            )
        return side
