"""Points drawn out of a pool, each of which has a weight."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen

from pinn.core import Points, Shape, at_least, between, option
from pinn.plugins.samplers.by_weight import drawn
from pinn.plugins.samplers.uniform import Uniform


@frozen
class AttentionPool(Uniform):
    """New points drawn of a pool that stays, with probability ∝ λᵏ / mean λᵏ + c.

    λ ← γ λ + (1 − γ) |r| / max|r| of every point of the pool, |r| summed over equations. The pool is
    uniform, and so are the first points. So `vrba` goes with a quasi-Newton method: drawn by the weights
    instead of multiplied with them, the loss changes at a redraw alone. Toscano et al. 2025, arXiv
    2509.14198.
    """

    name = "pool"

    gamma: float = option(0.1, "memory γ of the weights", between(0, 1))
    k: float = option(1.0, "power of the weights", at_least(0))
    c: float = option(0.0, "share of points that look at no weight, in means of λᵏ", at_least(0))
    size: int = option(10, "points in the pool for each that is drawn", at_least(1))

    def redraw_from(
        self,
        memory: Points | None,
        domain: Shape,
        points: Points,
        residuals: Callable[[Points], Points],
        generator: np.random.Generator,
    ) -> tuple[Points, Points]:
        """The memory holds the points of the pool and, in its last column, their weights."""
        count = self.size * len(points)
        if memory is None or len(memory) != count:
            memory = np.column_stack([domain.uniform(count, generator), np.zeros(count)])
        pool, weights = memory[:, :-1], memory[:, -1]
        size = np.abs(residuals(pool)).sum(axis=0)
        largest = size.max()
        attention = size / largest if largest > 0 else np.ones_like(size)
        weights = self.gamma * weights + (1 - self.gamma) * attention
        found = drawn(pool, weights, len(points), self.k, self.c, generator)
        return found, np.column_stack([pool, weights])
