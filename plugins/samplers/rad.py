"""Points drawn where the residuals are large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen

from pinn.core import Points, Shape, at_least, option
from pinn.plugins.samplers.by_weight import drawn
from pinn.plugins.samplers.uniform import Uniform


@frozen
class ResidualAdaptiveDistribution(Uniform):
    """New points drawn of many candidates with probability ∝ |r|ᵏ / mean |r|ᵏ + c.

    Drawn systematically, so that every region gets its share (Madow 1949); the first points are uniform.
    Wu, Zhu, Tan, Kartha & Lu 2023, CMAME 403, arXiv 2207.10289 (RAD).
    """

    name = "rad"

    k: float = option(1.0, "power of the residual", at_least(0))
    c: float = option(
        1.0, "share of points that look at no residual, in means of |r|ᵏ", at_least(0)
    )
    candidates: int = option(
        10, "uniform points for each that is drawn, at which residuals are seen", at_least(1)
    )

    def redraw(
        self,
        domain: Shape,
        points: Points,
        residuals: Callable[[Points], Points],
        generator: np.random.Generator,
    ) -> Points:
        candidates = domain.uniform(self.candidates * len(points), generator)
        size = np.abs(residuals(candidates)).sum(axis=0)
        return drawn(candidates, size, len(points), self.k, self.c, generator)
