"""Points that stay where the residuals are large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen

from pinn.core import Points, Shape
from pinn.plugins.samplers.uniform import Uniform


@frozen
class RetainResampleRelease(Uniform):
    """Points whose |r|, summed over equations, is above the mean stay; the others are drawn anew.

    All are uniform at first, and so are the new ones: a point is released once its residual has fallen.
    Daw, Bu, Wang, Perdikaris & Karpatne 2023, ICML, arXiv 2207.02338 (R3).
    """

    name = "r3"

    def redraw(
        self,
        domain: Shape,
        points: Points,
        residuals: Callable[[Points], Points],
        generator: np.random.Generator,
    ) -> Points:
        size = np.abs(residuals(points)).sum(axis=0)
        released = size <= size.mean()
        moved = points.copy()
        moved[released] = domain.uniform(int(released.sum()), generator)
        return moved
